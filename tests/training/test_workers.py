"""A training that is shared: in processes that really talk to each other, and that are really killed."""

import json
import os
import signal
import subprocess
import sys
import time

import click.testing
import keras
import numpy as np
import psutil
import pytest
from PIL import Image

from keras_resnets import Bundle
from keras_resnets.cli import cli
from keras_resnets.images.batches import Pictures
from keras_resnets.images.presets import PRESETS
from keras_resnets.training import launching
from keras_resnets.training.epoch import Epoch
from keras_resnets.training.recipe import changed
from keras_resnets.training.recipes import modern
from keras_resnets.training.workers import Worker, check_can_share

from ..conftest import as_numpy

BACKENDS = ("tensorflow", "jax")
# Every picture's draws are its own, whoever computes it.
SCRIPT = """
import json, sys
import numpy as np
from keras_resnets import train
from keras_resnets.training.workers import check_same, current, joined

way, number, addresses = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
chance = np.random.default_rng(0)
images = chance.integers(0, 256, (48, 32, 32, 3), dtype="uint8")
labels = np.arange(48) % 2
images[labels == 1] //= 2

def losses():
    run = train(
        "resnet20", (images, labels), (images[:15], labels[:15]), epochs=2, batch_size=16, learning_rate=0.01,
        augmentation="pad", mixup=0.2, class_weights=True, ema=0.9, batch_norm="recalibrate",
    )
    return [{name: row[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")} for row in run.history]

if way == "alone":
    print(json.dumps(losses()))
elif way == "replicas":
    import tensorflow as tf

    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [one, one])
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        print(json.dumps(losses()))
elif way == "disagree":
    with joined(addresses, number):
        check_same(current(), "seed", 3 + number)
else:
    with joined(addresses, number):
        print(json.dumps(losses()))
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)

    def start(backend, way, number=0, addresses="-"):
        return subprocess.Popen(
            [sys.executable, tmp_path / "script.py", way, str(number), addresses],
            env=os.environ | {"KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def together(script, backend, way):
    addresses = ",".join(launching.free_ports(2))
    return [script(backend, way, number, addresses) for number in range(2)]


def said(process):
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


def assert_alike(rows, others):
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        for name, value in row.items():
            assert value == pytest.approx(other[name], rel=1e-3), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_workers_train_as_one(script, backend):
    alone = said(script(backend, "alone"))
    first, second = map(said, together(script, backend, "workers"))
    assert first == second
    assert_alike(alone, first)


def test_two_replicas_of_a_mirrored_strategy_train_as_one(script):
    assert_alike(said(script("tensorflow", "alone")), said(script("tensorflow", "replicas")))


@pytest.mark.parametrize("backend", BACKENDS)
def test_workers_that_differ_say_so(script, backend):
    for process in together(script, backend, "disagree"):
        _, errors = process.communicate(timeout=300)
        assert "worker 1 has another seed than worker 0; all have to be started alike" in errors


@pytest.fixture
def folders(tmp_path):
    chance = np.random.default_rng(0)
    for part, number in (("train", 24), ("test", 6)):
        for name, light in (("dark", 0), ("light", 10)):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(number):
                image = light + chance.integers(0, 128, (32, 32, 3), dtype="uint8")
                Image.fromarray(image).save(tmp_path / part / name / f"{i}.png")
    return tmp_path


def command(folders, out, *more):
    return [
        *(sys.executable, "-m", "keras_resnets", "train", "--dataset", folders / "train"),
        *("--test", folders / "test", "--out", folders / out, "--epochs", "4"),
        *("--set", "batch_size=16", "--set", "learning_rate=0.01"),
        *more,
    ]


def start(folders, out, *more, backend="tensorflow"):
    line = list(map(str, command(folders, out, *more)))
    with (folders / f"{out}.log").open("w") as log:
        return subprocess.Popen(
            line,
            env=os.environ | {"KERAS_BACKEND": backend},
            stdout=log,
            stderr=log,
            # What runs in a shell's background ignores Ctrl-C, and so would what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def workers_of(process):
    """The processes that it started, by their number."""
    children = psutil.Process(process.pid).children()
    lines = [(child, child.cmdline()) for child in children]
    return {line[line.index("--as-worker") + 1]: child for child, line in lines if "--as-worker" in line}


def wait_for_an_epoch(folder, process):
    while not (folder / "last.npz").exists() and process.poll() is None:
        time.sleep(0.01)


@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.slow)])
def test_a_killed_worker_begins_again_from_the_last_checkpoint(folders, backend):
    whole = start(folders, "whole", "--workers", "2", backend=backend)
    assert whole.wait(300) == 0, (folders / "whole.log").read_text()
    process, checkpoint = (
        start(folders, "killed", "--workers", "2", backend=backend),
        folders / "killed.training",
    )
    wait_for_an_epoch(checkpoint, process)
    workers_of(process)["1"].send_signal(signal.SIGKILL)
    log = folders / "killed.log"
    assert process.wait(300) == 0, log.read_text()
    assert "worker 1 ended with signal 9; all begin again from the last checkpoint" in log.read_text()
    assert not checkpoint.exists() and (folders / "killed/report.html").exists()
    whole, killed = Bundle.load(folders / "whole"), Bundle.load(folders / "killed")
    assert whole.history == killed.history and len(killed.history) == 4
    for one, other in zip(whole.model.weights, killed.model.weights, strict=True):
        np.testing.assert_array_equal(as_numpy(one), as_numpy(other), err_msg=one.path)


def test_the_worker_of_another_machine_begins_again_too(folders):
    """Two commands, as on two machines with one disk, and the worker that writes is killed."""
    addresses = ",".join(launching.free_ports(2))
    commands = [start(folders, "out", "--workers", addresses, "--worker", str(number)) for number in range(2)]
    wait_for_an_epoch(folders / "out.training", commands[0])
    workers_of(commands[0])["0"].send_signal(signal.SIGKILL)
    # They share a log's name, and with it the file.
    assert [process.wait(300) for process in commands] == [0, 0], (folders / "out.log").read_text()
    assert len(Bundle.load(folders / "out").history) == 4


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(folders, how):
    process = start(folders, "out", "--workers", "2")
    wait_for_an_epoch(folders / "out.training", process)
    workers = list(workers_of(process).values())
    assert len(workers) == 2
    process.send_signal(how)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped; --resume goes on from the last epoch" in (folders / "out.log").read_text()
    else:
        assert start(folders, "out", "--workers", "2", "--resume").wait(300) == 0
        assert len(Bundle.load(folders / "out").history) == 4


def test_what_a_worker_finds_wrong_is_said_once(folders):
    process = start(folders, "out", "--workers", "2", "--set", "batch_size=15")
    assert process.wait(300) == 2
    lines = [line for line in (folders / "out.log").read_text().splitlines() if "batch_size" in line]
    (line,) = lines
    assert line.startswith("keras-resnets: batch_size must be a multiple of the 2 parts")


def test_workers_that_always_die_are_given_up(capfd):
    dies = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    with pytest.raises(RuntimeError, match="worker 0 ended with signal 9, 3 times without one epoch more"):
        launching.run(dies, lambda: ["-"], [0], lambda: None)
    assert capfd.readouterr().err.count("begin again") == 2


def test_epochs_in_between_give_new_attempts(tmp_path):
    """Nine processes die, but each has got on."""
    script = f"open({str(tmp_path / 'log')!r}, 'a').write('x'); import sys, os; p = {str(tmp_path / 'log')!r}"
    dies = [sys.executable, "-c", f"{script}; sys.exit(0 if os.path.getsize(p) > 9 else 1)"]
    log = tmp_path / "log"
    launching.run(dies, lambda: ["-"], [0], lambda: log.exists() and log.stat().st_size)
    assert log.stat().st_size == 10


def epoch_of(number, batch_size, worker, **fields):
    images = np.arange(number, dtype="uint8")[:, None, None, None] + np.zeros((32, 32, 3), "uint8")
    recipe = changed(modern(32), batch_size=batch_size, augmentation="none", **fields)
    pictures = Pictures(images, list(images), lambda image: image)
    layout, preset = (lambda images: images), PRESETS["cifar"]
    return Epoch(
        pictures, np.arange(number) % 3, 3, recipe, preset, (32, 32), layout, seed=1, epoch=2, worker=worker
    )


@pytest.mark.parametrize(
    "number, batch_size, count, replicas",
    [
        (48, 16, 2, 1),
        (50, 16, 4, 1),
        (7, 7, 3, 1),
        (9, 100, 2, 1),
        (5, 2, 2, 1),
        (50, 16, 2, 2),
        (9, 8, 1, 4),
    ],
)
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_the_shares_of_a_batch_are_the_batch(number, batch_size, count, replicas, mixup):
    shared = [epoch_of(number, batch_size, Worker(i, count, replicas), mixup=mixup) for i in range(count)]
    whole = shared[0].whole()
    assert len({len(each) for each in shared}) == 1
    assert sum(map(len, whole.groups)) == number - number % (count * replicas)
    for index in range(len(whole)):
        assert len(whole.groups[index]) <= batch_size
        parts = [each[index] for each in shared]
        assert len({len(images) for images, _ in parts}) == 1
        for position in (0, 1):
            rows = [part[position].reshape(-1, replicas, *part[position].shape[1:]) for part in parts]
            joined = np.concatenate(rows, axis=1).reshape(whole[index][position].shape)
            np.testing.assert_array_equal(joined, whole[index][position])


def test_what_workers_cannot_share_is_refused():
    head = changed(modern(32), head_epochs=1)
    with pytest.raises(ValueError, match="head_epochs=0 leaves that out"):
        check_can_share(Worker(0, 2), head, pictures=3)
    with pytest.raises(ValueError, match="3 pictures are too few for the 4 parts of a batch"):
        check_can_share(Worker(0, 4), modern(32), pictures=3)
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 6 parts"):
        check_can_share(Worker(0, 3, 2), modern(32), pictures=3)
    check_can_share(Worker(), head, pictures=3)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--workers", "two"], "--workers takes a number, or the addresses of two and more"),
        (["--workers", "one:1,two"], "HOST:PORT,HOST:PORT. Received: one:1,two"),
        (["--workers", "one:1"], "the addresses of two and more"),
        (["--workers", "one:1,one:1", "--worker", "0"], "the addresses of two and more"),
        (["--workers", "0"], "--workers must be at least 1. Received: 0"),
        (["--workers", "one:1,two:2"], "this machine's, 0 to 1. Received: None"),
        (["--workers", "one:1,two:2", "--worker", "2"], "this machine's, 0 to 1. Received: 2"),
        (["--worker", "1"], "--worker goes with the addresses in --workers"),
        (["--workers", "2", "--worker", "1"], "--worker goes with the addresses in --workers"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    result = click.testing.CliRunner().invoke(
        cli, ["train", "--dataset", "cifar10", "--out", "out", *options]
    )
    assert result.exit_code == 2 and message in " ".join(result.output.split())


def test_torch_has_no_workers_here(script):
    if keras.backend.backend() != "torch":
        pytest.skip("needs PyTorch")
    process = script("torch", "workers")
    _, errors = process.communicate(timeout=300)
    assert "workers train on the TensorFlow and JAX backends. Received: torch" in errors
