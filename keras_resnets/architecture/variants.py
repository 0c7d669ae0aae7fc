"""Every architecture is a row of one table."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

from .blocks import pre_activation
from .network import Input, Stem, keras_stem
from .parts import Conv, Pool
from .stacks import basic_stack, stack1, stack2, stack3
from .style import Style

_KERAS_STEM = keras_stem(use_bias=True)
_COLOUR_224 = Input()


@dataclasses.dataclass(frozen=True)
class Variant:
    """One architecture.

    Attributes:
        constructor: Its name in Python, None where only `create` builds it; ``key`` is its name everywhere
            else.
        stack: Function that repeats its block.
        blocks: Blocks in each stage, conv2 to conv5.
        parameters: Trainable parameters with the default head. A test counts them again.
        source: Where the architecture and that count come from.
        dialect: Whose network of the name it is. Weights do not cross between dialects.
        filters, strides: One number a stage, given to ``stack``.
        stem: What comes before conv2.
        preact: Norm and activation before the convolutions, and once more after the last stage.
        stride_last: Whether ``stack`` has its stride in the last block.
        style: Fields of `Style` that differ from keras.applications.
        shortcut: Option of the paper (`shortcuts.SHORTCUTS`).
        weights: What ``weights`` means when it is not given.
        input: The default picture.
        classes: Classes of the default head.
        dropout_in_blocks: Whether ``dropout_rate`` means the blocks, and not the classifier.
    """

    key: str
    constructor: str | None
    stack: Callable
    blocks: tuple[int, ...]
    parameters: int
    source: str
    dialect: str
    filters: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    stem: Stem = _KERAS_STEM
    preact: bool = False
    stride_last: bool = False
    style: Mapping = dataclasses.field(default_factory=dict)
    shortcut: str = "B"
    weights: str | None = "imagenet"
    input: Input = _COLOUR_224
    classes: int = 1000
    dropout_in_blocks: bool = False

    @property
    def stages(self) -> tuple[str, ...]:
        """``conv2``, ``conv3``, ..."""
        return tuple(f"conv{number}" for number, _ in enumerate(self.blocks, 2))

    def stack_fn(self, style: Style, shortcut: str, output_stride: int, drop_path_rate: float) -> Callable:
        """The stages conv2, conv3, ... as one function from tensor to tensor.

        Args:
            output_stride: Where the picture is this much smaller, a stride becomes a dilation.
            drop_path_rate: Of the last block; it rises from 0 with every block.
        """
        rate = drop_path_rate / max(1, sum(self.blocks) - 1)

        def stages(x):
            reduction, dilation, done = self.stem.reduction, 1, 0
            rows = zip(self.stages, self.filters, self.blocks, self.strides, strict=True)
            for name, filters, blocks, stride in rows:
                before = dilation
                if stride > 1 and reduction >= output_stride:
                    dilation, stride = dilation * stride, 1
                reduction *= stride
                x = self.stack(
                    x,
                    filters,
                    blocks,
                    stride1=stride,
                    name=name,
                    shortcut=shortcut,
                    dilation=(before, dilation),
                    drop_path_rate=[rate * number for number in range(done, done + blocks)],
                    **vars(style),
                )
                done += blocks
            return x

        return stages

    def feature_layers(self) -> dict[str, str]:
        """Stage -> the layer at its end, behind norm and activation.

        Before pre-activation that is where the next block begins; with the stride last, where the last
        block does.
        """
        last_blocks = [f"{stage}_block{n}" for stage, n in zip(self.stages, self.blocks, strict=True)]
        if not self.preact:
            layers = [f"{block}_out" for block in last_blocks]
        elif self.stride_last:
            layers = [f"{block}_preact_relu" for block in last_blocks[:-1]] + ["post_relu"]
        else:
            layers = [f"{stage}_block1_preact_relu" for stage in self.stages[1:]] + ["post_relu"]
        return dict(zip(self.stages, layers, strict=True))


def _family(dialect: str, source: str, *rows: tuple, **common) -> list[Variant]:
    """Rows (key, constructor, stack, blocks, parameters) that share the rest."""
    return [Variant(*row, source=source, dialect=dialect, **common) for row in rows]


_V1 = "arXiv:1512.03385, table 1"
_V2 = "arXiv:1603.05027, figure 1"
_NEXT = "arXiv:1611.05431, table 1"
_WIDE = "arXiv:1605.07146, table 1"
_D = "arXiv:1812.01187, section 4"
_SE = "arXiv:1709.01507, table 1"
_BIT = "arXiv:1912.11370, section 3"
_SMALL = "arXiv:1512.03385, section 4.2"
_BY_KERAS = "counted by keras.applications"
_BY_TORCHVISION = "counted by torchvision 0.28"
_BY_TIMM = "counted by timm 1.0.31"
_BY_HAND = "counted by hand"

_D18, _D34, _D50 = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 6, 3)
_D101, _D152, _D200 = (3, 4, 23, 3), (3, 8, 36, 3), (3, 24, 36, 3)

# Bottlenecks that differ in numbers only.
_bottleneck = partial(stack3, groups=1, expansion=4)
_pre_bottleneck = partial(_bottleneck, fold=pre_activation)
_pre_strided_1x1 = partial(stack1, bias=False, fold=pre_activation)
_pre_basic = partial(basic_stack, fold=pre_activation)
_book = partial(basic_stack, bias=True, pad="same", projection_norm=False)


def _next(groups: int, expansion: int) -> Callable:
    return partial(stack3, groups=groups, expansion=expansion)


# What a dialect says of all its rows.
_SEVEN, _THREE = Conv(64, 7, 2, pad="explicit"), Conv(32, 3, pad="explicit")
_TORCH_STYLE = {"epsilon": 1e-5, "momentum": 0.9, "kernel_initializer": "he_normal"}
_TORCH = {"stem": Stem((_SEVEN,), Pool()), "style": _TORCH_STYLE}
_LEGACY = {"stem": keras_stem(use_bias=False), "filters": (128, 256, 512, 1024)}
_KERAS_V2 = {"strides": (2, 2, 2, 1), "preact": True, "stride_last": True}
_PRE = {"preact": True}
_LOWEST = {"stem": Stem((_SEVEN,), Pool(pad="lowest"))}  # behind a rectifier zeros are as low
_TWICE = {"filters": (128, 256, 512, 1024)}
_FOUR_TIMES = {"filters": (256, 512, 1024, 2048)}
_DEEP = {
    "stem": Stem((_THREE._replace(stride=2), _THREE, _THREE._replace(filters=64)), Pool()),
    "shortcut": "D",
}
_UNPUBLISHED = {"weights": None}
_SQUEEZED = {"style": _TORCH_STYLE | {"se_ratio": 1 / 16}, **_UNPUBLISHED}
_GROUP_NORM = {"style": _TORCH_STYLE | {"norm": "group", "standardized": True}}
_CIFAR = {
    "filters": (16, 32, 64),
    "strides": (1, 2, 2),
    "stem": Stem((_THREE._replace(filters=16),)),
    "style": _TORCH_STYLE | {"zeros": "both"},
    "input": Input(size=32, smallest=4),
    "classes": 10,
    **_UNPUBLISHED,
}

# fmt: off
_ROWS = (
    # Keras: biases, the stride in the first 1x1; V2 with the stride in a stage's last block
    *_family("keras", f"{_V1}; {_BY_KERAS}",
        ("resnet50", "ResNet50", stack1, _D50, 25_583_592),
        ("resnet101", "ResNet101", stack1, _D101, 44_601_832),
        ("resnet152", "ResNet152", stack1, _D152, 60_268_520),
    ),
    *_family("keras v2", f"{_V2}; {_BY_KERAS}",
        ("resnet50v2", "ResNet50V2", stack2, _D50, 25_568_360),
        ("resnet101v2", "ResNet101V2", stack2, _D101, 44_577_896),
        ("resnet152v2", "ResNet152V2", stack2, _D152, 60_236_904),
        **_KERAS_V2,
    ),
    *_family("legacy keras", f"{_NEXT}; {_BY_TIMM}, whose 32x4d networks have the same tensors",
        ("resnext50", "ResNeXt50", stack3, _D50, 25_028_904),
        ("resnext101", "ResNeXt101", stack3, _D101, 44_177_704),
        **_LEGACY,
    ),
    # PyTorch: no biases, the stride in the 3x3 ("v1.5")
    *_family("torch", f"{_V1}; {_BY_TORCHVISION}",
        ("resnet18", "ResNet18", basic_stack, _D18, 11_689_512),
        ("resnet34", "ResNet34", basic_stack, _D34, 21_797_672),
        ("resnet50_v1_5", "ResNet50V1_5", _bottleneck, _D50, 25_557_032),
        ("resnet101_v1_5", "ResNet101V1_5", _bottleneck, _D101, 44_549_160),
        ("resnet152_v1_5", "ResNet152V1_5", _bottleneck, _D152, 60_192_808),
        **_TORCH,
    ),
    *_family("torch", f"{_V2}, table 5; {_BY_TIMM}",
        ("resnet200_v1_5", "ResNet200V1_5", _bottleneck, _D200, 64_673_832),
        **_TORCH | _UNPUBLISHED,
    ),
    *_family("torch", f"{_NEXT}; {_BY_TIMM}",
        ("resnext50_32x4d", "ResNeXt50_32x4d", _next(32, 2), _D50, 25_028_904),
        ("resnext101_32x4d", "ResNeXt101_32x4d", _next(32, 2), _D101, 44_177_704),
        **_TORCH | _TWICE,
    ),
    *_family("torch", f"{_NEXT}; {_BY_TORCHVISION}",
        ("resnext101_32x8d", "ResNeXt101_32x8d", _next(32, 1), _D101, 88_791_336),
        ("resnext101_64x4d", "ResNeXt101_64x4d", _next(64, 1), _D101, 83_455_272),
        **_TORCH | _FOUR_TIMES,
    ),
    *_family("torch", f"{_WIDE}; {_BY_TORCHVISION}",
        ("wide_resnet50_2", "WideResNet50_2", _next(1, 2), _D50, 68_883_240),
        ("wide_resnet101_2", "WideResNet101_2", _next(1, 2), _D101, 126_886_696),
        **_TORCH | _TWICE,
    ),
    # D: three small convolutions as a stem, an average before the projection
    *_family("torch", f"{_D}; {_BY_TIMM}",
        ("resnet18_d", "ResNet18D", basic_stack, _D18, 11_708_744),
        ("resnet34_d", "ResNet34D", basic_stack, _D34, 21_816_904),
        ("resnet50_d", "ResNet50D", _bottleneck, _D50, 25_576_264),
        ("resnet101_d", "ResNet101D", _bottleneck, _D101, 44_568_392),
        ("resnet152_d", "ResNet152D", _bottleneck, _D152, 60_212_040),
        **_TORCH | _DEEP,
    ),
    # Squeeze-and-excitation
    *_family("torch", f"{_SE}; {_BY_TIMM}",
        ("se_resnet50", "SEResNet50", _bottleneck, _D50, 28_088_024),
        **_TORCH | _SQUEEZED,
    ),
    *_family("torch", f"{_SE}; {_BY_TIMM}",
        ("se_resnext50_32x4d", "SEResNeXt50_32x4d", _next(32, 2), _D50, 27_559_896),
        ("se_resnext101_32x4d", "SEResNeXt101_32x4d", _next(32, 2), _D101, 48_955_416),
        **_TORCH | _TWICE | _SQUEEZED,
    ),
    # V2 as timm has it, the stride in a stage's first block; BiT: group norm, standardised convolutions
    *_family("timm v2", f"{_V2}; {_BY_TIMM}",
        ("resnetv2_18", "ResNetV2_18", _pre_basic, _D18, 11_687_720),
        ("resnetv2_34", "ResNetV2_34", _pre_basic, _D34, 21_795_880),
        ("resnetv2_50", "ResNetV2_50", _pre_bottleneck, _D50, 25_549_352),
        ("resnetv2_101", "ResNetV2_101", _pre_bottleneck, _D101, 44_541_480),
        **_TORCH | _PRE | _LOWEST,
    ),
    *_family("timm v2", f"{_V2}; {_BY_TIMM}",
        ("resnetv2_152", "ResNetV2_152", _pre_bottleneck, _D152, 60_185_128),
        **_TORCH | _PRE | _LOWEST | _UNPUBLISHED,
    ),
    *_family("bit", f"{_BIT}; {_BY_TIMM}",
        ("bit_r50x1", "BiT_R50x1", _pre_bottleneck, _D50, 25_549_352),
        ("bit_r101x1", "BiT_R101x1", _pre_bottleneck, _D101, 44_541_480),
        **_TORCH | _PRE | _GROUP_NORM,
    ),
    # CIFAR: 32x32, three stages; 6n+2 layers, or 9n+2 with bottlenecks, or 6n+4 wide ones
    *_family("cifar", f"{_SMALL}; {_BY_HAND}",
        ("resnet20", "ResNet20", basic_stack, (3, 3, 3), 269_722),
        **_CIFAR | {"shortcut": "A", "weights": "cifar10"},
    ),
    *_family("cifar", f"{_SMALL}; {_BY_HAND}",
        ("resnet32", "ResNet32", basic_stack, (5, 5, 5), 464_154),
        ("resnet44", "ResNet44", basic_stack, (7, 7, 7), 658_586),
        ("resnet56", "ResNet56", basic_stack, (9, 9, 9), 853_018),
        ("resnet110", "ResNet110", basic_stack, (18, 18, 18), 1_727_962),
        ("resnet1202", "ResNet1202", basic_stack, (200, 200, 200), 19_421_274),
        **_CIFAR | {"shortcut": "A"},
    ),
    *_family("cifar v2", f"{_V2}; {_BY_HAND}",
        ("preresnet164", "PreResNet164", _pre_strided_1x1, (18, 18, 18), 1_703_258),
        ("preresnet1001", "PreResNet1001", _pre_strided_1x1, (111, 111, 111), 10_327_706),
        **_CIFAR | _PRE,
    ),
    *_family("cifar v2", f"{_WIDE}; {_BY_HAND}",
        ("wide_resnet28_10", "WideResNet28_10", _pre_basic, (4, 4, 4), 36_479_194),
        **_CIFAR | _PRE | {"filters": (160, 320, 640), "dropout_in_blocks": True},
    ),
    *_family("cifar v2", f"{_WIDE}; {_BY_HAND}",
        ("wide_resnet40_4", "WideResNet40_4", _pre_basic, (6, 6, 6), 8_949_210),
        **_CIFAR | _PRE | {"filters": (64, 128, 256), "dropout_in_blocks": True},
    ),
    # The course's and the book's
    Variant("resnet50_course", None, stack1, _D50, 23_546_886,
        "deeplearning.ai, Convolutional Neural Networks, week 2; counted by the course's notebook", "course",
        stem=Stem((_SEVEN._replace(bias=True),), Pool(pad="valid")),
        style={"epsilon": 1e-3}, input=Input(size=64), classes=6, **_UNPUBLISHED,
    ),
    Variant("resnet18_d2l", None, _book, _D18, 11_178_378,
        f"Zhang et al., Dive into Deep Learning, arXiv:2106.11342, section 8.6; {_BY_HAND}", "book",
        stem=Stem((_SEVEN._replace(bias=True, pad="same"),), Pool(pad="same")),
        style={"epsilon": 1e-3}, input=Input(channels=1), classes=10, **_UNPUBLISHED,
    ),
)
# fmt: on

VARIANTS: dict[str, Variant] = {row.key: row for row in _ROWS}
