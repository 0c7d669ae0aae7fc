"""A first reading in a process of its own.

The libraries under HDF5 and ONNX may hang, crash or take all memory over damaged bytes. What they survive
once on the same file they survive again.
"""

import subprocess
import sys
from pathlib import Path

from .contents import WeightsError
from .limits import MEMORY

PATIENCE = 20.0  # seconds, and as much again for every 100 MB
_SPEED = 100 << 20


def try_out(path: Path) -> None:
    """Refuse a file over which its library hangs, crashes or needs far more memory than it has bytes."""
    size = path.stat().st_size
    # Address space is limited, of which reading takes more than of memory: files are mapped, too.
    command = [sys.executable, "-m", __name__, str(path), str(4 * size + MEMORY)]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE * (1 + size / _SPEED)
        )
    except OSError:
        return  # no interpreter can be started here: nothing is known
    except subprocess.TimeoutExpired:
        raise WeightsError("damaged: the library that reads it hangs; get it again") from None
    if done.returncode:
        raise WeightsError(
            "damaged: the library that reads it crashes over it, or takes far more memory than it has bytes; "
            "get it again"
        )


def _limit_memory(more: int) -> None:
    """Let this process take only so many bytes more, where the system can be told so."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, OSError, ValueError):
        pass


def _main(path: str, more: str) -> int:
    from .reading import read_untried

    _limit_memory(int(more))
    try:
        read_untried(Path(path))
    except MemoryError:
        return 1
    except Exception:
        return 0  # it will be said where somebody reads it
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
