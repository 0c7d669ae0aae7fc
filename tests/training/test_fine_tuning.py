"""fine_tune on a small real network and a folder that can be told apart."""

import os

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnets import (
    Bundle,
    Predictor,
    create,
    evaluate,
    fine_tune,
    preprocess,
    preset_of,
    residual_network,
    train,
)
from keras_resnets.bundle import rebuilt
from keras_resnets.images.augmentation import middle
from keras_resnets.images.dataset import scan, split
from keras_resnets.images.preprocessing import normalise
from keras_resnets.images.reading import read_image
from keras_resnets.models import origin_of
from keras_resnets.training import job
from keras_resnets.training.network import to_train
from keras_resnets.training.recipes import modern, paper

from ..conftest import as_numpy


@pytest.fixture
def folder(tmp_path):
    """Two classes by brightness, eight pictures each."""
    chance = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(8):
            pixels = chance.integers(level - 40, level + 40, (40, 40, 3), dtype="uint8")
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    return tmp_path / "data"


def network(**options):
    return create("resnet20", **{"weights": None, "classes": 2, **options})


def test_a_classifier_learns_and_the_bundle_keeps_it(folder, tmp_path):
    model = network()
    frozen = [as_numpy(v) for v in model.variables[:-2]]
    run = fine_tune(model, folder, "head", head_epochs=20, out=tmp_path / "out")
    assert run.metrics["val_accuracy"] == 1.0 and run.metrics["training pictures"] == 12
    assert len(run.history) == 20 and run.history[0]["epoch"] == 1
    for before, after in zip(frozen, model.variables[:-2], strict=True):
        np.testing.assert_array_equal(before, as_numpy(after))
    again = Bundle.load(tmp_path / "out")
    assert again.notes["seed"] == 0 and len((tmp_path / "out/history.csv").read_text().splitlines()) == 21
    answers = Predictor(again).predict([folder / "dark/0.png", folder / "light/0.png"], top=1)
    assert [answer.top[0][1] for answer in answers] == ["dark", "light"]


def test_a_name_may_say_which_weights(folder):
    run = fine_tune("resnet20.own_cifar10", folder, "head", head_epochs=2)
    assert origin_of(run.bundle.model).weight == "resnet20.own_cifar10"
    with pytest.raises(
        ValueError, match=r"unknown weights 'resnet20.own_cifar'; did you mean resnet20.own_cifar10"
    ):
        fine_tune("resnet20.own_cifar", folder)


def test_the_best_epoch_is_the_one_that_is_kept(folder):
    model = network()
    run = fine_tune(model, folder, head_epochs=6, head_learning_rate=3.0)
    best = max(row["val_accuracy"] for row in run.history)
    assert run.metrics["val_accuracy"] == best
    assert run.metrics["val_loss"] == min(
        row["val_loss"] for row in run.history if row["val_accuracy"] == best
    )
    _, held_out = split(scan(folder), 0.25, 0)
    answers = Predictor(run.bundle).predict(held_out.sources, top=1)
    right = [answer.top[0][1] == label for answer, label in zip(answers, held_out.labels, strict=True)]
    assert np.mean(right) == best


def test_the_same_seed_gives_the_same_run(folder):
    first, second = network(), network()
    second.set_weights(first.get_weights())
    assert (
        fine_tune(first, folder, head_epochs=3, seed=5).history
        == fine_tune(second, folder, head_epochs=3, seed=5).history
    )


def test_logits_train_too(folder):
    run = fine_tune(network(classifier_activation=None), folder, head_epochs=20)
    assert run.metrics["val_accuracy"] == 1.0


@pytest.mark.parametrize("recipe", ["head", "full"])
def test_unreadable_pictures_are_left_out_and_listed(folder, recipe, monkeypatch, capsys):
    (folder / "dark/0.png").write_text("no picture")
    why = f"{folder}/dark/0.png: not a picture (JPEG, PNG, WEBP, BMP, GIF are read)"
    train_head = job.train_head

    def listed_by_now(*arguments):
        assert f"left out: {why}\n" in capsys.readouterr().err
        return train_head(*arguments)

    monkeypatch.setattr(job, "train_head", listed_by_now)
    run = fine_tune(network(), folder, recipe, head_epochs=1, epochs=1)
    assert run.metrics["unreadable"] == [why]
    assert run.metrics["training pictures"] + run.metrics["validation pictures"] == 15
    assert capsys.readouterr().err.count(why) == 0


