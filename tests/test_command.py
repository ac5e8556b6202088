"""The command: what it prints and writes, and errors of one line."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose, assert_array_equal

import emgmm
from emgmm import GaussianMixtureEM
from emgmm._cli.arguments import parsed
from emgmm._cli.command import main
from emgmm._cli.tables import read_table
from emgmm._model.families import MODELS
from emgmm._utils.text import WIDTH
from emgmm.datasets import make_three_components

# Old versions of matplotlib use deprecated functions of their dependencies.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")
NAMES = ["alpha", "beta gamma"]
ONE = ["--components", "2", "--model", "VEV"]


@pytest.fixture(autouse=True)
def width(monkeypatch):
    """A terminal of 80 characters, wherever the tests run."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def rows():
    return make_blobs(0, 200, 2, 2)


@pytest.fixture
def data(tmp_path, rows):
    """A CSV file of two features, whole weights, and text."""
    weights = np.arange(200) % 3
    values = np.c_[rows, weights].tolist()
    lines = [f"{a!r},{b!r},{weight:g},x" for a, b, weight in values]
    path = tmp_path / "data.csv"
    path.write_text("\n".join([",".join([*NAMES, "w", "kind"]), *lines, ""]))
    return str(path)


@pytest.fixture
def run(capsys):
    """A function that runs the command and returns what it printed."""

    def run(*argv):
        assert main(list(map(str, argv))) == 0
        return capsys.readouterr()

    return run


@pytest.fixture
def fails(capsys):
    """A function that runs the command into an error and returns its one line."""

    def fails(*argv):
        assert main(list(map(str, argv))) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        *notes, line = printed.err.splitlines()
        assert all(note.startswith("emgmm: note: ") for note in notes)
        assert line.startswith("emgmm: error: ")
        return line

    return fails


def program(*argv, closed="", **kwargs):
    """The command as a program of its own, with redirections that close streams."""
    folder = os.path.dirname(os.path.dirname(emgmm.__file__))
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | kwargs
    command = [sys.executable, "-m", "emgmm", *map(str, argv)]
    if closed:
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.Popen(command, text=True, env=environment, **kwargs)


def assert_same_but_for_rounding(lines, others):
    """The same words, and the same numbers but for their last digit."""
    words, numbers = zip(*map(words_and_numbers, (lines, others)), strict=True)
    assert words[0] == words[1]
    assert_allclose(*numbers, rtol=2e-3, atol=0.011)


def words_and_numbers(lines):
    number = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
    text = "\n".join(lines)
    return number.sub("", text).split(), [float(one) for one in number.findall(text)]


# What it prints --------------------------------------------------------------------


def test_one_model_is_printed_with_its_numbers(run, data, rows):
    gmm = GaussianMixtureEM(2, covariance_type="VEV").fit(rows)
    printed = run(data, "--columns", ",".join(NAMES), *ONE)
    assert printed.err == ""
    assert f"{data}: 200 rows, 2 columns" in printed.out
    assert "VEV with 2 components: ellipsoids of equal shape" in printed.out
    for expected in [
        f"log-likelihood {gmm.score(rows) * 200:.2f}",
        f"BIC {gmm.bic(rows):.2f}   ICL {gmm.icl(rows):.2f}   AIC {gmm.aic(rows):.2f}",
        f"converged after {gmm.n_iter_} iteration",
        "(10 parameters)",
    ]:
        assert expected in printed.out
    words = printed.out.split()
    counts = np.bincount(gmm.labels_)
    deviations = np.sqrt(np.diagonal(gmm.covariances_, axis1=1, axis2=2))
    uncertainty = 1 - gmm.predict_proba(rows).max(axis=1)
    for value in [*gmm.means_.flat, *deviations.flat]:
        assert f"{value:.5g}" in words
    for k in range(2):
        assert f"{gmm.weights_[k]:.4f}" in words and str(counts[k]) in words
    assert f"probability): mean {uncertainty.mean():.3g}\n" in printed.out
    levels = [float(line.split()[3]) for line in printed.out.splitlines()[-3:-1]]
    assert levels == [0.1, (uncertainty > 0.1).sum()]
    assert all(len(line) <= WIDTH for line in printed.out.splitlines()[1:])
    for name in NAMES:
        assert name in printed.out


def test_columns_of_text_are_left_out_with_a_note(run, data):
    printed = run(data, *ONE)
    assert printed.err == "emgmm: note: columns without numbers are left out: 'kind'\n"
    assert "3 columns" in printed.out


