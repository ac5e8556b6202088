"""The command `emgmm`: a file of rows in, a mixture, labels and pictures out."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ._arguments import MAX_COMPONENTS, parsed, second_picture
from ._estimator import GaussianMixtureEM
from ._files import replacing
from ._report import Fitted, missing, summary
from ._rows import check_sample_weight
from ._selection import GaussianMixtureIC
from ._tables import Table, read_table, write_labels, write_rows
from .datasets import make_three_components

FAILED, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
BAR = 30
DEMONSTRATION = {
    "weights_init": [0.1, 0.1, 0.8],
    "means_init": [[-2, -2], [10, 0], [0, 10]],
    "precisions_init": [np.eye(2)] * 3,
}
"""A start that is chosen to be bad."""
SHOWN = (1, 2, 5, 10, 20, 50)  # passes from it


def main(argv: list[str] | None = None) -> int:
    """Run the command, and return what it exits with."""
    try:
        _run(parsed(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        return PIPE_CLOSED
    except (ValueError, OSError, MemoryError) as error:
        _tell("error", _in_words(error))
        return FAILED
    except KeyboardInterrupt:
        _tell("interrupted", "nothing more is written.")
        return INTERRUPTED
    return 0


def run() -> NoReturn:
    """Run the command as a program: characters that cannot be printed are no error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    status = main()
    if status == PIPE_CLOSED:
        # What is left to be written must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _run(args: argparse.Namespace) -> None:
    """Do what the arguments ask for; nothing is fitted that could not be written."""
    if args.file is None:
        _demonstrate(args)
        return
    table = read_table(args.file, args.columns, args.weights)
    if table.left_out:
        names = ", ".join(map(repr, table.left_out))
        _tell("note", f"left out, as no column of numbers: {names}")
    if len(table.X) < 2:
        raise ValueError(f"{args.file!r} has one row: a mixture needs two or more.")
    try:
        weights = check_sample_weight(table.weights, len(table.X))
    except ValueError as error:
        raise ValueError(f"--weights {args.weights}: {error}") from error
    _check_something_observed(args, table, weights)
    with _warnings_told():
        fitted = _fit(args, table)
        _write(args, fitted, table.named)
    if not args.quiet:
        read = "\n".join([_of_rows(args, table), *missing(fitted)])
        print(read, summary(fitted), sep="\n\n")


def _check_something_observed(
    args: argparse.Namespace, table: Table, weights: NDArray
) -> None:
    """Every column needs a value in some row that counts."""
    empty = np.isnan(table.X).all(axis=0, where=(weights > 0)[:, None])
    if empty.any():
        names = [name for name, bad in zip(table.names, empty, strict=True) if bad]
        rows = "rows" if args.weights is None else "rows of positive weight"
        raise ValueError(
            f"{args.file!r} has no value in any of its {rows} of column "
            f"{', '.join(map(repr, names))}: choose others with --columns."
        )


def _fit(args: argparse.Namespace, table: Table) -> Fitted:
    """One fit, or the best of a search."""
    numbers = args.components or range(1, min(MAX_COMPONENTS, len(table.X)) + 1)
    search = None
    if args.model and len(numbers) == len(args.model) == 1:
        gmm = GaussianMixtureEM(numbers[0], covariance_type=args.model[0])
        gmm.fit(table.X, sample_weight=table.weights)
    else:
        search = GaussianMixtureIC(
            list(numbers),
            covariance_type=args.model or "all",
            criterion=args.criterion,
        )
        with _progress(args.quiet) as told:
            search._fit(table.X, table.weights, told)
        gmm = search.best_estimator_
    names = table.names if table.named else [f"column {n}" for n in table.names]
    return _fitted(gmm, table.X, table.weights, names, search)


def _fitted(
    gmm: GaussianMixtureEM,
    X: NDArray,
    weights: NDArray | None,
    names: list[str],
    search: GaussianMixtureIC | None = None,
) -> Fitted:
    labels, probabilities = gmm.predict(X), gmm.predict_proba(X)
    return Fitted(gmm, X, weights, names, labels, probabilities, search)


