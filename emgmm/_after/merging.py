"""merge_components: clusters of several components, merged step by step."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgmm._data.arrays import ArrayBlocks, RowBlocks
from emgmm._data.base import RowSource
from emgmm._data.iterables import is_iterable_of_blocks, is_used_up
from emgmm._data.sources import check_blocks, for_rows
from emgmm._estep.overlap import labels_of
from emgmm._estep.predict import RowwisePredictor, responsibilities
from emgmm._model.parameters import Parameters
from emgmm._utils.validation import check_choice, pandas_for_frames
from emgmm.typing import RowsLike

from .fitted_rows import mixture_of
from .hierarchy import METHODS, Pass, Step, linkage, members_of, merge_steps
from .two_lines import TwoLines, best_two_lines

N_DRAWS = 2**17  # rows that are drawn from a mixture, of all components together


@dataclass(frozen=True, eq=False, repr=False)
class MergedComponents:
    """Hierarchy of clusters that are made of the components of a mixture.

    `merge_components` makes it. It begins with a cluster for each component, and merges
    two clusters at a time, down to one. Clusters are numbered by the first of their
    components, as the components are, so that with as many clusters as components both
    have the same numbers.

    Attributes
    ----------
    method : {"entropy", "demp"}
        How the clusters to be merged were chosen.
    n_components : int
        Number of components.
    n_clusters_ : int
        Suggested number of clusters, no more than that. By "entropy" it is the elbow of
        the entropies, at which two straight lines meet that fit them best; by "demp"
        the number at which no two clusters overlap by `threshold` or more. An elbow is
        found whether there is one or not, and of three components it is always two.
        Where clusters take many components each, entropies rise in a curve, and the
        elbow is too high: take the number at which they begin to rise, which
        `MergingDisplay` shows.
    entropies_ : ndarray of shape (n_components,) or None
        Entropy of the classification of the rows, in nats, for 1 to `n_components`
        clusters: the sum of -t log t over the rows and the probabilities t of their
        clusters, and of the noise. Only with "entropy".
    probabilities_ : ndarray of shape (n_components,) or None
        Greatest probability, for 1 to `n_components` clusters, that of two clusters the
        wrong one is the more probable of a row; NaN for one cluster. Only with "demp".
    merged_weights_ : ndarray of shape (n_components - 1,)
        Weight of the rows that were assigned to the two clusters that were merged into
        one of the 1 to `n_components` - 1 clusters. Where the rows were drawn from the
        mixture, its share.
    linkage_ : ndarray of shape (n_components - 1, 4)
        The hierarchy as `scipy.cluster.hierarchy` represents it, of components as its
        observations. Its heights are the entropy that has been removed, or one less the
        probability, and never fall.
    threshold : float
        Probability below which clusters stay apart, with "demp".

    See Also
    --------
    merge_components : Makes it.
    MergingDisplay : Picture of it.

    Examples
    --------
    >>> from emgmm import GaussianMixtureEM, merge_components
    >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
    >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
    >>> merging = merge_components(gmm, X)
    >>> merging.n_clusters_
    2
    >>> merging.labels()
    array([0, 0, 0, 0, 0, 1, 1, 1])
    """

    __module__ = "emgmm"

    method: Literal["entropy", "demp"]
    n_clusters_: int
    entropies_: NDArray | None
    probabilities_: NDArray | None
    merged_weights_: NDArray
    linkage_: NDArray
    threshold: float
    _steps: tuple[Step, ...]
    _estimator: Any
    _X: Any

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self._steps) + 1

    def clusters(self, n_clusters: int | None = None) -> list[tuple[int, ...]]:
        """Components of each cluster.

        Parameters
        ----------
        n_clusters : int, default=None
            Number of clusters, from 1 to `n_components`; None means `n_clusters_`.

        Returns
        -------
        list of tuple of int
            For each cluster, its components in ascending order.

        Raises
        ------
        ValueError
            If `n_clusters` is not such a number.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, merge_components
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
        >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
        >>> merge_components(gmm, X).clusters(1)
        [(0, 1, 2)]
        """
        members = self._members(n_clusters)
        return [tuple(np.flatnonzero(own).tolist()) for own in members]

    def predict(self, X: RowsLike, n_clusters: int | None = None) -> NDArray:
        """Most probable cluster of each row.

        That is not always the cluster of the most probable component: the probabilities
        of the components of a cluster add up.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as the mixture's `predict` takes them; NaN is a missing value.
        n_clusters : int, default=None
            Number of clusters, from 1 to `n_components`; None means `n_clusters_`.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Clusters, from 0 to n_clusters - 1, or -1 for noise. For blocks of rows, one
            array for each; for a Dask array, a Dask array.

        Raises
        ------
        ValueError
            If `X` is invalid, has another number of features than in the mixture's
            `fit`, or if `n_clusters` is not such a number.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, merge_components
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
        >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
        >>> merge_components(gmm, X).predict([[2.5], [19.0]], n_clusters=2)
        array([0, 1])
        """
        predictor = partial(_labels, self._mixture, self._members(n_clusters))
        return for_rows(self._estimator, X, predictor)

    def predict_proba(self, X: RowsLike, n_clusters: int | None = None) -> NDArray:
        """Probability of each cluster for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `predict`.
        n_clusters : int, default=None
            Number of clusters, from 1 to `n_components`; None means `n_clusters_`.

        Returns
        -------
        ndarray of shape (n_samples, n_clusters), or iterator of such
            Sums of the probabilities of the components of each cluster, as the rows are
            float32 or float64.

        Raises
        ------
        ValueError
            As `predict` does.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, merge_components
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
        >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
        >>> merge_components(gmm, X).predict_proba([[2.5], [19.0]], 2).round(3)
        array([[1., 0.],
               [0., 1.]])
        """
        predictor = partial(_probabilities, self._mixture, self._members(n_clusters))
        return for_rows(self._estimator, X, predictor)

    def labels(self, n_clusters: int | None = None) -> NDArray:
        """Most probable cluster of each of the rows that were passed to
        `merge_components`, which are read anew.

        Parameters
        ----------
        n_clusters : int, default=None
            Number of clusters, from 1 to `n_components`; None means `n_clusters_`.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            As `predict` returns it.

        Raises
        ------
        ValueError
            If no rows were passed, or if `n_clusters` is not such a number.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, merge_components
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
        >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
        >>> merge_components(gmm, X).labels(1)
        array([0, 0, 0, 0, 0, 0, 0, 0])
        """
        if self._X is None:
            raise ValueError(
                "labels needs the rows, but X=None was passed to merge_components: "
                "call predict(X, n_clusters) instead."
            )
        return self.predict(self._X, n_clusters)

    def elbow(self, by: Literal["clusters", "rows"] = "clusters") -> TwoLines:
        """Number of clusters at which two straight lines fit the entropies best.

        The lines meet in number, but not in height: each is fitted by least squares to
        the entropies up to, or from, that number of clusters.

        Parameters
        ----------
        by : {"clusters", "rows"}, default="clusters"
            What the entropies are plotted against: the number of clusters, or the
            weight of the rows whose clusters have been merged, added up from one
            cluster on. A merge of few rows can change the entropy by little only.

        Returns
        -------
        TwoLines
            Named tuple of `n_clusters`, of `x` and `y`, which have the numbers for 1 to
            `n_components` clusters, and of `before` and `after`, the heights of the
            lines at `x`, NaN where they do not apply.

        Raises
        ------
        ValueError
            If the method is not "entropy", or `by` is not one of these names.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, merge_components
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
        >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
        >>> merge_components(gmm, X).elbow("rows").n_clusters
        2
        """
        if self.entropies_ is None:
            raise ValueError(
                f"method={self.method!r} computes no entropies, in which to find an "
                "elbow: pass method='entropy' to merge_components."
            )
        check_choice("by", by, ("clusters", "rows"))
        x = np.arange(1.0, self.n_components + 1)
        if by == "rows":
            x = np.append(0.0, np.cumsum(self.merged_weights_))
        return best_two_lines(x, self.entropies_)

    def to_frame(self) -> Any:
        """The hierarchy as a table, with a row for each number of clusters.

        Returns
        -------
        pandas.DataFrame
            By number of clusters, from `n_components` to 1: the entropy or probability,
            the components of the two clusters that were merged last, and the weight of
            their rows.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, merge_components
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
        >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
        >>> list(merge_components(gmm, X).to_frame().columns)
        ['entropy', 'first', 'second', 'merged_weight']
        """
        pandas = pandas_for_frames(", or use linkage_ and clusters")
        name, values = self._named_values
        size = self.n_components
        none = [None], [None]
        first, second = (
            [*a, *b]
            for a, b in zip(none, zip(*self._merged(), strict=True), strict=True)
        )
        columns = {
            name: values[::-1],
            "first": first,
            "second": second,
            "merged_weight": np.append(np.nan, self.merged_weights_[::-1]),
        }
        index = pandas.Index(range(size, 0, -1), name="n_clusters")
        return pandas.DataFrame(columns, index)

    def __repr__(self) -> str:
        """The method and the suggestion, and a line for each number of clusters."""
        name, values = self._named_values
        merged = ["", *(" + ".join(map(_text, pair)) for pair in self._merged())]
        head = (
            f"MergedComponents(method={self.method!r}, "
            f"n_components={self.n_components}, n_clusters_={self.n_clusters_})"
        )
        lines = [
            f"{size:8d} {value:12.5g}  {pair}".rstrip()
            for size, value, pair in zip(
                range(self.n_components, 0, -1), values[::-1], merged, strict=True
            )
        ]
        return "\n".join([head, f"clusters {name:>12}  merged", *lines])

    @property
    def _named_values(self) -> tuple[str, NDArray]:
        """Name and values of what was computed for each number of clusters."""
        if self.entropies_ is not None:
            return "entropy", self.entropies_
        return "probability", np.asarray(self.probabilities_)

    @property
    def _mixture(self) -> Parameters:
        """The mixture whose components are merged."""
        mixture: Parameters = self._estimator._mixture()
        return mixture

    def _merged(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Components of the two clusters of each step."""
        sizes = range(self.n_components, 1, -1)
        before = [self.clusters(size) for size in sizes]
        return [
            (clusters[step.first], clusters[step.second])
            for clusters, step in zip(before, self._steps, strict=True)
        ]

    def _members(self, n_clusters: int | None) -> NDArray:
        """Which components (C, K) belong to which cluster; ValueError if there cannot
        be as many clusters."""
        number = self.n_clusters_ if n_clusters is None else n_clusters
        if not isinstance(number, Integral) or not 1 <= number <= self.n_components:
            raise ValueError(
                f"n_clusters={n_clusters!r} is not a number of clusters that there can "
                f"be: pass a whole number from 1 to {self.n_components}, the number of "
                "components."
            )
        return members_of(self._steps, int(number))


