"""Pictures show what they say: artists' data against the mixture and the rows."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import COVARIANCE_TYPES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2, multivariate_normal, norm
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emgmm import (
    ConvergenceDisplay,
    CriterionDisplay,
    GaussianMixtureEM,
    GaussianMixtureIC,
    MixtureDisplay,
)
from emgmm._plotting.style import COLORS, marked, style_of

# Old versions of matplotlib use deprecated functions of their dependencies.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")
KINDS = ["classification", "uncertainty", "density"]
PARAMETERS = ["weights", "means", "covariances"]


@pytest.fixture(autouse=True)
def plt():
    """pyplot without windows; every picture is laid out and drawn, all but its pixels,
    and global settings are as before."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    before = dict(plt.rcParams)
    yield plt
    for number in plt.get_fignums():
        plt.figure(number).draw_without_rendering()
    plt.close("all")
    assert dict(plt.rcParams) == before


@pytest.fixture(scope="module")
def fitted(iris):
    return GaussianMixtureEM(3).fit(iris)


def hex_of(color):
    from matplotlib.colors import to_hex

    return to_hex(color).upper()


def draw(gmm, X=None, **kwargs):
    return MixtureDisplay.from_estimator(gmm, X, **kwargs)


def points_of(ellipse):
    return ellipse.get_xydata()


def offsets(display, panel=(0, 0)):
    return np.vstack([points.get_offsets() for points in display.scatter_[panel]])


def as_rows(array):
    return sorted(map(tuple, np.asarray(array, dtype=float)))


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_ellipses_are_where_the_mahalanobis_distance_is_the_quantile(
    plt, iris, covariance_type
):
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type).fit(iris[:, 1:3])
    levels = (0.3, 0.9, 0.99)
    display = draw(gmm, iris[:, 1:3], levels=levels)
    plt.close(display.figure_)  # one of many that look alike
    precisions = gmm._mixture().covariances.factors
    if precisions.ndim == 2:
        precisions = np.apply_along_axis(np.diag, 1, precisions)
    precisions = precisions @ precisions.mT
    for k, ellipses in enumerate(display.ellipses_[0, 0]):
        assert len(ellipses) == 3
        for level, ellipse in zip(levels, ellipses, strict=True):
            deviations = points_of(ellipse) - gmm.means_[k]
            squares = np.einsum("ni,ij,nj->n", deviations, precisions[k], deviations)
            assert_allclose(squares, chi2.ppf(level, 2), rtol=1e-8)
            assert_allclose(points_of(ellipse)[0], points_of(ellipse)[-1])


def test_panels_show_the_marginal_of_their_two_features(iris, fitted):
    display = draw(fitted, iris, features=[3, 0, 2])
    axes = {(1, 0): [3, 0], (2, 0): [3, 2], (2, 1): [0, 2]}
    for panel, pair in axes.items():
        for k, ellipses in enumerate(display.ellipses_[panel]):
            deviations = points_of(ellipses[1]) - fitted.means_[k, pair]
            precision = np.linalg.inv(fitted.covariances_[k][np.ix_(pair, pair)])
            squares = np.einsum("ni,ij,nj->n", deviations, precision, deviations)
            assert_allclose(squares, chi2.ppf(0.95, 2), rtol=1e-8)
        assert as_rows(offsets(display, panel)) == as_rows(iris[:, pair])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features, n_panels", [(1, 1), (2, 1), (3, 6)])
def test_there_is_a_panel_for_each_feature_and_pair(iris, kind, n_features, n_panels):
    gmm = GaussianMixtureEM(2).fit(iris[:, :n_features])
    display = draw(gmm, iris[:, :n_features], kind=kind)
    drawn = [ax for ax in display.figure_.axes if ax.has_data()]
    assert len(drawn) == n_panels
    side = n_features if n_features > 2 else 1
    assert display.axes_.shape == (side, side)
    labelled = [ax for ax in drawn if ax.get_xlabel()]
    assert len(labelled) == side


def test_density_curves_are_the_densities_of_mixture_and_components():
    X = make_blobs(1, 400, 1, 3)
    gmm = GaussianMixtureEM(3, init_params="kmeans").fit(X)
    display = draw(gmm, X)
    whole, *parts = display.lines_[0, 0]
    x = whole.get_xdata()
    assert_allclose(whole.get_ydata(), np.exp(gmm.score_samples(x[:, None])), rtol=1e-9)
    assert_allclose(np.trapezoid(whole.get_ydata(), x), 1, atol=0.02)
    for k, part in enumerate(parts):
        scale = np.sqrt(gmm.covariances_[k, 0, 0])
        expected = gmm.weights_[k] * norm.pdf(x, gmm.means_[k, 0], scale)
        assert_allclose(part.get_ydata(), expected, rtol=1e-9, atol=1e-300)
        assert part.get_color() == COLORS[k]


def test_the_diagonal_shows_marginal_densities(iris, fitted):
    display = draw(fitted, iris, kind="density")
    for feature in range(4):
        (curve,) = display.lines_[feature, feature]
        x = curve.get_xdata()
        expected = sum(
            weight * norm.pdf(x, mean[feature], np.sqrt(covariance[feature, feature]))
            for weight, mean, covariance in zip(
                fitted.weights_, fitted.means_, fitted.covariances_, strict=True
            )
        )
        assert_allclose(curve.get_ydata(), expected, rtol=1e-9)
        assert display.axes_[feature, feature].get_ylim()[1] >= expected.max()


def test_narrow_components_are_resolved_by_density_curves():
    gmm = GaussianMixtureEM.from_parameters(
        [0.5, 0.5], [[0.0], [1.0]], [[[1e4]], [[1e-6]]]
    )
    curve = draw(gmm).lines_[0, 0][0]
    assert_allclose(np.trapezoid(curve.get_ydata(), curve.get_xdata()), 1, atol=0.02)


