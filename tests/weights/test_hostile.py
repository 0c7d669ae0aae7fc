"""Files that were damaged, or made to do harm: they are refused by name, and nothing else happens."""

import contextlib
import functools
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keras_resnets
from keras_resnets.weights.formats import WeightsError, read, trial
from keras_resnets.weights.formats.writing import write

BUDGET = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def layers():
    chance = np.random.default_rng(0)
    return {
        f"conv{i}": {
            "kernel": chance.normal(size=(3, 3, 2, 4)).astype("float32"),
            "bias": np.zeros(4, "float32"),
        }
        for i in range(3)
    }


# --- sound files, as bytes ------------------------------------------------------------------------


def written(ending):
    def make(folder):
        write(folder / f"a{ending}", layers())
        return (folder / f"a{ending}").read_bytes()

    return make


def keras_3(folder):
    with h5py.File(folder / "a.weights.h5", "w") as file:
        for layer, variables in layers().items():
            group = file.create_group(f"layers/{layer}/vars")
            group.attrs["name"] = layer
            for number, array in enumerate(variables.values()):
                group.create_dataset(str(number), data=array, chunks=array.shape, compression="gzip")
    return (folder / "a.weights.h5").read_bytes()


def keras_archive(folder):
    return zipped({"model.weights.h5": keras_3(folder), "config.json": b"{}"})


def tfjs(rows=None, data=None):
    """A tfjs folder's files by name."""
    arrays = {
        f"{layer}/{name}": array for layer, variables in layers().items() for name, array in variables.items()
    }
    rows = rows or [{"name": key, "shape": list(a.shape), "dtype": "float32"} for key, a in arrays.items()]
    data = data or b"".join(array.tobytes() for array in arrays.values())
    manifest = [{"paths": ["shard"], "weights": rows}]
    return {"model.json": json.dumps({"weightsManifest": manifest}).encode(), "shard": data}


def packed_tfjs(folder=None):
    return tarred((tarfile.TarInfo(f"package/{name}"), data) for name, data in tfjs().items())


def onnx_model(folder=None, kernel=None):
    from onnx import TensorProto, helper, numpy_helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    nodes = [helper.make_node("Conv", ["x", f"{layer}.weight"], [layer]) for layer in layers()]
    kernels = {layer: v["kernel"] if kernel is None else kernel for layer, v in layers().items()}
    arrays = [numpy_helper.from_array(array, f"{layer}.weight") for layer, array in kernels.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [value], [value], arrays)).SerializeToString()


def zipped(members, compression=zipfile.ZIP_STORED):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", compression) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return file.getvalue()


def tarred(members, level=9):
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=level) as archive:
            for member, data in members:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return file.getvalue()


SOUND = {
    ".safetensors": written(".safetensors"),
    ".npz": written(".npz"),
    "tfjs .tgz": packed_tfjs,
    ".onnx": onnx_model,
    ".pth": written(".pth"),
}
HDF5 = {".h5": written(".h5"), ".weights.h5": keras_3, ".keras": keras_archive}


@functools.cache
def sound(form):
    if form == ".pth":
        pytest.importorskip("torch")
    with tempfile.TemporaryDirectory() as folder:
        return {**SOUND, **HDF5}[form](Path(folder))


@pytest.fixture
def refuse(tmp_path):
    """Bytes that must be refused, and the file's name said; nothing may be written."""

    def check(data, message):
        path = tmp_path / "hostile"
        path.write_bytes(data)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(WeightsError, match=message) as refusal:
            read(path)
        assert str(path) in str(refusal.value) and sorted(tmp_path.rglob("*")) == before

    return check


# --- damage at random -----------------------------------------------------------------------------


def spoil(data, changes, end):
    spoilt = bytearray(data[: max(1, int(len(data) * end))])
    for place, value in changes:
        spoilt[int(place * len(spoilt))] = value
    return bytes(spoilt)


place = st.floats(0, 1, exclude_max=True)
changes = st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=12)


@pytest.mark.parametrize("form", SOUND)
def test_sound_files_are_read(form, tmp_path):
    (tmp_path / "a").write_bytes(sound(form))
    assert len(read(tmp_path / "a").layers) == 3


