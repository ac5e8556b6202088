"""GaussianMixtureIC: what it selects, and that it is an estimator."""

from __future__ import annotations

import inspect
import tracemalloc
import warnings
from copy import copy

import numpy as np
import pytest
from conftest import MODEL_NAMES
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from emgmm import DegenerateComponentWarning, GaussianMixtureEM, GaussianMixtureIC

FEW = {"n_components": (1, 2, 3), "covariance_type": ("spherical", "diag", "full")}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def iris():
    return load_iris().data


@pytest.fixture(scope="module")
def searched(iris):
    return GaussianMixtureIC(n_components=range(1, 6)).fit(iris)


@pytest.fixture(scope="module")
def searched_few(iris):
    return GaussianMixtureIC(**FEW).fit(iris)


# The default search passes too, but takes minutes.
SMALL = GaussianMixtureIC(n_components=(1, 3), covariance_type=("diag", "tied"))


def test_scikit_learns_checks_pass():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(SMALL)


def test_every_column_is_that_of_a_fit(searched, iris):
    results = searched.results_
    assert {len(column) for column in results.values()} == {5 * len(MODEL_NAMES)}
    for i in [0, 17, 40, 69]:
        gmm = GaussianMixtureEM(
            results["n_components"][i], covariance_type=results["covariance_type"][i]
        ).fit(iris)
        total = gmm.score(iris) * len(iris)
        n_parameters = (gmm.bic(iris) + 2 * total) / np.log(len(iris))
        assert results["n_parameters"][i] == round(n_parameters)
        # A fit ends where less than tol a row is to be gained.
        assert results["log_likelihood"][i] >= total - gmm.tol * len(iris)
        for criterion in ("bic", "aic"):
            difference = getattr(gmm, criterion)(iris) - results[criterion][i]
            gained = 2 * (results["log_likelihood"][i] - total)
            assert_allclose(difference, gained, atol=1e-10)  # of numbers of hundreds


def test_the_best_has_the_least_criterion_and_the_numbers_of_its_row(searched, iris):
    best, results = searched.best_estimator_, searched.results_
    row = searched.best_index_
    assert_array_equal(searched.criterion_, results["bic"])
    assert (
        searched.criterion_[row] == searched.criterion_[results["failure"] == ""].min()
    )
    assert_allclose(best.bic(iris), results["bic"][row], rtol=1e-10)
    assert_allclose(best.icl(iris), results["icl"][row], rtol=1e-10)
    assert_allclose(best.aic(iris), results["aic"][row], rtol=1e-10)
    assert searched.best_params_ == {
        "n_components": results["n_components"][row],
        "covariance_type": results["covariance_type"][row],
    }
    assert best.get_params().items() >= searched.best_params_.items()


def test_methods_are_those_of_the_best(searched, iris):
    best = searched.best_estimator_
    for method in ("predict", "predict_proba", "score_samples", "score"):
        assert_array_equal(getattr(searched, method)(iris), getattr(best, method)(iris))
    assert_array_equal(searched.labels_, searched.predict(iris))
    for drawn, expected in zip(
        searched.sample(5, random_state=0), best.sample(5, random_state=0), strict=True
    ):
        assert_array_equal(drawn, expected)


def test_more_components_never_fit_worse(searched):
    """Nor does a model that contains another: starts of the one serve the other."""
    results = searched.results_
    sound = np.where(results["failure"] == "", results["log_likelihood"], np.nan)
    table = dict(
        zip(
            zip(results["covariance_type"], results["n_components"], strict=True),
            sound,
            strict=True,
        )
    )
    for model in MODEL_NAMES:
        path = [table[model, size] for size in range(1, 6)]
        assert not np.any(np.diff(path) < -0.01), model
    chain = ["EII", "VII", "VEI", "VVI", "VVE", "VVV"]
    for size in range(1, 6):
        path = [table[model, size] for model in chain]
        assert not np.any(np.diff(path) < -0.01), size


@pytest.mark.parametrize("name", ["icl", "aic"])
def test_other_criteria_select_by_their_own_column(iris, name):
    search = GaussianMixtureIC(**FEW, criterion=name).fit(iris)
    assert_array_equal(search.criterion_, search.results_[name])
    assert search.best_index_ == np.argmin(search.results_[name])


def test_a_callable_criterion_receives_fitted_estimators(iris):
    seen = []

    def deviance(gmm, X, sample_weight):
        seen.append((gmm.n_components, gmm.covariance_type, sample_weight))
        return -2 * gmm.score(X) * len(X)

    search = GaussianMixtureIC(**FEW, criterion=deviance).fit(iris)
    assert len(seen) == 9 and seen[0] == (1, "spherical", None)
    assert_allclose(search.criterion_, -2 * search.results_["log_likelihood"])
    assert search.best_params_ == {"n_components": 3, "covariance_type": "full"}


