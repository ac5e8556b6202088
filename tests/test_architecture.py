"""The house: a module imports only from lower layers, and keeps to its size.

The modules, from the bottom up; each imports only from those above it:

_algebra            what is done with variances, and with matrices
_ties               what comes first of values that only rounding tells apart
_conditioned        matrices conditioned on what each pattern of values has
_covariances        how covariances are stored: Spherical, Diagonal, Tied, Full
_patterns           patterns of missing values, rows brought together by them
_cached             properties that are computed once, without a lock
_columns            columns that users choose, by index or by name
_inputs             rows as users pass them: masks are NaN, dates are refused
_weights            ones that are not stored, rows chosen evenly by weights
_resolution         the step to which features are rounded, as rows show it
_units              units in which numbers are moderate, what they resolve
_statistics         the additive statistics that EM iterates on
_products           products of matrices with very many columns
_accelerate         extrapolation of EM, and what it has still to gain
_callbacks          scikit-learn's callbacks, told of the tasks of a fit
_threads            threads over blocks, BLAS held to one, scratch memory
_blocks             where rows come from, and sums over blocks of them
_incomplete_blocks  those of rows in which values are missing
_rules              rules of the M-step: volume and shape
typing              types for annotations
_bounded            estimates with variances that are bounded from below
_families           the fourteen covariance models: rules of the M-step
_parameters         weights, means and covariances of a mixture
_univariate         mixtures of one feature: probabilities and quantiles
_initialize         starts: rows to labels or responsibilities
_cuts               ways to divide rows in two, of which a component may be split
_charts             coordinates of mixtures near to one another
_mstep              statistics to a mixture, and what keeps it regular
_summary            what one pass tells of rows visited chunk by chunk
_sources            rows that are not all in memory
_posterior          what kernels have in common: log-densities to responsibilities
_deviations         sums of deviations from an origin of each component
_features           quadratic features of rows
_kernels            the two kernels: blocks of rows to log-densities and sums
_incomplete         kernels of rows in which values are missing, accurate anywhere
_far                rows so far away that every density underflows
_by_row             the kernel of rows most of which lack something else
_missing            the fast kernels of such rows
_estep              rows and a mixture to statistics, or to what is told of each
_conditional        what a mixture tells of some features, given others
_sampled            what is told of mixtures by sampling, with its error
_em                 the driver: when to stop, what to tell
_runs               runs of EM from several starts, and what is degenerate
_race               iterations of several starts, which show the best of them
_split              the default start: components split one after the other
_apart              starts whose components are equal, moved apart
_sweep              many models and numbers of components, fitted together
_defects            what is degenerate in a fit, told
_validation         what users pass, checked
_mixture            Mixture, a distribution
_rows               rows and weights that users pass, checked
_dask               rows in the chunks of Dask arrays and dataframes
_iterables          rows from iterables of blocks, and from large memory maps
_given              rows that users pass, wherever they are
_stepwise           stepwise EM: statistics of a stream, and batches blended in
_replacing          files that take their place only when they are whole
_agreement          whether covariances and factors agree but for rounding
_published          what an estimator publishes of its mixture, read and checked
_sklearn_names      private names of scikit-learn that other packages read
_files              files of fitted mixtures, written and mistrusted
datasets            the demonstration data
_estimator          GaussianMixtureEM
_selected           what a fitted search offers of its best estimator
_selection          GaussianMixtureIC
_drawing            styles and axes of pictures, Gaussians as geometry
_views              what a panel shows: rows, components, and how
_panels             panels of a mixture's picture: one feature, or two
_captions           titles, small print and legends of pictures
_displays           MixtureDisplay
_fit_displays       ConvergenceDisplay, CriterionDisplay
_messages           lines on standard error, text without terminal escapes
_csv                lines of a CSV file, split and checked
_tables             tables in files, read and checked
_outputs            files that the command writes, all or none
_report             a fit described in words and tables
_arguments          what the command can be asked for
_analysis           what the command does: rows are read, fitted, described, written
_command            the command `emgmm`
__main__            the same as `python -m emgmm`
"""

from __future__ import annotations

import ast
import re
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
        "_replacing",
        "_resolution",
        "_rules",
        "_threads",
        "_ties",
        "_units",
        "_weights",
        "typing",
    },
    {"_blocks", "_conditioned", "_covariances", "_csv", "_statistics"},
    {"_bounded", "_incomplete_blocks", "_initialize", "_parameters", "_tables"},
    {"_drawing", "_families", "_far", "_posterior", "_summary", "_univariate"},
    {
        "_arguments",
        "_charts",
        "_deviations",
        "_features",
        "_mstep",
        "_sources",
        "_validation",
        "_views",
    },
    {
        "_agreement",
        "_captions",
        "_cuts",
        "_incomplete",
        "_kernels",
        "_panels",
        "_rows",
        "datasets",
    },
    {"_by_row", "_dask", "_fit_displays", "_iterables", "_published"},
    {"_given", "_missing"},
    {"_estep"},
    {"_conditional", "_em", "_sampled", "_sklearn_names", "_stepwise"},
    {"_files", "_mixture", "_runs"},
    {"_displays", "_outputs", "_race"},
    {"_split"},
    {"_apart", "_sweep"},
    {"_estimator"},
    {"_report", "_selected"},
    {"_selection"},
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
            yield from [node.module] if node.module else [a.name for a in node.names]
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


def test_the_map_of_the_modules_names_every_one():
    described = {
        line.split()[0]
        for line in __doc__.splitlines()
        if line and line.split()[0] in LEVEL
    }
    assert described == set(LEVEL) - {"__init__"}


def test_the_package_shows_its_users_what_is_theirs():
    assert set(dir(emgmm)) == {*emgmm.__all__, "datasets", "typing", "__version__"}
    assert emgmm.datasets.make_three_components.__module__ == "emgmm.datasets"
    assert emgmm.typing.RowsLike
    named = set(re.findall(r"^(?:emgmm\.)?(\w+) {2,}", emgmm.__doc__, re.MULTILINE))
    assert named == set(dir(emgmm)) - {"__version__"}
    described = {word.lstrip("`") for word in emgmm.__doc__.split()}
    assert not described & (set(LEVEL) - {"datasets", "typing"})


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
