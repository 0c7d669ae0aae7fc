"""A fine-tuning that is ended at any of its points: by a kill, by Ctrl-C, by a full disk, by pictures that go away."""

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_resnets import Bundle, TrainingError, create, evaluate, fine_tune, preset_of, reporting, train
from keras_resnets.images import batches
from keras_resnets.images.dataset import Samples
from keras_resnets.images.reading import ImageError
from keras_resnets.training import features, job, loop
from keras_resnets.training.place import Place

from ..conftest import as_numpy, write_picture

# Each point: what is called there, and whether the process dies after the call or in its place.
SCRIPT = """
import os, pathlib, resource, signal, sys
import numpy as np
from keras_resnets import fine_tune
from keras_resnets.training import features, fine_tuning, loop, place

POINTS = {
    "features": (features, "_keep", True),
    "classifier": (features._Epochs, "on_epoch_end", True),
    "network": (loop, "train", False),
    "epoch": (loop, "_write", True),
    "writing": (fine_tuning, "_add_report", False),
    "written": (place.Place, "tidy", False),
    "named": (pathlib.Path, "rename", True),
}
out, point = sys.argv[1:]
if point in POINTS:
    owner, name, after = POINTS[point]
    call = getattr(owner, name)

    def die(*arguments, **named):
        if after:
            call(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, die)
if point == "full":
    measured = fine_tuning._measured

    def fill(*arguments):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        return measured(*arguments)

    fine_tuning._measured = fill

chance = np.random.default_rng(0)
images = chance.integers(0, 256, (48, 32, 32, 3), dtype="uint8")
labels = np.arange(48) % 2
images[labels == 1] //= 2
run = fine_tune(
    "resnet20", (images, labels), "full", out=out, resume=point != "whole", head_epochs=2,
    epochs=999 if point == "long" else 2, batch_size=16, drop_path=0.2, batch_norm="batch", keep="last",
)
print(len(run.history))
"""
POINTS = ("features", "classifier", "network", "epoch", "writing", "written", "named")


@pytest.fixture
def start(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    started = []

    def start(name, point):
        process = subprocess.Popen(
            [sys.executable, tmp_path / "script.py", tmp_path / name, point],
            env=os.environ | {"KERAS_RESNETS_HOME": str(tmp_path / f"cache-{name}")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell lets its background jobs, and what they start, ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_killed_at_every_point_it_goes_on_to_the_same_result(start, tmp_path):
    """Each kill comes behind the last one: the whole training goes on seven times."""
    whole = start("whole", "whole")
    _, errors = whole.communicate(timeout=300)
    assert whole.returncode == 0, errors
    for point in POINTS:
        process = start("killed", point)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, (point, errors)
        assert (tmp_path / "killed").exists() == (point == "named")
    process = start("killed", "none")
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and printed.strip() == "4", errors
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("killed")) == ["killed"]
    whole, killed = Bundle.load(tmp_path / "whole"), Bundle.load(tmp_path / "killed")
    assert whole.history == killed.history and len(whole.history) == 4
    assert whole.notes == killed.notes and (tmp_path / "killed/report.html").is_file()
    for one, other in zip(whole.model.weights, killed.model.weights, strict=True):
        np.testing.assert_array_equal(as_numpy(one), as_numpy(other), err_msg=one.path)


def test_ctrl_c_keeps_what_there_is(start, tmp_path):
    process = start("out", "long")
    checkpoint = tmp_path / "out.training/last.npz"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and "stopped after epoch" in errors, errors
    assert 3 <= int(printed) < 999 and len(Bundle.load(tmp_path / "out").history) == int(printed)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(job, "accelerated"), (loop, "_ways"), (loop._Watch, "on_train_batch_end")],
    ids=["built", "compiled", "trained"],
)
def test_ctrl_c_before_the_network_has_an_epoch_keeps_the_classifier(
    data, owner, name, monkeypatch, tmp_path
):
    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupt)
    run = fine_tune("resnet20", data, "full", head_epochs=3, epochs=9, out=tmp_path / "out")
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    top1 = Bundle.load(tmp_path / "out").notes["metrics"]["top1"]
    assert top1 == pytest.approx(run.metrics["val_accuracy"])


