"""Each extra brings what is documented for it, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["optional-dependencies"]

DASK = """
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.distributed import Client
from emgmm import GaussianMixtureEM

X = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[0.0], [9.0]], 100, 0)
table = dd.from_pandas(pd.DataFrame(X, columns=["a", "b"]), npartitions=2)
with Client(processes=False, dashboard_address=None):
    for rows in (da.from_array(X, chunks=(50, 2)), table):
        gmm = GaussianMixtureEM(2).fit(rows)
        assert len(gmm.predict(rows).compute()) == len(X)
"""
BENCHMARKS = """
import joblib, threadpoolctl
from benchmarks import report, run
"""
TESTS = """
import mpmath, pandas, polars, pytest, dask.dataframe, dask.distributed, emgmm
"""
TOOLS = """
import subprocess, sys
for tool in ("ruff", "mypy", "pre_commit", "pytest"):
    subprocess.run([sys.executable, "-m", tool, "--version"], check=True)
"""
COMPLETION = """
import subprocess, sys
command = [sys.executable, "-m", "emgmm", "--print-completion", "bash"]
script = subprocess.run(command, check=True, capture_output=True, text=True).stdout
subprocess.run(["bash", "-n"], input=script, check=True, text=True)
assert "--components" in script and "_shtab_compgen_files" in script
"""
SITE = """
import myst_parser, numpydoc, pydata_sphinx_theme, sphinx, sphinx_copybutton
import sphinx_design, sphinx_gallery
"""
SNIPPETS = {
    "dask": DASK,
    "benchmarks": BENCHMARKS,
    "test": TESTS,
    "completion": COMPLETION,
    "dev": TOOLS,
    "site": SITE,
}
# Other libraries, which do not have wheels for every version of Python, or are large.
WITHOUT = {"peers", "torch"}


def test_every_extra_has_a_snippet():
    assert set(EXTRAS) == set(SNIPPETS) | WITHOUT


@pytest.mark.slow
@pytest.mark.parametrize("extra", SNIPPETS)
def test_an_extra_brings_what_its_snippet_needs(extra, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True)
    python = tmp_path / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    install = [python, "-m", "pip", "install", "--quiet", f"{ROOT}[{extra}]"]
    subprocess.run(install, check=True)
    # The benchmarks are not installed.
    folder = ROOT if extra == "benchmarks" else tmp_path
    assert subprocess.run([python, "-c", SNIPPETS[extra]], cwd=folder).returncode == 0
