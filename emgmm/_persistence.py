"""Files of fitted mixtures: plain arrays, which run no code and are checked.

A file is an archive as `numpy.savez` writes it: arrays under their own names, and
"about", a text in JSON that lists them and has everything else. The same model gives
the same bytes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from operator import attrgetter
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ._em.stepwise import OF_VALUES, PREFIX, StreamState
from ._model.agreement import MIXTURE, OF_NOISE, check_mixture
from ._model.families import FAMILIES
from ._model.published import N_FIXED, Published
from ._utils.device import to_host
from ._utils.files import Path_, replacing
from ._version import __version__

FORMAT = "emgmm.GaussianMixtureEM"
VERSION = 1
HISTORY = ("converged_", "n_iter_", "lower_bound_", "lower_bounds_")
SEEN = "n_samples_seen_"
STREAM: dict[str, type] = {
    "n_steps_": int,
    SEEN: float,
    "lower_bound_": float,
    **{PREFIX + name: kind for name, kind in OF_VALUES.items()},
}
"""What `partial_fit` continues from, and of which types."""
NAMES = "feature_names_in_"
TYPES = {
    "format": str,
    "version": int,
    "emgmm": str,
    "covariance_type": str,
    "arrays": list,
    "attributes": dict,
    "parameters": dict,
}
"""What "about" contains, and of which types."""

MEMBER_HEADER = 30  # bytes before a member of an archive, at least
KEPT = {*MIXTURE, *OF_NOISE, *HISTORY, *STREAM, N_FIXED}

Values = dict[str, Any]


def write_model(
    path: Path_, published: Published, attributes: Values, parameters: Values
) -> None:
    """Write a fitted estimator to a file.

    ValueError if `read_model` would refuse it.
    """
    attributes = {name: to_host(value) for name, value in attributes.items()}
    parameters = {name: to_host(value) for name, value in parameters.items()}
    if "_running" in attributes:
        attributes = attributes | attributes["_running"].to_values()
    attributes = attributes | published.to_arrays()
    refusals = []
    for model in published.models:
        raw = _archive(model, attributes, parameters)
        try:
            _check_archive(raw, parameters)
        except Exception as error:
            refusals.append(error)
            continue
        with replacing(path) as file:
            file.write(raw.getbuffer())
        return
    raise ValueError(
        f"This mixture cannot be saved: {refusals[0]}. Attributes may have been "
        "assigned that contradict each other: correct them, or use from_parameters."
    ) from refusals[0]


def _archive(model: str, attributes: Values, parameters: Values) -> BytesIO:
    """The file, in memory: it is checked before it is written."""
    kept = {k: attributes[k] for k in sorted(KEPT) if k in attributes}
    saved = {k: _plain(value) for k, value in parameters.items() if _can_be_kept(value)}
    arrays = {k: _array(v) for k, v in (kept | saved).items() if not _is_plain(v)}
    about: Values = {
        "format": FORMAT,
        "version": VERSION,
        "emgmm": __version__,
        "covariance_type": model,
        "arrays": sorted(arrays),
        "attributes": {k: value for k, value in kept.items() if k not in arrays},
        "parameters": {k: value for k, value in saved.items() if k not in arrays},
    }
    if NAMES in attributes:
        about["attributes"][NAMES] = [str(name) for name in attributes[NAMES]]
    arrays["about"] = np.array(json.dumps(about, default=_number))
    file = BytesIO()
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, version=(1, 0), allow_pickle=False)
    return file


def _check_archive(file: IO[bytes], known: Collection[str]) -> None:
    """Raise what `read_model` would raise of such a file."""
    arrays = _members(file)
    _contents(_about(arrays.pop("about")), arrays, known)


def read_model(path: Path_, known: Collection[str]) -> tuple[str, Values, Values]:
    """Model, attributes and constructor's parameters, or ValueError."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise ValueError(
            f"{os.fspath(path)!r} is a device or a pipe, which may never end: pass a "
            "file that GaussianMixtureEM.save has written."
        )
    with open(path, "rb") as file, naming(path):
        arrays = _members(file)
        about = _about(arrays.pop("about", None))
    _check_readable(path, about, known)
    with naming(path):
        return _contents(about, arrays, known)


