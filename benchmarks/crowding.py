"""A search on several workers: its time, and how many threads compete for the cores."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

PROC = Path("/proc")
INTERVAL = 0.005
TICKS = 100  # of the kernel's clock in a second, as /proc counts them
JOBS = 2


def fields_of(path):
    """What follows the command's name in a stat file: state, parent, ..."""
    return path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()


def descendants(pid, without=()):
    """The process and all that came of it, except some."""
    parents = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(fields_of(path)[1])
        except (OSError, IndexError):
            continue  # it has just ended
    family, size = {pid}, 0
    while len(family) > size:
        size = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    return family - set(without)


def running(pids):
    """Threads of the processes that run or wait for a core at this moment."""
    count = 0
    for pid in pids:
        for path in (PROC / str(pid) / "task").glob("*/stat"):
            try:
                count += fields_of(path)[0] == "R"
            except (OSError, IndexError):
                continue
    return count


def cpu_seconds(pids):
    """Time on the cores that the processes have had, with children they waited for."""
    ticks = 0
    for pid in pids:
        try:
            fields = fields_of(PROC / str(pid) / "stat")
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def sample(pid, own_pid):
    """Counts of running threads, until the standard input is closed."""
    import select

    counts, rounds = [], 0
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        if rounds % 10 == 0:
            pids = descendants(pid, without={own_pid})
        counts.append(running(pids))
        rounds += 1
    return counts


@contextmanager
def sampled(pid, into):
    """Samples the process from another one; none where there is no /proc."""
    if not PROC.exists():
        yield set()
        return
    command = [sys.executable, "-m", "benchmarks.crowding", str(pid)]
    pipe = subprocess.PIPE
    sampler = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    time.sleep(0.3)  # it starts
    try:
        yield {sampler.pid}
    finally:
        output, _ = sampler.communicate()
    counts = json.loads(output)
    into["most"], into["samples"] = max(counts, default=0), len(counts)
    into["mean"] = sum(counts) / max(1, len(counts))


def search(one):
    """Wall time, time on the cores, and running threads of a warmed-up search."""
    import os

    from .cases import make_problem
    from .machine import usable_cpus

    problem = make_problem(one)
    grid, backend = grid_of(one), backend_of(one)
    with backend:
        grid.fit(problem.X[:2000])  # workers start, and import
        result = {"cores": usable_cpus(), "threads": {}}
        with sampled(os.getpid(), result["threads"]) as sampler:
            before = total_cpu(sampler)
            began = time.perf_counter()
            grid.fit(problem.X)
            result["wall"] = time.perf_counter() - began
            after = total_cpu(sampler)
    result["cpu"] = None if before is None else after - before
    return {**result, "best": grid.best_params_, "score": float(grid.best_score_)}


def total_cpu(without):
    import os

    if not PROC.exists():
        return None
    return cpu_seconds(descendants(os.getpid(), without))


def grid_of(one):
    from sklearn.mixture import GaussianMixture
    from sklearn.model_selection import GridSearchCV

    from emgmm import GaussianMixtureEM

    kind = {"emgmm": GaussianMixtureEM, "scikit-learn": GaussianMixture}
    estimator = kind[one["library"]](
        init_params="random_from_data", random_state=0, tol=0.0, max_iter=20
    )
    components = [one["K"] // 4, one["K"] // 2, 3 * one["K"] // 4, one["K"]]
    jobs = 1 if one["backend"] == "one job" else JOBS
    return GridSearchCV(estimator, {"n_components": components}, cv=3, n_jobs=jobs)


def backend_of(one):
    from joblib import parallel_config

    if one["backend"] == "threading":
        return parallel_config(backend="threading")
    return nullcontext()


if __name__ == "__main__":
    import os

    print(json.dumps(sample(int(sys.argv[1]), os.getpid())))
