"""The download, against a local server that stalls, breaks off and lies."""

import contextlib
import hashlib
import http.server
import socket
import tarfile
import threading
import time
from pathlib import Path

import pytest

from s10 import InputError
from s10.images import cifar10
from s10.images.download import DownloadError, download

CONTENT = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """The path says how the server behaves."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        behaviour = self.path.strip("/")
        if behaviour == "missing":
            self.send_error(404)
            return
        start = 0
        asked = self.headers.get("Range")
        if asked and behaviour not in ("noranges", "html", "chunked"):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        content = b"<html>Sorry</html>" if behaviour in ("html", "chunked") else CONTENT
        if behaviour == "liar":
            content = content[:-1] + b"!"
        if behaviour == "endless":
            content = CONTENT * 3
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            shift = 7 if behaviour == "elsewhere" else 0
            self.send_header(
                "Content-Range", f"bytes {start + shift}-{len(content) - 1}/{len(content)}"
            )
        if behaviour not in ("chunked", "endless"):  # These two do not say how much comes.
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if behaviour == "breaks":
            self.wfile.write(body[: len(CONTENT) // 2 if not start else len(body)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        elif behaviour == "stalls":
            self.wfile.write(body[:1000])
            self.wfile.flush()
            self.server.release.wait(20)
        elif behaviour == "slow":
            for position in range(0, len(body), 16_384):
                self.wfile.write(body[position : position + 16_384])
                self.wfile.flush()
                if self.server.release.wait(0.05):
                    return
        else:
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.requests, server.release = [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.release.set()
        server.shutdown()


def fetch(server, path, *behaviours, **options):
    options = {"stall_seconds": 0.5, "progress": False, **options}
    urls = [f"{server.url}/{behaviour}" for behaviour in behaviours]
    download(urls, path, size=len(CONTENT), md5=MD5, **options)


def test_a_good_server(server, tmp_path):
    fetch(server, tmp_path / "file", "good")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_it_is_not_fetched_twice(server, tmp_path):
    fetch(server, tmp_path / "file", "good")
    fetch(server, tmp_path / "file", "good")
    assert len(server.requests) == 1


@pytest.mark.parametrize("bad", ["missing", "stalls", "html", "chunked", "liar", "endless"])
def test_the_next_address_takes_over(server, tmp_path, bad):
    start = time.monotonic()
    fetch(server, tmp_path / "file", bad, "good")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert time.monotonic() - start < 8


def test_an_address_without_a_server(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        urls = [dead, f"{server.url}/good"]
        download(urls, tmp_path / "file", size=len(CONTENT), md5=MD5, progress=False)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_it_goes_on_where_it_broke_off(server, tmp_path):
    fetch(server, tmp_path / "file", "breaks")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests == [("/breaks", None), ("/breaks", f"bytes={len(CONTENT) // 2}-")]


def test_the_next_call_goes_on_too(server, tmp_path):
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "file", "breaks", attempts=1)
    assert not (tmp_path / "file").exists()
    fetch(server, tmp_path / "file", "good")
    assert server.requests[-1] == ("/good", f"bytes={len(CONTENT) // 2}-")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("behaviour", ["noranges", "elsewhere"])
def test_servers_that_resume_wrongly(server, tmp_path, behaviour):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetch(server, tmp_path / "file", behaviour, "good")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_false_beginning_is_thrown_away(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"?" * 1000)
    fetch(server, tmp_path / "file", "good")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_slow_address_is_left_for_a_faster_one(server, tmp_path):
    fetch(server, tmp_path / "file", "slow", "good", slow_bytes_per_second=1e9)
    assert (tmp_path / "file").read_bytes() == CONTENT
    # What the slow one had sent was kept.
    assert server.requests[1][1] is not None


def test_slow_is_better_than_nothing(server, tmp_path):
    fetch(server, tmp_path / "file", "slow", "missing", slow_bytes_per_second=1e9)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("bad", ["missing", "liar", "html", "chunked", "stalls", "endless"])
def test_when_nothing_answers_nothing_is_in_place(server, tmp_path, bad):
    with pytest.raises(DownloadError) as caught:
        fetch(server, tmp_path / "file", bad)
    assert not (tmp_path / "file").exists()
    assert server.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cifar10_without_any_server_says_what_to_do(server, tmp_path):
    with pytest.raises(InputError) as caught:
        cifar10.fetch_cifar10(tmp_path, [f"{server.url}/missing"], addresses=(), progress=False)
    message = str(caught.value)
    for part in ("HTTP 404", "cifar-10-batches-py", str(tmp_path), "--data-url", "--data shapes"):
        assert part in message
    assert "\n" not in message


def archive(folder, names):
    path = folder / "archive.tar.gz"
    source = folder / "source"
    source.write_bytes(b"content")
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            tar.add(source, name)
    return path


def test_unpacking_takes_only_the_named_files(tmp_path):
    inside = tmp_path / "data"
    inside.mkdir()
    path = archive(tmp_path, ["cifar-10-batches-py/a", "cifar-10-batches-py/b", "../evil"])
    folder = cifar10.unpack(path, inside, ["a", "b"])
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b"]
    assert not (tmp_path / "evil").exists()
    assert not path.exists()


def test_unpacking_is_all_or_nothing(tmp_path):
    path = archive(tmp_path, ["cifar-10-batches-py/a"])
    with pytest.raises(InputError, match="cannot unpack"):
        cifar10.unpack(path, tmp_path, ["a", "b"])
    assert not (tmp_path / "cifar-10-batches-py").exists()
    assert not list(Path(tmp_path).glob(".unpacking*"))
