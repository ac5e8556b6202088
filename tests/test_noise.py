"""Noise: rows of constant density beside the components, against R and dense twins."""

import json
import pickle
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import assert_same_fit
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

import emgmm._data.maps
from emgmm import GaussianMixtureEM, GaussianMixtureIC, MixtureDisplay
from emgmm._model.families import FAMILIES

REFERENCE = json.loads(
    (Path(__file__).parent / "data" / "noise_sim_uniform.json").read_text("utf-8")
)
ROWS = np.array(REFERENCE["data"])
TRUTH = np.array(REFERENCE["truth"])  # 2 is noise

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def blobs_at(rng, centers, n_rows):
    """So many rows of unit variance about each of the centers."""
    return np.concatenate([rng.normal(center, 1, (n_rows, 2)) for center in centers])


def dense_log_joint(gmm, X):
    """log w_k + log N(x; ...) of observed values, and at last that of noise."""
    dense = gmm._mixture().covariances.dense()
    out = np.empty((len(X), len(gmm.weights_) + 1))
    for i, row in enumerate(X):
        has = ~np.isnan(row)
        for k, (weight, mean) in enumerate(zip(gmm.weights_, gmm.means_, strict=True)):
            own = multivariate_normal(mean[has], dense[k][np.ix_(has, has)])
            out[i, k] = np.log(weight) + own.logpdf(row[has])
        lengths = np.log(gmm.noise_box_[1][has])
        out[i, -1] = np.log(gmm.noise_weight_) - lengths.sum()
    return out


@pytest.mark.parametrize(
    "fit", REFERENCE["me_noise"], ids=lambda fit: f"{fit['model']}-{fit['G']}"
)
def test_fits_are_those_of_mclust(fit):
    n_components = fit["G"]
    labels = np.array(REFERENCE["start_labels"][str(n_components)])
    gmm = GaussianMixtureEM(
        n_components,
        covariance_type=fit["model"],
        noise="uniform",
        init_params=np.where(labels == n_components, -1, labels),
        tol=1e-13,
        max_iter=20_000,
        acceleration=None,
    )
    gmm.fit(ROWS)
    assert (np.diff(gmm.lower_bounds_) > -1e-12).all()
    assert gmm.lower_bound_ * len(ROWS) == pytest.approx(fit["loglik"], rel=1e-9)
    weights = np.append(gmm.weights_, gmm.noise_weight_)
    assert_allclose(weights, fit["weights"], atol=2e-4)
    density = 1 / np.prod(gmm.noise_box_[1])
    assert density == pytest.approx(REFERENCE["Vinv"], rel=1e-12)
    # mclust counts the volume of the box as a parameter too.
    assert gmm.bic(ROWS) == pytest.approx(-fit["bic"] - np.log(len(ROWS)))


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("name", ["full", "tied", "diag", "VEV", "spherical"])
def test_predictions_are_those_of_a_dense_computation(name, missing):
    X = ROWS.copy()
    if missing:
        holes = np.random.default_rng(0).random(X.shape) < 0.2
        holes[np.arange(len(X)), np.arange(len(X)) % 2] = False
        X[holes] = np.nan
    gmm = GaussianMixtureEM(2, covariance_type=name, noise="uniform", tol=1e-8).fit(X)
    log_joint = dense_log_joint(gmm, X)
    log_density = logsumexp(log_joint, axis=1)
    posterior = np.exp(log_joint - log_density[:, None])
    assert_allclose(gmm.score_samples(X), log_density, rtol=1e-10)
    assert gmm.lower_bound_ == pytest.approx(log_density.mean(), rel=1e-10)
    assert_allclose(gmm.predict_proba(X), posterior[:, :-1], atol=1e-10)
    assert_allclose(gmm.noise_proba(X), posterior[:, -1], atol=1e-10)
    best = posterior.argmax(axis=1)
    assert_array_equal(gmm.predict(X), np.where(best == 2, -1, best))
    assert_array_equal(gmm.labels_, gmm.predict(X))
    icl = gmm.bic(X) - 2 * np.log(posterior.max(axis=1)).sum()
    assert gmm.icl(X) == pytest.approx(icl, rel=1e-10)
    # At a maximum the weights are mean responsibilities.
    assert_allclose(gmm.weights_, posterior[:, :-1].mean(axis=0), atol=1e-3)
    assert gmm.weights_.sum() + gmm.noise_weight_ == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_acceleration_leads_to_the_maximum_of_plain_em(name):
    start = np.where(TRUTH == 2, -1, TRUTH)
    make = GaussianMixtureEM(
        2, covariance_type=name, noise="uniform", init_params=start, tol=1e-12
    )
    fast, plain = make.fit(ROWS), clone(make).set_params(acceleration=None).fit(ROWS)
    assert fast.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-9)
    assert fast.n_iter_ < plain.n_iter_
    assert (np.diff(plain.lower_bounds_) > -1e-12).all()


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3])
def test_starts_need_not_know_which_rows_are_noise(share):
    rng = np.random.default_rng(int(100 * share))
    clusters = blobs_at(rng, [[-6, 0], [0, 6], [6, 0]], 150)
    n_noise = int(share / (1 - share) * len(clusters))
    noise = rng.uniform(
        clusters.min(axis=0) - 3, clusters.max(axis=0) + 3, (n_noise, 2)
    )
    X, labels = np.concatenate([clusters, noise]), np.repeat([0, 1, 2], 150)
    gmm = GaussianMixtureEM(3, noise="uniform").fit(X)
    search = GaussianMixtureIC(
        [1, 2, 3, 4, 5], covariance_type=["VII", "EEE", "VVV"], noise="uniform"
    ).fit(X)
    assert search.best_params_["n_components"] == 3
    for found in gmm, search:
        assert found.noise_weight_ == pytest.approx(share, abs=0.04)
        nearest = found.predict_proba(clusters).argmax(axis=1)
        assert adjusted_rand_score(labels, nearest) > 0.97


