"""What the command does: it reads, fits and describes rows, and writes files."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from pathlib import Path
from shutil import get_terminal_size
from typing import IO

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from emgmm._data.validation import check_sample_weight
from emgmm._gaussian_mixture import GaussianMixtureEM
from emgmm._model_selection import GaussianMixtureIC
from emgmm.datasets import make_three_components

from .arguments import MAX_COMPONENTS, second_picture
from .messages import errors_named, escaped, listed, say
from .outputs import STDOUT, all_or_nothing, write_labels, write_rows
from .report import Fitted, missing, summary
from .tables import STDIN, Table, read_table, rereadable, table_of

BAR = 30  # characters of the progress bar
NARROWEST = 40  # terminal that lines are broken for
DEMONSTRATION = {
    "weights_init": [0.1, 0.1, 0.8],
    "means_init": [[-2, -2], [10, 0], [0, 10]],
    "precisions_init": [np.eye(2)] * 3,
}
"""A start that is deliberately bad."""
SHOWN = (1, 2, 5, 10, 20, 50)  # iterations from it


def analyse(args: argparse.Namespace) -> None:
    """Do what the arguments ask for; outputs have been checked before the fit."""
    if args.file is None:
        _demonstrate(args)
        return
    with rereadable(args.file) as file:
        name = "standard input" if args.file == STDIN else args.file
        dialect = args.decimal, args.encoding
        table = read_table(name, args.columns, args.weights, *dialect, file)
        if table.left_out:
            say(
                "note",
                f"columns without numbers are left out: {listed(table.left_out)}",
            )
        if len(table.X) < 2:
            raise ValueError(
                f"{name!r} has only one row: a mixture needs at least two."
            )
        try:
            weights = check_sample_weight(table.weights, len(table.X))
        except ValueError as error:
            raise ValueError(f"--weights {args.weights}: {error}") from error
        _check_something_observed(name, table, weights)
        with _warnings_as_lines():
            fitted = _fit(args, table)
            wrote = _write(args, fitted, table)
    rows = "\n".join(
        [_description(name, args.weights, table), *missing(fitted, _width())]
    )
    _print(args, rows, "", _summary(args, fitted), *wrote)


def _print(args: argparse.Namespace, *parts: str) -> None:
    """Print lines, on standard error if rows go to standard output."""
    if args.quiet:
        return
    rows = STDOUT in (args.out, args.impute)
    with errors_named("standard output"):
        print(escaped("\n".join(parts)), file=sys.stderr if rows else sys.stdout)


def _width() -> int:
    """The number of characters of a line, from the width of the terminal."""
    return max(NARROWEST, get_terminal_size().columns) - 1


def _summary(args: argparse.Namespace, fitted: Fitted) -> str:
    """The description of the fit."""
    return summary(fitted, _width(), args.verbose)


def _check_something_observed(name: str, table: Table, weights: NDArray | None) -> None:
    """Raise if a column has no value in any row of positive weight."""
    counted = np.True_ if weights is None else (weights > 0)[:, None]
    empty = np.isnan(table.X).all(axis=0, where=counted)
    if empty.any():
        names = [each for each, bad in zip(table.names, empty, strict=True) if bad]
        row = "row" if table.weights is None else "row of positive weight"
        raise ValueError(
            f"{name!r}: no {row} has a value in column {listed(names)}: choose other "
            "columns with --columns."
        )


def _fit(args: argparse.Namespace, table: Table) -> Fitted:
    """The only fit, or the best one of a search."""
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
        with _progress(args.quiet) as show:
            search._fit(table.X, None, table.weights, report=show)
        gmm = search.best_estimator_
    return _fitted(gmm, table, search)


def _fitted(
    gmm: GaussianMixtureEM, table: Table, search: GaussianMixtureIC | None = None
) -> Fitted:
    """A fit with its rows, and names of their columns."""
    names = table.names if table.named else [f"column {n}" for n in table.names]
    return Fitted(gmm, table.X, table.weights, names, search)


def _demonstrate(args: argparse.Namespace) -> None:
    """Run EM from a bad start and from the default one, and compare them."""
    X, _ = make_three_components(n_samples=10000, random_state=42)
    settings = {"tol": 0, "reg_covar": 0, "max_iter": SHOWN[-1], "acceleration": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        bad = GaussianMixtureEM(3, **DEMONSTRATION, **settings).fit(X)  # type: ignore[arg-type]
    table = table_of(X)
    with _warnings_as_lines():
        fitted = _fitted(GaussianMixtureEM(3).fit(X), table)
        wrote = _write(args, fitted, table)
    gain = (fitted.estimator.lower_bound_ - bad.lower_bound_) * len(X)
    _print(
        args,
        f"{len(X)} rows of three components. EM from a bad start:\n",
        "iteration  log-likelihood",
        *(f"{n:9}  {bad.lower_bounds_[n - 1] * len(X):14.2f}" for n in SHOWN),
        "\nEM from the default start:\n",
        _summary(args, fitted),
        *wrote,
        f"\nThe log-likelihood from the default start is higher by {gain:.2f}.",
    )


def _write(args: argparse.Namespace, fitted: Fitted, table: Table) -> list[str]:
    """Write all files or none; return lines that say what was written."""
    gmm, wrote = copy(fitted.estimator), {}
    if table.named:
        gmm.feature_names_in_ = np.array(fitted.names, dtype=object)
    with all_or_nothing() as output:
        if args.out:
            own = fitted.estimator
            labels = own.predict(table.X), own.predict_proba(table.X)
            write_labels(output(args.out), table.source, *labels)
            wrote[args.out] = f"{len(table.X)} rows with labels and probabilities"
        if args.impute:
            write_rows(output(args.impute), table, fitted.estimator.impute(fitted.X))
            imputed = np.count_nonzero(np.isnan(fitted.X))
            wrote[args.impute] = f"{len(table.X)} rows, {imputed} values imputed"
        if args.plot:
            for path, what, draw in _pictures(args, fitted, gmm):
                _draw(output(path), path, draw)
                wrote[path] = what
        if args.save:
            with errors_named(args.save):
                gmm.save(args.save)
            wrote[args.save] = "the model, for GaussianMixtureEM.load"
    written = [f"wrote {path}: {what}" for path, what in wrote.items()]
    return ["", *written] if written else []


def _pictures(
    args: argparse.Namespace, fitted: Fitted, gmm: GaussianMixtureEM
) -> Iterator[tuple[str, str, Callable[..., object]]]:
    """Path, description and function of the pictures of the fit and of a search."""
    from emgmm._plotting.fit_displays import CriterionDisplay
    from emgmm._plotting.mixture_display import MixtureDisplay

    X, weights = fitted.X, fitted.sample_weight
    fit = partial(MixtureDisplay.from_estimator, gmm, X, sample_weight=weights)
    yield args.plot, "a picture of the fit", fit
    if fitted.search is not None:
        search = partial(CriterionDisplay.from_estimator, fitted.search)
        yield second_picture(args), "a picture of the search", search


def _draw(file: IO[bytes], path: str, draw: Callable[..., object]) -> None:
    """Draw a figure into a file, without a display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    with warnings.catch_warnings():
        # The model has the names of the columns, which the array of rows lacks.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        draw(ax=figure.subplots())
    figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=150)
    file.flush()


def _description(name: str, weights: str | None, table: Table) -> str:
    """A line about the rows that were read."""
    rows, columns = table.X.shape
    read = f"{name}: {rows} rows, {columns} column{'s' if columns > 1 else ''}"
    if table.source.decimal == ",":
        read += ", decimal commas"
    if table.weights is None:
        return read
    return f"{read}, weights in column {weights} with sum {table.weights.sum():.10g}"


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[float], None]]:
    """A function that draws a progress bar, if standard error is a terminal."""
    stream: IO[str] = sys.stderr
    if quiet or stream is None or not stream.isatty():
        yield lambda share: None
        return

    def show(share: float) -> None:
        """Draw the bar for the share that is done."""
        bar = "#" * int(BAR * share)
        print(f"\r[{bar:.<{BAR}}] {share:4.0%}", end="", file=stream, flush=True)

    try:
        show(0.0)
        yield show
    finally:
        print("\r" + " " * (BAR + 7), end="\r", file=stream, flush=True)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print each warning that is meant for users once, as one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    messages = [
        each.message for each in caught if issubclass(each.category, UserWarning)
    ]
    for message in dict.fromkeys(map(str, messages)):
        say("warning", message)
