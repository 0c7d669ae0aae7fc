"""An export behind a network server: NVIDIA's Triton, asked by many clients at once, one file in 20 broken.

    make serve-test                          # in an environment of its own; docs/benchmarks/serving.md

Not only how fast: every answer is compared with that of the SavedModel asked for this file alone. It fails
when one is wrong or lost, when a broken file is not answered as one, and when the server's memory grows.
"""

import contextlib
import json
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import click
import numpy as np
from machine import ROOT
from reporting import folder, report
from worker import ENVIRONMENT, turn

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv-triton" / "bin" / "python"
LOG = folder(quick=True) / "triton.log"
CROWDS = {"float32": (1, 8, 32), "bfloat16": (32,)}  # clients
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-3}  # of a probability: batches are summed in other orders
BATCH = 16
BROKEN = 20  # one request in so many
PATIENCE = 30  # seconds; without an answer by then a request is lost
PINS = [line for line in (HERE / "triton.txt").read_text().splitlines() if not line.startswith("#")]
ALONE = "SavedModel alone"
NOTES = f"""\
Each client asks again as soon as it is answered, through gRPC, for one file at a time: the photographs of the
demo, and one in {BROKEN} a JPEG cut off, text or nothing. All are on one host with the server; what they take
from its cores is in the last column. Right is an answer with the best class of the one to this file alone and
with every probability of it within {TOLERANCE["float32"]:g} ({TOLERANCE["bfloat16"]:g} in bfloat16); to
a broken file, `valid` false and zeros. Lost is what got no answer within {PATIENCE} s. A batch is what came
while the one before was computed, so few clients take turns in two halves.

Memory is that of all the server's processes, each second. TensorFlow's allocator takes and returns regions as
large as a batch's widest maps (51 MB), so a step is no leak. The load fails on what creeps, the median change
from one sixth of the time to the next, beyond half of the bytes of the files that came in: whatever a server
keeps of every request is more than that.

The server has an environment of its own: {", ".join(PINS)}."""


def exported(place: Path, precision: str, quick: bool) -> Path:
    from keras_resnets import create, export
    from keras_resnets.weights.sources import SourceError

    if quick:
        model = create("resnet18", weights=None, classes=10, input_shape=(64, 64, 3), seed=0)
    else:
        try:
            model = create("resnet50")
        except SourceError as error:
            click.echo(f"{error}\nRandom weights are served instead.", err=True)
            model = create("resnet50", weights=None, seed=0)
    return export(model, place, precision=precision)