def test_a_search_selects_the_best_and_prints_the_next(run, data, rows):
    printed = run(
        data, "--columns", ",".join(NAMES), "--components", "1-3", "--model", "EEE,full"
    )
    fits = [
        (GaussianMixtureEM(k, covariance_type=name).fit(rows).bic(rows), model, k)
        for k in (1, 2, 3)
        for name, model in [("EEE", "EEE"), ("full", "VVV")]
    ]
    best, name, k = min(fits)
    lines = printed.out.splitlines()
    table = lines[
        lines.index(next(x for x in lines if "of 6 candidates by BIC" in x)) :
    ]
    assert len(table[2:7]) == 5
    assert f"{best:.2f}" in table[2].split() and "0.00" in table[2].split()
    table_values = [list(map(float, line.split()[2:4])) for line in table[2:7]]
    assert table_values == sorted(table_values)
    assert all(abs(bic - best - difference) < 0.02 for bic, difference in table_values)
    assert f"{name} with {k} components" in printed.out


def test_weights_print_the_same_as_repeated_rows(run, rows, tmp_path):
    weights = np.arange(200) % 3
    np.save(tmp_path / "weighted.npy", np.c_[rows, weights])
    np.save(tmp_path / "repeated.npy", np.repeat(rows, weights, axis=0))
    weighted = run(tmp_path / "weighted.npy", *ONE, "--weights", "2").out.splitlines()
    repeated = run(tmp_path / "repeated.npy", *ONE).out.splitlines()
    assert weighted[0].endswith("200 rows, 2 columns, weights in column 2 with sum 199")
    assert repeated[0].endswith("199 rows, 2 columns")
    assert_same_but_for_rounding(weighted[1:], repeated[1:])
    assert ["component", "column", "0", "column", "1"] in map(str.split, weighted)


def test_warnings_are_lines(run, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("x\n" + "".join(f"{k}\n" for k in range(20)) + "1000\n")
    printed = run(path, *ONE)
    (line,) = printed.err.splitlines()
    assert line.startswith(
        "emgmm: warning: component 1 has fewer than 2 effective rows"
    )


def test_many_long_and_odd_names_are_cut(run, tmp_path):
    names = [f"feature number {i} \x1b[31m" for i in range(12)]
    lines = [
        ",".join(names),
        *(",".join(map(str, r)) for r in make_blobs(0, 60, 12, 1)),
    ]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(lines))
    printed = run(path, "--components", "1", "--model", "diag").out
    assert "more features\n" in printed
    assert "\x1b" not in printed
    assert all(len(line) <= WIDTH for line in printed.splitlines()[1:])


def test_names_are_whole_where_the_terminal_is_wide(run, tmp_path, monkeypatch):
    names = [f"feature number {i}" for i in range(8)]
    X = make_blobs(0, 60, 8, 1)
    X[:9, 7] = np.nan
    content = {"delimiter": ",", "header": ",".join(names), "comments": ""}
    np.savetxt(tmp_path / "data.csv", X, **content)
    argv = [tmp_path / "data.csv", "--components", "1", "--model", "diag"]
    cut = run(*argv).out
    assert all(f"feature n..r {i}" in cut for i in range(4)) and names[0] not in cut
    monkeypatch.setenv("COLUMNS", "160")
    whole = run(*argv).out
    assert ".." not in whole and "more features" not in whole
    assert all(whole.count(name) == 2 for name in names[:7])
    assert whole.count(names[7]) == 3
    assert all(len(line) <= 159 for line in whole.splitlines()[1:])
    monkeypatch.setenv("COLUMNS", "150")
    some = run(*argv).out
    assert all(f"feature nu..r {i}" in some for i in range(8))
    assert max(map(len, some.splitlines()[1:])) == 145


@pytest.mark.parametrize(
    "model, titles",
    [
        ("VVV", ["covariances of component 0", "covariances of component 1"]),
        ("EEE", ["covariances of every component"]),
        ("VVI", ["variances (covariances are zero)"]),
        ("VII", ["variances (covariances are zero)"]),
    ],
)
def test_covariances_are_printed_with_verbose(run, data, rows, model, titles):
    argv = [data, "--columns", "0,1", "--components", "2", "--model", model]
    plain, lines = (
        run(*each).out.splitlines()[1:] for each in (argv, [*argv, "--verbose"])
    )
    assert not any("covariances" in line for line in plain)
    assert [line for line in lines if "covariances" in line] == titles
    values = GaussianMixtureEM(2, covariance_type=model).fit(rows).covariances_
    values = values if values.size > 2 else np.repeat(values[:, None], 2, axis=1)
    for title, matrix in zip(titles, values.reshape(-1, 2, 2), strict=True):
        header, *table = lines[lines.index(title) + 1 :][:3]
        assert header.split()[-3:] == ["alpha", "beta", "gamma"]
        expected = [[f"{value:.5g}" for value in row] for row in matrix]
        assert [line.split()[-2:] for line in table] == expected
    assert not set(plain) - set(lines)


