"""Iterations of this checkout beside those of another, in turn."""

from __future__ import annotations

from .cases import make_problem
from .checkouts import checkouts, file_of
from .clock import in_turn, summary
from .peers import start_of
from .restarts import fits

ENOUGH = 0.5  # seconds that need no more iterations
MOST_ITERATIONS = 100


def passes(one):
    """Processor seconds of an iteration in one thread, and the likelihoods reached."""
    problem, scores = make_problem(one), {}
    settings = {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in {**start_of(problem), "acceleration": None}.items()
    }
    with file_of(problem.X) as path, checkouts(1) as programs:

        def fit(name, max_iter):
            task = fits(path, "emgmm", **settings, max_iter=max_iter)
            return programs[name].do(task)

        taken = fit("emgmm", 1)["cpu"]
        number = round(min(max(ENOUGH / taken, 5), MOST_ITERATIONS))

        def seconds(name):
            short, long = fit(name, 1), fit(name, 1 + number)
            scores[name] = long["log_likelihoods"][0]
            return (long["cpu"] - short["cpu"]) / number

        functions = {name: lambda name=name: seconds(name) for name in programs}
        times, failed = in_turn(functions, 1 + 2 * one["repeats"])
    # The first fits of a process warm it up.
    found = {name: summary(values[1:]) for name, values in times.items()}
    return {"seconds": found, "log_likelihood": scores, "failed": failed}
