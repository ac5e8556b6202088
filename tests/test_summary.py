"""Summaries of mixtures and searches: numbers, text, HTML and data frames."""

from __future__ import annotations

import builtins
import json
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from emgmm import DegenerateComponentWarning, GaussianMixtureEM, GaussianMixtureIC
from emgmm._model.families import MODELS
from emgmm._summary.making import LEVELS
from emgmm._summary.objects import DESCRIPTIONS

DATA = Path(__file__).parent / "data"
OF_ROWS = ["n_samples", "log_likelihood", "bic", "icl", "aic", "uncertainty"]


@pytest.fixture(scope="module")
def rows():
    return make_blobs(0, 200, 2, 2)


@pytest.fixture(scope="module")
def gmm(rows):
    return GaussianMixtureEM(3, covariance_type="VEV").fit(rows)


def assert_numbers_are_those_of_the_methods(summary, gmm, X, sample_weight=None):
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    total = gmm.score(X, sample_weight=sample_weight) * weights.sum()
    noise = gmm.noise_proba(X)
    greatest = np.maximum(gmm.predict_proba(X).max(axis=1), noise)
    uncertainty, labels = 1 - greatest, gmm.predict(X)
    assert summary.n_samples == pytest.approx(weights.sum(), rel=1e-12)
    assert summary.log_likelihood == pytest.approx(total, rel=1e-10)
    for name in ("bic", "icl", "aic"):
        args = () if sample_weight is None else (sample_weight,)
        expected = getattr(gmm, name)(X, *args)
        assert getattr(summary, name) == pytest.approx(expected, rel=1e-10)
    sizes = [weights[labels == k].sum() for k in range(len(gmm.weights_))]
    assert_allclose(summary.sizes, sizes, rtol=1e-12)
    mean = np.average(uncertainty, weights=weights)
    assert summary.uncertainty == pytest.approx(mean, rel=1e-5, abs=1e-7)
    for k, own in enumerate(summary.uncertainties):
        if sizes[k]:
            chosen = labels == k
            mean = np.average(uncertainty[chosen], weights=weights[chosen])
            assert own == pytest.approx(mean, rel=1e-5, abs=1e-7)
    for level in LEVELS:
        assert summary.uncertain[level] == weights[uncertainty > level].sum()
    assert_array_equal(summary.means, gmm.means_)
    assert_allclose(summary.weights, gmm.weights_, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("noise", [None, "uniform"])
def test_numbers_are_those_of_the_methods(rows, weighted, gaps, dtype, noise):
    X = rows.astype(dtype)
    if gaps:
        X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    weights = np.arange(200) % 3 / 2 if weighted else None
    gmm = GaussianMixtureEM(2, noise=noise).fit(X, sample_weight=weights)
    summary = gmm.summary(X, sample_weight=weights)
    assert_numbers_are_those_of_the_methods(summary, gmm, X, weights)
    if noise:
        own = np.ones(200) if weights is None else weights
        assert summary.noise_weight == pytest.approx(gmm.noise_weight_, rel=1e-6)
        assert summary.noise_size == own[gmm.predict(X) == -1].sum()
    deviations = np.sqrt(np.diagonal(gmm.covariances_, axis1=1, axis2=2))
    assert_allclose(summary.standard_deviations, deviations, rtol=1e-6)


def test_without_rows_the_fit_tells_what_it_can(rows, gmm):
    known, all_known = gmm.summary(), gmm.summary(rows)
    for name in ("n_samples", "log_likelihood", "bic", "aic", "sizes"):
        expected = getattr(all_known, name)
        assert_allclose(getattr(known, name), expected, rtol=1e-12)
    assert known.icl is known.uncertainty is known.uncertain is known.warnings is None
    assert known.converged is True and known.n_iter == gmm.n_iter_


def test_what_is_not_known_is_left_out(rows):
    weighted = GaussianMixtureEM(2).fit(rows, sample_weight=np.full(200, 2.0))
    assert weighted.summary().sizes is None and weighted.summary().n_samples == 400
    prior = GaussianMixtureEM(2, prior="conjugate").fit(rows)
    assert prior.summary().bic is None and prior.summary().sizes is not None
    assert prior.summary(rows).bic == pytest.approx(prior.bic(rows), rel=1e-12)
    parts = GaussianMixtureEM(2).partial_fit(rows).summary()
    assert parts.n_samples == 200
    assert parts.log_likelihood is parts.converged is parts.sizes is None
    made = GaussianMixtureEM.from_parameters([1.0], [[2.0]], [[[4.0]]]).summary()
    assert made.n_samples is made.bic is made.converged is None
    assert made.standard_deviations == 2 and made.n_parameters == 2
    assert "VVV with 1 component:" in str(made) and "None" not in str(made)


def test_rows_may_be_blocks_or_dask(rows, gmm):
    dask = pytest.importorskip("dask.array")
    expected = gmm.summary(rows)
    for X in ([rows[:70], rows[70:]], dask.from_array(rows, chunks=(60, 2))):
        summary = gmm.summary(X)
        for name in [*OF_ROWS, "sizes", "uncertainties"]:
            values = getattr(summary, name), getattr(expected, name)
            assert_allclose(*values, rtol=1e-10)
        assert summary.uncertain == expected.uncertain


def test_mclust_has_the_same_criteria():
    data = json.loads((DATA / "me_iris.json").read_text(encoding="utf-8"))
    reference = json.loads((DATA / "search_iris.json").read_text(encoding="utf-8"))
    X = np.array(data["data"])
    best = reference["best_bic"]
    summary = GaussianMixtureIC(range(1, 4)).fit(X).summary()
    assert summary.best.model == best["model"] and summary.best.n_components == 2
    # What `summary(Mclust(iris[, 1:4], G = 2, modelNames = "VEV"))` prints in R.
    assert summary.best.log_likelihood == pytest.approx(-215.726, abs=6e-4)
    assert summary.best.n_parameters == 26 and summary.best.n_samples == 150
    assert summary.best.bic == pytest.approx(561.7285, abs=6e-5)
    assert summary.best.icl == pytest.approx(561.7289, abs=6e-5)
    assert_array_equal(summary.best.sizes, [100, 50])
    # The second of `summary(mclustBIC(iris[, 1:4]))`.
    assert summary.candidates["difference"][1] == pytest.approx(0.8237748, abs=2e-3)


def test_warnings_are_worded_as_those_of_the_fit():
    X = np.r_[np.arange(20.0), 1000.0][:, None]
    with pytest.warns(DegenerateComponentWarning) as caught:
        gmm = GaussianMixtureEM(2).fit(X)
    texts = gmm.summary(X).warnings
    assert str(caught[0].message).startswith("; ".join(texts) + ". ")
    assert f"warning: {texts[0]}" in str(gmm.summary(X))
    assert all(text in gmm.summary(X)._repr_html_() for text in texts)
    assert GaussianMixtureEM(1).fit(X[:20]).summary(X[:20]).warnings == ()


def test_every_model_is_described_in_words():
    assert set(DESCRIPTIONS) == set(MODELS)


def test_the_search_lists_its_best_candidates(rows):
    search = GaussianMixtureIC([1, 2, 3], covariance_type=["EEE", "VVV"]).fit(rows)
    summary, order = search.summary(top=3), np.argsort(search.criterion_)
    order = order[search.results_["eligible"][order]][:3]
    assert_array_equal(summary.candidates["criterion"], search.criterion_[order])
    differences = search.criterion_[order] - search.criterion_[order[0]]
    assert_array_equal(summary.candidates["difference"], differences)
    best = search.best_index_
    for name in ("log_likelihood", "bic", "icl", "aic"):
        assert getattr(summary.best, name) == search.results_[name][best]
    with_rows = search.summary(rows, top=1)
    assert len(with_rows.to_frame()) == 1
    assert_numbers_are_those_of_the_methods(with_rows.best, search, rows)
    assert list(summary.to_frame()["n_components"]) == list(
        summary.candidates["n_components"]
    )
    text = str(summary)
    assert text.startswith("The best of 6 candidates by BIC (lower is better):\n")
    assert text.endswith(str(summary.best))
    with pytest.raises(ValueError, match="top == 0"):
        search.summary(top=0)


def test_the_doubts_of_a_search_are_in_its_summary():
    X = np.r_[np.arange(20.0), 1000.0][:, None]
    with pytest.warns(DegenerateComponentWarning):
        search = GaussianMixtureIC([2], covariance_type="VII").fit(X)
    doubts = search.results_["failure"][0]
    for summary in (search.summary(), search.summary(X)):
        assert doubts and "; ".join(summary.best.warnings) == doubts


def test_a_function_as_criterion_has_a_name(rows):
    def criterion(gmm, X, sample_weight):
        return gmm.bic(X)

    search = GaussianMixtureIC([1, 2], covariance_type="EEE", criterion=criterion)
    assert "candidates by criterion" in str(search.fit(rows).summary())


def test_text_has_80_columns_and_folds_many_features():
    X = pd.DataFrame(make_blobs(0, 60, 12, 1))
    X.columns = [f"a feature with a long name {j}" for j in range(12)]
    gmm = GaussianMixtureEM(1, covariance_type="diag").fit(X)
    summary = gmm.summary(X)
    assert summary.feature_names == tuple(X.columns)
    lines, whole = str(summary).splitlines(), summary.text(all_features=True)
    assert max(map(len, [*lines, *whole.splitlines()])) < 80
    assert "and 8 more features" in lines
    for value in gmm.means_.flat:
        assert f"{value:.5g}" in whole.split()


class Nesting(HTMLParser):
    """Checks that elements are closed in order, and collects texts."""

    def __init__(self, html):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_is_well_formed_and_escapes_names(rows):
    names = ["<script>alert(1)</script>", "a & b\x1b"]
    X = pd.DataFrame(rows, columns=names)
    search = GaussianMixtureIC([1, 2], covariance_type="EEE").fit(X)
    html = search.summary(X)._repr_html_()
    parsed = Nesting(html)
    assert "script" not in html.replace("&lt;script", "").replace("&lt;/script", "")
    assert names[0] in parsed.texts and "a & b\\x1b" in parsed.texts
    for value in search.means_.flat:
        assert f"{value:.5g}" in parsed.texts
    assert search.summary(X).best.description in parsed.texts


def test_frames_have_components_and_noise(rows):
    X = pd.DataFrame(rows, columns=["a", "b"])
    gmm = GaussianMixtureEM(2, noise="uniform").fit(X)
    frame = gmm.summary(X).to_frame()
    assert list(frame.index) == [0, 1, "noise"]
    assert_array_equal(frame["mean"].loc[[0, 1], ["a", "b"]], gmm.means_)
    assert frame["rows"].sum() == 200 and frame["weight"].sum() == pytest.approx(1)
    assert list(gmm.summary().to_frame()["std"]) == ["a", "b"]


def test_frames_need_pandas(gmm, monkeypatch):
    load = builtins.__import__

    def without_pandas(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(ImportError, match="to_frame needs pandas: install it"):
        gmm.summary().to_frame()


def test_summaries_do_not_change_with_the_estimator(rows):
    gmm = GaussianMixtureEM(2).fit(rows)
    summary = gmm.summary()
    means = summary.means.copy()
    gmm.means_ += 1
    assert_array_equal(summary.means, means)
    with pytest.raises(AttributeError):
        summary.bic = 0


def test_errors(rows, gmm):
    with pytest.raises(NotFittedError):
        GaussianMixtureEM().summary()
    with pytest.raises(NotFittedError):
        GaussianMixtureIC().summary(rows)
    with pytest.raises(ValueError, match="sample_weight has no effect without X"):
        gmm.summary(sample_weight=np.ones(200))
    with pytest.raises(ValueError, match="features"):
        gmm.summary(rows[:, :1])
    with pytest.raises(ValueError, match="only once .* pass a list of blocks"):
        gmm.summary(block for block in [rows])


def test_a_summary_causes_no_warnings(rows, gmm):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        str(gmm.summary(rows)), str(gmm.summary())
    assert not caught