def merge_components(
    estimator: Any,
    X: RowsLike | None = None,
    method: Literal["entropy", "demp"] = "entropy",
    sample_weight: ArrayLike | None = None,
    *,
    threshold: float = 0.025,
    random_state: int | np.random.RandomState | None = None,
) -> MergedComponents:
    """Merge the components of a mixture into clusters, step by step.

    A cluster that is not Gaussian takes several components, of which BIC selects as
    many as describe its density. Components that overlap are merged here, two at a
    time, from as many clusters as components down to one; the density stays the same.

    Parameters
    ----------
    estimator : GaussianMixtureEM or GaussianMixtureIC
        The fitted mixture, or search. It is not modified.
    X : array-like of shape (n_samples, n_features), or iterable of such, default=None
        The rows, as the mixture's `predict` takes them, usually those of the fit; NaN
        is a missing value. Each step of "entropy" reads them once. With "demp" they may
        be left out: rows are then drawn from the mixture.
    method : {"entropy", "demp"}, default="entropy"
        Which two clusters are merged.

        "entropy": those whose merging decreases the entropy of the classification of
        the rows most [1]_, as `clustCombi` of R's mclust.

        "demp": those that overlap most, by the directly estimated misclassification
        probability [2]_: the probability that a row of one cluster has a higher
        probability of the other, the greater one of the two.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row; a weight of 2 means that the row occurs twice.
    threshold : float, default=0.025
        Probability of misclassification from which on "demp" suggests to merge, in
        (0, 1). The hierarchy goes on to one cluster.
    random_state : int, RandomState instance or None, default=None
        Seed of the rows that are drawn with "demp" if there is no `X`. None continues
        the estimator's random numbers, as in `sample`.

    Returns
    -------
    MergedComponents
        The hierarchy, and a suggested number of clusters.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator is not a mixture of this package.
    ValueError
        If the mixture has one component only, if `method` is not one of these names, if
        `X` is invalid or is missing with "entropy", or if `threshold` is not in (0, 1).

    Notes
    -----
    Noise is no component, and is not merged. Gains and probabilities that differ by
    rounding only are equal, and the first pair of them is merged.

    References
    ----------
    .. [1] J.-P. Baudry, A. E. Raftery, G. Celeux, K. Lo and R. Gottardo, "Combining
       mixture components for clustering", Journal of Computational and Graphical
       Statistics 19 (2010), 332-353. doi:10.1198/jcgs.2010.08111
    .. [2] C. Hennig, "Methods for merging Gaussian mixture components", Advances in
       Data Analysis and Classification 4 (2010), 3-34. doi:10.1007/s11634-010-0058-3

    Examples
    --------
    >>> from emgmm import GaussianMixtureEM, merge_components
    >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
    >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
    >>> merging = merge_components(gmm, X)
    >>> merging.clusters(2)
    [(0, 2), (1,)]
    >>> merging.predict([[1.0], [3.5], [21.0]], n_clusters=2)
    array([0, 0, 1])
    """
    check_choice("method", method, METHODS)
    _check_threshold(threshold)
    fitted = copy.copy(mixture_of(estimator))  # which a later fit leaves as it is
    mixture = fitted._mixture()
    _check_sizes(mixture)
    if X is None:
        _check_no_rows(method, sample_weight)
        rng = estimator._sampling_stream(random_state)
        rows: RowSource = _drawn(fitted._published().sampled, rng)
    else:
        _check_readable(X)
        rows = check_blocks(fitted, X, sample_weight, reset=False).on_host
    own = METHODS[method]
    passes = Pass(rows, mixture)
    steps = merge_steps(own.overlap, passes)
    values, heights = own.values(steps, passes), own.heights(steps)
    return MergedComponents(
        method=method,
        n_clusters_=own.suggested(values, threshold),
        entropies_=values if method == "entropy" else None,
        probabilities_=values if method == "demp" else None,
        merged_weights_=np.array([step.weight for step in steps[::-1]]),
        linkage_=linkage(steps, heights),
        threshold=threshold,
        _steps=tuple(steps),
        _estimator=fitted,
        _X=X,
    )


