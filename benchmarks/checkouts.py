"""Programs that work in turn: this checkout, another one of before, and R's mclust.

Each is a process that waits for tasks, so that the same machine in the same minute
measures all of them. The other checkout is the folder in the environment variable that
``python -m benchmarks.run --against FOLDER`` sets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from .clock import SETTLE, in_turn, summary

AGAINST = "EMGMM_BENCHMARKS_AGAINST"
HERE = Path(__file__).parent
BEFORE = "emgmm, before"
LIMITS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Program:
    """A process that answers each line with a line of JSON."""

    def __init__(self, command, threads=None, **environment):
        limits = dict.fromkeys(LIMITS, str(threads)) if threads else {}
        self._process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **limits, **environment},
        )

    def ask(self, line):
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the program ended")
        found = json.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        return found

    def close(self):
        self._process.kill()
        self._process.communicate()


class Checkout(Program):
    """The tasks with the package of a folder."""

    def __init__(self, folder, threads=None):
        command = [sys.executable, HERE / "tasks.py"]
        super().__init__(command, threads, PYTHONPATH=str(folder))

    def do(self, task):
        return self.ask(json.dumps(task))


class Mclust(Program):
    """R's mclust; its rows are in a file of text beside those of the others."""

    def __init__(self, threads=None, script="mclust.R"):
        super().__init__(["Rscript", HERE / script], threads)

    def do(self, task):
        return self.ask(str(Path(task["rows"]).with_suffix(".csv")))


class MclustHoldout(Mclust):
    """mclust's full covariances, fitted to half of the rows."""

    def __init__(self, threads=None):
        super().__init__(threads, "holdout.R")

    def do(self, task):
        path = Path(task["rows"]).with_suffix(".csv")
        return self.ask(f"{task['n_components']} {path}")


class MclustNoise(Mclust):
    """mclust's selection on rows some of which are noise to begin with, or none."""

    def __init__(self, threads=None):
        super().__init__(threads, "noise.R")

    def do(self, task):
        path = Path(task["rows"]).with_suffix(".csv")
        rows = ",".join(str(row + 1) for row in task["noise"]) or "none"
        return self.ask(f"{rows} {path}")


def without_mclust():
    """Why R's mclust cannot be run; None if it can."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    command = ["Rscript", "-e", "library(mclust)"]
    done = subprocess.run(command, capture_output=True, check=False)
    return "R has no mclust" if done.returncode else None


@contextmanager
def checkouts(threads=None):
    """The checkouts by name: this one and, if it is there, the one of before."""
    folders = {"emgmm": HERE.parent}
    if os.environ.get(AGAINST):
        folders[BEFORE] = Path(os.environ[AGAINST]).resolve()
    with ExitStack() as stack:
        found = {}
        for name, folder in folders.items():
            found[name] = Checkout(folder, threads)
            stack.callback(found[name].close)
        yield found


@contextmanager
def file_of(X, text=False):
    """The path of a file of the rows; with ``text`` beside it one that R can read."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.npy")
        np.save(path, np.ascontiguousarray(X))
        if text:
            np.savetxt(path.with_suffix(".csv"), X, delimiter=",", fmt="%.17g")
        yield str(path)


def compared(ways, repeats, clock="cpu"):
    """For each way, a program and its task: seconds in turn, and what was found last.

    A first round warms up and is not counted, unless there is one repeat only.
    """
    found = {}

    def run(way):
        program, task = ways[way]
        time.sleep(SETTLE)
        found[way] = program.do(task)
        return found[way][clock]

    functions = {way: lambda way=way: run(way) for way in ways}
    warm_up = repeats > 1
    times, failed = in_turn(functions, repeats + warm_up)
    seconds = {way: summary(values[warm_up:]) for way, values in times.items()}
    kept = {way: found[way] for way in seconds}
    return {"seconds": seconds, "found": kept, "failed": failed}
