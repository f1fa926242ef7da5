"""Checkpoints from which a killed training goes on to the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.files import atomic

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

__all__ = ["restore", "save"]

FILE = "checkpoint.safetensors"


def save(
    folder: Path,
    module: nn.Module,
    optimiser: optim.Optimizer,
    facts: dict[str, Any],
    beside: dict[str, dict[str, Tensor]] | None = None,
) -> None:
    """Write weights, optimiser state and facts (the epoch, the curve) as one file.

    Args:
        folder: of the training.
        module: what trains.
        optimiser: with its state.
        facts: plain values.
        beside: other sets of weights by their name: the moving average, the best epoch's.
    """
    from safetensors.torch import save_file

    tensors = {
        f"model.{name}": value.detach().clone() for name, value in module.state_dict().items()
    }
    for index, state in optimiser.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimiser.{index}.{name}"] = value.detach().clone().contiguous()
    for kind, state in (beside or {}).items():
        tensors |= {f"{kind}.{name}": value.detach().clone() for name, value in state.items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    with atomic(folder / FILE) as temporary:
        save_file(tensors, temporary, metadata={"facts": json.dumps(facts)})


def restore(
    folder: Path,
    module: nn.Module,
    optimiser: optim.Optimizer,
    beside: dict[str, dict[str, Tensor]] | None = None,
) -> dict[str, Any] | None:
    """Load the checkpoint if there is one; return its facts.

    Args:
        folder, module, optimiser: as :func:`save` had them.
        beside: gets the other sets of weights.
    """
    from safetensors import safe_open

    path = folder / FILE
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = {
        name.removeprefix("model."): value
        for name, value in tensors.items()
        if name.startswith("model.")
    }
    module.load_state_dict(model)
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
        elif beside is not None and not name.startswith("model."):
            kind, key = name.split(".", 1)
            beside.setdefault(kind, {})[key] = value
    whole = optimiser.state_dict()
    whole["state"] = state
    optimiser.load_state_dict(whole)
    return facts