def test_contours_hold_the_shares_of_probability_they_are_named_for():
    gmm = GaussianMixtureEM.from_parameters(
        [0.6, 0.3, 0.1],
        [[0.0, 0.0], [3.0, 1.0], [30.0, 30.0]],
        [[[1.0, 0.8], [0.8, 1.0]], [[2.0, 0.0], [0.0, 0.1]], np.eye(2)],
    )
    levels = (0.1, 0.5, 0.9, 0.99)
    (contours,) = draw(gmm, kind="density", levels=levels).contours_[0, 0]
    sample, _ = gmm.sample(200000, random_state=0)
    heights = np.exp(gmm.score_samples(sample))
    shares = [(heights > height).mean() for height in contours.levels]
    assert_allclose(shares, levels[::-1], atol=0.01)


def test_contours_are_of_the_marginal_density(iris, fitted):
    display = draw(fitted, iris[:10], features=[0, 2], kind="density")
    (contours,) = display.contours_[0, 0]
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        density = sum(
            weight * multivariate_normal(mean, covariance).pdf(path.vertices)
            for weight, mean, covariance in zip(
                fitted.weights_,
                fitted.means_[:, [0, 2]],
                fitted.covariances_[:, [0, 2]][:, :, [0, 2]],
                strict=True,
            )
        )
        assert_allclose(density, level, rtol=0.05)


def test_rows_are_drawn_by_component_and_larger_the_more_certain(iris, fitted):
    X = iris[:, [1, 3]]
    display = draw(fitted, iris, features=[1, 3])
    labels, certainty = fitted.predict(iris), fitted.predict_proba(iris).max(axis=1)
    assert len(display.scatter_[0, 0]) == 3
    for k, points in enumerate(display.scatter_[0, 0]):
        assert_array_equal(points.get_offsets(), X[labels == k])
        assert hex_of(points.get_facecolor()[0]) == COLORS[k]
        order = np.argsort(certainty[labels == k])
        sizes = points.get_sizes()[order]
        assert (np.diff(sizes) >= 0).all()
    assert sizes[0] < sizes[-1]
    shapes = [points.get_paths()[0] for points in display.scatter_[0, 0]]
    assert len({len(path.vertices) for path in shapes}) == 3


def test_uncertain_rows_are_larger_and_a_fuller_colour_of_their_component(iris, fitted):
    from matplotlib.colors import to_rgb

    display = draw(fitted, iris, features=[2, 3], kind="uncertainty")
    (points,) = display.scatter_[0, 0]
    rows = np.asarray(points.get_offsets())
    assert as_rows(rows) == as_rows(iris[:, 2:])
    sizes = points.get_sizes()
    assert (np.diff(sizes) >= 0).all() and sizes[-1] > 2 * sizes[0]
    doubt = 1 - fitted.predict_proba(iris).max(axis=1)
    order = np.argsort(doubt, kind="stable")
    assert_array_equal(rows, iris[order, 2:])
    labels, tints = fitted.predict(iris)[order], 1 - points.get_facecolor()[:, :3]
    for k in range(3):
        full = 1 - np.array(to_rgb(COLORS[k]))
        strength = tints[labels == k] @ full / (full @ full)
        assert_allclose(tints[labels == k], np.outer(strength, full), atol=1e-12)
        assert (np.diff(strength) >= 0).all() and strength.max() <= 1
    uncertain = np.argmin(fitted.predict_proba(iris).max(axis=1))
    assert_array_equal(points.get_offsets()[-1], iris[uncertain, 2:])


def test_lines_of_one_feature_are_as_high_as_rows_are_uncertain(iris, fitted):
    display = draw(fitted, iris, features=2, kind="uncertainty")
    (stems,) = display.lines_[0, 0]
    tops = np.array([segment[1] for segment in stems.get_segments()])
    uncertainty = 1 - fitted.predict_proba(iris).max(axis=1)
    assert_allclose(tops, np.column_stack([iris[:, 2], uncertainty]), atol=1e-12)


def test_a_scatter_plot_has_some_rows_of_each_component_always_the_same():
    gmm = GaussianMixtureEM.from_parameters(
        [0.9, 0.1], [[0.0, 0.0], [9.0, 0.0]], [1.0, 1.0], "spherical"
    )
    X, labels = gmm.sample(3000, random_state=0)
    display = draw(gmm, X, max_rows=100)
    counts = [len(points.get_offsets()) for points in display.scatter_[0, 0]]
    assert sum(counts) == 100
    assert_allclose(counts, 100 * np.bincount(labels) / 3000, atol=1)
    assert set(as_rows(offsets(display))) <= set(as_rows(X))
    assert_array_equal(offsets(display), offsets(draw(gmm, X, max_rows=100)))
    assert len(offsets(draw(gmm, X))) == 3000
    assert all(points.get_rasterized() for points in display.scatter_[0, 0])


@pytest.mark.parametrize("step", [0.1, 0.25, 1.0])
def test_bins_of_a_histogram_fit_to_rounded_values(step):
    """Each bin holds as many of the values that can be, so that none is a comb's."""
    X = np.random.RandomState(0).normal(size=(100_000, 1))
    values, counts = np.unique((X / step).round(), return_counts=True)
    rows = values[:, None] * step
    gmm = GaussianMixtureEM(1).fit(rows, sample_weight=counts)
    (bars,) = draw(gmm, rows, sample_weight=counts).bars_[0, 0]
    centres = np.array([bar.get_x() + bar.get_width() / 2 for bar in bars])
    heights = np.array([bar.get_height() for bar in bars])
    near = np.abs(centres) < 2
    expected = np.exp(gmm.score_samples(centres[near][:, None]))
    assert_allclose(heights[near], expected, rtol=0.1)


def test_rows_without_weight_are_not_drawn(iris, fitted):
    weights = np.arange(len(iris)) % 2
    display = draw(fitted, iris, features=[0, 1], sample_weight=weights)
    assert as_rows(offsets(display)) == as_rows(iris[1::2, :2])


