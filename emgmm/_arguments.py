"""What the command `emgmm` can be asked for, and whether it can be done."""

from __future__ import annotations

import argparse
import csv
import os
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from ._families import FAMILIES, MODELS
from ._tables import same_file

MAX_COMPONENTS = 9  # of a search, unless told otherwise
MOST_COMPONENTS = 10_000  # that can be asked for
OF_FILES = ("columns", "weights", "components", "model", "criterion", "impute")
OUTPUTS = ("out", "impute", "save", "plot")
DESCRIPTION = """\
Fit a Gaussian mixture to the rows of a file, and tell what it found. The number of
components and the covariance model are chosen by BIC, unless they are told. Without a
file, the demonstration with three components runs.
"""
EPILOG = """\
A CSV file may be split by commas, semicolons, tabs or spaces, and may begin with a line
of names; decimals have a point. Columns without names (as in NPY files) are called by
numbers from 0. Columns of text are left out. Cells that are empty or hold NA, N/A,
#N/A, <NA>, NaN, null, none, ? or a point alone are missing values: each row is fitted
by what it has. Empty lines are skipped, in a file of one column too: write NA there.
Errors exit with 2.
"""


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """The arguments, sound in themselves."""
    args = _parser().parse_args(argv)
    told = [name for name in OF_FILES if getattr(args, name) is not None]
    if args.file is None and told:
        raise ValueError(f"--{told[0]} needs a FILE: name one.")
    args.criterion = args.criterion or "bic"
    _check_outputs(args)
    return args


def second_picture(args: argparse.Namespace) -> str:
    """Where the search is drawn."""
    path = Path(args.plot)
    return str(path.with_name(f"{path.stem}-{args.criterion}{path.suffix}"))


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are of one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


def _parser() -> _Parser:
    parser = _Parser("emgmm", None, DESCRIPTION, EPILOG, allow_abbrev=False)
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="rows, as CSV or NPY")
    add("--columns", type=_names, metavar="A,B", help="columns to fit; default: all")
    add("--weights", metavar="NAME", help="column with the weights of the rows")
    add(
        "--components",
        type=_numbers,
        metavar="K",
        help=f"number, or numbers to choose from: 2-6 or 2,3,5; default: "
        f"1-{MAX_COMPONENTS}",
    )
    add(
        "--model",
        type=_models,
        metavar="M",
        help=f"covariance model, or several: {', '.join(FAMILIES)}; default: all",
    )
    add(
        "--criterion",
        choices=["bic", "icl", "aic"],
        help="what chooses; default: bic",
    )
    add("--out", metavar="CSV", help="write the label and probabilities of each row")
    add(
        "--impute",
        metavar="CSV",
        help="write the rows with means in place of missing values",
    )
    add(
        "--plot",
        metavar="PICTURE",
        help="draw the fit (fit.png), and the search (fit-bic.png)",
    )
    add("--save", metavar="NPZ", help="keep the model, for GaussianMixtureEM.load")
    add("--quiet", action="store_true", help="print no summary and no progress")
    version = import_module(f"{__package__}").__version__
    add("--version", action="version", version=f"%(prog)s {version}")
    return parser


def _check_outputs(args: argparse.Namespace) -> None:
    """Whether all that is asked for can be written, before any time is spent."""
    outputs = {f"--{name}": getattr(args, name) for name in OUTPUTS}
    outputs = {option: path for option, path in outputs.items() if path is not None}
    if args.plot is not None:
        _check_picture(args.plot)
        outputs["--plot, for the search,"] = second_picture(args)
    known = [] if args.file is None else [args.file]
    for option, path in outputs.items():
        folder = Path(os.path.realpath(path)).parent
        if any(same_file(path, other) for other in known):
            raise ValueError(f"{option} {path!r} is named twice: name another file.")
        if not path or Path(path).is_dir():
            raise ValueError(f"{option} {path!r} is a folder: name a file.")
        if not folder.is_dir():
            raise ValueError(f"{option} {path!r}: there is no folder {str(folder)!r}.")
        if not os.access(folder, os.W_OK):
            raise ValueError(f"{option} {path!r} cannot be written there.")
        known.append(path)


def _check_picture(path: str) -> None:
    """Whether matplotlib draws such files."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in kinds:
        raise ValueError(
            f"--plot {path!r} has no suffix of a picture: give it one of "
            f"{', '.join(sorted(kinds))}."
        )


def _names(text: str) -> list[str]:
    """Names between commas; one with a comma stands in quotation marks."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True))]


def _numbers(text: str) -> list[int]:
    """Numbers of components: 3, or 2-6, or 2,3,5."""
    found: set[int] = set()
    for part in text.split(","):
        ends = [int(end) for end in part.split("-") if end.strip().isdecimal()]
        if len(ends) != part.count("-") + 1 or not 1 <= len(ends) <= 2:
            raise argparse.ArgumentTypeError(f"{text!r}: write 3, 2-6 or 2,3,5")
        if not 1 <= ends[0] <= ends[-1] <= MOST_COMPONENTS:
            raise argparse.ArgumentTypeError(
                f"{text!r}: numbers go up from 1 to {MOST_COMPONENTS} at most"
            )
        found.update(range(ends[0], ends[-1] + 1))
    return sorted(found)


def _models(text: str) -> list[str]:
    """Names of models, each model once."""
    names = (
        list(MODELS) if text == "all" else [name.strip() for name in text.split(",")]
    )
    for name in names:
        if name not in FAMILIES:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no model: give some of all, {', '.join(FAMILIES)}"
            )
    return list({FAMILIES[name].name: name for name in names}.values())
