"""The house: a module imports only from lower layers, and keeps to its size."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import emgmm

PACKAGE = Path(emgmm.__file__).parent
LAYERS = [
    {
        "_accelerate",
        "_algebra",
        "_cached",
        "_callbacks",
        "_columns",
        "_defects",
        "_inputs",
        "_messages",
        "_patterns",
        "_products",
        "_resolution",
        "_rules",
        "_threads",
        "_ties",
        "_units",
        "_weights",
    },
    {"_blocks", "_conditioned", "_covariances", "_csv", "_statistics"},
    {"_families", "_incomplete_blocks", "_initialize", "_parameters", "_tables"},
    {
        "_arguments",
        "_charts",
        "_cuts",
        "_drawing",
        "_mstep",
        "_posterior",
        "_summary",
        "_univariate",
        "_validation",
    },
    {
        "_deviations",
        "_features",
        "_published",
        "_rows",
        "_sources",
        "_views",
        "datasets",
    },
    {"_captions", "_dask", "_incomplete", "_iterables", "_kernels", "_panels"},
    {"_by_row", "_fit_displays", "_given"},
    {"_missing"},
    {"_estep"},
    {"_conditional", "_em", "_sampled", "_stepwise"},
    {"_files", "_mixture", "_runs"},
    {"_race"},
    {"_displays", "_outputs", "_split"},
    {"_estimator", "_sweep"},
    {"_report", "_selection"},
    {"_analysis"},
    {"_command"},
    {"__main__"},
    {"__init__"},
]
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def syntax(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def own_imports(module):
    """Modules of the package that a module imports."""
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.module or ""
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("emgmm"):
            pytest.fail(f"{module} imports its own package by an absolute name")


def functions(module):
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            yield node, node.end_lineno - node.lineno + 1 - docstring.count("\n")


def test_every_module_has_a_layer():
    assert set(MODULES) == set(LEVEL)


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_from_lower_layers(module):
    for imported in own_imports(module):
        assert LEVEL[imported] < LEVEL[module], f"{module} imports {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_the_first_line_of_a_module_says_what_it_owns(module):
    docstring = ast.get_docstring(syntax(module))
    assert docstring and docstring.splitlines()[0].endswith(".")


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"_estimator"}))
def test_modules_are_below_250_lines_of_code(module):
    source = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    docstrings = sum(
        (ast.get_docstring(node, clean=False) or "").count("\n") + 1
        for node in ast.walk(syntax(module))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    )
    code = [line for line in source.splitlines() if line.strip()]
    comments = [line for line in code if line.strip().startswith("#")]
    assert len(code) - len(comments) - docstrings < 250


@pytest.mark.parametrize("module", MODULES)
def test_functions_have_40_lines_and_six_arguments_at_most(module):
    for node, size in functions(module):
        assert size <= 40, f"{module}.{node.name} has {size} lines"
        if node.name != "__init__":
            names = [a.arg for a in node.args.args if a.arg not in ("self", "cls")]
            assert len(names) <= 6, f"{module}.{node.name} takes {names}"


@pytest.mark.parametrize("module", MODULES)
def test_the_package_has_no_bare_asserts_and_no_branches_on_names(module):
    for node in ast.walk(syntax(module)):
        assert not isinstance(node, ast.Assert)
        if isinstance(node, ast.Compare):
            assert "covariance_type" not in ast.unparse(node.left)


def test_the_map_in_the_package_docstring_names_every_module():
    described = {
        line.split()[0]
        for line in emgmm.__doc__.splitlines()
        if line and line.split()[0] in LEVEL
    }
    assert described == set(LEVEL) - {"__init__"}


def test_displays_are_names_of_the_package_like_any_other():
    assert set(emgmm.__all__) <= set(dir(emgmm))
    assert all(getattr(emgmm, name).__name__ == name for name in emgmm.__all__)
    with pytest.raises(AttributeError, match="'emgmm' has no attribute 'plot'"):
        emgmm.plot  # noqa: B018


def test_importing_the_package_imports_neither_matplotlib_nor_dask():
    code = (
        "import sys, emgmm; emgmm.GaussianMixtureEM, emgmm.GaussianMixtureIC; "
        "print([m for m in ('matplotlib', 'dask') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