def test_without_noise_in_the_rows_its_weight_vanishes():
    X = blobs_at(np.random.default_rng(3), [[-6, 0], [6, 0]], 500)
    gmm = GaussianMixtureEM(2, noise="uniform", tol=1e-9).fit(X)
    plain = GaussianMixtureEM(2, tol=1e-9).fit(X)
    assert gmm.noise_weight_ < 0.01
    assert gmm.lower_bound_ >= plain.lower_bound_ - 1e-6


def test_a_number_is_the_volume():
    gmm = GaussianMixtureEM(2, noise=1000.0).fit(ROWS)
    assert np.prod(gmm.noise_box_[1]) == pytest.approx(1000)
    least, greatest = ROWS.min(axis=0), ROWS.max(axis=0)
    assert_allclose(gmm.noise_box_[0], (least + greatest) / 2)
    ratio = gmm.noise_box_[1] / (greatest - least)
    assert ratio[0] == pytest.approx(ratio[1])
    for volume in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="noise"):
            GaussianMixtureEM(2, noise=volume).fit(ROWS)
    with pytest.raises(ValueError, match="noise"):
        GaussianMixtureEM(2, noise="gaussian").fit(ROWS)
    with pytest.raises(ValueError, match="noise=True: pass 'uniform'"):
        GaussianMixtureEM(2, noise=True).fit(ROWS)


def test_the_smaller_box_counts():
    rng = np.random.default_rng(5)
    X = rng.uniform(-1, 1, (400, 2)) * [10, 1] @ [[0.6, 0.8], [-0.8, 0.6]]
    gmm = GaussianMixtureEM(1, noise="uniform").fit(X)
    assert np.prod(gmm.noise_box_[1]) < 0.5 * np.prod(np.ptp(X, axis=0))
    along = X @ np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2].T
    assert np.prod(gmm.noise_box_[1]) == pytest.approx(np.prod(np.ptp(along, axis=0)))


