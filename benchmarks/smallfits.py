"""Default fits of small data beside scikit-learn's."""

from __future__ import annotations

from .checkouts import checkouts, compared, file_of
from .problems import PROBLEMS
from .restarts import SKLEARN, fits
from .search import ROWS


def smallfits(one):
    """Seconds of default fits, in one thread or in the default number."""
    with checkouts(1 if one["clock"] == "cpu" else None) as programs:
        if one["data"] != "suite":
            return default_fits(ROWS[one["data"]](), one["K"], one, programs)
        found = {}
        for name, problem in PROBLEMS.items():
            X = problem.make(0)[0]
            if len(X) <= one["most_rows"]:
                K = problem.n_components
                found[name] = default_fits(X, K, one, programs)
    return {"problems": found}


def default_fits(X, n_components, one, programs):
    settings = {"n_components": n_components, "seeds": one["seeds"]}
    ours = {"init_params": one["init"]} if "init" in one else {}
    with file_of(X) as path:
        ways = {
            name: (program, fits(path, "emgmm", **settings, **ours))
            for name, program in programs.items()
        }
        ways[SKLEARN] = programs["emgmm"], fits(path, SKLEARN, **settings)
        return compared(ways, one["repeats"], one["clock"])
