"""The README's commands are those that are run, and its figures are the package's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emgmm._model.families import MODELS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)\n```", README, flags=re.DOTALL)
ROWS = re.findall(r"^\| ([EVI]{3})\b.*\| (\(.*?\)) \| (\d+) \|$", README, flags=re.M)
SHAPES = {(3,): "(K,)", (3, 4): "(K, d)", (4, 4): "(d, d)", (3, 4, 4): "(K, d, d)"}


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
