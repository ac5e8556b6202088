"""What can be checked of the documentation site without building it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import emgmm
import emgmm.datasets
import emgmm.typing

ROOT = Path(__file__).parent.parent
SITE = ROOT / ".github" / "site"
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_begins_with_a_heading_and_a_paragraph(example):
    text = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8")))
    title, underline, blank, paragraph = text.split("\n", 3)
    assert underline == "=" * len(title)
    assert not blank
    assert len(paragraph.split()) > 20


def test_the_gallery_has_a_heading():
    title, underline = (
        (ROOT / "examples" / "GALLERY_HEADER.txt").read_text().splitlines()[:2]
    )
    assert underline == "=" * len(title)


def test_the_reference_has_every_public_name_once():
    makers = [name for name in vars(emgmm.datasets) if name.startswith("make_")]
    public = [*emgmm.__all__, *makers, *emgmm.typing.__all__]
    listed = re.findall(
        r"^(?:   |\.\. py:data:: )(\w+)$",
        (SITE / "api.rst").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert sorted(listed) == sorted(public)


def test_the_table_of_contents_has_every_page_of_the_guide_once():
    contents = (SITE / "guide.md").read_text(encoding="utf-8")
    listed = re.findall(r"^guide/(\w+)$", contents, flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (SITE / "guide").glob("*.md"))


PAGE = '<h1 id="top">1</h1><a href="{}">a</a><img src="picture.png" srcset="{} 2x">'


def check_links(folder):
    command = [sys.executable, SITE / "check_links.py", folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_links_within_the_site_are_followed(tmp_path):
    (tmp_path / "picture.png").touch()
    (tmp_path / "a.html").write_text(PAGE.format("folder/b.html#top", "picture.png"))
    (tmp_path / "folder").mkdir()
    outside = PAGE.format("https://example.org/#x", "../picture.png")
    (tmp_path / "folder" / "b.html").write_text(
        outside.replace('"picture', '"../picture')
    )
    assert check_links(tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("address", "picture"),
    [("c.html", "picture.png"), ("#bottom", "picture.png"), ("#top", "small.png")],
)
def test_links_that_lead_nowhere_are_found(tmp_path, address, picture):
    (tmp_path / "picture.png").touch()
    (tmp_path / "a.html").write_text(PAGE.format(address, picture))
    result = check_links(tmp_path)
    assert result.returncode == 1
    wrong = picture if address == "#top" else address
    assert result.stdout.splitlines() == [f"a.html: {wrong}"]


def test_a_site_without_pages_is_an_error(tmp_path):
    assert check_links(tmp_path).returncode == 1
