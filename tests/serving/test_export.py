"""Every format: written whole or not at all, run by its own program, and no further from the model than it says."""

import json
import os
import zipfile

import keras
import numpy as np
import pytest

from keras_resnets import Bundle, Predictor, create, export, preset_of
from keras_resnets.images import PHOTOS
from keras_resnets.images.labels import numbered
from keras_resnets.inspection import network_input
from keras_resnets.serving import ExportError, formats
from keras_resnets.serving.comparing import compared, read_examples
from keras_resnets.serving.comparing import expected as models_own
from keras_resnets.serving.exporting import TOLERANCES

from ..conftest import calm, tiny, write_picture
from .questions import spread

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports start from TensorFlow's graph"
)
WAYS = [(format, precision) for format, row in formats.FORMATS.items() for precision in row.precisions]
NAMES = ["ant", "bee", "cat"]


def bundle_of(model):
    return Bundle(calm(model), preset_of(model), numbered(NAMES))


@pytest.fixture(scope="module")
def small(pictures):
    """A network whose answers to the pictures lie apart."""
    bundle = bundle_of(create("resnet20", weights=None, classes=3, seed=0))
    spread(bundle.model, network_input(bundle.model, read_examples(pictures, bundle).fitted, bundle.preset))
    return bundle


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(8):
        write_picture(folder / f"{seed}.png", seed=seed)
    return folder


@pytest.mark.parametrize(("format", "precision"), WAYS)
def test_a_format_answers_as_the_model_does_and_says_how_nearly(format, precision, small, pictures, tmp_path):
    place = export(small, tmp_path / "out", format=format, precision=precision, pictures=pictures)
    told = json.loads((place / "bundle.json").read_text())
    assert (place / "labels.txt").read_text().split() == NAMES
    assert told["export"]["format"] == format and told["export"]["precision"] == precision
    assert told["export"]["images"] == (4 if precision == "int8" else 8)
    assert told["preset"]["size"] == 32 and told["key"] == "resnet20"
    # Asked once more, beside the check that the export itself makes.
    files = [path.read_bytes() for path in sorted(pictures.iterdir())]
    module = formats.module_of(format)
    [(_, expected)] = Predictor(small, engine="keras").scores(files)
    found = module.answers(place, read_examples(files, small))
    assert len(found) == (3 if format == "saved_model" else 1)
    assert np.ptp(expected, axis=0).min() > 0.1
    rounding = 2e-2  # to whole grey levels, which a SavedModel need not do
    for answers in (outputs["probabilities"] for name, outputs in found.items() if name != "features"):
        assert answers.dtype == "float32" and answers.shape == (8, 3)
        np.testing.assert_allclose(answers, expected, atol=TOLERANCES[precision] + rounding)


def test_labels_and_preset_are_in_the_file(small, tmp_path):
    onnx, openvino = pytest.importorskip("onnx"), pytest.importorskip("openvino")
    [properties] = [onnx.load(export(small, tmp_path / "a", format="onnx") / "model.onnx").metadata_props]
    found = {entry.key: entry.value for entry in properties}
    assert found["labels"].split() == NAMES and json.loads(found["bundle"])["preset"]["size"] == 32
    model = openvino.Core().read_model(export(small, tmp_path / "b", format="openvino") / "model.xml")
    assert model.get_rt_info(["model_info", "labels"]).astype(str).split() == NAMES
    assert json.loads(model.get_rt_info(["model_info", "bundle"]).astype(str))["key"] == "resnet20"
    with zipfile.ZipFile(export(small, tmp_path / "c", format="litert") / "model.tflite") as archive:
        assert archive.read("labels.txt").decode().split() == NAMES
        assert json.loads(archive.read("bundle.json"))["classes"] == 3


