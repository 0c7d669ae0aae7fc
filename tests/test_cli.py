"""The command line: what it prints, what it writes, and how it fails."""

import csv
import hashlib
import json
import subprocess
import sys
import time

import keras
import pytest

from keras_resnets import Bundle, create, preset_of
from keras_resnets.images.labels import numbered

from .conftest import randomise, write_picture
from .test_datasets import write_cifar


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A bundle that answers at once: real layers, small pictures, two classes."""
    model = create("resnet50", weights=None, classes=2, input_shape=(32, 32, 3))
    return Bundle(model, preset_of(model), numbered(["cat", "dog"])).save(
        tmp_path_factory.mktemp("b") / "pets"
    )


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder, [write_picture(folder / f"{i}.png", seed=i) for i in range(3)]


def outside(*arguments, stdin=b""):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "keras_resnets", *map(str, arguments)], input=stdin, capture_output=True
    )


def test_help_needs_no_tensorflow():
    code = "import sys; from keras_resnets.cli import cli; print('keras' in sys.modules or 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
    outside("--help")
    begin = time.monotonic()
    done = outside("--help")
    assert time.monotonic() - begin < 1  # 0.07 s where it was measured; a TensorFlow import takes 3
    for command in (
        "list",
        "describe",
        "predict",
        "evaluate",
        "finetune",
        "export",
        "inspect",
        "convert",
        "verify",
    ):
        assert command in done.stdout.decode()


def test_list_and_describe(run):
    status, out, _ = run("list")
    assert status == 0
    for text in ("resnet50", "ResNeXt101", "25,583,592", "224x224x3", "resnet50v2.keras_in1k", "74.9 %"):
        assert text in out
    assert "resnet50" not in run("list", "*next*")[1]
    status, out, _ = run("describe", "resnext50")
    assert status == 0 and "arXiv:1611.05431" in out and "md5:67a5b30d522ed92f75a1f16eef299d1a" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "resnet51"], "unknown architecture 'resnet51'; did you mean resnet50"),
        (["list", "vgg*"], "no architecture matches 'vgg*'"),
        (["predict", "a.jpg", "--model", "resnet5"], "unknown weights 'resnet5'; did you mean resnet50"),
        (["predict", "a.jpg", "--out", "a.txt"], "--out must end in .csv or .json. Received: a.txt"),
        (["predict", "a.jpg", "--out", "nowhere/a.csv"], "there is no folder to write nowhere/a.csv to"),
        (["predict", "a.jpg", "--model", "resnet50", "--bundle", "b"], "give --model or --bundle, not both"),
        (["predict", "a.jpg", "--bundle", "nowhere"], "nowhere is not a bundle"),
        (["predict"], "Missing argument 'PATHS...'"),
        (["evaluate", "resnet5", "data"], "unknown weights 'resnet5'"),
        (["finetune", "nowhere", "--out", "x"], "no data at nowhere"),
        (["export", "nowhere/pets", "x"], "nowhere/pets is not a bundle: no bundle.json in it"),
        (["export", "pets", "x"], "unknown weights 'pets'"),
        (["finetune", ".", "--model", "nowhere/pets", "--out", "x"], "nowhere/pets is not a bundle"),
        (["train", "--dataset", "cifar10", "--model", "resnet5"], "unknown architecture 'resnet5'"),
        (["classify"], "No such command 'classify'"),
    ],
)
def test_mistakes_are_one_line_and_status_2(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert status == 2 and message in err and "Traceback" not in err and out == ""


def test_predict_prints_a_table(run, pets, pictures):
    folder, paths = pictures
    status, out, err = run("predict", folder, "--bundle", pets, "--top", 1)
    assert (status, err) == (0, "")
    assert all(path.name in out for path in paths) and ("cat" in out or "dog" in out)


def test_predict_answers_what_it_can(run, pets, pictures):
    folder, paths = pictures
    text = folder / "text.jpg"
    text.write_text("hello")
    cut = write_picture(folder / "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:300])
    status, out, err = run("predict", folder, "gone.jpg", "--bundle", pets)
    assert status == 2 and all(path.name in out for path in paths)
    assert sorted(err.splitlines()) == [
        f"keras-resnets: {cut}: damaged picture (Truncated File Read)",
        f"keras-resnets: {text}: not a picture (JPEG, PNG, WEBP, BMP, GIF are read)",
        "keras-resnets: gone.jpg: no such file",
    ]


@pytest.mark.parametrize("format", ["csv", "json"])
def test_predict_writes_files(run, pets, pictures, tmp_path, format):
    folder, paths = pictures
    (folder / "text.jpg").write_text("hello")
    out = tmp_path / f"answers.{format}"
    status, printed, _ = run("predict", folder, "--bundle", pets, "--out", out)
    assert status == 2 and printed == ""
    if format == "json":
        rows = json.loads(out.read_text())
        assert [row["source"] for row in rows] == [*map(str, paths), str(folder / "text.jpg")]
        assert {answer["name"] for answer in rows[0]["top"]} == {"cat", "dog"}
        assert rows[3]["top"] == [] and "not a picture" in rows[3]["error"]
    else:
        rows = list(csv.DictReader(out.read_text().splitlines()))
        assert [row["rank"] for row in rows] == ["1", "2"] * 3 + [""]
        assert float(rows[0]["score"]) >= float(rows[1]["score"]) and "not a picture" in rows[6]["error"]


def test_standard_input_is_a_picture_or_a_list(pets, pictures):
    _, paths = pictures
    done = outside("predict", "-", "--bundle", pets, stdin=paths[0].read_bytes())
    assert done.returncode == 0 and b"standard input" in done.stdout and done.stderr == b""
    done = outside("predict", "-", "--bundle", pets, stdin=f"{paths[0]}\n{paths[1]}\n".encode())
    assert done.returncode == 0 and b"0.png" in done.stdout and b"1.png" in done.stdout
    (paths[0].parent / "empty").mkdir()
    done = outside(
        "predict", "-", paths[0], paths[0].parent / "empty", "--bundle", pets, stdin=b"\xff\xfe\x00"
    )
    assert done.returncode == 2 and b"0.png" in done.stdout
    assert (
        b"standard input: not a picture" in done.stderr and b"empty: no picture in this folder" in done.stderr
    )


def test_evaluate_counts_compares_and_judges(run, pets, pictures):
    folder, _ = pictures
    (folder / "labels.csv").write_text("file,class\n0.png,cat\n1.png,dog\n2.png,cat\n")
    status, out, _ = run("evaluate", pets, folder, "--against", "keras")
    assert status == 0 and "3 pictures, top-1" in out and "3 of 3 predictions equal" in out
    assert run("evaluate", pets, folder, "--min", 0)[0] == 0
    (folder / "labels.csv").write_text("file,class\n0.png,cat\n0.png,dog\n")
    status, _, err = run("evaluate", pets, folder, "--min", 0.6)
    assert status == 1 and "top-1 0.5000 is below 0.6" in err
    (folder / "labels.csv").write_text("file,class\n0.png,cat\ngone.png,dog\n")
    assert run("evaluate", pets, folder)[0] == 2


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own")
def test_export_writes_the_next_version(run, pets, tmp_path):
    (tmp_path / "served/1").mkdir(parents=True)
    status, out, _ = run("export", pets, tmp_path / "served")
    assert status == 0 and out == f"written: {tmp_path}/served/2\n"
    status, _, err = run("export", pets, tmp_path / "served", "--version", 2)
    assert status == 2 and f"{tmp_path}/served/2 exists" in err
    status, _, err = run("export", "no network", tmp_path / "served", "--format", "pb")
    assert status == 2 and "format must be one of" in err  # before the network is looked for
    beside = ["README.md", "batching_parameters.txt", "models.config"]
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["1", "2", *beside]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports start from TensorFlow's graph")
def test_export_to_a_device(run, pets, tmp_path):
    for seed in range(8):
        write_picture(tmp_path / f"{seed}.png", seed=seed)
    options = ("--format", "litert", "--precision", "int8", "--pictures", tmp_path)
    status, out, err = run("export", pets, tmp_path / "phone", *options)
    assert status == 0 and out == f"written: {tmp_path}/phone\n" and "4 of 4 pictures" in err
    assert (tmp_path / "phone/model.tflite").is_file()
    status, _, err = run("export", pets, tmp_path / "exact", *options, "--tolerance", 0)
    assert status == 1 and "nothing is left of it" in err and not (tmp_path / "exact").exists()
    status, _, err = run("export", pets, tmp_path / "wrong", "--format", "caffe")
    assert status == 2 and "format must be one of saved_model, onnx, openvino, litert" in err


def test_finetune_writes_a_bundle(run, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(4):
            write_picture(tmp_path / "data" / name / f"{i}.png", seed=i + 10 * (name == "dog"))
    (tmp_path / "data/cat/broken.png").write_text("")
    model = create("resnet20", weights=None, classes=2)
    Bundle(model, preset_of(model), numbered(["a", "b"])).save(tmp_path / "first")
    arguments = ("finetune", tmp_path / "data", "--model", tmp_path / "first", "--out", tmp_path / "pets")
    status, out, err = run(*arguments, "--recipe", "head", "--epochs", 1, "--set", "batch_size=4")
    assert status == 2 and "2 classes, 6 pictures for training, 2 for validation, 1 left out:" in out
    assert f"left out: {tmp_path}/data/cat/broken.png: the file is empty" in err
    bundle = Bundle.load(tmp_path / "pets")
    assert [label.name for label in bundle.labels] == ["cat", "dog"] and len(bundle.history) == 1
    assert bundle.notes["recipe"]["batch_size"] == 4 and (tmp_path / "pets/report.html").is_file()
    assert run(*arguments)[0] == 2  # it exists
    other = ("finetune", tmp_path / "data", "--model", tmp_path / "first", "--validation", tmp_path / "data")
    status, out, err = run(*other, "--epochs", 1, "--out", tmp_path / "other")
    assert status == 2 and "8 pictures for training, 8 for validation, 2 left out" in out
    assert "too good" in err
    status, _, err = run(*arguments[:-1], tmp_path / "more", "--set", "epochs")
    assert status == 2 and "--set takes FIELD=VALUE. Received: epochs" in err
    status, _, err = run(*arguments[:-1], tmp_path / "more", "--set", "speed=1")
    assert status == 2 and "a recipe has no field speed" in err


def test_train_begins_from_nothing(run, tmp_path):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(3):
                write_picture(
                    tmp_path / part / name / f"{i}.png",
                    seed=i + 10 * (name == "dog") + 100 * (part == "test"),
                )
    arguments = (
        "train",
        "--dataset",
        tmp_path / "train",
        "--test",
        tmp_path / "test",
        "--out",
        tmp_path / "pets",
    )
    status, out, _ = run(*arguments, "--epochs", 1, "--size", 16)
    assert status == 0 and "2 classes, 6 pictures for training, 6 for validation" in out
    assert Bundle.load(tmp_path / "pets").model.input_shape == (None, 16, 16, 3)
    status, _, err = run("train", "--dataset", "cifar", "--out", tmp_path / "more")
    assert status == 2 and "--dataset must be one of cifar10, fashion_mnist, or a folder beside --test" in err
    status, _, err = run("train", "--dataset", "cifar10", "--test", tmp_path, "--out", tmp_path / "more")
    assert status == 2 and "--test goes with a folder" in err


def test_a_result_without_a_name_is_called_by_data_and_model(run, tmp_path, monkeypatch):
    write_cifar(tmp_path / "usual", binary=True)
    monkeypatch.chdir(tmp_path)
    arguments = (
        "train",
        "--dataset",
        "cifar10",
        "--model",
        "resnet20",
        "--recipe",
        "paper",
        "--data",
        "usual",
    )
    status, out, _ = run(*arguments, "--epochs", 1)
    assert status == 0 and "written: cifar10-resnet20" in out
    assert Bundle.load("cifar10-resnet20").notes["recipe"]["name"] == "paper"
    assert "cifar10-resnet20 exists" in run(*arguments)[2]


def test_a_weights_file_is_inspected_converted_and_verified(run, tmp_path):
    from keras_resnets import save_weights

    model = create("resnet20", weights=None)
    first, second = tmp_path / "a.safetensors", tmp_path / "b.weights.h5"
    save_weights(model, first)
    status, out, _ = run("inspect", first)
    assert status == 0
    for text in (
        ".safetensors",
        "Keras names",
        "resnet20",
        "float32",
        hashlib.sha256(first.read_bytes()).hexdigest(),
    ):
        assert text in out
    status, out, _ = run("convert", first, second)
    assert status == 0 and "written" in out and second.is_file()
    status, _, err = run("convert", first, second)
    assert status == 2 and "exists" in err
    picture = write_picture(tmp_path / "a.png")
    status, out, _ = run("verify", first, "--against", second, "--picture", picture)
    assert status == 0 and [line.split()[0] for line in out.splitlines()] == [
        "pixels",
        "conv2",
        "conv3",
        "conv4",
        "logits",
    ]
    save_weights(randomise(model), tmp_path / "c.npz")
    status, _, err = run("verify", first, "--against", tmp_path / "c.npz", "--picture", picture)
    assert status == 1 and "beyond 1e-05 from conv2 on" in err
    status, _, err = run("inspect", tmp_path / "a.png")
    assert status == 2 and "not a known weights file" in err


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="engines start from TensorFlow's graph")
def test_another_engine_and_precision(run, pets, pictures):
    folder, _ = pictures
    status, out, _ = run("predict", folder, "--bundle", pets, "--precision", "bfloat16")
    assert status == 0 and "0.png" in out
    write_picture(folder / "3.png", seed=3)
    int8 = ("--engine", "openvino", "--precision", "int8", "--calibration", folder)
    status, out, error = run("predict", folder, "--bundle", pets, *int8)
    assert status == 0 and "3.png" in out and "int8 gives the same best answer as float32" in error
    status, _, error = run(
        "predict", folder, "--bundle", pets, "--engine", "onnxruntime", "--precision", "int8"
    )
    assert status == 2 and "precision of the engine onnxruntime must be one of float32" in error
    status, _, error = run("predict", folder, "--bundle", pets, *int8[:-1], folder / "gone")
    assert status == 2 and "gone" in error
