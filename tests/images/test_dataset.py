import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.images.batches import read_batches
from keras_resnets.images.dataset import Samples, scan, split

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
