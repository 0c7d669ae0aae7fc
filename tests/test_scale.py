"""Millions of pictures, as far as a test goes: every path once, whatever is broken and whoever is killed."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnets import Predictor
from keras_resnets.images.reading import SUFFIXES

from .conftest import write_picture
from .serving.questions import build, picture

fs = pytest.importorskip("pyarrow.fs")
import pyarrow.parquet as pq  # noqa: E402

from keras_resnets.scale import predict_files, predicting  # noqa: E402
from keras_resnets.scale.files import Files  # noqa: E402
from keras_resnets.scale.run import Run  # noqa: E402

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own"
)
RAY = importlib.util.find_spec("ray") is not None
RUNNERS = ["local", pytest.param("ray", marks=pytest.mark.skipif(not RAY, reason="ray is not installed"))]
FILES = 2000
# What is broken, every how many files, and what its row says.
BROKEN = {
    "empty": (97, lambda path: path.write_bytes(b""), "the file is empty"),
    "text": (101, lambda path: path.write_text("this is no picture at all"), "not a picture"),
    "cut": (103, lambda path: path.write_bytes(path.read_bytes()[:200]), "damaged"),
}


@pytest.fixture(scope="module")
def bundle():
    return build("CIFAR")


@pytest.fixture(scope="module")
def saved(bundle, tmp_path_factory):
    return bundle.save(tmp_path_factory.mktemp("bundle") / "insects")


def fill(folder, number):
    """Small pictures in folders; returns what the rows of the broken ones say, by path."""
    broken = {}
    for count in range(number):
        suffix, format = ((".jpg", "JPEG"), (".PNG", "PNG"))[count % 2]
        path = folder / f"{count % 7}" / f"picture {count:04d} #é{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(format, count))
        for every, spoil, status in BROKEN.values():
            if count % every == every - 1:
                spoil(path)
                broken[str(path)] = status
    return broken


def command(*arguments):
    return [sys.executable, "-m", "keras_resnets", "predict", *map(str, arguments)]


def rows_of(out):
    return pq.read_table(out).to_pylist()  # as anyone reads a folder of Parquet files


def stamps(out):
    """By name, what would be another if a shard had been written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("part-*.parquet")}


def kill_midway(arguments, out, enough, log):
    """Run a command and kill it, and nothing but it, when it has written enough shards."""
    with log.open("wb") as said:
        process = subprocess.Popen(arguments, stdout=said, stderr=said, start_new_session=True)
    begin = time.monotonic()
    try:
        while len(stamps(out)) < enough:
            assert process.poll() is None and time.monotonic() - begin < 300, log.read_text()[-2000:]
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_killed_run_goes_on_and_every_path_is_there_once(bundle, saved, tmp_path, runner):
    broken = fill(tmp_path / "pictures", FILES)
    everything = sorted(str(path) for path in (tmp_path / "pictures").rglob("*.*"))
    assert len(everything) == FILES and len(broken) > 50
    out = tmp_path / "answers"
    arguments = command(
        tmp_path / "pictures",
        "--bundle",
        saved,
        "--out",
        out,
        "--shard-size",
        50,
        "--runner",
        runner,
        "--top",
        2,
    )
    kill_midway(arguments, out, 5, tmp_path / "log")
    time.sleep(3)  # until what the killed process had started has ended, too
    finished = stamps(out)
    assert 5 <= len(finished) < 40
    # A picture that is listed, and gone when its shard is made.
    shards = pq.ParquetFile(out / "_run/pictures.parquet")
    missing = next(number for number in range(40) if f"part-{number:05d}.parquet" not in finished)
    [gone] = shards.read_row_group(missing)["path"].to_pylist()[7:8]
    Path(gone).unlink()
    broken[gone] = "no such file"

    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"written: {out} (2,000 pictures in 40 shards)" in done.stdout
    assert f"{len(finished)} of 40 shards are there, going on" in done.stderr
    assert f"{len(broken)} of 2,000 pictures have no answer" in done.stderr and "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if str(tmp_path / "pictures") in line]) == 5
    after = stamps(out)
    assert len(after) == 40 and {name: after[name] for name in finished} == finished
    rows = rows_of(out)
    assert sorted(row["path"] for row in rows) == everything
    assert not list(out.rglob("*.partial"))

    told = dict(zip(everything, Predictor(bundle).predict(everything, top=2), strict=True))
    seen = set()
    for row in rows:
        if row["path"] in broken:
            assert row["status"].startswith(broken[row["path"]]) and row["scores"] == [] == row["classes"]
        else:
            ids, names, scores = zip(*told[row["path"]].top, strict=True)
            assert (row["status"], row["class_ids"], row["classes"]) == ("ok", [*ids], [*names])
            np.testing.assert_allclose(row["scores"], scores, atol=1e-4)
            seen.add(names[0])
    assert len(seen) > 1  # the answers do depend on what is seen

    again = subprocess.run(arguments, capture_output=True, text=True)
    assert again.returncode == 2 and stamps(out) == after and "40 of 40 shards are there" in again.stderr


