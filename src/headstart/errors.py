"""Every error that headstart raises on purpose.

::

    HeadstartError             exit code 1: something failed and the message says what to do
    ├── UsageError             exit code 2: the command or the arguments are wrong
    ├── DataError              the data can't be used as they are
    │   └── InputError         what an estimator was given can't be used; a ValueError as well
    ├── SourceError            a source model can't be had, or its weights are not what they should be
    ├── EngineError            no engine can run the network here
    ├── BundleError            a bundle is damaged, incomplete or from a newer version
    ├── OutputError            a file can't be written (read-only folder, full disk)
    ├── RunError               a run folder can't be resumed or read
    ├── Interrupted            the user stopped the run; it can be resumed
    └── MissingExtra           an optional package isn't installed

A message names the thing, what is allowed, what came instead, and what to type next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BundleError",
    "DataError",
    "EngineError",
    "HeadstartError",
    "InputError",
    "Interrupted",
    "MissingExtra",
    "OutputError",
    "RunError",
    "SourceError",
    "UsageError",
    "nearest",
]


class HeadstartError(Exception):
    """A failure that headstart explains.

    Args:
        message: what happened, where, and what was expected.
        hint: what the user can do or type next; empty when there is nothing to add.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message}\n{hint}" if hint else message)


class UsageError(HeadstartError):
    """The command or its arguments are wrong."""

    exit_code = 2


class DataError(HeadstartError):
    """The data can't be used as they are."""


class InputError(DataError, ValueError):
    """What an estimator was given can't be used; scikit-learn's tools expect a ValueError there."""


class SourceError(HeadstartError):
    """A source model can't be had, or its weights are not what they should be."""


class EngineError(HeadstartError):
    """No engine can run the network here."""


class BundleError(HeadstartError):
    """A bundle is damaged, incomplete or from a newer version."""


class OutputError(HeadstartError):
    """A file can't be written."""


class RunError(HeadstartError):
    """A run folder can't be resumed or read."""


class Interrupted(HeadstartError):
    """The user stopped the run; it can be resumed."""


class MissingExtra(HeadstartError):
    """An optional package isn't installed."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a sentence that offers the nearest allowed names.

    >>> nearest("lable", ["label", "image"])
    "Did you mean 'label'? Allowed: image, label."
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Allowed: {', '.join(names)}." if names else guess.strip()
