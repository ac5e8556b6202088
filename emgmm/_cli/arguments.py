"""What the command `emgmm` can be asked for, and whether it can be done."""

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

from .messages import named_error

MAX_COMPONENTS = 9  # of a search, unless others are asked for
MOST_COMPONENTS = 10_000  # that can be asked for
OF_FILES = (
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
OF_ROWS = ("--out", "--impute")
STREAM = "-"  # standard input, or standard output
NAMED_MODELS = {"all": list(MODELS)} | {
    name.lower(): [family.name] for name, family in FAMILIES.items()
}
"""The models that a name in small letters asks for."""
DESCRIPTION = """\
Fit a Gaussian mixture to the rows of a file, and describe it. The number of components
and the covariance model are chosen by BIC, unless one of each is given. Without a file,
the demonstration with three components runs.
"""
EPILOG = """\
A CSV file may be split by commas, semicolons, tabs or spaces, and may begin with a line
of names. Decimal commas are recognised where nothing else can be meant; --decimal
settles it. Columns without names (as in NPY files) are called by numbers from 0.
Columns of text are left out. Cells that are empty or hold NA, N/A, #N/A, <NA>, NaN,
null, none, ? or a point alone are missing values: each row is fitted by what it has.
Empty lines are skipped, in a file of one column too: write NA there. --out and --impute
write rows as the file has them: all of its columns, its delimiter, decimal mark and
encoding, after the number of the row, from 0; text that a spreadsheet would run as a
formula gets an apostrophe. Either may be - for standard output, and what is said of the
fit goes to standard error then. Files are written when all is done, or not at all.
Errors exit with 2.
"""


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """The arguments, sound in themselves."""
    args = _parser().parse_args(argv)
    given = [name for name in OF_FILES if getattr(args, name) is not None]
    if args.file is None and given:
        raise ValueError(f"--{given[0]} needs a FILE: name one.")
    args.criterion = args.criterion or "bic"
    _check_outputs(args)
    return args


def second_picture(args: argparse.Namespace) -> str:
    """Where the search is drawn."""
    path = Path(args.plot)
    return str(path.with_name(f"{path.stem}-{args.criterion}{path.suffix}"))


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are of one line, and suggest an option for a wrong one."""

    def error(self, message: str) -> NoReturn:
        wrong = message.removeprefix("unrecognized arguments: ").split()[0]
        options = [each for each in self._option_string_actions if len(each) > 2]
        close = get_close_matches(wrong.partition("=")[0], options, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(f"{message}{hint}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help: argparse would be silent where it cannot."""
        with named_error("standard output"):
            print(message, end="", file=file)


def _parser() -> _Parser:
    parser = _Parser("emgmm", None, DESCRIPTION, EPILOG, allow_abbrev=False)
    help_of_file = "rows, as CSV or NPY; - is standard input"
    parser.add_argument("file", nargs="?", metavar="FILE", help=help_of_file)
    _add_of_fit(parser)
    _add_outputs(parser)
    amount = parser.add_mutually_exclusive_group()
    for option, text in {
        "--quiet": "print no summary and no progress",
        "--verbose": "print all columns and candidates, and covariances",
    }.items():
        amount.add_argument(option, action="store_true", help=text)
    version = f"%(prog)s {__version__}"
    parser.add_argument("--version", action="version", version=version)
    return parser


def _add_of_fit(parser: _Parser) -> None:
    """Options of what is read and fitted."""
    add = parser.add_argument
    add(
        "--columns",
        type=_names,
        metavar="A,B",
        help="columns to fit, by names or by numbers from 0, as in 0,2-5; default: all",
    )
    add("--weights", metavar="NAME", help="column with the weights of the rows")
    marks = "decimal mark, a point or a comma; default: recognised"
    add("--decimal", choices=[".", ","], metavar="MARK", help=marks)
    encodings = "how letters are written in FILE, as cp1252 or utf-16; default: utf-8"
    add("--encoding", type=_encoding, metavar="NAME", help=encodings)
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
    criteria, chooses = ["bic", "icl", "aic"], "what chooses; default: bic"
    add("--criterion", type=str.lower, choices=criteria, help=chooses)


def _add_outputs(parser: _Parser) -> None:
    """Options of what is written."""
    for option, metavar, text in (
        ("--out", "CSV", "write the rows with labels and probabilities"),
        ("--impute", "CSV", "write the rows with conditional means in place of gaps"),
        ("--plot", "PICTURE", "draw the fit (fit.png), and the search (fit-bic.png)"),
        ("--save", "NPZ", "keep the model, for GaussianMixtureEM.load"),
    ):
        parser.add_argument(option, metavar=metavar, help=text)


def _check_outputs(args: argparse.Namespace) -> None:
    """Whether all that is asked for can be written, before any time is spent."""
    outputs = {f"--{name}": getattr(args, name) for name in OUTPUTS}
    outputs = {option: path for option, path in outputs.items() if path is not None}
    if args.plot is not None:
        _check_picture(args.plot)
        outputs["--plot, for the search,"] = second_picture(args)
    known = [args.file] if args.file not in (None, STREAM) else []
    for option, path in outputs.items():
        if any(same_file(path, other) for other in known):
            raise ValueError(f"{option} {path!r} is named twice: name another file.")
        known.append(path)
        if path != STREAM or option not in OF_ROWS:
            _check_file(option, path)


def _check_file(option: str, path: str) -> None:
    """Whether a file can be written where it should be."""
    # What is no ordinary file, as /dev/null, is written where it is.
    ordinary = os.path.isfile(path) or not os.path.exists(path)
    folder = Path(os.path.realpath(path)).parent
    if not path or path == STREAM or Path(path).is_dir():
        kind = "standard output" if path == STREAM else "a folder"
        raise ValueError(f"{option} {path!r} is {kind}: name a file.")
    if ordinary and not folder.is_dir():
        raise ValueError(f"{option} {path!r}: there is no folder {str(folder)!r}.")
    if not os.access(folder if ordinary else path, os.W_OK):
        raise ValueError(f"{option} {path!r} cannot be written there.")


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


def _encoding(name: str) -> str:
    """An encoding of text that Python knows."""
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"{name!r} is no encoding of text: give one such as utf-8 or cp1252"
        ) from error
    return name


def _models(text: str) -> list[str]:
    """Names of models in any case of letters, each model once."""
    found: list[str] = []
    for name in text.split(","):
        models = NAMED_MODELS.get(name.strip().lower())
        if models is None:
            raise argparse.ArgumentTypeError(
                f"{name.strip()!r} is no model: give some of all, {', '.join(FAMILIES)}"
            )
        found += models
    return list(dict.fromkeys(found))