@pytest.mark.parametrize("n_jobs", [2])
def test_processes_change_nothing(iris, searched_few, n_jobs):
    shared = GaussianMixtureIC(**FEW, n_jobs=n_jobs).fit(iris)
    assert_array_equal(searched_few.criterion_, shared.criterion_)
    assert_array_equal(searched_few.labels_, shared.labels_)


def test_rows_of_one_distribution_are_not_split_by_chance():
    """Two or three of 40 rows lie close together in any sample; in all but the first
    of these, close enough for the least BIC to be that of a component of them."""
    found, models = [], ["EII", "VII", "VEI", "VVI", "EEE", "VEV", "VVV"]
    for seed in (0, 10, 13, 15):
        X = np.random.default_rng(seed).standard_normal((40, 2))
        search = GaussianMixtureIC([1, 2, 3], covariance_type=models).fit(X)
        found.append(search.best_params_["n_components"])
    assert found.count(1) >= 3


def test_clusters_of_fewer_rows_than_parameters_of_their_matrices_are_found(rng):
    """60 rows in 10 dimensions: 66 parameters each, and nothing singular."""
    centers, labels = 20 * np.eye(10)[:3], np.repeat([0, 1, 2], 60)
    scales = 10 ** rng.uniform(-1, 1, (3, 10))
    turns = [np.linalg.qr(rng.standard_normal((10, 10)))[0] for _ in range(3)]
    X = np.stack(
        [turns[k] @ (scales[k] * rng.standard_normal(10)) + centers[k] for k in labels]
    )
    search = GaussianMixtureIC([2, 3, 4], covariance_type=["VVV", "EVV", "VVI"]).fit(X)
    assert search.best_params_["n_components"] == 3
    assert search.best_params_["covariance_type"] in ("VVV", "EVV")


def test_a_constant_feature_changes_no_selection(iris):
    """Of models in which features have variances of their own."""
    params = {"n_components": [1, 2, 3], "covariance_type": ["full", "diag", "tied"]}
    expected = GaussianMixtureIC(**params).fit(iris)
    search = GaussianMixtureIC(**params).fit(np.c_[iris, np.full(len(iris), 0.1)])
    assert search.best_params_ == expected.best_params_
    assert_array_equal(search.labels_, expected.labels_)


def test_features_that_follow_from_others_are_named_as_a_reason(iris):
    exact = iris + 0.1 * np.random.default_rng(0).random(iris.shape)  # not rounded
    X = np.c_[exact, exact @ [1, 2, 3, 4]]
    with pytest.warns(DegenerateComponentWarning, match="no variance in some"):
        search = GaussianMixtureIC(**FEW).fit(X)
    assert not search.results_["eligible"].all()


def test_a_criterion_that_fails_for_all_candidates_is_the_cause(iris):
    def criterion(gmm, X, sample_weight):
        raise KeyError("price")

    with pytest.raises(
        ValueError, match=r"criterion=.* raised KeyError\('price'\)"
    ) as e:
        GaussianMixtureIC(**FEW, criterion=criterion).fit(iris)
    assert isinstance(e.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "sizes", [range(1, 10**7), range(1, 10**30), np.arange(1, 20_000)]
)
def test_more_numbers_of_components_than_can_be_compared_are_refused(sizes, iris):
    tracemalloc.start()
    with pytest.raises(ValueError, match="give at most 10000 that are to be compared"):
        GaussianMixtureIC(sizes).fit(iris)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("size", [2**31, 10**30])
def test_numbers_of_components_beyond_any_rows_are_refused(size, iris):
    for sizes in (size, [1, size]):
        with pytest.raises(ValueError, match="n_components=.*give whole numbers of 1"):
            GaussianMixtureIC(sizes).fit(iris)


def test_a_criterion_that_fails_for_one_candidate_does_not_stop_the_search(iris):
    def criterion(gmm, X, sample_weight):
        if gmm.n_components == 2:
            raise RuntimeError("two are too many")
        return gmm.bic(X)

    search = GaussianMixtureIC(**FEW, criterion=criterion).fit(iris)
    failed = search.results_["n_components"] == 2
    assert all(
        "two are too many" in text for text in search.results_["failure"][failed]
    )
    assert not search.results_["eligible"][failed].any()
    assert search.best_params_["n_components"] != 2


