"""Clients of a Triton server, all at once, each asking again as soon as it is answered.

    .venv-triton/bin/python benchmarks/triton_client.py '{"url": "127.0.0.1:8001", "clients": 8, ...}'

Every answer is compared with the expected one. Prints one JSON object: what was sent and what came back.
"""

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

NAME = "image_bytes"


async def load(
    url: str,
    token: str,
    server: int,
    folder: str,
    clients: int,
    seconds: float,
    tolerance: float,
    one_broken_in: int,
    patience: float,
) -> dict:
    """Ask for so many seconds, then wait for the answers that are missing.

    Args:
        token: The server's, to be told its statistics.
        server: The server's process, whose memory is looked at each second.
        folder: ``files/``, and ``expected.npz`` with the answers to them in the order of their names.
        tolerance: Of a probability.
        patience: Seconds after which a request without an answer is lost.
    """
    expected = dict(np.load(Path(folder) / "expected.npz"))
    files = [file.read_bytes() for file in sorted((Path(folder) / "files").iterdir())]
    requests = [_request(data) for data in files]
    pictures, broken = (itertools.cycle(np.flatnonzero(expected["valid"] == kind)) for kind in (True, False))
    seen = dict.fromkeys(("sent", "bytes", "broken", "refused", "wrong", "largest difference"), 0)
    errors = []
    latencies, memory, numbers = [], [], itertools.count(1)

    async def one(client: InferenceServerClient) -> None:
        while time.perf_counter() < end:
            is_broken = next(numbers) % one_broken_in == 0
            place = next(broken if is_broken else pictures)
            seen["sent"] += 1
            seen["bytes"] += len(files[place])
            seen["broken"] += is_broken
            sent = time.perf_counter()
            try:
                result = await client.infer(NAME, [requests[place]], client_timeout=patience)
            except InferenceServerException as error:
                errors.append(str(error))
                await asyncio.sleep(1)  # a server that is down answers at once
                continue
            latencies.append(time.perf_counter() - sent)
            difference = _difference(result, {name: rows[place] for name, rows in expected.items()})
            seen["wrong"] += difference > tolerance
            seen["refused"] += is_broken and difference <= tolerance
            seen["largest difference"] = max(seen["largest difference"], difference)

    async with InferenceServerClient(url) as client:
        before = await _batches(client, token)
        watching = asyncio.create_task(_watch(server, memory))
        start, processor = time.perf_counter(), time.process_time()
        end = start + seconds
        await asyncio.gather(*(one(client) for _ in range(clients)))
        took, processor = time.perf_counter() - start, time.process_time() - processor
        if watching.done():
            watching.result()  # raises what ended it
        watching.cancel()
        items, batches = (await _batches(client, token)) - before
    return seen | {
        "errors": errors,
        "seconds": took,
        "answered": len(latencies),
        "latency": {f"p{share}": np.percentile(latencies or [np.nan], share) for share in (50, 95, 99)},
        "batch": items / max(batches, 1),
        "memory": memory,
        "processor": processor / took / psutil.cpu_count(),
    }


def _request(data: bytes) -> InferInput:
    tensor = InferInput(NAME, [1, 1], "BYTES")
    return tensor.set_data_from_numpy(np.array([[data]], dtype=object))  # another dtype drops last zero bytes


def _difference(result, expected: dict[str, np.ndarray]) -> float:
    """The largest of a probability or score; infinite when another class is best, or `valid` is not so."""
    answer = {name: result.as_numpy(name)[0] for name in expected}
    if answer["valid"] != expected["valid"]:
        return np.inf
    if expected["valid"] and answer["classes"][0] != expected["classes"][0]:
        return np.inf
    return max(float(np.abs(answer[name] - expected[name]).max()) for name in ("probabilities", "scores"))


async def _batches(client: InferenceServerClient, token: str) -> np.ndarray:
    """Pictures and batches so far."""
    headers = {"triton-grpc-protocol-triton-access-token": token}
    [model] = (await client.get_inference_statistics(NAME, headers=headers)).model_stats
    return np.array([model.inference_count, model.execution_count])


async def _watch(server: int, memory: list[int]) -> None:
    process = psutil.Process(server)
    while True:
        family = [process, *process.children(recursive=True)]
        memory.append(sum(member.memory_info().rss for member in family))
        await asyncio.sleep(1)


if __name__ == "__main__":
    json.dump(asyncio.run(load(**json.loads(sys.argv[1]))), sys.stdout)
