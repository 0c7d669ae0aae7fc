"""A SavedModel that takes pictures as they are: decoding, resizing and labels are inside the graph.

TensorFlow only. Every step has its twin in `images`, and gives the same numbers.
"""

import os
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from .architecture.layout import channels_last
from .bundle import Bundle
from .images.preprocessing import before_crop, normalise, resized
from .images.presets import Preset
from .inspection import before_classifier, gives_logits, input_size
from .models import accelerate

TOP = 5
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}  # the same curves as Pillow's


def export(model_or_bundle, path: str | os.PathLike, version: int | None = None) -> Path:
    """Write a SavedModel for TensorFlow Serving.

    Three signatures. ``serving_default(images)`` takes uint8 (N, H, W, 3), RGB, any size;
    ``image_bytes(image_bytes)`` takes the bytes of JPEG, PNG, BMP, GIF or WebP files, (N,). Both give
    ``probabilities`` float32 (N, C) and the best five as ``class_ids`` int64, ``scores`` float32 and
    ``classes`` string, (N, min(5, C)); for bytes also ``valid`` bool (N,): an item that cannot be decoded
    is false, its scores 0, and its neighbours are answered. ``features(image_bytes)`` gives ``features``
    float32 (N, F) and ``valid``.

    Args:
        model_or_bundle: A network of this package with a classifier, or a `Bundle`.
        path: Folder of the model; the export goes to ``path/<version>/``.
        version: A number; None is the next free one.

    Returns:
        The folder ``path/<version>``.

    Raises:
        ValueError: No classifier, or not on the TensorFlow backend.
        FileExistsError: That version exists.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "a SavedModel is exported on the TensorFlow backend; set KERAS_BACKEND=tensorflow and load the "
            f"weights there. Received: {keras.backend.backend()!r}"
        )
    bundle = Bundle.of(model_or_bundle)
    if version is not None and (not isinstance(version, int) or version < 0):
        raise ValueError(f"version must be a whole number of at least 0. Received: version={version!r}")
    path = Path(path)
    place = path / str(_next_version(path) if version is None else version)
    if place.exists():
        raise FileExistsError(f"{place} exists; choose another version or remove it")
    network = accelerate(channels_last(bundle.model))
    path.mkdir(parents=True, exist_ok=True)
    served = _Served(network, bundle.preset, [label.name for label in bundle.labels])
    with tempfile.TemporaryDirectory(dir=path, prefix="writing-") as temporary:
        whole = Path(temporary) / "model"
        tf.saved_model.save(served, whole, signatures=served.signatures())
        whole.replace(place)
    return place


def _next_version(path: Path) -> int:
    taken = [int(child.name) for child in path.glob("*") if child.name.isdigit()]
    return max(taken, default=0) + 1


class _Served(tf.Module):
    """What is saved: the network's variables once, and one function a signature."""

    def __init__(self, model: keras.Model, preset: Preset, classes: list[str]):
        super().__init__()
        self._preset, self._classes = preset, tf.constant(classes)
        self._size, self._gives_logits = input_size(model, preset), gives_logits(model)
        # The network is kept inside a function: as an attribute it would be followed, and every weight
        # stored a second time beside these.
        whole = keras.Model(model.input, [before_classifier(model), model.output])
        self._run = lambda images: whole(normalise(images, preset, "channels_last"), training=False)
        self.network = [variable.value for variable in model.variables]

    def signatures(self) -> dict:
        images = tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")
        files = tf.TensorSpec((None,), tf.string, name="image_bytes")
        return {
            "serving_default": tf.function(self._serve_images).get_concrete_function(images),
            "image_bytes": tf.function(self._serve_bytes).get_concrete_function(files),
            "features": tf.function(self._serve_features).get_concrete_function(files),
        }

    def _serve_images(self, images):
        return self._answer(self._run(self._fit(images))[1])

    def _serve_bytes(self, image_bytes):
        images, valid = self._decode(image_bytes)
        answer = self._answer(self._run(images)[1])
        answer["scores"] *= tf.cast(valid, tf.float32)[:, None]
        answer["probabilities"] *= tf.cast(valid, tf.float32)[:, None]
        return answer | {"valid": valid}

    def _serve_features(self, image_bytes):
        images, valid = self._decode(image_bytes)
        features = tf.cast(self._run(images)[0], tf.float32)
        return {"features": features * tf.cast(valid, tf.float32)[:, None], "valid": valid}

    def _answer(self, outputs) -> dict:
        probabilities = tf.cast(outputs, tf.float32)
        if self._gives_logits:
            probabilities = tf.nn.softmax(probabilities)
        scores, numbers = tf.math.top_k(probabilities, min(TOP, len(self._classes)))
        return {
            "probabilities": probabilities,
            "scores": scores,
            "class_ids": tf.cast(numbers, tf.int64),
            "classes": tf.gather(self._classes, numbers),
        }

    def _decode(self, image_bytes):
        """Files to fitted pictures; one that cannot be decoded becomes a black one with ``valid`` false."""
        blank = tf.zeros((1, *self._size, 3)), tf.constant([False])

        def decode(data):
            # A data set of one is the only guard around a failing op that survives in a graph.
            one = tf.data.Dataset.from_tensors(data)
            one = one.map(lambda item: (self._fit(_pixels(item)[None])[0], True)).ignore_errors()
            return one.concatenate(tf.data.Dataset.from_tensor_slices(blank)).take(1).get_single_element()

        spec = (tf.TensorSpec((*self._size, 3), tf.float32), tf.TensorSpec((), tf.bool))
        return tf.map_fn(decode, image_bytes, fn_output_signature=spec)

    def _fit(self, images):
        """`images.preprocessing.fit` for a batch of pictures of one size."""
        rows, columns = self._size
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        covering = before_crop(rows, columns, self._preset)
        new_height, new_width = resized(height, width, *covering, maximum=tf.maximum)
        top, left = (new_height - rows) // 2, (new_width - columns) // 2
        # The op under tf.image.resize, which can begin at the crop: only what is kept is computed.
        return tf.raw_ops.ScaleAndTranslate(
            images=tf.cast(images, tf.float32),
            size=(rows, columns),
            scale=tf.cast(tf.stack([new_height / height, new_width / width]), tf.float32),
            translation=-tf.cast(tf.stack([top, left]), tf.float32),
            kernel_type=_KERNELS[self._preset.interpolation],
            antialias=True,
        )


def _pixels(data):
    """uint8 (H, W, 3). JPEG by its own op: the general one's faster transform is not exact, Pillow's is."""
    return tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