def test_verbose_prints_all_features_and_candidates(run, tmp_path):
    X = make_blobs(0, 60, 12, 1)
    np.save(tmp_path / "x.npy", X)
    argv = [tmp_path / "x.npy", "--components", "1-4", "--model", "EII,VII,EEE"]
    lines = run(*argv, "--verbose").out.splitlines()
    assert all(len(line) <= WIDTH for line in lines[1:])
    assert not any("more features" in line for line in lines)
    words = " ".join(lines).split()
    fit = GaussianMixtureEM(1, covariance_type="EEE").fit(X)
    for value in [*fit.means_.flat, *fit.covariances_.flat]:
        assert f"{value:.5g}" in words
    (start,) = (i for i, line in enumerate(lines) if line.startswith("The best of"))
    shown = [line.split()[0] for line in lines[start + 2 : lines.index("", start)]]
    assert len([name for name in shown if name in MODELS]) > 5


def test_large_matrices_are_not_printed_whole(run, tmp_path):
    np.save(tmp_path / "x.npy", make_blobs(0, 200, 35, 1))
    argv = ["--components", "1", "--model", "EEE", "--verbose"]
    printed = run(tmp_path / "x.npy", *argv).out
    matrix = printed[printed.index("covariances of every") :]
    assert "(for the first 30 columns; --save keeps all)" in matrix
    assert "column 29" in matrix and "column 30" not in matrix


@pytest.mark.parametrize(
    "argv, as_if",
    [
        (["--model", "vvv,Diag"], ["--model", "VVV,diag"]),
        (["--model", "ALL"], ["--model", "all"]),
        (["--criterion", "BIC"], ["--criterion", "bic"]),
        (["--criterion", "Icl"], ["--criterion", "icl"]),
    ],
)
def test_names_may_be_in_any_case_of_letters(argv, as_if):
    assert parsed(["x.csv", *argv]) == parsed(["x.csv", *as_if])


def test_columns_and_weights_may_be_indices(run, data):
    named = run(data, "--columns", ",".join(NAMES), "--weights", "w", *ONE).out
    for columns in ("0,1", "0-1", "alpha,1"):
        printed = run(data, "--columns", columns, "--weights", "2", *ONE).out
        assert printed == named.replace("column w with", "column 2 with")


def test_decimal_commas_are_read_and_said(run, data, tmp_path):
    content = Path(data).read_text().replace(",", ";").replace(".", ",")
    (tmp_path / "commas.csv").write_text(content)
    points, commas = (run(path, *ONE).out for path in (data, tmp_path / "commas.csv"))
    assert commas.splitlines()[0].endswith("200 rows, 3 columns, decimal commas")
    assert commas.splitlines()[1:] == points.splitlines()[1:]
    (tmp_path / "spaces.txt").write_text("1,5 2,5\n2,5 3\n4 7,25\n")
    (tmp_path / "latin.csv").write_bytes("\u00e4;b\n1,5;2\n3;4\n4;1\n".encode("latin1"))
    argv = [tmp_path / "latin.csv", "--components", "1", "--model", "EII"]
    assert "\u00e4" in run(*argv, "--encoding", "latin1").out
    argv[0] = tmp_path / "spaces.txt"
    assert "3 rows, 2 columns" in run(*argv, "--decimal", ",").out


def test_quiet_prints_nothing(run, data, tmp_path):
    printed = run(data, *ONE, "--columns", "alpha", "--quiet", "--out", tmp_path / "l")
    assert printed.out == printed.err == ""
    assert (tmp_path / "l").exists()


