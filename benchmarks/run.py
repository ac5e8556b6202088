"""Benchmarks of all groups: ``python -m benchmarks.run [groups] [--quick]``.

Every case runs in a process of its own. There the libraries take turns, and medians
count: machines are noisy, and only figures of one run compare. Each group's results,
with machine and versions, go to ``benchmarks/results/<group>.json``, of which
``python -m benchmarks.report`` makes tables and figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from .cases import GROUPS, cases_of
from .machine import description

RESULTS = Path(__file__).parent / "results"
TIMEOUT = 900  # seconds of a case


def run_case(one):
    """Results of a case; without the other libraries if one of them breaks it."""
    result = run_once(one)
    if "error" in result and one["group"] in ("iterations", "quality"):
        again = run_once({**one, "main_only": True})
        return {**again, "with_all": result["error"]}
    return result


def run_once(one):
    """Results of a case from a process of its own, or how it failed."""
    command = [sys.executable, "-m", "benchmarks.run", "--case", json.dumps(one)]
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, cwd=root
        )
    except subprocess.TimeoutExpired:
        return {"case": one, "error": f"not done in {TIMEOUT} seconds"}
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
        print(f"{taken:7.1f} s  {told_of(results[-1])}", file=sys.stderr, flush=True)
    return {"group": group, "quick": quick, **description(), "results": results}


def told_of(result):
    values = [str(value) for value in result["case"].values()]
    return " ".join(values) + (f": {result['error']}" if "error" in result else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; or all")
    parser.add_argument("--quick", action="store_true", help="smaller, fewer repeats")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        from .measures import measure

        print(json.dumps(measure(arguments.case)))
        return
    unknown = set(arguments.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no such groups: {', '.join(sorted(unknown))}")
    RESULTS.mkdir(exist_ok=True)
    for group in arguments.groups or GROUPS:
        report = run_group(group, arguments.quick)
        text = json.dumps(report, indent=1)
        (RESULTS / f"{group}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
