"""What a regulariser offers, and how several are named in one line.

A file here holds a pure function and a frozen dataclass ``Method`` with, besides its parameters
(``strength`` is one of them, and 0 switches it off):

* either ``penalty(seen)``, a number to add to the loss, with ``needs`` naming what it looks at
  besides the weights (``maps``: feature maps; ``source_head``: the source's own head), and
  ``learn(known)`` where it has to learn something from the training rows first;
* or ``mix(inputs, order, random)``, which mixes a batch with itself in another order.

``--set full.regularise=l2_sp+mixup`` brings them in, ``--set l2_sp.strength=0.1`` sets one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headstart.errors import UsageError
from headstart.methods.base import Base, configure

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Regulariser", "named", "read", "settled"]


@dataclass(frozen=True)
class Regulariser(Base):
    """The base of every regulariser."""

    family: ClassVar[str] = "regularise"
    needs: ClassVar[tuple[str, ...]] = ()
    pixels_only: ClassVar[bool] = False
    unasked: ClassVar[bool] = False

    @property
    def off(self) -> bool:
        """Whether its strength is zero, so that the training is the plain one."""
        return not self.values()["strength"]

    def learn(self, known: Any) -> dict[str, Tensor]:
        """What to remember from before the training, for ``seen.memory``; see
        :class:`headstart.train.hold.Known`."""
        return {}


def named(text: str) -> list[tuple[str, dict[str, str]]]:
    """Names with the parameters written behind them.

    >>> named("l2_sp:strength=0.1,head=0 + mixup")
    [('l2_sp', {'strength': '0.1', 'head': '0'}), ('mixup', {})]
    """
    found: list[tuple[str, dict[str, str]]] = []
    for item in text.split("+") if text.strip() else []:
        name, _, rest = item.strip().partition(":")
        values: dict[str, str] = {}
        for pair in rest.split(",") if rest else []:
            key, equals, value = pair.partition("=")
            if not equals:
                raise UsageError(
                    f"{item.strip()!r} can't be read: {pair!r} is no KEY=VALUE.",
                    "Type: l2_sp:strength=0.1,head=0+mixup",
                )
            values[key.strip()] = value.strip()
        found.append((name, values))
    return found


def settled(text: str, settings: dict[str, dict[str, str]], family: str = "regularise") -> str:
    """Names with every parameter's value: all that a recipe has to remember.

    Args:
        text: as the user wrote it; what stands there goes before ``settings``.
        settings: name → parameter → value.
        family: ``regularise`` or ``keep``.

    Raises:
        UsageError: a name is unknown or comes twice, or a value is out of range.

    >>> settled("mixup", {"mixup": {"strength": "0.3"}})
    'mixup:strength=0.3'
    """
    found = named(text)
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is named twice in {text!r}.", "Name it once.")
    out = []
    for name, values in found:
        made = configure(family, name, {**settings.get(name, {}), **values})
        listed = ",".join(f"{key}={value}" for key, value in made.values().items())
        out.append(f"{name}:{listed}" if listed else name)
    return "+".join(out)


def read(text: str, family: str = "regularise") -> list[Any]:
    """Make what :func:`settled` wrote."""
    return [configure(family, name, values) for name, values in named(text)]
