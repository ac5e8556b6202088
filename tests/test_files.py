"""Saved models: what comes back is the same, and what is damaged does not come back."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import stat
import warnings
import zipfile

import numpy as np
import pytest
from conftest import COVARIANCE_TYPES, MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import emgmm
from emgmm import GaussianMixtureEM

LEFT_OUT = {"labels_", "lower_bounds_of_starts_", "_stream"}


def assert_same(value, expected):
    """Equal in value, and where they are arrays in dtype, down to the last bit."""
    assert type(value) is type(expected)
    if isinstance(value, np.ndarray):
        assert value.dtype == expected.dtype
        assert_array_equal(value, expected, strict=True)
        if value.dtype.kind == "f":
            assert_array_equal(np.signbit(value), np.signbit(expected))
    else:
        assert value == expected


def assert_same_model(loaded, saved):
    """The same parameters and attributes, but for those that files do not hold."""
    assert type(loaded) is type(saved)
    ours, others = vars(loaded).copy(), vars(saved).copy()
    for name in LEFT_OUT:
        ours.pop(name, None), others.pop(name, None)
    assert set(ours) == set(others)
    for name in ours:
        assert_same(ours[name], others[name])


def saved_and_loaded(gmm, path):
    gmm.save(path)
    return GaussianMixtureEM.load(path)


def members(path):
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def write(path, arrays):
    with open(path, "wb") as file:
        np.savez(file, **arrays)


@pytest.fixture(scope="module")
def fitted():
    return GaussianMixtureEM(2, covariance_type="VEV").fit(make_blobs(0, 100, 2, 2))


@pytest.fixture
def path(fitted, tmp_path):
    fitted.save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


@pytest.fixture
def altered(path):
    """A function that changes arrays, or their description, in a saved file."""

    def alter(about=(), **arrays):
        kept = members(path)
        described = json.loads(kept["about"].item())
        for key, value in dict(about).items():
            inner = described[key]
            described[key] = inner | value if isinstance(inner, dict) else value
        kept["about"] = np.array(json.dumps(described))
        write(path, kept | arrays)
        return path

    return alter


# What comes back -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_loaded_model_is_the_saved_one_bit_for_bit(covariance_type, dtype, tmp_path):
    X = make_blobs(0, 300, 3, 3).astype(dtype)
    gmm = GaussianMixtureEM(3, covariance_type=covariance_type).fit(X)
    loaded = saved_and_loaded(gmm, tmp_path / "model.npz")
    assert_same_model(loaded, gmm)
    for method in ["predict", "predict_proba", "score_samples", "score", "bic", "icl"]:
        assert_same(getattr(loaded, method)(X), getattr(gmm, method)(X))
    assert_same(loaded.sample(5, random_state=1)[0], gmm.sample(5, random_state=1)[0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["duplicates", "collinear", "few", "scales", "far"])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_degenerate_models_are_loaded_too(name, kind, dtype, tmp_path):
    X = make_blobs(1, 60, 3, 2)
    X = {
        "duplicates": lambda: np.repeat(X[:6], 10, axis=0),
        "collinear": lambda: np.c_[X, X.sum(axis=1)],
        "few": lambda: X[:5, [0, 1, 2, 0, 1, 2]] + X[5:10, [0, 0, 1, 1, 2, 2]],
        "scales": lambda: X * [1e-8, 1, 1e8],
        "far": lambda: X + 1e5,
    }[kind]().astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        gmm = GaussianMixtureEM(2, covariance_type=name).fit(X)
    loaded = saved_and_loaded(gmm, tmp_path / "model.npz")
    assert_same_model(loaded, gmm)
    assert_same(loaded.score_samples(X), gmm.score_samples(X))


def test_parameters_of_every_kind_come_back(tmp_path):
    X = make_blobs(0, 60, 2, 2)
    given = {
        "n_components": np.int64(2),
        "tol": np.float32(0.1),
        "reg_covar": 1e-7,
        "init_params": list(np.arange(60) % 2),
        "weights_init": (0.25, 0.75),
        "means_init": np.asfortranarray(X[:2], dtype=np.float32),
        "random_state": 3,
        "acceleration": None,
    }
    loaded = saved_and_loaded(GaussianMixtureEM(**given).fit(X), tmp_path / "m")
    parameters = loaded.get_params()
    for name, value in (GaussianMixtureEM().get_params() | given).items():
        assert_array_equal(parameters[name], value)
    assert parameters["means_init"].dtype == np.float32
    assert_array_equal(loaded.fit(X).labels_, GaussianMixtureEM(**given).fit_predict(X))


def test_functions_and_generators_are_left_to_their_defaults(tmp_path):
    gmm = GaussianMixtureEM(
        2,
        init_params=lambda X, n_components, sample_weight, rng: np.arange(len(X)) % 2,
        random_state=np.random.RandomState(0),
    ).fit(make_blobs(0, 60, 2, 2))
    loaded = saved_and_loaded(gmm, tmp_path / "model.npz")
    assert loaded.init_params == "split" and loaded.random_state is None
    assert_array_equal(loaded.means_, gmm.means_)


def test_the_model_of_the_fit_is_kept_beside_the_one_that_is_set_now(path, fitted):
    loaded = GaussianMixtureEM.load(path).set_params(covariance_type="full")
    again = saved_and_loaded(loaded, path)
    assert again.covariance_type == "full"
    X = make_blobs(1, 20, 2, 2)
    assert again.bic(X) == fitted.bic(X)


def test_a_mixture_that_was_never_fitted_has_no_history(tmp_path):
    gmm = GaussianMixtureEM.from_parameters([1.0], [[1.0, 2.0]], [[1.0, 2.0]], "diag")
    loaded = saved_and_loaded(gmm, tmp_path / "model.npz")
    assert_same_model(loaded, gmm)
    assert not hasattr(loaded, "lower_bound_")


def test_a_start_that_is_published_without_iterations_is_kept(tmp_path):
    gmm = GaussianMixtureEM(2, max_iter=0).fit(make_blobs(0, 60, 2, 2))
    assert_same_model(saved_and_loaded(gmm, tmp_path / "model.npz"), gmm)


def test_names_of_features_come_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(make_blobs(0, 60, 2, 2), columns=["\u00e4\0", "b c"])
    gmm = GaussianMixtureEM(2).fit(X)
    loaded = saved_and_loaded(gmm, tmp_path / "model.npz")
    assert_same_model(loaded, gmm)
    assert_array_equal(loaded.predict(X), gmm.labels_)


def test_a_subclass_loads_as_itself(path):
    class Mine(GaussianMixtureEM):
        pass

    assert type(Mine.load(path)) is Mine


def test_a_loaded_model_goes_on_as_a_warm_start(path):
    X = make_blobs(0, 100, 2, 2)
    loaded = GaussianMixtureEM.load(path).set_params(warm_start=True)
    assert loaded.fit(X).n_iter_ <= 2


# How it is written -----------------------------------------------------------------


def test_the_file_has_its_name_and_nothing_is_left_next_to_it(fitted, tmp_path):
    for name in ["model", "model.npz", "model.tar.gz"]:
        assert fitted.save(str(tmp_path / name)) is None
    assert {path.name for path in tmp_path.iterdir()} == {
        "model",
        "model.npz",
        "model.tar.gz",
    }
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_numpy_reads_the_file_without_pickle(path, fitted):
    arrays = members(path)
    about = json.loads(arrays["about"].item())
    assert_array_equal(arrays["means_"], fitted.means_)
    assert about["format"] == "emgmm.GaussianMixtureEM"
    assert (about["version"], about["emgmm"]) == (1, emgmm.__version__)
    assert about["covariance_type"] == "VEV"


def test_a_failure_leaves_the_file_that_was_there(path, fitted, monkeypatch):
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("the disk is full")

    monkeypatch.setattr("emgmm._persistence.npy.write_array", fail)
    with pytest.raises(OSError, match="the disk is full"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["model.npz"]


def test_a_link_is_written_through(path, fitted):
    link = path.with_name("link")
    try:
        link.symlink_to(path)
    except OSError:
        pytest.skip("no links here")
    path.write_bytes(b"")
    fitted.save(link)
    assert link.is_symlink()
    assert_same_model(GaussianMixtureEM.load(path), fitted)


def test_a_device_is_written_to_and_not_replaced(fitted):
    before = os.stat(os.devnull).st_mode
    fitted.save(os.devnull)
    assert os.stat(os.devnull).st_mode == before


def test_an_unfitted_estimator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        GaussianMixtureEM().save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_invalid_parameters_are_not_saved(path, tmp_path):
    gmm = GaussianMixtureEM.load(path).set_params(n_components=0)
    with pytest.raises(ValueError, match="n_components"):
        gmm.save(tmp_path / "other.npz")
    with pytest.raises(OSError):
        gmm.set_params(n_components=1).save(tmp_path / "nowhere" / "other.npz")


def test_any_model_that_is_saved_is_loaded_or_else_refused_by_save(tmp_path):
    """Whatever has been assigned, one attribute at a time."""
    X = make_blobs(0, 100, 2, 2)
    tried = {
        "weights_": [[0.5, 0.6], [1.0], [0.5, np.nan], [1.0, 0.0], "ab"],
        "means_": [np.zeros((2, 2)), np.zeros((2, 3)), np.full((2, 2), np.inf)],
        "covariances_": [np.ones((2, 2)), np.zeros((2, 2, 2)), None],
        "precisions_": [None, np.zeros((2, 2, 2)), np.ones(3), np.full((2, 2, 2), 9.0)],
        "precisions_cholesky_": [np.zeros((2, 2, 2)), -np.tile(np.eye(2), (2, 1, 1))],
        "lower_bounds_": [[], np.array([np.nan]), None],
        "lower_bound_": [np.nan, "high"],
        "n_iter_": [-1, 2.5],
        "converged_": ["yes"],
        "n_samples_seen_": [0.0, np.inf],
        "feature_names_in_": [["a"]],
        "n_features_in_": [7],
    }
    path, outcomes = tmp_path / "model", set()
    for name, values in tried.items():
        for value in values:
            gmm = GaussianMixtureEM(2).fit(X)
            setattr(gmm, name, value)
            try:
                gmm.save(path)
            except ValueError:
                assert not path.exists()
                outcomes.add("refused")
            else:
                loaded = GaussianMixtureEM.load(path)
                assert_array_equal(loaded.score_samples(X), gmm.score_samples(X))
                path.unlink()
                outcomes.add("saved")
    assert outcomes == {"refused", "saved"}


def test_what_cannot_be_saved_says_why(tmp_path):
    gmm = GaussianMixtureEM(2, covariance_type="VEV").fit(make_blobs(0, 100, 2, 2))
    C = np.array([np.eye(2), np.diag([1.0, 9.0])])
    gmm.covariances_, gmm.precisions_cholesky_ = C, 1 / np.sqrt(C + (C == 0)) * (C > 0)
    with pytest.raises(ValueError, match="cannot be saved.*VEV.*more general") as error:
        gmm.save(tmp_path / "model")
    assert "covariances_" in str(error.value)
    gmm.set_params(covariance_type="full").save(tmp_path / "model")  # the remedy
    X = make_blobs(1, 20, 2, 2)
    loaded = GaussianMixtureEM.load(tmp_path / "model")
    assert_array_equal(loaded.score_samples(X), gmm.score_samples(X))


def test_precisions_that_were_left_behind_are_those_of_the_factors(tmp_path):
    gmm = GaussianMixtureEM.from_parameters([1.0], [[1.0, 2.0]], [[1.0, 2.0]], "diag")
    gmm.covariances_ = 4 * gmm.covariances_
    gmm.precisions_cholesky_ = gmm.precisions_cholesky_ / 2
    loaded = saved_and_loaded(gmm, tmp_path / "model")
    assert_allclose(loaded.precisions_, [[0.25, 0.125]], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("spread", [8, 11, 15])
@pytest.mark.parametrize("name", MODEL_NAMES)
@pytest.mark.filterwarnings("ignore")
def test_features_many_orders_of_magnitude_apart_are_saved(
    name, spread, dtype, tmp_path
):
    X = (make_blobs(2, 200, 3, 2) * np.logspace(-spread, spread, 3)).astype(dtype)
    try:
        gmm = GaussianMixtureEM(2, covariance_type=name, init_params="kmeans").fit(X)
    except ValueError as error:  # models that mix features have no width there
        assert (
            name in ("EEV", "VEV")
            and "ill-defined" in str(error)
            or "small" in str(error)
        )
    else:
        loaded = saved_and_loaded(gmm, tmp_path / "model")
        assert_array_equal(loaded.predict(X), gmm.labels_)


@pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX's")
def test_a_file_that_is_replaced_keeps_its_mode(path, fitted):
    for mode in (0o600, 0o640, 0o755):
        path.chmod(mode)
        fitted.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    before = os.umask(0o027)
    try:
        fitted.save(path.with_name("new"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.with_name("new").stat().st_mode) == 0o640


def test_a_file_that_must_not_be_written_is_not_replaced(path, fitted, monkeypatch):
    """Root may write any file: as if one had asked as somebody else."""
    sound = path.read_bytes()
    monkeypatch.setattr("emgmm._persistence.os.access", lambda path, mode: False)
    with pytest.raises(PermissionError) as error:
        fitted.save(path)
    assert error.value.filename == str(path)
    assert path.read_bytes() == sound and len(list(path.parent.iterdir())) == 1


def test_errors_name_the_path_that_the_user_gave(fitted, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError) as error:
        fitted.save(tmp_path / "nowhere" / "model")
    assert error.value.filename == str(tmp_path / "nowhere" / "model")

    def fail(before, after):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("emgmm._persistence.os.replace", fail)
    with pytest.raises(OSError, match="No space left") as error:
        fitted.save(tmp_path / "model")
    assert error.value.filename == str(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["folder/", "folder/.", ""])
def test_a_folder_is_no_file_to_save_to(fitted, tmp_path, name):
    with pytest.raises(IsADirectoryError):
        fitted.save(f"{tmp_path}/{name}")
    assert not list(tmp_path.iterdir())


# What does not come back -----------------------------------------------------------


def assert_refused(path, match):
    """The message, which names the file and what to do."""
    with pytest.raises(ValueError, match=match) as caught:
        GaussianMixtureEM.load(path)
    message = str(caught.value)
    assert repr(str(path)) in message and "\n" not in message
    return message


def assert_same_unless_refused(path, saved):
    """The model if it is loaded at all, which must be the saved one."""
    try:
        loaded = GaussianMixtureEM.load(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert_same_model(loaded, saved)


def test_no_byte_changed_gives_another_model(path, fitted):
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in range(0, len(sound), 2):
        damaged = bytearray(sound)
        damaged[position] ^= rng.choice([1, 128, 255, rng.integers(1, 256)])
        path.write_bytes(damaged)
        assert_same_unless_refused(path, fitted)


def test_a_file_cut_short_or_shuffled_gives_no_other_model(path, fitted):
    sound = path.read_bytes()
    for position in range(0, len(sound), 97):
        for damaged in [
            sound[:position],
            sound[position:],
            sound[:position] + bytes(8) + sound[position:],
            sound[:position] + sound[position + 1 :],
        ]:
            path.write_bytes(damaged)
            assert_same_unless_refused(path, fitted)


def test_a_missing_file_and_a_folder_raise_the_errors_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        GaussianMixtureEM.load(tmp_path / "none.npz")
    with pytest.raises(OSError):
        GaussianMixtureEM.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", pickle.dumps({"a": 1})])
def test_what_is_no_archive_is_refused(path, content):
    path.write_bytes(content)
    assert "Save the model again" in assert_refused(path, "did not write it")


def test_other_archives_are_refused(path):
    write(path, {"X": np.ones(3)})
    assert_refused(path, "does not say what it is")
    write(path, {"about": np.array('{"format": "other"}'), "X": np.ones(3)})
    assert_refused(path, "its format is not")
    write(path, {"about": np.array("[" * 100_000), "X": np.ones(3)})
    assert_refused(path, "damaged")


def test_pickled_objects_are_never_run(path):
    class Harm:
        def __reduce__(self):
            return (print, ("harm",))

    arrays = members(path)
    for name in ["means_", "about"]:
        write(path, arrays | {name: np.array([Harm()], dtype=object)})
        assert_refused(path, "object")


@pytest.mark.parametrize(
    "shape", ["(1000000, 1000000)", "(-1, 2)", "(1,)", f"({10**40},)", "(2, 2.5)"]
)
def test_a_claim_of_more_numbers_than_there_are_is_refused(path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    raw = b"\x93NUMPY\x01\x00" + np.uint16(len(header)).tobytes() + header.encode()
    kept = members(path)
    del kept["means_"]
    write(path, kept)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("means_.npy", raw + bytes(32))
    assert_refused(path, "damaged")


def test_compressed_members_are_refused(path):
    arrays = members(path)
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)
    assert_refused(path, "compressed")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in [tmp_path / "pipe", "/dev/zero", os.devnull]:
        with pytest.raises(ValueError, match="device or a pipe") as error:
            GaussianMixtureEM.load(path)
        assert repr(str(path)) in str(error.value)


def test_members_that_overlap_are_refused(path):
    """A directory that names the same bytes again and again."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    raw = bytearray(path.read_bytes())
    end = raw.rindex(b"PK\5\6")
    start = int.from_bytes(raw[end + 16 : end + 20], "little")
    first = raw[start : raw.index(b"PK\1\2", start + 4)]
    again = bytes(first).replace(names[0].encode(), b"x" * len(names[0]))
    count = (len(names) + 1).to_bytes(2, "little")
    size = (end - start + len(again)).to_bytes(4, "little")
    tail = raw[end : end + 8] + count * 2 + size + raw[end + 16 :]
    path.write_bytes(raw[:end] + again + tail)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == len(names) + 1
    assert_refused(path, "overlaps")


