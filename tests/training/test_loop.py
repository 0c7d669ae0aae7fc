"""How a training goes on, and how it ends: in a process that is really killed, too."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_resnets import Bundle, TrainingError, create, fine_tune, preprocess, preset_of, train
from keras_resnets.images.dataset import Samples
from keras_resnets.training import features, job, loop
from keras_resnets.training.epoch import Epoch
from keras_resnets.training.recipe import changed
from keras_resnets.training.recipes import modern

from ..conftest import as_numpy, write_picture

SCRIPT = """
import sys
import numpy as np
from keras_resnets import train

out, resume = sys.argv[1], sys.argv[2] == "resume"
chance = np.random.default_rng(0)
images = chance.integers(0, 256, (48, 32, 32, 3), dtype="uint8")
labels = np.arange(48) % 2
images[labels == 1] //= 2
run = train(
    "resnet20", (images, labels), (images[:16], labels[:16]), out=out, resume=resume,
    epochs=4, batch_size=16, drop_path=0.2, mixup=0.2, warmup=1.0, batch_norm="recalibrate", ema=0.9,
)
"""


def started(tmp_path, out, resume="new"):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "script.py", out, resume]
    return subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)


def ended(process):
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def test_a_killed_training_goes_on_to_the_same_result(tmp_path):
    code, errors = ended(started(tmp_path, tmp_path / "whole"))
    assert code == 0, errors
    process = started(tmp_path, tmp_path / "killed")
    checkpoint = tmp_path / "killed.training/last.npz"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert ended(process)[0] == -signal.SIGKILL and not (tmp_path / "killed").exists()
    rows = json.loads(np.load(checkpoint)["told"].tobytes())["rows"]
    assert 1 <= len(rows) < 4

    code, errors = ended(started(tmp_path, tmp_path / "killed"))
    assert code == 1 and "holds an unfinished training; go on with resume=True (--resume)" in errors
    code, errors = ended(started(tmp_path, tmp_path / "killed", "resume"))
    assert code == 0, errors
    assert not (tmp_path / "killed.training").exists()
    whole, killed = Bundle.load(tmp_path / "whole"), Bundle.load(tmp_path / "killed")
    assert whole.history == killed.history and len(killed.history) == 4
    for one, other in zip(whole.model.weights, killed.model.weights, strict=True):
        np.testing.assert_array_equal(as_numpy(one), as_numpy(other), err_msg=one.path)


def test_a_loss_that_is_not_finite_ends_it_with_the_last_good_weights(data, tmp_path):
    model = create("resnet20", weights=None, classes=2)
    with pytest.raises(
        TrainingError,
        match=r"the loss is .* at step .* of epoch 1. A lower learning_rate.*; no checkpoint is there",
    ):
        train(model, data, data, epochs=2, batch_size=8, learning_rate=1e20, warmup=0.0, out=tmp_path / "out")
    assert all(np.isfinite(as_numpy(variable)).all() for variable in model.weights)


def test_a_validation_loss_that_is_not_finite_does_too(data, tmp_path):
    """One step an epoch: its loss is from before the step that spoils the weights."""
    model = create("resnet20", weights=None, classes=2)
    with pytest.raises(
        TrainingError, match=r"the validation loss is .* at epoch 1\. .*; no checkpoint is there"
    ):
        train(model, data, data, batch_size=512, learning_rate=1e30, warmup=0.0, out=tmp_path / "out")
    assert all(np.isfinite(as_numpy(variable)).all() for variable in model.weights)


def test_ctrl_c_keeps_the_best_so_far(data, monkeypatch):
    """The interrupt comes where a person's would: in the middle of the third epoch."""
    epochs = []
    before = loop._Watch.on_train_batch_end

    def interrupt(self, batch, logs=None):
        before(self, batch, logs)
        epochs.append(self._epoch)
        if self._epoch == 3 and batch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop._Watch, "on_train_batch_end", interrupt)
    model = create("resnet20", weights=None, classes=2)
    run = train(model, data, data, epochs=9, batch_size=8, keep="best")
    assert [row["epoch"] for row in run.history] == [1, 2] and max(epochs) == 3
    best = max(run.history, key=loop.goodness)
    assert run.metrics["val_loss"] == best["val_loss"]
    scores = as_numpy(run.bundle.model(preprocess(data[0], model)))
    loss = -np.log(scores[np.arange(24), data[1]]).mean()
    assert loss == pytest.approx(best["val_loss"], rel=1e-3)


