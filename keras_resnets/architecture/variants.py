"""Every architecture is a row of one table."""

import dataclasses
from collections.abc import Callable

from .stacks import stack1, stack2, stack3


@dataclasses.dataclass(frozen=True)
class Variant:
    """One architecture.

    Attributes:
        constructor: Its name in Python; ``key`` is its name everywhere else.
        stack: Function that repeats its block.
        blocks: Blocks in each stage, conv2 to conv5.
        parameters: Trainable parameters with the default head. A test counts them again.
        source: Where the architecture and that count come from.
        filters, strides: One number a stage, given to ``stack``.
        preact: Norm and rectifier before the convolutions, and once more after the last stage.
        use_bias: Whether the first convolution has a bias.
        weights: What ``weights`` means when it is not given.
        size: Height and width of the default input.
        classes: Classes of the default head.
    """

    key: str
    constructor: str
    stack: Callable
    blocks: tuple[int, ...]
    parameters: int
    source: str
    filters: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    preact: bool = False
    use_bias: bool = True
    weights: str | None = "imagenet"
    size: int = 224
    classes: int = 1000

    def stack_fn(self, **style) -> Callable:
        """The stages conv2, conv3, ... as one function from tensor to tensor."""

        def stages(x):
            rows = zip(self.filters, self.blocks, self.strides, strict=True)
            for number, (filters, blocks, stride) in enumerate(rows, 2):
                x = self.stack(x, filters, blocks, stride1=stride, name=f"conv{number}", **style)
            return x

        return stages


_V1 = "arXiv:1512.03385, table 1; counted by keras.applications"
_V2 = "arXiv:1603.05027, figure 1; counted by keras.applications"
_NEXT = "arXiv:1611.05431, table 1; counted by torchvision's 32x4d networks, which have the same tensors"

_PRE = {"strides": (2, 2, 2, 1), "preact": True}
_GROUPED = {"filters": (128, 256, 512, 1024), "use_bias": False}

VARIANTS: dict[str, Variant] = {
    row.key: row
    for row in (
        Variant("resnet50", "ResNet50", stack1, (3, 4, 6, 3), 25_583_592, _V1),
        Variant("resnet101", "ResNet101", stack1, (3, 4, 23, 3), 44_601_832, _V1),
        Variant("resnet152", "ResNet152", stack1, (3, 8, 36, 3), 60_268_520, _V1),
        Variant("resnet50v2", "ResNet50V2", stack2, (3, 4, 6, 3), 25_568_360, _V2, **_PRE),
        Variant("resnet101v2", "ResNet101V2", stack2, (3, 4, 23, 3), 44_577_896, _V2, **_PRE),
        Variant("resnet152v2", "ResNet152V2", stack2, (3, 8, 36, 3), 60_236_904, _V2, **_PRE),
        Variant("resnext50", "ResNeXt50", stack3, (3, 4, 6, 3), 25_028_904, _NEXT, **_GROUPED),
        Variant("resnext101", "ResNeXt101", stack3, (3, 4, 23, 3), 44_177_704, _NEXT, **_GROUPED),
    )
}
