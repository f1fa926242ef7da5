"""Pictures and labels as arrays: ``(images, labels)``, a dict, or an ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from headstart.data.dataset import Columns, Dataset, Row, part_of, text_of
from headstart.data.readers import texts
from headstart.errors import DataError, UsageError
from headstart.types import Skip

__all__ = ["claims", "read"]

RANK = 3
_IMAGES = ("images", "image", "X", "x")
_LABELS = ("labels", "label", "y", "targets")


def claims(data: Any) -> bool:
    """Whether this is a pair of arrays, a dict of arrays or an ``.npz`` file, and not of texts."""
    if isinstance(data, Path):
        return data.is_file() and data.suffix.lower() == ".npz"
    if texts.claims(data):
        return False
    if isinstance(data, dict):
        return True
    return isinstance(data, tuple | list) and len(data) == 2 and hasattr(data[0], "__len__")


def read(data: Any, columns: Columns) -> Dataset:
    """Read pictures of shape (n, height, width) or (n, height, width, channels).

    ``uint8`` from 0 to 255, or floats from 0 to 1. Labels of shape (n,); ``groups`` and ``split``
    (values train, val, test) may be given by name.

    Raises:
        UsageError: an array is missing or has the wrong shape.
        DataError: the file isn't an ``.npz`` of plain arrays.
    """
    import numpy as np

    where = str(data) if isinstance(data, Path) else "the arrays"
    if isinstance(data, Path):
        try:
            with data.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
                data = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise DataError(f"{where} is not an .npz file of plain arrays: {error}.") from error
    elif not isinstance(data, dict):
        data = {"images": data[0], "labels": data[1]}
    images = _pick(data, (columns.image,) if columns.image else _IMAGES, where)
    labels = _pick(data, (columns.label,) if columns.label else _LABELS, where)
    groups = data.get(columns.group or "groups")
    parts = data.get(columns.split or "split")
    for what, values in (("labels", labels), ("groups", groups), ("split values", parts)):
        if values is not None and len(images) != len(values):
            raise UsageError(f"{where}: {len(images)} images but {len(values)} {what}.")
    if np.ndim(labels[0] if len(labels) else 0):
        raise UsageError(
            f"{where}: a label has the shape {np.shape(labels[0])}.",
            "Expected one class or number for each image; for several labels, a text of them with "
            "label_delim.",
        )
    rows, skips = [], []
    for index in range(len(images)):
        name = f"row {index}"
        picture = np.asarray(images[index])
        if picture.ndim not in (2, 3):
            raise UsageError(
                f"{where}: an image has the shape {picture.shape}.",
                "Expected (n, height, width) or (n, height, width, 1, 3 or 4).",
            )
        label = text_of(labels[index])
        label = "" if label is None and columns.label_delim else label
        if label is None:
            skips.append(Skip(name, "the label is missing"))
            continue
        group = None if groups is None else text_of(groups[index])
        part = None if parts is None else part_of(text_of(parts[index]), f"Row {index}")
        rows.append(Row(name, picture, label, group, part))
    return Dataset(tuple(rows), where, "arrays", tuple(skips))


def _pick(data: dict[str, Any], wanted: tuple[str, ...], where: str) -> Any:
    for name in wanted:
        if name in data:
            return data[name]
    raise UsageError(
        f"{where} hold no array named {' or '.join(map(repr, wanted))}.",
        f"Arrays here: {', '.join(sorted(data)) or 'none'}.",
    )
