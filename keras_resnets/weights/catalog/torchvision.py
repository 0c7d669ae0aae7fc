"""What torchvision publishes: ``tv`` is its IMAGENET1K_V1, ``tv2`` the longer trained IMAGENET1K_V2."""

from .rows import PublishedFile, Weight, hash_in

_DOWNLOADS = "https://download.pytorch.org/models/"
_LICENCE = "BSD-3-Clause (torchvision)"
_TESTED = "torchvision 0.28, meta of the weights: centre crop, 224 pixels"


def _row(key: str, tag: str, preset: str, top1: float, top5: float, name: str) -> Weight:
    file = PublishedFile(name, _DOWNLOADS + name, hash_in(name), _LICENCE)
    return Weight(key, tag, preset, 1000, top1, top5, _TESTED, (file,))


_232 = "torch_bilinear_224_232"

# fmt: off
WEIGHTS = tuple(
    _row(*row)
    for row in (
        ("resnet18", "tv_in1k", "torch", 69.758, 89.078, "resnet18-f37072fd.pth"),
        ("resnet34", "tv_in1k", "torch", 73.314, 91.420, "resnet34-b627a593.pth"),
        ("resnet50_v1_5", "tv_in1k", "torch", 76.130, 92.862, "resnet50-0676ba61.pth"),
        ("resnet50_v1_5", "tv2_in1k", _232, 80.858, 95.434, "resnet50-11ad3fa6.pth"),
        ("resnet101_v1_5", "tv_in1k", "torch", 77.374, 93.546, "resnet101-63fe2227.pth"),
        ("resnet101_v1_5", "tv2_in1k", _232, 81.886, 95.780, "resnet101-cd907fc2.pth"),
        ("resnet152_v1_5", "tv_in1k", "torch", 78.312, 94.046, "resnet152-394f9c45.pth"),
        ("resnet152_v1_5", "tv2_in1k", _232, 82.284, 96.002, "resnet152-f82ba261.pth"),
        ("resnext50_32x4d", "tv_in1k", "torch", 77.618, 93.698, "resnext50_32x4d-7cdf4587.pth"),
        ("resnext50_32x4d", "tv2_in1k", _232, 81.198, 95.340, "resnext50_32x4d-1a0047aa.pth"),
        ("resnext101_32x8d", "tv_in1k", "torch", 79.312, 94.526, "resnext101_32x8d-8ba56ff5.pth"),
        ("resnext101_32x8d", "tv2_in1k", _232, 82.834, 96.228, "resnext101_32x8d-110c445d.pth"),
        ("resnext101_64x4d", "tv_in1k", _232, 83.246, 96.454, "resnext101_64x4d-173b62eb.pth"),
        ("wide_resnet50_2", "tv_in1k", "torch", 78.468, 94.086, "wide_resnet50_2-95faca4d.pth"),
        ("wide_resnet50_2", "tv2_in1k", _232, 81.602, 95.758, "wide_resnet50_2-9ba9bcbe.pth"),
        ("wide_resnet101_2", "tv_in1k", "torch", 78.848, 94.284, "wide_resnet101_2-32ee1156.pth"),
        ("wide_resnet101_2", "tv2_in1k", _232, 82.510, 96.020, "wide_resnet101_2-d733dc28.pth"),
    )
)
# fmt: on
