"""Rows of other libraries than NumPy, through the array API: fits equal NumPy's."""

from __future__ import annotations

import pickle
import re
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
import sklearn
from conftest import MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.mixture import GaussianMixture
from sklearn.utils import _array_api, estimator_checks, get_tags

from emgmm import (
    ConvergenceDisplay,
    CriterionDisplay,
    GaussianMixtureClassifier,
    GaussianMixtureEM,
    GaussianMixtureIC,
    GaussianMixtureOutlierDetector,
    MixtureDisplay,
    bootstrap,
    merge_components,
)
from emgmm._data.device import DeviceBlocks, DeviceWorkspace
from emgmm._data.sources import check_blocks
from emgmm._estep.device import DeviceQuadratic, DeviceWhitened
from emgmm._estep.estep import expectation
from emgmm._model.parameters import Parameters
from emgmm._utils.device import Device, device_of, to_host

if not hasattr(_array_api, "move_to"):
    pytest.skip(
        "scikit-learn moves arrays between libraries from 1.8 on",
        allow_module_level=True,
    )

PARAMETERS = ["weights_", "means_", "covariances_", "precisions_"]


@dataclass(frozen=True)
class Arrays:
    """Arrays of a library on a device."""

    xp: Any
    device: Any = None

    def __call__(self, values: Any, dtype: str | None = None) -> Any:
        own = np.array(values, dtype=dtype)
        return self.xp.asarray(own, device=self.device)

    def own(self, array: Any) -> bool:
        """Whether an array is of the library, on the device."""
        found = device_of(array)
        if self.xp is np:
            return found is None and isinstance(array, np.ndarray)
        place = found is not None and found.device == self(np.ones(1)).device
        return place and self.xp.__name__ in found.xp.__name__


