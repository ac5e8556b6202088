"""Versions: what is printed for reports of bugs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import emgmm
from emgmm import _show_versions as module

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


def names_of(requirements):
    """Distributions that are required, without versions and extras."""
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


@pytest.fixture
def shown(capsys):
    emgmm.show_versions()
    return capsys.readouterr().out


def value(shown, name):
    return re.search(rf"^ *{re.escape(name)}: (.*)$", shown, re.MULTILINE)[1]


def test_every_dependency_is_shown_with_its_version(shown):
    assert value(shown, "emgmm") == emgmm.__version__
    assert value(shown, "python").startswith(sys.version.split()[0])
    required = names_of(PROJECT["dependencies"])
    assert required == {
        name.replace("sklearn", "scikit-learn") for name in module.REQUIRED
    }
    for name in required:
        assert value(shown, name) == version(name)


def test_what_extras_of_users_bring_is_among_the_optional_packages():
    extras = PROJECT["optional-dependencies"]
    brought = names_of(extras["dask"]) | names_of(extras["completion"])
    assert brought <= set(module.OPTIONAL)


def test_optional_packages_are_shown_if_they_are_installed(capsys, monkeypatch):
    installed = {"numpy": ["numpy"], "cupy": ["cupy-cuda12x", "cupy-cuda12x"]}
    monkeypatch.setattr(module, "packages_distributions", lambda: installed)
    monkeypatch.setattr(module, "version", lambda name: f"{len(name)}.0")
    emgmm.show_versions()
    shown = capsys.readouterr().out
    assert value(shown, "cupy-cuda12x") == "12.0" and value(shown, "numpy") == "5.0"
    assert "torch" not in shown


def test_blas_is_shown_with_its_kernel_and_threads(shown):
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not pools:
        pytest.skip("threadpoolctl does not know this BLAS")
    for pool in pools:
        shown_pools = [text for text in shown.split("\n\n") if pool["filepath"] in text]
        (text,) = shown_pools
        for name in ("internal_api", "version", "architecture", "num_threads"):
            if name in pool:
                assert value(text, name) == str(pool[name])


def test_it_works_in_a_new_process_before_anything_is_imported():
    code = "import emgmm; emgmm.show_versions()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert value(done.stdout, "numpy") == np.__version__
    if threadpool_info():
        assert "num_threads" in done.stdout


def test_the_command_and_the_module_print_the_version():
    command = [sys.executable, "-m", "emgmm", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"emgmm {emgmm.__version__}\n")
