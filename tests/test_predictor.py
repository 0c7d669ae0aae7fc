"""Predictor, Bundle and evaluate on tiny networks."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_resnets import Bundle, Prediction, Predictor, create, evaluate, preset_of
from keras_resnets.classifier import Classifier
from keras_resnets.evaluation import keras_twin
from keras_resnets.images.labels import numbered
from keras_resnets.images.preprocessing import fit, normalise
from keras_resnets.images.reading import read_image
from keras_resnets.predictor import compare

from .conftest import as_numpy, randomise, tiny, write_picture


@pytest.fixture
def pictures(tmp_path):
    return [write_picture(tmp_path / f"{i}.png", size=(40 + i, 50), seed=i) for i in range(5)]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"classifier_activation": None},
        {"input_shape": (None, None, 3)},
        {"input_shape": (64, 48, 3)},
        {"input_shape": (3, 32, 32), "data_format": "channels_first"},
        {"dtype": "mixed_bfloat16"},
    ],
)
def test_answers_are_the_model_s_own(options, batch_size, pictures):
    model = randomise(tiny(**options))
    first = options.get("data_format") == "channels_first"
    size = model.input_shape[2:] if first else model.input_shape[1:3]
    answers = list(Predictor(model, batch_size).predict(pictures, top=4))
    for path, answer in zip(pictures, answers, strict=True):
        x = fit(read_image(path), preset_of(model), None if None in size else size)
        x = normalise(x, preset_of(model), "channels_last")[None]
        expected = as_numpy(model(np.moveaxis(x, -1, 1) if first else x)).astype("float32")[0]
        if options.get("classifier_activation", "") is None:
            expected = np.exp(expected) / np.exp(expected).sum()
        assert answer.source == path and answer.error is None
        got = {name: score for _, name, score in answer.top}
        np.testing.assert_allclose(
            [got[f"class {i}"] for i in range(4)], expected, atol=1e-2 if "dtype" in options else 1e-5
        )
        assert [score for *_, score in answer.top] == sorted(got.values(), reverse=True)


def test_one_broken_picture_stops_no_other(pictures):
    pictures[2].write_text("no picture")
    answers = list(Predictor(tiny(), 2).predict([*pictures, "gone.png"]))
    assert [bool(answer.error) for answer in answers] == [False, False, True, False, False, True]
    assert answers[2] == Prediction(
        pictures[2], (), f"{pictures[2]}: not a picture (JPEG, PNG, WEBP, BMP, GIF are read)"
    )
    assert answers[5].error == "gone.png: no such file"


def test_an_imagenet_network_answers_with_names(pictures):
    model = create("resnet50", weights=None, input_shape=(32, 32, 3))
    [answer] = Predictor(model).predict(pictures[:1], top=1)
    assert answer.top[0][0].startswith("n0") or answer.top[0][0].startswith("n1")


def test_what_is_not_a_list_of_pictures_is_refused(pictures):
    with pytest.raises(TypeError, match="pass a model, such as ResNet50.*Received: 'resnet50'"):
        Predictor("resnet50")
    predictor = Predictor(tiny(input_shape=(None, 64, 3)))
    with pytest.raises(TypeError, match="sources must be a list"):
        list(predictor.predict(str(pictures[0])))
    arrays = [np.full((9, 9, 3), 0.5), np.zeros((9, 9, 4), "uint8"), np.zeros((9, 9), "uint8")]
    assert all("an array must be uint8" in answer.error for answer in predictor.predict(arrays))
    with pytest.raises(ValueError, match="Received: top=0"):
        predictor.predict(pictures, top=0)
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        Predictor(tiny(), batch_size=0)


def test_networks_that_cannot_answer_are_refused():
    with pytest.raises(ValueError, match="has no classifier"):
        Predictor(tiny(include_top=False))
    with pytest.raises(ValueError, match="pictures have 3 channels"):
        Predictor(tiny(input_shape=(32, 32, 1)))
    with pytest.raises(ValueError, match="does not say which weights"):
        Predictor(tiny(name="mine"))


# --- bundles --------------------------------------------------------------------------------------


def small(**options):
    return create("resnet50", **{"weights": None, "classes": 2, "input_shape": (32, 32, 3), **options})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data_format": "channels_first", "input_shape": (3, 32, 32)},
        {"classifier_activation": None, "dtype": "mixed_bfloat16"},
        {"classifier_activation": keras.activations.softmax, "name": "mine"},
    ],
)
def test_a_bundle_gives_the_same_answers_again(options, tmp_path, pictures):
    model = randomise(small(**options))
    bundle = Bundle(
        model, preset_of(model), numbered(["cat", "dog"]), {"metrics": {"a": 1}}, ({"epoch": 1, "loss": 0.5},)
    )
    folder = bundle.save(tmp_path / "pets")
    assert sorted(path.name for path in folder.iterdir()) == [
        "bundle.json",
        "history.csv",
        "labels.txt",
        "model.weights.h5",
    ]
    again = Bundle.load(folder)
    assert (
        again.model.name == model.name
        and again.preset == bundle.preset
        and again.notes["metrics"] == {"a": 1}
    )
    assert list(again.predict(pictures, batch_size=2)) == list(Predictor(bundle, 2).predict(pictures))
    assert (folder / "history.csv").read_text() == "epoch,loss\n1,0.5\n"
    assert again.history == bundle.history and again.labels == bundle.labels


def test_a_bundle_does_not_depend_on_global_settings(tmp_path, pictures):
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = randomise(create("resnet50", weights=None, classes=2, input_shape=(3, 32, 32)))
    bundle = Bundle.of(model)
    folder = bundle.save(tmp_path / "pets")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    again = Bundle.load(folder)
    assert again.model.get_layer("conv1_conv").dtype_policy.name == "mixed_bfloat16"
    assert list(again.predict(pictures, batch_size=2)) == list(Predictor(bundle, 2).predict(pictures))
    twin = keras_twin(again)
    assert twin.model.input_shape == (None, 32, 32, 3)
    [(_, ours)], [(_, theirs)] = Predictor(again).scores(pictures), Predictor(twin).scores(pictures)
    np.testing.assert_allclose(ours, theirs, atol=1e-2)


ELSEWHERE = """
import json, sys
from keras_resnets import Bundle