def test_units_of_the_data_change_no_choice(iris, searched_few):
    for unit in (1e-150, 1e150):
        other = GaussianMixtureIC(**FEW).fit(iris * unit)
        assert other.best_params_ == searched_few.best_params_
        shift = iris.size * np.log(unit)
        moved = other.results_["log_likelihood"] + shift
        assert_allclose(moved, searched_few.results_["log_likelihood"], atol=0.01)


def test_what_was_simulated_is_selected(rng):
    labels = np.repeat([0, 1, 2], [80, 120, 200])
    X = rng.standard_normal((400, 2)) * [3.0, 0.5]
    X += np.array([[0, 0], [0, 5], [12, 2]])[labels]
    search = GaussianMixtureIC(range(1, 6)).fit(X)
    assert search.best_params_ == {"n_components": 3, "covariance_type": "EEI"}
    assert adjusted_rand_score(labels, search.labels_) > 0.95


def test_many_rows_are_fitted_as_a_whole(rng, monkeypatch):
    monkeypatch.setattr("emgmm._search.search.SEARCH_ROWS", 2**11)
    X = np.vstack([rng.standard_normal((3000, 2)), rng.standard_normal((2000, 2)) + 5])
    search = GaussianMixtureIC(**FEW).fit(X)
    assert search.best_params_ == {"n_components": 2, "covariance_type": "spherical"}
    gmm = GaussianMixtureEM(2, covariance_type="spherical", tol=1e-6).fit(X)
    assert_allclose(search.best_estimator_.lower_bound_, gmm.lower_bound_, atol=1e-5)


def test_one_feature_has_two_models():
    X = np.r_[np.arange(20.0), np.arange(100.0, 120.0)][:, None]
    search = GaussianMixtureIC(n_components=[1, 2, 3]).fit(X)
    assert set(search.results_["covariance_type"]) == {"EII", "VII"}
    assert search.best_params_ == {"n_components": 2, "covariance_type": "EII"}


def test_equal_models_are_selected_by_their_order(iris):
    """With one component four models are the same: the first stands for them."""
    names = ["VVV", "EVV", "EEE"]
    search = GaussianMixtureIC(1, covariance_type=names).fit(iris)
    assert np.ptp(search.criterion_) < 1e-6
    assert search.best_params_["covariance_type"] == "VVV"


