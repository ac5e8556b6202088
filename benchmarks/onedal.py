"""Intel's oneDAL, in a Python of its own: its wheels need an older scikit-learn.

This module is also the program that runs there, with numpy and daal4py alone. It reads
rows and a start from a file; then it fits once for each line that it reads, a number of
iterations, and answers with how many were made.
"""

import os
import subprocess
import sys
import tempfile
import weakref
from functools import cached_property
from pathlib import Path

import numpy as np

PYTHON = "EMGMM_ONEDAL_PYTHON"
"""The environment variable with the path of the Python that has daal4py."""
VERSION = "from importlib.metadata import version; print(version('daal4py'))"


class OneDAL:
    """C++; its EM for mixtures is in daal4py."""

    name, requires = "oneDAL", ()
    models, dtype, threads = ("full",), "float64", None

    def __init__(self):
        self._servers = weakref.WeakKeyDictionary()

    @cached_property
    def version(self):
        """Its version; None where the variable names no Python that has it."""
        try:
            command = [os.environ[PYTHON], "-c", VERSION]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (KeyError, OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    @property
    def note(self):
        if self.version is None:
            return f"not run, since {PYTHON} is not the path of a Python with daal4py"
        return f"daal4py {self.version}, in a Python of its own"

    def is_installed(self):
        return self.version is not None

    def prepare(self, problem, max_iter):
        if problem not in self._servers:
            self._servers[problem] = Server(problem)
        server = self._servers[problem]
        return lambda: server.fit(max_iter)

    def parameters(self, fitted):
        with np.load(fitted) as found:
            return found["weights"], found["means"], found["covariances"]


class Server:
    """The other Python, with the rows and the start of a problem."""

    def __init__(self, problem):
        self._folder = tempfile.TemporaryDirectory()
        self._start = Path(self._folder.name, "start.npz")
        self._found = Path(self._folder.name, "found.npz")
        names = ("X", "weights", "means", "covariances")
        np.savez(self._start, **{name: getattr(problem, name) for name in names})
        self._process = subprocess.Popen(
            [os.environ[PYTHON], __file__, self._start, self._found],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fit(self, max_iter):
        """The file of the parameters after so many iterations."""
        print(max_iter, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip()
        if answer != str(max_iter):
            raise RuntimeError(f"{answer or 'it ended'} instead of {max_iter}")
        return self._found


def serve(start, found):
    """Fit for each line of the standard input."""
    import daal4py

    daal4py.daalinit(len(os.sched_getaffinity(0)))
    with np.load(start) as read:
        X, means = read["X"], read["means"]
        weights, covariances = read["weights"][None], list(read["covariances"])
    for line in sys.stdin:
        algorithm = daal4py.em_gmm(
            nComponents=len(means),
            maxIterations=int(line),
            accuracyThreshold=0.0,
            covarianceStorage="full",
            regularizationFactor=1e-6,
        )
        result = algorithm.compute(X, weights, means, covariances)
        np.savez(
            found,
            weights=result.weights[0],
            means=result.means,
            covariances=result.covariances,
        )
        print(int(result.nIterations[0, 0]), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