merge_components.__module__ = "emgmm"


def _text(components: tuple[int, ...]) -> str:
    """Components of a cluster, as "{1, 4}"."""
    return "{" + ", ".join(map(str, components)) + "}"


def _check_threshold(threshold: float) -> None:
    """ValueError if the threshold is not a probability between 0 and 1."""
    if not isinstance(threshold, Real) or not 0 < float(threshold) < 1:
        raise ValueError(
            f"threshold={threshold!r} is not a probability of misclassification: pass "
            "a number between 0 and 1, such as 0.025."
        )


def _check_sizes(mixture: Parameters) -> None:
    """ValueError if there is nothing to merge."""
    if len(mixture.weights) < 2:
        raise ValueError(
            "estimator has n_components=1, and nothing to merge: fit two components or "
            "more, for instance with GaussianMixtureIC, which selects their number."
        )


def _check_readable(X: Any) -> None:
    """ValueError if the rows can be read only once."""
    if is_iterable_of_blocks(X) and is_used_up(X):
        raise ValueError(
            f"X is an iterator, {X!r:.60}, which can be used only once, and each merge "
            "reads the rows: pass a callable that returns it anew."
        )


def _check_no_rows(method: str, sample_weight: Any) -> None:
    """ValueError if rows are missing that are needed."""
    if method != "demp":
        raise ValueError(
            f"X=None, but method={method!r} sums over rows: pass the rows of the fit, "
            "or method='demp', which can do without."
        )
    if sample_weight is not None:
        raise ValueError(
            "sample_weight was passed without X, whose rows it weights: pass both, or "
            "neither."
        )


