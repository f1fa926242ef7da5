"""A quantised TensorFlow Lite classifier: kernels as bytes, BatchNorm already folded into them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.errors import MissingExtra, SourceError
from headstart.sources.convert._fold import whole_norm

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.types import Array

__all__ = ["state"]

EPS = 1e-3
"""Of the BatchNorm layers in timm's Inception-v3."""


def state(files: Mapping[str, bytes], own: Mapping[str, Any]) -> dict[str, Tensor]:
    """Name the dequantised kernels and biases in the architecture's order of convolutions.

    The first output of the classifier, TensorFlow's class for the background, is left out.

    Args:
        files: one ``.tflite`` file; its graph is read, not run.
        own: the state dict of the architecture with its head, for names and shapes.

    Raises:
        SourceError: the graph has other convolutions.
        MissingExtra: OpenVINO, which reads it, isn't installed.
    """
    import torch

    given = _convolutions(next(iter(files.values())))
    names = [name for name in own if name.endswith(".conv.weight")]
    if len(given) != len(names) + 1:
        raise SourceError(f"The graph has {len(given)} convolutions, not {len(names) + 1}.")
    out: dict[str, Tensor] = {}
    for name, (kernel, bias) in zip(names, given, strict=False):
        if kernel.shape != tuple(own[name].shape):
            raise SourceError(f"The kernel for {name} is {kernel.shape}, not {own[name].shape}.")
        out[name] = torch.from_numpy(kernel)
        out |= whole_norm(name.replace(".conv.weight", ".bn"), torch.from_numpy(bias), EPS)
    kernel, bias = given[-1]
    out["fc.weight"] = torch.from_numpy(kernel[1:, :, 0, 0].copy())
    out["fc.bias"] = torch.from_numpy(bias[1:].copy())
    return out


def _convolutions(data: bytes) -> list[tuple[Array, Array]]:
    """Kernel (out, in, height, width) and bias of each convolution, float32, in the graph's order."""
    try:
        import openvino
    except ImportError as error:
        raise MissingExtra("OpenVINO reads .tflite.", "Install it: pip install openvino") from error
    with tempfile.TemporaryDirectory(prefix="headstart-tflite-") as place:
        path = Path(place) / "model.tflite"
        path.write_bytes(data)
        try:
            model = openvino.Core().read_model(path)
        except RuntimeError as error:
            raise SourceError("The .tflite file can't be read.") from error
        found = []
        for node in model.get_ordered_ops():
            if node.get_type_name() != "Convolution":
                continue
            after = next(iter(node.output(0).get_target_inputs())).get_node()
            bias = _value(after.input_value(1).get_node()).reshape(-1)
            found.append((_value(node.input_value(1).get_node()), bias))
        return found


def _value(node: Any) -> Array:
    """A constant, or constants under the few operations by which bytes become numbers."""
    kind = node.get_type_name()
    if kind == "Constant":
        return np.array(node.get_data(), dtype=np.float32)
    inputs = [_value(value.get_node()) for value in node.input_values()]
    if kind == "Convert":
        return inputs[0]
    if kind == "Subtract":
        return np.asarray(inputs[0] - inputs[1], dtype=np.float32)
    if kind == "Multiply":
        return np.asarray(inputs[0] * inputs[1], dtype=np.float32)
    raise SourceError(f"A kernel in the .tflite file is made by {kind}, which isn't known.")
