"""Models that released versions wrote are read, and predict what they did then."""

from __future__ import annotations

import pickle
import re
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

import emgmm
from emgmm import GaussianMixtureEM

RELEASED = Path(__file__).parent / "data" / "released"
FOLDERS = sorted(path for path in RELEASED.iterdir() if path.is_dir())
CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"
READ = {".npz": GaussianMixtureEM.load, ".pickle": lambda path: load_pickle(path)}
MODELS = [
    path
    for folder in FOLDERS
    for path in sorted(folder.iterdir())
    if path.suffix in READ and path.stem != "predicted"
]
FITS = [path for path in MODELS if path.stem != "stream"]
ACCURACY = {"float32": 1e-5}
"""Of what is predicted of rows in single precision; else `DOUBLE`."""
DOUBLE = 1e-11
NATS = 1e-9  # of log-densities after an M-step, which iterates


def load_pickle(path):
    return pickle.loads(path.read_bytes())


def identified(path):
    return f"{path.parent.name}-{path.name}"


@pytest.fixture(scope="module")
def written():
    """The names of the program that writes the models of a version."""
    return runpy.run_path(str(RELEASED / "write.py"))


def assert_predicts_the_same(gmm, name, written, then):
    """What the mixture of a case predicts is what was predicted then."""
    rtol = ACCURACY.get(name, DOUBLE)
    for method, value in written["predicted"](name, gmm).items():
        expected = then[f"{name}.{method}"]
        if method == "predict":
            assert_array_equal(value, expected)
        else:
            assert_allclose(value, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("path", MODELS, ids=identified)
def test_models_of_released_versions_predict_what_they_predicted(path, written):
    gmm = READ[path.suffix](path)
    assert type(gmm) is GaussianMixtureEM
    with np.load(path.parent / "predicted.npz") as then:
        assert_predicts_the_same(gmm, path.stem, written, then)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_streams_of_released_versions_go_on_as_they_did(folder, written):
    gmm = GaussianMixtureEM.load(folder / "stream.npz")
    assert gmm.n_samples_seen_ == 525 and gmm.n_steps_ == 1
    X = written["rows_of"]("rows")
    found = written["predicted"]("stream", gmm.partial_fit(X[1::2]))
    with np.load(folder / "predicted.npz") as then:
        assert_array_equal(found["predict"], then["then.predict"])
        for name in ("predict_proba", "score_samples"):
            assert_allclose(found[name], then[f"then.{name}"], rtol=0, atol=NATS)


@pytest.mark.parametrize("path", FITS, ids=identified)
def test_clones_of_released_models_are_fitted_as_well_as_they_were(path, written):
    """A fit need not end where that of the version before did, to the last bit."""
    gmm, X = READ[path.suffix](path), written["rows_of"](written["CASES"][path.stem][1])
    assert clone(gmm).fit(X).score(X) >= gmm.score(X) - 1e-4 * abs(gmm.score(X))


def test_every_released_version_has_its_models(written):
    headings = r"^## \[?(\d+\.\d+\.\d+)\b"
    released = re.findall(headings, CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    assert {folder.name for folder in FOLDERS} == set(released)
    for folder in FOLDERS:
        names = {path.stem for path in folder.glob("*.npz")} - {"predicted"}
        assert (
            names <= set(written["CASES"]) and {*written["FAMILIES"], "gaps"} <= names
        )
        with np.load(folder / "predicted.npz") as then:
            assert names | {"then"} == {key.split(".")[0] for key in then}


def test_this_version_writes_models_that_will_be_read(written, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written["write"](tmp_path / emgmm.__version__)
    folder = tmp_path / emgmm.__version__
    assert {path.stem for path in folder.glob("*.npz")} == {
        *written["CASES"],
        "predicted",
    }
    with np.load(folder / "predicted.npz") as then:
        for name in written["CASES"]:
            gmm = GaussianMixtureEM.load(folder / f"{name}.npz")
            assert_predicts_the_same(gmm, name, written, then)
