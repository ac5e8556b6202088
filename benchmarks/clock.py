"""Times: of fits and calls, repeated in alternation, as medians and spread."""

from __future__ import annotations

import statistics
import time

from .peers import mean_log_likelihood, thread_limit

SETTLE = 0.05  # threads of the library before go on spinning for a while
ITERATIONS = 10
LEAST_ITERATIONS, MOST_ITERATIONS = 3, 100
ENOUGH = 0.5  # seconds that need no more iterations


def summary(times, **more):
    return {
        "median": statistics.median(times),
        "least": min(times),
        "most": max(times),
        "repeats": len(times),
        **more,
    }


def seconds(function):
    time.sleep(SETTLE)
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def in_turn(functions, repeats):
    """Times of each function, in turn, so that a slow minute hits all of them.

    A function takes nothing and returns seconds. One that fails is recorded so.
    """
    times = {name: [] for name in functions}
    failed = {}
    for _ in range(repeats):
        for name, function in functions.items():
            if name in failed:
                continue
            try:
                times[name].append(function())
            except Exception as error:
                failed[name] = message_of(error)
    return {
        name: values for name, values in times.items() if name not in failed
    }, failed


def message_of(error):
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def fit_once(peer, problem, max_iter):
    """Seconds of a fit, and what it returned."""
    with thread_limit(peer):
        fit = peer.prepare(problem, max_iter)
        time.sleep(SETTLE)
        began = time.perf_counter()
        fitted = fit()
        return time.perf_counter() - began, fitted


def seconds_per_iteration(peer, problem, iterations):
    """Difference of two fits, so that what is not iterated cancels."""
    short, _ = fit_once(peer, problem, 1)
    long, _ = fit_once(peer, problem, 1 + iterations)
    return (long - short) / iterations


def first_fit(peer, problem):
    """Log-likelihood after the common number of iterations, and how many to time.

    It also warms the library up. Slow libraries need few iterations for a time that is
    long beside the noise, fast ones many.
    """
    taken, fitted = fit_once(peer, problem, 1 + ITERATIONS)
    score = mean_log_likelihood(peer, fitted, problem)
    enough = round(ENOUGH * (1 + ITERATIONS) / taken)
    return score, min(MOST_ITERATIONS, max(LEAST_ITERATIONS, enough))


def iteration_times(peers, problem, repeats):
    """Seconds per iteration and log-likelihood of each library, and what failed."""
    scores, iterations, failed = {}, {}, {}
    for peer in peers:
        try:
            scores[peer.name], iterations[peer.name] = first_fit(peer, problem)
        except Exception as error:
            failed[peer.name] = message_of(error)
    functions = {
        peer.name: lambda peer=peer: seconds_per_iteration(
            peer, problem, iterations[peer.name]
        )
        for peer in peers
        if peer.name in scores
    }
    times, failed_later = in_turn(functions, repeats)
    return {
        "seconds": {
            name: summary(values, iterations=iterations[name])
            for name, values in times.items()
        },
        "log_likelihood": scores,
        "failed": failed | failed_later,
    }