def test_units_shifts_and_constant_features_play_no_part():
    gmm = GaussianMixtureEM(2, covariance_type="VVI", noise="uniform", tol=1e-9)
    expected = clone(gmm).fit(ROWS)
    shifted = clone(gmm).fit(ROWS + 1e6)
    assert_allclose(
        shifted.predict_proba(ROWS + 1e6), expected.predict_proba(ROWS), atol=1e-6
    )
    far = clone(gmm).fit(ROWS * 1e100)
    assert far.noise_weight_ == pytest.approx(expected.noise_weight_, abs=1e-6)
    assert_array_equal(far.labels_, expected.labels_)
    constant = clone(gmm).fit(np.column_stack([ROWS, np.full(len(ROWS), 7.0)]))
    assert constant.noise_weight_ == pytest.approx(expected.noise_weight_, abs=1e-3)


def test_weights_are_repetitions():
    weights = np.random.default_rng(0).integers(0, 4, len(ROWS))
    # The box is that of the rows with weight, which are the same.
    gmm = GaussianMixtureEM(2, noise="uniform", init_params="kmeans", tol=1e-10)
    weighted = clone(gmm).fit(ROWS, sample_weight=weights)
    repeated = clone(gmm).fit(np.repeat(ROWS, weights, axis=0))
    assert weighted.noise_weight_ == pytest.approx(repeated.noise_weight_, abs=1e-6)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-9)
    assert_allclose(weighted.noise_box_, repeated.noise_box_)


@pytest.mark.parametrize("name", ["full", "tied", "diag"])
def test_rows_may_come_from_any_source(name, tmp_path, monkeypatch):
    da = pytest.importorskip("dask.array")
    start = np.where(TRUTH == 2, -1, TRUTH)
    gmm = GaussianMixtureEM(2, covariance_type=name, noise="uniform", init_params=start)
    expected = clone(gmm).fit(ROWS)
    blocks = [ROWS[:100], ROWS[100:101], ROWS[101:]]
    np.save(tmp_path / "rows.npy", ROWS)
    monkeypatch.setattr(emgmm._data.maps, "LARGE", 100)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for X in blocks, da.from_array(ROWS, chunks=(200, 2)), mapped:
        found = clone(gmm).fit(X)
        assert_same_fit(found, expected)
        assert found.noise_weight_ == pytest.approx(expected.noise_weight_, rel=1e-9)
        assert_allclose(found.noise_box_, expected.noise_box_)
    proba = np.concatenate(list(expected.noise_proba(blocks)))
    assert_allclose(proba, expected.noise_proba(ROWS), rtol=1e-12)


def test_float32_is_as_accurate_as_its_rows():
    single = GaussianMixtureEM(2, noise="uniform").fit(ROWS.astype(np.float32))
    double = GaussianMixtureEM(2, noise="uniform").fit(ROWS)
    assert single.weights_.dtype == single.predict_proba(ROWS[:2].astype("f")).dtype
    assert single.lower_bound_ == pytest.approx(double.lower_bound_, rel=1e-5)
    assert single.noise_weight_ == pytest.approx(double.noise_weight_, abs=1e-3)


def test_samples_have_the_shares_of_the_weights():
    gmm = GaussianMixtureEM(2, noise="uniform").fit(ROWS)
    rows, labels = gmm.sample(20_000, random_state=0)
    shares = np.bincount(labels + 1, minlength=3) / len(labels)
    assert_allclose(shares, np.append(gmm.noise_weight_, gmm.weights_), atol=0.015)
    noise = rows[labels == -1]
    assert (np.abs(noise - gmm.noise_box_[0]) <= gmm.noise_box_[1] / 2).all()
    assert_allclose(noise.std(axis=0), gmm.noise_box_[1] / 12**0.5, rtol=0.03)


def test_other_methods_are_of_the_components_alone():
    gmm = GaussianMixtureEM(2, noise="uniform").fit(ROWS)
    assert gmm.mixture_.weights.sum() == pytest.approx(1)
    alone = GaussianMixtureEM.from_parameters(
        gmm.mixture_.weights, gmm.means_, gmm.covariances_
    )
    holes = ROWS[:5].copy()
    holes[:, 0] = np.nan
    assert_allclose(gmm.impute(holes), alone.impute(holes))
    assert_allclose(
        gmm.conditional_mean(holes[:, 1:], given=1),
        alone.conditional_mean(holes[:, 1:], given=1),
    )
    assert (alone.noise_proba(ROWS) == 0).all()