@pytest.mark.parametrize("recipe", ["head", "full"])
def test_a_class_whose_validation_cannot_be_read_is_said(folder, tmp_path, recipe, capsys):
    held_out = tmp_path / "held out"
    for name in ("dark", "light"):
        (held_out / name).mkdir(parents=True)
        whole = (folder / name / "0.png").read_bytes()
        (held_out / name / "0.png").write_bytes(whole if name == "dark" else whole[:-99])
    run = fine_tune(network(), folder, recipe, validation=held_out, head_epochs=1, epochs=1)
    sentence = "classes without a picture to validate with: light"
    assert sentence in run.metrics["findings"] and sentence in capsys.readouterr().err.splitlines()


def test_mistakes_are_said_before_work_begins(folder, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="choose another name"):
        fine_tune("resnet50", tmp_path / "no data is looked for", out=tmp_path / "out")
    with pytest.raises(
        ValueError, match="2 classes, the model's classifier 7 outputs; build it with classes=2"
    ):
        fine_tune(network(classes=7), folder)
    with pytest.raises(ValueError, match="has no classifier"):
        fine_tune(network(include_top=False), folder)
    with pytest.raises(ValueError, match="Received: validation=1"):
        fine_tune(network(), folder, validation=1)
    with pytest.raises(ValueError, match=r"seed must be a whole number in 0..2\*\*32 - 1. Received: seed=-1"):
        fine_tune(network(), folder, seed=-1)
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        fine_tune(network(), folder, batch_size=0)
    with pytest.raises(ValueError, match="Received: learning_rate=-1"):
        fine_tune(network(), folder, learning_rate=-1)
    copy = keras.models.clone_model(network())
    with pytest.raises(ValueError, match="only a model made by create"):
        fine_tune(copy, folder, out=tmp_path / "new")
    with pytest.raises(ValueError, match="Received: epochs=0"):
        fine_tune(network(), folder, epochs=0)
    with pytest.raises(ValueError, match="unknown architecture 'resnet5'"):
        fine_tune("resnet5", folder)
    for path in (folder / "light").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"at least 2 classes are needed. Received: 1 \(dark\)"):
        fine_tune(network(), folder)


def test_the_network_learns_after_the_classifier(folder, tmp_path):
    model = network()
    before = {v.path: as_numpy(v).copy() for v in model.variables}
    run = fine_tune(
        model,
        folder,
        "full",
        head_epochs=2,
        epochs=2,
        unfrozen="conv4",
        batch_norm="batch",
        out=tmp_path / "out",
    )
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4]
    after = {v.path: as_numpy(v) for v in model.variables}
    changed = {path.split("/")[0].split("_")[0] for path in after if (after[path] != before[path]).any()}
    if run.metrics["epoch"] > 2:
        assert changed == {"conv4", "predictions"}
    assert all(layer.trainable for layer in model.layers)
    assert run.metrics["val_accuracy"] == max(row["val_accuracy"] for row in run.history)
    assert not (tmp_path / "out.training").exists()


def test_norms_stay_as_they_were_unless_they_are_to_learn(folder):
    """Statistics, scales and shifts: the reason why a few pictures are enough."""
    model = network()
    before = {v.path: as_numpy(v).copy() for v in model.variables}
    fine_tune(model, folder, "full", head_epochs=1, epochs=1, keep="last", learning_rate=0.1)
    same = {path for path, value in before.items() if (as_numpy(_variable(model, path)) == value).all()}
    assert same == {path for path in before if "_bn/" in path}


def _variable(model, path):
    return next(variable for variable in model.variables if variable.path == path)


def test_a_recipes_drop_path_is_the_networks(folder):
    model = network()
    run = fine_tune(model, folder, "full", head_epochs=0, epochs=1, drop_path=0.2)
    assert origin_of(run.bundle.model).options["drop_path_rate"] == 0.2
    assert origin_of(model).options["drop_path_rate"] == 0


def test_a_network_from_nothing_begins_as_its_recipe_says():
    """He et al., arXiv:1502.01852: a deviation of the square root of 2 over the inputs of a kernel."""
    for recipe, deviation in ((paper(32), (2 / 1024) ** 0.5), (modern(32), (2 / (1024 + 256)) ** 0.5)):
        kernel = to_train("resnet50", None, 2, 32, recipe).get_layer("conv4_block2_1_conv").kernel
        assert as_numpy(kernel).std() == pytest.approx(deviation, rel=0.02)


def test_smoothed_targets_are_what_is_learned(folder):
    """With frozen norms and a rate of nothing the loss of an epoch is that of the network as it was."""
    model = network()
    run = fine_tune(
        model, folder, "full", head_epochs=0, epochs=1, batch_size=16, learning_rate=1e-12, label_smoothing=0.3,
        class_weights=False, keep="last", augmentation="none",
    )  # fmt: skip
    training, _ = split(scan(folder), 0.25, 0)
    pictures = [middle(read_image(path), (32, 32), preset_of(model)) for path in training.sources]
    scores = as_numpy(model(preprocess(np.stack(pictures), model)))
    targets = 0.7 * np.eye(2)[[training.classes.index(label) for label in training.labels]] + 0.15
    assert run.history[0]["loss"] == pytest.approx(-(targets * np.log(scores)).sum(axis=1).mean(), rel=1e-3)


