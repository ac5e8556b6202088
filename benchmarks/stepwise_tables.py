"""The tables of stepwise EM: markdown of how near it comes, after how many epochs."""

from __future__ import annotations

import statistics

import numpy as np

from .comparisons import decimals, percent
from .stepwise import EPOCHS
from .tables import done, markdown, number

NEAR = 0.01  # nats a row


def summary_table(report):
    """A row to a kind of problem and a size of batches."""
    header = ["rows", "model", "batch", "runs"]
    header += [f"within {NEAR} after {epoch}" for epoch in EPOCHS]
    header += [f"of fit's after {EPOCHS[-2]}", "other maximum: lower", "higher"]
    header += ["median loss", "worst", "failed", "seconds / fit's"]
    lines = []
    for one in done(report):
        for size in one["case"]["sizes"]:
            runs = [run for run in one["runs"] if run["size"] == size]
            lines.append([one["case"]["what"], *summary(runs, size)])
    return markdown(header, lines)


def summary(runs, size):
    sound = [run for run in runs if "failed" not in run]
    models = {run["model"] for run in runs}
    middle = EPOCHS[-2]
    losses = [loss(run, middle) for run in sound]
    gaps = np.array([run["fit"] - run["own_maximum"] for run in sound])
    return [
        models.pop() if len(models) == 1 else f"{len(models)} models",
        size or "5%",
        len(runs),
        *(percent(share_near(sound, epoch)) for epoch in EPOCHS),
        percent(np.mean([loss(run, middle, "fit") < NEAR for run in sound])),
        percent(np.mean(gaps > NEAR)),
        percent(np.mean(gaps < -NEAR)),
        decimals(float(np.median(losses)), 4),
        decimals(max(losses), 2),
        len(runs) - len(sound),
        number(statistics.median(relative(run, middle) for run in sound)),
    ]


def data_table(report):
    """A row to a data set: medians of the loss over models, sizes and seeds."""
    header = ["rows", "n", "d", "K", "models", "runs"]
    header += [f"nats lost after {epoch}" for epoch in EPOCHS]
    header += [f"worst after {EPOCHS[-2]}", "fit's - own maximum", "seconds / fit's"]
    lines = []
    for one in done(report):
        sound = [run for run in one["runs"] if "failed" not in run]
        for name in dict.fromkeys(run["data"] for run in sound):
            runs = [run for run in sound if run["data"] == name]
            lines.append(data_row(name, runs))
    return markdown(header, lines)


def data_row(name, runs):
    first, middle = runs[0], EPOCHS[-2]
    gaps = [run["fit"] - run["own_maximum"] for run in runs]
    return [
        name,
        first["n"],
        first["d"],
        first["K"],
        len({run["model"] for run in runs}),
        len(runs),
        *(
            decimals(float(np.median([loss(run, epoch) for run in runs])), 4)
            for epoch in EPOCHS
        ),
        decimals(max(loss(run, middle) for run in runs), 4),
        decimals(statistics.median(gaps), 3),
        number(statistics.median(relative(run, middle) for run in runs)),
    ]


def loss(run, epoch, beside="own_maximum"):
    """Nats a row below a maximum; infinite while rows only gather."""
    reached = run["reached"][str(epoch)]
    return np.inf if reached is None else run[beside] - reached


def share_near(runs, epoch):
    return np.mean([loss(run, epoch) < NEAR for run in runs])


def relative(run, epoch):
    return run["seconds"][str(epoch)] / run["fit_seconds"]


STEPWISE_TABLES = {
    "stepwise": ("stepwise", summary_table),
    "stepwise-data": ("stepwise", data_table),
}