def test_a_bar_is_drawn_on_a_terminal_alone_and_wiped_away(data, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, drawn in [(Terminal(), True), (io.StringIO(), False)]:
        monkeypatch.setattr("sys.stderr", stream)
        argv = [data, "--components", "1,2", "--model", "EII,VII", "--columns", "alpha"]
        assert main(argv) == 0
        assert ("] 100%" in stream.getvalue()) is drawn
        assert stream.getvalue().endswith("\r" if drawn else "")


# The demonstration -----------------------------------------------------------------


def test_without_a_file_the_demonstration_runs(run):
    printed = run()
    assert printed.err == ""
    X, _ = make_three_components(n_samples=10000, random_state=42)
    best = GaussianMixtureEM(3).fit(X).lower_bound_ * len(X)
    lines = printed.out.splitlines()
    begun = next(i for i, line in enumerate(lines) if line.startswith("iteration "))
    passes = [line.split() for line in lines[begun + 1 : begun + 7]]
    assert [int(number) for number, _ in passes] == [1, 2, 5, 10, 20, 50]
    values = [float(value) for _, value in passes]
    assert np.all(np.diff(values) > 0)
    gain = float(lines[-1].split("is higher by ")[1].removesuffix("."))
    assert gain == pytest.approx(best - values[-1], abs=0.02)
    assert gain > 1000


@pytest.mark.parametrize(
    "option", ["--columns a", "--weights w", "--components 2", "--model full"]
)
def test_options_of_files_need_a_file(fails, option):
    assert "needs a FILE" in fails(*option.split())


# What it writes --------------------------------------------------------------------


def test_labels_and_the_model_are_those_of_the_fit(run, data, rows, tmp_path):
    out, saved = tmp_path / "labels.csv", tmp_path / "model.npz"
    run(data, "--columns", ",".join(NAMES), *ONE, "--out", out, "--save", saved)
    gmm = GaussianMixtureEM(2, covariance_type="VEV").fit(rows)
    frame = pd.read_csv(out, dtype=str)
    assert list(frame) == ["row", *NAMES, "w", "kind", "label", "p0", "p1"]
    assert set(frame.pop("kind")) == {"x"}
    frame = frame.astype(float)
    assert_array_equal(frame["row"], np.arange(200))
    assert_array_equal(frame[NAMES], rows)
    assert_array_equal(frame["label"], gmm.predict(rows))
    assert_array_equal(frame[["p0", "p1"]], gmm.predict_proba(rows))
    loaded = GaussianMixtureEM.load(saved)
    assert list(loaded.feature_names_in_) == NAMES
    with pytest.warns(UserWarning, match="feature names"):
        assert_array_equal(loaded.predict_proba(rows), gmm.predict_proba(rows))


def test_a_model_of_rows_without_names_has_none(run, rows, tmp_path):
    np.save(tmp_path / "data.npy", rows)
    run(tmp_path / "data.npy", *ONE, "--save", tmp_path / "model.npz")
    loaded = GaussianMixtureEM.load(tmp_path / "model.npz")
    assert not hasattr(loaded, "feature_names_in_")


def test_pictures_of_the_fit_and_of_the_search(run, data, tmp_path):
    picture = tmp_path / "fit.png"
    run(data, *ONE, "--plot", picture)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"data.csv", "fit.png"}
    argv = ["--components", "1,2", "--model", "EII,VVV", "--criterion", "icl"]
    run(data, *argv, "--columns", ",".join(NAMES), "--plot", tmp_path / "fit.SVG")
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"data.csv", "fit.png", "fit.SVG", "fit-icl.SVG"}
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (tmp_path / "fit-icl.SVG").read_bytes()