def test_a_second_ctrl_c_loses_nothing_either(data, monkeypatch):
    """It comes as the best weights are put back after the first."""
    put, calls = loop.put, []

    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    def twice(network, arrays):
        calls.append(1)
        if len(calls) == 1:
            put(network, [0 * array for array in arrays[:5]] + arrays[5:])
            raise KeyboardInterrupt
        put(network, arrays)

    monkeypatch.setattr(loop._Watch, "on_train_batch_end", interrupt)
    monkeypatch.setattr(loop, "put", twice)
    run = fine_tune("resnet20", data, "full", head_epochs=3, epochs=9, validation=data)
    assert len(calls) == 2
    assert evaluate(run.bundle, data).top1 == pytest.approx(run.metrics["val_accuracy"])


def test_a_disk_that_fills_leaves_the_last_checkpoint(data, full_disk, monkeypatch, tmp_path):
    arguments = {"epochs": 3, "batch_size": 8, "out": tmp_path / "out"}
    whole = train("resnet20", data, data, **arguments | {"out": tmp_path / "whole"})
    write = loop._write
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_write", lambda *given: (write(*given), full_disk(True)))
        message = r"checkpoint of epoch 2 cannot be .* \(File too large\); make room, then resume; the checkpoint of epoch 1 is there"
        with pytest.raises(TrainingError, match=message):
            train("resnet20", data, data, **arguments)
    full_disk(False)
    assert sorted(path.name for path in (tmp_path / "out.training").iterdir()) == [
        "last.npz",
        "training.json",
    ]
    assert train("resnet20", data, data, resume=True, **arguments).history == whole.history


def test_a_result_that_cannot_be_written_is_not_lost(start, tmp_path):
    process = start("out", "full")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1 and not (tmp_path / "out").exists()
    assert (
        f"TrainingError: the result cannot be written to {tmp_path} (" in errors
        and "make room, then resume" in errors
    )
    printed, errors = start("out", "none").communicate(timeout=300)
    assert printed.strip() == "4", errors
    assert len(Bundle.load(tmp_path / "out").history) == 4


def test_a_report_for_which_there_is_no_room_is_written_later(data, full_disk, monkeypatch, tmp_path):
    arguments = {"epochs": 1, "batch_size": 8, "out": tmp_path / "out"}
    write = reporting.write_report
    with monkeypatch.context() as patch:
        patch.setattr(reporting, "write_report", lambda *given: (full_disk(True), write(*given)))
        with pytest.raises(TrainingError, match="the result cannot be written .*make room, then resume"):
            train("resnet20", data, data, **arguments)
    full_disk(False)
    assert not (tmp_path / "out").exists()
    train("resnet20", data, data, resume=True, **arguments)
    assert (tmp_path / "out/report.html").is_file() and (tmp_path / "out/figures/confusion.png").is_file()


def test_a_report_that_cannot_be_drawn_leaves_nothing_of_it(data, monkeypatch, tmp_path, capsys):
    def broken(*arguments):
        raise RuntimeError("no font")

    monkeypatch.setattr(reporting.figures, "reliability", broken)
    train("resnet20", data, data, epochs=1, batch_size=8, out=tmp_path / "out")
    assert "report.html could not be written: RuntimeError: no font" in capsys.readouterr().err
    assert Bundle.load(tmp_path / "out").history
    assert not [*(tmp_path / "out").glob("report.html"), *(tmp_path / "out").glob("figures")]


def test_a_loss_that_is_not_finite_leaves_the_last_checkpoint(data, monkeypatch, tmp_path):
    arguments = {"epochs": 3, "batch_size": 8, "out": tmp_path / "out"}
    write = loop._write

    def die(*given):
        write(*given)
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(loop, "_write", die)
        train("resnet20", data, data, **arguments)
    with pytest.raises(TrainingError, match=r"loss is .* epoch 2\. .*; the checkpoint of epoch 1 is there"):
        train("resnet20", data, data, resume=True, learning_rate=1e20, **arguments)
    run = train("resnet20", data, data, resume=True, **arguments)
    assert [row["epoch"] for row in run.history] == [1, 2, 3] and np.isfinite(run.history[-1]["loss"])


def test_a_training_whose_pictures_have_gone_is_written(monkeypatch, tmp_path, capsys):
    """They are in memory until then, and cannot be measured once more."""
    paths = [write_picture(tmp_path / f"{i}.png", seed=i) for i in range(8)]
    samples = Samples(tuple(paths), tuple("abababab"))
    write = loop._write

    def remove(*given):
        write(*given)
        for path in paths:
            path.unlink()

    monkeypatch.setattr(loop, "_write", remove)
    run = train("resnet20", samples, samples, epochs=1, out=tmp_path / "out")
    assert "the result is not measured: " in capsys.readouterr().err
    assert Bundle.load(tmp_path / "out").notes["metrics"] == run.metrics and "top1" not in run.metrics


