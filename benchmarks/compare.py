"""Is anything slower? ``python -m benchmarks.compare BASE [HEAD] [--quick]``.

Two commits, each in a git worktree of its own, do the same tasks in turn on this
machine: in each round first one and then the other, or the other way round, in new
processes. The table has the median times, and the ratio of the times of a round with
its interval (`benchmarks.paired`). The exit status is 1 if an interval lies above
``1 + TOLERANCE``: that case is slower beyond noise.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil, log2
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .cases import make_problem
from .checkouts import Checkout, file_of
from .machine import processor, usable_cpus
from .paired import ratio_of
from .tables import markdown, number

ROOT = Path(__file__).parent.parent
ROUNDS, QUICK_ROUNDS = 12, 7
TOLERANCE = 0.03  # a ratio nearer to one does not matter, however sure it is
CONFIDENCE = 0.95  # of all cases together
ENOUGH = 0.3  # seconds of a case in a round; a task is repeated until then
MOST_REPEATS = 20
CLOCK = {1: "cpu", None: "wall"}  # by threads: other programs do not disturb the first


@dataclass(frozen=True)
class Case:
    """A task, its rows, and in how many threads; None for as many as there are."""

    name: str
    task: str
    rows: str
    settings: dict[str, Any] = field(default_factory=dict)
    threads: int | None = 1
    quick: bool = False
    """Whether it is also measured in a quick run."""


def iris():
    from sklearn.datasets import load_iris

    return load_iris().data


def blobs(n, d, K):
    one = {"group": "compare", "n": n, "d": d, "K": K, "model": "full"}
    return make_problem(one).X


ROWS = {
    "iris": iris,
    "20,000 x 10": lambda: blobs(20_000, 10, 10),
    "100,000 x 10": lambda: blobs(100_000, 10, 10),
}
EM = {"n_components": 10, "max_iter": 20}
FIT = {"library": "emgmm", "n_components": 3}
MANY = {**FIT, "n_components": 10}
CASES = [
    Case("EM, full", "iterations", "20,000 x 10", {**EM, "model": "full"}, quick=True),
    Case("EM, tied", "iterations", "20,000 x 10", {**EM, "model": "tied"}),
    Case("EM, diag", "iterations", "20,000 x 10", {**EM, "model": "diag"}),
    Case("EM, full", "iterations", "100,000 x 10", {**EM, "model": "full"}, None),
    Case("default fit", "fits", "iris", FIT, quick=True),
    Case("default fit", "fits", "20,000 x 10", MANY),
    Case(
        "default fit, diag", "fits", "20,000 x 10", {**MANY, "covariance_type": "diag"}
    ),
    Case("search, 1 to 4 components", "search", "iris", {"n_components": [1, 2, 3, 4]}),
    Case(
        "predictions", "predictions", "100,000 x 10", {"n_components": 10}, quick=True
    ),
]


# Two worktrees ---------------------------------------------------------------------


def git(*arguments):
    """What git prints of this repository."""
    command = ["git", "-C", str(ROOT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {' '.join(command[3:])}: {done.stderr.strip()}")
    return done.stdout.strip()


def commit_of(name):
    """The hash of a commit, a branch or a tag."""
    return git("rev-parse", "--verify", f"{name}^{{commit}}")


@contextmanager
def worktrees(*commits):
    """Folders of the commits, for as long as they are needed."""
    with TemporaryDirectory() as parent, ExitStack() as stack:
        folders = []
        for place, commit in enumerate(commits):
            folder = Path(parent, str(place))
            git("worktree", "add", "--detach", folder, commit)
            stack.callback(git, "worktree", "remove", "--force", folder)
            folders.append(folder)
        yield folders


# Times in turn ---------------------------------------------------------------------


def measured(program, case, path):
    """Seconds of a case in a process, the least of some repeats, and what was found."""
    task = {"task": case.task, "rows": path, "settings": case.settings}
    clock = CLOCK[case.threads]
    first = program.do(task)  # it also imports what is imported late
    enough = round(ENOUGH / max(first[clock], 1e-9))
    repeats = max(1, min(MOST_REPEATS, enough))
    seconds = [program.do(task)[clock] for _ in range(repeats)]
    return min(seconds), found_by(first)


def found_by(answer):
    """A number by which results are compared, greater if better."""
    if "bic" in answer:
        return -answer["bic"]
    return float(np.mean(answer.get("log_likelihoods", answer.get("found"))))


def one_round(folders, cases, paths, backwards):
    """Seconds and results of each case by each checkout, in new processes."""
    found = {}
    order = [1, 0] if backwards else [0, 1]
    for threads in dict.fromkeys(case.threads for case in cases):
        with ExitStack() as stack:
            programs = [Checkout(folder, threads) for folder in folders]
            for program in programs:
                stack.callback(program.close)
            for place, case in enumerate(cases):
                if case.threads == threads:
                    path = paths[case.rows]
                    each = {k: measured(programs[k], case, path) for k in order}
                    found[place] = each[0], each[1]
    return [found[place] for place in range(len(cases))]


def all_rounds(folders, cases, rounds):
    """For each case the results of the rounds, each a pair of seconds and results."""
    with ExitStack() as stack:
        paths = {
            rows: stack.enter_context(file_of(ROWS[rows]()))
            for rows in dict.fromkeys(case.rows for case in cases)
        }
        by_round = []
        for number in range(rounds):
            by_round.append(one_round(folders, cases, paths, number % 2))
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return list(zip(*by_round, strict=True))


# What is said of it ----------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A case with its times in pairs, and the results of both."""

    case: Case
    before: list[float]
    after: list[float]
    found: tuple[float, float]
    confidence: float

    @classmethod
    def of(cls, case, rounds, n_cases):
        """Of the rounds of a case; its confidence is such that all hold together."""
        before, after = ([each[k][0] for each in rounds] for k in (0, 1))
        found = rounds[0][0][1], rounds[0][1][1]
        return cls(case, before, after, found, 1 - (1 - CONFIDENCE) / n_cases)

    @property
    def ratio(self):
        return ratio_of(self.before, self.after, self.confidence)

    @property
    def verdict(self):
        """Whether it is slower or faster beyond noise; of too few rounds, neither."""
        if self.ratio.confidence < self.confidence:
            return ""
        if self.ratio.low > 1 + TOLERANCE:
            return "slower"
        return "faster" if self.ratio.high < 1 - TOLERANCE else ""

    def cells(self):
        ratio, times = self.ratio, (self.before, self.after)
        threads = "all" if self.case.threads is None else str(self.case.threads)
        medians = [number(1000 * statistics.median(each)) for each in times]
        interval = f"{ratio.estimate:.3f} ({ratio.low:.3f}-{ratio.high:.3f})"
        gained = f"{self.found[1] - self.found[0]:+.1e}"
        return [self.case.name, self.case.rows, threads, *medians, interval, gained]


