import os
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.images.batches import keep, quarter_of_memory, read_batches
from keras_resnets.images.dataset import Samples, check_classes, findings, repeated, samples_of, scan, split
from keras_resnets.images.reading import ImageError, read_image

from ..conftest import write_picture


def folder_of(tmp_path, **classes):
    for name, count in classes.items():
        (tmp_path / name).mkdir()
        for i in range(count):
            write_picture(tmp_path / name / f"{i}.png", seed=i)
    return tmp_path


def test_folders_are_classes(tmp_path):
    samples = scan(folder_of(tmp_path, dog=2, cat=1))
    assert samples.classes == ("cat", "dog") and samples.labels == ("cat", "dog", "dog")
    assert [path.name for path in samples.sources] == ["0.png", "0.png", "1.png"]


def test_a_table_of_files(tmp_path):
    (tmp_path / "labels.csv").write_text("file,wnid,number\na.png,n1,3\nb/c.png,n2,4\n\n")
    for data in (tmp_path, tmp_path / "labels.csv"):
        samples = scan(data)
        assert samples.labels == ("n1", "n2") and samples.sources[1] == tmp_path / "b/c.png"
    (tmp_path / "labels.csv").write_text("file\na.png\n")
    with pytest.raises(ValueError, match="every row needs two columns, file and class. Received: a.png$"):
        scan(tmp_path)
    (tmp_path / "labels.csv").write_text("file,class\na.png,n1\nb.png, \n")
    with pytest.raises(ValueError, match="every row needs two columns, file and class. Received: b.png,$"):
        scan(tmp_path)


@pytest.mark.parametrize(
    "first, labels",
    [
        ("file,class", ("cat",)),
        ("images,label", ("cat",)),  # a folder has that name
        ("images/0.png,dog", ("dog", "cat")),
        ("images/gone.png,dog", ("dog", "cat")),
        ("images/gone.TIF,dog", ("dog", "cat")),
        ("images/0001,dog", ("dog", "cat")),  # a file without a suffix
    ],
)
def test_a_first_row_is_a_header_where_it_names_no_picture(first, labels, tmp_path):
    (tmp_path / "images").mkdir()
    write_picture(tmp_path / "images/0.png").with_name("0001").touch()
    (tmp_path / "labels.csv").write_text(f"{first}\nimages/0.png,cat\n")
    assert scan(tmp_path).labels == labels


def test_no_data_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no data at"):
        scan(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="a sub-folder a class"):
        scan(tmp_path)
    for nothing in (([], []), (np.empty((0, 4, 4, 3), "uint8"), []), Samples((), ())):
        with pytest.raises(ValueError, match="data must hold at least one picture"):
            samples_of(nothing)
    with pytest.raises(ValueError, match="at least 2 classes are needed. Received: 0"):
        check_classes(Samples((), ()))


@given(
    st.dictionaries(st.text(min_size=1), st.integers(2, 30), min_size=1, max_size=6),
    st.floats(0.01, 0.99),
    st.integers(0, 99),
)
def test_a_split_keeps_every_class_on_both_sides_and_every_picture_once(classes, share, seed):
    labels = [name for name, count in classes.items() for _ in range(count)]
    samples = Samples(tuple(range(len(labels))), tuple(labels))
    first, second = split(samples, share, seed)
    assert sorted(first.sources + second.sources) == list(range(len(labels)))
    assert set(first.labels) == set(second.labels) == set(labels)
    for name, count in classes.items():
        assert abs(second.labels.count(name) - share * count) <= 1
    assert split(samples, share, seed) == (first, second)


def test_a_class_of_one_cannot_be_split():
    with pytest.raises(ValueError, match="class 'b' has 1 picture"):
        split(Samples((1, 2, 3), ("a", "a", "b")), 0.5, 0)


def test_batches_keep_order_and_say_what_is_unreadable(tmp_path):
    paths = [write_picture(tmp_path / f"{i}.png", size=(10 + i, 10), seed=i) for i in range(7)]
    paths[3].write_text("no picture")
    batches = list(read_batches(paths, lambda picture: np.float32([picture.shape[1]]), 3))
    assert [len(batch.sources) for batch in batches] == [3, 3, 1]
    assert np.concatenate([batch.images for batch in batches])[:, 0].tolist() == [10, 11, 12, 14, 15, 16]
    errors = [error for batch in batches for error in batch.errors]
    assert [bool(error) for error in errors] == [False] * 3 + [True] + [False] * 3
    assert str(paths[3]) in errors[3]