@pytest.mark.parametrize("form", SOUND)
@given(changes=changes)
@BUDGET
def test_changed_bytes_are_refused_or_read(form, changes, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(spoil(sound(form), changes, 1))
    try:
        read(path)
    except WeightsError as refusal:
        assert str(path) in str(refusal)


@pytest.mark.parametrize("form", SOUND)
@given(end=place)
@BUDGET
def test_a_file_cut_short_is_refused(form, end, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(spoil(sound(form), (), end))
    try:
        contents = read(path)
    except WeightsError:
        return
    # Of these two the end is filling, or an optional part.
    assert form in ("tfjs .tgz", ".onnx") and len(contents.layers) == 3


ALONE = f"""
import sys, types
for name in ("keras_resnets", "keras_resnets.weights"):  # the readers without Keras and TensorFlow
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [{str(Path(keras_resnets.__file__).parents[1])!r} + "/" + name.replace(".", "/")]
from keras_resnets.weights.formats import WeightsError, read
"""


def run_alone(code, *arguments):
    """What a process of its own prints in which only the readers are imported."""
    code = ALONE + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("form", HDF5)
def test_damaged_hdf5_is_refused_or_read_and_ends_no_process(form, tmp_path):
    """HDF5 is a large C library with known faults: every file is read in a process of its own."""
    chance = np.random.default_rng(0)
    data = sound(form)
    for number in range(40):
        # Half of the changes at the front, where the description of the file is.
        places = chance.random(chance.integers(1, 9)) * chance.choice([1, 0.2])
        changes = [(place, int(chance.integers(0, 256))) for place in places]
        cut = number % 3 == 0
        (tmp_path / str(number)).write_bytes(
            spoil(data, () if cut else changes, chance.random() if cut else 1)
        )
    results = run_alone(
        textwrap.dedent("""
        import collections, os, pathlib, signal
        seen = collections.Counter()
        for path in pathlib.Path(sys.argv[1]).iterdir():
            if not (child := os.fork()):
                signal.alarm(10)
                try:
                    read(path)
                except WeightsError:
                    pass
                except BaseException as error:
                    print(path, repr(error), flush=True)
                    os._exit(1)
                os._exit(0)
            seen[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])] += 1
        print(dict(seen))
        """),
        str(tmp_path),
    )
    assert results == "{0: 40}\n"


# --- zip and npz ----------------------------------------------------------------------------------


def npy(header, data=b"", version=b"\x01\x00"):
    text = repr(header).encode() if isinstance(header, dict) else header
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + data


def test_npz_headers_that_declare_what_is_not_there(refuse):
    row = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    refuse(
        zipped({"a/b.npy": npy(row, bytes(8))}),
        r"a/b\.npy declares \(1099511627776,\) float32 numbers in 8 bytes",
    )
    refuse(zipped({"a/b.npy": npy(row | {"shape": (-1,)}, bytes(8))}), "declares|damaged")
    refuse(zipped({"a/b.npy": npy(row | {"shape": (1 << 62, 4, 0)}, bytes(8))}), "declares")
    refuse(zipped({"a/b.npy": npy(b"__import__('os').system('false')")}), "damaged")
    refuse(zipped({"a/b.npy": npy(row, version=b"\x03\x00")}), "version")
    refuse(zipped({"a/b.npy": npy(row)[:8] + b"\xff\xff"}), "damaged")


def test_npz_of_objects_is_a_pickle_and_not_opened(refuse, tmp_path):
    with io.BytesIO() as file:
        np.savez(file, **{"a.b": np.array([Calls(tmp_path / "called")], object)})
        refuse(file.getvalue(), r"a\.b\.npy holds object values")
    assert not (tmp_path / "called").exists()


def test_zip_bombs(refuse):
    zeros = npy({"descr": "|u1", "fortran_order": False, "shape": (150 << 20,)}, bytes(150 << 20))
    refuse(zipped({"a.b.npy": zeros}, zipfile.ZIP_DEFLATED), "declares .* bytes and stores")
    many = zipped({f"{number:0900}.npy": b"" for number in range(5000)})
    refuse(many, "its list of members is longer than")
    refuse(zipped({"a.b.npy": b""}, zipfile.ZIP_LZMA), "neither stored nor deflated")


def test_zip_members_of_one_name(refuse):
    data = zipped({"a.b.npy": b"x", "a.c.npy": b"y"})
    refuse(data.replace(b"a.c.npy", b"a.b.npy"), r"the member a\.b\.npy is there twice")


def test_zip_members_that_overlap(refuse):
    """Every member says that it is the whole file: a bomb without compression."""
    data = zipped({f"a.{number}.npy": bytes(1000) for number in range(9)})
    size = struct.pack("<I", len(data) - 100)
    refuse(data.replace(struct.pack("<II", 1000, 1000), size + size), "its members overlap")


def test_names_of_members_are_not_paths(tmp_path):
    outside = tmp_path / "outside"
    array = npy({"descr": "<f4", "fortran_order": False, "shape": (2,)}, bytes(8))
    path = tmp_path / "a"
    path.write_bytes(zipped({"../outside/kernel.npy": array, f"{outside}/bias.npy": array}))
    assert list(read(path).layers) == ["../outside", str(outside)] and not outside.exists()


# --- safetensors ----------------------------------------------------------------------------------


def safetensors_file(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_safetensors_headers(refuse):
    row = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    twice = b'{"a": %s, "a": %s}' % ((json.dumps(row).encode(),) * 2)
    refuse(safetensors_file(twice, bytes(4)), "the key a is there twice")
    refuse(safetensors_file({"a": row | {"shape": [1 << 60]}}, bytes(4)), "damaged")
    refuse(safetensors_file({"a": row | {"data_offsets": [0, 1 << 60]}}, bytes(4)), "damaged")
    refuse(safetensors_file({"a": row, "b": row}, bytes(4)), "damaged")
    refuse(safetensors_file(b"{" + b" " * (9 << 20), bytes(4)), "the header has .* bytes; at most")
    limit = sys.getrecursionlimit()
    for raised in (limit, 100_000):  # as after a network of a thousand layers
        sys.setrecursionlimit(raised)
        try:
            refuse(safetensors_file(b'{"a":' + b"[" * 100_000), "nested in more than 100 levels")
            refuse(safetensors_file(b'{"a[{\\"[":' + b"{" * 100_000), "nested in more than 100 levels")
        finally:
            sys.setrecursionlimit(limit)
    refuse(struct.pack("<Q", 1 << 60) + b"{", "not a known weights file")


@given(
    st.dictionaries(
        st.text(max_size=5), st.recursive(st.none() | st.integers() | st.text(), st.lists), max_size=3
    )
)
@BUDGET
def test_safetensors_headers_of_any_json(tmp_path, header):
    path = tmp_path / "a"
    path.write_bytes(safetensors_file(header, bytes(8)))
    with contextlib.suppress(WeightsError):
        assert not read(path).layers


@given(first=st.text("ab./", max_size=4), second=st.text("ab./", max_size=4))
@BUDGET
def test_keys_of_any_form_keep_every_array(first, second, tmp_path):
    rows = {first: {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}
    rows |= {second: {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}} if second != first else {}
    path = tmp_path / "a"
    path.write_bytes(safetensors_file(rows, bytes(4 * len(rows))))
    try:
        assert sum(map(len, read(path).layers.values())) == len(rows)
    except WeightsError as refusal:
        assert "is there twice" in str(refusal)


# --- tfjs -----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    for name, data in tfjs().items():
        (tmp_path / "folder" / name).write_bytes(data)
    return tmp_path / "folder"


@pytest.mark.parametrize("shape", [[1 << 40], [-1], [1 << 32, 1 << 32], ["9"], None, [2.5]])
def test_shapes_of_tfjs(shape, folder):
    for name, data in tfjs([{"name": "a/b", "shape": shape, "dtype": "float32"}], bytes(8)).items():
        (folder / name).write_bytes(data)
    with pytest.raises(WeightsError, match="cut short|cannot be read|not a tfjs layers model"):
        read(folder)


@pytest.mark.parametrize("dtype", ["O", "object", "string", "S1000000000", "float32,float32", None])
def test_dtypes_of_tfjs(dtype, folder):
    (folder / "model.json").write_bytes(tfjs([{"name": "a/b", "shape": [1], "dtype": dtype}])["model.json"])
    with pytest.raises(WeightsError, match="numbers of shape .* cannot be read"):
        read(folder)


def test_a_shard_outside_the_folder_is_not_followed(folder, tmp_path):
    secret = (folder / "shard").rename(tmp_path / "secret")
    for name in ("../secret", str(secret)):
        text = tfjs()["model.json"].replace(b'"shard"', json.dumps(name).encode())
        (folder / "model.json").write_bytes(text)
        with pytest.raises(WeightsError, match="secret is missing from this folder"):
            read(folder)
    (folder / "secret").symlink_to(secret)
    with pytest.raises(WeightsError, match="secret points out of the folder"):
        read(folder)
    (folder / "secret").unlink()
    os.mkfifo(folder / "secret")
    with pytest.raises(WeightsError, match="no regular file"):
        read(folder)
    with pytest.raises(WeightsError, match="neither a file nor a folder"):
        read(folder / "secret")


def test_one_shard_may_not_be_read_a_thousand_times(folder):
    text = tfjs()["model.json"].replace(b'["shard"]', json.dumps(["shard"] * 1000).encode())
    (folder / "model.json").write_bytes(text)
    with pytest.raises(WeightsError, match="the shard shard is there twice"):
        read(folder)


def test_members_of_a_tgz(refuse):
    def link(kind, target):
        member = tarfile.TarInfo("package/shard")
        member.type, member.linkname = kind, target
        return member

    model = (tarfile.TarInfo("package/model.json"), tfjs()["model.json"])
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        refuse(tarred([model, (link(kind, "/etc/hostname"), b"")]), "shard is missing from this archive")
    refuse(tarred([model, model]), r"package/model\.json is there twice")
    refuse(tarred([(tarfile.TarInfo("package/shard"), b"x")]), r"no tfjs model\.json")
    refuse(
        tarred([(tarfile.TarInfo(str(number)), b"") for number in range(10_001)]), "more than 10000 members"
    )
    refuse(tarred([(tarfile.TarInfo("bomb"), bytes(150 << 20))]), "unpacks to more than")


# --- HDF5 -----------------------------------------------------------------------------------------


def replaced(make):
    """A Keras 3 file in which ``make`` puts a dataset of its own in the place of one."""
    with io.BytesIO(sound(".weights.h5")) as data:
        with h5py.File(data, "a") as file:
            del file["layers/conv1/vars/0"]
            make(file["layers/conv1/vars"])
        return data.getvalue()


def never_written(group):
    group.create_dataset("0", (1 << 20, 1 << 20), "float32")


def never_written_chunks(group):
    group.create_dataset("0", (1 << 20, 1 << 20), "float32", chunks=(64, 64), compression="gzip")


def one_chunk(group):
    never_written_chunks(group)
    group["0"][0, 0] = 1


def hard_links(group):
    group["0"] = np.zeros(1 << 18, "float32")
    for number in range(2, 400):
        group[str(number)] = group["0"]


def huge_chunk(group):
    group.create_dataset("0", (1,), "float32", maxshape=(None,), chunks=(1 << 29,), compression="gzip")


def external_link(group):
    group["0"] = h5py.ExternalLink("/etc/hostname", "/x")


def soft_link(group):
    group["0"] = h5py.SoftLink("/layers/conv2/vars/0")


def external_data(group):
    group.create_dataset("0", (4,), "uint8", external=[("/etc/hostname", 0, 4)])


def virtual_data(group):
    layout = h5py.VirtualLayout((4,), "uint8")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    group.create_virtual_dataset("0", layout)


def texts(group):
    group["0"] = ["a", "b"]


def null(group):
    group["0"] = h5py.Empty("float32")


def a_group(group):
    group.create_group("0")


def no_text(group):
    group["0"] = np.zeros(1, "float32")
    group["0"].attrs["dtype"] = 5


DATASETS = {
    never_written: "0 declares 4398046511104 bytes and stores 0",
    never_written_chunks: "0 declares 4398046511104 bytes and stores 0",
    one_chunk: "the file declares .* more than weights can be packed",
    hard_links: "declares .* bytes",
    huge_chunk: "0 declares|a chunk of 0 declares",
    external_link: "0 is a link: it points out of the file",
    soft_link: "0 is a link",
    external_data: "0 is not an array inside this file",
    virtual_data: "0 is not an array inside this file",
    texts: "0 holds no plain numbers",
    null: "0 holds no plain numbers",
    a_group: "0 is not an array",
    no_text: "the attribute dtype is no text",
}


@pytest.mark.parametrize("make", DATASETS, ids=lambda make: make.__name__)
def test_datasets_that_are_not_arrays_in_the_file(make, refuse):
    refuse(replaced(make), DATASETS[make])


def test_links_in_the_middle_of_a_path(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(sound(".h5"))
    os.mkfifo(tmp_path / "pipe")  # whoever opens it waits for ever
    with h5py.File(path, "a") as file:
        del file["conv1/conv1"]
        file["conv1/conv1"] = h5py.ExternalLink(str(tmp_path / "pipe"), "/")
    with pytest.raises(WeightsError, match="conv1/kernel:0 is a link: it points out of the file"):
        read(path)
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink(str(tmp_path / "pipe"), "/")
    with pytest.raises(WeightsError, match="layers is a link"):
        read(path)


def test_damaged_heaps_of_texts(refuse):
    """HDF5 would go round in them for ever."""
    data = sound(".weights.h5")
    heap = data.index(b"GCOL")
    refuse(data[: heap + 16] + bytes(16) + data[heap + 32 :], "its heap of texts is damaged")
    refuse(data + data[heap : heap + 8] * 201, "more than 200 heaps of texts")


# --- pickles --------------------------------------------------------------------------------------


class Calls:
    """What a hostile pickle does: make the folder at ``path``."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_that_call(protocol, refuse, tmp_path):
    torch_magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    harm = pickle.dumps({"a": Calls(tmp_path / "called")}, protocol)
    refuse(harm, "its pickle uses STACK_GLOBAL|holds a posix.mkdir|a pickle, not a PyTorch file")
    refuse(torch_magic + harm, "STACK_GLOBAL|holds a posix.mkdir")
    refuse(zipped({"archive/data.pkl": harm}), "STACK_GLOBAL|holds a posix.mkdir")
    assert not (tmp_path / "called").exists()


def test_pickles_that_allocate(refuse):
    """``bytearray(10 ** 12)`` in thirty bytes, which PyTorch's own list would let through."""
    harm = b"\x80\x02cbuiltins\nbytearray\n\x8a\x06" + (10**12).to_bytes(6, "little") + b"\x85R."
    refuse(zipped({"archive/data.pkl": harm}), "holds a builtins.bytearray")
    refuse(zipped({"archive/data.pkl": harm, "other/data.pkl": harm}), "more than one data.pkl")


def changed_tensor(tensor, before, after):
    """A file of PyTorch with another pickle than PyTorch wrote."""
    torch = pytest.importorskip("torch")
    with io.BytesIO() as file:
        torch.save({"a.b": tensor(torch)}, file)
        with zipfile.ZipFile(file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith("data.pkl"))
    assert members[name].count(before) == 2 or before == after
    return zipped(members | {name: members[name].replace(before, after)})


def test_tensors_that_declare_more_than_is_stored(refuse):
    wide = changed_tensor(lambda torch: torch.zeros(1).expand(1 << 20, 1 << 20), b"", b"")
    refuse(wide, "its tensors declare more than the file holds")
    # In storage and shape alike: unmapped, PyTorch would read on behind the end.
    longer = changed_tensor(lambda torch: torch.zeros(53), b"K\x35", b"J" + struct.pack("<i", 1 << 28))
    refuse(longer, "damaged|its tensors declare more")


# --- ONNX -----------------------------------------------------------------------------------------


def test_initialisers_of_onnx(refuse):
    import onnx

    def changed(change):
        model = onnx.load_from_string(sound(".onnx"))
        change(model.graph.initializer)
        return model.SerializeToString()

    refuse(changed(lambda rows: rows[0].dims.append(1 << 40)), "declares the shape .* and stores less")
    refuse(changed(lambda rows: rows[0].dims.append(-1)), "declares the shape")
    refuse(changed(lambda rows: rows.append(rows[0])), r"the initialiser conv0\.weight is there twice")
    refuse(
        changed(lambda rows: rows[0].external_data.add(key="location", value="/etc/hostname")), "not followed"
    )


# --- memory ---------------------------------------------------------------------------------------


MEMORY = """
import re
def memory(kind):  # VmSize: what is asked for; VmHWM: the most that was ever in use
    return int(re.search(kind + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
read(sys.argv[1])  # what the libraries need by themselves
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads and limits memory in Linux's way")


@linux
@pytest.mark.parametrize("ending", [".h5", ".keras", ".safetensors", ".npz", "tgz", ".onnx"])
def test_memory_stays_below_twice_the_file_and_200_mb(ending, tmp_path):
    (tmp_path / "sound").write_bytes(sound("tfjs .tgz" if ending == "tgz" else ending))
    size = 3 * (64 << 20)
    (tmp_path / "large").write_bytes(LARGE[ending](np.zeros(size // 12, "float32"), tmp_path))
    peak = run_alone(
        MEMORY
        + """
before = memory("VmRSS")
assert sum(len(variables) for variables in read(sys.argv[2]).layers.values()) == 3
print(memory("VmHWM") - before)
""",
        str(tmp_path / "sound"),
        str(tmp_path / "large"),
    )
    assert size / 2 < int(peak) < 2 * size + (200 << 20)


def large(ending):
    def make(array, folder):
        write(folder / f"a{ending}", {f"layer{number}": {"kernel": array} for number in range(3)})
        return (folder / f"a{ending}").read_bytes()

    return make


def large_archive(array, folder):
    with h5py.File(folder / "a.weights.h5", "w") as file:
        for number in range(3):
            file[f"layers/layer{number}/vars/0"] = array
    return zipped({"model.weights.h5": (folder / "a.weights.h5").read_bytes()})


def large_tgz(array, folder):
    rows = [{"name": f"layer{n}/kernel", "shape": list(array.shape), "dtype": "float32"} for n in range(3)]
    files = tfjs(rows, array.tobytes() * 3)
    return tarred(((tarfile.TarInfo(name), data) for name, data in files.items()), level=0)


LARGE = {
    **{ending: large(ending) for ending in (".h5", ".safetensors", ".npz")},
    ".keras": large_archive,
    "tgz": large_tgz,
    ".onnx": lambda array, folder: onnx_model(kernel=array.reshape(-1, 1, 1, 1)),
}


HUGE = {
    "hdf5": lambda: replaced(never_written),
    "npz": lambda: zipped(
        {"a.npy": npy({"descr": "<f4", "fortran_order": False, "shape": (1 << 30,)}, bytes(8))}
    ),
    "safetensors": lambda: safetensors_file(b"{" + b"[]," * (4 << 20)),
    "json": lambda: safetensors_file(b'{"a": [' + b"[]," * (2 << 20) + b"1]}"),
    "tgz": lambda: tarred([(tarfile.TarInfo("bomb"), bytes(300 << 20))]),
}


@linux
@pytest.mark.parametrize("name", HUGE)
def test_hostile_files_need_no_memory(name, tmp_path):
    """Within 200 MB more than a sound file leaves, all are refused."""
    (tmp_path / "sound").write_bytes(sound(".npz"))
    (tmp_path / "hostile").write_bytes(HUGE[name]())
    message = run_alone(
        MEMORY
        + """
import resource
resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + (200 << 20),) * 2)
try:
    read(sys.argv[2])
except WeightsError as error:
    print(error)
""",
        str(tmp_path / "sound"),
        str(tmp_path / "hostile"),
    )
    assert "hostile: " in message and "MemoryError" not in message


# --- what a library may do over damaged bytes -----------------------------------------------------


def honest_file(folder):
    return (
        write(folder / "a.h5", {"layer": {"kernel": np.ones((2, 2), "float32")}}, separator="/")
        or folder / "a.h5"
    )


def test_a_library_that_hangs_is_given_up(tmp_path, monkeypatch):
    path = honest_file(tmp_path)
    monkeypatch.setattr(trial, "PATIENCE", 0.001)
    with pytest.raises(WeightsError, match="damaged: the library that reads it hangs"):
        read(path)


def test_a_library_that_crashes_does_so_in_another_process(tmp_path, monkeypatch):
    path = honest_file(tmp_path)
    dies = tmp_path / "dies"
    dies.write_text("#!/bin/sh\nkill -SEGV $$\n")
    dies.chmod(0o755)
    monkeypatch.setattr(trial.sys, "executable", str(dies))
    with pytest.raises(WeightsError, match="damaged: the library that reads it crashes"):
        read(path)


def test_where_no_process_can_be_started_a_file_is_read_all_the_same(tmp_path, monkeypatch):
    path = honest_file(tmp_path)
    monkeypatch.setattr(trial.sys, "executable", str(tmp_path / "nothing"))
    assert read(path).layers["layer"]["kernel"].shape == (2, 2)
