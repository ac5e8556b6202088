"""Arguments of the command `emgmm`: its options, their help, and their checks."""

from __future__ import annotations

import argparse
import csv
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from emgmm._model.families import FAMILIES, MODELS
from emgmm._utils.files import same_file
from emgmm._version import __version__

from .messages import errors_named

MAX_COMPONENTS = 9  # of a search by default
MOST_COMPONENTS = 10_000  # that --components accepts
NEEDING_A_FILE = (
    "columns",
    "weights",
    "decimal",
    "encoding",
    "components",
    "model",
    "criterion",
    "impute",
)
OUTPUTS = ("out", "impute", "save", "plot")
TO_STREAMS = ("--out", "--impute")  # may write to standard output
SHELLS = ("bash", "zsh", "tcsh")
STREAM = "-"  # standard input, or standard output
NAMED_MODELS = {"all": list(MODELS)} | {
    name.lower(): [family.name] for name, family in FAMILIES.items()
}
"""The models that each name stands for, in lower case."""
DESCRIPTION = """\
Fit a Gaussian mixture to the rows of a file and describe it. The number of components
and the covariance model are chosen by BIC, unless you specify one of each. Without a
file, a demonstration with three components runs.
"""
EPILOG = """\
The fields of a CSV file may be separated by commas, semicolons, tabs or spaces, and its
first line may contain the names of the columns. Decimal commas are detected where they
are unambiguous; otherwise use --decimal. Columns without names, such as those of NPY
files, are numbered from 0. Columns of text are left out. Cells that are empty or
contain NA, N/A, #N/A, <NA>, NaN, null, none, ? or only a point are missing values; the
other values of the row are still used. Empty lines are skipped, so write NA for a
missing value in a file of one column. --out and --impute write all columns of the file
with the same delimiter, decimal mark and encoding, after the number of each row from 0;
text that a spreadsheet would run as a formula gets an apostrophe. Use - to write to
standard output; the summary then goes to standard error. Either all output files are
written, at the end, or none. The exit status is 2 if there is an error.
"""


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """The arguments, checked as far as they can be without reading the file."""
    args = _parser().parse_args(argv)
    used = [name for name in NEEDING_A_FILE if getattr(args, name) is not None]
    if args.file is None and used:
        raise ValueError(f"--{used[0]} needs a FILE: add the name of one.")
    args.criterion = args.criterion or "bic"
    _check_outputs(args)
    return args