print(json.dumps(list(Bundle.load(sys.argv[1]).predict(sys.argv[2:]))))
"""


def test_a_bundle_answers_in_another_process(tmp_path, pictures):
    model = randomise(create("resnet20", weights=None, classes=2))
    bundle = Bundle(model, preset_of(model), numbered(["cat", "dog"]))
    folder = bundle.save(tmp_path / "pets")
    pictures[2].write_text("no picture")
    asked = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, folder, *pictures], capture_output=True, text=True, check=True
    )
    answers = [Prediction(*answer) for answer in json.loads(asked.stdout)]
    expected = list(Predictor(bundle).predict(map(str, pictures)))
    assert [bool(answer.error) for answer in answers] == [False, False, True, False, False]
    for answer, own in zip(answers, expected, strict=True):
        assert (answer.source, answer.error) == (own.source, own.error)
        assert [tuple(best[:2]) for best in answer.top] == [best[:2] for best in own.top]
        assert [best[2] for best in answer.top] == pytest.approx([best[2] for best in own.top], abs=1e-5)


def test_a_bundle_answers_few_pictures_in_a_small_batch(pictures, monkeypatch):
    sizes = []

    def runner(model, preset, batch_size, *_):
        def run(images):
            sizes.append(len(images))
            return np.zeros((len(images), 2), "float32")

        return run

    monkeypatch.setattr("keras_resnets.predictor.runner", runner)
    bundle = Bundle.of(small())
    arrays = np.zeros((2, 40, 50, 3), "uint8")
    for sources in (pictures[:1], tuple(pictures), pictures * 7, iter(pictures), arrays):
        list(bundle.predict(sources))
    list(bundle.predict(pictures, batch_size=3))
    assert list(bundle.predict([])) == []
    assert sizes == [1, 5, 32, 32, 32, 32, 3, 3]


def test_what_a_bundle_is_asked_wrongly_is_said_before_it_compiles(pictures, monkeypatch):
    monkeypatch.setattr("keras_resnets.predictor.runner", lambda *_: pytest.fail("it compiles"))
    bundle = Bundle.of(small())
    with pytest.raises(ValueError, match="Received: top=0"):
        bundle.predict(pictures, top=0)
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        bundle.predict(pictures, batch_size=0)
    with pytest.raises(ValueError, match="engine='keras' computes as the model was built"):
        bundle.predict(pictures, engine="keras", precision="bfloat16")
    with pytest.raises(TypeError, match="unexpected keyword argument 'batchsize'"):
        bundle.predict(pictures, batchsize=1)
    with pytest.raises(TypeError, match="sources must be a list"):
        bundle.predict(str(pictures[0]))


def test_a_bundle_is_a_classifier():
    bundle = Bundle.of(small())
    assert type(bundle) is Bundle and Bundle.of(bundle) is Classifier.of(bundle) is bundle


def test_bundles_that_are_not_whole_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a bundle: no bundle\.json"):
        Bundle.load(tmp_path)
    model = small()
    folder = Bundle(model, preset_of(model), numbered("ab")).save(tmp_path / "ab")
    with pytest.raises(FileExistsError, match="choose another name"):
        Bundle(model, preset_of(model), numbered("ab")).save(folder)
    notes = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(notes | {"format": 99}))
    with pytest.raises(ValueError, match="has bundle format 99; this version reads 1"):
        Bundle.load(folder)
    for text in ("{", "[]", '{"format": 1}'):
        (folder / "bundle.json").write_text(text)
        with pytest.raises(ValueError, match="bundle.json is damaged"):
            Bundle.load(folder)
    (folder / "labels.txt").unlink()
    with pytest.raises(FileNotFoundError, match="is not whole: labels.txt is missing"):
        Bundle.load(folder)
    with pytest.raises(ValueError, match="only a model made by create"):
        Bundle(tiny(), preset_of(model), numbered("abcd")).save(tmp_path / "c")
    joined = small(input_tensor=keras.layers.Rescaling(2.0)(keras.Input((32, 32, 3))), input_shape=None)
    with pytest.raises(ValueError, match="without input_tensor"):
        Bundle(joined, preset_of(model), numbered("ab")).save(tmp_path / "c")
    with pytest.raises(ValueError, match="activations of Keras only"):
        Bundle(small(classifier_activation=lambda x: x), preset_of(model), numbered("ab")).save(
            tmp_path / "c"
        )
    with pytest.raises(ValueError, match="has 2 outputs. Received: 1 labels"):
        Bundle(model, preset_of(model), numbered("a"))
    assert not (tmp_path / "c").exists()


# --- evaluation -----------------------------------------------------------------------------------


def test_right_answers_are_counted(tmp_path):
    model = randomise(tiny(classes=6))
    paths = [write_picture(tmp_path / f"{i}.png", seed=i) for i in range(6)]
    scores = np.concatenate([rows for _, rows in Predictor(model).scores(paths)])
    order = scores.argsort(axis=1)[:, ::-1]
    # The right class of picture i is its best, second best, ..., worst answer.
    rows = [f"{i}.png,class {order[i, i]}" for i in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,class", *rows, "gone.png,class 0"]))
    result = evaluate(model, tmp_path, batch_size=4)
    assert (result.images, result.top1, result.top5) == (6, 1 / 6, 5 / 6)
    assert result.errors == (f"{tmp_path}/gone.png: no such file",)
    assert result.targets.tolist() == [order[i, i] for i in range(6)]
    np.testing.assert_allclose(result.scores, scores, atol=1e-6)


def test_classes_that_the_model_does_not_know(tmp_path):
    write_picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("file,class\na.png,unicorn")
    with pytest.raises(
        ValueError, match=r"1 classes of the data are not among the model's 4 \(class 0.*: unicorn"
    ):
        evaluate(tiny(), tmp_path)
    (tmp_path / "labels.csv").write_text("file,class\nb.png,3")
    with pytest.raises(ValueError, match="no picture could be read: .*b.png: no such file"):
        evaluate(tiny(), tmp_path)


def test_folders_named_with_digits_are_the_bundle_s_own_names(tmp_path):
    for name in ("1", "2", "3"):
        (tmp_path / name).mkdir()
        write_picture(tmp_path / name / "a.png", seed=int(name))
    bundle = Bundle(tiny(classes=3), preset_of("resnet50"), numbered(["1", "2", "3"]))
    assert evaluate(bundle, tmp_path).targets.tolist() == [0, 1, 2]


def test_a_broken_model_is_not_always_right(tmp_path):
    paths = [write_picture(tmp_path / f"{i}.png", seed=i) for i in range(4)]
    rows = [f"{path.name},{i}" for i, path in enumerate(paths)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,class", *rows]))
    constant = tiny()
    constant.set_weights([np.zeros_like(w) for w in constant.get_weights()])
    assert evaluate(constant, tmp_path).top1 == 0.25
    constant.set_weights([np.full_like(w, np.nan) for w in constant.get_weights()])
    with pytest.raises(ValueError, match="16 scores of the model are NaN or infinite"):
        evaluate(constant, tmp_path)


def test_two_models_are_compared():
    parity = compare(np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([[0.2, 0.8], [0.4, 0.6]]))
    assert (parity.images, parity.same_top1) == (2, 1) and parity.largest_difference == pytest.approx(0.2)


def test_the_twin_of_keras_applications_says_the_same(chance):
    ours = small(classes=3)
    images = chance.normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(as_numpy(ours(images)), as_numpy(keras_twin(ours).model(images)), atol=1e-6)
    with pytest.raises(ValueError, match="keras.applications has no network like 'resnext50'"):
        keras_twin(create("resnext50", weights=None, input_shape=(32, 32, 3)))


# --- what a predictor takes -----------------------------------------------------------------------


class OfUnknownLength(list):
    """What TensorFlow's datasets are that come from a generator."""

    def __len__(self):
        raise TypeError("The dataset length is unknown.")


def test_pictures_come_in_many_forms(pictures):
    from PIL import Image

    predictor = Predictor(randomise(tiny()), 2)
    expected = [answer.top for answer in predictor.predict(pictures)]
    arrays = [read_image(path) for path in pictures]
    same = np.stack([read_image(pictures[0])] * 3)
    for sources in (
        [path.read_bytes() for path in pictures],
        arrays,
        [array.astype("float32") for array in arrays],
        [Image.open(path) for path in pictures],
        ((array, 1) for array in arrays),
    ):
        assert [answer.top for answer in predictor.predict(sources)] == expected
    for sources in (same, [same], iter([(same.astype("float32"), [0, 1, 2])]), OfUnknownLength([same])):
        assert [answer.top for answer in predictor.predict(sources)] == expected[:1] * 3


def test_float_pictures_in_other_ranges_are_named():
    pictures = [np.full((9, 9, 3), value) for value in (0.5, -1.0, 256.0, np.nan)]
    for answer in Predictor(tiny()).predict(pictures):
        assert "float with values in 0..255. Received: float64 (9, 9, 3), values in" in answer.error
