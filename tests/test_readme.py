"""The documentation: commands run, links lead somewhere, figures are measured."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import emgmm
from benchmarks.cases import GROUPS
from benchmarks.report import OTHERS, SCALE_TABLES, TABLES
from benchmarks.summary import SHORT, SUMMARY, block_of, short_tables
from emgmm._model.families import MODELS

ROOT = Path(__file__).parent.parent
GUIDE = [
    path.relative_to(ROOT).as_posix()
    for path in sorted((ROOT / ".github" / "site" / "guide").glob("*.md"))
]
WITH_SNIPPETS = [  # pages whose snippets run as doctests
    "README.md",
    *GUIDE,
    "benchmarks/README.md",
    ".github/CONTRIBUTING.md",
]
NEEDS_A_DEVICE = ".github/site/guide/gpu.md"  # test_device.py runs it on the host
WITHOUT = [
    ".github/SECURITY.md",
    "CHANGELOG.md",
    "examples/README.md",
    "benchmarks/data/README.md",
    "tests/data/README.md",
]
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8") for name in WITH_SNIPPETS + WITHOUT
}
README, OVERVIEW = PAGES["README.md"], PAGES["examples/README.md"]
BENCHMARKS = PAGES["benchmarks/README.md"]
CONTRIBUTING = PAGES[".github/CONTRIBUTING.md"]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
IMAGES = sorted(path.name for path in (ROOT / "examples" / "images").iterdir())
COMMANDS = re.findall(r"```sh\n(.*?)\n```", README, flags=re.DOTALL)
ROWS = re.findall(r"^\| ([EVI]{3})\b.*\| (\(.*?\)) \| (\d+) \|$", README, flags=re.M)
ESTIMATORS = [
    name for name in emgmm.__all__ if hasattr(getattr(emgmm, name), "get_params")
]
SHAPES = {(3,): "(K,)", (3, 4): "(K, d)", (4, 4): "(d, d)", (3, 4, 4): "(K, d, d)"}


def fenced(page, language):
    """The blocks of a language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def without_fences(page):
    return re.sub(r"^```\w*\n.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)


def code_of(page):
    """Inline code and the lines typed into a shell, each on one line."""
    typed = [line for block in fenced(page, "console") for line in block.splitlines()]
    inline = re.findall(r"`([^`]+)`", without_fences(page))
    return [" ".join(text.split()) for text in inline + typed]


# The README ----------------------------------------------------------------------


def test_the_readme_can_be_read_to_its_end():
    assert len(README.splitlines()) <= 220


def test_the_two_commands_are_single_lines_that_make_the_environment():
    assert len(COMMANDS) == 2
    for command in COMMANDS:
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && ")
    assert "examples/plot_three_components.py" in COMMANDS[0]


def test_ci_runs_the_readmes_test_command():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert COMMANDS[1] in lines


@pytest.mark.parametrize(
    "name, shape, n_parameters", ROWS, ids=[row[0] for row in ROWS]
)
def test_the_table_of_models_is_right(name, shape, n_parameters):
    assert SHAPES[MODELS[name].storage.shape(3, 4)] == shape
    assert MODELS[name].n_parameters(3, 4) == int(n_parameters)


def test_the_table_has_every_model():
    assert [row[0] for row in ROWS] == list(MODELS)


# Snippets and commands -----------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*WITH_SNIPPETS} - {NEEDS_A_DEVICE}))
def test_snippets_are_doctests_that_ci_runs(name):
    for block in fenced(PAGES[name], "python"):
        assert block.startswith(">>> ")
    for path in (".ci/run", ".github/workflows/tests.yml"):
        run = (ROOT / path).read_text(encoding="utf-8").split()
        assert name in run or str(Path(name).parent) in run


@pytest.mark.parametrize("name", WITHOUT)
def test_other_pages_have_no_snippets(name):
    assert "```" not in PAGES[name]


@pytest.mark.parametrize("name", PAGES)
def test_modules_that_are_run_exist_and_so_do_groups_of_benchmarks(name):
    for code in code_of(PAGES[name]):
        for module, arguments in re.findall(r"python -m benchmarks\.(\w+)(.*)", code):
            assert (ROOT / "benchmarks" / f"{module}.py").exists(), code
            words = arguments.partition(" -")[0].split()  # options may have values
            assert len(words) <= 2 if module == "compare" else set(words) <= set(GROUPS)
            assert module in ("compare", "run") or not words, code


TYPED = [
    command.split("-m emgmm ")[1]
    for page in PAGES.values()
    for block in fenced(page, "console")
    for command in block.splitlines()
    if "-m emgmm " in command
]


@pytest.mark.parametrize("arguments", dict.fromkeys(TYPED))
def test_the_command_does_what_pages_ask_of_it(arguments, tmp_path):
    """On the first rows of the file that they name."""
    data = Path("tests", "data", "seed_data.csv")
    few = (ROOT / data).read_text(encoding="utf-8").splitlines(keepends=True)[:301]
    (tmp_path / data).parent.mkdir(parents=True)
    (tmp_path / data).write_text("".join(few), encoding="utf-8")
    words = shlex.split(arguments)
    subprocess.run([sys.executable, "-m", "emgmm", *words], check=True, cwd=tmp_path)
    outputs = ("--out", "--save", "--plot", "--impute")
    for option in set(outputs) & set(words):
        assert (tmp_path / words[words.index(option) + 1]).stat().st_size > 0


# Links ---------------------------------------------------------------------------


def anchors(page):
    """Those that GitHub and MyST make of the headings."""
    headings = re.findall(r"^#+ (.*)$", without_fences(page), flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings]
    return [text.replace(" ", "-") for text in plain]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    text = without_fences(PAGES[name])
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for link in links:
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", GUIDE)
def test_pages_have_one_title_and_no_two_equal_headings(name):
    names = anchors(PAGES[name])
    assert len(names) == len(set(names))
    assert len(re.findall(r"^# ", without_fences(PAGES[name]), flags=re.MULTILINE)) == 1
    assert PAGES[name].startswith("# ")


def test_the_benchmarks_list_their_sections():
    listed = re.findall(r"^- \[(.*?)\]\(#", BENCHMARKS, flags=re.MULTILINE)
    sections = re.findall(r"^## (.*)$", BENCHMARKS, flags=re.MULTILINE)
    assert listed == [name for name in sections if name not in ("Summary", "Contents")]


# The guide -----------------------------------------------------------------------


def test_the_overview_of_the_guide_has_every_page_by_its_title():
    links = re.findall(r"^- \[(.*)\]\(\.\./(.*\.md)\)", OVERVIEW, flags=re.MULTILINE)
    titles = [PAGES[name].splitlines()[0].removeprefix("# ") for _, name in links]
    assert [text for text, _ in links] == titles
    assert sorted(name for _, name in links) == GUIDE


def test_the_guide_has_every_picture_and_the_overview_every_example():
    assert set(re.findall(r"\]\((plot_\w+\.py)\)", OVERVIEW)) == set(EXAMPLES)
    guide = "\n".join(PAGES[name] for name in GUIDE)
    pictures = re.findall(r"^!\[.*\]\(.*/images/(.*)\)$", guide, flags=re.MULTILINE)
    assert sorted(set(pictures)) == IMAGES
    assert {path.partition(".")[0] for path in IMAGES} == {
        name.removeprefix("plot_").removesuffix(".py") for name in EXAMPLES
    }


def test_pictures_are_small():
    sizes = [(ROOT / "examples" / "images" / name).stat().st_size for name in IMAGES]
    assert sum(sizes) < 700_000


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_guide_says_where_each_parameter_is_explained(name):
    """With its default."""
    page = PAGES[".github/site/guide/parameters.md"]
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    said = {}
    for row in re.findall(r"^\| (`.*?) \| (`.*?) \|", section, flags=re.MULTILINE):
        names, defaults = (re.findall(r"`([^`]+)`", cell) for cell in row)
        said |= dict(zip(names, map(ast.literal_eval, defaults), strict=True))
    assert said == getattr(emgmm, name)().get_params(deep=False)


# Tables of the benchmarks --------------------------------------------------------


def marked(page):
    return re.findall(r"^<!-- benchmarks:([\w-]+) -->$", page, flags=re.MULTILINE)


def test_short_tables_are_made_of_the_long_ones():
    tables = short_tables(BENCHMARKS)
    places = {name: page for page in (README, BENCHMARKS) for name in marked(page)}
    for name, table in tables.items():
        assert block_of(places[name], name) == table


def test_every_table_of_figures_is_made_by_the_report():
    made = {**TABLES, **SCALE_TABLES, **OTHERS, **SHORT}
    names = marked(README) + marked(BENCHMARKS)
    assert len(names) == len(set(names))
    assert set(names) <= set(made)
    assert {line.group for line in SUMMARY} <= set(GROUPS)


@pytest.mark.parametrize("name", ["README.md", "benchmarks/README.md"])
def test_no_other_table_has_figures_with_a_unit(name):
    """A figure that was typed by hand would stand outside of the markers."""
    outside = re.sub(
        r"<!-- benchmarks:([\w-]+) -->.*?<!-- /benchmarks:\1 -->",
        "",
        PAGES[name],
        flags=re.DOTALL,
    )
    tables = [line for line in outside.splitlines() if line.startswith("|")]
    assert not [row for row in tables if re.search(r"\d (ms|s|MB|GB)\b|\d%", row)]


# The map -------------------------------------------------------------------------


def test_the_map_has_every_folder_of_the_package():
    (block,) = fenced(CONTRIBUTING, "text")
    package = Path(emgmm.__file__).parent
    folders = {path.parent.name for path in package.glob("_*/__init__.py")}
    assert set(re.findall(r"^  (_\w+)/", block, flags=re.MULTILINE)) == folders
    for module in re.findall(r"^  (\w+\.py)", block, flags=re.MULTILINE):
        assert (package / module).exists()


def test_what_the_map_names_is_where_it_says():
    package = Path(emgmm.__file__).parent
    for path in re.findall(r"`(_\w+/\w+\.py)`", CONTRIBUTING):
        assert (package / path).exists(), path
    places = re.findall(r"`(\w+)`\s+\(`(_\w+/\w+\.py)`\)", CONTRIBUTING)
    assert len(places) > 5
    for name, path in places:
        source = (package / path).read_text(encoding="utf-8")
        assert re.search(rf"^(class )?{name}\b", source, flags=re.MULTILINE), name


RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def test_the_changelog_is_cut_into_versions():
    """Its sections are what came since the last release, and releases with dates."""
    changelog = PAGES["CHANGELOG.md"]
    sections = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    releases = RELEASE.findall(changelog)
    assert len(releases) == len(sections) - (sections[0] == "[Unreleased]")
    numbers = [tuple(map(int, number.split("."))) for number, _ in releases]
    assert numbers == sorted(set(numbers), reverse=True)
    assert [date for _, date in releases] == sorted(
        (d for _, d in releases), reverse=True
    )
    kinds = re.findall(r"^### (.*)$", changelog, re.MULTILINE)
    assert set(kinds) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
    for name in re.findall(r"^## \[(.*?)\]", changelog, re.MULTILINE):
        assert re.search(rf"^\[{re.escape(name)}\]: https://", changelog, re.MULTILINE)


def test_the_version_is_the_last_released_or_one_in_the_making():
    last = RELEASE.search(PAGES["CHANGELOG.md"])[1]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {last}\n" in citation
    number, _, making = emgmm.__version__.partition(".dev")
    parts = [tuple(map(int, each.split("."))) for each in (number, last)]
    assert parts[0] > parts[1] if making else number == last
    assert making or "## [Unreleased]" not in PAGES["CHANGELOG.md"]
