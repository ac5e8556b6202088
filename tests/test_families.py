"""The fourteen families: their form, their optimality and how they nest."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import MODEL_NAMES
from numpy.testing import assert_allclose

from emgmm._model.covariances import Full
from emgmm._model.estimation import Estimation
from emgmm._model.families import FAMILIES, MODELS
from emgmm._model.orientation import orientations_of, settle, starting_orientations
from emgmm._model.segments import Segments
from emgmm._model.volume_shape import Rules, equal_shape

# The lattice of the models: each line's left side is a special case of its right.
# Letter by letter, I is a case of E and E of V, where both names are models.
NESTED = [
    (small, large)
    for small in MODEL_NAMES
    for large in MODEL_NAMES
    if small != large
    and all("IEV".index(a) <= "IEV".index(b) for a, b in zip(small, large, strict=True))
]


def random_scatter(n_components=3, n_features=4, seed=0):
    """Scatters of components of different sizes, no two of them alike."""
    rng = np.random.default_rng(seed)
    counts = rng.uniform(20, 60, n_components)
    roots = rng.standard_normal((n_components, n_features, n_features + 2))
    scale = rng.uniform(0.5, 4.0, (n_components, 1, 1))
    return counts, counts[:, None, None] * scale * (roots @ roots.mT) / n_features


def in_layout(scatter, family):
    return {
        "diagonal": np.diagonal(scatter, axis1=1, axis2=2),
        "full": scatter,
        "pooled": scatter.sum(axis=0, keepdims=True),
    }[family.storage.moment_kind.name]


def estimate(family, counts, scatter, start=None):
    """Covariances of the family for a scatter in full."""
    segments = Segments.one(len(counts))
    values = family.estimate(segments, counts, in_layout(scatter, family), start)
    return family.storage.from_values(values, segments, scatter.shape[-1])


def objective(dense, counts, scatter):
    """sum_k n_k log|S_k| + tr(S_k^-1 W_k): what an M-step minimises."""
    log_det = np.linalg.slogdet(dense)[1]
    traces = np.trace(np.linalg.solve(dense, scatter), axis1=1, axis2=2)
    return float(counts @ log_det + traces.sum())


def volumes(dense):
    return np.exp(np.linalg.slogdet(dense)[1] / dense.shape[-1])


def axes_and_shapes(dense):
    eigenvalues, vectors = np.linalg.eigh(dense)
    return vectors, eigenvalues / volumes(dense)[:, None]


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_estimate_has_the_form_that_the_letters_say(name):
    counts, scatter = random_scatter()
    dense = estimate(MODELS[name], counts, scatter).dense()
    volume, shape, orientation = name
    vectors, shapes = axes_and_shapes(dense)
    spread = np.ptp(volumes(dense)) / volumes(dense).mean()
    assert spread < 1e-10 if volume == "E" else spread > 1e-2
    if orientation == "I":
        assert_allclose(dense, dense * np.eye(4), atol=0)
    if orientation == "E":
        commutators = dense[0] @ dense - dense @ dense[0]
        assert_allclose(commutators, 0, atol=1e-8 * np.abs(dense).max() ** 2)
    if orientation == "V":
        assert np.abs(dense[0] @ dense[1] - dense[1] @ dense[0]).max() > 1e-3
    if shape == "I":
        assert_allclose(shapes, 1, rtol=1e-12)
    if shape == "E":
        assert_allclose(shapes, shapes[:1] * np.ones((3, 1)), rtol=1e-8)
    if shape == "V":
        assert np.ptp(shapes, axis=0).max() > 1e-2


@pytest.mark.parametrize("n_components, n_features", [(1, 3), (3, 1), (1, 1), (4, 4)])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_borders_of_the_sizes(name, n_components, n_features):
    counts, scatter = random_scatter(n_components, n_features)
    covariances = estimate(MODELS[name], counts, scatter)
    segments = Segments.one(n_components)
    shape = MODELS[name].storage.layout(segments, n_features)
    assert covariances.values.shape == shape
    if n_components == 1 and name.endswith(("EE", "VE", "EV", "VV")):
        # One component has nothing to share: the matrix is free.
        assert_allclose(covariances.dense(), scatter / counts[0], rtol=1e-9, atol=1e-12)
    if n_features == 1:
        free = scatter / counts[:, None, None]
        pooled = np.full_like(free, scatter.sum() / counts.sum())
        expected = free if name.startswith("V") else pooled
        assert_allclose(covariances.dense(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_no_small_step_within_the_family_improves_the_estimate(name):
    """Random neighbours, made by estimating from a slightly different scatter."""
    counts, scatter = random_scatter()
    family = MODELS[name]
    best = estimate(family, counts, scatter)
    value = objective(best.dense(), counts, scatter)
    rng = np.random.default_rng(1)
    for size in [1e-1, 1e-2, 1e-3]:
        for _ in range(10):
            noise = size * rng.standard_normal(scatter.shape)
            neighbour = scatter + (noise + noise.mT) * np.abs(scatter).mean() / 4
            if np.linalg.eigvalsh(neighbour).min() <= 0:
                continue
            other = estimate(family, counts, neighbour, best).dense()
            assert objective(other, counts, scatter) >= value - 1e-9


@pytest.mark.parametrize("small, large", NESTED)
def test_a_special_case_never_fits_better(small, large):
    for seed in range(5):
        counts, scatter = random_scatter(seed=seed)
        special = estimate(MODELS[small], counts, scatter)
        # The larger model's iterations may start from the special case itself.
        start = special if MODELS[small].storage is MODELS[large].storage else None
        general = estimate(MODELS[large], counts, scatter, start)
        loss = objective(general.dense(), counts, scatter) - objective(
            special.dense(), counts, scatter
        )
        assert loss <= 1e-9


def test_the_lattice_has_its_chain():
    assert {("EII", "VII"), ("VII", "VVI"), ("VVI", "VVV")} <= set(NESTED)
    assert len(NESTED) > 40


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_an_estimate_is_a_fixed_point(name):
    """Asked to estimate its own covariances, a family returns them."""
    counts, scatter = random_scatter()
    family = MODELS[name]
    once = estimate(family, counts, scatter)
    weighted = counts[:, None, None] * once.dense()
    for start in [once, None]:
        again = estimate(family, counts, weighted, start)
        assert_allclose(again.dense(), once.dense(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_steps_from_the_previous_estimate_never_lose(name):
    """The scatter changes; the estimate from the old one is at least as good."""
    family = MODELS[name]
    counts, scatter = random_scatter(seed=0)
    previous = estimate(family, counts, scatter)
    for seed in range(1, 20):
        counts, target = random_scatter(seed=seed)
        scatter = 0.9 * scatter + 0.1 * target
        following = estimate(family, counts, scatter, previous)
        before = objective(previous.dense(), counts, scatter)
        assert objective(following.dense(), counts, scatter) <= before + 1e-9
        previous = following


@pytest.mark.parametrize("name", ["VEE", "EVE", "VVE"])
def test_a_common_orientation_is_found_when_there_is_one(name):
    rng = np.random.default_rng(2)
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    variances = rng.uniform(0.1, 5.0, (3, 5))
    if name == "VEE":
        variances = variances[:1] * rng.uniform(0.5, 2.0, (3, 1))
    if name == "EVE":
        variances /= np.exp(np.log(variances).mean(axis=1, keepdims=True))
    dense = (rotation * variances[:, None, :]) @ rotation.T
    counts = np.array([10.0, 20.0, 30.0])
    found = estimate(MODELS[name], counts, counts[:, None, None] * dense).dense()
    assert_allclose(found, dense, rtol=1e-8, atol=1e-9)


def test_eigenvectors_of_equal_eigenvalues_do_not_hang_on_rounding():
    """A null space has no basis of its own; the sum of the scatters gives one."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3, 6))
    scatter = np.stack([rows.T @ rows, np.diag(np.arange(1.0, 7.0))])
    scatter += 1e-6 * np.eye(6)
    counts = np.array([3.0, 6.0])
    for name in ["EEV", "VEV", "EVE"]:
        one = estimate(MODELS[name], counts, scatter).dense()
        noise = 1e-15 * rng.standard_normal(scatter.shape)
        other = estimate(MODELS[name], counts, scatter * (1 + noise + noise.mT)).dense()
        assert_allclose(other, one, rtol=1e-4, atol=1e-6)


