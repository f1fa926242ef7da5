"""What a method file holds, and what the workflow may ask of it.

A method is a frozen dataclass named ``Method`` in a file of its own. The class says what it does,
when to try it and when it hurts; its fields are its parameters, declared with
:func:`headstart.types.param`. Families ask for one thing each:

* ``finetune``: ``solve`` (a probe, in closed form or by a solver) ``recipe`` (a training),
  or ``combine`` (of networks that are trained already);
* ``align``: ``align`` (a head for the target from two domains' cached features);
* ``adapt``: ``loss`` (added to the source's, in a training on two domains);
* ``sourcefree``: ``adapt`` (of a trained head by the target's features alone);
* ``regularise``: either ``penalty`` (added to the loss) or ``mix`` (of inputs), see
  :mod:`headstart.methods.regularise.base`;
* ``keep``: ``choose`` (what is kept of the source and the trained weights);
* ``control``: ``predict`` (without a network) or ``recipe``.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from headstart import registry
from headstart.errors import UsageError, nearest
from headstart.train.pair import Round, Seen
from headstart.train.recipe import Further, Recipe
from headstart.types import param

__all__ = [
    "Base",
    "Further",
    "Recipe",
    "Round",
    "Seen",
    "Situation",
    "catalogue",
    "configure",
    "epochs_for",
    "input_size",
    "param",
    "searched",
]


@dataclass(frozen=True)
class Situation:
    """What a method may know when it sets its recipe.

    Attributes:
        rows: training rows.
        classes: number of classes.
        native: median short side of the pictures in px.
        size: the side in px of the source model's input.
        freeze_point: the source model's freeze point for ``partial``.
        turnable: whether the pictures have no upside (the user said so).
        modality: of the rows, ``image`` or ``text``.
        points: freeze points between a text network's layers, the first first.
        folded_norm: whether BatchNorm's statistics lie in the convolutions, so that they must stay.
    """

    rows: int
    classes: int
    native: int
    size: int
    freeze_point: str
    turnable: bool = False
    folded_norm: bool = False
    modality: str = "image"
    points: tuple[str, ...] = ()

    def views(self, smallest: float) -> dict[str, Any]:
        """What augmented views may change.

        Pictures without an upside are mostly of one thing that fills them (a cell, a tile, a part):
        a small crop would often miss the flaw that makes the label, so they are turned instead.
        """
        if self.turnable:
            return {"smallest": max(smallest, 0.85), "turn": True, "light": 0.1}
        return {"smallest": smallest, "turn": False, "light": 0.2}


@dataclass(frozen=True)
class Base:
    """The base of every method: checks each parameter against its range.

    Raises:
        UsageError: a parameter is out of its range; the message names it.
    """

    family: ClassVar[str]
    summary: ClassVar[str]
    try_when: ClassVar[str]
    hurts_when: ClassVar[str]
    relative_gain: ClassVar[float] = 0.0
    """Share of the remaining errors that the method may be expected to remove: a prior for the gate,
    rounded from the solar cells and CIFAR-10 in ``benchmarks/results``, not a promise."""
    tasks: ClassVar[tuple[str, ...]] = ("classify", "multilabel", "regress")
    """The tasks that it makes sense for, by their files."""
    modalities: ClassVar[tuple[str, ...]] = ("image", "text")
    """What its rows may be."""
    unasked: ClassVar[bool] = True
    """Whether a run tries the method by itself; otherwise only ``--method`` brings it in."""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            low, high = spec.metadata.get("low"), spec.metadata.get("high")
            choices = spec.metadata.get("choices", ())
            if choices and value not in choices:
                raise UsageError(
                    f"{self.name()}: {spec.name} = {value!r} is not a choice.",
                    nearest(str(value), choices),
                )
            if isinstance(value, bool | str) or value is None:
                continue
            if (
                (low is not None and value < low)
                or (high is not None and value > high)
                or math.isnan(value)
            ):
                raise UsageError(
                    f"{self.name()}: {spec.name} = {value!r} is out of range. "
                    f"Allowed: {_range(low, high)}."
                )

    @classmethod
    def name(cls) -> str:
        """The file's name, which is the method's name."""
        return cls.__module__.rsplit(".", 1)[-1]

    @classmethod
    def parameters(cls) -> list[dict[str, Any]]:
        """Each parameter's name, default, range and help; ``shared`` with other methods or its own."""
        return [
            {
                "name": spec.name,
                "default": spec.default,
                "range": ", ".join(spec.metadata.get("choices", ()))
                or _range(spec.metadata.get("low"), spec.metadata.get("high")),
                "help": spec.metadata["help"],
                "shared": spec.name not in inspect.get_annotations(cls),
            }
            for spec in dataclasses.fields(cls)
        ]

    def values(self) -> dict[str, Any]:
        """The parameters as plain values."""
        return dataclasses.asdict(self)


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "any"
    return f"{'-inf' if low is None else f'{low:g}'} to {'inf' if high is None else f'{high:g}'}"


