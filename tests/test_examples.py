"""The examples run, print and draw what they claim, and stay short."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import emgmm.datasets

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FIGURES = {
    "plot_a_lucky_error": ["a_lucky_error.png"],
    "plot_anomalies": ["anomalies.png"],
    "plot_cigars": ["cigars.png"],
    "plot_classifier": ["classifier.png"],
    "plot_density": ["density.png"],
    "plot_merging": ["merging.png"],
    "plot_missing": ["missing.png"],
    "plot_outliers": ["outliers.png"],
    "plot_overview": ["overview.png"],
    "plot_pipeline": ["pipeline.png"],
    "plot_regression": ["regression.png"],
    "plot_selection": ["selection.png"],
    "plot_stream": ["stream.png"],
    "plot_three_components": ["three_components.png", "three_components.gif"],
    "plot_weights": ["weights.png"],
}
PICTURES = [name for names in FIGURES.values() for name in names if ".png" in name]
# Old versions of matplotlib use deprecated functions of their dependencies.
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
    # Two at once: much of their time goes into imports.
    with ThreadPoolExecutor(2) as pool:
        texts = pool.map(partial(run, folder=folder), EXAMPLES)
        names = [example.stem for example in EXAMPLES]
        return folder, dict(zip(names, texts, strict=True))


def numbers(text):
    """Every number in a text."""
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


def line_of(printed, start):
    """What follows on the line that starts so."""
    (line,) = [line for line in printed.splitlines() if line.startswith(start)]
    return line.removeprefix(start)


def test_every_example_writes_its_figures(outputs):
    folder, printed = outputs
    assert set(printed) == set(FIGURES)
    written = {path.name for path in folder.iterdir()}
    assert written == {name for names in FIGURES.values() for name in names}


@pytest.mark.parametrize("name", PICTURES)
def test_figures_show_something(outputs, name):
    import matplotlib.image

    pixels = matplotlib.image.imread(outputs[0] / name)[..., :3]
    colours = np.unique((pixels * 15).astype(int) @ [256, 16, 1])
    assert len(colours) > 20
    assert 0.01 < (pixels.min(axis=2) < 0.9).mean() < 0.9


def test_the_animation_stays_at_its_last_frame(outputs):
    from PIL import Image

    durations = []
    with Image.open(outputs[0] / "three_components.gif") as movie:
        for frame in range(movie.n_frames):
            movie.seek(frame)
            durations.append(movie.info["duration"])
    assert durations == [500] * 11 + [2500]


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_have_150_dots_an_inch(outputs, name):
    from PIL import Image

    with Image.open(outputs[0] / name) as picture:
        assert_allclose(picture.info["dpi"], 150, rtol=1e-3)


def test_the_demonstration_prints_every_iteration_and_ends_at_the_maximum(outputs):
    printed = outputs[1]["plot_three_components"]
    lines = [line for line in printed.splitlines() if line.startswith("iteration")]
    values = [float(line.split()[-1]) for line in lines]
    assert len(values) == 221
    assert np.all(np.diff(values) > 0)
    for name in ["weights", "means", "covariances"]:
        assert printed.count(f"\n{name}\n") == 221
    (default,) = numbers(line_of(printed, "Default start: "))
    assert values[200] < default - 1000
    assert_allclose(values[-1], default, atol=2)


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


def test_the_overview_finds_the_three_cultivars_of_wine(outputs):
    printed = outputs[1]["plot_overview"]
    assert "BIC selects 3 components of the model VVI" in printed
    assert numbers(line_of(printed, "adjusted Rand index"))[0] > 0.6


def test_the_selection_is_mclust_s_and_its_table_is_in_order(outputs):
    """mclust selects VEV with two components for iris, BIC -561.7; then three."""
    printed = outputs[1]["plot_selection"]
    assert "{'n_components': 2, 'covariance_type': 'VEV'}" in printed
    table = [line.split() for line in printed.splitlines()[1:6]]
    assert [row[:2] for row in table[:2]] == [["2", "VEV"], ["3", "VEV"]]
    bic = [float(row[4]) for row in table]
    assert_allclose(bic[:2], [561.7, 562.6], atol=0.11)
    assert bic == sorted(bic)
    behind, agreement = numbers(line_of(printed, "three components: "))
    assert 0 < behind < 2 and agreement > 0.85


def test_cigars_are_found_where_scikit_learn_cuts_them(outputs):
    printed = outputs[1]["plot_cigars"]
    theirs, restarted, ours = (numbers(line)[-2:] for line in printed.splitlines())
    assert ours[0] > max(theirs[0], restarted[0])
    assert ours[1] > 0.95 and theirs[1] < 0.5 and restarted[1] < 0.5


def test_mixtures_and_rows_without_labels_make_better_classifiers(outputs):
    printed = outputs[1]["plot_classifier"]
    one, several = (
        numbers(line_of(printed, f"{name}: "))[0]
        for name in ("one Gaussian each", "[3, 2] components, chosen by BIC")
    )
    assert several < one / 3
    labelled = numbers(line_of(printed, "12 rows with a label: "))[0]
    assert numbers(line_of(printed, "all 300: "))[0] < labelled / 2


def test_the_pipeline_s_choices_are_the_best_of_what_it_prints(outputs):
    printed = outputs[1]["plot_pipeline"]
    scores = {name: numbers(line_of(printed, name))[::2] for name in ("diag", "full")}
    name, size = line_of(printed, "held-out rows: ").split(", ")
    assert scores[name][int(size) - 1] == max(scores["diag"] + scores["full"])
    assert scores["full"][2] == max(scores["full"])
    assert line_of(printed, "BIC: ") == "diag, 3"
    assert (name, size) == ("full", "3")
    assert numbers(line_of(printed, "ARI of"))[0] > 0.8


def test_digits_never_seen_are_anomalies(outputs):
    printed = outputs[1]["plot_anomalies"]
    lines = [line for line in printed.splitlines() if line.startswith("without")]
    areas = np.array([numbers(line)[1:] for line in lines])
    assert areas.shape == (10, 2)
    assert areas[:, 0].min() > 0.9 and np.all(areas[:, 0] > areas[:, 1])
    careless, careful = (
        numbers(line_of(printed, f"5% quantile of rows {which} the fit: "))
        for which in ("in", "kept from")
    )
    assert careless[0] > 12 and 3 < careful[0] < 8
    assert careful[1] > 70


def test_rows_between_slanted_clusters_are_outliers_to_a_mixture(outputs):
    printed = outputs[1]["plot_outliers"]
    ours, theirs = (numbers(line_of(printed, f"{n}: ")) for n in ("mixture", "forest"))
    # AUC, average precision, and how many usual rows and others are flagged.
    assert ours[0] > theirs[0] and ours[1] > theirs[1] + 0.3
    assert ours[2] < 15 < 30 < ours[4] and ours[2] + ours[4] == 45


def test_a_mixture_predicts_petals_better_than_kernels(outputs):
    printed = outputs[1]["plot_density"]
    ours, theirs = (
        numbers(line_of(printed, f"{name}: log-density of held-out rows "))[0]
        for name in ("mixture", "kernels")
    )
    assert ours > theirs + 0.2
    assert numbers(line_of(printed, "33% of petals: ")) == [1.46, 0.17]


def test_the_hand_is_where_a_branch_says_and_not_where_the_mean_does(outputs):
    printed = outputs[1]["plot_regression"]
    mean, branch = (
        numbers(line_of(printed, f"{name}: the hand misses by "))[0]
        for name in ("mean angle", "probable branch")
    )
    assert mean > 15
    assert branch < 0.5


def test_weights_are_repetition_and_bins_add_what_sheppard_says(outputs):
    printed = outputs[1]["plot_weights"]
    (repeated,) = numbers(line_of(printed, "weights or repeated rows: means differ by"))
    assert repeated < 1e-9
    assert numbers(line_of(printed, "means differ by "))[0] < 0.005
    (excess,) = numbers(line_of(printed, "variances grow by h^2 / 12, but for "))
    assert excess < 0.02


def test_gaps_left_as_they_are_cost_little_and_all_else_much(outputs):
    printed = outputs[1]["plot_missing"]
    names = ["No gaps", "Rows with gaps dropped", "Means in gaps, scikit-learn"]
    printed_numbers = [
        numbers(line_of(printed, f"{name}: log-density of new rows "))
        for name in [*names, "Gaps left as NaN"]
    ]
    (complete, mean), (dropped, cut), (filled, _), (ours, own) = printed_numbers
    assert complete - 0.05 < ours < complete
    assert max(dropped, filled) < complete - 0.5
    assert abs(own - mean) < 0.05 and cut < mean - 1
    (missing, n_rows) = numbers(line_of(printed, "b is missing in "))
    assert 0.4 < missing / n_rows < 0.6
    assert numbers(line_of(printed, "the last picture draws "))[0] == missing


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_examples_are_short(example):
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 63


def test_merging_finds_the_shapes_that_take_many_components(outputs):
    printed = outputs[1]["plot_merging"]
    components, suggested = numbers(printed.splitlines()[0])
    assert 4 < suggested < components
    of_components = numbers(line_of(printed, "components: "))[-1]
    of_clusters = numbers(line_of(printed, "4 clusters: "))[-1]
    assert of_components < 0.5 < 0.99 < of_clusters
    three, four, five = (
        numbers(line_of(printed, f"entropy of {number} clusters: "))[0]
        for number in (3, 4, 5)
    )
    assert three < 1 < five - four


def test_a_stream_that_forgets_follows_a_drift(outputs):
    forgets, remembers = numbers(outputs[1]["plot_stream"].replace("step=0.1", ""))[::2]
    assert forgets < 0.3 < 0.6 < remembers
