import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.images.batches import keep, read_batches
from keras_resnets.images.dataset import Samples, findings, repeated, samples_of, scan, split
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
    with pytest.raises(ValueError, match="every row needs two columns"):
        scan(tmp_path)


def test_no_data_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no data at"):
        scan(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="a sub-folder a class"):
        scan(tmp_path)


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
    assert samples.empty == ("nothing",) and samples.classes == ("a", "b")
    assert "the class folder nothing holds no picture; it is left out" in findings(samples, samples)


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


def test_files_that_are_the_same_are_found_by_content(tmp_path):
    first = write_picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(first.read_bytes())
    other = write_picture(tmp_path / "3.png", seed=1)
    assert repeated([first, other, tmp_path / "2.png", tmp_path / "missing.png"]) == [[0, 2]]


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
