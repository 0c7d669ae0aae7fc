"""Readers of data sets: the usual files, made here; the registry's packages are read by `make test-real`."""

import gzip
import pickle

import numpy as np
import pytest

from keras_resnets import datasets


def write_cifar(folder, binary):
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(0)
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        pixels = chance.integers(0, 256, (2, 3072), dtype="uint8")
        labels = [number, 9]
        if binary:
            rows = np.concatenate([np.array(labels, "uint8")[:, None], pixels], axis=1)
            rows.tofile(folder / f"{name}.bin")
        else:
            with (folder / name).open("wb") as file:
                pickle.dump({b"data": pixels, b"labels": labels, b"batch_label": b"x"}, file, protocol=2)
    return pixels


def write_fashion(folder, ending, opened):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype="uint8")
    for part in ("train", "t10k"):
        with opened(folder / f"{part}-images-idx3-ubyte{ending}", "wb") as file:
            file.write(np.array([0x803, 3, 28, 28], ">u4").tobytes() + pixels.tobytes())
        with opened(folder / f"{part}-labels-idx1-ubyte{ending}", "wb") as file:
            file.write(np.array([0x801, 3], ">u4").tobytes() + bytes([9, 0, 1]))
    return pixels


@pytest.mark.parametrize(("inside", "binary"), [(".", True), ("cifar-10-batches-py", False)])
def test_cifars_usual_files(tmp_path, inside, binary):
    last = write_cifar(tmp_path / "data" / inside, binary)
    train, test = datasets.load("cifar10", tmp_path / "data")
    assert len(train.sources) == 10 and train.labels[:4] == ("airplane", "truck", "automobile", "truck")
    assert test.labels == ("dog", "truck")
    # Red comes first, a row after the other.
    assert test.sources[1].shape == (32, 32, 3)
    assert list(test.sources[1][0, 1]) == [last[1, 1], last[1, 1025], last[1, 2049]]
    assert train.classes == test.classes and len(test.classes) == 10


def test_a_pickle_that_calls_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("called",)

    write_cifar(tmp_path / "data", binary=False)
    (tmp_path / "data/data_batch_3").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(
        ValueError, match=r"data_batch_3 is damaged, .* \(builtins.print is not part of CIFAR-10\)"
    ):
        datasets.load("cifar10", tmp_path / "data")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    "damage",
    [lambda whole: whole[:-1], lambda whole: b"no batch", lambda whole: b""],
    ids=["cut", "other", "empty"],
)
def test_a_damaged_file_of_cifar_is_named(tmp_path, binary, damage):
    write_cifar(tmp_path, binary)
    path = tmp_path / f"data_batch_3{'.bin' if binary else ''}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path} is damaged, or no file of this data set .*; fetch it anew"):
        datasets.load("cifar10", tmp_path)


def test_class_numbers_that_are_none_are_refused(tmp_path):
    write_cifar(tmp_path, binary=True)
    path = tmp_path / "test_batch.bin"
    path.write_bytes(b"\x0a" + path.read_bytes()[1:])
    with pytest.raises(ValueError, match=r"cifar10: 2 pictures and 2 class numbers, .* in 0..9"):
        datasets.load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("name", "whole", "message"),
    [
        ("train-images-idx3-ubyte.gz", gzip.compress(bytes(9999))[:-9], "is damaged"),
        ("train-labels-idx1-ubyte.gz", b"not packed", "is damaged"),
        (
            "train-labels-idx1-ubyte.gz",
            gzip.compress(np.array([0x801, 2], ">u4").tobytes() + bytes(2)),
            "fashion_mnist: 3 pictures and 2 class numbers",
        ),
    ],
)
def test_a_damaged_file_of_fashion_is_named(tmp_path, name, whole, message):
    write_fashion(tmp_path, ".gz", gzip.open)
    (tmp_path / name).write_bytes(whole)
    with pytest.raises(ValueError, match=message if "mnist" in message else f"{tmp_path / name} {message}"):
        datasets.load("fashion_mnist", tmp_path)


@pytest.mark.parametrize(("ending", "opened"), [(".gz", gzip.open), ("", open)])
def test_fashions_usual_files(tmp_path, ending, opened):
    pixels = write_fashion(tmp_path, ending, opened)
    train, test = datasets.load("fashion_mnist", tmp_path)
    assert train.labels == ("ankle-boot", "t-shirt", "trouser") == test.labels
    np.testing.assert_array_equal(train.sources[2], np.stack(3 * [pixels[2]], axis=-1))
    assert train.classes.index("ankle-boot") == 9  # the publisher's number


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(
        ValueError, match="dataset must be one of cifar10, fashion_mnist. Received: dataset='cifar'"
    ):
        datasets.load("cifar")
    with pytest.raises(FileNotFoundError, match="neither test_batch.bin nor test_batch"):
        datasets.load("cifar10", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"neither train-images-idx3-ubyte.gz nor"):
        datasets.load("fashion_mnist", tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "sizes"), [("cifar10", (50_000, 10_000)), ("fashion_mnist", (60_000, 10_000))]
)
def test_the_registrys_packages(name, sizes):
    from keras_resnets.weights.sources import SourceError

    try:
        parts = datasets.load(name)
    except SourceError as error:
        pytest.skip(f"the data cannot be had here: {error}")
    assert tuple(len(part.sources) for part in parts) == sizes
    for part in parts:
        counts = np.unique(part.labels, return_counts=True)[1]
        assert len(counts) == 10 and np.ptp(counts) <= 4  # the same picture again stays on one side
    if name == "cifar10":  # how the publisher's own files begin
        assert (parts[0].labels[0], parts[1].labels[0]) == ("frog", "cat")
        assert parts[1].sources[0][0, :2].tolist() == [[158, 112, 49], [159, 111, 47]]
