"""The house: folders import what the table allows; modules keep to their size."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from doctest import DocTestFinder, DocTestRunner
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

import emgmm

PACKAGE = Path(emgmm.__file__).parent
BY_STRINGS = r"importlib(?!\.metadata)|__import__|resolve_name|sys\.modules"
ROWS_AND_MODELS = {"_data", "_model", "_utils"}
ESTIMATION = ROWS_AND_MODELS | {"_estep", "_em", "_init"}
# What the modules of a folder, or a module beside the folders, may import; their own
# folder besides. A part imports only parts that stand above it in this table.
ALLOWED: dict[str, set[str]] = {
    "_version": set(),
    "typing": set(),
    "_show_versions": {"_version"},
    "_utils": set(),
    "_data": {"_utils"},
    "_model": {"_utils"},
    "datasets": {"_model", "_utils"},
    "_estep": ROWS_AND_MODELS,
    "_em": ROWS_AND_MODELS | {"_estep"},
    "_init": ROWS_AND_MODELS | {"_estep", "_em"},
    "_search": ESTIMATION | {"typing"},
    "_mixture": ROWS_AND_MODELS | {"_estep"},
    "_plotting": ROWS_AND_MODELS,
    "_persistence": {"_em", "_model", "_utils", "_version"},
    "_sklearn_names": ROWS_AND_MODELS | {"_estep"},
    "_summary": ROWS_AND_MODELS | {"_estep", "_em"},
    "_mixture_methods": ROWS_AND_MODELS
    | {"_estep", "_mixture", "_persistence", "_summary", "_version", "typing"},
    "_fit_parameters": ESTIMATION | {"_mixture_methods"},
    "_partial_fit": ROWS_AND_MODELS | {"_estep", "_em", "_fit_parameters"},
    "_gaussian_mixture": ESTIMATION
    | {"_mixture", "_mixture_methods", "_partial_fit", "_persistence"}
    | {"_sklearn_names", "typing"},
    "_model_selection": ESTIMATION
    | {"_gaussian_mixture", "_mixture_methods", "_search", "_summary", "typing"},
    "_outliers": ROWS_AND_MODELS | {"_estep", "_model_selection", "typing"},
    "_after": ESTIMATION
    | {"_gaussian_mixture", "_mixture", "_mixture_methods"}
    | {"_model_selection", "typing"},
    "_class_mixtures": {"_data", "_estep", "_gaussian_mixture", "_model"}
    | {"_model_selection", "_utils"},
    "_classifier": {"_class_mixtures", "_data", "_gaussian_mixture", "_init", "_model"}
    | {"_model_selection", "_utils", "typing"},
    "_cli": {"_data", "_model", "_utils", "_plotting", "_version"}
    | {"_gaussian_mixture", "_model_selection", "_summary", "datasets"},
    "__main__": {"_cli"},
    "__init__": {"_gaussian_mixture", "_mixture", "_model_selection", "_outliers"}
    | {"_after", "_classifier", "_plotting", "_show_versions", "_summary", "_utils"}
    | {"_version", "datasets", "typing"},
}


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


PATHS = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [name for name in PATHS if not name.endswith(".__init__")]


def part_of(module):
    """The folder of a module, or itself where it stands beside the folders."""
    return module.split(".")[0]


def syntax(module):
    return ast.parse(PATHS[module].read_text(encoding="utf-8"))


def imported_names(module):
    """Dotted names below the package that a module imports, wherever it does so."""
    folder = module.split(".")[:-1]
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1, f"{module} reaches up"
            base = [*folder, *(node.module or "").split(".")]
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "emgmm":
            base = node.module.split(".")[1:]
        else:
            continue
        for alias in node.names:
            yield [name for name in base if name], alias.name
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name.split(".")[0] != "emgmm", f"{module}: import from it"


def imports(module):
    """Modules of the package that a module imports."""
    for base, name in imported_names(module):
        known = [".".join([*base, name]), ".".join(base)]
        yield next(candidate for candidate in known if candidate in PATHS)


GRAPH = {module: set(imports(module)) for module in MODULES}


def functions(module):
    """Functions of a module, and their lines without docstrings."""
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            lines = docstring.count("\n") + 1 if docstring else 0
            yield node, node.end_lineno - node.lineno + 1 - lines


def test_the_table_has_every_folder_and_module():
    assert {part_of(module) for module in PATHS} <= set(ALLOWED)
    order = list(ALLOWED)
    for part, allowed in ALLOWED.items():
        assert allowed <= set(order[: order.index(part)])


@pytest.mark.parametrize("module", PATHS)
def test_modules_import_what_the_table_allows(module):
    for imported in imports(module):
        allowed = ALLOWED[part_of(module)] | {part_of(module)}
        assert part_of(imported) in allowed, f"{module} imports {imported}"


def test_no_module_imports_itself_through_others():
    assert list(TopologicalSorter(GRAPH).static_order())


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_not_imported_by_strings(module):
    source = PATHS[module].read_text(encoding="utf-8")
    if module == "__init__":
        targets = re.findall(r'"(\w+)": "\.([\w.]+)"', source)
        assert {name for name, _ in targets} == set(emgmm.__all__)
        for name, target in targets:
            assert target in MODULES
            assert re.search(rf"from \.{target} import .*\b{name}\b", source)
    else:
        assert not re.search(BY_STRINGS, source)


@pytest.mark.parametrize("module", PATHS)
def test_the_first_line_of_a_module_says_what_it_owns(module):
    docstring = ast.get_docstring(syntax(module))
    assert docstring and docstring.splitlines()[0].endswith(".")


def docstring_lines(tree, kinds=(ast.Module, ast.ClassDef, ast.FunctionDef)):
    return sum(
        docstring.count("\n") + 1
        for node in ast.walk(tree)
        if isinstance(node, kinds)
        if (docstring := ast.get_docstring(node, clean=False))
    )


@pytest.mark.parametrize("module", MODULES)
def test_modules_have_300_lines_of_code_at_most(module):
    lines = PATHS[module].read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line.strip() and line.strip()[0] != "#"]
    assert len(code) - docstring_lines(syntax(module)) <= 300


def test_the_estimator_has_450_lines_at_most_without_the_docstring_of_its_class():
    lines = PATHS["_gaussian_mixture"].read_text(encoding="utf-8").splitlines()
    own = docstring_lines(syntax("_gaussian_mixture"), ast.ClassDef)
    assert len(lines) - own < 450


@pytest.mark.parametrize("module", MODULES)
def test_functions_have_40_lines_and_six_arguments_at_most(module):
    for node, size in functions(module):
        assert size <= 40, f"{module}.{node.name} has {size} lines"
        if node.name != "__init__":
            names = [a.arg for a in node.args.args if a.arg not in ("self", "cls")]
            assert len(names) <= 6, f"{module}.{node.name} takes {names}"


def body_lines(node):
    """Lines of code in the body of a function."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_half_of_the_functions_have_five_lines_at_most():
    sizes = [body_lines(node) for module in MODULES for node, _ in functions(module)]
    assert median(sizes) <= 5