def test_ctrl_c_while_the_classifier_trains_ends_it_all(data, monkeypatch):
    before = features._Epochs.on_epoch_end

    def interrupt(self, epoch, logs=None):
        before(self, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(features._Epochs, "on_epoch_end", interrupt)
    model = create("resnet20", weights=None, classes=2)
    run = fine_tune(model, data, "full", head_epochs=9, epochs=9)
    assert [row["epoch"] for row in run.history] == [1, 2]


def test_an_average_of_the_weights_does_not_disturb_the_training(data):
    """The average is evaluated and kept; what is trained is the same with and without it."""
    plain, averaged = (
        train("resnet20", data, data, epochs=3, batch_size=8, ema=ema, keep="last") for ema in (0.0, 0.9)
    )
    losses = [[row["loss"] for row in run.history] for run in (plain, averaged)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert any(
        (as_numpy(one) != as_numpy(other)).any()
        for one, other in zip(
            plain.bundle.model.trainable_variables, averaged.bundle.model.trainable_variables, strict=True
        )
    )


def test_iterations_are_counted_to_the_step(data):
    """24 pictures in batches of 8: 3 steps an epoch. The rate falls to nothing at the last of 4 steps."""
    run = train("resnet20", data, data, iterations=4, batch_size=8)
    assert len(run.history) == 2
    batches = Epoch(
        data[0], data[1], 2, modern(), preset_of("resnet20"), (32, 32), lambda x: x, epoch=1, steps=1
    )
    assert len(batches) == 1


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_class_weights_go_with_the_mixture(data, way):
    recipe = changed(modern(), batch_size=24, **{way: 1.0})
    batches = Epoch(
        data[0],
        data[1],
        2,
        recipe,
        preset_of("resnet20"),
        (32, 32),
        lambda x: x,
        np.array([0.5, 6.0]),
        epoch=0,
    )
    _, targets, weights = batches[0]
    np.testing.assert_allclose(weights, targets @ [0.5, 6.0], rtol=1e-6)
    assert len(np.unique(weights.round(4))) > 2  # not only the classes' own


def test_a_picture_that_vanishes_is_named(tmp_path, monkeypatch):
    """Nothing fits into memory here, so every picture is read again at each pass."""
    monkeypatch.setattr(job, "quarter_of_memory", lambda: 0)
    paths = [write_picture(tmp_path / f"{i}.png", seed=i) for i in range(8)]
    samples = Samples(tuple(paths), tuple("abababab"))
    before = loop._Watch.on_train_batch_end

    def remove(self, batch, logs=None):
        before(self, batch, logs)
        for path in paths:
            path.unlink(missing_ok=True)

    monkeypatch.setattr(loop._Watch, "on_train_batch_end", remove)
    with pytest.raises(
        TrainingError, match=r"a picture is gone \(.*png: no such file\); no checkpoint is there"
    ):
        train("resnet20", samples, samples, epochs=3, batch_size=2)


def test_a_training_that_gets_no_better_ends(data):
    run = train(
        "resnet20",
        data,
        data,
        epochs=50,
        batch_size=24,
        learning_rate=1e-12,
        patience=2,
        keep="best",
        ema=0.0,
    )
    best = max(range(len(run.history)), key=lambda i: loop.goodness(run.history[i]))
    assert len(run.history) < 10 and len(run.history) == best + 1 + 2  # also where the last epoch is kept


def test_a_checkpoint_of_something_else_is_refused(data, tmp_path):
    with pytest.raises(TrainingError):
        train(
            "resnet20",
            data,
            data,
            epochs=2,
            batch_size=8,
            learning_rate=1e20,
            warmup=0.0,
            out=tmp_path / "out",
        )
    for other, changes in (
        ("seed", {"seed": 1}),
        ("data", {"data": (data[0][:20], data[1][:20])}),
        ("network", {"size": 48}),
        ("network", {"model_or_name": create("resnet20", weights=None, classes=2, activation="elu")}),
    ):
        arguments = {"model_or_name": "resnet20", "data": data, "seed": 0, **changes}
        with pytest.raises(ValueError, match=f"holds a training with another {other}"):
            train(test=data, epochs=2, out=tmp_path / "out", resume=True, **arguments)
    (tmp_path / "out.training/last.npz").write_bytes(b"PK no archive")
    with pytest.raises(TrainingError, match=r"last.npz is damaged .*remove its folder to begin anew"):
        train("resnet20", data, data, epochs=2, out=tmp_path / "out", resume=True)


def test_resume_needs_a_place(data):
    with pytest.raises(ValueError, match="resume=True needs out="):
        train("resnet20", data, data, resume=True)
