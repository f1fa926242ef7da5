"""Files that hold a table: CSV, TSV, JSON (lines, or an array of records) and Parquet."""

from __future__ import annotations

import csv
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["is_table", "load"]

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}
_JSON = (".jsonl", ".ndjson", ".json")
_PARQUET = (".parquet", ".pq")
_MISSING = ["", "nan", "NaN", "<NA>"]
"""What pandas writes for a missing cell; ``None`` and ``NA`` may be names of classes."""


def is_table(path: Path) -> bool:
    """Whether the name is that of a table; text files may be gzipped.

    >>> is_table(Path("reviews.jsonl.gz")), is_table(Path("photo.jpg"))
    (True, False)
    """
    kind, packed = _kind(path)
    return kind in (*_SEPARATORS, *_JSON) or (kind in _PARQUET and not packed)


def load(path: Path) -> tuple[pd.DataFrame, dict[int, str]]:
    """Read a table, in which CSV cells stay text and other files keep their types.

    Returns:
        the table, and why a row can't be used, by its number from 1, for rows that aren't even a
        record (such rows are empty in the table).

    Raises:
        DataError: the file isn't a table.
    """
    import pandas as pd

    kind, packed = _kind(path)
    try:
        if kind in _PARQUET:
            return pd.read_parquet(path), {}
        if kind in _JSON:
            records, bad = _records(_text(path, packed))
            return pd.DataFrame(records, dtype=object), bad
        separator = _SEPARATORS[kind]
        table = pd.read_csv(
            path,
            sep=separator,
            engine="c" if separator else "python",
            dtype=str,
            encoding="utf-8-sig",
            keep_default_na=False,
            na_values=_MISSING,
            skipinitialspace=True,
        )
        return table, {}
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text.", f"Convert it: iconv -t UTF-8 {path.name} > utf8{kind}"
        ) from error
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"Can't read {path}: {reason}.") from error
    except (ValueError, csv.Error, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} can't be read as a table: {reason}.") from error


def _kind(path: Path) -> tuple[str, bool]:
    """The suffix that tells the format, and whether the file is gzipped."""
    packed = path.suffix.lower() == ".gz"
    return Path(path.stem if packed else path.name).suffix.lower(), packed


def _text(path: Path, packed: bool) -> str:
    import gzip

    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    return data.decode("utf-8-sig")


def _records(text: str) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """The records of an array, or of one line each; a line that is none becomes an empty record.

    Raises:
        ValueError: it is neither.
    """
    if text.lstrip()[:1] == "[":
        found = json.loads(text)
    else:
        lines = [line for line in text.split("\n") if line.strip()]
        found = [_record(line) for line in lines]
    bad = {n: _not_a_record(one) for n, one in enumerate(found, 1) if not isinstance(one, dict)}
    if len(bad) == len(found):
        raise ValueError('it holds no record, such as {"text": …, "label": …} on one line')
    return [one if isinstance(one, dict) else {} for one in found], bad


def _record(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return error


def _not_a_record(found: Any) -> str:
    return "the line is not JSON" if isinstance(found, Exception) else "not a JSON record"
