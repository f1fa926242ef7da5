"""What Python code holds, without labels, as rows: lists, arrays, a Series, a column of a table."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from headstart.data.dataset import Row, Text, text_of
from headstart.data.decode import to_rgb
from headstart.errors import InputError, nearest
from headstart.files import printable
from headstart.types import Skip

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["MODALITIES", "Inputs", "recognise"]

MODALITIES = ("auto", "array", "image", "text")
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .webp .tif .tiff .avif .ppm .pgm .pbm .pnm".split()  # noqa: SIM905
)
"""What a string ends with that is taken for a picture's path and not for a text."""
CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Inputs:
    """Pictures or texts as rows.

    Attributes:
        rows: named by their place: ``X[3] (photos/a.jpg)``.
        modality: ``image`` or ``text``.
        column: that was read of a table; None where there is no table.
        bad: the rows that can't be used, as far as that shows without reading files.
    """

    rows: tuple[Row, ...]
    modality: str
    column: Any = None
    bad: tuple[Skip, ...] = ()


def recognise(
    given: Any, *, image: Any = None, text: Any = None, modality: str = "auto"
) -> Inputs | None:
    """Tell pictures and texts from numbers, and make rows of them.

    Pictures are ``Path`` objects, strings that end like a picture's file, Pillow images, ``uint8``
    arrays of shape (height, width[, channels]) in a list, or one array with four axes. Texts are all
    other strings. Of a table, one column is read.

    Args:
        given: a sequence, an array or a table, one entry for each row.
        image, text: the column of a table that holds the pictures or the texts.
        modality: one of :data:`MODALITIES`; ``auto`` goes by the rules above.

    Returns:
        the rows; None where these are numbers.

    Raises:
        InputError: it is none of these, or the rules don't settle it.

    >>> recognise(["a.jpg", "b.png"]).modality, recognise(["not a bad film"]).modality
    ('image', 'text')
    >>> recognise([[1.0, 2.0], [3.0, 4.0]]) is None
    True
    """
    if modality not in MODALITIES:
        raise InputError(f"There is no modality {modality!r}.", nearest(str(modality), MODALITIES))
    if image is not None and text is not None:
        raise InputError(
            f"Both image={image!r} and text={text!r} were given.", "Name one column: one is read."
        )
    if modality == "array":
        return None
    if isinstance(given, str | bytes | os.PathLike):
        raise InputError(
            f"X is {str(given)[:80]!r}: a single {type(given).__name__}, and rows are expected.",
            "Give a list, such as [path, path]; a folder of class folders: headstart.fit(folder)",
        )
    if not _is_table(given):
        return _rows(given, modality)
    column = _column(given, image, text, modality)
    if column is None:
        return None
    wanted = "image" if image is not None else "text" if text is not None else modality
    return _rows(list(given[column]), wanted, column)


def _rows(given: Any, modality: str, column: Any = None) -> Inputs | None:
    """Rows of a sequence or an array; None where it holds numbers."""
    cells = _cells(given)
    kind = _kind(cells, modality) if cells is not None else None
    if cells is None or kind is None:
        if modality == "auto" and column is None:
            return None
        raise InputError(
            f"X holds no {'pictures' if modality == 'image' else 'texts'}"
            f"{'' if column is None else f' in the column {column!r}'}.",
            "Give a list of paths, Pillow images or uint8 arrays, or a list of strings.",
        )
    rows: list[Row] = []
    bad: list[Skip] = []
    for number, cell in enumerate(cells):
        row, reason = _picture(number, cell) if kind == "image" else _text(number, cell)
        rows.append(row)
        bad += [Skip(row.name, reason)] if reason else []
    return Inputs(tuple(rows), kind, column, tuple(bad))


def _cells(given: Any) -> Sequence[Any] | None:
    """The entries one by one; None where these are numbers."""
    if not isinstance(given, np.ndarray):
        # Anything else that looks like an array (sparse, of another library) holds numbers.
        series = type(given).__name__ == "Series"
        return list(given) if isinstance(given, list | tuple) or series else None
    if given.ndim == 4:
        return list(_stack(given))
    if given.ndim == 3:
        raise InputError(
            f"X has three axes, {given.shape}: these may be grey pictures, or anything.",
            "For grey pictures, give them one by one: list(X), uint8; or with a channel: X[..., None]",
        )
    if given.dtype.kind in "OUST" and (given.ndim == 1 or (given.ndim == 2 and _single(given))):
        cells: list[Any] = given.ravel().tolist()
        return cells
    return None


def _single(given: Array) -> bool:
    """Whether a table of objects is one column of strings, paths or pictures."""
    return given.shape[1] == 1 and _sort(_first(given.ravel())) != ""


def _stack(given: Array) -> Array:
    """Pictures in one array, uint8 (n, height, width, channels).

    Raises:
        InputError: the axes or the range of the numbers are others.
    """
    if given.shape[3] not in CHANNELS:
        first = given.shape[1] in CHANNELS
        raise InputError(
            f"X has the shape {given.shape}: pictures are (n, height, width, channels), with 1, 3 or "
            "4 channels.",
            "Put the channels last: X.transpose(0, 2, 3, 1)" if first else "",
        )
    if given.dtype == np.uint8 or not given.size:
        return given
    low, high = (float(given.min()), float(given.max())) if given.dtype.kind in "fiu" else (0, -1)
    if given.dtype.kind != "f" or not (low >= 0 and high <= 1):
        raise InputError(
            f"X has four axes, so it holds pictures, and its numbers are {given.dtype} "
            f"from {low:g} to {high:g}. Allowed: uint8 from 0 to 255, or floats from 0 to 1.",
            "For values from 0 to 255: X.astype('uint8')",
        )
    out: Array = np.rint(given * 255).astype(np.uint8)
    return out