def epochs_for(rows: int, updates: int, batch: int, low: int, high: int) -> int:
    """Epochs that give about ``updates`` steps, within limits.

    >>> epochs_for(rows=3200, updates=1000, batch=32, low=5, high=40)
    10
    """
    return max(low, min(high, round(updates * batch / max(rows, 1))))


def input_size(native: int, size: int) -> int:
    """The side in px at which to train: as large as the pictures can fill, at most the model's.

    Pictures much smaller than the model's input hold nothing that a larger input would show, and
    an epoch costs as the square of the side.

    >>> [input_size(native, 224) for native in (32, 96, 160, 300)]
    [128, 160, 224, 224]
    """
    wanted = -(-max(native * 3 // 2, 1) // 32) * 32
    return max(min(wanted, size), min(128, size))


def configure(family: str, name: str, settings: dict[str, str] | None = None) -> Any:
    """Make a method by name, with parameters given as text (``epochs=5``).

    Raises:
        UsageError: the method or a parameter is unknown, or a value can't be read.
    """
    method = registry.load(f"methods.{family}", name).Method
    known = {spec.name: spec for spec in dataclasses.fields(method)}
    values: dict[str, Any] = {}
    for key, text in (settings or {}).items():
        if key not in known:
            raise UsageError(f"{name} has no parameter {key!r}.", nearest(key, known))
        values[key] = _parse(name, key, text, known[key].default)
    return method(**values)


def _parse(method: str, key: str, text: str, default: Any) -> Any:
    """Read a value in the type of the default."""
    try:
        if isinstance(default, bool):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.strip().lower()
            ]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
    except (ValueError, KeyError) as error:
        kind = type(default).__name__
        raise UsageError(
            f"{method}: {key} = {text!r} is not a {kind} (default {default})."
        ) from error
    return text


def searched(family: str, name: str) -> dict[str, dict[str, Any]]:
    """Where a method's parameters are searched, as keywords of a range; empty where none is."""
    out: dict[str, dict[str, Any]] = {}
    for spec in dataclasses.fields(registry.load(f"methods.{family}", name).Method):
        where = spec.metadata.get("search", ())
        if where and isinstance(where[0], str):
            out[spec.name] = {"choices": where}
        elif where:
            out[spec.name] = {"low": where[0], "high": where[1], "whole": type(spec.default) is int}
    return out


def catalogue() -> list[dict[str, Any]]:
    """Every method found on disk, with what it does, when to try it and when it hurts."""
    found = []
    for family in registry.METHOD_FAMILIES:
        for module in registry.load_all(f"methods.{family}"):
            method = module.Method
            found.append(
                {
                    "name": method.name(),
                    "family": family,
                    "summary": method.summary,
                    "try_when": inspect.cleandoc(method.try_when),
                    "hurts_when": inspect.cleandoc(method.hurts_when),
                    "parameters": method.parameters(),
                    "unasked": method.unasked,
                }
            )
    return found
