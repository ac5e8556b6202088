"""The examples run, draw what they say, and stay short."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import emgmm.datasets

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FIGURES = {
    "plot_three_components": ["three_components.png", "three_components.gif"],
    "plot_a_lucky_error": ["a_lucky_error.png"],
}
# Old matplotlib with new dependencies of its own is told of deprecations.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


def run(example, folder):
    """Output of an example, run as a user runs it."""
    strict = ["-W", "error", "-W", "default::DeprecationWarning"]
    command = [sys.executable, *strict, str(example), str(folder)]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return folder, {example.stem: run(example, folder) for example in EXAMPLES}


def test_every_example_writes_its_figures(outputs):
    folder, printed = outputs
    assert set(printed) == set(FIGURES)
    written = {path.name for path in folder.iterdir()}
    assert written == {name for names in FIGURES.values() for name in names}


@pytest.mark.parametrize("name", ["three_components.png", "a_lucky_error.png"])
def test_figures_show_something(outputs, name):
    import matplotlib.image

    pixels = matplotlib.image.imread(outputs[0] / name)[..., :3]
    colours = np.unique((pixels.reshape(-1, 3) * 15).astype(int), axis=0)
    assert len(colours) > 20
    assert 0.01 < (pixels.min(axis=2) < 0.9).mean() < 0.9


def test_the_animation_has_a_frame_for_the_start_and_every_five_iterations(outputs):
    from PIL import Image

    with Image.open(outputs[0] / "three_components.gif") as movie:
        assert movie.n_frames == 11


def test_the_demonstration_prints_every_iteration_and_what_the_start_is_worth(outputs):
    printed = outputs[1]["plot_three_components"]
    lines = [line for line in printed.splitlines() if line.startswith("iteration")]
    values = [float(line.split()[-1]) for line in lines]
    assert len(values) == 51
    assert np.all(np.diff(values) > 0)
    for name in ["weights", "means", "covariances"]:
        assert printed.count(f"\n{name}\n") == 51
    worth = float(printed.split("The default start ends ")[1].split()[0])
    assert worth > 1000


def test_the_script_s_error_is_shown_as_it_was(monkeypatch, tmp_path):
    """On the script's own rows, R's run of it took the same path."""
    data = ROOT / "tests" / "data"
    rows = np.loadtxt(data / "seed_data.csv", delimiter=",", skiprows=1)[:, 1:]
    published = json.loads((data / "seed_gist.json").read_text())
    monkeypatch.setattr(
        emgmm.datasets, "make_three_components", lambda **_: (rows, None)
    )
    monkeypatch.setattr(sys, "argv", ["plot", str(tmp_path)])
    monkeypatch.setenv("MPLBACKEND", "agg")
    shown = runpy.run_path(str(ROOT / "examples" / "plot_a_lucky_error.py"))
    for name, variant in [("lucky", "gist_as_published"), ("exact", "corrected")]:
        expected = published[variant]["loglik_after_iteration"][:51]
        assert_allclose(shown[name], expected, rtol=1e-9)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_examples_are_short(example):
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 60