def test_bytes_and_arrays_are_sources_too(tmp_path):
    path = write_picture(tmp_path / "a.png")
    pixels = np.zeros((40, 48, 3), "uint8")
    [batch] = read_batches([path, path.read_bytes(), pixels], lambda picture: picture.astype("float32"), 8)
    np.testing.assert_array_equal(batch.images[0], batch.images[1])
    assert batch.images[2].max() == 0
    assert list(read_batches([], None, 8)) == []


def test_arrays_are_samples_too():
    images = np.zeros((3, 4, 4, 3), "uint8")
    samples = samples_of((images, np.array([10, 2, 10])))
    assert samples.labels == ("10", "2", "10") and samples.classes == ("2", "10")  # sorted as numbers are
    assert samples_of((images, ["b", "a", "b"])).classes == ("a", "b")
    with pytest.raises(ValueError, match="as many classes as images are needed. Received: 3 and 2"):
        samples_of((images, [0, 1]))


def test_an_empty_class_folder_is_said(tmp_path):
    for name in ("a", "b", "nothing", ".hidden"):
        (tmp_path / name).mkdir()
    write_picture(tmp_path / "a/0.png")
    write_picture(tmp_path / "b/0.png", seed=1)
    samples = scan(tmp_path)
    assert samples.classes == ("a", "b")
    assert findings(samples, samples)[0] == "the class folder nothing holds no picture; it is left out"


def test_pictures_that_are_not_looked_for_are_said(tmp_path):
    folder_of(tmp_path, a=2, b=2)
    for name in ("a/Thumbs.db", "a/notes.txt", "a/.hidden.png", "labels.json", ".hidden.png"):
        (tmp_path / name).write_text("no picture")
    before = scan(tmp_path)
    assert len(before.sources) == 4 and before.left_out == ()
    for name in ("a/more", "b/x.png", "b/.cache"):
        (tmp_path / name).mkdir()
    for name in ("0.jpg", "1.TIFF"):
        (tmp_path / name).touch()
    samples = scan(tmp_path)
    assert samples.sources == before.sources
    assert samples.left_out == (
        f"folders inside a class folder are not looked into: 2, such as {tmp_path}/a/more",
        f"pictures beside the class folders are left out: 2, such as {tmp_path}/0.jpg",
    )
    for parts in (split(samples, 0.5, 0), (samples, before), (before, samples)):
        assert [sentence for sentence in findings(*parts) if "same" not in sentence] == [*samples.left_out]


def test_a_picture_of_a_kind_that_is_not_read_is_listed_as_one_that_cannot_be_read(tmp_path):
    folder_of(tmp_path, a=1, b=1)
    page = write_picture(tmp_path / "a/page.TIF")
    write_picture(tmp_path / "b/photo.jfif")  # JPEG
    pictures, errors = keep(scan(tmp_path).sources, lambda picture: picture, memory=1e6)
    assert len(pictures) == 3 and [error.split(":")[0] for error in errors if error] == [str(page)]


def test_the_same_picture_again_stays_on_one_side():
    images = np.random.default_rng(0).integers(0, 255, (40, 4, 4, 3), dtype="uint8")
    images[20:] = images[:20]
    samples = samples_of((images, np.arange(40) % 2))
    for seed in range(5):
        first, second = split(samples, 0.3, seed)
        assert not {image.tobytes() for image in first.sources} & {
            image.tobytes() for image in second.sources
        }
        assert len(first.sources) + len(second.sources) == 40
    with pytest.raises(ValueError, match="has 1 picture; at least 2 .*the same picture again is no other"):
        split(samples_of((images[[0, 20, 1]], [0, 0, 1])), 0.5, 0)


