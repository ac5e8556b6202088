"""Fits from many starts beside fits from one."""

from __future__ import annotations

from .checkouts import checkouts, compared, file_of
from .search import ROWS

SKLEARN = "scikit-learn"


def restarts(one):
    """Processor seconds of fits from one start and from many, over some seeds."""
    settings = {"n_components": one["K"], "seeds": one["seeds"]}
    settings["init_params"] = one["init"]
    with file_of(ROWS[one["data"]]()) as path, checkouts(1) as programs:
        ways = {
            f"{name}, n_init={n_init}": (
                program,
                fits(path, "emgmm", **settings, n_init=n_init),
            )
            for name, program in programs.items()
            for n_init in (1, one["n_init"])
        }
        ways[SKLEARN] = programs["emgmm"], fits(path, SKLEARN, **settings)
        return compared(ways, one["repeats"])


def fits(path, library, **settings):
    """The task of some fits."""
    settings = {"library": library, **settings}
    return {"task": "fits", "rows": path, "settings": settings}
