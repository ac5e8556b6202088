"""Rows in blocks: the same fit as in memory, and errors that name the block."""

from __future__ import annotations

import itertools
import pickle
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from conftest import (
    assert_same_fit,
    make_blobs,
    rounding_in_float32,
)
from numpy.testing import assert_allclose, assert_array_equal

from emgmm import GaussianMixtureEM

CUTS = [0, 0, 1, 7, 150, 151, 151, 400]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """A hundred rows of three features in a chunk."""
    monkeypatch.setattr("emgmm._data.chunks.CHUNK_SIZE", 300)


@pytest.fixture
def small_samples(monkeypatch):
    """Starts see a few hundred of the rows."""
    monkeypatch.setattr("emgmm._init.subsample.SUBSAMPLE_NUMBERS", 600)


@pytest.fixture(scope="module")
def rows():
    X = make_blobs(seed=1, n_samples=500, n_features=3, n_components=3)
    X.flags.writeable = False
    return X


def with_gaps(X):
    gaps = np.random.default_rng(0).uniform(size=X.shape) < 0.1
    return np.where(gaps, np.nan, X)


def weights_of(X):
    return np.random.default_rng(1).integers(0, 4, len(X)).astype(float)


class Again:
    """Nothing but what can be iterated over again."""

    def __init__(self, blocks):
        self.blocks = blocks

    def __iter__(self):
        return iter(self.blocks)