def _first(cells: Iterable[Any]) -> Any:
    """The first entry that isn't missing."""
    return next((cell for cell in cells if not _missing(cell)), None)


def _missing(cell: Any) -> bool:
    nothing = cell is None or type(cell).__name__ in ("NAType", "NaTType")
    return nothing or (isinstance(cell, float | np.floating) and bool(np.isnan(cell)))


def _sort(cell: Any) -> str:
    """What one entry is: ``picture``, ``string``, or nothing where it is a number or a row of them."""
    if isinstance(cell, Image.Image | os.PathLike):
        return "picture"
    if isinstance(cell, str | bytes):
        return "string"
    if isinstance(cell, np.ndarray):
        deep = cell.ndim == 3 or (cell.ndim == 2 and cell.dtype == np.uint8)
        return "picture" if deep else ""
    return ""


def _kind(cells: Sequence[Any], modality: str) -> str | None:
    """``image`` or ``text``; None where the entries are neither."""
    sort = _sort(_first(cells))
    if sort == "picture" and modality == "text":
        raise InputError("X holds pictures, and texts are expected.", "Give a list of strings.")
    if sort == "picture":
        return "image"
    if sort != "string" or modality != "auto":
        return modality if sort else None
    ends = [(n, c) for n, c in enumerate(cells) if isinstance(c, str) and _like_a_path(c)]
    others = [(n, c) for n, c in enumerate(cells) if isinstance(c, str) and not _like_a_path(c)]
    if ends and others:
        (a, path), (b, other) = ends[0], others[0]
        raise InputError(
            f"X[{a}] = {path[:60]!r} looks like a picture's path and X[{b}] = {other[:60]!r} like a "
            "text.",
            "Say which they are: modality='image' or modality='text'",
        )
    return "image" if ends else "text"


def _like_a_path(value: str) -> bool:
    return os.path.splitext(value.strip())[1].lower() in SUFFIXES  # noqa: PTH122 - any string


def _picture(number: int, cell: Any) -> tuple[Row, str]:
    """A row for a picture, and why it can't be used; empty where that doesn't show yet."""
    name = f"X[{number}]"
    if _missing(cell) or (isinstance(cell, str | bytes) and not cell.strip()):
        return Row(name, None), "the path is missing"
    if isinstance(cell, str | bytes | os.PathLike):
        path = os.fsdecode(cell)
        return Row(f"{name} ({printable(path)})", Path(path)), ""
    if isinstance(cell, Image.Image):
        try:
            return Row(name, np.asarray(to_rgb(ImageOps.exif_transpose(cell)))), ""
        except (OSError, SyntaxError, ValueError) as error:
            return Row(name, None), f"damaged image ({' '.join(str(error).split())[:120]})"
    if isinstance(cell, np.ndarray) and cell.ndim in (2, 3) and cell.dtype == np.uint8:
        return Row(name, cell), ""
    found = f"{cell.dtype} {cell.shape}" if isinstance(cell, np.ndarray) else type(cell).__name__
    wanted = "a path, a Pillow image or a uint8 array (height, width[, channels])"
    return Row(name, None), f"{wanted} is needed, not {found}"


def _text(number: int, cell: Any) -> tuple[Row, str]:
    name = f"X[{number}]"
    if not isinstance(cell, str | bytes | int | float | np.generic) and not _missing(cell):
        return Row(name, None), f"a string is needed, not {type(cell).__name__}"
    text = text_of(cell)
    return Row(name, Text.of(text or "")), "" if text else "the text is missing"


def _is_table(given: Any) -> bool:
    return hasattr(given, "columns") and hasattr(given, "__getitem__") and hasattr(given, "shape")


def _column(table: Any, image: Any, text: Any, modality: str) -> Any:
    """The name of a table's column to read; None where the table holds numbers alone."""
    names = list(table.columns)
    given = image if image is not None else text
    found = [given] if given is not None else list(_contents(table, names))
    listed = ", ".join(map(repr, found))
    if given is not None and given not in names:
        raise InputError(f"X has no column {given!r}.", nearest(str(given), map(str, names)))
    if len(found) > 1:
        raise InputError(
            f"X has {len(found)} columns of strings or pictures: {listed}.",
            f"Name the one to read: image={found[0]!r} or text={found[0]!r}",
        )
    if not found:
        if modality == "auto":
            return None
        raise InputError(f"X has no column that modality={modality!r} could mean.")
    if names.count(found[0]) > 1:
        raise InputError(f"X has {names.count(found[0])} columns named {found[0]!r}.")
    if given is None and len(names) > 1:
        rest = ", ".join(str(name) for name in names if name != found[0])
        warnings.warn(
            f"Of X, the column {found[0]!r} alone is read, not {rest}. To say that this is meant, "
            f"name it: image={found[0]!r} or text={found[0]!r}.",
            UserWarning,
            stacklevel=5,
        )
    return found[0]


def _contents(table: Any, names: Sequence[Any]) -> Iterator[Any]:
    """The columns that hold strings or pictures."""
    for place, name in enumerate(names):
        values = table.iloc[:, place] if hasattr(table, "iloc") else table[name]
        if getattr(values.dtype, "kind", "O") in "OUST" and _sort(_first(values)):
            yield name