def _drawn(mixture: Parameters, rng: np.random.RandomState) -> ArrayBlocks:
    """Rows drawn from a mixture, as many of each component and of the noise, weighted
    by the components' shares."""
    shares = mixture.weights
    number = N_DRAWS // (len(shares) + bool(mixture.noise))
    counts = np.full(len(shares), number)
    rows = mixture.sample_of_components(counts, rng)
    if mixture.noise:
        rows = np.concatenate([rows, mixture.noise.sample(number, rng)])
        shares = np.append(shares, mixture.noise_weights)
    return ArrayBlocks(rows, np.repeat(shares / number, number))


def _probabilities(
    mixture: Parameters, members: NDArray, rows: RowBlocks, dtype: type | None = None
) -> NDArray:
    """Probabilities (n, C) of clusters."""
    predictor = RowwisePredictor(
        mixture, responsibilities, dtype, mixture.weights.shape
    )
    found = predictor(rows)
    return found @ members.T.astype(found.dtype)


def _labels(mixture: Parameters, members: NDArray, rows: RowBlocks) -> NDArray:
    """The most probable clusters (n,); -1 of noise."""
    shares = _probabilities(mixture, members, rows, np.float64)
    labels = labels_of(shares.T)
    if mixture.noise:
        labels[1 - shares.sum(axis=1) > shares.max(axis=1)] = -1
    return labels