def mapped(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


@pytest.fixture
def large(monkeypatch, rows, tmp_path):
    """A memory map that is taken for a large one."""
    monkeypatch.setattr("emgmm._data.maps.LARGE", 0)
    return mapped(rows, tmp_path)


class Table:
    """What it takes to be a table, as those of polars and pyarrow are."""

    def __init__(self, X):
        self.shape, self._X = X.shape, X

    def __array__(self, dtype=None, copy=None):
        return self._X if dtype is None else self._X.astype(dtype)


SOURCES = {
    "a list": lambda X: np.split(X, CUTS),
    "a tuple": lambda X: tuple(np.split(X, CUTS)),
    "an iterable": lambda X: Again(np.split(X, CUTS)),
    "a callable": lambda X: lambda: iter(np.split(X, CUTS)),
    "a generator function": lambda X: lambda: (X[i : i + 3] for i in range(0, 500, 3)),
    "data frames": lambda X: [pd.DataFrame(block) for block in np.split(X, CUTS)],
    "tables": lambda X: [Table(block) for block in np.split(X, CUTS)],
    "one block": lambda X: [X],
}


@pytest.mark.parametrize("source", SOURCES)
def test_blocks_are_fitted_like_rows_in_memory(source, rows):
    gmm = GaussianMixtureEM(3, tol=1e-6).fit(SOURCES[source](rows))
    assert_same_fit(gmm, GaussianMixtureEM(3, tol=1e-6).fit(rows))
    assert not hasattr(gmm, "labels_")


def test_a_callable_start_sees_a_sample_in_the_users_units(rows, small_samples):
    seen = []

    def halves(X, n_components, sample_weight, rng):
        seen.append((X.copy(), sample_weight))
        return (X[:, 0] > np.median(X[:, 0])).astype(int)

    tiny = np.ldexp(rows, -400)
    gmm = GaussianMixtureEM(2, init_params=halves).fit(np.split(tiny, CUTS))
    X, weights = seen[0]
    assert len(X) <= 200 and weights.sum() == 200
    assert np.isin(X, tiny).all()
    expected = GaussianMixtureEM(2, init_params=halves).fit(rows)
    assert gmm.score(tiny) == pytest.approx(
        expected.score(rows) + 1200 * np.log(2), abs=0.01
    )


def test_all_starts_see_one_sample(rows):
    passes = []

    def blocks():
        passes.append(1)
        yield from np.split(rows, CUTS)

    settings = {"init_params": "random_from_data", "random_state": 0, "max_iter": 1}
    with pytest.warns(match="did not converge"):
        gmm = GaussianMixtureEM(3, n_init=3, tol=0, **settings).fit(blocks)
    assert len(gmm.lower_bounds_of_starts_) == 3
    assert len(passes) == 1 + 1 + 2  # summary, sample; one for all starts at a time


def test_blocks_are_made_with_the_caller_s_handling_of_numpy_errors(rows):
    def blocks():
        assert np.geterr()["divide"] == "warn"
        yield rows

    GaussianMixtureEM(2).fit(blocks)


def test_sums_do_not_depend_on_how_rows_are_cut(rows):
    fits = [
        GaussianMixtureEM(2).fit(np.array_split(rows, parts)) for parts in (1, 7, 500)
    ]
    for other in fits[1:]:
        assert_array_equal(other.means_, fits[0].means_)
        assert_array_equal(other.lower_bounds_, fits[0].lower_bounds_)


def test_blocks_may_be_written_into_the_same_array(rows):
    def reused():
        buffer = np.empty((7, 3))
        for begin in range(0, 497, 7):
            buffer[:] = rows[begin : begin + 7]
            yield buffer

    expected = GaussianMixtureEM(2).fit(rows[:497])
    assert_same_fit(GaussianMixtureEM(2).fit(reused), expected)


def test_float32_blocks_among_others_are_read_in_float64(rows):
    blocks = np.split(rows, CUTS)
    blocks[4] = blocks[4].astype(np.float32)
    expected = GaussianMixtureEM(2).fit(np.concatenate(blocks))
    assert_same_fit(GaussianMixtureEM(2).fit(blocks), expected)


def test_whole_numbers_are_read_as_rows(rows):
    whole = np.rint(10 * rows).astype(np.int16)
    expected = GaussianMixtureEM(2).fit(whole)
    assert_same_fit(GaussianMixtureEM(2).fit(np.split(whole, CUTS)), expected)


def test_names_of_features_are_those_of_the_blocks(rows):
    frames = [pd.DataFrame(block, columns=list("abc")) for block in np.split(rows, [9])]
    gmm = GaussianMixtureEM(2).fit(frames)
    assert_array_equal(gmm.feature_names_in_, list("abc"))
    frames[1] = frames[1][["b", "a", "c"]]
    with pytest.raises(ValueError, match="Block 1 of X, from row 9 on: The feature na"):
        gmm.fit(frames)


# ---- predictions


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples"])
@pytest.mark.parametrize("prepare", [np.asarray, with_gaps])
def test_predictions_of_blocks_come_in_blocks(method, prepare, rows):
    gmm, X = GaussianMixtureEM(3).fit(rows), prepare(rows)
    blocks = np.split(X, CUTS)
    for given in (blocks, Again(blocks), lambda: iter(blocks), iter(blocks)):
        predicted = getattr(gmm, method)(given)
        assert iter(predicted) is predicted
        predicted = list(predicted)
        assert [len(part) for part in predicted] == [len(block) for block in blocks]
        whole = getattr(gmm, method)(X)
        assert_allclose(np.concatenate(predicted), whole, rtol=1e-9, atol=1e-12)
        assert predicted[0].dtype == whole.dtype


def test_predictions_are_those_of_the_mixture_at_the_call(rows):
    gmm = GaussianMixtureEM(3).fit(rows)
    predicted, expected = gmm.score_samples([rows]), gmm.score_samples(rows)
    gmm.fit(rows[:100])
    assert_array_equal(next(predicted), expected)


@pytest.mark.parametrize("method", ["score", "bic", "aic", "icl"])
@pytest.mark.parametrize("prepare", [np.asarray, with_gaps])
def test_criteria_of_blocks_take_one_pass(method, prepare, rows):
    gmm, X, weights = GaussianMixtureEM(3).fit(rows), prepare(rows), weights_of(rows)
    pairs = zip(np.split(X, CUTS), np.split(weights, CUTS), strict=True)
    expected = getattr(gmm, method)(X, sample_weight=weights)
    assert getattr(gmm, method)(pairs) == pytest.approx(expected, rel=1e-12)


def test_labels_of_an_earlier_fit_do_not_stay(rows):
    gmm = GaussianMixtureEM(3).fit(rows)
    assert hasattr(gmm, "labels_") and not hasattr(gmm.fit([rows]), "labels_")


# ---- what is refused


def pair(X, *weights):
    return [(X, weight) for weight in weights]


@pytest.mark.parametrize(
    "blocks, message",
    [
        (
            [np.ones((4, 3)), np.ones((2, 2))],
            r"Block 1 of X, from row 4 on: X has 2 fe",
        ),
        ([np.eye(3), np.ones(3)], r"Block 1 of X, from row 3 on: Expected 2D array"),
        ([np.eye(3), [[1.0, 2.0, np.inf]]], r"Block 1 .* infinity"),
        ([np.eye(3), [["a", "b", "c"]]], r"Block 1 .* could not convert string"),
        (pair(np.eye(3), [1, 1, 1], [1, -1, 1]), r"Block 1 .*-1.0 at row 1"),
        (pair(np.eye(3), [1, 1]), r"Block 0 .*sample_weight.shape == \(2,\)"),
        (pair(np.eye(3), [0, 0, 0]), r"no row of positive weight"),
        ([np.empty((0, 3))], r"no row of positive weight"),
        ([np.ones((1, 3))], r"minimum of 2"),
        ([np.eye(3), np.eye(3)], r"n_components = 9, n_samples = 6"),
        ([np.full((9, 3), [1.0, np.nan, 1.0])] * 2, r"no value of feature 1"),
    ],
)
def test_blocks_that_cannot_be_fitted_are_refused_by_position(blocks, message):
    gmm = GaussianMixtureEM(9)
    with pytest.raises(ValueError, match=message):
        gmm.fit(Again(blocks))
    assert vars(gmm) == vars(GaussianMixtureEM(9))


def test_an_iterator_is_refused_with_the_remedy(rows):
    class Shared:
        def __init__(self):
            self.blocks = iter([rows, rows])

        def __iter__(self):
            return self.blocks

    for given in (iter([rows]), (block for block in [rows]), Shared()):
        with pytest.raises(ValueError, match="only once.*partial_fit"):
            GaussianMixtureEM(2).fit(given)


def test_a_callable_that_returns_no_iterator_is_refused(rows):
    with pytest.raises(ValueError, match=r"X\(\) returned None: give a callable"):
        GaussianMixtureEM(2).fit(lambda: None)


def test_weights_belong_into_the_blocks(rows):
    with pytest.raises(ValueError, match=r"pairs \(block, weights\)"):
        GaussianMixtureEM(2).fit([rows], sample_weight=np.ones(500))
    with pytest.raises(ValueError, match="sum of 1e-300, which is too extreme"):
        GaussianMixtureEM(2).fit([(rows, np.full(500, 2e-303))])


@pytest.mark.parametrize("n_later, reported", [(0, "0"), (499, "499"), (501, "more")])
def test_an_iterable_of_other_rows_each_time_is_refused(n_later, reported, rows):
    sizes = iter([500, 500, 500])

    def changing():
        yield rows[: next(sizes, n_later) - 100]
        yield np.concatenate([rows, rows])[400 : next(sizes, n_later)]

    def blocks():
        size = next(sizes, n_later)
        for begin in range(0, size, 50):
            yield np.concatenate([rows, rows])[begin : min(begin + 50, size)]

    gmm = GaussianMixtureEM(3, tol=1e-12).fit(rows)
    before = gmm.score(rows)
    with pytest.raises(ValueError, match=f"X gave 500 rows .* and {reported} later"):
        gmm.fit(blocks)
    assert gmm.score(rows) == before


@pytest.mark.parametrize("changing", [2, 3, 5])
def test_a_pass_over_more_rows_than_before_ends_there(changing, rows):
    passes, given = itertools.count(1), []

    def growing():
        number = next(passes)
        for block in np.split(rows, 5) * (9 if number == changing else 1):
            given.append(number)
            yield block

    with pytest.raises(ValueError, match="X gave 500 rows .* and more later"):
        GaussianMixtureEM(3, tol=0).fit(growing)
    assert given.count(changing) == 6


@pytest.mark.parametrize("later", [np.nan, np.inf])
def test_values_that_are_there_only_at_first_are_refused(later, rows):
    passes = itertools.count(1)

    def changing():
        X = rows.copy()
        if next(passes) > 3:
            X[200] = later
        yield from np.split(X, 5)

    with pytest.raises(ValueError, match="Block 2 of X, from row 200 on: Input"):
        GaussianMixtureEM(3, tol=0).fit(changing)


def test_what_an_iterable_raises_is_raised_with_its_position(rows):
    class NoDisk(Exception):
        pass

    def failing():
        for number, block in enumerate(np.split(rows, CUTS)):
            if next_pass[0] > 2 and number == 4:
                raise NoDisk("unplugged")
            yield block
        next_pass[0] += 1

    next_pass = [0]
    gmm = GaussianMixtureEM(3, tol=1e-12)
    with pytest.raises(NoDisk, match="^unplugged") as caught:
        gmm.fit(failing)
    assert caught.value.__notes__ == ["Raised by X where its block 4 was asked for."]
    assert not hasattr(gmm, "means_") and not hasattr(gmm, "n_features_in_")


@pytest.mark.parametrize("raised", [np.linalg.LinAlgError, FloatingPointError])
@pytest.mark.parametrize("failing", [1, 2, 3, 4, 5])
def test_what_an_iterable_raises_is_not_taken_for_a_failure_of_em(
    failing, raised, rows
):
    class Failing:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield rows[:100]
            if self.passes == failing:
                raise raised("of the user's own")
            yield rows[100:]

    with pytest.raises(raised, match="^of the user's own") as caught:
        GaussianMixtureEM(3, tol=0, max_iter=9).fit(Failing())
    assert caught.value.__notes__ == ["Raised by X where its block 1 was asked for."]


def test_errors_where_a_pass_begins_say_so(rows):
    passes = iter([[rows], [rows]])

    def opened():
        try:
            return next(passes)
        except StopIteration:
            raise OSError("unplugged") from None

    class Opened:
        def __iter__(self):
            return iter(opened())

    notes = ["Raised by X where a pass over it was to begin."]
    for X in (opened, lambda: Opened()):
        with pytest.raises(OSError, match="^unplugged") as caught:
            GaussianMixtureEM(3).fit(X)
        assert caught.value.__notes__ == notes


def test_what_is_raised_again_has_its_note_once(rows):
    error = OSError("unplugged")

    def failing():
        yield rows
        raise error

    for _ in range(2):
        with pytest.raises(OSError, match="^unplugged") as caught:
            GaussianMixtureEM(3).fit(failing)
    assert caught.value.__notes__ == ["Raised by X where its block 1 was asked for."]


@pytest.mark.parametrize("changing", [1, 2, 3, 5])
@pytest.mark.parametrize("factor", [0, 2])
@pytest.mark.parametrize("start", ["split", "kmeans", "random_from_data", "k-means++"])
def test_weights_that_change_between_passes_are_refused(rows, changing, factor, start):
    passes = itertools.count()

    def blocks():
        yield rows, np.full(len(rows), factor if next(passes) >= changing else 1.0)

    with pytest.raises(
        ValueError, match=f"a total weight of {factor * len(rows)}, but had"
    ):
        GaussianMixtureEM(3, tol=0, init_params=start, random_state=0).fit(blocks)


def test_columns_that_change_places_between_passes_are_refused(rows):
    table = pd.DataFrame(rows, columns=list("abcdefgh")[: rows.shape[1]])
    passes = itertools.count()

    def blocks():
        yield table if next(passes) < 2 else table[table.columns[::-1]]

    with pytest.raises(ValueError, match="must be in the same order"):
        GaussianMixtureEM(3).fit(blocks)


# ---- memory maps


def test_a_large_map_is_fitted_and_predicted_like_its_rows(large, rows):
    gmm = GaussianMixtureEM(3).fit(large)
    assert_same_fit(gmm, GaussianMixtureEM(3).fit(rows))
    assert not hasattr(gmm, "labels_")
    assert_array_equal(gmm.predict(large), gmm.predict(rows))
    assert_array_equal(GaussianMixtureEM(3).fit_predict(large), gmm.predict(rows))
    weights = weights_of(rows)
    weighted = GaussianMixtureEM(3).fit(large[::2], sample_weight=weights[::2])
    expected = GaussianMixtureEM(3).fit(rows[::2], sample_weight=weights[::2])
    assert_same_fit(weighted, expected)
    score = expected.score(rows, sample_weight=weights)
    assert weighted.score(large, sample_weight=weights) == pytest.approx(score)


def test_a_small_map_is_rows_in_memory(rows, tmp_path):
    labels = GaussianMixtureEM(3).fit(mapped(rows, tmp_path)).labels_
    assert_array_equal(labels, GaussianMixtureEM(3).fit(rows).labels_)


@pytest.mark.skipif(sys.platform == "win32", reason="files in use cannot be truncated")
@pytest.mark.parametrize("least", [0, 2**26])
def test_a_truncated_map_is_refused(least, large, tmp_path, monkeypatch):
    monkeypatch.setattr("emgmm._data.maps.LARGE", least)
    gmm = GaussianMixtureEM(3).fit(large)
    with open(tmp_path / "X.npy", "r+b") as file:
        file.truncate(5000)
    for use in (gmm.fit, gmm.predict, gmm.score):
        with pytest.raises(ValueError, match="has 5000 now: it has been truncated"):
            use(large)


@pytest.mark.skipif(sys.platform == "win32", reason="files in use cannot be truncated")
def test_a_truncated_map_is_refused_as_a_block_and_as_a_batch(rows, tmp_path):
    gmm, X = GaussianMixtureEM(3).fit(rows), mapped(rows, tmp_path)
    with open(tmp_path / "X.npy", "r+b") as file:
        file.truncate(5000)
    match = "Block 1 of X, from row 500 on: .* it has been truncated"
    for use in (gmm.fit, gmm.score, lambda blocks: list(gmm.predict(blocks))):
        for block in (X, (X, np.ones(500))):
            with pytest.raises(ValueError, match=match):
                use([rows, block])
    for use in (gmm.partial_fit, GaussianMixtureEM(3).partial_fit, gmm.impute):
        with pytest.raises(ValueError, match="it has been truncated"):
            use(X)


def test_little_of_a_map_is_in_memory_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr("emgmm._data.chunks.CHUNK_SIZE", 2**14)
    monkeypatch.setattr("emgmm._data.maps.LARGE", 0)
    X = np.random.default_rng(0).integers(-99, 99, (400_000, 4)).astype(np.int16)
    X[::2] += 500
    gmm, X = GaussianMixtureEM(2, tol=1.0).fit(X[:1000]), mapped(X, tmp_path)
    tracemalloc.start()
    gmm.fit(X)
    fitted = tracemalloc.get_traced_memory()[1]
    probabilities = gmm.predict_proba(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fitted < X.size * 8 / 3
    assert peak < 1.5 * probabilities.nbytes


def test_little_of_many_blocks_is_in_memory_at_a_time(monkeypatch):
    monkeypatch.setattr("emgmm._data.chunks.CHUNK_SIZE", 2**16)

    def blocks():
        rng = np.random.default_rng(0)
        for number in range(300):
            yield rng.normal(size=(5000, 4), loc=number % 3)

    GaussianMixtureEM(3, tol=1.0).fit(np.split(next(blocks()), 2))
    tracemalloc.start()
    GaussianMixtureEM(3, max_iter=2, tol=1.0).fit(blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 5000 * 4 * 8 / 3


# ---- interrupted fits go on


class Failing:
    """Blocks of which one is missing in one pass."""

    def __init__(self, blocks, number):
        self.blocks, self.number, self.passes = blocks, number, 0

    def __iter__(self):
        self.passes += 1
        yield self.blocks[0]
        if self.passes == self.number:
            raise KeyboardInterrupt
        yield from self.blocks[1:]


@pytest.mark.parametrize("failing", [5, 12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_interrupted_fit_goes_on_where_it_was(failing, dtype, rows):
    blocks = np.split(rows.astype(dtype), CUTS)
    settings = {"max_iter": 30, "tol": 0, "acceleration": None, "warm_start": True}
    gmm, whole = GaussianMixtureEM(3, **settings), GaussianMixtureEM(3, **settings)
    source = Failing(blocks, failing)
    with pytest.raises(KeyboardInterrupt):
        gmm.fit(source)
    assert not hasattr(gmm, "means_")
    gmm = pickle.loads(pickle.dumps(gmm))
    with pytest.warns(match="did not converge"):
        whole.fit(blocks)
        gmm.fit(source)
    # The summary, the sample, and the first score take a pass each.
    done = failing - 4
    atol = 1e-10 if dtype == np.float64 else rounding_in_float32(whole, rows)
    assert_allclose(
        gmm.lower_bounds_[: 30 - done], whole.lower_bounds_[done:], rtol=0, atol=atol
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_that_is_interrupted_as_it_ends_goes_on_too(weighted, rows):
    blocks = np.split(rows.astype(np.float32), CUTS)
    if weighted:  # one more pass looks for degenerate components
        blocks = [(block, 1.0 + np.arange(len(block)) % 3) for block in blocks]
    settings = {"init_params": "random", "random_state": 0, "warm_start": True}
    source = Failing(blocks, 0)
    whole = GaussianMixtureEM(3, **settings).fit(source)
    for last in range(source.passes - weighted, source.passes + 1):
        gmm = GaussianMixtureEM(3, **settings)
        with pytest.raises(KeyboardInterrupt):
            gmm.fit(Failing(blocks, last))
        gmm.set_params(max_iter=0).fit(blocks)
        assert gmm.lower_bound_ == pytest.approx(whole.lower_bound_, rel=1e-6)


def test_where_a_fit_was_interrupted_is_forgotten_when_one_ends(rows):
    start = {"init_params": "random", "random_state": 0}
    gmm = GaussianMixtureEM(3, warm_start=True, **start)
    with pytest.raises(KeyboardInterrupt):
        gmm.fit(Failing([rows, rows], 5))
    ended = gmm.fit([rows, rows]).lower_bound_
    gmm.set_params(max_iter=0).fit([rows, rows])
    assert gmm.lower_bound_ == pytest.approx(ended, rel=1e-12)


def test_a_fit_continues_only_if_asked_to_and_if_it_can(rows):
    source = Failing([rows, rows], 5)
    gmm = GaussianMixtureEM(3, init_params="kmeans", tol=1e-9, acceleration=None)
    with pytest.raises(KeyboardInterrupt):
        gmm.fit(source)
    fresh = GaussianMixtureEM(3, init_params="kmeans", tol=1e-9, acceleration=None).fit(
        [rows, rows]
    )
    assert_array_equal(gmm.fit(source).means_, fresh.means_)
    source.passes = 0
    with pytest.raises(KeyboardInterrupt):
        gmm.fit(source)
    gmm.set_params(n_components=2, warm_start=True)
    fresh = GaussianMixtureEM(2, init_params="kmeans", tol=1e-9, acceleration=None).fit(
        [rows, rows]
    )
    assert_array_equal(gmm.fit(source).means_, fresh.means_)


def test_a_limited_fit_goes_on_from_a_file_too(rows, tmp_path):
    blocks, settings = np.split(rows, CUTS), {"tol": 0, "acceleration": None}
    part = GaussianMixtureEM(3, max_iter=10, warm_start=True, **settings)
    whole = GaussianMixtureEM(3, max_iter=20, **settings)
    with pytest.warns(match="did not converge"):
        part.fit(blocks).save(tmp_path / "part.npz")
        whole.fit(blocks)
        again = GaussianMixtureEM.load(tmp_path / "part.npz").fit(blocks)
    assert_allclose(again.lower_bounds_, whole.lower_bounds_[10:], rtol=1e-10)
    assert_allclose(again.means_, whole.means_, rtol=1e-8)
