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
GRACE = 0.5  # seconds for the others, when one has ended


def run(
    command: Sequence[str],
    addresses: Callable[[], Sequence[str]],
    numbers: Sequence[int],
    written: Callable[[], object],
    pause: float = 0,
) -> None:
    """Run workers to their end.

    Args:
        command: What each runs, followed by ``--as-worker NUMBER --workers HOST:PORT,...``, and from the
            second time on by ``--resume``.
        addresses: Gives ``host:port`` of each, at every beginning.
        numbers: Which of them are started here.
        written: Gives something else when an epoch was written.
        pause: Seconds to wait before they begin again, which grow: those of other machines end first.

    Raises:
        SystemExit: A worker said what is wrong, and ended.
        KeyboardInterrupt: The workers have ended.
        RuntimeError: Workers die before an epoch is written.
    """
    attempts, before, more = 0, written(), ()
    while True:
        try:
            ended = _once([*command, *more], ",".join(addresses()), numbers)
        except KeyboardInterrupt:
            say("stopped; --resume goes on from the last epoch")
            raise
        if ended is None:
            return
        number, status = ended
        if status == SAID:
            raise SystemExit(SAID)
        attempts = attempts + 1 if written() == before else 1
        before = written()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        if attempts == ATTEMPTS:
            raise RuntimeError(
                f"worker {number} ended with {how}, {ATTEMPTS} times without one epoch more; "
                "--resume tries again"
            )
        say(f"worker {number} ended with {how}; all begin again from the last checkpoint")
        time.sleep(pause * attempts)
        more = ("--resume",)


def _once(command: Sequence[str], listed: str, numbers: Sequence[int]) -> tuple[int, int] | None:
    """None where all ended well; else the number of a worker, and its exit status."""
    running, said = {}, {}
    with contextlib.ExitStack() as open_ones:
        for place, number in enumerate(numbers):
            # The first one's words are the training's; the others' last ones are heard where it is silent.
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
            codes = _codes(running)
            if all(code == 0 for code in codes.values()):
                return None
            if any(codes.values()):
                break
            time.sleep(0.1)
        time.sleep(GRACE)  # what was wrong for one is wrong for the others, and the first one says it
        failed = {number: code for number, code in _codes(running).items() if code}
        # One that said what is wrong, or was killed, tells more than one that missed another.
        number = min(failed, key=lambda number: (failed[number] != SAID, failed[number]))
        if numbers[0] not in failed:
            sys.stderr.write(_last_words(said[number]))
        return number, failed[number]


def _codes(running: dict[int, subprocess.Popen]) -> dict[int, int | None]:
    return {number: process.poll() for number, process in running.items()}


def _environment(place: int, count: int) -> dict[str, str]:
    """Of workers on one machine each sees a GPU, and TensorFlow's take a part of the cores."""
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


def free_ports(count: int) -> list[str]:
    """Addresses on this machine that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def _last_words(file) -> str:
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return "".join(f"{line}\n" for line in lines[-1:])


def end_with_parent() -> None:
    """In a worker: end when the process that started it has."""

    def wait():
        os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read: Python would wait for its lock at the end
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
