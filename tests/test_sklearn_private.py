"""Private names of scikit-learn: imported in one place, and replaced where missing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pytest
from conftest import make_blobs
from scipy.sparse import csr_array
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator
from sklearn.utils import _param_validation as theirs

import emgmm
from emgmm import GaussianMixtureEM
from emgmm._utils import array_standard, sklearn_private
from emgmm._utils import parameter_checks as ours

ROOT = Path(__file__).parent.parent
PACKAGE = Path(emgmm.__file__).parent
GATE = PACKAGE / "_utils" / "sklearn_private.py"
OTHERS = sorted(set(PACKAGE.rglob("*.py")) - {GATE})
TAKEN = {
    "sklearn.base": ["_fit_context"],
    "sklearn.utils._param_validation": [
        *("HasMethods", "Interval", "InvalidParameterError", "StrOptions"),
        "validate_parameter_constraints",
    ],
    "sklearn.utils._array_api": [
        *("_convert_to_numpy", "_is_numpy_namespace", "get_namespace_and_device"),
        *("check_same_namespace", "move_to"),  # of newer versions
    ],
}
"""Private modules, or modules of private names, and what is taken from them."""


# One place -------------------------------------------------------------------------


def sklearn_names(path):
    """Dotted names of scikit-learn that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if "sklearn" in each.name)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module.split(".")[0] == "sklearn":
                yield from (f"{node.module}.{each.name}" for each in node.names)


def private(name):
    return any(part.startswith("_") for part in name.split("."))


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.name)
def test_no_other_module_imports_a_private_name(path):
    assert not list(filter(private, sklearn_names(path)))
    source = path.read_text(encoding="utf-8")
    assert "_skl_callbacks" not in source and "_init_callback_context" not in source


def test_the_docstring_of_the_module_names_all_that_it_takes():
    taken = [name.split(".")[-1] for name in filter(private, sklearn_names(GATE))]
    assert set(taken) == {name for names in TAKEN.values() for name in names}
    assert all(name in sklearn_private.__doc__ for name in taken)


# What replaces them ----------------------------------------------------------------

CONSTRAINTS = {  # made of the names of either module
    "numbers of components": lambda m: [m.Interval(Integral, 1, None, closed="left")],
    "starts": lambda m: [m.Interval(Integral, 1, 9, closed="both")],
    "share": lambda m: [m.Interval(Real, 0.0, 0.5, closed="right"), None],
    "volume": lambda m: [m.Interval(Real, 0, None, closed="neither")],
    "name": lambda m: [m.StrOptions({"bic"}), callable],
    "method": lambda m: [m.HasMethods("fit"), None],
    "rows": lambda m: ["array-like", dict],
    "mapping": lambda m: [list, Mapping, Integral],
    **{name: lambda m, name=name: [name] for name in ("boolean", "random_state")},
    "verbose": lambda m: ["verbose"],
}
VALUES = [
    *(None, True, np.True_, 0, 1, 3, 9, 10, -1, 2**32, np.int64(2), 0.0, 0.5, 0.6, 1.0),
    *(np.float32(0.25), np.nan, np.inf, "bic", "aic", "", b"bic", len, Integral),
    *([1], (1,), {1}, {"a": 1}, np.ones(2), np.array(1.0), csr_array([[1.0]])),
    *(np.random.RandomState(0), np.random.default_rng(0), GaussianMixtureEM()),
]


def error_of(module, constraint, value):
    try:
        module.validate_parameter_constraints({"p": constraint}, {"p": value}, "Name")
    except module.InvalidParameterError as error:
        assert isinstance(error, ValueError) and isinstance(error, TypeError)
        return str(error)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_same_values_are_refused_in_the_same_words(name):
    make, refused = CONSTRAINTS[name], 0
    for value in VALUES:
        error = error_of(ours, make(ours), value)
        assert error == error_of(theirs, make(theirs), value)
        refused += error is not None
    assert 0 < refused < len(VALUES)


def test_parameters_without_constraints_are_not_validated():
    passed = {"p": object()}
    with pytest.raises(ours.InvalidParameterError, match="'p'"):
        ours.validate_parameter_constraints({"p": [str]}, passed, "Name")
    assert ours.validate_parameter_constraints({}, passed, "Name") is None


