"""scikit-learn's own public tests of its Gaussian mixture, run on ours.

Its test modules are imported with our class under the name of theirs, and their
tests are collected here, but for those listed with the reason why they cannot apply.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import FunctionType

import numpy as np
import pytest
import sklearn.mixture.tests.test_gaussian_mixture as gaussian_tests
import sklearn.mixture.tests.test_mixture as mixture_tests

from emgmm import GaussianMixtureEM
from emgmm._utils.device import Device

# Some of these tests fit degenerate mixtures, which ours warns of.
pytestmark = pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")

PRIVATE = "tests private functions of scikit-learn, and never uses the class"

EXCLUDED = {
    "test_suffstat_sk_full": PRIVATE,
    "test_suffstat_sk_tied": PRIVATE,
    "test_suffstat_sk_diag": PRIVATE,
    "test_gaussian_suffstat_sk_spherical": PRIVATE,
    "test_compute_log_det_cholesky": PRIVATE,
    "test_gaussian_mixture_log_probabilities": PRIVATE,
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts "
    "the calls of a private function of scikit-learn",
    "test_check_weights": "expects an error that gives the smallest weight as the "
    "largest and the largest as the smallest",
    "test_gaussian_mixture_setting_best_params": "fits singletons with reg_covar=0, "
    "where a variance is exactly zero; scikit-learn goes on because the rounding of "
    "its sums makes it positive, ours raises the error that it raises elsewhere",
    "test_init": "compares the likelihoods of one start and of ten to the last bit; "
    "starts that run together round differently (see test_more_starts_are_never_worse)",
    "test_gaussian_mixture_raises_where_array_api_not_implemented": "expects an error "
    "of starts for arrays of other libraries; here these work (see test_device.py)",
}

if "scale the input data" not in inspect.getsource(gaussian_tests.test_regularisation):
    EXCLUDED["test_regularisation"] = "expects the error in an older wording"

# Compares, to 7 decimals, our mean of float64 log-densities with the mean of their
# float32 roundings; scikit-learn rounds before it takes the mean.
ONLY_IN_FLOAT64 = ["test_score"]


@pytest.fixture(scope="module", autouse=True)
def each_kernel(forced_kernel):
    """The whole suite with either kernel, those of other libraries' arrays included."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIPY_ARRAY_API", "1")
        patch.setattr(Device, "is_host", False)
        yield


class GaussianMixture(GaussianMixtureEM):
    """Ours, under the name that scikit-learn's messages are matched with.

    Some tests count on one component where they name no number, and on a start that is
    not yet refined: scikit-learn's defaults are those here.
    """

    __init__ = FunctionType(
        (init := GaussianMixtureEM.__init__).__code__,
        init.__globals__,
        argdefs=(1,),
    )
    __init__.__kwdefaults__ = {
        **init.__kwdefaults__,
        "init_params": "kmeans",
    }
    del init


def _adopt(module: object) -> dict[str, object]:
    """The tests of a module that apply, for pytest to collect."""
    module.GaussianMixture = GaussianMixture
    return {
        name: _with_lists(test)
        for name, test in vars(module).items()
        if name.startswith("test_") and name not in EXCLUDED
    }


def _with_lists(test: object) -> object:
    """A test with the values of its arguments in lists, as newer versions of pytest ask
    for."""
    marks = getattr(test, "pytestmark", [])
    for i, mark in enumerate(marks):
        if mark.name == "parametrize" and isinstance(mark.args[1], Iterator):
            names, values = mark.args
            marks[i] = pytest.mark.parametrize(names, list(values), **mark.kwargs).mark
    return test


def _only_with(argument: str, value: object, test: object) -> object:
    """A test with a single value for one of its arguments, if it has that one."""
    if argument in inspect.signature(test).parameters:
        test.pytestmark = [pytest.mark.parametrize(argument, [value]).mark]
    return test


adopted = _adopt(gaussian_tests)
for name in ONLY_IN_FLOAT64:
    adopted[name] = _only_with("global_dtype", np.float64, adopted[name])
for name, test in _adopt(mixture_tests).items():
    adopted[name] = _only_with("estimator", GaussianMixture(), test)
globals().update(adopted)
del name, test


def test_every_exclusion_names_a_test_and_a_reason():
    names = set(vars(gaussian_tests)) | set(vars(mixture_tests))
    # Older versions of scikit-learn lack the tests of the array API.
    assert all("array_api" in name for name in EXCLUDED if name not in names)
    assert all(re.search(r"\w+ \w+ \w+", reason) for reason in EXCLUDED.values())