def test_a_bundle_of_a_pixel_mean_answers_as_the_training_measured(folder, tmp_path):
    run = fine_tune(
        network(), folder, "full", head_epochs=0, epochs=2, batch_norm="recalibrate", pixel_mean=True, drop_path=0.2,
        keep="last", learning_rate=0.1, out=tmp_path / "out",
    )  # fmt: skip
    train, held_out = split(scan(folder), 0.25, 0)
    mean = np.mean(
        [middle(read_image(path), (32, 32), preset_of("resnet20")) for path in train.sources], axis=0
    )
    again = Bundle.load(tmp_path / "out")
    np.testing.assert_allclose(again.preset.mean, mean, atol=1e-3)
    assert again.preset == run.bundle.preset and str(again.preset).endswith("over (58.395, 57.12, 57.375)")
    measured = evaluate(again, held_out)
    assert measured.top1 == run.metrics["val_accuracy"]
    picked = measured.scores[np.arange(len(measured.targets)), measured.targets]
    assert -np.log(picked).mean() == pytest.approx(run.metrics["val_loss"], rel=0.01)
    with pytest.raises(
        ValueError, match=r"a mean for each pixel goes with pictures of 32 x 32. Received: .*64"
    ):
        normalise(np.zeros((1, 64, 64, 3), "uint8"), again.preset, "channels_last")


@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "bfloat16"},
        {"mixup": 0.2, "cutmix": 1.0, "label_smoothing": 0.1, "class_weights": True},
        {"optimizer": "adamw", "learning_rate": 1e-3, "ema": 0.9, "schedule": "plateau", "warmup": 0.0},
        {"iterations": 5, "schedule": "steps", "steps": (0.5,), "augmentation": "crop"},
    ],
    ids=lambda fields: next(iter(fields)),
)
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_every_field_trains(folder, fields, layout):
    if layout == "channels_first" and "precision" in fields:
        pytest.skip("TensorFlow's processor kernels have no channels_first in bfloat16")
    recipe = {"head_epochs": 0, "epochs": 2, "batch_size": 4, "batch_norm": "batch", **fields}
    run = fine_tune(network(data_format=layout), folder, "full", **recipe)
    epochs = 2  # 12 pictures, 3 steps
    assert len(run.history) == epochs and all(np.isfinite(list(row.values())).all() for row in run.history)


def test_data_may_be_arrays_and_have_its_own_validation(folder):
    samples = scan(folder)
    images = np.stack([read_image(path) for path in samples.sources])
    names = np.array(samples.labels)
    run = fine_tune(
        network(), (images[::2], names[::2]), "head", head_epochs=2, validation=(images[1::2], names[1::2])
    )
    assert run.metrics["training pictures"] == run.metrics["validation pictures"] == 8
    assert [label.name for label in run.bundle.labels] == ["dark", "light"] and run.metrics["findings"] == []


def test_pictures_that_cannot_be_read_are_refused_where_that_is_asked(folder):
    (folder / "dark/0.png").write_text("no picture")
    (folder / "dark/1.png").write_text("no picture")
    for recipe, fields in (("head", {}), ("full", {"head_epochs": 0})):
        with pytest.raises(
            ValueError, match=r"0.png: not a .*; .*1.png: not a .* cannot be used; on_bad='skip'"
        ):
            fine_tune(network(), folder, recipe, validation=0.1, on_bad="raise", **fields)
    run = fine_tune(network(), folder, "full", head_epochs=0, epochs=1)
    assert len(run.metrics["unreadable"]) == 2
    assert run.metrics["training pictures"] + run.metrics["validation pictures"] == 14


