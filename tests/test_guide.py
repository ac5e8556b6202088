"""The guide against the package: every message of it is explained."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sklearn.utils.validation

import emgmm

ROOT = Path(__file__).parent.parent
FAQ = (ROOT / ".github" / "site" / "guide" / "faq.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", FAQ, re.S | re.M))
TABLES = {
    name: re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    for name, text in SECTIONS.items()
}
OF_CLASSES, OF_SKLEARN = "Classes", "Messages of scikit-learn"
INTERNAL = {
    "ArgumentTypeError",  # argparse makes a message of it
    "AttributeError",  # of the module, as Python's own
    "FloatingPointError",
    "LinAlgError",  # both are caught, and a start is left out
    "TableError",  # the command makes a message of it
}
VALUE = "\0"  # stands for what is formatted into a message


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Names and syntax trees of the modules."""
    package = Path(emgmm.__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def texts(tree: ast.AST) -> list[str]:
    """Strings other than docstrings, with `VALUE` for what is formatted into them."""
    found = []
    statements = {n.value for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in [each for each in ast.walk(tree) if each not in statements]:
        if isinstance(node, ast.JoinedStr):
            parts = [getattr(part, "value", VALUE) for part in node.values]
            found.append("".join(p if isinstance(p, str) else VALUE for p in parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def raised(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Class names, and the calls that make them, of what a module raises and warns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield ast.unparse(node.exc.func).rpartition(".")[2], ast.unparse(node.exc)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn":
            names = [ast.unparse(category) for category in node.args[1:2]]
            yield (*names, "UserWarning")[0].rpartition(".")[2], ast.unparse(node)


MODULES = dict(trees())
OWN = [text for tree in MODULES.values() for text in texts(tree)]
THEIRS = texts(ast.parse(inspect.getsource(sklearn.utils.validation)))
ROWS = [
    (name, fragment)
    for name, cells in TABLES.items()
    if name != OF_CLASSES
    for cell in cells
    for fragment in re.findall(r"`([^`]+)`", cell)
]


def pattern(fragment: str) -> re.Pattern[str]:
    """What a quoted fragment stands for: "..." for anything."""
    parts = [re.escape(part) for part in re.split(r"\s*\.\.\.\s*", fragment)]
    return re.compile(".*".join(parts), flags=re.DOTALL)


def sentences(tree: ast.AST) -> Iterator[str]:
    """The messages that users see: causes that end other messages are no sentences."""
    for name, expression in raised(tree):
        parts = texts(ast.parse(expression))
        if name not in INTERNAL and any(part.endswith(".") for part in parts):
            yield VALUE.join(parts)


def is_quoted(text: str) -> bool:
    """Whether a row of the tables has a part of the text."""
    return any(pattern(fragment).search(text) for _, fragment in ROWS)


def test_every_class_that_is_raised_or_warned_of_has_an_entry():
    named = set(re.findall(r"`(\w+)`", " ".join(TABLES[OF_CLASSES])))
    classes = {name for tree in MODULES.values() for name, _ in raised(tree)}
    assert {name for name in classes if name[0].isupper()} - INTERNAL <= named
    assert classes >= INTERNAL
    public = [getattr(emgmm, name) for name in emgmm.__all__]
    own = [c for c in public if isinstance(c, type) and issubclass(c, Exception)]
    assert own
    assert {each.__name__ for each in own} <= named


@pytest.mark.parametrize(
    "section", [name for name in TABLES if TABLES[name] and name != OF_CLASSES]
)
def test_quoted_messages_are_in_the_source(section):
    source = THEIRS if section == OF_SKLEARN else OWN
    fragments = [fragment for name, fragment in ROWS if name == section]
    found = [f for f in fragments if any(map(pattern(f).search, source))]
    assert found == fragments
    assert fragments


def test_every_message_is_quoted():
    messages = [text for tree in MODULES.values() for text in sentences(tree)]
    assert len(messages) > 100
    assert not [text for text in messages if not is_quoted(text)]
