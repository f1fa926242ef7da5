"""How long the features of the next source model will take, by what those before took."""

from __future__ import annotations

from collections.abc import Callable

from headstart.errors import RunError
from headstart.sources.base import SourceModel

__all__ = ["Pace", "work_of"]

PER_PARAMETER = 100.0
"""Multiply-adds of a picture for each parameter: 90 in EfficientNet-Lite0, 160 in ResNet-50."""
START = 2.0
"""Seconds in which an engine is built, whatever the network costs."""


def work_of(source: SourceModel) -> float:
    """Multiply-adds of one input; a guess from the parameters where they aren't known."""
    return float(source.macs or PER_PARAMETER * source.parameters or 1.0)


class Pace:
    """Keeps a ranking within the seconds that it may use.

    Args:
        left: the seconds that are left for it; None sets no limit.
    """

    def __init__(self, left: Callable[[], float] | None = None) -> None:
        self.left = left
        self._work = self._seconds = 0.0

    def note(self, work: float, seconds: float) -> None:
        """Learn from features that came.

        Args:
            work: rows times the cost of one, in any unit.
            seconds: that they took, the engine's start included.
        """
        if work > 0:
            self._work += work
            self._seconds += max(seconds - START, 0.1 * seconds)

    def predict(self, work: float) -> float:
        """Seconds of the next features; 0 while nothing is known."""
        return START + work * self._seconds / self._work if self._work else 0.0

    def fits(self, work: float) -> bool:
        """Whether there is time for the next features."""
        return self.left is None or self.predict(work) <= self.left()

    def afford(self, work: float) -> None:
        """Refuse features that there is no time for.

        Raises:
            RunError: with their predicted seconds, and those that are left.
        """
        if self.left is not None and not self.fits(work):
            needs, left = self.predict(work), max(self.left(), 0.0)
            raise RunError(
                f"its features would take {needs:.0f} s, and {left:.0f} s are left for them",
                "Give more time (--budget 30m), or name fewer source models.",
            )