def files_for_all(place: Path) -> list[bytes]:
    """What clients send, as files: photographs, and what is none."""
    from keras_resnets.images import PHOTOS

    photos = [path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))]
    files = [*photos, photos[0][: len(photos[0]) // 2], b"no picture", b""]
    place.mkdir()
    for number, data in enumerate(files):
        (place / f"{number:02}").write_bytes(data)
    return files


def asked_alone(export: Path, files: list[bytes], tolerance: float) -> tuple[dict[str, np.ndarray], float]:
    """The expected answers, and how many photographs a second are answered so."""
    import tensorflow as tf

    model = tf.saved_model.load(str(export))

    def ask(files: list[bytes]) -> list[dict]:
        return [model.signatures["image_bytes"](image_bytes=tf.constant([data])) for data in files]

    answers = ask(files)
    expected = {name: np.concatenate([row[name].numpy() for row in answers]) for name in answers[0]}
    expected["classes"] = expected["classes"].astype("S")
    photos = files[:-3]
    if expected["valid"].tolist() != [True] * len(photos) + [False] * 3:
        raise click.ClickException(f"the SavedModel itself answers valid={expected['valid']}")
    rows = expected["probabilities"]
    nearest = min(np.abs(rows[i] - rows[j]).max() for i in range(len(photos)) for j in range(i))
    if nearest <= 2 * tolerance:
        raise click.ClickException(f"no test: answers to two photographs differ by {nearest:.1e} only")
    return expected, len(photos) / turn(lambda: ask(photos), least=5)


@contextlib.contextmanager
def served(export: Path) -> Iterator[dict]:
    """A server that lives as long as the context, and what a client must know of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PYTHON, HERE / "triton_server.py", export, "--port", str(port), "--batch", str(BATCH)]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with (
        LOG.open("w") as log,
        subprocess.Popen(command, env=ENVIRONMENT, text=True, stdin=PIPE, stdout=PIPE, stderr=log) as server,
    ):  # whose end closes its input, and waits
        token = server.stdout.readline().strip()
        if not token:
            raise click.ClickException(f"the server ended with {server.wait()}; {LOG} says why")
        yield {"url": f"127.0.0.1:{port}", "token": token, "server": server.pid}


def loaded(job: dict) -> dict:
    command = [PYTHON, HERE / "triton_client.py", json.dumps(job)]
    done = subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1]
        raise click.ClickException(f"the clients ended with {why}; {LOG} says what the server met")
    return json.loads(done.stdout)


def row_of(job: dict, seconds: float, alone: float, precision: str) -> tuple[dict, list[str]]:
    """A row of the table, and what must not be."""
    job |= {"tolerance": TOLERANCE[precision], "one_broken_in": BROKEN, "patience": PATIENCE}
    loaded(job | {"seconds": min(seconds, 5)})  # until nothing is new to the server
    seen = loaded(job | {"seconds": seconds})
    case = f"{precision}, clients: {job['clients']}"
    rate, lost = seen["answered"] / seen["seconds"], seen["sent"] - seen["answered"]
    creep, bound = creeping(seen["memory"]), seen["bytes"] / seen["seconds"] * 60 / 1e6 / 2
    third = len(seen["memory"]) // 3
    faults = {
        f"{lost} lost, such as for: {''.join(seen['errors'][:1])[:200]}": lost,
        f"{seen['wrong']} wrong, by up to {seen['largest difference']:.1e}": seen["wrong"],
        f"{seen['refused']} of {seen['broken']} broken files answered so": seen["refused"] != seen["broken"],
        f"memory grows by {creep:.0f} MB a minute, more than {bound:.0f}": creep > bound,
    }
    row = {
        f"times {ALONE}": rate / alone,
        "case": case,
        "requests/s": rate,
        **{f"{name} ms": 1e3 * value for name, value in seen["latency"].items()},
        "batch": seen["batch"],
        "wrong": seen["wrong"],
        "lost": lost,
        "broken answered": f"{seen['refused']} of {seen['broken']}",
        "MB first third": round(statistics.median(seen["memory"][:third]) / 1e6),
        "MB last third": round(statistics.median(seen["memory"][-third:]) / 1e6),
        "creep MB/min": creep,
        "clients' CPU %": 100 * seen["processor"],
    }
    return row, [f"{case}: {fault}" for fault, so in faults.items() if so]


def creeping(memory: list[int]) -> float:
    """MB a minute: the median change from one sixth to the next, so that one step up or down is none."""
    sixths = [np.mean(part) for part in np.array_split(memory, 6)]
    return float(np.median(np.diff(sixths))) / 1e6 * 6 * 60 / len(memory)


@click.command()
@click.option("--seconds", default=60, show_default=True, help="Of load a row.")
@click.option("--quick", is_flag=True, help="A small network, one row, ten seconds: does it run?")
def main(seconds, quick):
    """Load a server; write docs/benchmarks/serving.md and .json, or end with 1."""
    if not PYTHON.exists():
        raise click.ClickException(f"{PYTHON} does not exist; `make serve-test` makes it")
    rows, faults = [], []
    for precision, crowds in {"float32": (32,)}.items() if quick else CROWDS.items():
        with tempfile.TemporaryDirectory() as place:
            place = Path(place)
            export, files = exported(place / "served", precision, quick), files_for_all(place / "files")
            expected, rate = asked_alone(export, files, TOLERANCE[precision])
            np.savez(place / "expected.npz", **expected)
            alone = rows[0]["requests/s"] if rows else rate
            rows.append({f"times {ALONE}": rate / alone, "case": f"{precision}, {ALONE}", "requests/s": rate})
            with served(export) as server:
                for clients in crowds:
                    click.echo(f"{precision}, clients: {clients}", err=True)
                    job = server | {"folder": str(place), "clients": clients}
                    row, found = row_of(job, 10 if quick else seconds, alone, precision)
                    rows.append(row)
                    faults += found
    columns = list(rows[-1])
    rows = [{name: row.get(name) for name in columns} for row in rows]
    # A load that went wrong is shown, and not kept.
    table = {f"ResNet50 behind Triton, batches of up to {BATCH}": rows}
    report("serving", "An export behind a network server", table, NOTES, quick=quick or bool(faults))
    if faults:
        raise click.ClickException("\n".join(faults))


if __name__ == "__main__":
    main()