def second_picture(args: argparse.Namespace) -> str:
    """The path of the picture of the search."""
    path = Path(args.plot)
    return str(path.with_name(f"{path.stem}-{args.criterion}{path.suffix}"))


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line and suggest an option for an unknown one."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        wrong = message.removeprefix("unrecognized arguments: ").split()[0]
        options = [each for each in self._option_string_actions if len(each) > 2]
        close = get_close_matches(wrong.partition("=")[0], options, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(f"{message}{hint}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print a message such as the help; argparse would ignore errors of writing."""
        with errors_named("standard output"):
            print(message, end="", file=file)


class _PrintCompletion(argparse.Action):
    """Prints the script of a shell that completes the arguments."""

    def __call__(
        self, parser: Any, namespace: Any, shell: Any, option: Any = ""
    ) -> None:
        """Print the script and exit."""
        try:
            import shtab
        except ImportError:
            remedy = "pip install 'emgmm[completion]'"
            raise ValueError(f"{option} needs the package shtab: {remedy}.") from None
        for action in parser._actions:
            if action.dest in ("file", *OUTPUTS):
                action.complete = shtab.FILE  # an attribute that shtab looks for
        print(shtab.complete(parser, shell))
        parser.exit()


def _parser() -> _Parser:
    """The parser of all arguments."""
    parser = _Parser("emgmm", None, DESCRIPTION, EPILOG, allow_abbrev=False)
    help_of_file = "rows, as CSV or NPY; - for standard input"
    parser.add_argument("file", nargs="?", metavar="FILE", help=help_of_file)
    _add_fit(parser)
    _add_outputs(parser)
    amount = parser.add_mutually_exclusive_group()
    for option, text in {
        "--quiet": "print no summary and no progress bar",
        "--verbose": "print all columns, all candidates and the covariances",
    }.items():
        amount.add_argument(option, action="store_true", help=text)
    version = f"%(prog)s {__version__}"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument(
        "--print-completion",
        choices=SHELLS,
        action=_PrintCompletion,
        help="print a script by which the shell completes options, then exit",
    )
    return parser


def _add_fit(parser: _Parser) -> None:
    """Add the options for reading and fitting."""
    add = parser.add_argument
    add(
        "--columns",
        type=_names,
        metavar="A,B",
        help="columns to fit, by name or by number from 0, such as 0,2-5; default: all",
    )
    add(
        "--weights", metavar="NAME", help="column that contains the weights of the rows"
    )
    marks = "decimal mark, a point or a comma; default: detected"
    add("--decimal", choices=[".", ","], metavar="MARK", help=marks)
    encodings = "text encoding of FILE, such as cp1252 or utf-16; default: utf-8"
    add("--encoding", type=_encoding, metavar="NAME", help=encodings)
    add(
        "--components",
        type=_numbers_of_components,
        metavar="K",
        help="number of components, or several to choose from: 2-6 or 2,3,5; "
        f"default: 1-{MAX_COMPONENTS}",
    )
    add(
        "--model",
        type=_models,
        metavar="M",
        help="covariance model, or several to choose from: "
        f"{', '.join(FAMILIES)}; default: all",
    )
    criteria, chooses = ["bic", "icl", "aic"], "criterion to choose by; default: bic"
    add("--criterion", type=str.lower, choices=criteria, help=chooses)


def _add_outputs(parser: _Parser) -> None:
    """Add the options for writing files."""
    for option, metavar, text in (
        ("--out", "CSV", "write the rows with their labels and probabilities"),
        (
            "--impute",
            "CSV",
            "write the rows with missing values filled in by conditional means",
        ),
        ("--plot", "PICTURE", "draw the fit (fit.png) and the search (fit-bic.png)"),
        ("--save", "NPZ", "save the model for GaussianMixtureEM.load"),
    ):
        parser.add_argument(option, metavar=metavar, help=text)


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise if an output cannot be written, before time is spent on the fit."""
    outputs = {f"--{name}": getattr(args, name) for name in OUTPUTS}
    outputs = {option: path for option, path in outputs.items() if path is not None}
    if args.plot is not None:
        _check_picture(args.plot)
        outputs["--plot, for the search,"] = second_picture(args)
    known = [args.file] if args.file not in (None, STREAM) else []
    for option, path in outputs.items():
        if any(same_file(path, other) for other in known):
            raise ValueError(f"{option} {path!r} is named twice: choose another file.")
        known.append(path)
        if path != STREAM or option not in TO_STREAMS:
            _check_file(option, path)


def _check_file(option: str, path: str) -> None:
    """Raise if a file cannot be written at its path."""
    # What is not an ordinary file, such as /dev/null, is written in place.
    ordinary = os.path.isfile(path) or not os.path.exists(path)
    folder = Path(os.path.realpath(path)).parent
    if not path:
        raise ValueError(f"{option} '' is not the name of a file: name one.")
    if path == STREAM or Path(path).is_dir():
        kind = "standard output" if path == STREAM else "a folder"
        raise ValueError(f"{option} {path!r} is {kind}: name a file.")
    if ordinary and not folder.is_dir():
        raise ValueError(
            f"{option} {path!r}: the folder {str(folder)!r} does not exist: create it, "
            "or choose another."
        )
    if not os.access(folder if ordinary else path, os.W_OK):
        raise ValueError(
            f"{option} {path!r}: you have no permission to write there: choose another "
            "file."
        )


def _check_picture(path: str) -> None:
    """Raise if matplotlib cannot write files with this suffix."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in kinds:
        raise ValueError(
            f"--plot {path!r} does not have the suffix of a picture: use one of "
            f"{', '.join(f'.{kind}' for kind in sorted(kinds))}."
        )


def _names(text: str) -> list[str]:
    """Names separated by commas; a name that contains a comma is quoted."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True))]


def _numbers_of_components(text: str) -> list[int]:
    """Numbers in ascending order, from text such as 3, 2-6 or 2,3,5."""
    found: set[int] = set()
    for part in text.split(","):
        ends = [int(end) for end in part.split("-") if end.strip().isdecimal()]
        if len(ends) != part.count("-") + 1 or not 1 <= len(ends) <= 2:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a list of numbers: write 3, 2-6 or 2,3,5"
            )
        if not 1 <= ends[0] <= ends[-1] <= MOST_COMPONENTS:
            raise argparse.ArgumentTypeError(
                f"{text!r}: use numbers from 1 to {MOST_COMPONENTS}, and ranges that "
                "ascend"
            )
        found.update(range(ends[0], ends[-1] + 1))
    return sorted(found)


def _encoding(name: str) -> str:
    """The name of a text encoding that Python knows."""
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"{name!r} is not a text encoding: use one such as utf-8 or cp1252"
        ) from error
    return name


def _models(text: str) -> list[str]:
    """Models from names in upper or lower case, each model once."""
    found: list[str] = []
    for name in text.split(","):
        models = NAMED_MODELS.get(name.strip().lower())
        if models is None:
            raise argparse.ArgumentTypeError(
                f"{name.strip()!r} is not a model: choose from all, "
                f"{', '.join(FAMILIES)}"
            )
        found += models
    return list(dict.fromkeys(found))
