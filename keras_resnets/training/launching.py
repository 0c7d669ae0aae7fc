"""Workers as processes: started, watched, and started again from the last checkpoint where one dies."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence

from ..progress import say

SAID = 2  # the exit status of a command that said what is wrong: again it would say the same
ATTEMPTS = 3  # without one epoch more


def run(command: Sequence[str], addresses, numbers: Sequence[int], epochs: Callable[[], object]) -> None:
    """Run workers to their end.

    Args:
        command: What each runs, followed by ``--as-worker NUMBER --workers HOST:PORT,...``, and from the
            second time on by ``--resume``.
        addresses: ``host:port`` of each; a number stands for as many free ports of this machine.
        numbers: Which of them are started here.
        epochs: What changes when an epoch is written.

    Raises:
        SystemExit: A worker said what is wrong, and ended.
        KeyboardInterrupt: The workers have ended.
        RuntimeError: Workers die before an epoch is written.
    """
    attempts, before = 0, epochs()
    while True:
        try:
            ended = _once(command, addresses, numbers)
        except KeyboardInterrupt:
            say("stopped; --resume goes on from the last epoch")
            raise
        if ended is None:
            return
        number, status, message = ended
        if status == SAID:
            sys.stderr.write(message)
            raise SystemExit(SAID)
        attempts = attempts + 1 if epochs() == before else 1
        before = epochs()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        if attempts == ATTEMPTS:
            sys.stderr.write(message)
            raise RuntimeError(
                f"worker {number} ended with {how}, {ATTEMPTS} times without one epoch more; "
                "--resume tries again"
            )
        say(f"worker {number} ended with {how}; all begin again from the last checkpoint")
        command = [*command, "--resume"]


def _once(command, addresses, numbers) -> tuple[int, int, str] | None:
    """None where all ended well; else the number of a worker, its exit status, and what it said."""
    listed = ",".join(_free_ports(addresses) if isinstance(addresses, int) else addresses)
    running, said = {}, {}
    with contextlib.ExitStack() as open_ones:
        for place, number in enumerate(numbers):
            # The first one's words are the training's; of the others' only the last are heard.
            said[number] = open_ones.enter_context(tempfile.TemporaryFile()) if place else None
            process = subprocess.Popen(
                [*command, "--as-worker", str(number), "--workers", listed],
                env=_environment(place, len(numbers)),
                stdin=subprocess.PIPE,  # it closes when this process ends, however it does
                stderr=said[number],
                start_new_session=True,  # Ctrl-C ends this process, and it them
            )
            running[number] = open_ones.enter_context(process)
            open_ones.callback(process.kill)
        while True:
            codes = {number: process.poll() for number, process in running.items()}
            if all(code == 0 for code in codes.values()):
                return None
            if failed := {number: code for number, code in codes.items() if code}:
                # One that was killed tells more than one that missed it.
                number = min(failed, key=failed.get)
                return number, failed[number], _last_words(said[number])
            time.sleep(0.1)


def _environment(place: int, count: int) -> dict[str, str]:
    """Of workers on one machine each has a GPU, or a part of the cores."""
    if count == 1:
        return dict(os.environ)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = list(map(str, range(count))) if visible is None else visible.split(",")
    threads = str(max(1, (os.cpu_count() or 1) // count))
    return {
        "TF_NUM_INTRAOP_THREADS": threads,
        **os.environ,
        "CUDA_VISIBLE_DEVICES": devices[place] if place < len(devices) else "",
    }


def _free_ports(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def _last_words(file) -> str:
    if file is None:
        return ""  # they were heard
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return "".join(f"{line}\n" for line in lines[-1:])


def end_with_parent() -> None:
    """In a worker: end when the process that started it has."""

    def wait():
        os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read: Python would wait for its lock at the end
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
