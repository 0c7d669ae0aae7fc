"""What Google publishes of Big Transfer, tested by timm; ``goog_distilled`` is arXiv:2106.05237's."""

from .rows import PublishedFile, Weight
from .timm import TESTED

_DOWNLOADS = "https://storage.googleapis.com/bit_models/"
_LICENCE = "Apache-2.0 (Google, big_transfer)"


def _row(key: str, tag: str, preset: str, top1: float, top5: float, path: str) -> Weight:
    file = PublishedFile(path.rpartition("/")[2], _DOWNLOADS + path, "", _LICENCE)  # no hash is printed
    return Weight(key, tag, preset, 1000, top1, top5, TESTED, (file,))


_256, _448 = "tf_bicubic_224_256", "tf_bilinear_448_448"

# fmt: off
WEIGHTS = tuple(
    _row(*row)
    for row in (
        ("bit_r50x1", "goog_distilled_in1k", _256, 82.820, 96.526, "distill/R50x1_224.npz"),
        ("bit_r50x1", "goog_in21k_ft_in1k", _448, 80.386, 95.694, "BiT-M-R50x1-ILSVRC2012.npz"),
        ("bit_r101x1", "goog_in21k_ft_in1k", _448, 82.332, 96.524, "BiT-M-R101x1-ILSVRC2012.npz"),
    )
)
# fmt: on
