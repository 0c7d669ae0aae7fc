"""What answers the pictures of a shard, wherever it runs: TensorFlow and Arrow, nothing else of this package.

So a machine of a cluster needs no more than these two, and Ray.
"""

import json
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from .files import Files

# Inside a run's folder, hidden from who reads the folder as a table.
MODEL, PICTURES = "_run/model.tar", "_run/pictures.parquet"
READERS = 16  # at a time: they wait, for a disk or for a store
OK = "ok"

SCHEMA = pa.schema(
    {
        "path": pa.string(),
        "status": pa.string(),
        "class_ids": pa.list_(pa.string()),
        "classes": pa.list_(pa.string()),
        "scores": pa.list_(pa.float32()),
    }
)
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"RIFF")


def shard_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


class Worker:
    """Answers one shard of a run after the other.

    Args:
        folder: The run's, a local path or an address.
        top: Classes a picture.
        batch_size: Pictures computed at once.
        threads: That TensorFlow may use; None leaves it as it is.
    """

    def __init__(self, folder: str, top: int, batch_size: int, threads: int | None = None):
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._files, self._folder, self._top = Files(), folder, top
        system, path = self._files.at(f"{folder}/{PICTURES}")
        self._pictures = pq.ParquetFile(system.open_input_file(path))
        system, path = self._files.at(f"{folder}/{MODEL}")
        with (
            tempfile.TemporaryDirectory() as place,
            system.open_input_stream(path, compression=None) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            archive.extractall(place, filter="data")
            self._model = tf.saved_model.load(place)
            names = Path(place, "labels.txt").read_text("utf-8").removesuffix("\n").split("\n")
            ids = json.loads(Path(place, "bundle.json").read_text("utf-8"))["class_ids"]
        self._names, self._ids = np.array(names), np.array(ids)
        self._ask = self._model.signatures["image_bytes"]
        # One data set for all shards: making one leaves a function behind in TensorFlow's registry.
        self._paths: list[str] = []
        text = tf.TensorSpec((), tf.string)
        self._batches = (
            tf.data.Dataset.from_generator(lambda: iter(self._paths), output_signature=text)
            .map(self._read, num_parallel_calls=READERS)
            .batch(batch_size)
            .prefetch(1)
        )
        options = tf.data.Options()
        options.threading.private_threadpool_size = READERS
        self._batches = self._batches.with_options(options)

    def __call__(self, row: dict) -> dict:
        """Answer the shard ``row["shard"]`` and write it.

        Returns:
            ``shard``, ``pictures``, when it ``began`` (seconds since 1970), the ``seconds`` it took, and
            those of them in which was ``asking`` the model, which decodes too.
        """
        began, asking = time.time(), 0.0
        shard = int(row["shard"])
        self._paths = self._pictures.read_row_group(shard, columns=["path"])["path"].to_pylist()
        columns = {name: [] for name in SCHEMA.names[1:]}
        for files, errors in self._batches:
            start = time.perf_counter()
            answer = self._ask(image_bytes=files)
            scores, valid = answer["probabilities"].numpy(), answer["valid"].numpy()
            asking += time.perf_counter() - start
            best = np.argsort(-scores, axis=1, kind="stable")[:, : self._top]
            for data, error, readable, order, row_scores in zip(
                files.numpy(), errors.numpy(), valid, best, scores, strict=True
            ):
                order = order if readable else order[:0]
                columns["status"].append(OK if readable else error.decode() or _why(data))
                columns["class_ids"].append(self._ids[order].tolist())
                columns["classes"].append(self._names[order].tolist())
                columns["scores"].append(row_scores[order].tolist())
        table = pa.table({"path": self._paths, **columns}, schema=SCHEMA)
        with self._files.written_whole(f"{self._folder}/{shard_name(shard)}") as stream:
            pq.write_table(table, stream)
        return {
            "shard": shard,
            "pictures": len(table),
            "began": began,
            "seconds": time.time() - began,
            "asking": asking,
        }

    def _read(self, path):
        """A file's bytes, and why there are none."""

        def read(path: bytes):
            try:
                return self._files.read(path.decode()), b""
            except FileNotFoundError:
                return b"", b"no such file"
            except Exception as error:  # a store's errors are of many kinds; none may stop the neighbours
                return b"", (_line(error) or type(error).__name__).encode()

        return tf.numpy_function(read, [path], (tf.string, tf.string), stateful=True)


def _line(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]


def _why(data: bytes) -> str:
    """Why a file could not be decoded, as far as its beginning says."""
    if not data:
        return "the file is empty"
    if data.startswith(_BEGINNINGS):
        return "damaged, too large, or of a kind that an export does not decode"
    return "not a picture (JPEG, PNG, WEBP, BMP, GIF are read)"