@contextmanager
def dispatching() -> Iterator[None]:
    """A context in which scikit-learn dispatches on libraries, and the kernels of the
    array API serve rows in host memory too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIPY_ARRAY_API", "1")
        patch.setattr(Device, "is_host", False)
        with sklearn.config_context(array_api_dispatch=True):
            yield


def _strict(device: str) -> Callable[[], Arrays]:
    def arrays() -> Arrays:
        xp = pytest.importorskip("array_api_strict")
        return Arrays(xp, xp.Device(device))

    return arrays


def _torch(device: str) -> Callable[[], Arrays]:
    def arrays() -> Arrays:
        xp = pytest.importorskip("torch", reason="the extra `torch` is not installed")
        if device == "cuda" and not xp.cuda.is_available():
            pytest.skip("there is no CUDA device")
        return Arrays(xp, device)

    return arrays


LIBRARIES = {
    "numpy": lambda: Arrays(np, "cpu"),
    "array_api_strict": _strict("device1"),
    "torch": _torch("cpu"),
    "torch-cuda": _torch("cuda"),
}


@pytest.fixture(params=LIBRARIES)
def xp(request: pytest.FixtureRequest) -> Iterator[Arrays]:
    arrays = LIBRARIES[request.param]()
    with dispatching():
        yield arrays


@pytest.fixture
def strict() -> Iterator[Arrays]:
    arrays = LIBRARIES["array_api_strict"]()
    with dispatching():
        yield arrays


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return make_blobs(seed=2, n_samples=600, n_features=3, n_components=3)


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 2.0, 600)


def assert_same(ours: Any, theirs: Any, rtol: float = 1e-10) -> None:
    """The fitted parameters are equal, relative to the greatest of each kind."""
    assert ours.n_iter_ == theirs.n_iter_
    for name in PARAMETERS:
        expected = getattr(theirs, name)
        atol = rtol * np.abs(expected).max()
        assert_allclose(
            to_host(getattr(ours, name)), expected, rtol=0, atol=atol, err_msg=name
        )


# Fits


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_default_fits_of_every_model_equal_those_of_numpy(
    model, weighted, xp, rows, weights
):
    own = weights if weighted else None
    expected = GaussianMixtureEM(3, covariance_type=model).fit(rows, sample_weight=own)
    X, W = xp(rows), None if own is None else xp(own)
    found = GaussianMixtureEM(3, covariance_type=model).fit(X, sample_weight=W)
    assert_same(found, expected)
    assert_allclose(found.lower_bound_, expected.lower_bound_, rtol=1e-12)
    assert_array_equal(to_host(found.labels_), expected.labels_)
    for name in [*PARAMETERS, "precisions_cholesky_", "labels_", "lower_bounds_"]:
        assert xp.own(getattr(found, name)), name


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_far_from_the_origin_fits_are_as_exact(model, xp, rows):
    far = rows + 1e8
    expected = GaussianMixtureEM(3, covariance_type=model).fit(far)
    assert_same(GaussianMixtureEM(3, covariance_type=model).fit(xp(far)), expected)


@pytest.mark.parametrize("kernel", [DeviceQuadratic, DeviceWhitened])
@pytest.mark.parametrize("model", ["VVV", "EEE", "VVI", "VII"])
def test_either_kernel_in_many_blocks(
    model, kernel, strict, rows, weights, monkeypatch
):
    """Whatever the data, with blocks of about a hundred rows."""
    expected = GaussianMixtureEM(3, covariance_type=model).fit(rows, None, weights)
    for each in (DeviceQuadratic, DeviceWhitened):
        monkeypatch.setattr(each, "is_accurate", each is kernel)
    monkeypatch.setattr(Device, "n_numbers", 3000)
    monkeypatch.setattr("emgmm._utils.device.PIECE", 50)
    X = strict(rows)
    found = GaussianMixtureEM(3, covariance_type=model).fit(X, None, strict(weights))
    assert_same(found, expected)
    assert_allclose(
        to_host(found.predict_proba(X)), expected.predict_proba(rows), atol=1e-9
    )


def test_components_far_apart_need_the_accurate_kernel(xp, rows):
    apart = np.concatenate([rows[:300], rows[300:] + 1e7])
    expected = GaussianMixtureEM(2).fit(apart)
    found = GaussianMixtureEM(2).fit(xp(apart))
    assert_same(found, expected)
    assert_allclose(found.score(xp(apart)), expected.score(apart), rtol=1e-12)


def test_more_features_than_products_are_formed_of(xp):
    wide = make_blobs(seed=0, n_samples=2000, n_features=70, n_components=2)
    expected = GaussianMixtureEM(2, random_state=0).fit(wide)
    assert_same(GaussianMixtureEM(2, random_state=0).fit(xp(wide)), expected, 1e-9)


STARTS: dict[str, dict[str, Any]] = {
    "kmeans": {"init_params": "kmeans", "n_init": 3, "random_state": 0},
    "k-means++": {"init_params": "k-means++", "random_state": 0},
    "random": {"init_params": "random", "random_state": 0, "n_init": 2},
    "rows": {"init_params": "random_from_data", "random_state": 0, "n_init": 2},
    "labels": {"init_params": np.arange(600) % 3},
    "function": {"init_params": lambda X, n_components, w, rng: np.arange(600) % 3},
    "plain EM": {"reg_covar": 1e-6, "acceleration": None},
    "noise": {"noise": "uniform"},
    "noise, tied": {"noise": "uniform", "covariance_type": "tied"},
    "prior": {"prior": "conjugate"},
}


@pytest.mark.parametrize("start", STARTS)
def test_every_start_and_option(start, xp, rows):
    options = STARTS[start]
    expected = GaussianMixtureEM(3, **options).fit(rows)
    passed = {
        name: xp(value) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    found = GaussianMixtureEM(3, **passed).fit(xp(rows))
    assert_same(found, expected)
    assert_allclose(
        to_host(found.noise_proba(xp(rows))), expected.noise_proba(rows), atol=1e-10
    )


def test_starting_parameters_of_the_library(xp, rows):
    values = {
        "weights_init": np.array([0.2, 0.3, 0.5]),
        "means_init": rows[:3],
        "precisions_init": np.stack([np.eye(3)] * 3),
    }
    expected = GaussianMixtureEM(3, **values).fit(rows)
    own = {name: xp(value) for name, value in values.items()}
    assert_same(GaussianMixtureEM(3, **own).fit(xp(rows)), expected)


@pytest.mark.parametrize("noise", [None, "uniform"])
def test_what_is_known_of_rows(noise, xp, rows):
    labels = np.full(len(rows), -1)
    labels[:30] = np.arange(30) % 3
    expected = GaussianMixtureEM(3, noise=noise).fit(rows, known_labels=labels)
    found = GaussianMixtureEM(3, noise=noise).fit(xp(rows), known_labels=xp(labels))
    assert_same(found, expected)
    assert_array_equal(to_host(found.labels_), expected.labels_)


def test_a_search_equals_that_of_numpy(xp, rows, weights):
    sizes, few = [1, 2, 3], rows[:300]
    expected = GaussianMixtureIC(sizes).fit(few, sample_weight=weights[:300])
    X, W = xp(few), xp(weights[:300])
    found = GaussianMixtureIC(sizes).fit(X, sample_weight=W)
    assert found.best_params_ == expected.best_params_
    assert_allclose(to_host(found.criterion_), expected.criterion_, rtol=1e-9)
    assert_array_equal(found.results_["n_iter"], expected.results_["n_iter"])
    for name in ["criterion_", "labels_", "means_"]:
        assert xp.own(getattr(found, name)), name
    assert xp.own(found.predict(X))


def test_a_search_over_sampled_rows_has_its_last_passes_on_the_device(strict):
    many = make_blobs(seed=5, n_samples=30_000, n_features=2, n_components=3)
    options = {"n_components": [2, 3], "covariance_type": ["VVV", "EEE", "VVI"]}
    expected = GaussianMixtureIC(**options).fit(many)
    found = GaussianMixtureIC(**options).fit(strict(many))
    assert found.best_params_ == expected.best_params_
    assert_allclose(to_host(found.criterion_), expected.criterion_, rtol=1e-9)


def test_warm_start_goes_on_where_the_last_fit_ended(xp, rows):
    whole = GaussianMixtureEM(3, max_iter=6, tol=0.0, warm_start=True)
    parts = clone(whole).set_params(max_iter=3)
    with pytest.warns(sklearn.exceptions.ConvergenceWarning):
        whole.fit(rows)
        parts.fit(xp(rows)).fit(xp(rows))
    assert_allclose(to_host(parts.means_), whole.means_, rtol=1e-10)


def test_batches(xp, rows):
    expected, found = GaussianMixtureEM(2), GaussianMixtureEM(2)
    for start in range(0, 600, 200):
        expected.partial_fit(rows[start : start + 200])
        found.partial_fit(xp(rows[start : start + 200]))
    assert xp.own(found.means_)
    assert_allclose(to_host(found.means_), expected.means_, rtol=1e-12)


# Precision


@pytest.mark.parametrize("library", ["array_api_strict", "torch", "no float64"])
@pytest.mark.parametrize("model", ["VVV", "EEE", "VVI", "VII"])
def test_float32_rows_have_the_likelihood_of_float64(library, model):
    """Within 1e-5 of it, as in NumPy, whether or not the device has float64."""
    make = LIBRARIES.get(library, _strict("no_float64"))()
    X = make_blobs(seed=4, n_samples=20_000, n_features=4, n_components=3) + 10.0
    single = X.astype(np.float32)
    expected = GaussianMixtureEM(3, covariance_type=model).fit(single.astype(float))
    with dispatching():
        rows = make(single)
        found = GaussianMixtureEM(3, covariance_type=model).fit(rows)
        assert found.means_.dtype == found.predict_proba(rows).dtype == rows.dtype
        assert_allclose(found.score(rows), expected.score(single), rtol=1e-5)
        assert_allclose(to_host(found.means_), expected.means_, rtol=0, atol=2e-3)
        same = to_host(found.predict(rows)) == expected.predict(single)
    assert same.mean() > 0.999


def test_no_array_is_of_the_size_of_all_rows_and_components(strict, monkeypatch):
    sizes: list[int] = []
    make = DeviceWorkspace.array

    def array(self: DeviceWorkspace, name: str, shape: Any, dtype: Any) -> Any:
        sizes.append(int(np.prod(shape)))
        return make(self, name, shape, dtype)

    monkeypatch.setattr(DeviceWorkspace, "array", array)
    monkeypatch.setattr(Device, "n_numbers", 20_000)
    X = make_blobs(seed=0, n_samples=20_000, n_features=3, n_components=3)
    start = {"init_params": "random_from_data", "random_state": 0, "tol": 0.1}
    GaussianMixtureEM(8, **start).fit(strict(X))
    assert sizes and max(sizes) <= 20_000 < X.size


@pytest.mark.parametrize("model", ["VVV", "EEE", "VVI"])
@pytest.mark.parametrize("n_features", [3, 50])
def test_a_pass_takes_little_memory_beside_its_block(model, n_features, strict):
    """For a stack of fifty mixtures, whatever the kernel."""
    X = make_blobs(0, n_samples=4000, n_features=n_features, n_components=2)
    gmm = GaussianMixtureEM(2, covariance_type=model, max_iter=0)
    stack = Parameters.joined([gmm.fit(X)._mixture()] * 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Device, "n_numbers", 100_000)
        rows = check_blocks(GaussianMixtureEM(2), strict(X), None, reset=True)
        assert rows.summary.weight == 4000 and rows.summary.center.size
        tracemalloc.start()
        expectation(rows, [stack])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    sums = 50 * 2 * (1 + n_features) ** 2
    assert peak < 8 * (6 * 100_000 + 8 * sums)


def test_rows_that_are_far_away(xp, rows):
    expected, found = GaussianMixtureEM(3).fit(rows), GaussianMixtureEM(3).fit(xp(rows))
    for factor in (1e3, 1e100, 1e200):
        far = factor * rows[:50]
        X = xp(far)
        assert_array_equal(to_host(found.predict(X)), expected.predict(far))
        assert_allclose(
            to_host(found.predict_proba(X)), expected.predict_proba(far), atol=1e-9
        )
        assert_allclose(
            to_host(found.score_samples(X)), expected.score_samples(far), rtol=1e-9
        )


def test_rows_of_extreme_units(xp, rows):
    expected = GaussianMixtureEM(3).fit(rows * 1e100)
    assert_same(GaussianMixtureEM(3).fit(xp(rows * 1e100)), expected)


def test_weights_of_zero_leave_rows_out(xp, rows):
    some = rows.copy()
    some[400:] = 1e6
    W = np.where(np.arange(600) < 400, 1.0, 0.0)
    expected = GaussianMixtureEM(2, noise="uniform").fit(some, sample_weight=W)
    found = GaussianMixtureEM(2, noise="uniform")
    assert_same(found.fit(xp(some), sample_weight=xp(W)), expected)


EXTREME = {
    "a small cluster far away": lambda X: np.where(
        np.arange(len(X))[:, None] < 300, X * 1e-3, X + 1e3
    ),
    "large numbers": lambda X: X * 1e18,
    "small numbers": lambda X: X * 1e-18,
}


@pytest.mark.parametrize("name", EXTREME)
def test_devices_without_float64(name, rows):
    """Rows for which float32 does not suffice are read on the host."""
    X = EXTREME[name](rows).astype(np.float32)
    expected = GaussianMixtureEM(2).fit(X.astype(np.float64))
    arrays = _strict("no_float64")()
    with dispatching():
        found = GaussianMixtureEM(2).fit(arrays(X))
        assert_allclose(found.score(arrays(X)), expected.score(X), rtol=1e-5)
        assert found.means_.device == arrays.device


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_weights_beyond_float32(scale, rows, weights):
    X, own = rows.astype(np.float32), weights * scale
    expected = GaussianMixtureEM(2).fit(X.astype(np.float64), sample_weight=own)
    arrays = _strict("no_float64")()
    with dispatching():
        found = GaussianMixtureEM(2).fit(arrays(X), sample_weight=own)
    assert_allclose(found.lower_bound_, expected.lower_bound_, rtol=1e-5)


def test_tensors_with_gradients_and_complex_numbers(rows):
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    X = torch.asarray(np.array(rows)).requires_grad_()
    for on_host in (True, False):
        with dispatching():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Device, "is_host", on_host)
                gmm = GaussianMixtureEM(2).fit(X)
                assert not gmm.means_.requires_grad
                with pytest.raises(ValueError, match="Complex data not supported"):
                    gmm.fit(X.detach() * 1j)


def test_mixtures_made_of_parameters_of_the_library(strict):
    gmm = GaussianMixtureEM.from_parameters(
        strict(np.ones(1)), strict(np.zeros((1, 2))), strict(np.eye(2)[None])
    )
    assert strict.own(gmm.means_)
    assert_allclose(to_host(gmm.score_samples(strict(np.zeros((1, 2))))), -1.837877066)


# Methods


def test_methods_return_arrays_of_the_library(xp, rows):
    expected, X = GaussianMixtureEM(3, random_state=0).fit(rows), xp(rows)
    found = GaussianMixtureEM(3, random_state=0).fit(X)
    for method in ["predict", "predict_proba", "score_samples"]:
        value = getattr(found, method)(X)
        assert xp.own(value), method
        assert_allclose(to_host(value), getattr(expected, method)(rows), atol=1e-9)
    for method in ["score", "bic", "aic", "icl"]:
        value = getattr(found, method)(X)
        assert isinstance(value, float)
        assert_allclose(value, getattr(expected, method)(rows), rtol=1e-12)
    for ours, theirs in zip(found.sample(20), expected.sample(20), strict=True):
        assert xp.own(ours)
        assert_allclose(to_host(ours), theirs, atol=1e-9)
    assert xp.own(found.fit_predict(X))
    mean = found.conditional_mean(X[:, 1:], given=[1, 2])
    assert xp.own(mean)
    assert_allclose(
        to_host(mean), expected.conditional_mean(rows[:, 1:], given=[1, 2]), atol=1e-9
    )


def test_missing_values_are_read_on_the_host(xp, rows):
    some = rows.copy()
    some[::7, 1] = np.nan
    expected, X = GaussianMixtureEM(3).fit(some), xp(some)
    found = GaussianMixtureEM(3).fit(X)
    assert_same(found, expected, 1e-14)
    assert_array_equal(to_host(found.labels_), expected.labels_)
    assert xp.own(found.labels_) and xp.own(found.predict(X))
    imputed = found.impute(X)
    assert xp.own(imputed)
    assert_array_equal(to_host(imputed), expected.impute(some))


def test_what_comes_after_a_fit(xp, rows, tmp_path):
    few = rows[:200]
    expected, X = GaussianMixtureEM(2).fit(few), xp(few)
    found = GaussianMixtureEM(2).fit(X)
    assert str(found.summary()) == str(expected.summary())
    assert str(found.summary(X)) == str(expected.summary(few))
    assert_allclose(found.mixture_.means, expected.means_, rtol=1e-10)
    merged = merge_components(found, X)
    assert_array_equal(
        to_host(merged.predict(X)), merge_components(expected, few).predict(few)
    )
    result = bootstrap(found, X, n_resamples=3, random_state=0)
    assert np.isfinite(result.standard_error.means).all()
    ConvergenceDisplay.from_estimator(found)
    MixtureDisplay.from_estimator(found, X, features=[0, 1])
    found.save(tmp_path / "model.npz")
    assert_array_equal(
        GaussianMixtureEM.load(tmp_path / "model.npz").means_, to_host(found.means_)
    )
    again = pickle.loads(pickle.dumps(found))
    assert_array_equal(to_host(again.predict(X)), to_host(found.predict(X)))


def test_displays_of_a_search(xp, rows):
    search = GaussianMixtureIC([1, 2], covariance_type="EII").fit(xp(rows[:100]))
    assert np.isfinite(CriterionDisplay.from_estimator(search).values).all()
    assert "EII" in str(search.summary())


def test_classifier_and_detector_read_rows_on_the_host(xp, rows):
    y = np.arange(600) % 2
    shifted = rows + 3 * y[:, None]
    expected = GaussianMixtureClassifier().fit(shifted, y)
    found = GaussianMixtureClassifier().fit(xp(shifted), xp(y))
    assert_array_equal(to_host(found.predict(xp(shifted))), expected.predict(shifted))
    detector = GaussianMixtureOutlierDetector(GaussianMixtureEM(3))
    assert_array_equal(
        to_host(clone(detector).fit(xp(rows)).predict(xp(rows))),
        clone(detector).fit(rows).predict(rows),
    )


def test_an_estimator_can_be_moved(strict, rows):
    move = getattr(_array_api, "move_estimator_to", None)
    if move is None:
        pytest.skip("scikit-learn has no move_estimator_to")
    gmm = GaussianMixtureEM(3).fit(strict(rows))
    moved = move(gmm, np, "cpu")
    assert_array_equal(moved.predict(rows), to_host(gmm.predict(strict(rows))))
    back = move(moved, strict.xp, strict.device)
    assert strict.own(back.means_) and strict.own(back.predict(strict(rows)))


# What scikit-learn asks for


@pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")
@pytest.mark.parametrize("model", ["full", "tied", "diag", "spherical", "VEI"])
@pytest.mark.parametrize("kernels", ["array API", "of the host"])
def test_scikit_learns_checks(model, kernels, monkeypatch):
    """Those of the array API, of which none is skipped for a library that is there."""
    pytest.importorskip("array_api_strict")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    if kernels == "array API":
        monkeypatch.setattr(Device, "is_host", False)
    gmm = GaussianMixtureEM(covariance_type=model)
    assert get_tags(gmm).array_api_support
    checks = estimator_checks._yield_array_api_checks(gmm)
    passed = [_passes(check, gmm) for check in checks]
    assert any(passed)


def _passes(check: Callable[..., None], gmm: GaussianMixtureEM) -> bool:
    """Whether a check passes; not if it is skipped, as that of a library that is not
    there."""
    try:
        check(type(gmm).__name__, gmm)
    except SkipTest:
        return False
    return True


def test_other_arrays_than_those_of_the_fit_are_refused(strict, rows):
    on_device = GaussianMixtureEM(2).fit(strict(rows))
    on_host = GaussianMixtureEM(2).fit(rows)
    for method in ["predict", "predict_proba", "score_samples", "impute", "score"]:
        for gmm, X in [(on_device, rows), (on_host, strict(rows))]:
            pattern = rf"GaussianMixtureEM\.{method}\(\) must use the same namespace"
            with pytest.raises(ValueError, match=pattern):
                getattr(gmm, method)(X)


def test_starts_that_scikit_learn_refuses(strict, rows):
    """scikit-learn's `init_params="kmeans"` is an error for such arrays."""
    X = strict(rows)
    with pytest.raises(NotImplementedError):
        GaussianMixture(3, init_params="kmeans").fit(X)
    GaussianMixtureEM(3, init_params="kmeans").fit(X)


