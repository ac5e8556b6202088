"""Agreement with R: mclust's EM and M-steps, and a loop in base R.

``data/README.md`` says how the references were made, and which are to be trusted.
"""

import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import log_joint, m_step

import emgmm._gaussian_mixture
from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._em.progress import Progress
from emgmm._estep.estep import statistics_of_start
from emgmm._model.families import MODELS
from emgmm._model.segments import Segments

DATA = Path(__file__).parent / "data"
DATASETS = ["iris", "faithful", "sim_d2_n5000_k8"]

# Most fits here end after as many iterations as the reference's, before `tol`.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Tolerance(NamedTuple):
    """Differences allowed: log-likelihoods relative, parameters as in `distance`."""

    log_likelihood: float
    parameters: float


# Where the M-step is a formula, rounding is all that differs. For VEE and EVE mclust
# iterates in it until the objective changes by 1e-14; it is flat at the optimum, so
# that the parameters may then be off by about the root of that.
M_STEP = defaultdict(
    lambda: Tolerance(1e-13, 1e-12),
    VEE=Tolerance(5e-11, 5e-9),
    EVE=Tolerance(5e-9, 1e-7),
)
# After equally many iterations: the log-likelihoods on the way, relative; ...
PATH = defaultdict(lambda: 1e-12, VEE=1e-8, EVE=1e-7)
# ... and where they lead.
FIT = defaultdict(
    lambda: Tolerance(1e-12, 1e-10),
    VEE=Tolerance(1e-12, 1e-7),
    EVE=Tolerance(1e-12, 1e-6),
)