def test_files_pickles_and_refits(tmp_path):
    gmm = GaussianMixtureEM(2, noise="uniform", warm_start=True).fit(ROWS)
    gmm.save(tmp_path / "model.npz")
    loaded = GaussianMixtureEM.load(tmp_path / "model.npz")
    for other in loaded, pickle.loads(pickle.dumps(gmm)):
        assert other.noise_weight_ == gmm.noise_weight_
        assert_array_equal(other.noise_proba(ROWS), gmm.noise_proba(ROWS))
        assert_array_equal(other.predict(ROWS), gmm.predict(ROWS))
    gmm.set_params(noise=None, warm_start=False).fit(ROWS)
    assert not hasattr(gmm, "noise_weight_")
    assert (gmm.labels_ >= 0).all()


def test_warm_start_continues_as_if_not_interrupted():
    start = np.where(TRUTH == 2, -1, TRUTH)
    whole = GaussianMixtureEM(2, noise="uniform", init_params=start, tol=0, max_iter=8)
    whole.fit(ROWS)
    steps = clone(whole).set_params(max_iter=1, warm_start=True)
    for _ in range(8):
        steps.fit(ROWS)
    assert steps.lower_bound_ == whole.lower_bound_
    assert_array_equal(steps.means_, whole.means_)


@pytest.mark.parametrize("after", [None, 1000.0])
def test_warm_start_has_the_noise_that_is_asked_for(after):
    gmm = GaussianMixtureEM(2, noise=30.0, warm_start=True).fit(ROWS)
    gmm.set_params(noise=after).fit(ROWS)
    afresh = GaussianMixtureEM(2, noise=after).fit(ROWS)
    assert hasattr(gmm, "noise_weight_") == (after is not None)
    assert_allclose(gmm.score_samples(ROWS).mean(), gmm.lower_bound_, rtol=1e-12)
    if after is not None:
        assert_allclose(gmm.noise_box_, afresh.noise_box_, rtol=1e-12)
    assert_allclose(gmm.weights_.sum() + getattr(gmm, "noise_weight_", 0), 1)


def test_weights_of_a_fit_with_noise_are_fixed_without_it():
    gmm = GaussianMixtureEM(2, noise="uniform", warm_start=True).fit(ROWS)
    expected = gmm.weights_ / gmm.weights_.sum()
    gmm.set_params(noise=None, fixed="weights").fit(ROWS)
    assert_allclose(gmm.weights_, expected, rtol=1e-12)


@pytest.mark.parametrize("start", ["split", "kmeans"])
def test_starts_by_name_have_noise_beside_means_that_are_fixed(start):
    means = np.array([[-3.0, 0.0], [3.0, 0.0]])
    gmm = GaussianMixtureEM(
        2, noise="uniform", init_params=start, means_init=means, fixed="means"
    ).fit(ROWS)
    assert_array_equal(gmm.means_, means)
    log_joint = dense_log_joint(gmm, ROWS)
    assert_allclose(gmm.lower_bound_, logsumexp(log_joint, axis=1).mean(), rtol=1e-9)


def test_all_rows_may_be_noise():
    rng = np.random.default_rng(0)
    X = blobs_at(rng, [(0, 0), (4, 4)], 100)
    gmm = GaussianMixtureEM(3, noise=5.0).fit(X)
    assert_allclose(gmm.weights_.sum() + gmm.noise_weight_, 1)


def test_rows_without_weight_are_not_in_the_box_of_blocks():
    weights = np.ones(len(ROWS))
    weights[ROWS[:, 0] > np.quantile(ROWS[:, 0], 0.9)] = 0.0
    gmm = GaussianMixtureEM(2, noise="uniform").fit(ROWS, sample_weight=weights)
    blocks = [(ROWS[:50], weights[:50]), (ROWS[50:], weights[50:])]
    of_blocks = clone(gmm).fit(blocks)
    assert_allclose(of_blocks.noise_box_, gmm.noise_box_, rtol=1e-12)
    assert_allclose(of_blocks.lower_bound_, gmm.lower_bound_, rtol=1e-9)


