"""Networks that others published, written here from their descriptions, against the rows of the table.

The references import nothing of the package. Each can be told another epsilon, stride or padding, and the last
test of each kind shows that such a change would be noticed.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from benchmarks.peers import declare_operators
from keras_resnets import create
from keras_resnets.weights import formats, loading

from ..conftest import as_numpy, calm
from ..weights.legacy import write_legacy

TOLERANCE = 1e-5


def relative_difference(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


# --- the class ResNet of PyTorch's model zoo, in NumPy --------------------------------------------


def conv(x, kernel, stride=1, padding=0, dilation=1, groups=1):
    """(N, C, H, W) with a kernel (out, in / groups, h, w)."""
    size = dilation * (kernel.shape[-1] - 1) + 1
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    parts = zip(np.split(windows, groups, axis=1), np.split(kernel, groups), strict=True)
    return np.concatenate([np.einsum("nchwij,ocij->nohw", w, k, optimize=True) for w, k in parts], axis=1)


class TorchResNet:
    """``torchvision.models.resnet.ResNet`` with random arrays, under the names of its state dict."""

    def __init__(self, block, depths, groups=1, base_width=64, classes=7, dilate=(1, 1, 1, 1)):
        self.block, self.depths, self.groups, self.dilate = block, depths, groups, dilate
        self.chance, self.arrays = np.random.default_rng(0), {}
        self._conv("conv1", 64, 3, 7)
        self._bn("bn1", 64)
        channels = 64
        for stage, depth in enumerate(depths, 1):
            planes = 64 * 2 ** (stage - 1)
            width = planes * base_width // 64 * groups
            out = planes if block == "basic" else 4 * planes
            shapes = [(width, channels, 3), (out, width, 3)] if block == "basic" else [
                (width, channels, 1), (width, width // groups, 3), (out, width, 1)
            ]  # fmt: skip
            for number in range(depth):
                name = f"layer{stage}.{number}"
                for slot, (filters, inputs, size) in enumerate(shapes, 1):
                    inputs = out if number and slot == 1 else inputs
                    self._conv(f"{name}.conv{slot}", filters, inputs, size)
                    self._bn(f"{name}.bn{slot}", filters)
                if number == 0 and (stage > 1 or channels != out):
                    self._conv(f"{name}.downsample.0", out, channels, 1)
                    self._bn(f"{name}.downsample.1", out)
            channels = out
        self.arrays["fc.weight"] = self.chance.normal(0, channels**-0.5, (classes, channels))
        self.arrays["fc.bias"] = self.chance.normal(size=classes)
        self.arrays = {name: array.astype("float32") for name, array in self.arrays.items()}

    def _conv(self, name, filters, inputs, size):
        scale = (inputs * size * size) ** -0.5
        self.arrays[f"{name}.weight"] = self.chance.normal(0, scale, (filters, inputs, size, size))

    def _bn(self, name, channels):
        for part in ("weight", "running_var"):
            self.arrays[f"{name}.{part}"] = self.chance.uniform(0.5, 1.5, channels)
        for part in ("bias", "running_mean"):
            self.arrays[f"{name}.{part}"] = self.chance.normal(0.3, 0.1, channels)

    def __call__(self, x, eps=1e-5, stride_in_1x1=False, padding=1):
        def bn(x, name):
            w, b, mean, var = (
                self.arrays[f"{name}.{part}"][:, None, None]
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            return (x - mean) / np.sqrt(var + eps) * w + b

        def conv_bn(x, name, place, **options):
            return bn(conv(x, self.arrays[f"{name}.conv{place}.weight"], **options), f"{name}.bn{place}")

        def relu(x):
            return np.maximum(x, 0)

        x = relu(bn(conv(x, self.arrays["conv1.weight"], 2, 3), "bn1"))
        x = np.pad(
            x, ((0, 0), (0, 0), (padding, 2 - padding), (padding, 2 - padding)), constant_values=-np.inf
        )
        x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max((-2, -1))
        seen, old = [], 1
        for stage, depth in enumerate(self.depths, 1):
            new = self.dilate[stage - 1]
            for number in range(depth):
                name, first = f"layer{stage}.{number}", number == 0
                stride = 2 if first and stage > 1 and new == 1 else 1
                before = old if first else new
                if self.block == "basic":
                    y = relu(conv_bn(x, name, 1, stride=stride, padding=before, dilation=before))
                    y = conv_bn(y, name, 2, padding=new, dilation=new)
                else:
                    y = relu(conv_bn(x, name, 1, stride=stride if stride_in_1x1 else 1))
                    y = relu(conv_bn(y, name, 2, stride=1 if stride_in_1x1 else stride, padding=before,
                                     dilation=before, groups=self.groups))  # fmt: skip
                    y = conv_bn(y, name, 3)
                if f"{name}.downsample.0.weight" in self.arrays:
                    x = conv(x, self.arrays[f"{name}.downsample.0.weight"], stride)
                    x = bn(x, f"{name}.downsample.1")
                x = relu(x + y)
            old = new
            seen.append(x.transpose(0, 2, 3, 1))
        logits = x.mean((2, 3)) @ self.arrays["fc.weight"].T + self.arrays["fc.bias"]
        return [*seen, logits]


def stages(model):
    ends = {layer.name[:5]: layer.output for layer in model.layers if layer.name.endswith("_out")}
    return keras.Model(model.input, [*ends.values(), model.output])


def torch_pair(key, reference, **options):
    model = create(
        key, weights=None, input_shape=(64, 64, 3), classes=7, classifier_activation=None, **options
    )
    contents = formats.Contents(Path("reference"), "state dict", formats.grouped(reference.arrays))
    loading.load(model, contents)
    return stages(model)


TORCH = {
    "resnet18": (("basic", (2, 2, 2, 2)), {}),
    "resnet34": (("basic", (3, 4, 6, 3)), {}),
    "resnet50_v1_5": (("bottleneck", (3, 4, 6, 3)), {}),
    "resnext50_32x4d": (("bottleneck", (3, 4, 6, 3)), {"groups": 32, "base_width": 4}),
    "wide_resnet50_2": (("bottleneck", (3, 4, 6, 3)), {"base_width": 128}),
}


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(1).normal(size=(2, 64, 64, 3)).astype("float32")


@pytest.mark.parametrize("key", TORCH)
def test_torch_networks_at_every_stage(key, pictures):
    arguments, options = TORCH[key]
    reference = TorchResNet(*arguments, **options)
    ours = torch_pair(key, reference)(pictures)
    theirs = reference(pictures.transpose(0, 3, 1, 2))
    assert len(ours) == len(theirs) == 5
    for a, b in zip(ours, theirs, strict=True):
        assert relative_difference(as_numpy(a), b) <= TOLERANCE


@pytest.mark.parametrize(("output_stride", "dilate"), [(16, (1, 1, 1, 2)), (8, (1, 1, 2, 4))])
@pytest.mark.parametrize("key", ["resnet18", "resnet50_v1_5"])
def test_torch_networks_dilated(key, output_stride, dilate, pictures):
    arguments, options = TORCH[key]
    reference = TorchResNet(*arguments, **options, dilate=dilate)
    ours = torch_pair(key, reference, output_stride=output_stride)(pictures)
    theirs = reference(pictures.transpose(0, 3, 1, 2))
    for a, b in zip(ours, theirs, strict=True):
        assert relative_difference(as_numpy(a), b) <= TOLERANCE


@pytest.mark.parametrize("change", [{"eps": 1.001e-3}, {"stride_in_1x1": True}, {"padding": 0}])
def test_a_change_of_the_torch_network_is_noticed(change, pictures):
    reference = TorchResNet("bottleneck", (3, 4, 6, 3))
    ours = as_numpy(torch_pair("resnet50_v1_5", reference)(pictures)[-1])
    changed = reference(pictures.transpose(0, 3, 1, 2), **change)[-1]
    assert relative_difference(ours, changed) > 10 * TOLERANCE


# --- the course's ResNet50 ------------------------------------------------------------------------


def course_network(eps=1e-3, stride_in_3x3=False, pool_padding="valid"):
    """The assignment's network: names as there, 64x64 pictures, 6 classes."""

    def block(x, stage, letter, filters, stride, convolutional):
        def part(x, branch, count, kernel, stride, padding):
            name = f"{stage}{letter}_branch{branch}"
            x = layers.Conv2D(count, kernel, strides=stride, padding=padding, name=f"res{name}")(x)
            return layers.BatchNormalization(axis=3, epsilon=eps, name=f"bn{name}")(x)

        f1, f2, f3 = filters
        first, second = (1, stride) if stride_in_3x3 else (stride, 1)
        y = layers.Activation("relu")(part(x, "2a", f1, 1, first, "valid"))
        y = layers.Activation("relu")(part(y, "2b", f2, 3, second, "same"))
        y = part(y, "2c", f3, 1, 1, "valid")
        if convolutional:
            x = part(x, "1", f3, 1, stride, "valid")
        return layers.Activation("relu")(layers.Add()([y, x]))

    pictures = keras.Input((64, 64, 3))
    x = layers.ZeroPadding2D((3, 3))(pictures)
    x = layers.Conv2D(64, 7, strides=2, name="conv1")(x)
    x = layers.Activation("relu")(layers.BatchNormalization(axis=3, epsilon=eps, name="bn_conv1")(x))
    x = layers.MaxPooling2D((3, 3), strides=(2, 2), padding=pool_padding)(x)
    for stage, letters, filters in (
        (2, "abc", (64, 64, 256)),
        (3, "abcd", (128, 128, 512)),
        (4, "abcdef", (256, 256, 1024)),
        (5, "abc", (512, 512, 2048)),
    ):
        for letter in letters:
            stride = 2 if letter == "a" and stage > 2 else 1
            x = block(x, stage, letter, filters, stride, convolutional=letter == "a")
    x = layers.AveragePooling2D((2, 2), name="avg_pool")(x)
    outputs = layers.Dense(6, name="fc6")(layers.Flatten()(x))  # before the softmax
    return keras.Model(pictures, outputs)


