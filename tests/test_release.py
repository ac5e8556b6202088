"""What a release is made of: the script that checks it, workflows, and the recipe."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import emgmm

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
JOBS = {
    (workflow, name): job
    for workflow, content in WORKFLOWS.items()
    for name, job in content["jobs"].items()
}
# What jobs may write, beside those of other pages.
WRITES = {
    ("release", "publish"): {"id-token"},
    ("release", "attach"): {"attestations", "contents", "id-token"},
    ("report", "issue"): {"issues"},
    ("nightly", "report"): {"issues"},
    ("benchmarks", "report"): {"issues"},
}
RECIPE = yaml.safe_load(
    (ROOT / ".github" / "conda-forge" / "recipe.yaml").read_text(encoding="utf-8")
)


def package(*arguments, root=ROOT):
    """The script that builds and checks, run."""
    command = [sys.executable, root / ".ci" / "package", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


# The script ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("v0.0.1", "the tag v0.0.1 is not v"),
        (emgmm.__version__, f"is not v{emgmm.__version__}"),
        ("v9.9.9", "CHANGELOG.md has no section of 9.9.9"),
    ],
)
def test_a_tag_is_that_of_a_version_with_a_section(tag, message, tmp_path):
    for name in (".ci/package", "CHANGELOG.md", "emgmm/_version.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    if tag == "v9.9.9":
        (tmp_path / "emgmm" / "_version.py").write_text('__version__ = "9.9.9"\n')
    done = package("--tag", tag, root=tmp_path)
    assert done.returncode == 1 and message in done.stderr
    assert not (tmp_path / "dist").exists()


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["nothing", "a snippet", "a module"])
def test_distributions_are_checked_as_users_have_them(broken, tmp_path):
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", "dist", "results", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    if broken == "a snippet":
        readme = (copy / "README.md").read_text(encoding="utf-8")
        (copy / "README.md").write_text(readme + "\n```python\n>>> 1 + 1\n3\n\n```\n")
    if broken == "a module":  # it is in the checkout, and not in what is built
        with open(copy / "pyproject.toml", "a", encoding="utf-8") as settings:
            settings.write(
                '\n[tool.hatch.build]\nexclude = ["/emgmm/_persistence.py"]\n'
            )
    done = package("--out", str(tmp_path / "dist"), root=copy)
    assert (done.returncode == 0) == (broken == "nothing"), done.stdout + done.stderr
    assert ("are good to publish" in done.stdout) == (broken == "nothing")


# Workflows -------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_may_read_and_no_more(name):
    assert WORKFLOWS[name]["permissions"] in ({"contents": "read"}, {})


@pytest.mark.parametrize("job", WRITES, ids="-".join)
def test_jobs_may_write_what_they_have_to(job):
    writes = {
        scope for scope, way in JOBS[job]["permissions"].items() if way == "write"
    }
    assert writes == WRITES[job]


def test_nothing_is_published_that_was_not_checked():
    assert WORKFLOWS["release"][True] == {"push": {"tags": ["v*"]}}  # YAML 1.1: "on"
    build = [step.get("run", "") for step in JOBS["release", "package"]["steps"]]
    assert '.ci/package --tag "$GITHUB_REF_NAME"' in build
    assert JOBS["release", "publish"]["needs"] == "package"
    assert JOBS["release", "attach"]["needs"] == "publish"
    assert JOBS["release", "publish"]["environment"] == "pypi"


@pytest.mark.parametrize("name", ["nightly", "benchmarks"])
def test_a_failure_that_nobody_sees_opens_an_issue(name):
    (job,) = set(WORKFLOWS[name]["jobs"]) - {"report"}
    report = JOBS[name, "report"]
    assert report["needs"] == job and "failure()" in report["if"]
    assert (ROOT / report["uses"]).is_file()
    assert set(report["with"]) == set(
        WORKFLOWS["report"][True]["workflow_call"]["inputs"]
    )
    assert WORKFLOWS[name][True]["schedule"]


def test_the_nightly_job_installs_the_newest_builds_last():
    steps = [step.get("run", "") for step in JOBS["nightly", "newest"]["steps"]]
    (newest,) = [place for place, run in enumerate(steps) if "--pre" in run]
    assert {"numpy", "scipy", "scikit-learn"} <= set(steps[newest].split())
    assert "[test]" in steps[newest - 1] and steps[-1] == "python -m pytest"


def test_the_notes_of_a_release_are_its_section(tmp_path):
    """The program of the workflow, by which the changelog is cut."""
    if shutil.which("awk") is None:
        pytest.skip("no awk here")
    (script,) = [
        step["run"] for step in JOBS["release", "attach"]["steps"] if "run" in step
    ]
    program = re.search(r"'(.*?)'", script, re.DOTALL)[1]
    command = ["awk", "-v", "heading=## [0.1.0]", program, str(ROOT / "CHANGELOG.md")]
    notes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert notes.strip().startswith("### Added") and "## [" not in notes
    assert "`python -m emgmm data.csv`" in notes and "https://" not in notes
    assert "show_versions" not in notes


# conda-forge -----------------------------------------------------------------------


def test_the_recipe_requires_what_the_project_requires():
    renamed = {"matplotlib": "matplotlib-base"}  # without the toolkits of windows
    required = set()
    for requirement in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=.*)", requirement).groups()
        required.add(f"{renamed.get(name, name)} {bound}")
    python = f"python {PROJECT['requires-python']}"
    minimum = RECIPE["context"]["python_min"]
    run = {
        each.replace("${{ python_min }}", minimum)
        for each in RECIPE["requirements"]["run"]
    }
    assert run == required | {python}
    (command,) = PROJECT["scripts"].items()
    assert RECIPE["build"]["python"]["entry_points"] == [" = ".join(command)]
    assert RECIPE["about"]["license"] == PROJECT["license"]


def test_the_recipe_builds_with_what_the_project_builds_with():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    required = {
        each.replace(">=", " >=") for each in settings["build-system"]["requires"]
    }
    assert required <= set(RECIPE["requirements"]["host"])


def test_the_recipe_is_of_the_last_release():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    last = re.search(r"^## \[(\d.*?)\]", changelog, re.MULTILINE)[1]
    assert RECIPE["context"]["version"] == last