@cache
def load(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


@cache
def rows(dataset):
    return np.array(load(f"me_{dataset}")["data"])


def is_truth(record):
    return record["trusted"] and record.get("status") in ("converged", "ok", None)


def name_of(record):
    return f"{record['model']}-{record['G']}"


def converged_fits(kind, models=tuple(MODELS)):
    """Trusted records of the data sets, as parameters of a test."""
    return [
        pytest.param(dataset, record, id=f"{dataset}-{name_of(record)}")
        for dataset in DATASETS
        for record in load(f"me_{dataset}")[kind]
        if is_truth(record) and record["model"] in models
    ]


def estimator(dataset, record, **options):
    """For the record's model, from the labels that mclust starts from as well."""
    labels = load(f"me_{dataset}")["labels"][str(record["G"])]
    return GaussianMixtureEM(
        record["G"],
        covariance_type=record["model"],
        init_params=labels,
        reg_covar=0,
        acceleration=None,
        **options,
    )


class SmallChange(Progress):
    """Ends EM where the mean log-likelihood changes by less: mclust's rule."""

    def iterated(self, states):
        super().iterated(states)
        before, after = states[0].result().lower_bounds[-2:]
        if abs(after - before) < self.interval:
            states[0].end(states[0].running)


def fit_until(gmm, change, X, **weights):
    """Plain EM until the mean log-likelihood changes by less."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            emgmm._gaussian_mixture, "Progress", lambda *others: SmallChange(0, change)
        )
        return gmm.set_params(tol=0, max_iter=20000).fit(X, **weights)


@cache
def fit(dataset, model, n_components, iterations):
    """EM up to the mixture that mclust has after so many iterations.

    mclust counts the M-step on the labels as the first; here it is the start.
    """
    record = {"model": model, "G": n_components}
    gmm = estimator(dataset, record, tol=0, max_iter=iterations - 1)
    return gmm.fit(rows(dataset))


def fit_like(dataset, record):
    return fit(dataset, record["model"], record["G"], record["iterations"])


def dense_covariances(gmm):
    storage = MODELS[gmm.covariance_type].storage
    return storage.from_values(
        gmm.covariances_, Segments.one(len(gmm.means_)), gmm.means_.shape[1]
    ).dense()


def distance(weights, means, covariances, record):
    """Largest difference of any parameter from the record's.

    Weights as they are, means in standard deviations of their component, covariances
    in products of two.
    """
    expected = np.array(record["covariances"])
    deviations = np.sqrt(np.diagonal(expected, axis1=1, axis2=2))
    products = deviations[:, :, None] * deviations[:, None, :]
    return max(
        np.max(np.abs(weights - np.array(record["weights"]))),
        np.max(np.abs(means - np.array(record["means"])) / deviations),
        np.max(np.abs(covariances - expected) / products),
    )


def distance_of_fit(gmm, record):
    return distance(gmm.weights_, gmm.means_, dense_covariances(gmm), record)


# The demonstration: a loop in base R ---------------------------------------------


def demonstration(iterations):
    """EM from the demonstration's start, and its number of rows."""
    start = load("seed_gist")["initial"]
    X = np.loadtxt(DATA / "seed_data.csv", delimiter=",", skiprows=1)[:, 1:]
    gmm = GaussianMixtureEM(
        3,
        weights_init=start["weights"],
        means_init=start["means"],
        precisions_init=np.linalg.inv(start["covariances"]),
        reg_covar=0,
        acceleration=None,
        tol=0,
        max_iter=iterations,
    )
    return gmm.fit(X), len(X)


def test_every_iteration_has_the_log_likelihood_of_the_r_loop(forced_kernel):
    begun, n_samples = demonstration(0)
    gmm, _ = demonstration(50)
    path = n_samples * np.append(begun.lower_bound_, gmm.lower_bounds_)
    expected = load("seed_gist")["corrected"]["loglik_after_iteration"]
    np.testing.assert_allclose(path, expected, rtol=1e-12)


@pytest.mark.parametrize("iterations", [1, 2, 3, 5, 10, 20, 50])
def test_parameters_follow_the_r_loop(iterations, forced_kernel):
    expected = load("seed_gist")["corrected"]
    records = {record["iteration"]: record for record in expected["after_iteration"]}
    gmm, _ = demonstration(iterations)
    for name in ["weights", "means", "covariances"]:
        np.testing.assert_allclose(
            getattr(gmm, name + "_"),
            records.get(iterations, expected)[name],
            rtol=1e-10,
            err_msg=name,
        )


# M-steps -------------------------------------------------------------------------


class MStep(NamedTuple):
    """Our M-step from mclust's responsibilities, and what both must minimise."""

    record: dict
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    log_likelihood: float
    counts: np.ndarray
    scatter: np.ndarray

    def objective(self, covariances):
        """sum_k n_k log|S_k| + tr(S_k^-1 W_k)."""
        log_det = np.linalg.slogdet(covariances)[1]
        traces = np.trace(np.linalg.solve(covariances, self.scatter), axis1=1, axis2=2)
        return self.counts @ log_det + traces.sum()


@cache
def m_step_from_mclusts_responsibilities(dataset, model):
    X, z = rows(dataset), np.array(load(f"mstep_{dataset}")["z"])
    records = {record["model"]: record for record in load(f"mstep_{dataset}")["mstep"]}
    family, n_components = MODELS[model], z.shape[1]
    blocks = ArrayBlocks(X, np.ones(len(X)))
    stats = statistics_of_start(blocks, z, n_components, family.storage.moment_kind)
    mixture, _ = m_step(stats, family, 0.0)
    counts = z.sum(axis=0)
    deviations = X - (z.T @ X / counts[:, None])[:, None, :]
    return MStep(
        records[model],
        mixture.weights,
        mixture.means,
        mixture.covariances.dense(),
        np.logaddexp.reduce(log_joint(mixture, X), axis=1).sum(),
        counts,
        (deviations * z.T[:, :, None]).mT @ deviations,
    )


# VVE: mclust's M-step is not the optimum, see data/README.md.
@pytest.mark.parametrize("model", [model for model in MODELS if model != "VVE"])
@pytest.mark.parametrize("dataset", DATASETS)
def test_m_step_gives_mclusts_parameters(dataset, model):
    step = m_step_from_mclusts_responsibilities(dataset, model)
    assert is_truth(step.record)
    found = distance(step.weights, step.means, step.covariances, step.record)
    assert found <= M_STEP[model].parameters
    assert step.log_likelihood == pytest.approx(
        step.record["loglik"], rel=M_STEP[model].log_likelihood
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_m_step_is_at_least_as_good_as_mclusts(dataset, model):
    step = m_step_from_mclusts_responsibilities(dataset, model)
    theirs = step.objective(np.array(step.record["covariances"]))
    assert step.objective(step.covariances) <= theirs + 1e-14 * abs(theirs)


# EM ------------------------------------------------------------------------------


def assert_ends_where_mclust_does(gmm, dataset, record):
    tolerance = FIT[record["model"]]
    assert gmm.lower_bound_ * len(rows(dataset)) == pytest.approx(
        record["loglik"], rel=tolerance.log_likelihood
    )
    assert distance_of_fit(gmm, record) <= tolerance.parameters


def assert_has_mclusts_log_likelihoods(gmm, dataset, record):
    trajectory = load(f"me_{dataset}")["trajectory"]
    runs = {name_of(run): run["loglik"] for run in trajectory["runs"]}
    start = fit(dataset, record["model"], record["G"], 1)
    path = np.append(start.lower_bound_, gmm.lower_bounds_)
    # Where EM has converged before, its last log-likelihood stands for later ones.
    steps = np.minimum(trajectory["iterations"], record["iterations"]) - 1
    np.testing.assert_allclose(
        len(rows(dataset)) * path[steps],
        runs[name_of(record)],
        rtol=PATH[record["model"]],
    )


@pytest.mark.parametrize("dataset, record", converged_fits("me_tight"))
def test_em_ends_where_mclust_does(dataset, record):
    assert_ends_where_mclust_does(fit_like(dataset, record), dataset, record)


@pytest.mark.parametrize("dataset, record", converged_fits("me_tight"))
def test_em_has_mclusts_log_likelihoods_on_the_way(dataset, record):
    assert_has_mclusts_log_likelihoods(fit_like(dataset, record), dataset, record)


# One model of each storage, which is what kernels see.
@pytest.mark.parametrize(
    "dataset, record", converged_fits("me_tight", ["VII", "VVI", "EEE", "VVV"])
)
def test_either_kernel_takes_the_way_of_mclust(dataset, record, forced_kernel):
    gmm = fit.__wrapped__(dataset, record["model"], record["G"], record["iterations"])
    assert_ends_where_mclust_does(gmm, dataset, record)
    assert_has_mclusts_log_likelihoods(gmm, dataset, record)


@pytest.mark.parametrize("dataset, record", converged_fits("me"))
def test_changes_become_small_where_mclusts_do(dataset, record):
    # mclust's tolerance is relative to 1 + |log-likelihood|, ours is for its mean.
    X = rows(dataset)
    change = 1e-10 * (1 + abs(record["loglik"])) / len(X)
    gmm = fit_until(estimator(dataset, record), change, X)
    # EVE, with inner iterations of its own, goes a slightly different way.
    slack = 2 if record["model"] == "EVE" else 0
    assert abs(gmm.n_iter_ - (record["iterations"] - 1)) <= slack
    assert gmm.lower_bound_ * len(X) == pytest.approx(record["loglik"], rel=1e-9)


@pytest.mark.parametrize(
    "record",
    load("vve_eve_exact")["fits"],
    ids=lambda record: f"{record['data']}-{name_of(record)}",
)
def test_common_orientations_end_where_exact_ones_do(record):
    assert is_truth(record)
    gmm = fit_like(record["data"], record)
    log_likelihood = gmm.lower_bound_ * len(rows(record["data"]))
    assert log_likelihood == pytest.approx(record["loglik"], rel=1e-12)
    # Our M-step ends when the orientation turns by 1e-10, which is amplified where
    # the likelihood is flat.
    assert distance_of_fit(gmm, record) <= 1e-7


# Weights -------------------------------------------------------------------------


def weighted_fits(kind):
    return [
        pytest.param(record, id=f"{record['data']}-{name_of(record)}")
        for record in load("weighted")["fits"]
        if is_truth(record[kind])
    ]


def fit_weighted(record, weights, tolerance):
    """EM until the log-likelihood changes by less than the tolerance."""
    sample_weight = np.array(weights[record["data"]], dtype=float)
    gmm = fit_until(
        estimator(record["data"], record),
        tolerance / sample_weight.sum(),
        rows(record["data"]),
        sample_weight=sample_weight,
    )
    return gmm, gmm.lower_bound_ * sample_weight.sum()


@pytest.mark.parametrize("record", weighted_fits("me_replicated"))
def test_integer_weights_give_what_mclust_finds_on_repeated_rows(record):
    expected, tolerance = record["me_replicated"], FIT[record["model"]]
    gmm, log_likelihood = fit_weighted(
        record, load("weighted")["wi"], 1e-14 * (1 + abs(expected["loglik"]))
    )
    assert log_likelihood == pytest.approx(expected["loglik"], rel=1e-12)
    # So near to the rounding of the log-likelihood, chance moves the end by some
    # iterations (below 20 seen); the residual is how far a single one goes.
    allowed = tolerance.parameters + 100 * expected["m_step_residual"]
    assert distance_of_fit(gmm, expected) <= allowed


@pytest.mark.parametrize("record", weighted_fits("me_weighted"))
def test_any_weights_give_what_mclust_finds_with_them(record):
    expected, tolerance = record["me_weighted"], FIT[record["model"]]
    # me.weighted's tolerance is an absolute one.
    gmm, log_likelihood = fit_weighted(record, load("weighted")["w"], 1e-9)
    assert log_likelihood == pytest.approx(
        expected["loglik_weighted"], rel=tolerance.log_likelihood
    )
    assert distance_of_fit(gmm, expected) <= tolerance.parameters


# Counting parameters, and criteria -----------------------------------------------


@pytest.mark.parametrize("model", load("nparams")["models"])
def test_parameters_are_counted_as_mclust_does(model):
    # E and V are what mclust calls the models of a single feature.
    family = MODELS[{"E": "EII", "V": "VII"}.get(model, model)]
    for d, n_components, expected, _ in load("nparams")["models"][model]:
        assert family.n_parameters(n_components, d) == expected


@pytest.mark.parametrize("dataset, record", converged_fits("me_tight"))
def test_bic_is_minus_mclusts(dataset, record):
    X = rows(dataset)
    totals = {
        (d, n_components): total
        for d, n_components, _, total in load("nparams")["models"][record["model"]]
    }
    n_parameters = totals[X.shape[1], record["G"]]
    mclusts = 2 * record["loglik"] - n_parameters * np.log(len(X))
    assert fit_like(dataset, record).bic(X) == pytest.approx(-mclusts, rel=1e-12)


def criteria():
    """Cells of mclust's tables that have a value, as parameters of a test."""
    cells = []
    for dataset in ["iris", "faithful"]:
        reference = load(f"bic_{dataset}")
        for row, n_components in enumerate(reference["G"]):
            for column, model in enumerate(reference["models"]):
                cell = {
                    name: reference["tight"][name][row][column]
                    for name in ["loglik", "bic", "icl"]
                }
                # VVE with one component is VVV.
                trusted = model != "VVE" or n_components == 1
                if trusted and cell["loglik"] is not None:
                    case = f"{dataset}-{model}-{n_components}"
                    cells.append(
                        pytest.param(dataset, model, n_components, cell, id=case)
                    )
    return cells


@pytest.mark.parametrize("dataset, model, n_components, cell", criteria())
def test_bic_and_icl_are_minus_mclusts_tables(dataset, model, n_components, cell):
    X, starts = rows(dataset), load(f"bic_{dataset}")["start_labels"]
    gmm = GaussianMixtureEM(
        n_components,
        covariance_type=model,
        init_params=starts.get(str(n_components), np.zeros(len(X))),
        reg_covar=0,
        acceleration=None,
    )
    fit_until(gmm, 1e-10 * (1 + abs(cell["loglik"])) / len(X), X)
    # The stop comes early: where mclust goes a slightly different way, a relative
    # change of 1e-10 in the log-likelihood is one of its root in the posterior.
    inner = model in ("VEE", "EVE") and n_components > 1
    assert gmm.bic(X) == pytest.approx(-cell["bic"], rel=1e-9 if inner else 1e-12)
    assert gmm.icl(X) == pytest.approx(-cell["icl"], rel=1e-6 if inner else 1e-11)
