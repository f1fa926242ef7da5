"""Whether a model hub answers, found out within seconds."""

from __future__ import annotations

import os
import threading
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from headstart.errors import SourceError

__all__ = ["address", "answers", "silent"]

WAIT = 5.0
"""Seconds in which a hub must answer; a name server that doesn't is given the same again."""


def address() -> str:
    """The hub that the user's environment names, or the public one."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")


def answers(place: str) -> bool:
    """Whether anything answers there within seconds, through the user's proxy if there is one.

    It runs in a thread of its own, because asking a name server knows no time limit.
    """
    heard = threading.Event()

    def ask() -> None:
        try:
            with urlopen(Request(place, method="HEAD"), timeout=WAIT):
                heard.set()
        except HTTPError:
            heard.set()
        except (OSError, ValueError):
            pass

    asking = threading.Thread(target=ask, name="hub", daemon=True)
    asking.start()
    asking.join(2 * WAIT)
    return heard.is_set()


def silent(what: str, place: str, instead: str) -> SourceError:
    """The error for a hub that doesn't answer."""
    return SourceError(
        f"{what} can't be had: {urlsplit(place).hostname} doesn't answer.",
        f"Check the network, or {instead}",
    )
