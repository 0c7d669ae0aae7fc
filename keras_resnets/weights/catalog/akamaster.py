"""What Yerlan Idelbayev publishes: the networks of 32x32 pictures, trained on CIFAR-10."""

from .rows import PublishedFile, Weight, hash_in

_DOWNLOADS = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"
_LICENCE = "BSD-2-Clause (Y. Idelbayev, pytorch_resnet_cifar10)"
_TESTED = "pytorch_resnet_cifar10's README, error on CIFAR-10's test pictures; top-5 is not published"


def _row(key: str, error: float, name: str, size: int | None = None) -> Weight:
    file = PublishedFile(name, _DOWNLOADS + name, hash_in(name), _LICENCE, size=size)
    top1 = round(100 - error, 2)
    return Weight(key, "akamaster_cifar10", "cifar", 10, top1, None, _TESTED, (file,), "cifar10")


WEIGHTS = (
    _row("resnet20", 8.27, "resnet20-12fca82f.th", 1_099_231),
    _row("resnet32", 7.37, "resnet32-d509ac18.th", 1_890_043),
    _row("resnet44", 6.90, "resnet44-014dd654.th", 2_680_855),
    _row("resnet56", 6.61, "resnet56-4bfd9763.th", 3_471_733),
    _row("resnet110", 6.32, "resnet110-1d1ed7c2.th"),
    _row("resnet1202", 6.18, "resnet1202-f3b1deed.th"),
)
