"""What this package trained itself, small enough to come with it. The cards are in ``weights/shipped``."""

from .rows import PublishedFile, Weight

_LICENCE = "MIT; the pictures: {}"


def _row(data: str, top1: float, top5: float, sha256: str, size: int, pictures: str) -> Weight:
    name = f"resnet20-{data}.safetensors"
    file = PublishedFile(name, f"wheel:{name}", f"sha256:{sha256}", _LICENCE.format(pictures), size=size)
    tested = f"here, on {data}'s 10,000 test pictures; keras_resnets/weights/shipped/README.md says how"
    return Weight("resnet20", f"own_{data}", "cifar", 10, top1, top5, tested, (file,), data)


WEIGHTS = (
    _row(
        "cifar10",
        91.82,
        99.83,
        "5e1bd20e26d0abbb9d8787c865c6e0009519d3636b0b4a5dc65ee1ffee3c930e",
        550_804,
        "CIFAR-10, whose publisher states no licence and asks to be cited",
    ),
    _row(
        "fashion_mnist",
        93.43,
        99.92,
        "bd4da3713d34a8c7e3ed493cf1051843b2ee1b5445bf7e6eb071690460fb7d98",
        550_804,
        "Fashion-MNIST, MIT",
    ),
)