def test_a_number_of_components_that_cannot_be_fitted_is_no_obstacle(rng):
    X = rng.standard_normal((6, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateComponentWarning)
        search = GaussianMixtureIC(n_components=[1, 2, 50]).fit(X)
    results = search.results_
    failed = results["n_components"] == 50
    assert all("n_components" in text for text in results["failure"][failed])
    assert np.isnan(results["bic"][failed]).all()
    assert not np.isnan(results["bic"][~failed]).any()


def test_singular_candidates_are_warned_of_and_the_others_continue(rng):
    """With a number in reg_covar nothing keeps matrices of five rows regular."""
    X = rng.standard_normal((12, 8))
    search = GaussianMixtureIC(
        [1, 2, 3], covariance_type=["diag", "full"], reg_covar=0.0
    ).fit(X)
    results = search.results_
    singular = (results["covariance_type"] == "full") & (results["n_components"] > 1)
    assert all("ill-defined" in text for text in results["failure"][singular])
    assert search.best_params_["covariance_type"] == "diag"


def test_degenerate_candidates_are_not_selected(rng):
    """Eight equal rows: the density at them is great by chance."""
    X = np.vstack([rng.standard_normal((60, 2)), np.full((8, 2), 3.0)])
    search = GaussianMixtureIC([1, 2, 3], covariance_type=["VVV", "EEE"]).fit(X)
    degenerate = search.results_["failure"] != ""
    assert degenerate.any() and not degenerate[search.best_index_]
    best = search.criterion_[search.best_index_]
    assert search.criterion_[degenerate].min() < best


def test_if_all_are_degenerate_one_is_selected_with_a_warning():
    X = np.random.default_rng(0).standard_normal((2, 2)).repeat(5, axis=0)
    with pytest.warns(DegenerateComponentWarning, match="No candidate .* is eligible"):
        search = GaussianMixtureIC([2, 3], covariance_type=["VVV"]).fit(X)
    assert search.results_["failure"].all() and search.results_["eligible"].all()
    assert_array_equal(np.unique(search.labels_), [0, 1])


@pytest.mark.parametrize(
    "params, match",
    [
        ({"n_components": []}, "n_components"),
        ({"n_components": [0, 1]}, "n_components"),
        ({"n_components": [1.5]}, "n_components"),
        ({"n_components": "many"}, "n_components"),
        ({"covariance_type": ["full", "round"]}, "covariance_type.*'all'"),
        ({"covariance_type": []}, "covariance_type"),
        ({"covariance_type": "round"}, "covariance_type"),
        ({"criterion": "dic"}, "criterion"),
        ({"tol": -1}, "tol"),
        ({"criterion": lambda gmm, X, sample_weight: np.nan}, "criterion"),
    ],
)
def test_bad_parameters_are_named_and_leave_the_estimator_unchanged(
    iris, searched_few, params, match
):
    search = copy(searched_few)
    before = vars(search).copy()
    search.set_params(**params)
    with pytest.raises(ValueError, match=match):
        search.fit(iris)
    after = {name: value for name, value in vars(search).items() if name not in params}
    assert after == {k: v for k, v in before.items() if k not in params}


def test_too_few_iterations_are_warned_of(iris):
    with pytest.warns(ConvergenceWarning, match="increase max_iter"):
        GaussianMixtureIC([5], covariance_type="VVV", max_iter=1).fit(iris)


def test_an_unfitted_search_says_so(iris):
    for method in ("predict", "predict_proba", "score_samples", "score", "sample"):
        with pytest.raises(NotFittedError):
            getattr(GaussianMixtureIC(), method)(
                *([] if method == "sample" else [iris])
            )


def test_it_is_a_step_of_a_pipeline(iris):
    pipeline = make_pipeline(StandardScaler(), GaussianMixtureIC(**FEW))
    labels = clone(pipeline).fit_predict(iris)
    assert len(np.unique(labels)) == 2


def test_float32_rows_give_float32_parameters(iris, searched_few):
    search = GaussianMixtureIC(**FEW).fit(iris.astype(np.float32))
    assert search.best_estimator_.means_.dtype == np.float32
    assert search.best_params_ == searched_few.best_params_
    assert_allclose(search.criterion_, searched_few.criterion_, rtol=1e-4)


def test_the_share_that_is_done_is_reported(iris):
    shares = []
    GaussianMixtureIC(**FEW)._fit(iris, None, None, report=shares.append)
    assert shares[-1] == 1.0 and np.all(np.diff(shares) > 0) and len(shares) > 3


ROW = [[5.0, 3.0, 1.5, 0.2], [np.nan, 3.0, 4.0, 1.0]]
OFFERED = {
    "predict": (ROW,),
    "predict_proba": (ROW,),
    "score_samples": (ROW,),
    "score": (ROW, None, [1.0, 3.0]),
    "bic": (ROW, [1.0, 3.0]),
    "aic": (ROW,),
    "icl": (ROW,),
    "sample": (5, 0),
    "impute": (ROW,),
    "conditional_mean": ([[3.0]], 1),
}


@pytest.mark.parametrize("method", OFFERED)
def test_a_search_does_what_its_best_estimator_does(searched_few, method):
    arguments, best = OFFERED[method], searched_few.best_estimator_
    assert_equal(
        getattr(searched_few, method)(*arguments), getattr(best, method)(*arguments)
    )
    of_search, of_best = getattr(searched_few, method), getattr(best, method)
    assert inspect.signature(of_search) == inspect.signature(of_best)
    assert inspect.getdoc(of_search) == inspect.getdoc(of_best)


def test_a_search_lacks_only_what_makes_or_alters_a_mixture(searched_few):
    best = searched_few.best_estimator_
    offered = {name for name in dir(best) if not name.startswith("_")}
    lacking = offered - set(dir(searched_few)) - set(best.get_params())
    makers = {"from_parameters", "load", "partial_fit", "set_partial_fit_request"}
    assert lacking == makers
    for name in offered - set(best.get_params()):
        if name.endswith("_") and name != "mixture_":
            assert_equal(getattr(searched_few, name), getattr(best, name))


def test_what_a_search_saves_is_its_best_estimator(iris, searched_few, tmp_path):
    searched_few.save(tmp_path / "model.npz")
    loaded = GaussianMixtureEM.load(tmp_path / "model.npz")
    assert_array_equal(loaded.predict_proba(iris), searched_few.predict_proba(iris))


def test_attributes_of_the_best_come_with_a_fit_and_cannot_be_set(searched_few):
    assert not hasattr(GaussianMixtureIC(), "means_")
    with pytest.raises(AttributeError):
        searched_few.means_ = np.zeros((1, 4))


def test_best_params_make_the_model_anew(searched_few):
    gmm = GaussianMixtureEM(**searched_few.best_params_)
    assert gmm.get_params().items() >= searched_few.best_params_.items()


def test_a_verbose_search_prints_its_parts(iris, searched_few, capsys):
    search = GaussianMixtureIC(**FEW, verbose=1).fit(iris)
    lines = capsys.readouterr().out.splitlines()
    rounds = [f"round {number}" for number in range(1, len(lines) - 1)]
    parts = [f"Search: {part}" for part in ["starts", *rounds, "all rows"]]
    assert rounds and [line.split(" in ")[0] for line in lines] == parts
    assert lines[-1].endswith("100% done")
    assert_array_equal(search.criterion_, searched_few.criterion_)


def three_clusters(n_rows):
    rng = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0], [6.0, 1.0], [1.0, 7.0]])
    scales = np.array([[1.0, 1.0], [2.0, 0.5], [0.7, 1.5]])
    labels = rng.integers(3, size=n_rows)
    return scales[labels] * rng.standard_normal((n_rows, 2)) + centers[labels]