def test_pictures_open_no_figure_and_need_no_display(run, data, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    before = plt.get_fignums()
    run(data, *ONE, "--plot", tmp_path / "fit.png")
    assert plt.get_fignums() == before


# Missing values --------------------------------------------------------------------


@pytest.fixture
def incomplete(rows):
    """Rows that lack a fifth of their values; the last has nothing."""
    X = rows.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    X[-1] = np.nan
    return X


@pytest.fixture(params=["csv", "npy"])
def gaps(request, tmp_path, incomplete):
    """A file of those rows, and a weight of each."""
    weights = np.arange(200) % 3
    if request.param == "npy":
        np.save(tmp_path / "gaps.npy", np.c_[incomplete, weights])
        return [tmp_path / "gaps.npy", "--weights", "2", *ONE]
    lines = [f"{a!r},{b!r},{w:g}" for a, b, w in np.c_[incomplete, weights].tolist()]
    text = "\n".join([",".join([*NAMES, "w"]), *lines]).replace("nan", "")
    (tmp_path / "gaps.csv").write_text(text)
    return [tmp_path / "gaps.csv", "--weights", "w", *ONE]


def test_rows_with_missing_values_are_fitted_and_counted(
    run, gaps, incomplete, tmp_path
):
    gmm = GaussianMixtureEM(2, covariance_type="VEV")
    gmm.fit(incomplete, sample_weight=np.arange(200) % 3)
    out, picture = tmp_path / "labels.csv", tmp_path / "fit.png"
    printed = run(*gaps, "--out", out, "--plot", picture)
    assert printed.err == ""
    absent = np.isnan(incomplete)
    lines = printed.out.partition("\n\nwrote ")[0].splitlines()[1:]
    assert all(len(line) <= WIDTH for line in lines)
    nothing = absent.all(axis=1).sum()
    assert lines[0] == (
        f"missing values: {absent.sum()} of 400, in {absent.any(axis=1).sum()} rows, "
        f"{nothing} of them without any value"
    )
    names = NAMES if "csv" in str(gaps[0]) else ["column 0", "column 1"]
    counts = absent.sum(axis=0)
    assert lines[1] == f"  {names[0]} {counts[0]}, {names[1]} {counts[1]}"
    frame = pd.read_csv(out, dtype=str).astype(float)
    shares = frame[["p0", "p1"]].to_numpy()
    assert_array_equal(frame.iloc[:, 1:3], incomplete)
    assert_array_equal(frame["label"], gmm.predict(incomplete))
    assert_array_equal(shares, gmm.predict_proba(incomplete))
    assert_allclose(shares[-1], gmm.weights_, rtol=1e-14)
    assert picture.stat().st_size > 10_000


def test_nothing_is_said_of_missing_values_if_there_are_none(run, data):
    assert "missing" not in run(data, *ONE).out


def test_missing_values_are_filled_in_and_observed_ones_kept(
    run, gaps, incomplete, tmp_path
):
    model, filled = tmp_path / "model.npz", tmp_path / "filled.csv"
    printed = run(*gaps, "--impute", filled, "--save", model, "--quiet")
    assert printed.out == printed.err == ""
    gmm, table = GaussianMixtureEM.load(model), read_table(str(filled), ["1-2"], "3")
    assert table.names == (NAMES if "csv" in str(gaps[0]) else ["0", "1"])
    assert_array_equal(table.weights, np.arange(200) % 3)
    observed = ~np.isnan(incomplete)
    assert_array_equal(table.X[observed], incomplete[observed])
    assert_allclose(table.X[-1], gmm.weights_ @ gmm.means_, rtol=1e-12)
    row = int(np.argmax(observed[:, 0] & ~observed[:, 1]))
    means, covariances = gmm.means_, gmm.covariances_
    slopes = covariances[:, 0, 1] / covariances[:, 0, 0]
    lines = means[:, 1] + slopes * (incomplete[row, 0] - means[:, 0])
    parameters = gmm.weights_, means, covariances
    shares = GaussianMixtureEM.from_parameters(*parameters).predict_proba(incomplete)
    assert_allclose(table.X[row, 1], shares[row] @ lines, rtol=1e-10)


def test_a_single_row_with_a_missing_value_is_one_row(run, tmp_path):
    X = make_blobs(0, 20, 2, 1)
    X[3, 1] = np.nan
    np.save(tmp_path / "x.npy", X)
    lines = run(tmp_path / "x.npy", "--components", "1", "--model", "diag").out
    assert "missing values: 1 of 40, in 1 row\n" in lines


def test_long_lists_of_columns_with_missing_values_are_shortened(run, tmp_path):
    X = make_blobs(0, 200, 12, 1)
    X[np.arange(100), np.arange(100) % 11] = np.nan
    names = [f"a column with a long name {j}" for j in range(12)]
    np.savetxt(
        tmp_path / "x.csv", X, delimiter=",", header=",".join(names), comments=""
    )
    argv = ["--components", "1", "--model", "diag"]
    lines = run(tmp_path / "x.csv", *argv).out.splitlines()[1:]
    assert lines[0] == "missing values: 100 of 2400, in 100 rows"
    listed = " ".join(line.strip() for line in lines[1 : lines.index("")])
    assert listed.count("..") == 8 and listed.endswith("and in 3 more columns")
    assert all(len(line) <= WIDTH for line in lines)


@pytest.mark.parametrize(
    "content, argv, match",
    [
        ("a,b,c\n1,,2\n3,NA,4\n", [], "no row has a value in column 'b'"),
        (
            "a,b,w\n1,5,0\n3,,1\n4,?,1\n",
            ["--weights", "w"],
            "no row of positive weight has a value in column 'b'",
        ),
        ("a,w\n1,1\n2,\n", ["--weights", "w"], "line 3, column 'w' has no value"),
        ("a,kind\n,x\n2,NA\n", ["--columns", "kind"], "does not contain numbers"),
        ("a,b\n1,\n2,-\n", [], "line 3, column 'b' has '-'"),
    ],
)
def test_errors_of_missing_values(fails, tmp_path, content, argv, match):
    (tmp_path / "data.csv").write_text(content)
    assert match in fails(tmp_path / "data.csv", *argv)


# Errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv, match",
    [
        (["--components", "0"], "'0': use numbers from 1"),
        (
            ["--components", "5-2"],
            "'5-2': use numbers from 1 to 10000, and ranges that ascend",
        ),
        (
            ["--components", "two"],
            "'two' is not a list of numbers: write 3, 2-6 or 2,3,5",
        ),
        (["--components", "1,,2"], "write 3, 2-6 or 2,3,5"),
        (["--components", "-3"], "--components"),
        (["--components", "1-999999999999"], "use numbers from 1 to 10000"),
        (["--components", "500", "--model", "full"], "n_components"),
        (["--model", "round"], "'round' is not a model: choose from all, full, tied"),
        (["--criterion", "best"], "invalid choice: 'best'"),
        (["--columns", "alpha,delta"], "no column 'delta': choose from 'alpha', 'beta"),
        (["--columns", "kind"], "column 'kind' does not contain numbers"),
        (["--weights", "alpha", *ONE], "--weights alpha: Negative values"),
        (["--weights", "v"], "no column 'v'"),
        (["--plot", "fit"], "'fit' does not have the suffix of a picture"),
        (["--plot", "fit.doc"], ".pdf, .pgf, .png, .ps,"),
        (["--out", "no/where.csv"], "no' does not exist: create it"),
        (["--out", "."], "is a folder"),
        (["--out", ""], "'' is not the name of a file"),
        (["--out", "x.npz", "--save", "./x.npz"], "is named twice"),
        (["--colums", "alpha"], "arguments: --colums alpha (did you mean --columns?)"),
        (["--imput=x.csv"], "arguments: --imput=x.csv (did you mean --impute?)"),
        (["--encoding", "klingon"], "'klingon' is not a text encoding"),
        (["--encoding", "zip"], "'zip' is not a text encoding"),
        (["--decimal", ";"], "argument --decimal: invalid choice: ';'"),
        (
            ["--columns", "7"],
            "no column '7': choose from 'alpha', 'beta gamma', 'w', 'kind'",
        ),
        (["--columns", "0,3"], "column 'kind' does not contain numbers"),
        (["--columns", "0,alpha"], "column 'alpha' is named twice"),
        (["--weights", "0-1"], "--weights '0-1' names more than one column"),
        (["--save", "-"], "--save '-' is standard output: name a file"),
        (["--out", "-", "--impute", "-"], "--impute '-' is named twice"),
        (["--quiet", "--verbose"], "not allowed with"),
        (["--out"], "expected one argument"),
    ],
)
def test_errors_are_one_line_and_exit_with_2(fails, data, argv, match, monkeypatch):
    monkeypatch.chdir(os.path.dirname(data))
    assert match in fails(data, *argv)
    assert os.listdir() == ["data.csv"]