class Fitted(BaseEstimator):
    """Counts validations."""

    validations = 0

    def _validate_params(self):
        self.validations += 1

    def fit(self):
        self.skipped_ = get_config()["skip_parameter_validation"]
        return self

    def partial_fit(self):
        return Fitted.fit(self)


@pytest.mark.parametrize("skip_nested", [True, False])
def test_fits_are_validated_as_scikit_learn_does_it(skip_nested):
    from sklearn.base import _fit_context

    theirs = _fit_context(prefer_skip_nested_validation=skip_nested)
    for wrap in (theirs, lambda fit: ours.validate_before(fit, skip_nested)):
        estimator = Fitted()
        partial_fit = wrap(Fitted.partial_fit)
        assert partial_fit(estimator) is estimator and estimator.validations == 1
        assert estimator.skipped_ is skip_nested
        partial_fit(estimator)
        assert estimator.validations == 1  # it goes on with what was validated
        wrap(Fitted.fit)(estimator)
        assert estimator.validations == 2
        with config_context(skip_parameter_validation=True):
            wrap(Fitted.fit)(estimator)
        assert estimator.validations == 2 and estimator.skipped_
        assert not get_config()["skip_parameter_validation"]


def test_arrays_are_recognised_by_the_standard_as_by_scikit_learn(monkeypatch):
    strict = pytest.importorskip("array_api_strict")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    X = strict.asarray([[1.0, 2.0]])
    own = array_standard.get_namespace_and_device(X)
    try:
        with config_context(array_api_dispatch=True):
            theirs = sklearn_private.get_namespace_and_device(X)
    except ImportError:
        pytest.skip("scikit-learn has no arrays of other libraries here")
    assert own[1:] == theirs[1:] and own[0].__name__ == theirs[0].__name__
    found = array_standard.move_to(X, xp=np, device="cpu")
    np.testing.assert_array_equal(found, [[1.0, 2.0]], strict=True)
    assert array_standard.is_numpy_namespace(np)
    assert not array_standard.is_numpy_namespace(strict)
    with pytest.raises(TypeError, match="list has no namespace"):
        array_standard.get_namespace_and_device([1.0])


PLUGIN = f"""
from contextlib import suppress
from importlib import import_module
import sklearn.base, sklearn.utils
with suppress(ImportError):
    import sklearn.callback

kept = [
    (vars(import_module(module)), name, vars(import_module(module)).pop(name))
    for module, names in {TAKEN!r}.items() for name in names
    if hasattr(import_module(module), name)
]
import emgmm._utils.sklearn_private as gate
for module, name, value in kept:  # scikit-learn itself needs them
    module[name] = value
assert gate.Interval.__module__ == "emgmm._utils.parameter_checks"
assert gate.move_to.__module__ == "emgmm._utils.array_standard"
assert gate.fit_context.__module__ == "emgmm._utils.sklearn_private"
"""
USING_THEM = ("parameters", "callbacks", "device")
OF_THEM = "parameters or callbacks or scikit_learns_checks or other_arrays"


def test_the_package_works_where_the_names_have_gone(tmp_path):
    """Tests of parameters, callbacks and arrays of other libraries pass."""
    (tmp_path / "without_names.py").write_text(PLUGIN, encoding="utf-8")
    tests = [str(ROOT / "tests" / f"test_{name}.py") for name in USING_THEM]
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-p", "without_names"]
    options += ["-k", OF_THEM]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        **{"capture_output": True, "text": True, "cwd": ROOT},
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_without_callbacks_of_scikit_learn_fits_report_nothing(monkeypatch):
    assert not sklearn_private.has_callbacks(GaussianMixtureEM())
    gmm = GaussianMixtureEM(2).fit(make_blobs(0, 60, 2, 2))
    gmm._skl_callbacks = []  # without the way to a context
    monkeypatch.setattr(
        sklearn_private,
        "hasattr",
        lambda gmm, name: name == "_skl_callbacks",
        raising=False,
    )
    assert not sklearn_private.has_callbacks(gmm)
    sklearn_private.forget_callbacks(gmm)
    assert not hasattr(gmm, "_skl_callbacks")