def test_features_are_computed_once(folder, tmp_path, monkeypatch):
    """The second training takes them from the cache: the files may hold anything while their sizes and dates stay."""
    monkeypatch.setenv("KERAS_RESNETS_HOME", str(tmp_path / "cache"))
    model = network()
    first = fine_tune(model, folder, "head", head_epochs=2)
    [*kept] = (tmp_path / "cache/features").iterdir()
    assert len(kept) == 2
    for path in folder.rglob("*.png"):
        status = path.stat()
        path.write_bytes(os.urandom(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = network()
    again.set_weights(model.get_weights())
    second = fine_tune(again, folder, "head", head_epochs=2)
    assert second.metrics["unreadable"] == [] and second.metrics["training pictures"] == 12
    with pytest.raises(ValueError, match="no picture could be read"):
        fine_tune(network(seed=3), folder, "head", head_epochs=2)
    assert first.metrics["training pictures"] == 12


def test_what_would_spoil_it_is_said(folder, capsys):
    (folder / "light/9.png").write_bytes((folder / "dark/0.png").read_bytes())
    (folder / "nothing").mkdir()
    run = fine_tune(network(), folder, "head", head_epochs=1)
    said = capsys.readouterr().err
    for sentence in run.metrics["findings"]:
        assert sentence in said
    assert any("in two classes: 1" in sentence for sentence in run.metrics["findings"])
    assert any(
        "the class folder nothing holds no picture" in sentence for sentence in run.metrics["findings"]
    )


def test_a_network_is_built_again_with_the_weights_where_they_belong():
    """Drop path adds layers, and with them the order of the others is another."""
    model = create("resnet18", weights=None, classes=2, input_shape=(32, 32, 3))
    model.get_layer("conv1_conv").trainable = False
    again = rebuilt(model, drop_path_rate=0.2)
    orders = [[layer.name for layer in each.layers if layer.weights] for each in (model, again)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(as_numpy(model(images)), as_numpy(again(images)), rtol=1e-5, atol=1e-6)
    assert not again.get_layer("conv1_conv").trainable and again.get_layer("conv2_block1_1_conv").trainable
    assert origin_of(again).options["drop_path_rate"] == 0.2
    with pytest.raises(ValueError, match="can be built again with another drop_path_rate"):
        rebuilt(keras.models.clone_model(model), drop_path_rate=0.1)


def test_a_bundle_goes_on_with_its_own_preset(folder):
    first = fine_tune(network(), folder, "head", head_epochs=1, whole=True).bundle
    again = fine_tune(first, folder, "head", head_epochs=1)
    assert again.bundle.preset == first.preset and again.bundle.preset.name == "cifar_whole"


def test_what_cannot_be_trained_is_said_first(folder):
    with pytest.raises(
        ValueError, match="no weights are published for resnet32, so there is nothing to fine-tune"
    ):
        fine_tune("resnet32", folder)
    with pytest.raises(ValueError, match="recipe='auto' is for pretrained networks"):
        train("resnet20", folder, folder, "auto")
    model = network()
    model.get_layer("predictions").trainable = False
    with pytest.raises(ValueError, match="the classifier of 'resnet20' is frozen"):
        fine_tune(model, folder, "head")
    model.trainable = False
    with pytest.raises(ValueError, match="every layer of 'resnet20' from conv1 on is frozen"):
        fine_tune(model, folder, "full", head_epochs=0)
    with pytest.raises(
        ValueError, match="weights are trained in float32; build the network with dtype='mixed_bfloat16'"
    ):
        fine_tune(network(dtype="bfloat16"), folder)
    with pytest.raises(ValueError, match="size goes with the name of a network; 'resnet20' takes"):
        fine_tune(network(), folder, size=48)


def test_a_networks_own_normalisation_is_adapted_once(folder):
    model = residual_network(
        (32, 32, 3),
        2,
        initial_filter_size=3,
        initial_stride=1,
        initial_pooling_layer="none",
        stack_depth=(1,),
        num_filters=(4,),
    )
    run = train(model, folder, folder, "paper", epochs=1, batch_size=8)
    mean = as_numpy(model.get_layer("zerocenter").mean).ravel()
    assert 100 < mean.mean() < 140 and np.ndim(run.bundle.preset.mean) == 1
    other = np.random.default_rng(0).integers(0, 9, (4, 32, 32, 3), dtype="uint8"), ["dark", "light"] * 2
    fine_tune(run.bundle, other, "head", head_epochs=1, validation=0.5)
    np.testing.assert_array_equal(as_numpy(model.get_layer("zerocenter").mean).ravel(), mean)


def test_a_pixel_mean_is_of_what_the_network_sees(folder):
    rows = np.broadcast_to(np.arange(0, 256, 4, dtype="uint8")[:, None, None], (64, 64, 3))
    data = np.stack([rows, rows[:, ::-1] + 1, rows + 2, rows + 3]), np.array([0, 1, 0, 1])
    model = create("resnet18", weights=None, classes=2, input_shape=(32, 32, 3))
    run = train(model, data, data, "paper", epochs=1, batch_size=4)
    expected = np.mean(
        [middle(np.ascontiguousarray(image), (32, 32), preset_of(model)) for image in data[0]], axis=0
    )
    np.testing.assert_allclose(run.bundle.preset.mean, expected, atol=1e-3)
