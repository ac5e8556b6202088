"""Merged components: R's clustCombi, and what any hierarchy of clusters must do."""

from __future__ import annotations

import json
import pickle
from functools import cache
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.cluster.hierarchy import fcluster, is_monotonic, is_valid_linkage
from scipy.special import xlogy
from scipy.stats import norm
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from emgmm import (
    GaussianMixtureEM,
    GaussianMixtureIC,
    MergedComponents,
    MergingDisplay,
    merge_components,
)
from emgmm._after.two_lines import best_two_lines
from emgmm._estep.overlap import (
    entropy_gains,
    weights_and_errors,
    weights_and_gains,
)

# Old versions of matplotlib use deprecated functions of their dependencies.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")
DATA = Path(__file__).parent / "data"
NAMES = ["crosses", "ring", "skewed", "iris", "faithful"]
METHODS = ["entropy", "demp"]


@cache
def load(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


@cache
def reference(name):
    """R's record of a data set, its rows, and the mixture that R fitted."""
    found = load("merging")[name]
    rows = {
        "iris": lambda: load_iris().data,
        "faithful": lambda: np.array(load("me_faithful")["data"]),
    }.get(name, lambda: np.array(found["data"]))()
    parameters = (found[key] for key in ("weights", "means", "covariances"))
    return found, rows, GaussianMixtureEM.from_parameters(*parameters)


def permuted(gmm, order):
    return GaussianMixtureEM.from_parameters(
        gmm.weights_[order], gmm.means_[order], gmm.covariances_[order]
    )


def values_of(merging):
    return merging.probabilities_ if merging.entropies_ is None else merging.entropies_


def assert_same(one, other, rtol=1e-12):
    """Two hierarchies are equal, but for rounding."""
    assert_allclose(values_of(one), values_of(other), rtol=rtol, atol=1e-13)
    assert_allclose(one.merged_weights_, other.merged_weights_, rtol=1e-12)
    assert_array_equal(one.linkage_[:, [0, 1, 3]], other.linkage_[:, [0, 1, 3]])
    assert one.n_clusters_ == other.n_clusters_


# R's clustCombi ------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_entropies_and_merges_are_those_of_r(name):
    found, X, gmm = reference(name)
    merging = merge_components(gmm, X)
    assert_allclose(merging.entropies_, found["entropies"], rtol=0, atol=1e-8)
    assert [[step.first, step.second] for step in merging._steps] == found["merges"]
    assert_array_equal(merging.merged_weights_, found["counts_of_merged"])


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_every_number_of_clusters_are_those_of_r(name):
    found, X, gmm = reference(name)
    merging = merge_components(gmm, X)
    for number, labels in enumerate(found["labels"], 1):
        assert_array_equal(merging.labels(number), labels)


@pytest.mark.parametrize("name", NAMES)
def test_both_elbows_are_those_of_r(name):
    found, X, gmm = reference(name)
    merging = merge_components(gmm, X)
    assert merging.n_clusters_ == merging.elbow().n_clusters == found["elbow"]
    assert merging.elbow("rows").n_clusters == found["elbow_by_merged"]


def test_clusters_of_our_own_fit_agree_with_those_of_r():
    found, X, _ = reference("crosses")
    gmm = GaussianMixtureEM(6, covariance_type="EEV", random_state=0).fit(X)
    labels = merge_components(gmm, X).labels(4)
    assert adjusted_rand_score(labels, found["labels"][3]) > 0.98


# The numbers ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_entropies_are_those_of_the_probabilities(name):
    _, X, gmm = reference(name)
    merging = merge_components(gmm, X)
    for number, entropy in enumerate(merging.entropies_, 1):
        shares = merging.predict_proba(X, number)
        assert_allclose(entropy, -xlogy(shares, shares).sum(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_each_merge_lowers_the_entropy_most(name):
    _, X, gmm = reference(name)
    merging = merge_components(gmm, X)
    for number in range(merging.n_components, 1, -1):
        shares = merging.predict_proba(X, number).T
        gains = [
            xlogy(a + b, a + b).sum() - xlogy(a, a).sum() - xlogy(b, b).sum()
            for i, a in enumerate(shares)
            for b in shares[i + 1 :]
        ]
        decrease = merging.entropies_[number - 1] - merging.entropies_[number - 2]
        assert_allclose(decrease, max(gains), rtol=1e-9, atol=1e-11)


def test_gains_do_not_cancel_and_do_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    a = np.append(10.0 ** rng.uniform(-300, -20, 50), [0.0, 0.0, 1.0, 5e-324])
    b = np.append(1 - rng.uniform(size=50), [0.0, 1.0, 0.0, 0.5])
    gains = entropy_gains(a, b)
    assert_array_equal(gains, entropy_gains(b, a))
    # b log(1 + a / b) + a log(1 + b / a), where a is next to nothing beside b.
    small = a[:50]
    assert_allclose(gains[:50], small * (1 + np.log(b[:50] / small)), rtol=1e-12)
    assert_array_equal(gains[50:53], 0.0)
    assert (gains >= 0).all()


def test_pairs_scored_in_parts_are_scored_as_one():
    """Of eleven clusters there are five parts of pairs, the last of them shorter."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(11) / 3, size=40).T
    weights, pairs = rng.uniform(size=40), np.triu_indices(11, 1)
    gains = weights_and_gains(shares, weights, pairs)[11:]
    wrong = weights_and_errors(shares, weights, pairs)[22:].reshape(2, -1)
    for number, (a, b) in enumerate(zip(*(shares[own] for own in pairs), strict=True)):
        assert_allclose(gains[number], weights @ entropy_gains(a, b))
        assert_allclose(wrong[0, number], weights[a < b] @ a[a < b])
        assert_allclose(wrong[1, number], weights[b < a] @ b[b < a])


def test_probabilities_of_errors_are_those_of_two_gaussians():
    """A row of one has a greater probability of the other where it lies beyond the
    point at which w_1 N_1 = w_2 N_2."""
    weights, distance = np.array([0.7, 0.3]), 2.0
    gmm = GaussianMixtureEM.from_parameters(
        weights, [[0.0], [distance]], [[[1.0]], [[1.0]]]
    )
    point = distance / 2 + np.log(weights[0] / weights[1]) / distance
    errors = [norm.sf(point), norm.cdf(point - distance)]
    merging = merge_components(gmm, method="demp", random_state=0)
    # The share of rows that are drawn varies by less than one in the 2^16 of each.
    assert_allclose(merging.probabilities_[1], max(errors), atol=4 * 0.5 / 2**8)
    assert merging.n_clusters_ == 1
    assert_allclose(merging.merged_weights_, [1.0])


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_of_errors_are_hennigs_estimates(name):
    _, X, gmm = reference(name)
    merging = merge_components(gmm, X, "demp")
    for number in range(2, merging.n_components + 1):
        shares = merging.predict_proba(X, number).T
        errors = [
            shares[j, shares[i] > shares[j]].sum() / shares[j].sum()
            for i in range(number)
            for j in range(number)
            if i != j
        ]
        greatest = merging.probabilities_[number - 1]
        assert_allclose(greatest, max(errors), rtol=1e-9, atol=1e-15)


def test_what_is_drawn_from_the_mixture_estimates_what_rows_do():
    _, _, gmm = reference("iris")
    rows = gmm.sample(100_000, random_state=1)[0]
    own, drawn = (
        merge_components(gmm, X, "demp", random_state=2) for X in (rows, None)
    )
    assert_allclose(own.probabilities_[-1], drawn.probabilities_[-1], atol=0.01)
    assert own.n_clusters_ == drawn.n_clusters_


def test_equal_components_are_merged_first_and_make_half_of_the_errors():
    gmm = GaussianMixtureEM.from_parameters(
        [0.3, 0.2, 0.25, 0.25], [[0.0], [5.0], [9.0], [9.0]], np.ones((4, 1, 1))
    )
    X = np.linspace(-3, 12, 400)[:, None]
    merging = merge_components(gmm, X, "demp")
    assert_allclose(merging.probabilities_[-1], 0.5, rtol=1e-9)
    assert merging.clusters(3) == [(0,), (1,), (2, 3)]


def test_equal_gains_do_not_depend_on_rounding():
    """Four clusters that are symmetric about a point: the first two, not the last."""
    X = np.repeat(np.arange(4.0), 50)[:, None]
    for unit in (1.0, 1 / 3, 1e-5, 7e8):
        gmm = GaussianMixtureEM.from_parameters(
            [0.25] * 4,
            unit * np.arange(4.0)[:, None],
            unit**2 * np.full((4, 1, 1), 0.1),
        )
        merging = merge_components(gmm, unit * np.concatenate([X, X[::-1]]))
        assert merging.clusters(3) == [(0, 1), (2,), (3,)]


# The hierarchy -------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_clusters_nest_and_entropies_never_rise(name, method):
    _, X, gmm = reference(name)
    merging = merge_components(gmm, X, method)
    size = merging.n_components
    assert merging.clusters(size) == [(k,) for k in range(size)]
    assert merging.clusters(1) == [tuple(range(size))]
    for number in range(1, size):
        coarse, fine = merging.clusters(number), merging.clusters(number + 1)
        assert coarse == sorted(coarse)
        assert all(any(set(f) <= set(c) for c in coarse) for f in fine)
    if method == "entropy":
        assert (np.diff(merging.entropies_) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_the_linkage_is_scipys(name, method):
    _, X, gmm = reference(name)
    merging = merge_components(gmm, X, method)
    assert is_valid_linkage(merging.linkage_)
    assert is_monotonic(merging.linkage_)
    steps = merging.linkage_.copy()
    steps[:, 2] = np.arange(len(steps)) + 1.0
    for number in range(1, merging.n_components + 1):
        flat = fcluster(steps, merging.n_components - number + 0.5, "distance")
        own = np.empty(merging.n_components, dtype=int)
        for c, components in enumerate(merging.clusters(number)):
            own[list(components)] = c
        assert adjusted_rand_score(flat, own) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_components_does_not_matter(name, method):
    _, X, gmm = reference(name)
    order = np.random.default_rng(0).permutation(len(gmm.weights_))
    one = merge_components(gmm, X, method)
    other = merge_components(permuted(gmm, order), X, method)
    assert_allclose(values_of(one), values_of(other), rtol=1e-9, atol=1e-12)
    for number in range(1, one.n_components + 1):
        assert {frozenset(own) for own in one.clusters(number)} == {
            frozenset(order[list(own)].tolist()) for own in other.clusters(number)
        }


@pytest.mark.parametrize("method", METHODS)
def test_a_weight_means_that_a_row_occurs_so_often(method):
    _, X, gmm = reference("ring")
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = merge_components(gmm, X, method, sample_weight=weights)
    assert_same(weighted, merge_components(gmm, np.repeat(X, weights, axis=0), method))


@pytest.mark.parametrize("method", METHODS)
def test_rows_may_come_in_blocks(method):
    _, X, gmm = reference("ring")
    whole = merge_components(gmm, X, method)
    blocks = merge_components(gmm, lambda: iter(np.array_split(X, 7)), method)
    lazy = merge_components(gmm, da.from_array(X, chunks=(90, 2)), method)
    for other in (blocks, lazy):
        assert_same(whole, other)
    assert_array_equal(np.concatenate(list(blocks.labels())), whole.labels())
    assert_array_equal(lazy.labels().compute(), whole.labels())
    assert lazy.predict_proba(da.from_array(X), 3).compute().shape == (len(X), 3)


@pytest.mark.parametrize("method", METHODS)
def test_missing_values_are_left_out_of_the_probabilities(method):
    _, X, gmm = reference("iris")
    X = X.copy()
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.2] = np.nan
    merging = merge_components(gmm, X, method)
    shares = gmm.predict_proba(X)
    for number in range(1, 7):
        sums = [shares[:, list(own)].sum(axis=1) for own in merging.clusters(number)]
        assert_allclose(merging.predict_proba(X, number), np.transpose(sums))
    if method == "entropy":
        entropy = -xlogy(shares, shares).sum()
        assert_allclose(merging.entropies_[-1], entropy, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_noise_stays_apart(method):
    rng = np.random.default_rng(0)
    X = np.concatenate(
        [rng.normal(size=(150, 2)), rng.normal(1.5, size=(150, 2))]
        + [rng.uniform(-20, 20, size=(80, 2))]
    )
    gmm = GaussianMixtureEM(3, noise="uniform", random_state=0).fit(X)
    merging = merge_components(gmm, X, method)
    noise = gmm.predict(X) == -1
    assert noise.any()
    assert_array_equal(merging.labels(3), gmm.predict(X))
    assert (merging.labels(1)[gmm.noise_proba(X) > 0.5] == -1).all()
    shares = merging.predict_proba(X, 1)[:, 0]
    assert_allclose(shares, 1 - gmm.noise_proba(X), atol=1e-12)
    if method == "entropy":
        apart = np.stack([shares, gmm.noise_proba(X)])
        assert_allclose(merging.entropies_[0], -xlogy(apart, apart).sum(), rtol=1e-9)
    drawn = merge_components(gmm, method="demp", random_state=0)
    assert drawn.merged_weights_[0] < 1


def test_with_as_many_clusters_as_components_labels_are_those_of_the_mixture():
    _, X, gmm = reference("faithful")
    merging = merge_components(gmm, X)
    assert_array_equal(merging.predict(X, 7), gmm.predict(X))
    assert_allclose(merging.predict_proba(X, 7), gmm.predict_proba(X))
    assert merging.predict_proba(X.astype(np.float32), 2).dtype == np.float32


def test_rows_far_from_all_components_belong_to_some_cluster():
    _, X, gmm = reference("ring")
    far = np.concatenate([X, [[1e6, 1e6], [1e160, 0.0]]])
    merging = merge_components(gmm, far)
    assert np.isfinite(merging.entropies_).all()
    assert set(merging.labels(3)[-2:].tolist()) <= {0, 1, 2}


@pytest.mark.parametrize(
    "values, elbow",
    [([0.0, 0.0, 0.0, 5.0, 10.0], 3), ([0.0, 5.0, 6.0, 7.0], 2), ([0.0, 1.0], 2)],
)
def test_the_elbow_is_where_two_lines_meet(values, elbow):
    found = best_two_lines(np.arange(1.0, len(values) + 1), np.array(values))
    assert found.n_clusters == elbow
    lines = np.where(np.isnan(found.before), found.after, found.before)
    assert_allclose(lines, values, atol=1e-12)


def test_entropies_on_one_line_have_their_elbow_at_two_not_by_rounding():
    for slope in (1.0, 1 / 3, 1e-7, 3e5):
        x = np.arange(1.0, 10.0)
        assert best_two_lines(x, slope * (x - 1) / 7).n_clusters == 2


# Estimators, results and errors ------------------------------------------------


def test_moons_are_found_that_take_several_components():
    X, moons = make_moons(400, noise=0.06, random_state=0)
    search = GaussianMixtureIC(
        n_components=range(1, 9), covariance_type="VVV", random_state=0
    ).fit(X)
    assert search.best_estimator_.n_components > 3
    merging = merge_components(search, X)
    assert adjusted_rand_score(merging.labels(2), moons) == 1
    assert_same(merging, merge_components(search.best_estimator_, X))


def test_a_later_fit_changes_nothing():
    _, X, _ = reference("ring")
    gmm = GaussianMixtureEM(4, random_state=0).fit(X)
    merging = merge_components(gmm, X)
    before = merging.predict(X, 2)
    gmm.fit(X[::2] + 100)
    assert_array_equal(merging.predict(X, 2), before)


@pytest.mark.parametrize("method", METHODS)
def test_results_are_frozen_can_be_pickled_and_printed(method):
    _, X, gmm = reference("crosses")
    merging = merge_components(gmm, X, method)
    again = pickle.loads(pickle.dumps(merging))
    assert isinstance(again, MergedComponents)
    assert_array_equal(again.labels(), merging.labels())
    with pytest.raises(AttributeError):
        merging.n_clusters_ = 3
    head, columns, *lines = repr(merging).splitlines()
    assert f"n_clusters_={merging.n_clusters_}" in head
    assert "merged" in columns
    assert [int(line.split()[0]) for line in lines] == [6, 5, 4, 3, 2, 1]
    assert lines[1].endswith("{1} + {5}")


@pytest.mark.parametrize("method", METHODS)
def test_the_frame_has_a_row_for_each_number_of_clusters(method):
    pytest.importorskip("pandas")
    _, X, gmm = reference("crosses")
    merging = merge_components(gmm, X, method)
    frame = merging.to_frame()
    assert frame.index.tolist() == [6, 5, 4, 3, 2, 1]
    assert_array_equal(frame.iloc[::-1, 0], values_of(merging))
    for number in range(1, 6):
        pair = frame.loc[number, "first"], frame.loc[number, "second"]
        assert tuple(sorted(pair[0] + pair[1])) in merging.clusters(number)
        assert set(pair) <= set(merging.clusters(number + 1))
        weight = merging.merged_weights_[number - 1]
        assert frame.loc[number, "merged_weight"] == weight


def test_draws_are_those_of_the_seed():
    _, _, gmm = reference("crosses")
    one, again, other = (
        merge_components(gmm, method="demp", random_state=seed).probabilities_
        for seed in (0, 0, 1)
    )
    assert_array_equal(one, again)
    assert not np.array_equal(one, other)


CASES = [
    ({"method": "entropi"}, r"method='entropi' is unknown.*Did you mean 'entropy'\?"),
    ({"X": None}, "X=None, but method='entropy' sums over rows: pass the rows"),
    ({"X": None, "method": "demp", "sample_weight": [1.0]}, "sample_weight was passed"),
    ({"method": "demp", "threshold": 0.0}, r"threshold=0\.0 is not a probability"),
    ({"method": "demp", "threshold": "low"}, "threshold='low' is not a probability"),
    ({"X": [[1.0, 2.0, 3.0]]}, "3 features"),
    ({"sample_weight": [1.0]}, "sample_weight"),
]


@pytest.mark.parametrize("arguments, message", CASES)
def test_wrong_arguments_are_named(arguments, message):
    _, X, gmm = reference("crosses")
    with pytest.raises(ValueError, match=message):
        merge_components(gmm, **{"X": X, **arguments})


def test_rows_that_can_be_read_only_once_are_refused():
    _, X, gmm = reference("crosses")
    with pytest.raises(ValueError, match="only once, and each merge reads the rows"):
        merge_components(gmm, iter([X]))


@pytest.mark.parametrize("number", [0, 7, 2.5, "two", -1])
def test_wrong_numbers_of_clusters_are_named(number):
    _, X, gmm = reference("crosses")
    merging = merge_components(gmm, X)
    for method in (merging.labels, merging.clusters):
        with pytest.raises(ValueError, match=rf"n_clusters={number!r} .* from 1 to 6"):
            method(number)


def test_estimators_that_cannot_be_merged_are_refused():
    X = [[0.0], [1.0], [2.0]]
    with pytest.raises(NotFittedError):
        merge_components(GaussianMixtureEM(2), X)
    with pytest.raises(NotFittedError):
        merge_components(GaussianMixtureIC(), X)
    with pytest.raises(ValueError, match="n_components=1, and nothing to merge"):
        merge_components(GaussianMixtureEM(1).fit(X), X)
    with pytest.raises(TypeError, match=r"pass its last step, pipeline\[-1\]"):
        merge_components(make_pipeline(GaussianMixtureEM(1)), X)


def test_labels_and_elbows_that_there_are_not_are_refused():
    _, X, gmm = reference("crosses")
    drawn = merge_components(gmm, method="demp", random_state=0)
    with pytest.raises(ValueError, match=r"call predict\(X, n_clusters\)"):
        drawn.labels()
    assert_array_equal(drawn.predict(X, 6), gmm.predict(X))
    with pytest.raises(ValueError, match="method='demp' computes no entropies"):
        drawn.elbow()
    with pytest.raises(ValueError, match="by='row' is unknown.*'rows'"):
        merge_components(gmm, X).elbow("row")


# The picture ---------------------------------------------------------------------


@pytest.fixture
def plt():
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    yield plt
    for number in plt.get_fignums():
        plt.figure(number).draw_without_rendering()
    plt.close("all")


@pytest.mark.parametrize("heights", ["steps", "values"])
@pytest.mark.parametrize("method", METHODS)
def test_the_tree_has_a_link_for_each_merge(plt, method, heights):
    from emgmm._plotting.merging_display import UNMERGED

    _, X, gmm = reference("crosses")
    merging = merge_components(gmm, X, method)
    display = MergingDisplay.from_merging(merging, heights=heights)
    tops = [max(link.get_ydata()) for link in display.links_]
    steps = np.arange(1, 6)
    assert_allclose(tops, steps if heights == "steps" else merging.linkage_[:, 2])
    cut = display.cut_.get_ydata()[0]
    between = [link.get_color() == UNMERGED for link in display.links_]
    assert between == [False, False, True, True, True]
    assert tops[1] < cut <= tops[2]
    shown = [text.get_text() for text in display.axes_[0].get_xticklabels()]
    assert sorted(shown) == [str(k) for k in range(6)]


@pytest.mark.parametrize("by", ["clusters", "rows"])
def test_the_curve_and_its_lines_meet_at_the_elbow(plt, by):
    found, X, gmm = reference("ring")
    merging = merge_components(gmm, X)
    display = MergingDisplay(merging).plot(plt.subplots(1, 2)[1], by=by)
    assert_array_equal(display.curve_.get_ydata(), merging.entropies_)
    elbow = found["elbow" if by == "clusters" else "elbow_by_merged"]
    for fit in display.fits_:
        assert np.isfinite(fit.get_ydata()[elbow - 1])
    assert display.chosen_.get_ydata()[0] == merging.entropies_[elbow - 1]


def test_the_threshold_is_drawn_with_probabilities(plt):
    _, X, gmm = reference("crosses")
    merging = merge_components(gmm, X, "demp", threshold=0.1)
    display = MergingDisplay.from_merging(merging, n_clusters=3)
    assert [line.get_ydata()[0] for line in display.fits_] == [0.1]
    assert display.chosen_.get_xdata().tolist() == [3]
    assert display.axes_[0].get_title() == "Merged components: 3 clusters"


def test_wrong_arguments_of_the_picture_are_named(plt):
    _, X, gmm = reference("crosses")
    merging = merge_components(gmm, X)
    with pytest.raises(TypeError, match="merging is a GaussianMixtureEM"):
        MergingDisplay.from_merging(gmm)
    with pytest.raises(ValueError, match="axes has 1 Axes"):
        MergingDisplay(merging).plot(plt.subplots()[1])
    with pytest.raises(ValueError, match="heights='high' is unknown"):
        MergingDisplay(merging).plot(heights="high")
    with pytest.raises(ValueError, match="by='row' is unknown"):
        MergingDisplay(merging).plot(by="row")
    with pytest.raises(ValueError, match="n_clusters=9"):
        MergingDisplay(merging).plot(n_clusters=9)
