"""The tables of the cost model: its parameters, its predictions, and very many rows."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np

from .cost import TERMS, terms
from .tables import done, markdown, median, number

RESULTS = Path(__file__).parent / "results"
ROW_BYTES = 4  # of a float32
HUGE = [  # rows, cores, rows in a chunk
    (1e9, 2, 1e7),
    (1e9, 64, 1e6),
    (1e12, 64, 1e7),
    (1e12, 1024, 1e7),
    (1e12, 1024, 1e6),
]
CALIBRATING = 1_000_000  # rows of the cases with any number of chunks
SHAPE = {"model": "full", "d": 10, "K": 5}


def parameters_table(report):
    header = ["model", *(f"ns of a core for {term}" for term in TERMS)]
    header += ["predicted / measured, median", "least", "most"]
    rows = [
        [
            one["case"]["model"],
            *(number(one["parameters"][term]) for term in TERMS),
            *(number(of(one["ratios"])) for of in (statistics.median, min, max)),
        ]
        for one in done(report)
    ]
    return markdown(header, rows)


def seconds_of_rows(report, model, d, K):
    """Of a core, for each row."""
    (one,) = (one for one in done(report) if one["case"]["model"] == model)
    parameters = [one["parameters"][term] for term in TERMS]
    return 1e-9 * float(terms(model, d, K) @ parameters)


def of_workers():
    path = RESULTS / "workers.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def busy_seconds(report, case):
    """Of computing, with no more workers than there are cores."""
    core = seconds_of_rows(report, case["model"], case["d"], case["K"])
    return case["n"] * core / min(case["workers"], report["machine"]["cpus"])


def calibrates(case):
    """Whether tasks' parameters are those of this case and others like it."""
    return case["n"] == CALIBRATING


def tasks_of(report, workers):
    """Seconds beside computing, and kilobytes moved: of a pass, and of each chunk."""
    results = [one for one in done(workers) if calibrates(one["case"])]
    chunks = np.array([[1.0, one["case"]["chunks"]] for one in results])
    beside = [
        median(one, "emgmm") - busy_seconds(report, one["case"]) for one in results
    ]
    moved = [one["bytes"]["emgmm"]["median"] / 1e3 for one in results]
    return [np.linalg.lstsq(chunks, np.array(values))[0] for values in (beside, moved)]


def workers_prediction(report):
    """Passes on workers as measured, and as the model has them from parts."""
    workers = of_workers()
    if workers is None:
        return "No results of the group workers."
    (idle, task), _ = tasks_of(report, workers)
    header = ["workers", "n", "chunks", "measured ms", "predicted ms", "ratio"]
    header += [
        f"used for the tasks' {number(1e3 * idle)} ms + {number(1e3 * task)} ms a chunk"
    ]
    lines = []
    for one in done(workers):
        case = one["case"]
        predicted = busy_seconds(report, case) + idle + task * case["chunks"]
        measured = median(one, "emgmm")
        lines.append(
            [
                case["workers"],
                f"{case['n']:,}",
                case["chunks"],
                number(1e3 * measured),
                number(1e3 * predicted),
                number(predicted / measured),
                "yes" if calibrates(case) else "",
            ]
        )
    return markdown(header, lines)


def huge_table(report):
    """What the model says of very many rows; the rates are those of this machine."""
    workers = of_workers()
    if workers is None:
        return "No results of the group workers."
    core = seconds_of_rows(report, **SHAPE)
    (_, task), (_, moved) = tasks_of(report, workers)
    header = ["rows", "float32", "cores", "rows in a chunk", "chunks", "E-steps s"]
    header += [
        "tasks s",
        "a pass takes about",
        "moved by a pass",
        "read by a core, MB/s",
    ]
    lines = []
    for rows, cores, chunk in HUGE:
        chunks = rows / chunk
        busy, tasks = rows * core / cores, task * chunks
        size = rows * SHAPE["d"] * ROW_BYTES
        lines.append(
            [
                f"{rows:.0e}".replace("e+0", "e").replace("e+", "e"),
                f"{size / 1e9:,.0f} GB",
                f"{cores:,}",
                f"{chunk:,.0f}",
                f"{chunks:,.0f}",
                number(busy),
                number(tasks),
                spoken(max(busy, tasks)),
                f"{number(moved * chunks / 1e3)} MB",
                number(size / cores / max(busy, tasks) / 1e6),
            ]
        )
    return markdown(header, lines)


def spoken(seconds):
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{number(seconds / size, 2)} {unit}"
    return f"{number(seconds, 2)} s"


COST_TABLES = {
    "cost": ("cost", parameters_table),
    "cost-workers": ("cost", workers_prediction),
    "cost-huge": ("cost", huge_table),
}
