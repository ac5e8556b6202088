"""Time to equal likelihood: the iterations a library needs, and then their time."""

from __future__ import annotations

from .cases import make_problem
from .clock import fit_once, in_turn, message_of, seconds_per_iteration, summary
from .peers import (
    EMGMM,
    ScikitLearn,
    ScikitLearnOneThread,
    mean_log_likelihood,
    peers_for,
)

TOLERANCE = 1e-6  # nats per row below the best known
LONG = 400  # iterations of the runs that look for the best
AFFORDABLE = 30.0  # seconds of such a run
REPEATS = 3


class Reached:
    """Log-likelihood of a library after some iterations, each fitted once."""

    def __init__(self, peer, problem):
        self._peer, self._problem, self.known = peer, problem, {}

    def __call__(self, iterations):
        if iterations not in self.known:
            _, fitted = fit_once(self._peer, self._problem, iterations)
            score = mean_log_likelihood(self._peer, fitted, self._problem)
            self.known[iterations] = score
        return self.known[iterations]

    @property
    def affords(self):
        """Whether a long run takes little time; float32 cannot show what is best."""
        if self._peer.dtype != "float64":
            return False
        each = seconds_per_iteration(self._peer, self._problem, 2)
        return self._peer.name == "emgmm" or LONG * each < AFFORDABLE

    @property
    def best(self):
        return max(self.known.values())


def quality(one):
    """Seconds that each library takes to come within the tolerance of the best."""
    problem = make_problem(one)
    peers, failed = usable(peers_for(one), problem)
    reached = {peer.name: Reached(peer, problem) for peer in peers}
    target = best_known(one, reached) - TOLERANCE
    guess, last_gain = first_above(problem, target)
    needed = {
        name: iterations_needed(each, target, guess) for name, each in reached.items()
    }
    return {
        "best_known": target + TOLERANCE,
        "last_gain": last_gain,
        "above_best": max(each.best for each in reached.values()) - target - TOLERANCE,
        "long_runs": {n: r.known[LONG] for n, r in reached.items() if LONG in r.known},
        "iterations": needed,
        "log_likelihood": {
            name: each(needed[name]) if needed[name] else each.best
            for name, each in reached.items()
        },
        **times_to_target(peers, problem, needed, min(REPEATS, one["repeats"])),
        "failed": failed,
    }


def best_known(one, reached):
    """The highest log-likelihood known, from the long runs that are affordable."""
    if "best_known" in one:
        return one["best_known"]
    return max(each(LONG) for each in reached.values() if each.affords)


def usable(peers, problem):
    """The libraries that can; scikit-learn once, since its settings only differ in
    speed.
    """
    able, failed = [], {}
    for peer in peers:
        if peer.name == ScikitLearnOneThread.name:
            continue
        if isinstance(peer, EMGMM):
            peer.acceleration = "anderson"
        try:
            fit_once(peer, problem, 2)
            able.append(peer)
        except Exception as error:
            failed[peer.name] = message_of(error)
    return able, failed


def first_above(problem, target):
    """Iterations that emgmm needs by its own record, a guess for every library; and
    what the last fifty of a long run gained, which shows whether that was long enough.
    """
    _, fitted = fit_once(EMGMM(), problem, LONG)  # plain EM, as others have it
    path = fitted.lower_bounds_
    above = (path >= target).nonzero()[0]
    return int(above[0]) + 1 if len(above) else LONG, float(path[-1] - path[-51])


def iterations_needed(reached, target, guess):
    """The least number of iterations that reaches the target; None if twice the guess
    does not.

    Likelihood rises, so it is enough to bracket the number and to halve the bracket;
    the steps grow from one, because the guess is mostly right.
    """
    low, high, step = 0, guess, 1
    while reached(high) < target:
        if high >= 2 * guess + 8:
            return None
        low, high, step = high, high + step, 2 * step
    step = 1
    while low == 0 and high > 1:
        lower = max(high - step, 1)
        if reached(lower) < target:
            low = lower
        else:
            high, step = lower, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= target else (middle, high)
    return high


def times_to_target(peers, problem, needed, repeats):
    """Seconds of fits with the iterations needed."""
    functions = {
        same.name: lambda same=same, peer=peer: fit_once(
            same, problem, needed[peer.name]
        )[0]
        for peer in peers
        if needed[peer.name]
        for same in settings_of(peer)
    }
    times, _ = in_turn(functions, repeats)
    return {"seconds": {name: summary(values) for name, values in times.items()}}


def settings_of(peer):
    """The library as it is, or at each number of threads: the iterations are equal."""
    if not peer.name.startswith("scikit-learn"):
        return [peer]
    return [ScikitLearn(), ScikitLearnOneThread()]