@pytest.mark.skipif(not RAY, reason="ray is not installed")
def test_both_runners_write_the_same_shards(saved, tmp_path):
    fill(tmp_path / "pictures", 330)
    shards = {}
    for name, options in {"local": (), "ray": ("--runner", "ray", "--workers", 2)}.items():
        whole = ("--bundle", saved, "--out", tmp_path / name, "--shard-size", 100, *options)
        done = subprocess.run(command(tmp_path / "pictures", *whole), capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        shards[name] = [pq.read_table(path) for path in sorted((tmp_path / name).glob("*.parquet"))]
    assert [len(table) for table in shards["ray"]] == [100, 100, 100, 30]
    for ours, theirs in zip(shards["local"], shards["ray"], strict=True):
        assert ours.schema == theirs.schema
        exact = ["path", "status", "class_ids", "classes"]
        assert ours.select(exact).equals(theirs.select(exact))
        flat = (table["scores"].combine_chunks().flatten().to_numpy() for table in (ours, theirs))
        np.testing.assert_allclose(*flat, atol=1e-5)


@pytest.mark.skipif(not RAY, reason="ray is not installed")
def test_a_machine_of_a_cluster_needs_not_have_this_package(bundle, tmp_path):
    """What Ray sends to its workers is enough where nothing of this package can be imported."""
    import ray

    from keras_resnets import scale
    from keras_resnets.scale.worker import Worker

    write_picture(tmp_path / "one.png")
    predict_files(bundle, [tmp_path / "one.png"], tmp_path / "out")
    [shard] = (tmp_path / "out").glob("*.parquet")
    shard.unlink()
    ray.cloudpickle.register_pickle_by_value(scale)
    try:
        (tmp_path / "worker.pickle").write_bytes(ray.cloudpickle.dumps(Worker))
    finally:
        ray.cloudpickle.unregister_pickle_by_value(scale)
    code = f"""if True:
        import pickle, sys
        sys.modules["keras_resnets"] = None  # an import of it fails
        import ray.cloudpickle
        worker = pickle.load(open({str(tmp_path / "worker.pickle")!r}, "rb"))
        print(worker({str(tmp_path / "out")!r}, 5, 8, 1)({{"shard": 0}})["pictures"])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["1"], done.stderr
    assert shard.is_file()


def test_a_worker_answers_files_as_they_are(bundle, tmp_path):
    """Zeros after the end of a picture are cut off by some who hand over bytes; a bundle may have few classes."""
    data = picture("JPEG", 3)
    (tmp_path / "a.jpg").write_bytes(data + bytes(3))
    (tmp_path / "b.jpg").write_bytes(data)
    (tmp_path / "pictures.gz").write_bytes(data)  # no archive, whatever its name says
    seen = []
    arguments = (bundle, [tmp_path], tmp_path / "out")
    summary = predict_files(*arguments, top=9, batch_size=2, shard_size=2, done=seen.append)
    assert summary[1:] == (1, 2, 0, ())
    [first, second] = rows_of(tmp_path / "out")
    assert first["scores"] == second["scores"] and len(first["scores"]) == 3
    assert first["scores"] == sorted(first["scores"], reverse=True)
    [shard] = seen
    assert shard["shard"] == 0 and shard["pictures"] == 2 and 0 < shard["asking"] < shard["seconds"]
    named = predict_files(bundle, [tmp_path / "pictures.gz"], tmp_path / "named")
    assert (named.pictures, named.unread) == (1, 0)


def test_addresses_are_read_and_written(bundle, tmp_path):
    fill(tmp_path / "pictures", 6)
    address = f"file://{tmp_path}"
    summary = predict_files(bundle, [f"{address}/pictures/"], f"{address}/out", shard_size=4)
    assert summary.folder == f"{address}/out" and summary.shards == 2
    assert [row["path"] for row in rows_of(tmp_path / "out")] == sorted(
        f"file://{path}" for path in (tmp_path / "pictures").rglob("*.*")
    )
    assert {row["status"] for row in rows_of(tmp_path / "out")} == {"ok"}


def test_pictures_are_found_once(tmp_path, monkeypatch):
    fill(tmp_path, 9)
    (tmp_path / "0/notes.txt").write_text("no picture")
    (tmp_path / "0/up").symlink_to(tmp_path)  # a folder that has no end
    (tmp_path / "1/loose.jpeg").symlink_to("nowhere")
    everything = sorted(
        str(path) for path in tmp_path.rglob("*.*") if path.suffix.lower() in (".jpg", ".png")
    )
    find = lambda *places: list(Files().found([str(place) for place in places], SUFFIXES))  # noqa: E731
    assert sorted(find(tmp_path)) == everything and len(everything) == 9
    assert find(tmp_path) == find(tmp_path / "3", tmp_path, everything[0], tmp_path / "*" / "*.jpg")
    assert find(tmp_path / "**/*.PNG") == [path for path in everything if path.endswith("PNG")]
    assert find(tmp_path / "[01]") == find(tmp_path / "0", tmp_path / "1")
    monkeypatch.chdir(tmp_path / "2")
    assert find("../0/../1") == find(tmp_path / "1")
    assert find("gone.jpg", tmp_path / "*.bmp") == []
    assert find(tmp_path / "0/notes.txt") == [str(tmp_path / "0/notes.txt")]  # who names a file means it


def test_another_run_is_refused_before_work(run, bundle, saved, tmp_path):
    write_picture(tmp_path / "a.png")
    arguments = ("predict", tmp_path / "a.png", "--bundle", saved, "--out", tmp_path / "out")
    status, out, err = run(*arguments)
    assert (status, out) == (0, f"written: {tmp_path}/out (1 pictures in 1 shards)\n"), err
    before = stamps(tmp_path / "out")
    told = json.loads((tmp_path / "out/_run/run.json").read_text())
    assert told["paths"] == [str(tmp_path / "a.png")] and told["top"] == 5
    for changed, said in (
        (("--top", 3), "another top; go on with the same"),
        (("--shard-size", 5), "another shard size"),
        (("--precision", "bfloat16"), "another precision"),
        ((tmp_path,), "another paths"),
    ):
        status, _, err = run(*arguments, *changed)
        assert status == 2 and said in err, err
    other = build("CIFAR")
    other.model.weights[0].assign(other.model.weights[0] + 1e-3)
    with pytest.raises(ValueError, match="another model"):
        predict_files(other, [tmp_path / "a.png"], tmp_path / "out")
    assert stamps(tmp_path / "out") == before
    assert run(*arguments, "--batch-size", 7)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jpg", "--out", "out"], "gone.jpg: no picture there (.jpg"),
        (["*.bmp", "--out", "out"], "*.bmp: no picture there"),
        (["a.png", "empty", "--out", "out"], "empty: no picture there"),
        (["a.png", "--out", "taken"], "taken exists and is not a run of predict (a.txt is in it)"),
        (["a.png", "--out", "file"], "file is a file; choose a folder"),
        (["a.png", "--out", "s4://bucket/out"], "s4"),
        (["s3://bucket/*.jpg", "--out", "out"], "an address has no *: give the folder"),
        (["-", "--out", "out"], "standard input cannot be read again"),
        (["a.png", "--out", "out", "--engine", "openvino"], "for --engine openvino choose FILE.csv"),
        (["a.png", "--out", "out", "--precision", "int8"], "must be one of float32, bfloat16"),
        (["a.png", "--out", "out", "--workers", "2"], "go with runner='ray'"),
        (["a.png", "--runner", "ray"], "--runner goes with --out DIR"),
        (["a.png", "--out", "a.csv", "--shard-size", "5"], "--shard-size goes with --out DIR"),
    ],
)
def test_what_cannot_be_is_said_before_work(run, saved, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/a.txt").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    status, out, err = run("predict", *arguments, "--bundle", saved)
    assert status == 2 and message in err and "Traceback" not in err and out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("runner", "module"), [("local", "pyarrow"), ("ray", "ray")])
def test_a_missing_runner_is_named_with_its_install_line(run, saved, tmp_path, monkeypatch, runner, module):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find(name))
    write_picture(tmp_path / "a.png")
    extra = {"local": "parquet", "ray": "ray"}[runner]
    arguments = ("predict", tmp_path / "a.png", "--bundle", saved, "--out", tmp_path / "out")
    status, _, err = run(*arguments, "--runner", runner)
    assert status == 2 and not (tmp_path / "out").exists()
    assert f"the runner {runner} needs {module}: pip install 'keras-resnets[{extra}]'" in err


def test_a_full_disk_is_said_before_the_first_picture(bundle, tmp_path):
    """The room that is asked for is that of all rows, and they do not take more."""
    fill(tmp_path / "pictures", 200)
    run = Run.at(tmp_path / "out")
    run.list_pictures([str(tmp_path / "pictures")], SUFFIXES, 5)
    needed = run.needed(top=3, model=0)
    predict_files(bundle, [tmp_path / "pictures"], tmp_path / "out", top=3, shard_size=5)
    shards = list((tmp_path / "out").glob("*.parquet"))
    assert len(shards) == 40 and sum(path.stat().st_size for path in shards) < needed
    with pytest.raises(OSError, match="MB free, and .* are needed for the answers"):
        run.check_room(run.needed(top=10**12, model=0))


def test_a_damaged_shard_is_named_and_made_anew(bundle, tmp_path):
    fill(tmp_path / "pictures", 9)
    arguments = (bundle, [tmp_path / "pictures"], tmp_path / "out")
    whole = predict_files(*arguments, shard_size=4)
    rows, second = rows_of(tmp_path / "out"), tmp_path / "out/part-00001.parquet"
    second.write_bytes(second.read_bytes()[:100])
    with pytest.raises(OSError, match="part-00001.parquet.*remove this file"):
        predict_files(*arguments, shard_size=4)
    second.unlink()
    assert predict_files(*arguments, shard_size=4) == whole
    assert rows_of(tmp_path / "out") == rows


def test_what_a_kill_before_the_first_shard_leaves_is_gone_on_with(bundle, tmp_path):
    fill(tmp_path / "pictures", 9)
    arguments = (bundle, [tmp_path / "pictures"], tmp_path / "out")
    whole = predict_files(*arguments, shard_size=4)
    for name in ("run.json", "pictures.parquet", "model.tar"):
        (tmp_path / "out/_run" / name).unlink()
        (tmp_path / f"out/_run/_{name}.0.partial").write_text("half")
        assert predict_files(*arguments, shard_size=4) == whole
    assert len(list((tmp_path / "out/_run").iterdir())) == 3


def test_the_rate_is_said_where_there_is_no_terminal(capsys):
    rows = [{"pictures": 3, "began": time.time() - 100} for _ in range(7)]
    assert list(predicting._shown(rows, 4, 25)) == rows
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("7 of 25 pictures, ") and said[-1] == "25 of 25 pictures, 0.2 pictures/s"
    assert len(said) == 7
