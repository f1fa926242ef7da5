"""Pretrains the source model further on the target's texts, then solves a head on the source's labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import epochs_for
from headstart.methods.pretrain.base import Further, Pretrain, param

__all__ = ["Method"]

UPDATES = 300


@dataclass(frozen=True)
class Method(Pretrain):
    """Domain-adaptive pretraining (Gururangan et al. 2020, section 3; Han and Eisenstein 2019).

    Encoders guess masked tokens (Devlin et al. 2019, section 3.1), decoders the next one. The new features
    then get a source-only head; ``dapt+self_training``, ``dapt+consensus`` and the like adapt on them.
    """

    summary: ClassVar[str] = (
        "Pretrain the text model further on the target's texts, then solve the head anew (DAPT)."
    )
    try_when: ClassVar[str] = (
        "The target's texts are thousands, and unlike what the source model has read: a trade's own words."
    )
    hurts_when: ClassVar[str] = (
        "The source model makes features of whole sentences (MiniLM): guessing words undoes some of that."
    )

    epochs: int = param(0, "passes over the texts; 0 sets them from their number", low=0, high=500)
    rate: float = param(5e-5, "largest learning rate", low=0, high=0.1)
    batch: int = param(32, "texts in one step", low=1, high=1024)
    share: float = param(0.15, "share of the tokens that an encoder guesses", low=0.01, high=0.9)
    source: bool = param(True, "read the source's texts, too, so that their labels still fit")

    def further(self, rows: int) -> Further:
        """As the parameters say; by default about 300 updates, in 1 to 20 passes."""
        epochs = self.epochs or epochs_for(rows, UPDATES, self.batch, 1, 20)
        return Further(epochs=epochs, batch=self.batch, rate=self.rate, share=self.share)

    @property
    def reads_source(self) -> bool:
        """As ``source`` says."""
        return self.source
