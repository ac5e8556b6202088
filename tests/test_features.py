"""Features are chosen by index or name, in the same way wherever they are chosen."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose
from sklearn.base import clone

from emgmm import GaussianMixtureEM, GaussianMixtureIC, MixtureDisplay

NAMES = ["a", "b", "c", "d"]
ESTIMATORS = {
    "EM": GaussianMixtureEM(1),
    "IC": GaussianMixtureIC([1], covariance_type="full"),
}


def fit(X):
    """Estimators of one component."""
    return {name: clone(estimator).fit(X) for name, estimator in ESTIMATORS.items()}


@pytest.fixture(scope="module")
def rows():
    return make_blobs(0, 40, 4, 1)


@pytest.fixture(scope="module")
def fitted(rows):
    """Fitted to features that have names."""
    return fit(pytest.importorskip("pandas").DataFrame(rows, columns=NAMES))


@pytest.fixture(scope="module", autouse=True)
def without_windows():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def values_at(features):
    """One value for each feature, so different that their order matters."""
    one = isinstance(features, str) or np.ndim(features) == 0
    return np.arange(1.0, 2 if one else 1 + len(features)) ** 2


def from_marginal(fitted, features):
    return fitted["EM"].mixture_.marginal(features).mean


def from_conditional(fitted, features):
    return fitted["EM"].mixture_.conditional(features, values_at(features)).mean


def from_conditional_mean(name):
    def mean(fitted, features):
        return fitted[name].conditional_mean([values_at(features)], features)[0]

    return mean


def from_display(fitted, features):
    display = MixtureDisplay.from_estimator(fitted["EM"], features=features)
    plt.close(display.figure_)
    return display.means[0]


def own_mean(mixture, indices):
    """The mean of the chosen features."""
    return mixture.means[0, indices]


def mean_of_others(mixture, indices):
    """The mean of the other features at values of the chosen ones, computed densely."""
    mean, covariance = mixture.means[0], mixture.covariances[0]
    others = [index for index in range(4) if index not in indices]
    slopes = np.linalg.solve(
        covariance[np.ix_(indices, indices)], covariance[np.ix_(indices, others)]
    )
    return mean[others] + (values_at(indices) - mean[indices]) @ slopes


USERS = {
    "marginal": ("features", from_marginal, own_mean),
    "display": ("features", from_display, own_mean),
    "conditional": ("features", from_conditional, mean_of_others),
    "conditional_mean": ("given", from_conditional_mean("EM"), mean_of_others),
    "conditional_mean of a search": (
        "given",
        from_conditional_mean("IC"),
        mean_of_others,
    ),
}
everywhere = pytest.mark.parametrize(
    "argument, use, expected", USERS.values(), ids=USERS
)


@everywhere
@pytest.mark.parametrize(
    "features, indices",
    [
        (2, [2]),
        (-1, [3]),
        (np.int8(-4), [0]),
        ("c", [2]),
        ([-1, 0, 1], [3, 0, 1]),
        (["d", -3], [3, 1]),
        (("b", "a"), [1, 0]),
        (np.array([3, -2]), [3, 2]),
        (np.array(["d", "a"]), [3, 0]),
        (range(1, 3), [1, 2]),
    ],
)
def test_features_are_chosen_by_index_or_name(
    fitted, argument, use, expected, features, indices
):
    mixture = fitted["EM"].mixture_
    assert_allclose(use(fitted, features), expected(mixture, indices), rtol=1e-12)


@everywhere
@pytest.mark.parametrize(
    "features, message",
    [
        (4, "contains 4, which is not a feature: use an index from -4 to 3"),
        ([0, -5], "contains -5, which"),
        (1.0, r"contains 1\.0, which"),
        (True, "contains True, which"),
        ([True, 0], "contains True, which"),
        (np.array([True, False, True, False]), "contains .*True.*, which"),
        (np.array(True), "contains .*True.*, which"),
        ("z", "contains 'z', which"),
        ([[0]], r"contains \[0\], which"),
        ([None], "contains None, which"),
        ([], "is empty: choose at least one feature"),
        ([0, -4], r"=\[0, -4\] chooses a feature more than once: list each"),
    ],
    ids=repr,
)
def test_what_is_not_a_feature_is_refused(
    fitted, argument, use, expected, features, message
):
    with pytest.raises(ValueError, match=f"^{argument}{message}|^{argument} {message}"):
        use(fitted, features)


@everywhere
def test_messages_list_the_names_if_there_are_any(
    fitted, rows, argument, use, expected
):
    with pytest.raises(ValueError, match=r"to 3, or a name \('a', 'b', 'c', 'd'\)\.$"):
        use(fitted, "z")
    with pytest.raises(ValueError, match=r"'a', .*from -4 to 3\.$"):
        use(fit(rows), "a")


def test_a_name_and_an_index_may_not_choose_the_same_feature(fitted):
    with pytest.raises(ValueError, match="'a', 0.*more than once"):
        fitted["EM"].mixture_.marginal(["a", 0])


def test_any_iterable_of_features_will_do(fitted):
    mixture = fitted["EM"].mixture_
    for features in [{"c": 0, "a": 1}, iter([2, "a"]), (name for name in "ca")]:
        assert mixture.marginal(features).feature_names == ("c", "a")
