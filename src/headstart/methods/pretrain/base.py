"""What a method of further pretraining offers: how the source model reads texts on before any label is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Base, Further, param

__all__ = ["Further", "Pretrain", "param"]


@dataclass(frozen=True)
class Pretrain(Base):
    """The base of methods that change the source model itself; others may follow on its new features."""

    family: ClassVar[str] = "pretrain"
    unasked: ClassVar[bool] = False
    """They take minutes where others take none, so they run only when they are named."""
    tasks: ClassVar[tuple[str, ...]] = ("classify",)
    modalities: ClassVar[tuple[str, ...]] = ("text",)
    fixes: ClassVar[tuple[str, ...]] = ("covariate",)

    def further(self, rows: int) -> Further:
        """How long and how fast it reads.

        Args:
            rows: texts that there are to read.
        """
        raise NotImplementedError

    @property
    def reads_source(self) -> bool:
        """Whether the source's texts are read, too."""
        return False