def test_maxima_over_zeros_survive_a_user_s_own_runtime(tmp_path):
    """ONNX Runtime as it comes would make the zeros before V2's first pool minus infinity."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model = create("resnet50v2", weights=None, classes=3, input_shape=(64, 64, 3))
    bundle = bundle_of(model)
    for layer in model.layers:  # all values below zero where the pool looks
        if layer.name == "conv1_conv":
            layer.set_weights([-abs(layer.get_weights()[0]), layer.get_weights()[1] - 50])
    place = export(bundle, tmp_path / "v2", format="onnx")
    session = onnxruntime.InferenceSession(place / "model.onnx")
    images = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype="uint8")
    [answers] = session.run(None, {"images": images})
    np.testing.assert_allclose(answers, models_own(bundle, images), atol=1e-4)


@pytest.mark.parametrize("signature", ["image_bytes", "features", "serving_default"])
def test_every_signature_is_compared(signature, small, pictures, tmp_path, monkeypatch):
    examples = read_examples(pictures, small)
    module = formats.module_of("saved_model")
    answers = module.answers(export(small, tmp_path / "out", pictures=pictures), examples)
    truth = models_own(small, examples.fitted)
    assert compared(answers, small, truth)[0].largest_difference < 1e-5
    name = "features" if signature == "features" else "probabilities"
    answers[signature][name] = answers[signature][name][::-1]
    assert compared(answers, small, truth)[0].largest_difference > 0.1


def test_what_an_export_cannot_decode_is_named(small, pictures, tmp_path, capsys):
    from PIL import Image

    files = [write_picture(tmp_path / "fine.png"), tmp_path / "palette.bmp"]
    with Image.open(files[0]) as image:
        image.convert("P").save(files[1])
    place = export(small, tmp_path / "out", pictures=files)
    assert json.loads((place / "bundle.json").read_text())["export"]["images"] == 1
    assert f"1 more it cannot decode: {files[1]}" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ExportError, match="none of the 1 pictures was answered"):
        export(small, tmp_path / "out", pictures=files[1:])


@pytest.mark.parametrize("format", formats.FORMATS)
def test_what_differs_too_much_is_not_kept(format, small, tmp_path):
    with pytest.raises(ExportError, match="nothing is left"):
        export(small, tmp_path / "out", format=format, tolerance=-1)
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with pytest.raises(ExportError):
        export(small, tmp_path / "mine", tolerance=-1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_batch_norms_are_folded_unless_they_are_to_stay(small, tmp_path):
    def norms(place):
        import tensorflow as tf

        found = tf.saved_model.load(str(place))
        return len(found.weights)

    folded, whole = (export(small, tmp_path / "out", fold=fold) for fold in (True, False))
    assert folded.name == "1" and whole.name == "2"
    assert norms(folded) < norms(whole)


def test_a_network_in_half_precision_is_exported_in_float32(tmp_path):
    half = create("resnet20", weights=None, classes=3, dtype="mixed_bfloat16", data_format="channels_first")
    place = export(bundle_of(half), tmp_path / "out")
    assert json.loads((place / "bundle.json").read_text())["export"]["largest_difference"] < 1e-5


def test_what_lies_beside_is_written_once(small, tmp_path):
    place = export(small, tmp_path / "my pets")
    beside = place.parent
    assert 'name: "my-pets"' in (beside / "models.config").read_text()
    assert "max_batch_size" in (beside / "batching_parameters.txt").read_text()
    readme = (beside / "README.md").read_text()
    assert "docker run" in readme and "v1/models/my-pets:predict" in readme and "$$" not in readme
    (beside / "batching_parameters.txt").write_text("mine")
    export(small, beside)
    assert (beside / "batching_parameters.txt").read_text() == "mine"


def test_versions_are_numbered(tmp_path):
    model = tiny()
    (tmp_path / "7").mkdir()
    assert export(model, tmp_path).name == "8"
    with pytest.raises(FileExistsError, match="7 exists; choose another version"):
        export(model, tmp_path, version=7)
    (tmp_path / "9²").mkdir()
    assert export(model, tmp_path).name == "9"
    for version in (-1, "one", True):
        with pytest.raises(ValueError, match=f"Received: version={version!r}"):
            export(model, tmp_path, version=version)


def test_of_two_exports_at_once_one_has_the_number(small, tmp_path, monkeypatch):
    from keras_resnets.serving import exporting

    def meanwhile(*_):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "saved_model.pb").write_text("another's")

    monkeypatch.setattr(exporting.beside, "write", meanwhile)
    with pytest.raises(FileExistsError, match="another export has written .*1; export again"):
        export(small, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["1", "saved_model.pb"]


def test_groups_are_always_folded(tmp_path):
    model = create("resnext50", weights=None, classes=3, input_shape=(32, 32, 3))
    place = export(bundle_of(model), tmp_path, fold=False)
    assert json.loads((place / "bundle.json").read_text())["export"]["folded"] is True


def test_what_cannot_be_is_said_before_work_starts(small, tmp_path, monkeypatch):
    from keras_resnets.serving.served import Served

    monkeypatch.setattr(Served, "of", lambda *_: pytest.fail("work has started"))
    for error, said, options in (
        (ValueError, "format must be one of saved_model, onnx, openvino, litert. Rec", {"format": "pb"}),
        (ValueError, "precision of the format onnx must be one of float32, flo", {"format": "onnx", "precision": "bfloat16"}),
        (ValueError, "goes with a SavedModel", {"format": "onnx", "version": 3}),
        (ValueError, "needs pictures", {"format": "litert", "precision": "int8"}),
        (ValueError, "tolerance must be a number", {"tolerance": "small"}),
        (ValueError, "0 of 2 pictures can be read", {"pictures": [b"", b"no picture"]}),
        (ValueError, "3 of 3 pictures can be read, and at least 4", {"format": "litert", "precision": "int8", "pictures": sorted(PHOTOS.glob("*.jpg"))[:3]}),
        (FileNotFoundError, "no picture in this folder", {"pictures": tmp_path}),
    ):  # fmt: skip
        with pytest.raises(error, match=said):
            export(small, tmp_path / "out", **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        export(small, tmp_path / "file" / "out")
    with pytest.raises(FileExistsError, match="out.onnx exists"):
        (tmp_path / "out.onnx").write_text("")
        export(small, tmp_path / "out.onnx", format="onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out.onnx"]


def test_a_format_whose_program_is_missing_is_said(small, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    with pytest.raises(
        ModuleNotFoundError, match=r"format openvino needs openvino: pip install 'keras-resnets\[openvino\]'"
    ):
        export(small, tmp_path / "out", format="openvino")


@pytest.mark.skipif(getattr(os, "getuid", int)() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_said(small, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be written to"):
        export(small, tmp_path / "out")


def test_a_full_disk_is_said(small, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(OSError, match="0 MB free, and 2 are needed for the export"):
        export(small, tmp_path / "out")
