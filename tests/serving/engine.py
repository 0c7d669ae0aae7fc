"""Ask SavedModels on the engine of TensorFlow Serving: ``python engine.py LIBRARIES QUESTIONS ANSWERS``.

The server's engine is the C++ library inside TensorFlow's wheel. LIBRARIES is the folder it lies in; it is driven
through its C API, by a process that has neither Keras nor TensorFlow for Python. QUESTIONS is a pickle: a list of
(folder of a SavedModel, signature, {input: array}); strings are arrays of bytes with dtype object. ANSWERS becomes
one: under ``answers`` an {output: array} a question, under ``modules`` what Python had imported. What the engine
refuses is said on standard error, with exit status 1.

As in the server, nothing is compiled with XLA unless XLA=1 is set, the server's ``--xla_cpu_compilation_enabled``.
"""

import ctypes
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LIBRARY = "libtensorflow_cc.so.2"
STRING, STRING_BYTES = 7, 24  # DT_STRING of types.proto, and the size of one TF_TString
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 7: "object", 9: "int64", 10: "bool"}
CODES = {np.dtype(name): code for code, name in DTYPES.items()}


class Pointer(ctypes.c_void_p):
    """Not c_void_p itself, which ctypes returns as a number and would pass on cut to 32 bits."""


class Buffer(ctypes.Structure):
    """TF_Buffer."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p))


class Port(ctypes.Structure):
    """TF_Output: one end of an operation, for an input too."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


RETURNS = {
    "TF_GetCode": ctypes.c_int,
    "TF_Message": ctypes.c_char_p,
    "TF_NumDims": ctypes.c_int,
    "TF_Dim": ctypes.c_int64,
    "TF_TensorType": ctypes.c_int,
    "TF_TensorByteSize": ctypes.c_size_t,
    "TF_StringGetSize": ctypes.c_size_t,
}  # all others: a pointer, or nothing


class Refused(Exception):
    """What the engine does not do, in its words."""


class Engine:
    """The C API. Nothing is given back to it: the process ends with its questions."""

    def __init__(self, libraries: str):
        self._library = ctypes.CDLL(str(Path(libraries) / LIBRARY))
        self._status = self.call("TF_NewStatus")
        if os.environ.get("XLA") != "1":
            self.call("_ZN10tensorflow21DisableXlaCompilationEv")  # tensorflow::DisableXlaCompilation()

    def call(self, name: str, *arguments):
        function = getattr(self._library, name)
        function.restype = RETURNS.get(name, Pointer)
        return function(*arguments)

    def checked(self, name: str, *arguments):
        """Call a function that takes a status last."""
        returned = self.call(name, *arguments, self._status)
        if self.call("TF_GetCode", self._status):
            raise Refused(self.call("TF_Message", self._status).decode())
        return returned

    def tensor(self, array) -> Pointer:
        array = np.ascontiguousarray(array).reshape(np.shape(array))  # which alone makes a scalar a vector
        code, strings = CODES[array.dtype], array.dtype == object
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        size = ctypes.c_size_t(array.size * STRING_BYTES if strings else array.nbytes)
        tensor = self.call("TF_AllocateTensor", code, shape, array.ndim, size)
        start = self.call("TF_TensorData", tensor).value
        if not strings:
            ctypes.memmove(start, array.ctypes.data, array.nbytes)
            return tensor
        for i, text in enumerate(array.flat):
            place = Pointer(start + i * STRING_BYTES)
            self.call("TF_StringInit", place)
            self.call("TF_StringCopy", place, text, ctypes.c_size_t(len(text)))
        return tensor

    def array(self, tensor: Pointer) -> np.ndarray:
        shape = [self.call("TF_Dim", tensor, axis) for axis in range(self.call("TF_NumDims", tensor))]
        start, code = self.call("TF_TensorData", tensor).value, self.call("TF_TensorType", tensor)
        if code != STRING:
            data = ctypes.string_at(start, self.call("TF_TensorByteSize", tensor))
            return np.frombuffer(data, DTYPES[code]).reshape(shape)
        texts = np.empty(shape, object)
        for i in range(texts.size):
            place = Pointer(start + i * STRING_BYTES)
            data = self.call("TF_StringGetDataPointer", place)
            texts.flat[i] = ctypes.string_at(data, self.call("TF_StringGetSize", place))
        return texts