def test_the_file_of_rows_is_never_written_over(fails, data):
    for option in ["--out", "--impute", "--save"]:
        assert "named twice" in fails(data, option, data)
    assert Path(data).read_text().startswith("alpha")


@pytest.mark.parametrize(
    "content, match",
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "has only one row"),
        ("a,b\n1,2\n\n3\n", "line 4 has 1 field, but other lines have 2"),
        ("a,b\n1,2\n3,x\n", "line 3, column 'b' has 'x'"),
    ],
)
def test_errors_of_files(fails, tmp_path, content, match):
    (tmp_path / "data.csv").write_text(content)
    assert match in fails(tmp_path / "data.csv")


def test_a_file_that_is_not_there_and_a_folder(fails, tmp_path):
    assert "none.csv': No such file" in fails(tmp_path / "none.csv")
    assert str(tmp_path) in fails(tmp_path)


def test_outputs_that_cannot_be_written_are_found_before_fitting(
    fails, data, tmp_path, monkeypatch
):
    def fit(*args, **kwargs):
        raise AssertionError("fitted first")

    monkeypatch.setattr(GaussianMixtureEM, "fit", fit)
    for option in ["--out", "--impute", "--save", "--plot"]:
        line = fails(data, *ONE, option, tmp_path / "nowhere" / "x.png")
        assert option in line and "does not exist" in line


@pytest.mark.parametrize(
    "error, status, line",
    [
        (KeyboardInterrupt(), 130, "emgmm: interrupted: nothing more is written."),
        (MemoryError(), 2, "emgmm: error: there is not enough memory for this"),
        (OSError(28, "No space left"), 2, "emgmm: error: No space left"),
        (OSError(5, "Broken", "a\x1b"), 2, r"emgmm: error: 'a\x1b': Broken"),
        (ValueError("of two\nlines"), 2, "emgmm: error: of two lines"),
    ],
)
def test_what_stops_a_fit_is_one_line(data, capsys, monkeypatch, error, status, line):
    def fit(*args, **kwargs):
        raise error

    monkeypatch.setattr(GaussianMixtureEM, "fit", fit)
    assert main([data, "--columns", "alpha", *ONE]) == status
    printed = capsys.readouterr()
    assert printed.err.startswith(line) and printed.err.count("\n") == 1


def test_a_mistake_of_the_package_is_not_hidden(data, monkeypatch):
    def fit(*args, **kwargs):
        raise TypeError("a mistake")

    monkeypatch.setattr(GaussianMixtureEM, "fit", fit)
    with pytest.raises(TypeError, match="a mistake"):
        main([data, *ONE])


def test_arguments_are_read():
    args = parsed(["x.csv", "--columns", '"a, b",c', "--components", "2,4-6,5"])
    assert args.columns == ["a, b", "c"]
    assert args.components == [2, 4, 5, 6]
    assert parsed(["x.csv", "--model", "full,VVV,EEE"]).model == ["VVV", "EEE"]
    assert len(parsed(["x.csv", "--model", "all"]).model) == 14
    assert args.criterion == "bic" and args.model is None


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version(capsys, option):
    with pytest.raises(SystemExit) as caught:
        main([option])
    assert caught.value.code == 0
    assert "emgmm" in capsys.readouterr().out