@pytest.mark.parametrize("name", ["b\nc", "K\udce4se"])
def test_a_class_that_has_no_name_is_said_first(data, tmp_path, name):
    with pytest.raises(
        ValueError, match=r"a class name is one line of UTF-8; rename .* Received: '(b.nc|K.udce4se)'"
    ):
        fine_tune("resnet20", (data[0], np.array(["a", name])[data[1]]), "head", out=tmp_path / "out")
    assert not (tmp_path / "out.training").exists()


def test_a_result_that_waits_for_its_name_is_of_what_is_asked(data, monkeypatch, tmp_path):
    arguments = {"recipe": "head", "head_epochs": 1, "out": tmp_path / "out"}

    def die(place):
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(Place, "tidy", die)
        fine_tune("resnet20", data, **arguments)
    with pytest.raises(ValueError, match="holds a training with another seed"):
        fine_tune("resnet20", data, resume=True, seed=1, **arguments)
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="out exists; choose another name or remove it"):
        fine_tune("resnet20", data, resume=True, **arguments)
    (tmp_path / "out").rmdir()
    run = fine_tune("resnet20", data, resume=True, **arguments)
    assert run.metrics == Bundle.load(tmp_path / "out").notes["metrics"] and len(run.history) == 1
    assert not (tmp_path / "out.training").exists()


def test_a_class_of_which_nothing_can_be_read_is_said(tmp_path):
    """Pictures of a kind that is not read, for instance: the classifier would never answer it, or have one class."""
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for i in range(4):
        write_picture(tmp_path / f"data/cat/{i}.png", seed=i)
        (tmp_path / f"data/dog/{i}.heic").write_text(f"no picture {i}")
    for recipe in ({"recipe": "head"}, {"recipe": "full", "head_epochs": 0}):
        with pytest.raises(
            ValueError, match=r"no picture of the class dog can be read \(.*heic: not a picture"
        ):
            fine_tune("resnet20", tmp_path / "data", **recipe)


# --- the cache of features ------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    paths = [write_picture(tmp_path / f"{i}.png", seed=i) for i in range(8)]
    return Samples(tuple(paths), tuple("abababab"))


def test_a_picture_that_could_not_be_read_is_tried_again(files, monkeypatch):
    """Its file says the same of itself, as one whose permission was missing does."""
    read = batches.read_image

    def refused(source):
        if source == files.sources[0]:
            raise ImageError(f"{source}: Permission denied")
        return read(source)

    model = create("resnet20", weights=None, classes=2)
    with monkeypatch.context() as patch:
        patch.setattr(batches, "read_image", refused)
        run = fine_tune(model, files, "head", head_epochs=1, validation=files)
    assert run.metrics["unreadable"] == 2 * [f"{files.sources[0]}: Permission denied"]
    run = fine_tune(model, files, "head", head_epochs=1, validation=files)
    assert run.metrics["unreadable"] == [] and run.metrics["training pictures"] == 8


def test_the_cache_leaves_room_and_removes_what_is_old(files, monkeypatch, tmp_path):
    kept = tmp_path / "cache/features"
    (kept / "killed.npzabc").mkdir(parents=True)
    (kept / "old.npz").touch()
    for path in kept.iterdir():
        os.utime(path, (0, 0))
    monkeypatch.setattr(features, "LEFT", 0)
    model = create("resnet20", weights=None, classes=2)
    fine_tune(model, files, "head", head_epochs=1)
    assert len([*kept.iterdir()]) == 2 and all(len(path.stem) == 64 for path in kept.iterdir())
    monkeypatch.setattr(features, "LEFT", float("inf"))
    run = fine_tune(model, Samples(files.sources[::-1], files.labels), "head", head_epochs=1)
    assert len([*kept.iterdir()]) == 2 and run.metrics["training pictures"] == 6


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others compute as the network was built")
@pytest.mark.parametrize(("close", "precision"), [(features.CLOSE, "bfloat16"), (0.0, "float32")])
def test_features_are_computed_in_the_fastest_precision_that_keeps_them(files, monkeypatch, close, precision):
    monkeypatch.setattr(features, "MANY", 1)
    monkeypatch.setattr(features, "_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(features, "CLOSE", close)
    model = create("resnet20")
    found, _ = features.Reader(model, preset_of(model), files.sources).read(files.sources, lambda count: None)
    monkeypatch.setattr(features, "MANY", 999)
    exact, _ = features.Reader(model, preset_of(model), files.sources).read(files.sources, lambda count: None)
    lost = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert (1e-5 < lost < features.CLOSE) if precision == "bfloat16" else lost < 1e-6
