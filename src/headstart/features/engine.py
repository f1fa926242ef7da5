"""Choosing the fastest engine that agrees with the reference."""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from headstart import registry
from headstart.errors import EngineError
from headstart.sources.base import Contract, Network

if TYPE_CHECKING:
    from torch import Tensor, nn

    from headstart.types import Array

__all__ = [
    "BATCH",
    "TOLERANCE",
    "Check",
    "Engine",
    "brief",
    "choose",
    "cores",
    "cosine",
    "machine",
    "pixels",
]

log = logging.getLogger("headstart.engine")

BATCH = 16
TOLERANCE = 0.999
"""Smallest cosine, over the rows of the first batch, between an engine's output and the reference."""
NEAR = 0.01
"""Largest difference where the output is one number, in standard deviations of the labels: bfloat16 is
mostly further off, and nobody wants a number that changes with the batch it was in."""


class Engine(Protocol):
    """Runs a frozen network; ``workers`` threads may call ``run`` at once."""

    workers: int
    precision: str

    def run(self, batch: Array) -> Array:
        """Run one batch."""


@dataclass(frozen=True)
class Check:
    """The first batch, compared with the reference.

    Attributes:
        engine, precision: what was chosen.
        cosine: the smallest over the batch's rows; 1 is identical.
        difference: the largest absolute difference.
        notes: engines that were tried and put aside, with the reason.
    """

    engine: str
    precision: str
    cosine: float
    difference: float
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def machine() -> str:
    """The processor's name and cores, for the report and for cache keys."""
    import platform

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:  # noqa: PTH123
            lines = [line for line in handle if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    except OSError:
        pass
    return f"{name}, {cores()} cores"


def pixels(contract: Contract) -> nn.Module:
    """A module from uint8 pictures (n, height, width, 3) to the network's float input."""
    import torch
    from torch import nn

    class Pixels(nn.Module):
        scale: Tensor
        shift: Tensor

        def __init__(self) -> None:
            super().__init__()
            mean, std = torch.tensor(contract.mean), torch.tensor(contract.std)
            self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
            self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 3, 1, 2).float() * self.scale + self.shift

    return Pixels()


def cosine(a: Array, b: Array) -> Array:
    """Cosine of each row of ``a`` with the same row of ``b``; two zero rows count as equal."""
    a, b = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1).astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    same = np.all(a == b, axis=1)
    value: Array = np.where(same, 1.0, (a * b).sum(axis=1) / np.maximum(norms, 1e-30))
    return value


def choose(
    network: Network,
    contract: Contract | None,
    example: Array,
    *,
    start: int = 0,
    stop: int | None = None,
    head: bool = False,
    averaged: bool = False,
    merge: str = "softmax",
    half_from: str = "",
    only: str | None = None,
) -> tuple[Engine, Check]:
    """Build the fastest engine whose output on the first batch agrees with the reference.

    Args:
        network: the network to cut from.
        contract: how pixels become its input; None when the input is already activations.
        example: the first batch, at the size in which batches will be run.
        start, stop: which stages to run.
        head: end with the head's logits instead of features.
        averaged: average the head's outputs over four orientations of the picture.
        merge: which outputs, see :class:`headstart.features.turns.Merge`.
        half_from: the first stage that may run in bfloat16.
        only: the name of an engine's file, to use it alone.

    Returns:
        the engine and what the comparison showed.

    Raises:
        EngineError: the engine asked for by name can't run here.
    """
    from torch import nn

    network.model.eval()
    whole = network.part(start, stop, head=head)
    front: list[nn.Module] = [pixels(contract)] if contract else []
    back: list[nn.Module] = []
    if averaged:
        from headstart.features.turns import Merge, Turns

        front, back = [Turns(), *front], [Merge(merge)]
    reference_module = nn.Sequential(*front, whole, *back).eval()
    eager = registry.load("features.engines", "eager")
    reference = eager.Engine([reference_module], example, "f32")
    expected = reference.run(example)
    notes: list[str] = []
    for module in (
        [registry.load("features.engines", only)] if only else registry.load_all("features.engines")
    ):
        absent = module.missing()
        if absent:
            if only:
                raise EngineError(f"The engine {only} can't run here: {absent}.")
            continue
        if module is eager:
            break
        cut = network.position(half_from) - 1 - start if half_from else 0
        for precision in module.PRECISIONS:
            if (precision == "bf16" and half_from) or (precision == "mixed" and not half_from):
                continue
            parts = [reference_module]
            if precision == "mixed":
                if cut <= 0:
                    continue
                split = start + cut
                parts = [
                    nn.Sequential(*front, network.part(start, split)).eval(),
                    nn.Sequential(network.part(split, stop, head=head), *back).eval(),
                ]
            try:
                engine: Engine = module.Engine(parts, example, precision, threads=cores())
                got = engine.run(example)
                one = expected.ndim == 2 and expected.shape[1] == 1
                # One output has no direction but its sign: it is compared over the batch's rows.
                pair = (expected.T, got.T) if one else (expected, got)
                agreement = float(cosine(*pair).min())
                difference = float(np.abs(expected - got).max())
                sound = got.shape == expected.shape and bool(np.isfinite(got).all())
                far = one and difference > NEAR
            except Exception as error:  # an engine that fails is put aside, whatever its reason
                notes.append(f"{module.NAME} {precision}: {brief(error)}")
                continue
            if sound and agreement >= TOLERANCE and not far:
                return engine, Check(module.NAME, precision, agreement, difference, tuple(notes))
            notes.append(
                f"{module.NAME} {precision}: off by {difference:.2g}, over {NEAR:g}"
                if far
                else f"{module.NAME} {precision}: cosine {agreement:.5f} is under {TOLERANCE}"
            )
            log.info(notes[-1])
    return reference, Check(eager.NAME, "f32", 1.0, 0.0, tuple(notes))


def brief(error: Exception) -> str:
    """An error in one line of at most 160 characters."""
    return " ".join(str(error).split())[:160] or type(error).__name__
