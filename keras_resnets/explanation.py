"""Where on a picture a network sees what it answers."""

from typing import NamedTuple

import keras
import numpy as np
from PIL import Image

from .architecture.style import is_whole_number
from .classifier import Classifier
from .images.labels import Label
from .images.preprocessing import fit
from .images.reading import read_image
from .inspection import before_classifier, data_format_of, gives_logits, input_size, network_input
from .weights.loading import HEAD

# From "nothing" to "most": blue, yellow, red.
_RAMP = np.array([(0, 0, 255), (255, 255, 0), (255, 0, 0)], "float32")
_COVER = 0.6  # of the picture, at most


class Explanation(NamedTuple):
    """The result of `grad_cam`.

    Attributes:
        heat: float32, (H, W), 0..1: how much each place speaks for the class.
        picture: uint8, (H, W, 3): the crop that the network saw.
        label: The class, its id and name.
        score: The probability that the network gives it.
    """

    heat: np.ndarray
    picture: np.ndarray
    label: Label
    score: float


def grad_cam(model_or_bundle, picture, target: int | str | None = None) -> Explanation:
    """Show what on a picture speaks for a class.

    Source: Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3: the maps of the last stage, each weighed
    by the mean gradient of the class's logit by it, added up, without what is negative. Here the classifier
    is dense on the maps' averages, so that gradient is the class's weight for the map over the map's area,
    everywhere, and nothing need be differentiated. Section 3.1 shows that Grad-CAM is then CAM (Zhou et al.,
    arXiv:1512.04150) up to a factor, which goes as the result is divided by its maximum.

    Args:
        model_or_bundle: A network of this package with a classifier, or a `Bundle`.
        picture: A path, the bytes of a file, uint8 (H, W, 3), or an image of Pillow.
        target: The class: its number, name or id; None is the best answer.

    Returns:
        The heat, as large as the network's input; all zero where nothing speaks for the class.

    Raises:
        ValueError: No such class; the picture cannot be read; or the classifier is not a dense layer on a
            global average.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import ResNet18, grad_cam
    >>> model = ResNet18(weights=None, input_shape=(64, 64, 3))
    >>> found = grad_cam(model, np.zeros((80, 90, 3), "uint8"), target="tabby")
    >>> found.heat.shape, found.label
    ((64, 64), Label(id='n02123045', name='tabby'))
    """
    classifier = Classifier.of(model_or_bundle)
    model, preset = classifier.model, classifier.preset
    last_map = _last_map(model)
    number = None if target is None else _number_of(target, classifier.labels)
    crop = fit(read_image(picture), preset, input_size(model, preset))
    whole = keras.Model(model.input, [last_map, model.output])
    maps, scores = whole(network_input(model, crop[None], preset), training=False)
    scores = keras.ops.cast(scores, "float32")
    scores = _numpy(keras.ops.softmax(scores) if gives_logits(model) else scores)[0]
    number = int(scores.argmax()) if number is None else number
    weights = _numpy(model.get_layer(HEAD).kernel)[:, number]
    axis = 1 if data_format_of(model) == "channels_first" else -1
    heat = np.maximum(np.tensordot(_numpy(maps), weights, (axis, 0))[0], 0)
    heat = np.asarray(Image.fromarray(heat).resize(crop.shape[1::-1], Image.Resampling.BILINEAR))
    return Explanation(
        heat / (heat.max() or 1),
        np.rint(crop.clip(0, 255)).astype("uint8"),
        classifier.labels[number],
        float(scores[number]),
    )


def _last_map(model: keras.Model) -> keras.KerasTensor:
    """The maps that the classifier sees the averages of."""
    below = before_classifier(model)._keras_history.operation
    while isinstance(below, keras.layers.Dropout):
        below = below.input._keras_history.operation
    dense = isinstance(model.get_layer(HEAD), keras.layers.Dense)
    if not dense or not isinstance(below, keras.layers.GlobalAveragePooling2D):
        raise ValueError(
            "grad_cam needs a classifier that is a Dense layer on a GlobalAveragePooling2D, as all networks "
            f"of this package have. Received: {model.name!r} with a {type(model.get_layer(HEAD)).__name__} "
            f"on a {type(below).__name__}"
        )
    return below.input


def _number_of(target: int | str, labels: tuple[Label, ...]) -> int:
    """A class's output, from its number, its name where only one has it, or its id."""
    if is_whole_number(target) and 0 <= target < len(labels):
        return int(target)
    for called in ([label.name for label in labels], [label.id for label in labels]):
        if called.count(target) == 1:
            return called.index(target)
    examples = ", ".join(repr(label.name) for label in labels[:3])
    raise ValueError(
        f"target must be one of the model's {len(labels)} classes: a number from 0, a name that only one has "
        f"(such as {examples}) or an id; or None for the best answer. Received: target={target!r}"
    )


def _numpy(tensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), "float32")


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Draw heat on a picture: blue where there is little, by yellow to red; none where there is none.

    Args:
        picture: (H, W, 3), values in 0..255, such as `Explanation.picture`.
        heat: (H, W), 0..1.

    Returns:
        uint8, (H, W, 3).

    Raises:
        ValueError: Other shapes.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import overlay
    >>> overlay(np.full((1, 2, 3), 100, "uint8"), np.array([[0.0, 1.0]])).tolist()
    [[[100, 100, 100], [193, 40, 40]]]
    """
    picture, heat = np.asarray(picture, "float32"), np.asarray(heat, "float32")
    if picture.ndim != 3 or picture.shape != (*heat.shape, 3):
        raise ValueError(
            "picture must be (H, W, 3) and heat (H, W), of one height and width. "
            f"Received: {picture.shape} and {heat.shape}"
        )
    stops = np.linspace(0, 1, len(_RAMP))
    colours = np.stack([np.interp(heat, stops, channel) for channel in _RAMP.T], axis=-1)
    cover = _COVER * heat[..., None]
    return np.rint((1 - cover) * picture + cover * colours).clip(0, 255).astype("uint8")