def test_a_common_orientation_is_kept_where_the_mean_matrix_has_none():
    """Two matrices whose sum is round, whatever weights have a simple ratio."""
    for first, second in [([1.0, 2.0], [2.0, 1.0]), ([1.0, 4.0], [30.0, 15.0])]:
        turn = np.array([[0.8, -0.6], [0.6, 0.8]])
        variances = np.array([first, second])
        dense = (turn * variances[:, None, :]) @ turn.T
        start = Full.from_values(dense, Segments.one(2), 2)
        orientation = orientations_of(start)[0]
        rotated = orientation.T @ dense @ orientation
        assert_allclose(rotated, rotated * np.eye(2), atol=1e-12)


@pytest.mark.parametrize("name", ["EVE", "VVE"])
def test_several_orientations_are_tried_and_the_best_goes_on(name):
    """From the pooled orientation alone some of these end in worse optima."""
    gains = []
    for seed in range(30):
        counts, scatter = random_scatter(3, 3, seed)
        best = estimate(MODELS[name], counts, scatter).dense()
        one, rules = Segments.one(3), Rules((MODELS[name].rule,))
        estimation = Estimation(one, counts, scatter, None, rules, Full)
        pooled = starting_orientations(estimation)[0][:1]
        axes, variances = settle(estimation, pooled, 500)
        fit = axes * variances[:, None] @ axes.mT
        values = [objective(dense, counts, scatter) for dense in (fit, best)]
        gains.append(values[0] - values[1])
    assert min(gains) > -1e-6
    assert max(gains) > 1e-2