def test_private_names_of_scikit_learn_know_of_the_noise():
    gmm = GaussianMixtureEM(2, noise="uniform").fit(ROWS)
    log_density, log_responsibilities = gmm._estimate_log_prob_resp(ROWS)
    assert_allclose(log_density, gmm.score_samples(ROWS), rtol=1e-9)
    expected = gmm.predict_proba(ROWS)
    assert_allclose(np.exp(log_responsibilities), expected, atol=1e-12)


def test_batches_approach_the_fit():
    rng = np.random.default_rng(1)
    X = np.concatenate(
        [
            rng.normal(-4, 1, (4000, 2)),
            rng.normal(4, 1, (4000, 2)),
            rng.uniform(-9, 9, (2000, 2)),
        ]
    )
    rng.shuffle(X)
    whole = GaussianMixtureEM(2, noise="uniform").fit(X)
    stream = GaussianMixtureEM(2, noise="uniform")
    for batch in np.split(X, 20):
        stream.partial_fit(batch)
    assert stream.noise_weight_ == pytest.approx(whole.noise_weight_, abs=0.02)
    assert_allclose(
        np.sort(stream.means_, axis=0), np.sort(whole.means_, axis=0), atol=0.1
    )
    before = stream.noise_box_
    stream.partial_fit(X[:10] * 100)
    assert_array_equal(stream.noise_box_, before)


def test_rows_far_away_are_noise():
    gmm = GaussianMixtureEM(2, noise="uniform").fit(ROWS)
    far = np.array([[1e4, 0.0], [1e100, 1e100], [-1e300, 0.0]])
    assert_array_equal(gmm.predict(far), [-1, -1, -1])
    assert_array_equal(gmm.noise_proba(far), np.ones(3))


def test_a_search_counts_the_weight_of_the_noise():
    search = GaussianMixtureIC([1, 2], covariance_type=["VVV", "EII"], noise="uniform")
    search.fit(ROWS)
    table = search.results_
    best = search.best_index_
    assert table["n_parameters"].tolist() == [6, 4, 12, 7]
    assert search.bic(ROWS) == pytest.approx(table["bic"][best], rel=1e-8)
    assert search.icl(ROWS) == pytest.approx(table["icl"][best], rel=1e-8)
    assert search.noise_weight_ == search.best_estimator_.noise_weight_
    assert (search.labels_ == -1).any()


def test_displays_show_noise_in_grey():
    gmm = GaussianMixtureEM(2, noise="uniform").fit(ROWS)
    for kind in ("classification", "uncertainty", "density"):
        display = MixtureDisplay.from_estimator(gmm, ROWS, kind=kind)
        assert sum(len(each.get_offsets()) for each in display.scatter_[0, 0]) == len(
            ROWS
        )
        if kind != "density":
            texts = [text.get_text() for text in display.legend_.get_texts()]
            assert f"noise ({gmm.noise_weight_:.0%})" in texts
        plt.close(display.figure_)
    noise, *_ = MixtureDisplay.from_estimator(gmm, ROWS).scatter_[0, 0]
    assert len(noise.get_offsets()) == np.count_nonzero(gmm.labels_ == -1)
    assert_allclose(noise.get_facecolor()[0, :3], 0.55)
    plt.close("all")


def test_batches_cannot_change_whether_there_is_noise():
    gmm = GaussianMixtureEM(2, noise="uniform").fit(ROWS)
    with pytest.raises(ValueError, match="noise=None, but partial_fit continues"):
        gmm.set_params(noise=None).partial_fit(ROWS)
    gmm.fit(ROWS)
    with pytest.raises(ValueError, match="a mixture without noise"):
        gmm.set_params(noise="uniform").partial_fit(ROWS)