def _demonstrate(args: argparse.Namespace) -> None:
    """EM from a bad start, and from the default one."""
    X, _ = make_three_components(n_samples=10000, random_state=42)
    plain = {"tol": 0, "reg_covar": 0, "max_iter": SHOWN[-1], "acceleration": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        bad = GaussianMixtureEM(3, **DEMONSTRATION, **plain).fit(X)  # type: ignore[arg-type]
    with _warnings_told():
        fitted = _fitted(GaussianMixtureEM(3).fit(X), X, None, ["x0", "x1"])
        _write(args, fitted, named=False)
    if args.quiet:
        return
    print(f"{len(X)} rows of three components. EM from a bad start:\n")
    print("pass  log-likelihood")
    for number in SHOWN:
        print(f"{number:4}  {bad.lower_bounds_[number - 1] * len(X):14.2f}")
    print("\nEM from the default start:", summary(fitted), sep="\n\n")
    worth = (fitted.estimator.lower_bound_ - bad.lower_bound_) * len(X)
    print(f"\nThe default start is worth {worth:.2f} of log-likelihood.")


def _write(args: argparse.Namespace, fitted: Fitted, named: bool) -> None:
    """Labels, model and pictures, as far as they are asked for."""
    if args.out:
        write_labels(args.out, fitted.labels, fitted.probabilities)
    if args.impute:
        filled = fitted.estimator.impute(fitted.X)
        write_rows(args.impute, fitted.names if named else None, filled)
    gmm = copy(fitted.estimator)
    if named:
        gmm.feature_names_in_ = np.array(fitted.names, dtype=object)
    if args.save:
        gmm.save(args.save)
    if args.plot:
        _draw(args, fitted, gmm)


def _draw(args: argparse.Namespace, fitted: Fitted, gmm: GaussianMixtureEM) -> None:
    """The fit, and the search if there was one."""
    from ._displays import MixtureDisplay
    from ._fit_displays import CriterionDisplay

    with warnings.catch_warnings():
        # The names are those of the columns, which an array cannot tell.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        with _figure(args.plot) as ax:
            MixtureDisplay.from_estimator(
                gmm, fitted.X, sample_weight=fitted.sample_weight, ax=ax
            )
    if fitted.search is not None:
        with _figure(second_picture(args)) as ax:
            CriterionDisplay.from_estimator(fitted.search, ax=ax)


@contextmanager
def _figure(path: str) -> Iterator[Any]:
    """Axes of a figure that needs no display, and is written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    yield figure.subplots()
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=150)


def _of_rows(args: argparse.Namespace, table: Table) -> str:
    """What was read."""
    rows, columns = table.X.shape
    told = f"{args.file}: {rows} rows, {columns} column{'s' if columns > 1 else ''}"
    if table.weights is None:
        return told
    return f"{told}, weights of sum {table.weights.sum():.10g} ({args.weights})"


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[float], None]]:
    """What tells how far a search is: a bar, where somebody looks at it."""
    stream: IO[str] = sys.stderr
    if quiet or not stream.isatty():
        yield lambda share: None
        return

    def told(share: float) -> None:
        bar = "#" * int(BAR * share)
        print(f"\r[{bar:.<{BAR}}] {share:4.0%}", end="", file=stream, flush=True)

    try:
        told(0.0)
        yield told
    finally:
        print("\r" + " " * (BAR + 7), end="\r", file=stream, flush=True)


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Warnings that are meant for users, as lines, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    told = [each.message for each in caught if issubclass(each.category, UserWarning)]
    for message in dict.fromkeys(map(str, told)):
        _tell("warning", message)


def _tell(kind: str, message: str) -> None:
    """One line on standard error."""
    print(f"emgmm: {kind}: {' '.join(message.split())}", file=sys.stderr)


def _in_words(error: BaseException) -> str:
    """What went wrong, without numbers of the system."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for this many rows or components."
    if isinstance(error, OSError) and error.strerror:
        named = error.filename is not None
        return f"{error.filename!r}: {error.strerror}" if named else error.strerror
    return str(error)
