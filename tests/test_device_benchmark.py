"""The benchmark of rows on a device: it runs on the processor, and counts right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.device import Run
from benchmarks.device_tables import DEVICE_TABLES, amounts, iterations_table

ROOT = Path(__file__).parent.parent
RATES = {"what": "rates", "operations": {"float64": 1e10}, "bytes": 1e10, "failed": {}}
ITERATION = {
    "what": "iterations",
    "case": {"n": 1000, "d": 3, "K": 2, "model": "full"},
    "dtype": "float64",
    "seconds": {"emgmm": {"median": 2e-5, "least": 1e-5, "most": 3e-5}},
    "log_likelihood": {"emgmm": -1.5, "emgmm, NumPy": -1.5},
    "difference": {"emgmm": 1e-14},
    "megabytes": {"emgmm": 1.0},
    "failed": {"torchgmm": "not installed: torchgmm"},
}


def run(path: Path, *options: str) -> Any:
    """The report of a quick run on the processor, in one thread."""
    command = [sys.executable, "-m", "benchmarks.device", "--quick", "--device=cpu"]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    subprocess.run(
        [*command, "--no-peers", f"--out={path}", *options],
        cwd=ROOT,
        env={**os.environ, **limits},
        check=True,
        capture_output=True,
    )
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_quick_run_measures_everything_and_agrees_with_numpy(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    report = run(tmp_path / "device.json", "--kernels=array-api")
    results = report["results"]
    assert not [one["error"] for one in results if "error" in one]
    assert not any(one["failed"] for one in results)
    kinds = {one["what"] for one in results}
    assert kinds == {"rates", "iterations", "default fit", "search", "long fit"}
    bounds = {"float64": 1e-10, "float32": 1e-3}
    for one in results:
        if one["what"] == "iterations":
            assert one["difference"]["emgmm"] < bounds[one["dtype"]]
            assert 0 < one["difference"]["emgmm"]  # by the other kernels
    for name, (_, table) in DEVICE_TABLES.items():
        assert table(report).count("\n") > 2, name


def test_what_comes_after_the_budget_is_skipped_and_what_fails_has_its_reason() -> None:
    saved: list[int] = []

    def results(budget: float, of: Callable[[], Any]) -> list[Any]:
        run = Run(
            "cpu", 1.0, True, budget, [], lambda run: saved.append(len(run.results))
        )
        run.do("iterations", of, case=ITERATION["case"], dtype="float64")
        return run.results

    skipped = results(0.0, lambda: pytest.fail("it was called"))
    assert skipped[0]["error"] == "skipped: 0 s were spent"
    failed = results(60.0, lambda: RATES["absent"])
    assert failed[0]["error"] == "KeyError: 'absent'"
    for found in (skipped, failed):
        table = iterations_table({"results": found})
        assert f"Not there: all (1,000 x 3, float64): {found[0]['error']}" in table
    assert saved == [1, 1]


def test_operations_and_bytes_are_those_of_two_products_with_the_features() -> None:
    operations, moved = amounts(ITERATION)
    features = 1 + 3 + 3 * 4 / 2
    assert operations == 4 * 1000 * 2 * features
    assert moved == 8 * 1000 * (3 + 3 * features + 7 * 2)


def test_the_table_has_shares_of_the_rates_and_what_is_not_there() -> None:
    table = iterations_table({"results": [RATES, ITERATION]})
    row = table.splitlines()[2]
    # 80,000 operations in 20 microseconds at 10^10 a second; 376,000 bytes likewise.
    assert "| 0.02 (0.01-0.03) | 4 | 40% | 188% | 188% | 1 | 0.0153 |" in row
    assert "Not there: torchgmm (1,000 x 3, float64): not installed" in table
