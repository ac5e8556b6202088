"""Benchmarks of all groups: ``python -m benchmarks.run [groups] [--quick]``.

Every case runs in a process of its own. There the libraries take turns, and medians
count: machines are noisy, and only figures of one run compare. Each group's results,
with machine and versions, go to ``benchmarks/results/<group>.json``, and their tables
are printed; ``python -m benchmarks.report`` puts them into the pages, with the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from .cases import GROUPS, cases_of
from .checkouts import AGAINST
from .machine import description
from .peers import others_for

RESULTS = Path(__file__).parent / "results"
TIMEOUT = 1800  # seconds of a case
OTHER_TIMEOUT = 40  # seconds of a case for a library of another kind
OTHER_REPEATS = 2
COMPARED = (  # also with another checkout
    *("passes", "search", "restarts", "smallfits"),
    "defaults",
)


def run_case(one):
    """Results of a case, with those of the other libraries, each beside emgmm's."""
    result = run_once(one, TIMEOUT)
    if one["group"] not in ("iterations", "quality") or "error" in result:
        return result
    shared = {key: result[key] for key in ("best_known",) if key in result}
    result["others"] = {}
    for name in others_for(one):
        repeats = min(one["repeats"], OTHER_REPEATS)
        alone = {**one, **shared, "libraries": ["emgmm", name], "repeats": repeats}
        timeout = OTHER_TIMEOUT / 4 if "quick" in one else OTHER_TIMEOUT
        result["others"][name] = run_once(alone, timeout)
    return result


def run_once(one, timeout):
    """Results of a case from a process of its own, or how it failed."""
    command = [sys.executable, "-m", "benchmarks.run", "--case", json.dumps(one)]
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=root
        )
    except subprocess.TimeoutExpired:
        return {"case": one, "error": f"not done in {timeout:g} seconds"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        return {"case": one, "error": lines[-1][:300]}
    return json.loads(done.stdout.splitlines()[-1])  # libraries may print before


def run_group(group, quick):
    """Results of the cases of a group, with machine and versions."""
    results = []
    for one in cases_of(group, quick):
        began = time.perf_counter()
        results.append(run_case(one))
        taken = time.perf_counter() - began
        print(f"{taken:7.1f} s  {named(results[-1])}", file=sys.stderr, flush=True)
    return {"group": group, "quick": quick, **description(), "results": results}


def named(result):
    values = [str(value) for value in result["case"].values()]
    return " ".join(values) + (f": {result['error']}" if "error" in result else "")


def table_text(groups):
    """The tables of some groups; the processes of cases do not import their modules."""
    from .report import printed, tables

    return printed(tables(groups))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; or all")
    parser.add_argument("--quick", action="store_true", help="smaller, fewer repeats")
    parser.add_argument(
        "--against",
        metavar="FOLDER",
        help=f"another checkout, beside this one in {', '.join(COMPARED)}",
    )
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        from .measures import measure

        print(json.dumps(measure(arguments.case)))
        return
    unknown = set(arguments.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no such groups: {', '.join(sorted(unknown))}")
    if arguments.against:
        os.environ[AGAINST] = arguments.against
    RESULTS.mkdir(exist_ok=True)
    groups = arguments.groups or list(GROUPS)
    for group in groups:
        report = run_group(group, arguments.quick)
        text = json.dumps(report, indent=1)
        (RESULTS / f"{group}.json").write_text(text + "\n", encoding="utf-8")
    print(table_text(groups))


if __name__ == "__main__":
    main()
