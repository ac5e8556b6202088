"""Annotations: what users write passes type checkers, and what is wrong does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import emgmm
from emgmm import GaussianMixtureIC
from emgmm._model.families import FAMILIES
from emgmm.typing import CovarianceType, SelectedParams

RIGHT = """
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emgmm import (
    GaussianMixtureClassifier,
    GaussianMixtureEM,
    GaussianMixtureIC,
    GaussianMixtureOutlierDetector,
)
from emgmm.typing import CovarianceType, RowsLike, SelectedParams

X = np.zeros((9, 2))
blocks = [X, X]
weighted = [(X, np.ones(9)), (X, np.ones(9))]

def rows() -> Iterator[NDArray[np.float64]]:
    yield X

def pairs() -> Iterator[tuple[NDArray[np.float64], list[float]]]:
    yield X, [1.0] * 9

class Again:
    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        return rows()

gmm = GaussianMixtureEM(2, covariance_type="full", reg_covar=1e-6)
gmm.fit(X).fit(X.tolist()).fit([[0.0], [1.0]])
gmm.fit(lambda: blocks).fit(lambda: weighted).fit(lambda: (block for block in blocks))
gmm.fit(rows).fit(pairs).fit(blocks).fit(weighted).fit(Again())
gmm.score(rows), gmm.bic(lambda: blocks), gmm.predict(rows), gmm.icl(Again())

search = GaussianMixtureIC([1, 2], covariance_type=["VVV", "EEE"]).fit(X)
again = GaussianMixtureEM(**search.best_params_).fit(X)
GaussianMixtureEM(**search.best_params_, tol=1e-4, reg_covar="scale")
n_components: int = search.best_params_["n_components"]
name: CovarianceType = search.best_params_["covariance_type"]
labels: NDArray[np.int64] = search.predict(X)
value: float = search.score(X, sample_weight=np.ones(9)) + search.bic(X)
drawn, components = search.sample(5, random_state=0)
y = np.arange(9) % 2
classifier = GaussianMixtureClassifier({0: 1, 1: [1, 2]}, covariance_type=["full"])
classifier.fit(X, y, sample_weight=np.ones(9)).fit(X.tolist(), ["a", None] * 4 + ["b"])
GaussianMixtureClassifier([1, 2], covariance_type="all", priors={0: 0.5, 1: 0.5})
mean: float = classifier.score(X, y) + classifier.mixtures_[0].score(X)

detector = GaussianMixtureOutlierDetector(gmm, contamination=0.1).fit(X)
flagged: NDArray[np.int64] = detector.predict(X)
GaussianMixtureOutlierDetector(method="mahalanobis").fit(rows).p_values(rows)

def wrapped(X: RowsLike, model: CovarianceType = "full") -> SelectedParams:
    GaussianMixtureEM(covariance_type=model).fit(X)
    return {"n_components": 1, "covariance_type": model}
"""
WRONG = """
from emgmm import GaussianMixtureEM, GaussianMixtureIC, GaussianMixtureOutlierDetector
from emgmm import GaussianMixtureClassifier
GaussianMixtureEM(covariance_type="ful")
GaussianMixtureEM(reg_covar="scal")
GaussianMixtureIC(covariance_type=["VVX"])
GaussianMixtureIC(criterion="dic")
GaussianMixtureEM().fit(lambda one: [one])
GaussianMixtureIC().bic()
GaussianMixtureClassifier(covariance_type="al")
GaussianMixtureClassifier().fit([[0.0], [1.0]])
GaussianMixtureOutlierDetector(method="distance")
GaussianMixtureOutlierDetector(contamination="automatic")
"""


def test_the_names_of_models_are_those_of_the_table():
    assert get_args(CovarianceType) == tuple(FAMILIES)


def test_best_params_have_the_keys_of_their_type(iris):
    search = GaussianMixtureIC([1, 2], covariance_type=["EII", "EEE"]).fit(iris)
    assert list(search.best_params_) == list(get_type_hints(SelectedParams))


def checked(code, folder):
    """Lines of code that mypy finds fault with."""
    pytest.importorskip("mypy")
    path, settings = folder / "code.py", folder / "mypy.ini"
    path.write_text(code, encoding="utf-8")
    libraries = "[mypy-sklearn.*,scipy.*,threadpoolctl.*]\nignore_missing_imports=true"
    settings.write_text(f"[mypy]\n{libraries}\n", encoding="utf-8")
    options = ["--config-file", settings, "--cache-dir", folder, "--no-error-summary"]
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, options), str(path)],
        env={**os.environ, "MYPYPATH": str(Path(emgmm.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.splitlines()


def test_what_users_write_passes_mypy(tmp_path):
    assert checked(RIGHT, tmp_path) == []


def test_mypy_finds_what_is_wrong(tmp_path):
    errors = [line for line in checked(WRONG, tmp_path) if ": error: " in line]
    numbers = {int(re.search(r"code\.py:(\d+): ", line)[1]) for line in errors}
    assert numbers == set(range(4, 14))