class SavedModel:
    """A session, and for each signature the names of the tensors that are its inputs and outputs."""

    def __init__(self, engine: Engine, folder: str):
        self._engine, self._graph, described = engine, engine.call("TF_NewGraph"), Buffer()
        options, tags = engine.call("TF_NewSessionOptions"), (ctypes.c_char_p * 1)(b"serve")
        place = (None, os.fsencode(folder), tags, 1, self._graph, ctypes.byref(described))
        self._session = engine.checked("TF_LoadSessionFromSavedModel", options, *place)
        self._signatures = signatures(ctypes.string_at(described.data, described.length))

    def run(self, signature: str, inputs: dict) -> dict[str, np.ndarray]:
        if signature not in self._signatures:
            raise Refused(f"signatures are {sorted(self._signatures)}. Received: {signature!r}")
        takes, gives = self._signatures[signature]
        if takes.keys() != inputs.keys():
            raise Refused(f"{signature} takes {sorted(takes)}. Received: {sorted(inputs)}")
        given = (Pointer * len(inputs))(*map(self._engine.tensor, inputs.values()))
        found = (Pointer * len(gives))()
        ins = self._ports(takes[name] for name in inputs), given, len(inputs)
        outs = self._ports(gives.values()), found, len(gives)
        self._engine.checked("TF_SessionRun", self._session, None, *ins, *outs, None, 0, None)
        return {name: self._engine.array(tensor) for name, tensor in zip(gives, found, strict=True)}

    def _ports(self, tensors) -> ctypes.Array:
        """Names such as ``serving_default_images:0`` as the engine takes them."""
        names, numbers = zip(*(name.rsplit(":", 1) for name in tensors), strict=True)
        found = (self._engine.call("TF_GraphOperationByName", self._graph, name.encode()) for name in names)
        ports = (Port(place.value, int(number)) for place, number in zip(found, numbers, strict=True))
        return (Port * len(names))(*ports)


def signatures(meta_graph: bytes) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """{signature: ({input: tensor}, {output: tensor})}, by the field numbers of meta_graph.proto."""
    return {
        name: tuple(
            {key: dict(fields(info))[1].decode() for key, info in entries(definition, n)} for n in (1, 2)
        )
        for name, definition in entries(meta_graph, 5)
    }


def entries(message: bytes, field: int) -> Iterator[tuple[str, bytes]]:
    """A map: each entry is a message with the key in field 1 and the value in field 2."""
    for number, value in fields(message):
        if number == field:
            entry = dict(fields(value))
            yield entry[1].decode(), entry.get(2, b"")


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer as it is written; protobuf itself is not needed."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        if key & 7 == 0:  # a number
            value, at = varint(message, at)
        else:  # 8 bytes, 4 bytes, or as many as are said first
            length = {1: 8, 5: 4}.get(key & 7)
            if length is None:
                length, at = varint(message, at)
            value, at = message[at : at + length], at + length
        yield key >> 3, value


def varint(message: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    number = shift = 0
    while message[at] >= 128:
        number, at, shift = number | (message[at] & 127) << shift, at + 1, shift + 7
    return number | message[at] << shift, at + 1


def main(libraries: str, questions: str, answers: str) -> None:
    engine, models, given = Engine(libraries), {}, []
    for folder, signature, inputs in pickle.loads(Path(questions).read_bytes()):
        if folder not in models:
            models[folder] = SavedModel(engine, folder)
        given.append(models[folder].run(signature, inputs))
    Path(answers).write_bytes(pickle.dumps({"answers": given, "modules": sorted(sys.modules)}))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as error:
        sys.exit(f"the engine refuses: {error}")
