"""fine_tune on a small real network and a folder that can be told apart."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnets import Bundle, Predictor, create, fine_tune

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
    return create("resnet50", **{"weights": None, "classes": 2, "input_shape": (32, 32, 3), **options})


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


def test_the_best_epoch_is_the_one_that_is_kept(folder):
    model = network()
    run = fine_tune(model, folder, head_epochs=6, head_learning_rate=3.0)
    best = max(row["val_accuracy"] for row in run.history)
    assert run.metrics["val_accuracy"] == best
    assert run.metrics["val_loss"] == min(
        row["val_loss"] for row in run.history if row["val_accuracy"] == best
    )
    from keras_resnets.images.dataset import scan, split

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


def test_unreadable_pictures_are_left_out_and_listed(folder):
    (folder / "dark/0.png").write_text("no picture")
    run = fine_tune(network(), folder, head_epochs=1)
    assert run.metrics["unreadable"] == [
        f"{folder}/dark/0.png: not a picture (JPEG, PNG, WEBP, BMP, GIF are read)"
    ]
    assert run.metrics["training pictures"] + run.metrics["validation pictures"] == 15


def test_mistakes_are_said_before_work_begins(folder, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="choose another name"):
        fine_tune("resnet50", folder, out=tmp_path / "out")
    with pytest.raises(
        ValueError, match="2 classes, the model's classifier 7 outputs; build it with classes=2"
    ):
        fine_tune(network(classes=7), folder)
    with pytest.raises(ValueError, match="has no classifier"):
        fine_tune(network(include_top=False), folder)
    with pytest.raises(ValueError, match="Received: validation=1"):
        fine_tune(network(), folder, validation=1)
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