@pytest.mark.parametrize("features", [[0], [0, 1], [0, 1, 2]])
def test_an_axes_of_one_s_own_is_drawn_into(plt, iris, fitted, features):
    figure, axes = plt.subplots(1, 2)
    display = draw(fitted, iris, features=features, ax=axes[1])
    assert display.ax_ is axes[1] and display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert not axes[0].has_data()
    place = axes[1].get_position()
    for ax in display.axes_.flat:
        box = ax.get_position()
        assert place.x0 - 1e-9 <= box.x0 and box.x1 <= place.x1 + 1e-9
        assert place.y0 - 1e-9 <= box.y0 and box.y1 <= place.y1 + 1e-9


def test_an_axes_without_a_grid_is_divided_too(plt, iris, fitted):
    ax = plt.figure().add_axes((0.5, 0.5, 0.4, 0.4))
    display = draw(fitted, iris, ax=ax)
    assert_allclose(display.axes_[3, 0].get_position().p0, (0.5, 0.5))
    assert_allclose(display.axes_[0, 3].get_position().p1, (0.9, 0.9))


def test_an_array_of_axes_is_drawn_into(plt, iris, fitted):
    figure, axes = plt.subplots(4, 4)
    display = draw(fitted, iris, ax=axes)
    assert display.ax_ is axes and (display.axes_ == axes).all()
    assert [ax.has_data() for ax in axes.flat] == np.tri(4, dtype=bool).ravel().tolist()
    with pytest.raises(ValueError, match=r"ax has the shape \(4, 4\).*\(3, 3\)"):
        draw(fitted, iris, features=[0, 1, 2], ax=axes)


def test_new_figures_are_made_only_without_an_axes(plt, iris, fitted):
    display = draw(fitted, iris, features=[0, 1])
    assert plt.get_fignums() == [display.figure_.number]
    display.plot(plt.figure().subplots())
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("kind", ["classification", "density"])
@pytest.mark.parametrize("features", [[0], [0, 1], [0, 1, 2]])
def test_a_mixture_is_drawn_without_rows(fitted, kind, features):
    display = draw(fitted, features=features, kind=kind)
    assert not any(map(len, filter(None, display.scatter_.flat)))
    low, high = display.axes_[-1, 0].get_xlim()
    spread = np.sqrt(fitted.covariances_[:, 0, 0])
    assert low < (fitted.means_[:, 0] - 2 * spread).min()
    assert high > (fitted.means_[:, 0] + 2 * spread).max()


def test_densities_show_components_when_asked(iris, fitted):
    plain = draw(fitted, iris, features=[0, 1], kind="density")
    parts = draw(fitted, iris, features=[0, 1], kind="density", components=True)
    assert plain.ellipses_[0, 0] == [] and plain.legend_ is None
    assert len(parts.ellipses_[0, 0]) == 3
    assert all(line.is_dashed() for k in parts.ellipses_[0, 0] for line in k)
    curves = draw(fitted, iris, features=0, kind="density", components=True)
    assert len(curves.lines_[0, 0]) == 4


def test_the_legend_names_components_and_weights(iris, fitted):
    legend = draw(fitted, iris).legend_
    expected = [f"{k} ({weight:.0%})" for k, weight in enumerate(fitted.weights_)]
    assert [text.get_text() for text in legend.get_texts()] == expected
    colors = [hex_of(h.get_markerfacecolor()) for h in legend.legend_handles]
    assert colors == list(COLORS[:3])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("n_components", "n_features"), [(1, 1), (1, 2), (1, 3), (30, 1), (30, 2)]
)
def test_one_and_many_components_are_drawn(kind, n_components, n_features):
    X = make_blobs(0, 600, n_features, 30)
    rng = np.random.default_rng(0)
    gmm = GaussianMixtureEM.from_parameters(
        np.full(n_components, 1 / n_components),
        rng.normal(size=(n_components, n_features)),
        np.ones(n_components),
        "spherical",
    )
    display = draw(gmm, X, kind=kind)
    texts = [] if display.legend_ is None else display.legend_.get_texts()
    names = [text.get_text() for text in texts]
    share = f"{1 / n_components:.0%}"
    expected = [f"{k} ({share})" for k in range(n_components)]
    if kind == "density":
        assert names == []
    elif kind == "uncertainty" and n_features > 1:
        assert names[:n_components] == expected
        assert names[n_components] == "uncertainty 0.00"
    else:
        assert names == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", [1, 2])
def test_components_without_width_are_drawn(kind, n_features):
    X = np.repeat(make_blobs(0, 50, n_features, 2), 2, axis=0)
    means = np.array([[0.0] * n_features, [100.0] * n_features])
    covariances = np.stack([np.eye(n_features), np.zeros((n_features, n_features))])
    responsibilities = np.eye(2)[np.zeros(100, dtype=int)]
    display = MixtureDisplay(
        X,
        weights=np.array([0.5, 0.5]),
        means=means,
        covariances=covariances,
        responsibilities=responsibilities,
    ).plot(kind=kind, components=True)
    for line in display.ax_.lines:
        assert np.isfinite(line.get_xydata()).all()
    assert display.ax_.get_ylim()[1] < 1000


def test_contours_do_not_miss_components_between_the_points_of_the_grid():
    gmm = GaussianMixtureEM.from_parameters(
        [0.5, 0.5], [[0.0, 0.0], [np.pi, 1.0]], [1e-8, 1e-8], "spherical"
    )
    display = draw(gmm, kind="density", levels=[0.05])
    (contours,) = display.contours_[0, 0]
    lines = [line for path in contours.get_paths() for line in path.to_polygons()]
    for mean in gmm.means_:
        assert any(np.abs(line - mean).max() < 0.1 for line in lines)