def test_completion_needs_a_package_that_is_named(fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    line = fails("--print-completion", "bash")
    assert "--print-completion needs the package shtab" in line
    assert "pip install 'emgmm[completion]'" in line


def test_a_script_of_completion_is_printed(capsys, monkeypatch):
    """By shtab, which completes files where rows come from and results go to."""
    seen = {}

    def complete(parser, shell):
        seen[shell] = [
            action.dest for action in parser._actions if hasattr(action, "complete")
        ]
        return "the script"

    shtab = SimpleNamespace(FILE=object(), complete=complete)
    monkeypatch.setitem(sys.modules, "shtab", shtab)
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", "zsh"])
    assert caught.value.code == 0 and capsys.readouterr().out == "the script\n"
    assert seen == {"zsh": ["file", "out", "impute", "plot", "save"]}


# All or nothing --------------------------------------------------------------------


def test_what_was_written_is_said(run, data, tmp_path):
    names = ["labels.csv", "filled.csv", "fit.svg", "model.npz"]
    out, filled, picture, model = (str(tmp_path / name) for name in names)
    written = ["--out", out, "--impute", filled, "--plot", picture, "--save", model]
    argv = [data, "--columns", "alpha", "--components", "1,2", "--model", "VII"]
    lines = run(*argv, *written).out.splitlines()
    assert lines[-6:] == [
        "",
        f"wrote {out}: 200 rows with labels and probabilities",
        f"wrote {filled}: 200 rows, 0 values imputed",
        f"wrote {picture}: a picture of the fit",
        f"wrote {tmp_path / 'fit-bic.svg'}: a picture of the search",
        f"wrote {model}: the model, for GaussianMixtureEM.load",
    ]
    assert "wrote" not in run(*argv).out
    assert run(*argv, *written, "--quiet").out == ""


@pytest.mark.parametrize(
    "broken", ["outputs.SimpleNamespace", "analysis.write_rows", "analysis._draw"]
)
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError()]
)
def test_no_file_is_left_behind_if_one_cannot_be_written(
    data, tmp_path, monkeypatch, capsys, broken, error
):
    def fail(*args, **kwargs):
        raise error

    (tmp_path / "l.csv").write_text("as it was")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(f"emgmm._cli.{broken}", fail)
    names = {"out": "l.csv", "impute": "i.csv", "plot": "fit.png", "save": "m.npz"}
    files = [x for key, name in names.items() for x in (f"--{key}", tmp_path / name)]
    assert main([data, "--columns", "0", *ONE, *map(str, files)]) == 2
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "l.csv").read_text() == "as it was"
    if isinstance(error, OSError):
        err = capsys.readouterr().err
        assert any(f"{name}': No space left" in err for name in names.values())


def test_labels_are_not_left_behind_if_the_model_cannot_be_saved(
    fails, data, tmp_path, monkeypatch
):
    def save(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GaussianMixtureEM, "save", save)
    argv = ["--out", tmp_path / "l.csv", "--save", tmp_path / "m.npz"]
    line = fails(data, "--columns", "0", *ONE, *argv)
    assert line.endswith("m.npz': No space left on device")
    assert [each.name for each in tmp_path.iterdir()] == ["data.csv"]


def test_rows_go_to_standard_output_and_the_summary_elsewhere(data, run, tmp_path):
    said = run(data, *ONE, "--out", tmp_path / "l.csv", "--impute", tmp_path / "i.csv")
    for option, name in (("--out", "l.csv"), ("--impute", "i.csv")):
        printed = run(data, *ONE, option, "-")
        assert printed.out == (tmp_path / name).read_text()
        assert said.out.partition("\n\nwrote")[0] in printed.err
        assert "wrote -: 200 rows" in printed.err


def test_devices_are_written_where_folders_cannot_be(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: not os.path.isdir(path))
    assert parsed(["x.csv", "--out", os.devnull]).out == os.devnull
    with pytest.raises(ValueError, match="--out .* no permission to write there"):
        parsed(["x.csv", "--out", str(tmp_path / "labels.csv")])


# As a program ----------------------------------------------------------------------


def test_it_runs_as_a_module(data):
    right, wrong = program(data, *ONE), program(data, "--model", "round")
    out, err = right.communicate(timeout=60)
    assert right.returncode == 0
    assert "VEV with 2 components" in out
    out, err = wrong.communicate(timeout=60)
    assert wrong.returncode == 2 and out == ""
    assert err.count("\n") == 1 and err.startswith("emgmm: error: ")