def _contents(
    about: Values, arrays: dict[str, NDArray], known: Collection[str]
) -> tuple[str, Values, Values]:
    """Model, attributes and constructor's parameters, checked."""
    _check_types(about, TYPES)
    if sorted(arrays) != about["arrays"]:
        raise ValueError(f"it has {sorted(arrays)}, and not {about['arrays']}")
    attributes, parameters = about["attributes"], about["parameters"]
    for name, array in arrays.items():
        (parameters if name in known else attributes)[name] = array
    _check_attributes(attributes, about["covariance_type"])
    return about["covariance_type"], attributes, parameters


@contextmanager
def naming(path: Path_) -> Iterator[None]:
    """A context in which every error becomes a ValueError that names the file."""
    try:
        yield
    except Exception as error:
        cause = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(
            f"{os.fspath(path)!r} is damaged, or GaussianMixtureEM.save did not write "
            f"it: {cause}. Save the model again, or use an intact copy."
        ) from error


def _can_be_kept(value: Any) -> bool:
    """Whether a parameter is data, not code or the state of a generator."""
    return not callable(value) and not isinstance(value, np.random.RandomState)


def _plain(value: Any) -> Any:
    """A parameter as JSON knows it, if it is a mapping or has names; or itself."""
    if isinstance(value, Mapping):
        return {str(k): np.asarray(v).tolist() for k, v in value.items()}
    return sorted(value) if _has_names(value) else value


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, a string, None, a mapping or has names."""
    scalar = value is None or np.isscalar(value) or isinstance(value, Mapping)
    return scalar or _has_names(value)


def _has_names(value: Any) -> bool:
    """Whether a value is a collection of strings."""
    names = isinstance(value, (list, tuple, set))
    return names and all(isinstance(each, str) for each in value)


def _array(value: Any) -> NDArray:
    """Numbers as an array of a plain type of at most eight bytes."""
    array = np.asarray(value)
    plain = array.dtype.kind in "biuf" and array.itemsize <= 8
    return array if plain else array.astype(np.float64)


def _number(value: Any) -> Any:
    """A numpy or other number as one that JSON knows."""
    return value.item() if isinstance(value, np.generic) else float(value)


def _members(file: IO[bytes]) -> dict[str, NDArray]:
    """The arrays of the file, read completely, so that their checksums are tested."""
    size = file.seek(0, os.SEEK_END)
    with ZipFile(file) as archive:
        arrays = {}
        for member in _checked_members(archive.infolist(), size):
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"it holds {name} twice")
            arrays[name] = _parsed(archive.read(member), name)
        return arrays


def _checked_members(members: list[ZipInfo], size: int) -> list[ZipInfo]:
    """The members; ValueError if they overlap or have impossible sizes."""
    in_order = sorted(members, key=attrgetter("header_offset"))
    ends = [*(member.header_offset for member in in_order[1:]), size]
    for member, end in zip(in_order, ends[-len(in_order) :], strict=True):
        if member.compress_type != ZIP_STORED or member.file_size > size:
            raise ValueError(f"{member.filename} is compressed, or too large")
        if member.compress_size != member.file_size:
            raise ValueError(f"{member.filename} has two sizes")
        if member.header_offset + MEMBER_HEADER + member.file_size > end:
            raise ValueError(f"{member.filename} overlaps with what follows")
    return members


def _parsed(raw: bytes, name: str) -> NDArray:
    """An array; ValueError if its header does not agree with its bytes."""
    file = BytesIO(raw)
    if npy.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is not in version 1.0 of the NPY format")
    shape, _, dtype = npy.read_array_header_1_0(file)
    if dtype.kind not in "biufU":
        raise ValueError(f"{name} holds {dtype}, not numbers")
    room = len(raw) - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != room:
        raise ValueError(f"{name} does not have the {shape} values that it should")
    array: NDArray = npy.read_array(BytesIO(raw), allow_pickle=False)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _about(text: NDArray | None) -> Values:
    """What "about" contains; ValueError if the file is none of ours."""
    if text is None or text.dtype.kind != "U" or text.ndim:
        raise ValueError("it does not say what it is")
    about = json.loads(text.item())
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    _check_types(about, {"version": int, "emgmm": str})
    return about


def _check_types(values: Values, types: dict[str, type]) -> None:
    """ValueError if a value is missing, or is not of its type."""
    for name, kind in types.items():
        if type(values.get(name)) is not kind:
            raise ValueError(f"{name} is {values.get(name)!r:.60}, not {kind.__name__}")


def _check_readable(path: Path_, about: Values, known: Collection[str]) -> None:
    """ValueError if the file has something that this version does not know."""
    saved = about.get("parameters")
    unknown = set(saved) - set(known) if isinstance(saved, dict) else set()
    if about["version"] > VERSION or unknown:
        what = f"parameters {sorted(unknown)}" if unknown else "a newer format"
        raise ValueError(
            f"{os.fspath(path)!r} has {what}, which this version of emgmm does not "
            f"know: load it with emgmm {about['emgmm']:.20}, which wrote it, or newer."
        )


def _check_attributes(attributes: Values, model: str) -> None:
    """ValueError if these are not the attributes of one fit; they are completed."""
    if model not in FAMILIES:
        raise ValueError(f"{model!r:.60} is no covariance model")
    unknown = sorted(set(attributes) - {*KEPT, NAMES})
    if unknown:
        raise ValueError(f"attributes {unknown} do not belong")
    _check_types(attributes, dict.fromkeys(MIXTURE, np.ndarray))
    check_mixture(attributes, model)
    if "n_steps_" in attributes:
        _make_running(attributes, model)
    else:
        _check_history(attributes)
    attributes["n_features_in_"] = attributes["means_"].shape[1]
    if NAMES in attributes:
        attributes[NAMES] = _feature_names(attributes)


def _make_running(attributes: Values, model: str) -> None:
    """Replace the values of the state of `partial_fit` by the state itself."""
    _check_types(attributes, STREAM)
    if not math.isfinite(attributes["lower_bound_"]):
        raise ValueError("lower_bound_ is not finite")
    kind = FAMILIES[model].storage.moment_kind
    attributes["_running"] = StreamState.from_values(attributes, kind)
    for name in OF_VALUES:
        del attributes[PREFIX + name]


def _check_history(attributes: Values) -> None:
    """ValueError if the history of the fit is incomplete or contradicts itself."""
    if SEEN in attributes:
        _check_types(attributes, {SEEN: float})
        if not 0 < attributes[SEEN] < math.inf:
            raise ValueError(f"{SEEN} is {attributes[SEEN]}")
    present = [name in attributes for name in HISTORY]
    if not any(present):
        return
    kinds = {
        "converged_": bool,
        "n_iter_": int,
        "lower_bound_": float,
        "lower_bounds_": np.ndarray,
    }
    _check_types(attributes, kinds)
    bounds, last = attributes["lower_bounds_"], attributes["lower_bound_"]
    if bounds.shape != (attributes["n_iter_"],) or bounds.dtype != np.float64:
        raise ValueError("lower_bounds_ does not have n_iter_ values")
    ends = np.append(bounds, last)
    if not np.isfinite(ends).all() or (ends[-2:] != last).any():
        raise ValueError("lower_bounds_ does not end with lower_bound_")


def _feature_names(attributes: Values) -> NDArray:
    """The names of the features, as an array; ValueError if they are no such names."""
    names, n_features = attributes[NAMES], attributes["n_features_in_"]
    valid = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not valid or len(names) != n_features:
        raise ValueError(f"{NAMES} does not name {n_features} features")
    return np.array(names, dtype=object)