@pytest.mark.parametrize("module", MODULES)
def test_the_package_has_no_bare_asserts_and_no_branches_on_names(module):
    for node in ast.walk(syntax(module)):
        assert not isinstance(node, ast.Assert)
        if isinstance(node, ast.Compare):
            assert "covariance_type" not in ast.unparse(node.left)


def test_the_package_shows_its_users_what_is_theirs():
    assert set(dir(emgmm)) == {*emgmm.__all__, "datasets", "typing", "__version__"}
    assert emgmm.datasets.make_three_components.__module__ == "emgmm.datasets"
    assert emgmm.typing.RowsLike
    named = set(re.findall(r"^(?:emgmm\.)?(\w+) {2,}", emgmm.__doc__, re.MULTILINE))
    assert named == set(dir(emgmm)) - {"__version__"}
    described = {word.lstrip("`") for word in emgmm.__doc__.split()}
    assert not described & ({part_of(name) for name in PATHS} - {"datasets", "typing"})


def test_displays_are_names_of_the_package_like_any_other():
    assert set(emgmm.__all__) <= set(dir(emgmm))
    assert all(getattr(emgmm, name).__name__ == name for name in emgmm.__all__)
    with pytest.raises(AttributeError, match="'emgmm' has no attribute 'plot'"):
        emgmm.plot  # noqa: B018


@pytest.mark.parametrize("name", emgmm.__all__)
def test_pickles_of_public_classes_do_not_depend_on_the_layout(name):
    public = getattr(emgmm, name)
    assert public.__module__ == "emgmm"
    assert pickle.loads(pickle.dumps(public)) is public
    assert not re.search(rb"emgmm\._", pickle.dumps(public))


@pytest.mark.filterwarnings("default:FigureCanvasAgg is non-interactive")
@pytest.mark.parametrize("name", emgmm.__all__)
def test_the_examples_of_public_classes_print_what_they_say(name, capsys):
    """pytest looks for those of a module in classes that name it as theirs."""
    examples = DocTestFinder().find(getattr(emgmm, name), name, module=False, globs={})
    assert sum(len(each.examples) for each in examples) > 0
    runner = DocTestRunner()
    for each in examples:
        runner.run(each)
    assert runner.failures == 0, capsys.readouterr().out


def test_importing_the_package_imports_neither_matplotlib_nor_dask():
    code = (
        "import sys, emgmm; emgmm.GaussianMixtureEM, emgmm.GaussianMixtureIC; "
        "print([m for m in ('matplotlib', 'dask') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