def test_members_with_two_sizes_are_refused(path):
    raw = bytearray(path.read_bytes())
    start = int.from_bytes(raw[raw.rindex(b"PK\5\6") + 16 :][:4], "little")
    size = int.from_bytes(raw[start + 24 : start + 28], "little")
    raw[start + 20 : start + 24] = (size - 1).to_bytes(4, "little")
    path.write_bytes(raw)
    assert_refused(path, "two sizes")


@pytest.mark.parametrize("name", ["means_", "lower_bounds_", "precisions_cholesky_"])
def test_a_missing_array_is_refused(path, name):
    arrays = members(path)
    del arrays[name]
    write(path, arrays)
    assert_refused(path, name)
    about = json.loads(arrays["about"].item())
    about["arrays"].remove(name)
    write(path, arrays | {"about": np.array(json.dumps(about))})
    assert_refused(path, name)


def test_an_array_too_many_or_twice_is_refused(altered, path):
    assert_refused(altered(extra=np.ones(2)), "extra")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
        with io.BytesIO() as file:
            np.save(file, np.ones(2))
            archive.writestr("extra.npy", file.getvalue())
    assert_refused(path, "extra twice")


@pytest.mark.parametrize(
    "arrays, match",
    [
        ({"weights_": np.array([0.5, 0.6])}, "sum"),
        ({"weights_": np.array([1.5, -0.5])}, "range"),
        ({"weights_": np.array([1.0])}, "shape"),
        ({"means_": np.zeros((2, 3))}, "shape"),
        ({"means_": np.array([[0.0, np.nan], [1.0, 1.0]])}, "nan"),
        ({"means_": np.zeros((2, 2), dtype=np.float32)}, "float32"),
        ({"means_": np.zeros((2, 2), dtype=int)}, "int64"),
        ({"means_": np.array([["1", "2"], ["3", "4"]])}, "<U1"),
        ({"covariances_": np.tile(np.eye(2), (2, 1, 1))}, "is inconsistent"),
        ({"covariances_": np.full((2, 2, 2), np.inf)}, "inf"),
        ({"precisions_": np.tile(np.eye(2), (2, 1, 1))}, "is inconsistent"),
        ({"precisions_cholesky_": -np.tile(np.eye(2), (2, 1, 1))}, "upper tri"),
        ({"precisions_cholesky_": np.ones((2, 2, 2))}, "upper tri"),
        ({"precisions_cholesky_": np.full((2, 2, 2), np.nan)}, "nan"),
        ({"precisions_cholesky_": np.tile(np.eye(2) * 1e-170, (2, 1, 1))}, "infinite"),
        ({"precisions_cholesky_": np.tile(np.eye(2) * 1e170, (2, 1, 1))}, "infinite"),
        ({"precisions_cholesky_": np.ones((2, 2))}, "shape"),
        ({"lower_bounds_": np.zeros(9)}, "n_iter_"),
    ],
)
def test_numbers_that_are_no_mixture_are_refused(altered, arrays, match):
    assert_refused(altered(**arrays), match)


