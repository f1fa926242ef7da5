"""The weights in an ONNX file, read from its bytes: no ONNX library is needed and no graph is run.

An ONNX file is one protocol-buffer message. Only the few fields that lead to the initialisers and
to the order of the nodes are read (field numbers: onnx/onnx.proto, ModelProto, GraphProto,
NodeProto, TensorProto).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from headstart.errors import SourceError

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["convolutions", "parameters"]

_GRAPH, _NODE, _INITIALISER = 7, 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP = 1, 2, 4
_DIMS, _DATA_TYPE, _FLOATS, _INTEGERS, _NAME, _RAW = 1, 2, 4, 5, 8, 9
_TYPES = {1: "<f4", 2: "u1", 3: "i1"}
"""TensorProto.DataType: float32, uint8, int8. Tensors of other types come back empty."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def convolutions(data: bytes) -> list[tuple[Array, Array]]:
    """Kernels (out, in, height, width) and biases (out,) of all convolutions, in the file's order.

    Raises:
        SourceError: the file isn't ONNX, or a convolution lacks its kernel or bias.
    """
    try:
        tensors, nodes = _graph(data)
        return [(tensors[i[1]], tensors[i[2]]) for op, i, _ in nodes if op == "Conv"]
    except (IndexError, KeyError) as error:
        raise _unreadable(error) from error


def parameters(data: bytes) -> dict[str, Array]:
    """All float weights by name, and the constant operand of each MatMul by its output's name.

    Weights in int8 that pass a DequantizeLinear with one scale are dequantised:
    ``(values - zero point) * scale``, and a name's end ``_quantized`` is taken off.

    Raises:
        SourceError: the file isn't ONNX.
    """
    tensors, nodes = _graph(data)
    out = {name: values for name, values in tensors.items() if values.dtype == np.float32}
    for operator, inputs, outputs in nodes:
        if operator == "DequantizeLinear" and inputs[0] in tensors:
            values, scale = tensors[inputs[0]], tensors[inputs[1]]
            zero = tensors[inputs[2]] if len(inputs) > 2 else np.zeros(1, np.int8)
            if scale.size != 1 or zero.size != 1:
                raise _unreadable(ValueError(f"{inputs[0]} has several scales"))
            whole = values.astype(np.float32) - np.float32(zero.item())
            out[outputs[0]] = whole * np.float32(scale.item())
            out[inputs[0].removesuffix("_quantized")] = out[outputs[0]]
    for operator, inputs, outputs in nodes:
        if operator == "MatMul" and inputs[1] in out:
            out[outputs[0]] = out[inputs[1]]
    return out


def _graph(data: bytes) -> tuple[dict[str, Array], list[tuple[str, list[str], list[str]]]]:
    """The initialisers by name, and the nodes as operator, inputs and outputs."""
    try:
        graph = next(body for field, body in _fields(data) if field == _GRAPH)
        assert isinstance(graph, bytes)
        tensors, nodes = {}, []
        for field, body in _fields(graph):
            if field == _INITIALISER and isinstance(body, bytes):
                name, values = _tensor(body)
                tensors[name] = values
            elif field == _NODE and isinstance(body, bytes):
                nodes.append(_node(body))
    except (StopIteration, IndexError, ValueError, AssertionError) as error:
        raise _unreadable(error) from error
    return tensors, nodes


def _unreadable(error: Exception) -> SourceError:
    return SourceError(f"The ONNX file can't be read: {type(error).__name__}: {error}.")


def _node(body: bytes) -> tuple[str, list[str], list[str]]:
    """A node's operator and the names of its inputs and outputs."""
    inputs, outputs, operator = [], [], ""
    for field, value in _fields(body):
        if field == _NODE_INPUT and isinstance(value, bytes):
            inputs.append(value.decode())
        elif field == _NODE_OUTPUT and isinstance(value, bytes):
            outputs.append(value.decode())
        elif field == _NODE_OP and isinstance(value, bytes):
            operator = value.decode()
    return operator, inputs, outputs


def _tensor(body: bytes) -> tuple[str, Array]:
    """A tensor's name and its values, which stand in raw bytes or, if few, in a list."""
    shape: list[int] = []
    listed: list[int] = []
    name, raw, kind = "", b"", 0
    for field, value in _fields(body):
        if field == _DIMS:
            shape += [value] if isinstance(value, int) else list(_varints(value))
        elif field == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif field == _INTEGERS:
            listed += [value] if isinstance(value, int) else list(_varints(value))
        elif field == _NAME and isinstance(value, bytes):
            name = value.decode()
        elif field in (_RAW, _FLOATS) and isinstance(value, bytes):
            raw += value
    if kind not in _TYPES:
        return name, np.zeros(0, np.int8)
    if listed:
        # Negative numbers are written as 64 bits in two's complement.
        signed = [number - (1 << 64) if number >> 63 else number for number in listed]
        return name, np.array(signed, _TYPES[kind]).reshape(shape)
    return name, np.frombuffer(raw, _TYPES[kind]).reshape(shape)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field of a message: its number, and its integer or its bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(data):
            raise ValueError("the file is cut short")
        yield key >> 3, data[at : at + size]
        at += size
