"""How much faster a training step is under bfloat16 autocast than in float32, on this processor.

    python benchmarks/precision.py --out benchmarks/results/precision.json

For each network: a batch forwards and backwards, everything trained, BatchNorm's statistics still,
channels last; the best of several steps, the two precisions in turn, so that what else the machine
does meets both alike. The file's `rule` is what `precision=auto` takes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import timm
import torch
from torch import nn

from headstart.features.engine import machine
from headstart.train.loop import keep_memory
from headstart.train.precision import fast_half, settled
from headstart.train.recipe import Recipe

NETWORKS = [
    ("tf_efficientnet_lite0", 128),
    ("tf_efficientnet_lite0", 224),
    ("mobilenetv3_small_100", 128),
    ("convnext_atto", 128),
    ("resnext50_32x4d", 128),
    ("regnetx_004", 128),
    ("resnet18", 64),
    ("resnet18", 128),
    ("resnet50", 128),
    ("vgg11", 128),
    ("densenet121", 128),
    ("inception_v3", 160),
    ("vit_tiny_patch16_224", 224),
]
BATCH, STEPS = 8, 4
RECIPE = Recipe("input", 1, BATCH, 1e-3, 1e-3, precision="auto")


def step(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, half: bool) -> float:
    """Seconds of one training step without the optimiser."""
    begun = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        output = model(inputs)
    nn.functional.cross_entropy(output.float(), targets).backward()
    model.zero_grad()
    return time.perf_counter() - begun


def measured(name: str, size: int) -> dict[str, object]:
    """Milliseconds of a step in both precisions, and their ratio."""
    torch.manual_seed(0)
    model = (
        timm.create_model(name, num_classes=10, img_size=size)
        if "vit" in name
        else (timm.create_model(name, num_classes=10))
    )
    model.to(memory_format=torch.channels_last).train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    inputs = torch.randn(BATCH, 3, size, size).to(memory_format=torch.channels_last)
    targets = torch.randint(10, (BATCH,))
    best = {False: float("inf"), True: float("inf")}
    for number in range(STEPS + 1):
        for half in (False, True):
            seconds = step(model, inputs, targets, half)
            if number:  # the first of each compiles
                best[half] = min(best[half], seconds)
    return {
        "network": name,
        "size": size,
        "float32_ms": round(1000 * best[False], 1),
        "bf16_ms": round(1000 * best[True], 1),
        "faster": round(best[False] / best[True], 2),
        "auto": settled(RECIPE, model).precision,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    keep_memory()
    found: list[dict[str, object]] = []
    facts = {
        "command": f"python benchmarks/precision.py --out {out}",
        "processor": machine(),
        "half_in_hardware": fast_half(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "batch": BATCH,
        "steps": found,
    }
    for name, size in NETWORKS:
        found.append(measured(name, size))
        print(found[-1], flush=True)
        out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