def as_blocks(X, folder):
    return [X[:300], X[300:350], X[350:]]


def as_function(X, folder):
    return lambda: iter(as_blocks(X, folder))


def as_map(X, folder):
    np.save(folder / "rows.npy", X)
    return np.load(folder / "rows.npy", mmap_mode="r")


def as_dask(X, folder):
    return pytest.importorskip("dask.array").from_array(X, chunks=(200, -1))


@pytest.mark.parametrize("source", [as_blocks, as_function, as_map, as_dask])
def test_rows_of_every_source_give_the_search_of_the_array(source, tmp_path):
    X = three_clusters(600)
    expected = GaussianMixtureIC([1, 2, 3], criterion="icl").fit(X)
    search = GaussianMixtureIC([1, 2, 3], criterion="icl")
    search.fit(source(X, tmp_path))
    assert search.best_params_ == expected.best_params_
    # Sums of other blocks round differently: an iteration more or less.
    for name in ("log_likelihood", "bic", "icl", "aic"):
        atol = 2 * search.tol * len(X)
        assert_allclose(search.results_[name], expected.results_[name], atol=atol)
    assert_array_equal(search.results_["failure"], expected.results_["failure"])
    assert hasattr(search, "labels_") == (source is as_map)


def test_an_iteration_is_one_pass_over_blocks_for_all_candidates(monkeypatch):
    monkeypatch.setattr("emgmm._search.search.SEARCH_ROWS", 2**9)
    X, readings = three_clusters(5000), []

    def blocks():
        readings.append(len(readings))
        return iter([X[:2500], X[2500:]])

    search = GaussianMixtureIC([1, 2, 3]).fit(blocks)
    # Summary, sample, the start's score, ICL, and what is published.
    assert len(readings) <= search.results_["n_iter"].max() + 8
    assert search.results_["n_iter"].sum() > 3 * len(readings)


def test_a_weight_is_a_repetition():
    X = three_clusters(200)
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    names = ["EII", "VVI", "EEE", "VVV", "VEV"]
    weighted = GaussianMixtureIC([1, 2, 3], covariance_type=names)
    weighted.fit(X, sample_weight=weights)
    repeated = GaussianMixtureIC([1, 2, 3], covariance_type=names)
    repeated.fit(np.repeat(X, weights, axis=0))
    assert weighted.best_params_ == repeated.best_params_
    assert_allclose(weighted.criterion_, repeated.criterion_, rtol=1e-6)


def test_a_function_as_criterion_needs_an_array():
    X = three_clusters(600)
    search = GaussianMixtureIC([1], criterion=lambda gmm, X, sample_weight: 0.0)
    with pytest.raises(ValueError, match="criterion=.*needs rows in memory.*array"):
        search.fit(as_blocks(X, None))


def test_missing_values_are_searched_over(iris):
    X = iris.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.05] = np.nan
    search = GaussianMixtureIC([1, 2, 3], covariance_type=["VVI", "EEE", "VVV"]).fit(X)
    assert search.best_params_["covariance_type"] == "VVV"
    gmm = GaussianMixtureEM(**search.best_params_).fit(X)
    assert search.best_estimator_.lower_bound_ >= gmm.lower_bound_ - gmm.tol


def test_hardly_more_rows_than_components_are_searched(rng):
    # Pooled scatter is nearly singular: its determinants are rounding.
    X = rng.normal(size=(5, 3))
    search = GaussianMixtureIC([1, 2, 3, 4], covariance_type=["VEE"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X)
    assert np.isfinite(search.results_["log_likelihood"]).all()