def test_what_would_spoil_the_measure_is_said(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 3), dtype="uint8")
    train = samples_of((images[[0, 1, 2, 3, 3]], ["a", "a", "b", "b", "a"]))
    held_out = samples_of((images[[0, 4]], ["a", "a"]))
    said = findings(train, held_out)
    assert said[0] == "classes without a picture to validate with: b"
    assert said[1] == "the same pictures are in two classes: 1, such as number 3 = number 4"
    assert said[2].startswith("the same pictures are both in the training and in the validation")
    with pytest.raises(ValueError, match="classes of the validation are not in the training: c"):
        findings(train, samples_of((images[:1], ["c"])))
    with pytest.raises(ValueError, match=r"at least 2 classes are needed. Received: 1 \(a\)"):
        findings(held_out, held_out)
    assert findings(samples_of((images[:4], list("abab"))), samples_of((images[4:], list("ab")))) == []
    order = ("a", "b", "c")
    assert findings(
        Samples((*images[:2],), ("a", "b"), order), Samples((*images[2:4],), ("a", "c"), order)
    ) == [
        "classes without a picture to train on, whose answers are never right: c",
        "classes without a picture to validate with: b",
    ]


def test_files_that_are_the_same_are_found_by_content(tmp_path):
    first = write_picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(first.read_bytes())
    other = write_picture(tmp_path / "3.png", seed=1)
    assert repeated([first, other, tmp_path / "2.png", tmp_path / "missing.png"]) == [[0, 2]]
    for name in "abcb":
        (tmp_path / name).write_bytes(name.encode() + bytes(9999))
    assert repeated([tmp_path / name for name in "abcb"]) == [[1, 3]]  # all end alike
    images = np.zeros((3, 8, 8, 3), "uint8")
    images[1, 0] = 1
    assert repeated(list(images)) == [[0, 2]]


def test_what_cannot_be_read_is_no_repetition(tmp_path):
    folders = [tmp_path / name for name in ("0.png", "1.png", "2.png", "3.png")]
    for folder in folders:
        folder.mkdir()
    assert len({folder.stat().st_size for folder in folders}) == 1
    assert repeated(folders) == []
    samples = Samples(tuple(folders), tuple("abab"))
    assert findings(*split(samples, 0.5, 0)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_the_name_of_a_file_may_be_any_bytes(tmp_path):
    folder_of(tmp_path, a=2, b=2)
    named = [
        (tmp_path / name / "0.png").rename(tmp_path / name / os.fsdecode(b"K\xe4se.png")) for name in "ab"
    ]
    samples = scan(tmp_path)
    assert samples.sources[1::2] == (*named,) and repeated(named) == [[0, 1]]
    assert any("in two classes" in sentence for sentence in findings(*split(samples, 0.5, 0)))
    (tmp_path / "labels.csv").write_bytes(b"a/K\xe4se.png,a\nb/K\xe4se.png,b\n")
    assert scan(tmp_path).sources == (*named,)
    assert keep(named, lambda picture: picture, memory=1e6)[1] == [None, None]


def test_the_memory_of_a_container_is_its_own(tmp_path):
    machine, limits = quarter_of_memory([]), [tmp_path / name for name in ("missing", "2", "1")]
    limits[1].write_text("max\n")
    limits[2].write_text("9223372036854771712\n")  # no limit, in version 1
    assert quarter_of_memory(limits) == machine > 1e6
    limits[1].write_text("2000000\n")
    assert quarter_of_memory(limits) == 500_000


def test_pictures_are_kept_while_there_is_memory(tmp_path):
    paths = [write_picture(tmp_path / f"{i}.png", seed=i) for i in range(4)]
    paths.insert(2, tmp_path / "broken.png")
    paths[2].write_text("no picture")
    counts = []
    one = read_image(paths[0]).nbytes
    pictures, errors = keep(paths, lambda picture: picture, memory=2 * one, advance=counts.append)
    assert sum(counts) == 5 and len(pictures) == 4
    assert [bool(error) for error in errors] == [False, False, True, False, False]
    before = [pictures[number].copy() for number in range(4)]
    for path in paths:
        path.unlink()
    for number in (0, 1):
        np.testing.assert_array_equal(pictures[number], before[number])
    with pytest.raises(ImageError, match="no such file"):
        pictures[2]