@pytest.mark.parametrize("eps", [1e-4, 1e-8, 1e-12])
def test_volumes_and_shape_are_optimal_for_nearly_empty_axes(eps):
    """Alternating between the two would take up to 1e5 steps here."""
    diagonals = 50 * np.array([[1, 1, 1], [eps, 1, 1], [eps, eps, 1]])
    counts = np.full(3, 50.0)
    values = equal_shape(Segments.one(3), counts, diagonals)
    shape = values[0] / np.exp(np.log(values[0]).mean())
    volumes = values[:, 0] / shape[0]
    again = (diagonals / volumes[:, None]).sum(axis=0)
    again /= np.exp(np.log(again).mean())
    assert_allclose(again, shape, rtol=1e-10)
    assert_allclose((diagonals / shape).mean(axis=1) / counts, volumes, rtol=1e-10)


@pytest.mark.parametrize("name", ["EEE", "VEE", "EVV", "VVV"])
def test_whole_matrices_do_not_mind_the_scales_of_features(name):
    """These families have every linear map; eigenvectors would lose small features."""
    counts, scatter = random_scatter()
    scales = np.array([1e-6, 1e-3, 1e3, 1e6])
    one = estimate(MODELS[name], counts, scatter).dense()
    scaled = scatter * scales[:, None] * scales
    other = estimate(MODELS[name], counts, scaled).dense()
    assert_allclose(other / scales[:, None] / scales, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["EEV", "VEV"])
def test_eigenvalues_of_features_of_different_scales_keep_their_digits(name):
    """One component is free: its matrix is the scatter, over its number of rows."""
    counts, scatter = random_scatter(n_components=1)
    scales = np.array([1e-4, 1e-2, 1e2, 1e4])
    scaled = scatter * scales[:, None] * scales
    dense = estimate(MODELS[name], counts, scaled).dense()
    unscaled = dense / scales[:, None] / scales
    relative = np.linalg.solve(scatter[0] / counts[0], unscaled[0])
    assert_allclose(relative, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("exponent", [-70, 70])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_unit_of_the_data_does_not_matter(name, exponent):
    counts, scatter = random_scatter()
    one = estimate(MODELS[name], counts, scatter).dense()
    other = estimate(MODELS[name], counts, scatter * 10.0 ** (2 * exponent)).dense()
    assert_allclose(other / 10.0 ** (2 * exponent), one, rtol=1e-7, atol=1e-9)


def test_scikit_learns_names_are_models():
    named = {name: FAMILIES[name].name for name in FAMILIES if name not in MODELS}
    assert named == {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_free_parameters_are_the_dimensions_in_which_estimates_move(name, n_components):
    """The rank of the derivative of the estimate, with respect to the scatter."""
    counts, scatter = random_scatter(n_components, 3)
    start, step = estimate(MODELS[name], counts, scatter), 1e-5
    derivatives = []
    for k, i, j in np.ndindex(n_components, 3, 3):
        moved = np.zeros_like(scatter)
        moved[k, i, j] = moved[k, j, i] = step * np.abs(scatter[k]).max()
        ends = [
            estimate(MODELS[name], counts, scatter + sign * moved, start).dense()
            for sign in (1, -1)
        ]
        derivatives.append((ends[0] - ends[1]).ravel() / step)
    values = np.linalg.svd(derivatives, compute_uv=False)
    rank = int((values > 1e-4 * values[0]).sum())
    assert rank == MODELS[name].n_parameters(n_components, 3)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_estimates_follow_the_unit_of_a_feature_where_the_family_says_so(name):
    counts, scatter = random_scatter()
    units = np.array([1.0, 8.0, 0.5, 3.0])
    one = estimate(MODELS[name], counts, scatter).dense()
    other = estimate(MODELS[name], counts, scatter * units[:, None] * units).dense()
    follows = np.allclose(other / units[:, None] / units, one, rtol=1e-6, atol=1e-6)
    assert follows == MODELS[name].scale_equivariant


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_matrices_are_free_where_one_component_does_not_bear_on_another(name):
    """Up to its volume, the scatter of a component alone decides its covariance."""
    counts, scatter = random_scatter()
    covariances = estimate(MODELS[name], counts, scatter).dense()
    ratios = np.linalg.solve(scatter, covariances)
    scaled = ratios[:, :1, :1] * np.eye(4)
    assert np.allclose(ratios, scaled, atol=1e-9) == MODELS[name].free_matrices
