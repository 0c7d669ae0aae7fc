"""The command line: features, and the ways to evaluate."""

import numpy as np
import pytest

from keras_resnets import Bundle, Features, create, extract_features, preset_of
from keras_resnets.images.labels import numbered

from .conftest import calm, write_picture


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    model = calm(create("resnet20", weights=None, classes=2, seed=0))
    return Bundle(model, preset_of(model), numbered(["cat", "dog"])).save(
        tmp_path_factory.mktemp("b") / "pets"
    )


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        write_picture(folder / f"{i}.png", seed=i)
    return folder


def test_features_are_written(run, pets, folder):
    out = folder.parent / "features.npz"
    status, printed, err = run("features", folder, "--bundle", pets, "--out", out)
    assert (status, err) == (0, "") and printed == f"written: {out} (3 pictures, 64 features each)\n"
    found = Features.load(out)
    expected = extract_features(Bundle.load(pets), sorted(folder.iterdir()))
    assert found.sources == expected.sources
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-5, atol=1e-5)


def test_the_nearest_are_printed_and_what_cannot_be_read_is_said(run, pets, folder):
    (folder / "text.jpg").write_text("hello")
    arguments = ("features", folder, "gone.jpg", "--bundle", pets, "--nearest", folder / "1.png")
    status, printed, err = run(*arguments, "--count", 2)
    rows = [line.split("│")[1:3] for line in printed.splitlines() if ".png" in line]
    assert status == 2 and len(rows) == 2 and rows[0][0].strip() == str(folder / "1.png")
    assert rows[0][1].strip() == "1.0000" and 0 < float(rows[1][1]) < 1
    assert err.splitlines() == [
        f"keras-resnets: {folder}/text.jpg: not a picture (JPEG, PNG, WEBP, BMP, GIF are read)",
        "keras-resnets: gone.jpg: no such file",
    ]
    out = folder.parent / "features.npz"
    status, printed, _ = run(*arguments, "--out", out)
    assert status == 2 and "written" in printed and "2.png" in printed
    assert Features.load(out).sources == tuple(str(folder / f"{i}.png") for i in range(3))


def test_nothing_is_written_where_nothing_was_read(run, pets, tmp_path):
    out = tmp_path / "features.npz"
    status, printed, err = run("features", "gone.jpg", "--bundle", pets, "--out", out)
    assert (status, printed) == (2, "") and "gone.jpg: no such file" in err and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["features", "a.jpg"], "give --out or --nearest"),
        (["features", "a.jpg", "--out", "a.csv"], "--out must end in .npz. Received: a.csv"),
        (["features", "a.jpg", "--out", "nowhere/a.npz"], "there is no folder to write nowhere/a.npz to"),
        (["features", "a.jpg", "--out", "a.npz", "--model", "m", "--bundle", "b"], "--model or --bundle"),
        (["features", "a.jpg", "--nearest", "gone.png"], "keras-resnets: gone.png: no such file"),
        (["features", "a.jpg", "--nearest", "a.png", "--count", "0"], "0 is not in the range"),
        (["evaluate", "m", "data", "--scales", "224,big"], "such as 224,256,384. Received: 224,big"),
        (["evaluate", "m", "data", "--scales", "224", "--ten-crop"], "give --scales or --ten-crop, not both"),
        (["evaluate", "m", "data", "--scales", "224", "--against", "keras"], "give --scales or --against"),
    ],
)
def test_mistakes_are_one_line_and_status_2(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert status == 2 and message in err and "Traceback" not in err and out == ""


def test_evaluate_looks_several_times_and_class_by_class(run, pets, folder):
    (folder / "labels.csv").write_text("file,class\n0.png,cat\n1.png,cat\n2.png,cat\n")
    status, plain, _ = run("evaluate", pets, folder)
    assert status == 0 and "precision" not in plain
    for how in (["--ten-crop"], ["--scales", "32,48"]):
        status, out, err = run("evaluate", pets, folder, "--per-class", *how)
        assert (status, err) == (0, "") and "3 pictures, top-1" in out
        for title in ("class", "images", "precision", "recall"):
            assert title in out
        rows = {
            row[0].strip(): row[1:] for row in (line.split("│")[1:-1] for line in out.splitlines()) if row
        }
        right = float(out.split("top-1 ")[1].split(",")[0])
        assert rows["cat"][0].strip() == "3" and float(rows["cat"][2]) == right
        assert rows["cat"][1].strip() == ("1.0000" if right else "-")
        if right < 1:
            assert rows["dog"][0].strip() == "0" and rows["dog"][2].strip() == "-"
    status, _, err = run("evaluate", pets, folder, "--scales", "3")
    assert status == 2 and "must be whole numbers of at least 4" in err
    status, _, err = run("evaluate", pets, folder, "--scales", "32", "--engine", "keras")
    assert status == 2 and "leave out engine" in err