@pytest.mark.parametrize("argv", [["--modle", "VVV"], ["--help"], ["--version"]])
def test_arguments_alone_do_not_import_scikit_learn(argv):
    code = (
        "import sys\n"
        "from emgmm._cli.command import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit(sum(m in sys.modules for m in ('sklearn', 'pandas', 'matplotlib')))"
    )
    argv = [sys.executable, "-c", code, *argv]
    result = subprocess.run(argv, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "emgmm" in result.stdout + result.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("argv", [[], ["--out", "-"], ["--help"]])
def test_a_reader_that_goes_away_is_no_error(data, argv):
    process = program(data, *ONE, *argv)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert "Traceback" not in err and "BrokenPipe" not in err


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_nobody_reads_an_error(data):
    reading, writing = os.pipe()
    os.close(reading)
    process = program(data, "--modle", stdout=writing, stderr=writing)
    os.close(writing)
    assert process.wait(timeout=60) == 2


@pytest.mark.skipif(os.name != "posix", reason="descriptors of POSIX")
@pytest.mark.parametrize(
    "closed, argv, status, said",
    [
        (">&-", ONE, 0, ""),
        (">&-", ["--version"], 0, ""),
        (">&-", [*ONE, "--out", "-"], 2, "standard output is closed: name a file"),
        ("2>&-", [*ONE, "--columns", "alpha"], 0, "VEV with 2 components"),
        (">&- 2>&-", ["--modle"], 2, ""),
        ("<&-", ["-"], 2, "standard input is closed"),
    ],
)
def test_streams_may_be_closed(data, closed, argv, status, said):
    file = [] if argv == ["-"] else [data]
    process = program(*file, *argv, closed=closed)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert said in out + err and "Traceback" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full of Linux")
@pytest.mark.parametrize("argv", [ONE, ["--help"], [*ONE, "--out", "-"]])
def test_standard_output_that_is_full_is_named(data, argv):
    with open("/dev/full", "w") as full:
        process = program(data, "--columns", "0", *argv, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.splitlines()[-1] == (
        "emgmm: error: 'standard output': No space left on device"
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full of Linux")
def test_a_file_on_a_full_disk_is_named(fails, data):
    line = fails(data, "--columns", "0", *ONE, "--out", "/dev/full")
    assert line == "emgmm: error: '/dev/full': No space left on device"


@pytest.mark.skipif(os.name != "posix", reason="names of POSIX")
def test_names_of_files_do_not_steer_the_terminal(run, fails, data, tmp_path):
    path = tmp_path / "a\x1b[31m\u202e.csv"
    path.write_bytes(Path(data).read_bytes().replace(b"alpha", b"al\x1b]0;pha"))
    printed = run(path, *ONE, "--weights", "w", "--out", tmp_path / "o\x1b[0m")
    lines = printed.out.splitlines()
    assert r"a\x1b[31m\u202e.csv: 200 rows, 2 columns" in lines[0]
    assert r"o\x1b[0m: 200 rows" in lines[-1]
    assert r"al\x1b]0;pha" in printed.out
    for argv in ([path, "--mo\x1b"], [f"{path}\x1b"], [path, "--columns", "\x1b"]):
        assert r"\x1b" in (line := fails(*argv)) and line.isprintable()


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("file, out", [("-", "-"), ("/dev/stdin", "/dev/stdout")])
def test_rows_may_come_from_a_pipe_and_labels_go_into_one(
    data, run, tmp_path, file, out
):
    run(data, *ONE, "--out", tmp_path / "labels.csv")
    argv = [file, *ONE, "--quiet", "--out", out]
    process = program(*argv, stdin=subprocess.PIPE)
    out, _ = process.communicate(Path(data).read_text(), timeout=60)
    assert process.returncode == 0
    assert out == (tmp_path / "labels.csv").read_text()


def test_an_array_may_come_from_standard_input(rows, run, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", rows)
    expected = run(tmp_path / "x.npy", *ONE).out
    with open(tmp_path / "x.npy", "rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        out = run("-", *ONE).out
    assert out.splitlines()[0] == "standard input: 200 rows, 2 columns"
    assert out.splitlines()[1:] == expected.splitlines()[1:]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_while_modules_are_imported_leaves_no_traceback(data, tmp_path):
    """Interrupted from within an import of scikit-learn, as a C extension would be."""
    (tmp_path / "sklearn.py").write_text(
        "import os, signal\n"
        "try: os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException: raise ImportError('numpy.core failed to import')\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import emgmm._cli.command"
    )
    argv = [sys.executable, "-c", f"{code} as c; c.run()", data]
    result = subprocess.run(argv, capture_output=True, text=True)
    assert result.returncode == 130
    assert result.stderr == "emgmm: interrupted: nothing more is written.\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_an_interrupt_leaves_no_traceback(tmp_path):
    os.mkfifo(tmp_path / "data.csv")
    process = program(tmp_path / "data.csv", "--out", tmp_path / "labels.csv")
    with open(tmp_path / "data.csv", "w"):  # once the command reads
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "emgmm: interrupted: nothing more is written.\n"
    assert [each.name for each in tmp_path.iterdir()] == ["data.csv"]