@pytest.mark.parametrize("constant", [0.0, 1e8])
def test_rows_that_do_not_differ_are_drawn(constant):
    X = np.full((10, 2), constant)
    for features in ([0], [0, 1]):
        display = MixtureDisplay(
            X[:, features],
            weights=np.ones(1),
            means=X[:1, features],
            covariances=np.zeros((1, len(features), len(features))),
            responsibilities=np.ones((10, 1)),
        ).plot()
        low, high = display.ax_.get_xlim()
        assert low < constant < high


def test_float32_rows_and_parameters_are_drawn(iris):
    X = iris[:, :2].astype(np.float32)
    gmm = GaussianMixtureEM(2).fit(X)
    assert gmm.means_.dtype == np.float32
    twin = GaussianMixtureEM.from_parameters(
        *(getattr(gmm, f"{name}_").astype(float) for name in PARAMETERS)
    )
    for kind in KINDS:
        for features in (0, [0, 1]):
            chosen = {"kind": kind, "features": features}
            single, double = (
                draw(gmm, X, **chosen),
                draw(twin, X.astype(float), **chosen),
            )
            limits = [each.ax_.dataLim.get_points() for each in (single, double)]
            assert_allclose(*limits, 1e-3)


def test_features_are_chosen_by_index_or_name(iris):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(iris, columns=list("abcd"))
    gmm = GaussianMixtureEM(2).fit(X)
    display = draw(gmm, X, features=["d", 1])
    assert display.ax_.get_xlabel() == "d" and display.ax_.get_ylabel() == "b"
    assert as_rows(offsets(display)) == as_rows(iris[:, [3, 1]])
    assert draw(gmm, X, features="c").ax_.get_xlabel() == "c"
    assert draw(gmm, features=np.int64(0)).ax_.get_xlabel() == "a"


def test_by_default_the_five_features_that_separate_most_are_drawn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 8))
    X[:100, [0, 2, 3, 5, 7]] += 6
    X[:, 4] *= 100
    display = draw(GaussianMixtureEM(2, covariance_type="diag").fit(X), X)
    names = [ax.get_xlabel() for ax in display.axes_[-1]]
    assert names == [f"feature {feature}" for feature in (0, 2, 3, 5, 7)]
    assert "the 5 of 8 features that separate components most" in note_of(display)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"kind": "surface"}, "kind='surface'.*'classification'"),
        ({"kind": None}, "kind=None"),
        ({"levels": (0.5, 1.0)}, "levels"),
        ({"levels": []}, "levels"),
        ({"levels": "many"}, "levels"),
        ({"max_rows": 0}, "max_rows=0"),
        ({"sample_weight": [1.0]}, "sample_weight"),
    ],
)
def test_wrong_arguments_are_named(plt, iris, fitted, wrong, message):
    with pytest.raises(ValueError, match=message):
        draw(fitted, iris, **wrong)
    assert plt.get_fignums() == []


def test_uncertainties_need_rows(fitted):
    with pytest.raises(ValueError, match="kind='uncertainty' shows rows"):
        draw(fitted, kind="uncertainty")


@pytest.mark.parametrize("display", [MixtureDisplay, ConvergenceDisplay])
def test_estimators_that_are_not_fitted_or_no_mixtures_are_refused(iris, display):
    for unfitted in (GaussianMixtureEM(2), make_pipeline(GaussianMixtureEM(2))):
        with pytest.raises(NotFittedError):
            display.from_estimator(unfitted)
    pipeline = make_pipeline(StandardScaler(), GaussianMixtureEM(2)).fit(iris)
    with pytest.raises(TypeError, match=r"pipeline\[-1\]"):
        display.from_estimator(pipeline)


def test_searches_and_scikit_learns_mixtures_are_drawn(plt, iris):
    X, ax = iris[:, :2], plt.figure().subplots()
    search = GridSearchCV(GaussianMixtureEM(), {"n_components": [2]}, cv=2).fit(X)
    assert len(draw(search, X, ax=ax).ellipses_[0, 0]) == 2
    for covariance_type in ("full", "tied", "diag", "spherical"):
        theirs = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
        theirs.fit(X)
        ours = GaussianMixtureEM.from_parameters(
            theirs.weights_, theirs.means_, theirs.covariances_, covariance_type
        )
        assert_allclose(
            points_of(draw(theirs, X, ax=ax).ellipses_[0, 0][1][0]),
            points_of(draw(ours, X, ax=ax).ellipses_[0, 0][1][0]),
        )


@pytest.mark.parametrize("later", ["full", "tied", "spherical"])
def test_the_model_of_the_fit_is_drawn_whatever_the_parameter_is_now(plt, iris, later):
    X, ax = iris[:, :2], plt.figure().subplots()
    gmm = GaussianMixtureEM(2, covariance_type="diag").fit(X)
    before = draw(gmm, X, ax=ax).ellipses_[0, 0]
    after = draw(gmm.set_params(covariance_type=later), X, ax=ax).ellipses_[0, 0]
    assert_array_equal(points_of(after[1][0]), points_of(before[1][0]))


def test_keywords_reach_their_artists(iris, fitted):
    display = draw(
        fitted,
        iris,
        features=[0, 1],
        scatter_kwargs={"c": "k", "s": 7, "lw": 1},
        ellipse_kwargs={"lw": 3, "ls": ":"},
    )
    points = display.scatter_[0, 0][0]
    assert hex_of(points.get_facecolor()[0]) == "#000000"
    assert points.get_sizes() == 7 and points.get_linewidth() == 1
    assert display.ellipses_[0, 0][0][0].get_linewidth() == 3
    cmap = {"cmap": "viridis", "linewidths": 2}
    display.plot(kind="density", contour_kwargs=cmap)
    assert display.contours_[0, 0][0].get_cmap().name == "viridis"
    curves = draw(fitted, iris, features=0, curve_kwargs={"lw": 5}).lines_[0, 0]
    assert {curve.get_linewidth() for curve in curves} == {5}