HEADER = (
    *("case", "rows", "threads", "base ms", "head ms", "head / base (interval)"),
    *("result, head - base", "beyond noise"),
)


def table(lines):
    """The table in Markdown."""
    return markdown(HEADER, [[*line.cells(), line.verdict] for line in lines])


def note(lines, commits):
    """What the table is of, and how far it can be relied on."""
    reached = min(line.ratio.confidence for line in lines)
    together = max(0.0, 1 - len(lines) * (1 - reached))
    rounds = len(lines[0].before)
    enough = ceil(log2(2 * len(lines) / (1 - CONFIDENCE)))
    more = (
        f" At least {enough} rounds reach {CONFIDENCE:.0%}." if rounds < enough else ""
    )
    return (
        f"Base {commits[0][:9]}, head {commits[1][:9]}; {processor()}, {usable_cpus()} "
        f"cores; medians of {rounds} rounds. The intervals cover the true ratios, all "
        f"of them together, with a probability of at least {together:.0%}. Results are "
        "mean log-likelihoods of a row, or -BIC. Times in one thread are of the "
        f"processor, others by the clock.{more}"
    )


def compare(base, head, cases, rounds):
    """Lines of the cases for two commits."""
    with worktrees(base, head) as folders:
        results = all_rounds(folders, cases, rounds)
    return [
        Line.of(case, rounds_of_it, len(cases))
        for case, rounds_of_it in zip(cases, results, strict=True)
    ]


def last_release():
    """The tag of the last release."""
    return git("describe", "--tags", "--abbrev=0", "--match", "v*")


def parsed(argv):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__.splitlines()[0]
    )
    parser.add_argument("base", nargs="?", help="a commit; default: the last release")
    parser.add_argument(
        "head", nargs="?", default="HEAD", help="another; default: HEAD"
    )
    parser.add_argument("--quick", action="store_true", help="few cases and rounds")
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}")
    return parser.parse_args(argv)


def main(argv=None):
    """Print the table, and return 1 if a case is slower beyond noise."""
    arguments = parsed(argv)
    names = arguments.base or last_release(), arguments.head
    commits = [commit_of(name) for name in names]
    cases = [case for case in CASES if case.quick or not arguments.quick]
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    lines = compare(*commits, cases, rounds)
    print(table(lines), note(lines, commits), sep="\n\n")
    slower = [
        f"{each.case.name}, {each.case.rows}"
        for each in lines
        if each.verdict == "slower"
    ]
    print(f"\nSlower beyond noise: {'; '.join(slower) or 'none'}.")
    return int(bool(slower))


if __name__ == "__main__":
    sys.exit(main())
