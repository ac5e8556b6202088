"""Runs of EM: how long they last, how near they end, and which of several is kept."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from conftest import MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

import emgmm._em.driver as _em
from emgmm import DegenerateComponentWarning, GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._em.progress import Progress

ACCELERATIONS = ["anderson", None]
unfinished = pytest.mark.filterwarnings("ignore:Best performing:UserWarning")


def gmm_of(name="VVV", n_components=3, **parameters):
    return GaussianMixtureEM(n_components, covariance_type=name, **parameters)


def labels_of(X, n_components=3):
    """Labels by the order of the first feature."""
    return X[:, 0].argsort().argsort() * n_components // len(X)


def in_turn(*starts):
    """A callable start that gives these labels one after the other."""
    labels = iter(starts)
    return lambda X, n_components, sample_weight, rng: next(labels)


# How long --------------------------------------------------------------------------


@pytest.mark.parametrize("acceleration", ACCELERATIONS)
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_iterations_are_passes_over_the_rows(name, acceleration):
    """Of rows that are made anew in every pass, which therefore can be counted."""
    X = make_blobs(0, n_samples=150, n_features=2, n_components=3)
    passes = []

    def rows():
        passes.append(len(X))
        yield X

    settings = {"init_params": "kmeans", "acceleration": acceleration}
    start = gmm_of(name, max_iter=0, **settings).fit(rows)
    assert start.n_iter_ == 0
    before = len(passes)
    gmm = gmm_of(name, **settings).fit(rows)
    assert gmm.converged_
    assert gmm.n_iter_ == len(gmm.lower_bounds_) == len(passes) - 2 * before


@pytest.mark.parametrize("acceleration", ACCELERATIONS)
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_tol_0_iterates_to_the_end(name, acceleration):
    X = make_blobs(0, n_samples=150, n_features=2, n_components=3)
    settings = {"tol": 0.0, "max_iter": 40, "acceleration": acceleration}
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        gmm = gmm_of(name, init_params=labels_of(X), **settings).fit(X)
    assert gmm.n_iter_ == 40 and not gmm.converged_
    assert np.all(np.diff(gmm.lower_bounds_) > -1e-12)


@pytest.mark.parametrize("init_params", ["split", "kmeans", "random_from_data"])
def test_max_iter_0_publishes_the_start(init_params):
    X = make_blobs(0, n_samples=150, n_features=2, n_components=3)
    settings = {"init_params": init_params, "random_state": 0}
    start = gmm_of(max_iter=0, **settings).fit(X)
    assert start.n_iter_ == 0 and not start.converged_
    assert start.lower_bounds_.shape == (0,)
    assert_allclose(start.lower_bound_, start.score(X))
    given = {"weights_init": start.weights_, "means_init": start.means_}
    again = gmm_of(precisions_init=start.precisions_, **given).fit(X)
    expected = gmm_of(**settings).fit(X)
    assert_allclose(again.lower_bound_, expected.lower_bound_, atol=1e-8)


@unfinished
def test_a_fit_that_reaches_the_end_just_as_it_converges_has_converged():
    X = make_blobs(0, n_samples=150, n_features=2, n_components=3)
    start = labels_of(X)
    n_iter = gmm_of(init_params=start).fit(X).n_iter_
    assert n_iter > 1
    assert gmm_of(init_params=start, max_iter=n_iter).fit(X).converged_
    assert not gmm_of(init_params=start, max_iter=n_iter - 1).fit(X).converged_


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_float32_rows_end_where_float64_rows_do(name):
    X = make_blobs(1, n_samples=300, n_features=3, n_components=3)
    single = X.astype(np.float32)
    start = labels_of(X)
    fits = [gmm_of(name, init_params=start).fit(rows) for rows in (X, single)]
    assert fits[1].converged_ and fits[1].means_.dtype == np.float32
    assert_allclose(fits[1].lower_bound_, fits[0].lower_bound_, atol=2e-4)
    assert np.all(np.diff(fits[1].lower_bounds_) > -1e-5)
    assert fits[1].n_iter_ < 2 * fits[0].n_iter_ + 5


# How near --------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_tol_is_the_gain_still_to_come(name):
    gaps = []
    for seed in range(5):
        X = make_blobs(seed, n_samples=200, n_features=2, n_components=2)
        start = labels_of(X, 2)
        bounds = [
            gmm_of(name, 2, init_params=start, tol=tol, max_iter=5000)
            .fit(X)
            .lower_bound_
            for tol in (1e-1, 1e-3, 1e-5, 1e-11)
        ]
        gaps.append(bounds[-1] - np.array(bounds[:-1]))
    coarse, default, fine = np.transpose(gaps)
    assert gmm_of().tol == 1e-3
    assert default.max() < 1e-3 and fine.max() < 1e-5
    assert coarse.mean() >= default.mean() >= fine.mean() > -1e-9


# Which -----------------------------------------------------------------------------

GOOD = np.arange(120) % 2
LONELY = (np.arange(120) == 0) * 1
COLLAPSING = (np.arange(120) < 10) * 1


@pytest.fixture(scope="module")
def copies():
    """Eight copies of a row: a component of them and of others becomes singular."""
    X = make_blobs(0, 120, 2, 2)
    X[:8] = [1.0, 1.0]
    return X


@pytest.mark.parametrize("acceleration", ACCELERATIONS)
@pytest.mark.parametrize("order", list(permutations([GOOD, LONELY, COLLAPSING])))
def test_starts_that_fail_are_skipped(copies, order, acceleration, capsys):
    settings = {"reg_covar": 0, "acceleration": acceleration}
    expected = gmm_of("VVV", 2, init_params=GOOD, **settings).fit(copies)
    settings |= {"init_params": in_turn(*order), "n_init": 3, "verbose": 1}
    gmm = gmm_of("VVV", 2, **settings).fit(copies)
    assert gmm.lower_bound_ == expected.lower_bound_
    assert_array_equal(gmm.labels_, expected.labels_)
    out = capsys.readouterr().out
    assert out.count("failed") == 2 and out.count(" converged.") == 1


def test_starts_that_all_fail_raise(copies):
    start = in_turn(LONELY, COLLAPSING)
    gmm = gmm_of("VVV", 2, init_params=start, n_init=2, reg_covar=0)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        gmm.fit(copies)
    assert not hasattr(gmm, "means_")


@pytest.mark.parametrize("degenerate_first", [False, True])
@pytest.mark.parametrize("name", ["VII", "VVI", "VVE", "VEV", "VVV"])
def test_a_degenerate_component_loses_whatever_its_likelihood(
    copies, name, degenerate_first
):
    copied = (np.arange(120) < 8) * 1
    sound = gmm_of(name, 2, init_params=GOOD).fit(copies)
    with pytest.warns(
        DegenerateComponentWarning, match="component 1 has collapsed onto a few rows"
    ):
        other = gmm_of(name, 2, init_params=copied).fit(copies)
    assert other.lower_bound_ > sound.lower_bound_
    order = (copied, GOOD) if degenerate_first else (GOOD, copied)
    best = gmm_of(name, 2, init_params=in_turn(*order), n_init=2).fit(copies)
    assert best.lower_bound_ == sound.lower_bound_


@pytest.mark.parametrize("name", ["VII", "VVI", "VVE", "VEV", "VVV"])
def test_many_equal_rows_are_a_cluster_and_win_by_their_likelihood(name):
    X = make_blobs(0, 120, 2, 2)
    X[:20] = [1.0, 1.0]
    copied = (np.arange(120) < 20) * 1
    other = gmm_of(name, 2, init_params=copied).fit(X)  # a warning would be an error
    best = gmm_of(name, 2, init_params=in_turn(GOOD, copied), n_init=2).fit(X)
    assert best.lower_bound_ == other.lower_bound_
    assert_array_equal(best.labels_[:20], best.labels_[0])


def test_among_degenerate_fits_the_likelihood_decides():
    X = make_blobs(0, 120, 2, 2)
    X[:8], X[8:11] = [1.0, 1.0], [3.0, 0.0]
    starts = [
        ((at <= np.arange(120)) & (np.arange(120) < to)) * 1
        for at, to in [(0, 8), (8, 11)]
    ]
    bounds = []
    for start in (*starts, in_turn(*starts)):
        with pytest.warns(DegenerateComponentWarning):
            gmm = gmm_of("VVV", 2, init_params=start, n_init=2).fit(X)
        bounds.append(gmm.lower_bound_)
    assert bounds[2] == max(bounds[:2]) > min(bounds[:2])


@pytest.mark.parametrize("init_params", ["split", "kmeans", "random", "k-means++"])
def test_further_starts_differ_and_repeat_with_their_seed(init_params, monkeypatch):
    X = make_blobs(3, n_samples=200, n_features=2, n_components=5)
    started = []

    def noted(rows, states, *others):
        stack = states[0].propose()
        started.extend(stack.means[each] for each in stack.segments.slices())
        return run(rows, states, *others)

    run = _em.run_em
    monkeypatch.setattr("emgmm._em.problem.run_em", noted)

    def starts(seed):
        started.clear()
        gmm = gmm_of("VVV", 5, n_init=4, init_params=init_params, random_state=seed)
        gmm.fit(X)
        return gmm, [means for means in started if len(means) == 5]

    one, first = starts(0)
    again, second = starts(0)
    other, third = starts(1)
    assert_array_equal(one.means_, again.means_)
    assert all(map(np.array_equal, first, second))
    assert not all(map(np.array_equal, first, third))
    assert len({means.tobytes() for means in first}) >= 4


@unfinished
@pytest.mark.parametrize("max_iter", [1, 100])
@pytest.mark.parametrize("name", ["EII", "VVI", "EEE", "VVV"])
def test_more_starts_are_never_worse(name, max_iter):
    X = make_blobs(4, n_samples=300, n_features=2, n_components=6)
    settings = {"random_state": 0, "max_iter": max_iter}
    one, five = (gmm_of(name, 6, n_init=n, **settings).fit(X) for n in (1, 5))
    # Starts that run together round differently.
    assert five.lower_bound_ >= one.lower_bound_ - 1e-12
    assert adjusted_rand_score(one.labels_, np.arange(300) % 6) > 0


@unfinished
def test_only_results_that_may_be_the_best_are_kept():
    X = make_blobs(0, n_samples=100, n_features=2, n_components=3)
    problem = gmm_of(max_iter=2)._problem(ArrayBlocks(X))
    rng = np.random.RandomState(0)
    labels = [rng.permutation(labels_of(X)) for _ in range(60)]
    starts = [lambda progress, rows=rows: problem.start(rows, 3) for rows in labels]
    alone = [problem.runs([start], Progress(0, 1)).kept[0] for start in starts]
    together = problem.runs(starts, Progress(0, 1))
    assert len(together.kept) < 15  # records among 60, of which 5 are to be expected
    best = problem.best(together.kept)
    assert_allclose(best.lower_bounds, problem.best(alone).lower_bounds, rtol=1e-10)
    for bounds, one in zip(together.lower_bounds, alone, strict=True):
        assert_allclose(bounds, one.lower_bounds, rtol=1e-10)


@pytest.mark.parametrize("n_init", [2**31, 10**30])
def test_more_starts_than_can_be_counted_are_refused(n_init):
    with pytest.raises(ValueError, match="'n_init' .* in the range"):
        gmm_of(n_init=n_init).fit(make_blobs(0, 100, 2, 3))
