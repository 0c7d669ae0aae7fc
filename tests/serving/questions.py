"""What every engine is asked about an export, and what it must answer."""

import io

import numpy as np
from PIL import Image

from keras_resnets import Bundle, Predictor, adapt, create, preset_of, residual_network
from keras_resnets.images.labels import numbered
from keras_resnets.images.preprocessing import fit
from keras_resnets.inspection import backbone_of, network_input

from ..conftest import calm

FAMILIES = {
    "Keras": "resnet50",
    "Keras V2": "resnet50v2",
    "legacy ResNeXt": "resnext50",
    "torch": "resnet50_v1_5",
    "basic blocks": "resnet18",
    "squeeze-and-excitation": "se_resnet50",
    "D": "resnet18_d",
    "V2": "resnetv2_18",
    "BiT": "bit_r50x1",
    "CIFAR": "resnet20",
    "CIFAR, pre-activation": "preresnet164",
    "MATLAB": None,
}
CLASSES = ["ant", "bee", "żuk"]
TOLERANCE = 1e-4


def picture(format, seed, size=(60, 45), **options):
    """A smooth picture: what a resize makes of it does not hang on the last digit."""
    pixels = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), dtype="uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, format, **options)
    return file.getvalue()


BROKEN = 1
# The last two are of one size, to go into one array.
FILES = [picture("JPEG", 0, (50, 70), quality=95), b"no picture", picture("PNG", 1), picture("BMP", 2)]
READABLE = [i for i in range(len(FILES)) if i != BROKEN]
PIXELS = {i: np.array(Image.open(io.BytesIO(FILES[i]))) for i in READABLE}


def build(family) -> Bundle:
    """A random network of that family at 32 x 32, whose answers to the pictures lie apart."""
    if key := FAMILIES[family]:
        model = create(key, weights=None, classes=3, input_shape=(32, 32, 3))
    else:
        model = residual_network((32, 32, 3), 3, stack_depth=(2, 2), num_filters=(8, 16))
    preset = preset_of(calm(model))
    pictures = np.stack([fit(PIXELS[i], preset, (32, 32)) for i in READABLE])
    if not key:
        adapt(model, pictures)
    spread(model, network_input(model, pictures, preset))
    return Bundle(model, preset, numbered(CLASSES))


def spread(model, images) -> None:
    """Scale the classifier: a random network is certain of one class, or of none, whatever the picture."""
    kernel, _ = model.get_layer("predictions").get_weights()
    logits = np.asarray(backbone_of(model)(images)) @ kernel
    scale = 0.5 / logits.std(axis=0)
    model.get_layer("predictions").set_weights([kernel * scale, -logits.mean(axis=0) * scale])


def questions(folder) -> list:
    files = np.array(FILES, object)
    return [
        (str(folder), "image_bytes", {"image_bytes": files}),
        (str(folder), "features", {"image_bytes": files}),
        (str(folder), "serving_default", {"images": np.stack([PIXELS[2], PIXELS[3]])}),
    ]


def check(answers, bundle) -> None:
    """Compare the answers to `questions` with the Predictor's."""
    [(_, scores)] = Predictor(bundle, batch_size=len(READABLE)).scores([FILES[i] for i in READABLE])
    assert np.ptp(scores, axis=0).min() > 100 * TOLERANCE, "pictures that all get one answer compare nothing"
    of_files, features, of_pixels = answers
    check_best(of_files, READABLE, scores)
    check_best(of_pixels, [0, 1], scores[-2:])
    for answer in (of_files, features):
        assert answer["valid"].tolist() == [i in READABLE for i in range(len(FILES))]
    for name in ("scores", "probabilities"):
        assert not of_files[name][BROKEN].any()
    assert not features["features"][BROKEN].any()
    # They are what the classifier takes.
    kernel, bias = bundle.model.get_layer("predictions").get_weights()
    powers = np.exp(features["features"][READABLE] @ kernel + bias)
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), scores, atol=TOLERANCE)
    # A server that makes one batch of several requests cuts every output along its first axis.
    for (_, _, inputs), answer in zip(questions(""), answers, strict=True):
        assert {len(value) for value in answer.values()} == {len(value) for value in inputs.values()}


def check_best(answer, rows, scores) -> None:
    """All probabilities, and the best of them with their classes."""
    probabilities, numbers = answer["probabilities"][rows], answer["class_ids"][rows]
    np.testing.assert_allclose(probabilities, scores, atol=TOLERANCE)
    np.testing.assert_array_equal(numbers, np.argsort(-probabilities, axis=1, kind="stable"))
    np.testing.assert_array_equal(answer["scores"][rows], np.take_along_axis(probabilities, numbers, axis=1))
    names = [[name.decode() for name in row] for row in answer["classes"][rows]]
    assert names == [[CLASSES[number] for number in row] for row in numbers]