def test_covariances_that_are_not_of_the_model_are_refused(altered):
    """Sound in themselves, but of two shapes where the model has one."""
    gmm = GaussianMixtureEM.from_parameters(
        [0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [np.eye(2), np.diag([1.0, 9.0])]
    )
    names = ["covariances_", "precisions_", "precisions_cholesky_"]
    path = altered(**{name: getattr(gmm, name) for name in names})
    assert_refused(path, "VEV")


@pytest.mark.parametrize(
    "about, match",
    [
        ({"covariance_type": "round"}, "round"),
        ({"covariance_type": 3}, "covariance_type"),
        ({"version": "1"}, "version"),
        ({"arrays": "means_"}, "arrays"),
        ({"attributes": {"converged_": 1}}, "converged_"),
        ({"attributes": {"n_iter_": -1}}, "n_iter_"),
        ({"attributes": {"lower_bound_": 0.0}}, "lower_bound_"),
        ({"attributes": {"lower_bound_": float("nan")}}, "lower_bound_"),
        ({"attributes": {"feature_names_in_": ["a"]}}, "feature_names_in_"),
        ({"attributes": {"feature_names_in_": [1, 2]}}, "feature_names_in_"),
        ({"attributes": {"fit": "print"}}, "fit"),
        ({"attributes": {"n_features_in_": 7}}, "n_features_in_"),
        ({"parameters": {"n_components": 0}}, "n_components"),
        ({"parameters": {"tol": "small"}}, "tol"),
    ],
)
def test_inconsistent_descriptions_are_refused(altered, about, match):
    assert_refused(altered(about), match)


def test_a_newer_file_asks_for_a_newer_version(altered):
    message = assert_refused(altered({"version": 2, "emgmm": "9.9"}), "a newer format")
    assert "load it with emgmm 9.9" in message
    newer = {"emgmm": "8.8", "version": 1, "parameters": {"skewness": True}}
    assert "emgmm 8.8" in assert_refused(altered(newer), "'skewness'")


def test_a_file_without_a_parameter_that_is_newer_than_it_has_the_default(path):
    arrays = members(path)
    about = json.loads(arrays["about"].item())
    del about["parameters"]["acceleration"]
    write(path, arrays | {"about": np.array(json.dumps(about))})
    assert GaussianMixtureEM.load(path).acceleration == "anderson"
