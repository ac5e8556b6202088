"""Benchmarks over time: intervals of ratios, and two commits in turn."""

from __future__ import annotations

import re
import subprocess
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmarks import compare, paired
from benchmarks.tasks import TASKS
from emgmm import GaussianMixtureEM

# Ratios -----------------------------------------------------------------------------

BEFORE = [10.1, 9.7, 10.4, 10.0, 9.9, 10.6, 10.2, 9.8]
AFTER = [10.9, 10.1, 10.3, 10.8, 10.75, 11.9, 10.4, 10.15]


@pytest.mark.parametrize(
    ("confidence", "low", "high"),
    [
        (0.95, 1.0154925987327, 1.10071050199001),
        (0.99, 0.990384615384615, 1.12264150943396),
    ],
)
def test_ratios_and_intervals_are_those_of_r(confidence, low, high):
    """exp of wilcox.test(log(AFTER) - log(BEFORE), conf.int = TRUE), R 4.2.2."""
    ratio = paired.ratio_of(BEFORE, AFTER, confidence)
    assert_allclose(ratio[:3], [1.05743140177527, low, high], rtol=1e-13)
    assert confidence <= ratio.confidence < 1


@pytest.mark.parametrize("n_pairs", [1, 2, 5, 8])
def test_probabilities_are_those_of_all_signs(n_pairs):
    counts = np.zeros(n_pairs * (n_pairs + 1) // 2 + 1)
    for signs in product([0, 1], repeat=n_pairs):
        counts[np.arange(1, n_pairs + 1) @ signs] += 1
    found = paired.signed_rank_probabilities(n_pairs)
    assert_allclose(found, counts / 2**n_pairs, rtol=1e-14)


def test_few_pairs_have_an_interval_of_all_that_covers_less():
    ratio = paired.ratio_of([1.0, 1.0, 1.0], [1.1, 1.3, 1.2], 0.95)
    assert_allclose(ratio[1:], [1.1, 1.3, 0.75], rtol=1e-14)


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    before = np.exp(rng.normal(size=(2000, 10)))
    after = 1.5 * before * np.exp(0.1 * rng.standard_t(3, size=before.shape))
    ratios = [paired.ratio_of(b, a, 0.9) for b, a in zip(before, after, strict=True)]
    covered = np.mean([ratio.low <= 1.5 <= ratio.high for ratio in ratios])
    assert abs(covered - ratios[0].confidence) < 3 * np.sqrt(0.1 * 0.9 / 2000)


# Two commits ------------------------------------------------------------------------


class Faked:
    """A program whose times and results are in a file of its checkout."""

    asked: list = []

    def __init__(self, folder, threads=None):
        text = (folder / "seconds.txt").read_text(encoding="utf-8")
        self.seconds, self.folder, self.threads = float(text), folder, threads

    def do(self, task):
        assert np.load(task["rows"]).ndim == 2
        Faked.asked.append((self.folder.name, self.threads, task["task"]))
        noise = 1 + 0.001 * (len(Faked.asked) % 7)
        answer = {"found": -self.seconds, "bic": 1.0, "log_likelihoods": [2.0]}
        return {"cpu": self.seconds * noise, "wall": 2 * self.seconds * noise, **answer}

    def close(self):
        Faked.asked.append(("closed", self.threads, ""))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Three commits, of which the second is slower by 30% and the third faster."""

    def git(*arguments):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", "-C", tmp_path, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True)

    git("init", "--quiet")
    for number, seconds in enumerate([1.0, 1.3, 0.8], start=1):
        (tmp_path / "seconds.txt").write_text(str(seconds), encoding="utf-8")
        git("add", "seconds.txt")
        git(
            "-c", "commit.gpgsign=false", "commit", "--quiet", "-m", f"version {number}"
        )
        git("-c", "tag.gpgsign=false", "tag", f"v0.{number}.0")
    (tmp_path / "seconds.txt").write_text("9.0", encoding="utf-8")  # not committed
    monkeypatch.setattr(compare, "ROOT", tmp_path)
    monkeypatch.setattr(compare, "Checkout", Faked)
    monkeypatch.setattr(Faked, "asked", [])
    monkeypatch.setattr(compare, "ROWS", dict.fromkeys(compare.ROWS, compare.iris))
    return git


def test_a_commit_that_is_slower_is_found(repository, capsys):
    assert compare.main(["v0.1.0", "v0.2.0"]) == 1
    out = capsys.readouterr().out
    assert out.count("| slower |") == len(compare.CASES)
    assert out.count("1.300 (") == len(compare.CASES) and "At least 9" not in out
    assert "Slower beyond noise: EM, full, 20,000 x 10; " in out
    assert f"medians of {compare.ROUNDS} rounds" in out
    (probability,) = [word for word in out.split() if word.endswith("%.")]
    assert float(probability[:-2]) >= 95


def test_nothing_is_slower_if_it_is_faster_or_the_same(repository, capsys):
    assert compare.main(["v0.2.0", "--quick"]) == 0  # HEAD, and not the working tree
    out = capsys.readouterr().out
    quick = [case for case in compare.CASES if case.quick]
    assert out.count("| faster |") == len(quick) and "0.615 (" in out
    assert compare.main(["--quick"]) == 0  # the last release is HEAD here
    out = capsys.readouterr().out
    assert "faster |" not in out and "Slower beyond noise: none." in out


def test_too_few_rounds_say_nothing(repository, capsys):
    assert compare.main(["v0.1.0", "v0.2.0", "--quick", "--rounds", "3"]) == 0
    out = capsys.readouterr().out
    quick = [case for case in compare.CASES if case.quick]
    assert "slower |" not in out and "Slower beyond noise: none." in out
    needed = int(re.search(r"At least (\d) rounds reach 95%", out)[1])
    each = 1 - 0.05 / len(quick)
    reached = [paired.cut_of(rounds, each)[1] for rounds in (needed - 1, needed)]
    assert reached[0] < each <= reached[1]


def test_checkouts_take_turns_in_new_processes(repository):
    compare.main(["v0.1.0", "v0.2.0", "--rounds", "2"])
    single = [folder for folder, threads, _ in Faked.asked if threads == 1]
    turns = [
        folder for k, folder in enumerate(single) if folder != single[k - 1] or not k
    ]
    cases = sum(case.threads == 1 for case in compare.CASES)
    before, after = single[0], turns[1]
    both = [*[before, after] * cases, "closed"], [*[after, before] * cases, "closed"]
    assert turns == both[0] + both[1]


def test_worktrees_are_removed_even_if_a_program_fails(repository, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("the program ended")

    monkeypatch.setattr(Faked, "do", fail)
    with pytest.raises(RuntimeError, match="ended"):
        compare.main(["v0.1.0"])
    assert repository("worktree", "list").stdout.count("\n") == 1


def test_commits_that_are_not_there_are_named(repository):
    with pytest.raises(SystemExit, match="nowhere"):
        compare.main(["nowhere"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", compare.CASES, ids=lambda case: case.name)
def test_tasks_of_the_cases_run(case):
    """On few rows, with a result that can be compared."""
    X = compare.blobs(400, 4, 10) if case.rows != "iris" else compare.iris()
    assert np.isfinite(compare.found_by(TASKS[case.task](X, **case.settings)()))


@pytest.mark.filterwarnings("ignore:Best performing")
def test_iterations_are_as_many_as_are_asked_for_from_the_start_that_is_passed():
    X = compare.blobs(400, 4, 3)
    found = TASKS["iterations"](X, 3, "tied", 7)()
    assert found["iterations"] == 7
    start = {"weights_init": np.full(3, 1 / 3), "means_init": X[:3]}
    gmm = GaussianMixtureEM(
        3, covariance_type="tied", acceleration=None, tol=0, **start
    )
    gmm.set_params(precisions_init=np.eye(4), max_iter=7)
    assert_allclose(gmm.fit(X).score(X), found["found"], rtol=1e-13)