def test_a_fit_that_fails_leaves_the_estimator_as_it_was(strict, rows):
    gmm = GaussianMixtureEM(2).fit(strict(rows))
    before = vars(gmm).copy()
    with pytest.raises(ValueError, match="n_samples >= n_components"):
        gmm.set_params(n_components=601).fit(strict(rows))
    assert vars(gmm) == before | {"n_components": 601}
    for X, message in [
        (strict(rows[:, 0]), "2D array"),
        (strict(np.full((5, 2), np.nan)), "no value of feature"),
        (strict(np.full((5, 2), np.inf)), "infinity"),
    ]:
        with pytest.raises(ValueError, match=message):
            GaussianMixtureEM(2).fit(X)
    with pytest.raises(ValueError, match="sample_weight"):
        GaussianMixtureEM(2).fit(strict(rows), sample_weight=strict(-np.ones(600)))


# Rows in host memory


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
def test_rows_in_host_memory_are_read_where_they_are(library, rows, monkeypatch):
    arrays = Arrays(pytest.importorskip(library))
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with sklearn.config_context(array_api_dispatch=True):
        X = arrays(rows)
        expected, found = GaussianMixtureEM(3).fit(rows), GaussianMixtureEM(3).fit(X)
        for name in PARAMETERS:
            assert_array_equal(to_host(getattr(found, name)), getattr(expected, name))
        read = check_blocks(found, X, None, reset=False)
        assert np.shares_memory(read.X, to_host(X))
        assert not isinstance(read, DeviceBlocks)
        assert device_of(found.predict(X)).xp is device_of(X).xp


def test_the_snippets_of_the_guide_run_where_there_is_no_device(monkeypatch):
    """With tensors of the host, and fewer rows."""
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    page = Path(__file__).parents[1] / ".github" / "site" / "guide" / "gpu.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.S | re.M)
    own = [block for block in blocks if "cupy" not in block]
    assert len(own) == 2
    code = "\n".join(own).replace('"cuda"', '"cpu"').replace("1_000_000", "1_000")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with sklearn.config_context(array_api_dispatch=False):
        names: dict[str, Any] = {}
        exec(code, names)
    assert names["labels"].shape == (1000,)
    assert isinstance(names["on_host"].means_, np.ndarray)


def test_without_the_switch_arrays_are_numpys(rows):
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    gmm = GaussianMixtureEM(2).fit(torch.asarray(np.array(rows)))
    assert isinstance(gmm.means_, np.ndarray)
    assert isinstance(gmm.predict(rows), np.ndarray)