def lightness(color):
    """CIE 1976 lightness, 0 to 100, of an sRGB colour."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


def test_colours_differ_in_grey_and_show_on_white():
    values = np.array([lightness(color) for color in COLORS])
    assert np.diff(np.sort(values)).min() > 6
    assert values.max() < 80


def test_no_two_of_many_components_or_models_look_alike():
    looks = [tuple(sorted(marked(index).items())) for index in range(91)]
    assert len(set(looks)) == 91
    styles = [tuple(sorted(style_of(index).items())) for index in range(14)]
    assert (
        len(
            {
                tuple(dict(style)[key] for key in ("marker", "linestyle"))
                for style in styles
            }
        )
        == 14
    )


def test_log_likelihoods_are_drawn_by_iteration_for_each_start(fitted):
    starts = [np.array([-3.0, -2.0]), np.array([-4.0, -1.5, -1.0]), np.array([-5.0])]
    kept = starts[1].copy()
    fit = SimpleNamespace(lower_bounds_=kept, lower_bounds_of_starts_=starts)
    display = ConvergenceDisplay.from_estimator(fit)
    for line, values in zip(display.lines_, starts, strict=True):
        assert_array_equal(line.get_xdata(), np.arange(len(values)) + 1)
        assert_array_equal(line.get_ydata(), values)
        assert line.get_markevery() == [len(values) - 1]
    assert display.best_ is display.lines_[1]
    widths = [line.get_linewidth() for line in display.lines_]
    assert widths[1] > widths[0] == widths[2]
    ticks = display.ax_.get_xticks()
    assert_array_equal(ticks, np.rint(ticks))
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["kept start", "other starts"]
    own = ConvergenceDisplay.from_estimator(fitted)
    assert_array_equal(own.best_.get_ydata(), fitted.lower_bounds_)
    assert own.ax_.get_legend() is None


def test_gaps_are_what_is_lacking_at_the_last_iteration_of_the_kept_start(plt):
    starts = [[-3.0, -2.0], [-4.0, -1.5, -1.0, -1.0], []]
    _, ax = plt.subplots()
    display = ConvergenceDisplay(starts, best=1).plot(ax, kind="gap", color="k")
    assert display.ax_ is ax and ax.get_yscale() == "log"
    assert_array_equal(display.lines_[0].get_ydata(), [2.0, 1.0])
    assert_array_equal(display.lines_[1].get_ydata(), [3.0, 0.5, np.nan, np.nan])
    assert display.best_.get_markevery() == [1]
    assert {line.get_color() for line in display.lines_} == {"k"}
    with pytest.raises(ValueError, match="kind='speed'.*'gap'"):
        display.plot(ax, kind="speed")


def test_a_fit_without_iterations_is_drawn(iris):
    parameters = {"weights_init": [1.0], "means_init": [[0.0]]}
    gmm = GaussianMixtureEM(1, max_iter=0, precisions_init=[[[1.0]]], **parameters).fit(
        iris[:, :1]
    )
    for kind in ("log-likelihood", "gap"):
        display = ConvergenceDisplay.from_estimator(gmm, kind=kind)
        assert len(display.best_.get_xdata()) == 0


@pytest.fixture
def search():
    """What a search leaves behind, with one failed fit of a low criterion."""
    results = {
        "covariance_type": np.array(["EII"] * 3 + ["VVV"] * 3),
        "n_components": np.array([3, 1, 2] * 2),
        "bic": np.array([7.0, 9.0, 8.0, 6.0, 8.5, 1.0]),
        "icl": np.array([7.5, 9.0, 8.0, np.nan, 8.5, 1.0]),
        "eligible": np.array([True] * 5 + [False]),
    }
    return SimpleNamespace(
        results_=results, criterion_=results["bic"], best_index_=3, criterion="bic"
    )


def test_criteria_are_drawn_by_number_of_components_a_line_for_each_model(search):
    display = CriterionDisplay.from_estimator(search)
    assert [line.get_label() for line in display.lines_] == ["EII", "VVV"]
    expected = {"EII": [9.0, 8.0, 7.0], "VVV": [8.5, np.nan, 6.0]}
    for line in display.lines_:
        assert_array_equal(line.get_xdata(), [1, 2, 3])
        assert_array_equal(line.get_ydata(), expected[line.get_label()])
    assert_array_equal(display.best_.get_xydata(), [[3, 6]])
    assert [text.get_text() for text in display.ax_.texts] == ["VVV, 3"]
    assert display.ax_.get_ylabel() == "BIC (lower is better)"
    low, high = display.ax_.get_ylim()
    assert low < 6 and high > 9


def test_another_criterion_marks_its_own_best(plt, search):
    figure, ax = plt.subplots(layout="constrained")
    display = CriterionDisplay.from_estimator(search, criterion="icl", ax=ax, lw=4)
    assert_array_equal(display.best_.get_xydata(), [[3, 7.5]])
    assert display.ax_ is ax and display.figure_ is figure
    assert {line.get_linewidth() for line in display.lines_} == {4}
    with pytest.raises(ValueError, match="criterion='dic'.*'icl'"):
        CriterionDisplay.from_estimator(search, criterion="dic")


def test_criteria_that_are_functions_give_their_names(search):
    def cross_validated(estimator, X):
        return 0.0

    search.criterion = cross_validated
    label = CriterionDisplay.from_estimator(search).ax_.get_ylabel()
    assert label == "cross_validated (lower is better)"


def test_a_search_in_which_every_fit_failed_has_no_best():
    display = CriterionDisplay([1, 2], ["EII"] * 2, [np.nan] * 2).plot()
    assert display.best_ is None


@pytest.mark.parametrize("layout, within", [("constrained", False), (None, True)])
def test_fourteen_models_and_their_legend_fit_their_place(plt, layout, within):
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout=layout)
    models = np.repeat([f"VVV {index}" for index in range(14)], 2)
    display = CriterionDisplay([1, 2] * 14, models, np.arange(28.0)).plot(axes[0])
    axes[1].plot([0, 1])
    figure.canvas.draw()
    legend, own, other = (
        artist.get_window_extent() for artist in (display.legend_, *axes)
    )
    assert figure.bbox.y0 <= legend.y0 and legend.y1 <= figure.bbox.y1
    assert legend.x1 <= other.x0
    assert (own.x0 <= legend.x0 and legend.x1 <= own.x1) == within


def test_what_is_no_search_is_refused(iris, fitted):
    theirs = GaussianMixture(2, random_state=0).fit(iris)
    for wrong in (fitted, GaussianMixtureEM(), theirs, fitted.mixture_, iris):
        name = type(wrong).__name__
        message = f"search is a {name}.*pass a fitted GaussianMixtureIC.*MixtureDisplay"
        with pytest.raises(TypeError, match=message):
            CriterionDisplay.from_estimator(wrong)
    with pytest.raises(NotFittedError):
        CriterionDisplay.from_estimator(GaussianMixtureIC())


# Missing values --------------------------------------------------------------------


@pytest.fixture(scope="module")
def gaps(iris):
    """Iris that lacks a quarter of its values; the first row has nothing."""
    X = np.where(np.random.default_rng(0).random(iris.shape) < 0.25, np.nan, iris)
    X[0] = np.nan
    return X


@pytest.fixture(scope="module")
def fitted_to_gaps(gaps):
    return GaussianMixtureEM(3).fit(gaps)


@pytest.mark.parametrize("kind", KINDS)
def test_panels_draw_the_rows_that_have_what_they_show(gaps, fitted_to_gaps, kind):
    weight = np.arange(150) % 3
    chosen = {"features": [0, 1, 2], "kind": kind}
    display = draw(fitted_to_gaps, gaps, sample_weight=weight, **chosen)
    for row in range(3):
        for column in range(row + 1):
            shown = gaps[weight > 0][:, sorted({column, row})]
            has = ~np.isnan(shown).any(axis=1)
            assert display.n_missing_[row, column] == (~has).sum()
            if row > column:
                drawn = offsets(display, (row, column))
                assert as_rows(drawn) == as_rows(shown[has])
    assert not display.n_missing_[np.triu_indices(3, 1)].any()


def test_components_and_uncertainties_come_from_all_that_a_row_has(
    gaps, fitted_to_gaps
):
    pair = [2, 3]
    has = ~np.isnan(gaps[:, pair]).any(axis=1)
    labels = fitted_to_gaps.predict(gaps)
    display = draw(fitted_to_gaps, gaps, features=pair)
    for k, points in enumerate(display.scatter_[0, 0]):
        own = gaps[has & (labels == k)][:, pair]
        assert as_rows(points.get_offsets()) == as_rows(own)
    uncertainty = 1 - fitted_to_gaps.predict_proba(gaps).max(axis=1)
    display = draw(fitted_to_gaps, gaps, features=2, kind="uncertainty")
    has = ~np.isnan(gaps[:, 2])
    stems = np.array(display.lines_[0, 0][0].get_segments())
    expected = np.c_[gaps[has, 2], uncertainty[has]]
    assert_allclose(sorted(map(tuple, stems[:, 1])), as_rows(expected))


def test_histograms_weight_the_values_that_there_are(gaps, fitted_to_gaps):
    weight = np.arange(150) % 3 + 0.5
    display = draw(fitted_to_gaps, gaps, features=1, sample_weight=weight)
    (bars,) = display.bars_[0, 0]
    edges = [bar.get_x() for bar in bars] + [bars[-1].get_x() + bars[-1].get_width()]
    has = ~np.isnan(gaps[:, 1])
    heights, _ = np.histogram(gaps[has, 1], edges, density=True, weights=weight[has])
    assert_allclose([bar.get_height() for bar in bars], heights, rtol=1e-10)
    areas = [bar.get_height() * bar.get_width() for bar in bars]
    assert_allclose(sum(areas), 1)


def test_limits_hold_all_values_also_those_that_have_no_partner(iris):
    X = iris[:, :2].copy()
    gmm = GaussianMixtureEM(1).fit(X)
    X[0] = np.nan, 40.0
    ax = draw(gmm, X).ax_
    assert ax.get_ylim()[1] > 40 and ax.get_xlim()[1] < 10


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_no_row_has_are_drawn_of_the_mixture_alone(fitted, kind):
    X = np.full((5, 4), np.nan)
    X[:, 0] = 5, 6, 7, 5.5, 6.5
    display = draw(fitted, X, kind=kind, features=[0, 1])
    assert sum(len(points.get_offsets()) for points in display.scatter_[0, 0]) == 0
    assert display.n_missing_[0, 0] == 5
    assert draw(fitted, X, kind=kind, features=1).bars_[0, 0] == []
    assert np.isfinite(display.axes_[0, 0].get_ylim()).all()


def test_many_rows_are_thinned_out_among_those_that_can_be_drawn():
    X = make_blobs(0, 4000, 2, 2)
    gmm = GaussianMixtureEM(2).fit(X)
    X[::2, 0] = np.nan
    display = draw(gmm, X, max_rows=500)
    assert len(offsets(display)) == 500 and display.n_missing_[0, 0] == 2000
    labels = gmm.predict(X[1::2])
    drawn = [len(points.get_offsets()) for points in display.scatter_[0, 0]]
    assert_allclose(drawn, np.bincount(labels) / 4, atol=1)
    assert set(as_rows(offsets(display))) <= set(as_rows(X[1::2]))


# What pictures say ------------------------------------------------------------------


def note_of(display):
    """The small print, without line breaks."""
    return "" if display.note_ is None else " ".join(display.note_.get_text().split())


def boxes(*artists):
    """Where artists are, once the picture is drawn."""
    artists[0].figure.canvas.draw()
    return [artist.get_window_extent() for artist in artists]


@pytest.mark.parametrize(
    "features, kind, components, title",
    [
        ([0, 1], "classification", False, "Rows by component"),
        ([0], "classification", False, "Density by component"),
        ([0, 1, 2], "classification", False, "Rows by component"),
        ([0, 1, 2], "uncertainty", False, "Uncertainty of the rows"),
        ([0], "density", False, "Density"),
        ([0, 1], "density", True, "Density and components"),
    ],
)
def test_mixtures_have_a_title(iris, fitted, features, kind, components, title):
    display = draw(fitted, iris, features=features, kind=kind, components=components)
    first = display.axes_[0, 0]
    assert {first.get_title(), first.get_title("left")} == {title, ""}
    top = display.figure_.canvas.get_width_height()[1]
    for label in (first.title, first._left_title):
        assert boxes(label)[0].y1 <= top + 1


def test_a_mixture_without_rows_has_components_in_its_title(fitted):
    assert draw(fitted, features=[0, 1]).ax_.get_title() == "Components"


def test_fits_and_searches_have_a_title(fitted, search):
    gap = ConvergenceDisplay.from_estimator(fitted, kind="gap").ax_.get_title()
    assert gap == "Convergence to the last log-likelihood"
    course = ConvergenceDisplay.from_estimator(fitted).ax_.get_title()
    assert course == "Log-likelihood by iteration"
    title = CriterionDisplay.from_estimator(search, criterion="icl").ax_.get_title()
    assert title == "ICL by number of components"


def test_a_title_that_is_there_stays(plt, iris, fitted, search):
    _, axes = plt.subplots(1, 3)
    for ax in axes:
        ax.set_title("mine")
    draw(fitted, iris, features=[0, 1], ax=axes[0])
    ConvergenceDisplay.from_estimator(fitted, ax=axes[1])
    CriterionDisplay.from_estimator(search, ax=axes[2])
    assert [ax.get_title() for ax in axes] == ["mine"] * 3


@pytest.mark.parametrize("layout", ["constrained", None])
def test_titles_old_and_new_are_above_the_small_print(plt, iris, fitted, layout):
    figure, ax = plt.subplots(layout=layout)
    display = draw(fitted, iris, features=[0, 1], ax=ax)
    for title in ("", "A title of\ntwo lines"):
        ax.set_title(title or ax.get_title())
        panel, note, above = boxes(ax, display.note_, ax.title)
        assert panel.y1 <= note.y0 and note.y1 <= above.y0 + 1
        assert above.y1 <= figure.bbox.y1 or title and layout is None


@pytest.mark.parametrize("features", [[0, 1], [0, 1, 2], None])
def test_the_small_print_says_what_the_picture_shows(iris, fitted, features):
    display = draw(fitted, iris, features=features, levels=[0.5, 0.95], max_rows=60)
    note = note_of(display)
    assert "ellipses contain 50 and 95% of a component's probability" in note
    assert "small markers: uncertain rows" in note
    assert "60 of 150 rows drawn" in note
    some = features is not None
    assert (f"{len(features or [])} of 4 features drawn" in note) == some
    assert ("grey: histogram, and the sum of the components" in note) == (
        features != [0, 1]
    )


def test_the_small_print_names_other_kinds_levels_and_gaps(iris, fitted, gaps):
    note = note_of(draw(fitted, iris, features=[0, 1], kind="density", levels=0.9))
    assert note == "contours enclose 90% of the probability; 2 of 4 features drawn"
    three = [0, 1, 2]
    uncertain = note_of(draw(fitted, iris, kind="uncertainty", features=three))
    assert "large markers: uncertain rows" in uncertain
    greatest = 1 - 1 / fitted.n_components  # where all are equally probable
    assert f"lines: uncertainty, at most {greatest:.2g}" in uncertain
    missing = np.isnan(gaps[:, :2]).any(axis=1).sum()
    lacking = note_of(draw(fitted, gaps, features=[0, 1]))
    assert f"{missing} rows lack a value" in lacking
    lacking = note_of(draw(fitted, gaps, features=three))
    assert "each panel shows the rows that have its features" in lacking


def test_there_is_no_small_print_where_nothing_needs_it():
    X = make_blobs(0, 100, 1, 2)
    assert draw(GaussianMixtureEM(2).fit(X), X, kind="density").note_ is None


@pytest.mark.parametrize("n_features", [3, 5])
def test_titles_small_print_legend_and_panels_of_a_matrix_do_not_overlap(n_features):
    X = make_blobs(0, 300, n_features, 3)
    gmm = GaussianMixtureEM(12, init_params="kmeans", covariance_type="EII").fit(X)
    display = draw(gmm, X, kind="uncertainty")
    panels = [ax for ax in display.axes_.flat if ax.has_data()]
    title = display.axes_[0, 0]._left_title
    shown = boxes(title, display.note_, display.legend_, *panels)
    for i, box in enumerate(shown[:3]):
        assert not any(box.overlaps(other) for other in shown[i + 1 :])


def test_names_of_features_share_a_narrow_matrix(plt, iris, fitted):
    pd = pytest.importorskip("pandas")
    names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "another"]
    X = pd.DataFrame(iris, columns=names)
    _, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    display = draw(GaussianMixtureEM(3).fit(X), X, ax=axes[1])
    for labels in (
        [ax.xaxis.label for ax in display.axes_[-1]],
        [ax.yaxis.label for ax in display.axes_[1:, 0]],
    ):
        places = boxes(*labels)
        for box, after in zip(places, places[1:], strict=False):
            assert not box.overlaps(after)


def test_ellipses_are_seen_on_their_rows_without_cutting_them(iris, fitted):
    display = draw(fitted, iris, features=[0, 1])
    for k, ellipses in enumerate(display.ellipses_[0, 0]):
        for line in ellipses:
            assert line.get_path_effects() == []
            shade = lightness(hex_of(line.get_color()))
            assert shade < lightness(COLORS[k]) - 10


def test_the_whole_is_wide_and_below_the_curves_of_its_components(iris, fitted):
    for kind, components in [("classification", False), ("density", True)]:
        display = draw(fitted, iris, features=2, kind=kind, components=components)
        whole, *parts = display.lines_[0, 0]
        drawn = display.ax_.get_lines()
        assert all(
            drawn.index(whole) < drawn.index(part)
            and whole.get_zorder() <= part.get_zorder()
            and whole.get_linewidth() > 2 * part.get_linewidth()
            for part in parts
        )


@pytest.fixture(scope="module")
def dozen():
    """Twelve components, and their rows."""
    X = make_blobs(3, 600, 2, 12)
    return GaussianMixtureEM(12, covariance_type="EII").fit(X), X


def test_twelve_components_look_different(dozen):
    gmm, X = dozen
    display = draw(gmm, X)
    panel, legend = boxes(display.ax_, display.legend_)
    assert len(display.legend_.get_texts()) == 12
    assert legend.x0 >= panel.x1 and legend.x1 <= display.figure_.bbox.x1
    styles = {
        (hex_of(lines[0].get_color()), lines[0].get_linestyle())
        for lines in display.ellipses_[0, 0]
    }
    assert len(styles) == 12
    numbers = display.numbers_[0, 0]
    assert [number.get_text() for number in numbers] == [str(k) for k in range(12)]
    assert_allclose([number.xy for number in numbers], gmm.means_)


def test_numbers_stay_where_a_figure_makes_no_room_for_the_legend(plt, dozen):
    gmm, X = dozen
    display = draw(gmm, X, ax=plt.subplots()[1])
    assert display.legend_ is None and len(display.numbers_[0, 0]) == 12


def test_numbers_of_curves_are_at_their_peaks(dozen):
    gmm, X = dozen
    display = draw(gmm, X, features=0)
    for number, part in zip(
        display.numbers_[0, 0], display.lines_[0, 0][1:], strict=True
    ):
        assert number.xy[1] == part.get_ydata().max()


def test_few_components_have_no_numbers(iris, fitted):
    assert draw(fitted, iris, features=[0, 1]).numbers_[0, 0] == []


def test_lines_of_uncertainty_have_the_colours_of_components(iris, fitted):
    display = draw(fitted, iris, features=2, kind="uncertainty")
    colors = [hex_of(color) for color in display.lines_[0, 0][0].get_colors()]
    assert colors == [COLORS[k] for k in fitted.predict(iris)]


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e8])
def test_a_constant_feature_is_in_the_middle_of_a_wide_panel(constant):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=50), np.full(50, constant)])
    display = MixtureDisplay(
        X,
        weights=np.ones(1),
        means=X.mean(axis=0, keepdims=True),
        covariances=np.diag([1.0, 1e-20])[None],
        responsibilities=np.ones((50, 1)),
    ).plot()
    low, high = display.ax_.get_ylim()
    assert_allclose((low + high) / 2, constant, atol=1e-9)
    assert high - low > 0.5 * abs(constant) and high > low
    display.figure_.canvas.draw()
    assert display.ax_.yaxis.get_offset_text().get_text() in ("", "1e8")


def test_contenders_are_apart_and_all_candidates_are_in_the_picture():
    values = [1520.0, 574.0, 580.0, 561.7, 562.6, 830.0, 1800.0, np.nan]
    models, sizes = ["EII"] * 4 + ["VVV"] * 4, [1, 2, 3, 4] * 2
    display = CriterionDisplay(sizes, models, values).plot()
    ax = display.ax_
    ax.figure.canvas.draw()
    bottom, top = ax.bbox.y0, ax.bbox.y1
    pixels = ax.transData.transform([(1, value) for value in values[:-1]])[:, 1]
    heights = (pixels - bottom) / (top - bottom)
    assert 0 < heights.min() and heights.max() < 1
    assert_array_equal(np.argsort(heights), np.argsort(values[:-1]))
    assert heights[1] - heights[3] > 0.12  # 12.3 of 1238
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == "562 +10 +20 +50 +100 +200 +500 +1000".split()
    assert_allclose(ax.get_yticks() - 561.7, [0, 10, 20, 50, 100, 200, 500, 1000])
    note = note_of(display)
    assert "on a log scale beyond 10" in note and "gaps: not eligible" in note
    scale = ax.yaxis.get_transform()
    assert_allclose(scale.inverted().transform(scale.transform(values)), values)


def test_a_criterion_of_other_units_has_a_scale_of_its_own():
    values = 1e-3 * np.array([0.0, 1.0, 40.0, 100.0]) + 7
    display = CriterionDisplay([1, 2, 3, 4], ["EII"] * 4, values, criterion="mine")
    ax = display.plot().ax_
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == "7.000 +0.001 +0.002 +0.005 +0.01 +0.02 +0.05 +0.1".split()


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.0, np.nan], [np.nan] * 2])
def test_criteria_that_do_not_differ_are_drawn(values):
    display = CriterionDisplay(np.arange(len(values)), ["EII"] * len(values), values)
    low, high = display.plot().ax_.get_ylim()
    assert low < high and (display.note_ is None) == np.isnan(values).all()


def test_log_likelihoods_at_ticks_are_whole_numbers_not_offsets():
    display = ConvergenceDisplay([[-1.2012418, -1.2012369]]).plot()
    display.figure_.canvas.draw()
    assert display.ax_.yaxis.get_offset_text().get_text() == ""


def test_figures_can_be_pickled(iris, fitted, search):
    for figure in (
        draw(fitted, iris, features=[0, 1]).figure_,
        CriterionDisplay.from_estimator(search).figure_,
        ConvergenceDisplay.from_estimator(fitted).figure_,
    ):
        again = pickle.loads(pickle.dumps(figure))
        figure.canvas.draw()
        again.canvas.draw()
        assert_array_equal(again.canvas.buffer_rgba(), figure.canvas.buffer_rgba())
