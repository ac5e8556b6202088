"""Rows that are easily misread: masked ones, dates, text, and what is no table."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import make_blobs
from matplotlib.figure import Figure
from numpy.testing import assert_array_equal

from emgmm import GaussianMixtureEM, GaussianMixtureIC, Mixture, MixtureDisplay

ROWS = make_blobs(seed=5, n_samples=60, n_features=2, n_components=2)
GAPS = np.random.default_rng(0).uniform(size=ROWS.shape) < 0.1
WITH_NAN = np.where(GAPS, np.nan, ROWS)
MASKED = np.ma.masked_array(np.where(GAPS, 1e6, ROWS), mask=GAPS)
DAYS = np.array(["2020-01-01", "NaT", "2020-01-03"] * 20, "M8[D]")[:, None]
FITTED = GaussianMixtureEM(2).fit(ROWS)
SEARCH = {"n_components": [1, 2], "covariance_type": ["EEE", "VVV"]}


def drawn_rows(X):
    """Those of a picture on axes of its own, which need not be closed."""
    ax = Figure().subplots()
    return MixtureDisplay.from_estimator(FITTED, X, ax=ax).X


USES = {
    "fit": lambda X: GaussianMixtureEM(2).fit(X).means_,
    "fit_predict": lambda X: GaussianMixtureEM(2).fit_predict(X),
    "blocks": lambda X: GaussianMixtureEM(2).fit(lambda: [X, X]).means_,
    "partial_fit": lambda X: GaussianMixtureEM(1).partial_fit(X).means_,
    "search": lambda X: GaussianMixtureIC(**SEARCH).fit(X).criterion_,
    "predict": FITTED.predict,
    "predict_proba": FITTED.predict_proba,
    "predict_blocks": lambda X: next(FITTED.predict(lambda: [X])),
    "score_samples": FITTED.score_samples,
    "score": FITTED.score,
    "bic": FITTED.bic,
    "icl": FITTED.icl,
    "impute": FITTED.impute,
    "conditional_mean": lambda X: FITTED.mixture_.log_density(X),
    "log_density": FITTED.mixture_.log_density,
    "display": drawn_rows,
}


@pytest.mark.parametrize("use", USES)
def test_masked_values_are_missing(use):
    assert_array_equal(USES[use](MASKED), USES[use](WITH_NAN))


def test_values_under_a_mask_are_missing():
    given = MASKED[:, :1]
    mean = FITTED.conditional_mean(given, given=0)
    assert_array_equal(mean, FITTED.conditional_mean(WITH_NAN[:, :1], given=0))


@pytest.mark.parametrize(
    "masked, plain",
    [
        (MASKED.astype(np.float32), WITH_NAN.astype(np.float32)),
        (np.ma.masked_array([[1, 2], [3, 4], [5, 0]], mask=[[0, 1]] * 2 + [[0, 0]]),)
        + ([[1.0, np.nan], [3.0, np.nan], [5.0, 0.0]],),
        (MASKED.astype(object), WITH_NAN),
        (np.ma.masked_array(ROWS), ROWS),
        (list(MASKED), WITH_NAN),
    ],
    ids=["float32", "integers", "objects", "no mask", "list"],
)
def test_the_type_of_masked_rows_is_kept(masked, plain):
    imputed, expected = FITTED.impute(masked), FITTED.impute(plain)
    assert_array_equal(imputed, expected)
    assert imputed.dtype == expected.dtype


def test_masked_rows_of_dask_are_missing():
    da = pytest.importorskip("dask.array")
    X = da.from_array(MASKED, chunks=(30, 2))
    plain = da.from_array(WITH_NAN, chunks=(30, 2))
    means = [GaussianMixtureEM(2).fit(rows).means_ for rows in (X, plain)]
    assert_array_equal(*means)


def test_the_rows_under_a_mask_are_not_altered():
    before = MASKED.data.copy()
    GaussianMixtureEM(2).fit(MASKED)
    assert_array_equal(MASKED.data, before)


def test_the_probability_of_a_masked_value_is_missing():
    mixture = Mixture([1.0], [[0.0]], [[[1.0]]])
    values = np.ma.masked_array([0.0, 5.0], mask=[False, True])
    assert_array_equal(mixture.cdf(values), [0.5, np.nan])


@pytest.mark.parametrize(
    "use",
    [
        lambda values: GaussianMixtureEM(1).fit(ROWS, sample_weight=values),
        lambda values: GaussianMixtureIC(1).fit(ROWS, sample_weight=values),
        lambda values: GaussianMixtureEM(1).partial_fit(ROWS, sample_weight=values),
        lambda values: GaussianMixtureEM(1).fit(lambda: [(ROWS, values)]),
        lambda values: FITTED.score(ROWS, sample_weight=values),
        lambda values: GaussianMixtureEM(2, init_params=values).fit(ROWS),
        lambda values: GaussianMixtureEM(60, weights_init=values / 30).fit(ROWS),
    ],
)
def test_masked_weights_and_parameters_are_refused(use):
    values = np.ma.masked_array(np.arange(60) % 2, mask=np.arange(60) < 5)
    with pytest.raises(ValueError, match=r"has masked values.*numpy\.ma\.filled"):
        use(values)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "rows, remedy",
    [
        (DAYS, "holds dates or times: make numbers of them, such as days"),
        (DAYS - DAYS[0], "holds durations: make numbers of them, such as days"),
        (DAYS.astype(object), "must be|float|dates or times"),
        ((DAYS - DAYS[0]).tolist(), "number"),
        (list(map(list, DAYS)), "holds dates or times"),
    ],
    ids=["dates", "durations", "objects", "timedeltas", "list"],
)
def test_dates_and_durations_are_refused(use, rows, remedy):
    if isinstance(rows, np.ndarray):
        rows = np.repeat(rows, 2, axis=1)
    with pytest.raises((TypeError, ValueError), match=remedy):
        USES[use](rows)


@pytest.mark.parametrize("kind", ["M8[D]", "m8[D]"])
def test_dates_as_weights_are_refused(kind):
    for values in (np.ones(60, kind), np.array(list(np.ones(60, kind)), dtype=object)):
        with pytest.raises(ValueError, match="sample_weight must hold real numbers"):
            GaussianMixtureEM(1).fit(ROWS, sample_weight=values)


DATED = {
    "dates": pd.to_datetime(DAYS[:, 0]),
    "zone": pd.date_range("2020", periods=60, tz="UTC"),
    "durations": pd.to_timedelta((DAYS - DAYS[0])[:, 0]),
}


@pytest.mark.parametrize("dates", DATED.values(), ids=DATED)
@pytest.mark.parametrize("use", ["fit", "partial_fit", "search", "blocks"])
def test_columns_of_dates_are_named(use, dates):
    frame = pd.DataFrame({"a": ROWS[:, 0], "when": dates})
    with pytest.raises(ValueError, match=r"in column 'when': make numbers of them"):
        USES[use](frame)
    with pytest.raises(ValueError, match=r"in column 'when': make numbers of them"):
        USES[use](frame[["when"]])


@pytest.mark.parametrize("series", [DAYS[:, 0], (DAYS - DAYS[0])[:, 0]])
def test_columns_of_dates_are_named_in_polars_and_arrow(series):
    frame = pl.DataFrame({"a": ROWS[:, 0]})
    frame = frame.with_columns(
        when=pl.Series(series.astype(f"{series.dtype.kind}8[us]"))
    )
    for table in (frame, frame.to_arrow(), frame.select("when").to_arrow()):
        with pytest.raises(ValueError, match="in column 'when': make numbers of them"):
            GaussianMixtureEM(1).fit(table)


def test_columns_of_dates_are_named_in_dask():
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame({"a": ROWS[:, 0], "when": DATED["dates"]})
    with pytest.raises(ValueError, match="in column 'when': make numbers of them"):
        GaussianMixtureEM(1).fit(dd.from_pandas(frame, npartitions=2))


TEXT = {
    "pandas": pd.DataFrame({"a": ROWS[:, 0], "b": ["1", "x"] * 30, "c": ["y"] * 60}),
    "categories": pd.DataFrame(
        {"a": ROWS[:, 0], "b": pd.Categorical(["x", "z"] * 30), "c": ["y"] * 60}
    ),
    "polars": pl.DataFrame({"a": ROWS[:, 0], "b": ["1", "x"] * 30, "c": ["y"] * 60}),
}


@pytest.mark.parametrize("frame", TEXT.values(), ids=TEXT)
@pytest.mark.parametrize("use", ["fit", "partial_fit", "search", "blocks"])
def test_columns_of_text_are_named_and_no_others(use, frame):
    with pytest.raises(
        ValueError, match="not numbers in columns 'b', 'c', such as 'x'"
    ):
        USES[use](frame)


def test_columns_of_text_are_named_where_names_are_numbers():
    rows = np.array([[1.0, "a"], [2.0, "b"]], dtype=object)
    with pytest.raises(ValueError, match="not numbers in column 1, such as 'a'"):
        GaussianMixtureEM(1).fit(rows)


def test_columns_of_dates_as_objects_are_named():
    day = datetime.date(2020, 1, 1)
    frame = pd.DataFrame({"a": [1.0, 2.0, None], "day": [day, None, day]})
    with pytest.raises(
        TypeError, match="not numbers in column 'day', such as datetime"
    ):
        GaussianMixtureEM(1).fit(frame)


def test_many_columns_of_text_are_not_all_named():
    frame = pd.DataFrame([["x"] * 50] * 3)
    with pytest.raises(ValueError, match="in columns 0, 1, 2, 3, 4, ..., such as 'x'"):
        GaussianMixtureEM(1).fit(frame)


def test_other_errors_name_no_columns():
    frame = pd.DataFrame({"a": [1.0, np.inf, 0.0], "b": ["1", "2", "3"]})
    with pytest.raises(ValueError, match="infinity") as caught:
        GaussianMixtureEM(1).fit(frame)
    assert "column" not in str(caught.value)


@pytest.mark.parametrize(
    "X, message",
    [
        (None, "X is None"),
        ([], "X is an empty list: give at least one row"),
        ((), "X is an empty tuple: give at least one row"),
        ({"a": [1.0, 2.0]}, r"X is a dict: .*pandas\.DataFrame\(X\)"),
        ([{"a": 1.0}, {"a": 2.0}], "X is a list, and its first row is a dict"),
        ("rows.csv", r"X is a str: .*pandas\.read_csv"),
        (pl.DataFrame({"a": [1.0, 2.0]}).lazy(), r"X is a LazyFrame: .*\.collect\(\)"),
        ([pl.LazyFrame({"a": [1.0]})], r"first row is a LazyFrame: .*\.collect\(\)"),
        (pd.DataFrame(), "X is an empty DataFrame"),
        (np.zeros(3, [("a", float), ("b", float)]), "X holds records.*unstructured"),
    ],
)
@pytest.mark.parametrize("use", ["fit", "partial_fit", "search", "predict", "impute"])
def test_what_is_no_table_is_named(use, X, message):
    with pytest.raises(ValueError, match=message):
        USES[use](X)


@pytest.mark.parametrize("block", [[], {"a": [1.0]}, pl.LazyFrame({"a": [1.0]}), None])
def test_blocks_that_are_no_tables_are_named(block):
    with pytest.raises(ValueError, match="Block 1 of X, from row 60 on: Expected rows"):
        GaussianMixtureEM(1).fit(lambda: [ROWS, block])


def test_lists_are_double_precision_whatever_is_in_them():
    rows = [np.float32(row) for row in ROWS]
    assert GaussianMixtureEM(1).fit(rows).means_.dtype == np.float64