@pytest.fixture(scope="module")
def course():
    return calm(course_network())


def test_the_course_s_network(course, tmp_path, pictures):
    write_legacy(course, tmp_path / "course.h5")
    ours = create("resnet50_course", weights=tmp_path / "course.h5", classifier_activation=None)
    assert ours.count_params() == course.count_params() == 23_600_006
    assert ours.input_shape == (None, 64, 64, 3) and ours.output_shape == (None, 6)
    theirs = as_numpy(course(pictures))
    assert relative_difference(as_numpy(ours(pictures)), theirs) <= TOLERANCE


@pytest.mark.parametrize("change", [{"eps": 1e-5}, {"stride_in_3x3": True}, {"pool_padding": "same"}])
def test_a_change_of_the_course_s_network_is_noticed(course, change, tmp_path, pictures):
    write_legacy(course, tmp_path / "course.h5")
    ours = create("resnet50_course", weights=tmp_path / "course.h5", classifier_activation=None)
    changed = course_network(**change)
    changed.set_weights(course.get_weights())
    assert relative_difference(as_numpy(ours(pictures)), as_numpy(changed(pictures))) > TOLERANCE


# --- the book's ResNet-18 -------------------------------------------------------------------------


def book_network(side, eps=1e-3, norm_on_projection=False, symmetric=False):
    """Section 8.6 of Dive into Deep Learning; returns the model and its layers in the order of the text."""
    parts = []

    def conv(x, channels, size, stride=1):
        x = layers.ZeroPadding2D(size // 2)(x) if symmetric else x
        parts.append(layers.Conv2D(channels, size, strides=stride, padding="valid" if symmetric else "same"))
        return parts[-1](x)

    def norm(x):
        parts.append(layers.BatchNormalization(epsilon=eps))
        return parts[-1](x)

    def residual(x, channels, use_1x1conv, stride):
        y = layers.ReLU()(norm(conv(x, channels, 3, stride)))
        y = norm(conv(y, channels, 3, 1))
        if use_1x1conv:
            x = conv(x, channels, 1, stride)
            x = layers.BatchNormalization(epsilon=eps)(x) if norm_on_projection else x
        return layers.ReLU()(layers.Add()([y, x]))

    pictures = keras.Input((side, side, 1))
    x = conv(pictures, 64, 7, 2)
    shapes = [x.shape[1:]]
    x = layers.MaxPool2D(3, strides=2, padding="same")(layers.ReLU()(norm(x)))
    shapes.append(x.shape[1:])
    for channels in (64, 128, 256, 512):
        for number in range(2):
            changes = number == 0 and channels != 64
            x = residual(x, channels, changes, 2 if changes else 1)
        shapes.append(x.shape[1:])
    parts.append(layers.Dense(10))  # before the softmax
    return keras.Model(pictures, parts[-1](layers.GlobalAveragePooling2D()(x))), parts, shapes


def ours_with(parts, side):
    """Our row with the book's arrays, layer by layer in the order of the text."""
    model = create("resnet18_d2l", weights=None, input_shape=(side, side, 1), classifier_activation=None)
    names = ["conv1_conv", "conv1_bn"]
    for stage in (2, 3, 4, 5):
        for block in (1, 2):
            slots = ["1_conv", "1_bn", "2_conv", "2_bn"] + ["0_conv"] * (block == 1 and stage > 2)
            names += [f"conv{stage}_block{block}_{slot}" for slot in slots]
    for name, part in zip([*names, "predictions"], parts, strict=True):
        model.get_layer(name).set_weights(part.get_weights())
    return model


def test_the_book_s_network(chance):
    reference, parts, _ = book_network(96)
    calm(reference)
    images = chance.normal(size=(2, 96, 96, 1)).astype("float32")
    ours = ours_with(parts, 96)
    assert ours.count_params() == reference.count_params()
    assert relative_difference(as_numpy(ours(images)), as_numpy(reference(images))) <= TOLERANCE


def test_the_book_s_table_of_shapes():
    """Channels x height x width after each part, as the book prints them for a 224x224 picture."""
    table = [(64, 112, 112), (64, 56, 56), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
    model = create("resnet18_d2l", weights=None, data_format="channels_first")
    ends = ["conv1_conv", "pool1_pool", *(f"conv{stage}_block2_out" for stage in (2, 3, 4, 5))]
    assert [model.get_layer(name).output.shape[1:] for name in ends] == table
    _, _, shapes = book_network(224)
    assert [(c, h, w) for h, w, c in shapes] == table


@pytest.mark.parametrize("change", [{"eps": 1e-5}, {"norm_on_projection": True}, {"symmetric": True}])
def test_a_change_of_the_book_s_network_is_noticed(change, chance):
    reference, parts, _ = book_network(96)
    calm(reference)
    images = chance.normal(size=(2, 96, 96, 1)).astype("float32")
    ours = ours_with(parts, 96)
    changed, others, _ = book_network(96, **change)
    for ours_part, other in zip(parts, others, strict=True):
        other.set_weights(ours_part.get_weights())
    assert relative_difference(as_numpy(ours(images)), as_numpy(changed(images))) > TOLERANCE


# --- the real peer, where it is installed ---------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_torchvision_itself(name, pictures):
    torch = pytest.importorskip("torch")
    declare_operators()
    models = pytest.importorskip("torchvision").models
    peer = getattr(models, name)(weights=None, num_classes=7).eval()
    with torch.no_grad():
        theirs = peer(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())).numpy()
    arrays = {key: tensor.numpy() for key, tensor in peer.state_dict().items()}
    model = create(
        "resnet50_v1_5" if name == "resnet50" else name,
        weights=None, input_shape=(64, 64, 3), classes=7, classifier_activation=None,
    )  # fmt: skip
    loading.load(model, formats.Contents(Path(name), "state dict", formats.grouped(arrays)))
    assert relative_difference(as_numpy(model(pictures)), theirs) <= TOLERANCE
