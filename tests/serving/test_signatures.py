"""Exports: loaded by TensorFlow alone in another process, asked with files, compared with the Predictor."""

import io
import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnets import Bundle, Predictor, create, export, preset_of
from keras_resnets.images.labels import numbered

from ..conftest import randomise, tiny

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own"
)

OPTIONS = {
    "v1": ("resnet50", {}),
    "V2, logits, any size": ("resnet50v2", {"classifier_activation": None, "input_shape": (None, None, 3)}),
    "ResNeXt": ("resnext50", {}),
    "channels_first, mixed_bfloat16": (
        "resnet50",
        {"data_format": "channels_first", "input_shape": (3, 32, 32), "dtype": "mixed_bfloat16"},
    ),
}


def build(name):
    key, options = OPTIONS[name]
    model = create(key, **{"weights": None, "classes": 3, "input_shape": (32, 32, 3), **options})
    # Small values everywhere keep the answers of a random network apart and smooth.
    return randomise(model) if key == "resnet50" else model


def encoded(format, mode="RGB", size=(60, 45), seed=0, **options):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 15, size[0] // 15, 3), dtype="uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).convert(mode).save(file, format, **options)
    return file.getvalue()


def ask(folder, files, tmp_path, png=1):
    """In a process with TensorFlow alone."""
    for i, data in enumerate(files):
        (tmp_path / f"{i:02d}").write_bytes(data)
    code = f"""
        import json, sys, pathlib
        import tensorflow as tf
        model = tf.saved_model.load(r"{folder}")
        data = [(pathlib.Path(r"{tmp_path}") / f"{{i:02d}}").read_bytes() for i in range({len(files)})]
        data = tf.constant(data, tf.string)
        answers = {{name: model.signatures[name](image_bytes=data) for name in ("image_bytes", "features")}}
        pixels = tf.io.decode_png(data[{png}], channels=3)[None]
        answers["serving_default"] = model.signatures["serving_default"](images=pixels)
        answers = {{name: {{key: value.numpy() for key, value in row.items()}} for name, row in answers.items()}}
        ops = {{op.type for f in model.signatures.values() for op in f.graph.get_operations()}}
        print(json.dumps([answers, sorted(ops), "keras_resnets" in sys.modules],
                         default=lambda a: a.tolist() if hasattr(a, "tolist") else a.decode()))
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    answers, ops, ours_imported = json.loads(done.stdout)
    assert not ours_imported and "_XlaMustCompile" not in ops and not any("PyFunc" in op for op in ops)
    return answers


@pytest.mark.parametrize("name", OPTIONS)
def test_another_process_gives_the_same_answers(name, tmp_path):
    model = build(name)
    bundle = Bundle(model, preset_of(model), numbered(["ant", "bee", "cat"]))
    folder = export(bundle, tmp_path / "served")
    assert folder == tmp_path / "served" / "1"
    files = [
        encoded("JPEG", quality=95),
        encoded("PNG", seed=1),
        encoded("BMP", seed=2),
        encoded("PNG", "RGBA", (20, 70)),
    ]
    expected = np.concatenate([rows for _, rows in Predictor(bundle).scores(files)])
    answers = ask(folder, files, tmp_path)
    answer = answers["image_bytes"]
    loose = 2e-2 if "bfloat16" in name else 1e-4
    np.testing.assert_allclose(answer["probabilities"], expected, atol=loose)
    np.testing.assert_allclose(answers["serving_default"]["probabilities"], expected[1:2], atol=loose)
    assert answer["valid"] == [True] * 4
    for row, scores, numbers, names in zip(
        *(answer[key] for key in ("probabilities", "scores", "class_ids", "classes")), strict=True
    ):
        assert numbers == np.argsort(-np.array(row), kind="stable").tolist()
        np.testing.assert_array_equal(scores, np.array(row)[numbers])
        assert names == [["ant", "bee", "cat"][i] for i in numbers]
    assert (
        np.shape(answers["features"]["features"]) == (4, 2048) and answers["features"]["valid"] == [True] * 4
    )


def test_a_broken_file_is_that_item_s_alone(tmp_path):
    folder = export(randomise(tiny()), tmp_path / "served")
    whole, other = encoded("JPEG"), encoded("PNG", seed=1)
    files = [
        whole,
        b"",
        other,
        b"no picture",
        whole[: len(whole) // 2],
        encoded("TIFF"),
        encoded("GIF"),
        whole,
    ]
    answer = ask(folder, files, tmp_path, png=2)["image_bytes"]
    assert answer["valid"] == [True, False, True, False, False, False, True, True]
    alone = ask(folder, [whole, other], tmp_path)["image_bytes"]
    np.testing.assert_allclose(
        np.array(answer["probabilities"])[[0, 2, 7]], np.array(alone["probabilities"])[[0, 1, 0]], atol=1e-6
    )
    for i in (1, 3, 4, 5):
        assert not any(answer["scores"][i]) and not any(answer["probabilities"][i])


def test_weights_are_stored_once(tmp_path):
    model = create("resnet50", weights=None, classes=3, input_shape=(32, 32, 3))
    folder = export(model, tmp_path / "served")
    stored = sum(path.stat().st_size for path in (folder / "variables").iterdir())
    assert stored < 1.05 * 4 * model.count_params()


def test_what_cannot_be_exported_is_said_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="has no classifier"):
        export(tiny(include_top=False), tmp_path / "a")
    with pytest.raises(ValueError, match="does not say which weights"):
        export(tiny(name="mine"), tmp_path / "a")
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").iterdir())


def test_a_network_from_a_file_is_exported_with_native_groups(tmp_path):
    """A loaded ResNeXt has stock layers, whose grouped convolution a server with XLA off refuses."""
    model = create("resnext50", weights=None, classes=3, input_shape=(32, 32, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    folder = export(loaded, tmp_path / "served")
    files = [encoded("JPEG"), encoded("PNG", seed=1)]
    [(_, expected)] = Predictor(model).scores(files)
    np.testing.assert_allclose(
        ask(folder, files, tmp_path)["image_bytes"]["probabilities"], expected, atol=1e-4
    )
