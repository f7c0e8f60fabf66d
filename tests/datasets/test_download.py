"""Downloads from a local server that stalls, closes connections and sends wrong bytes."""

import contextlib
import hashlib
import http.server
import itertools
import socket
import sys
import tarfile
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from s10 import InputError, load_dataset
from s10.datasets import cifar10
from s10.datasets.download import DownloadError, download

CONTENT = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """The path selects how the server behaves."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        behavior = self.path.strip("/")
        if behavior == "missing":
            self.send_error(404)
            return
        start = 0
        asked = self.headers.get("Range")
        if asked and behavior not in ("noranges", "html", "chunked"):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        content = b"<html>Sorry</html>" if behavior in ("html", "chunked") else CONTENT
        if behavior == "liar":
            content = content[:-1] + b"!"
        if behavior == "endless":
            content = CONTENT * 3
        if start >= len(content):
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            shift = 7 if behavior == "elsewhere" else 0
            self.send_header(
                "Content-Range", f"bytes {start + shift}-{len(content) - 1}/{len(content)}"
            )
        if behavior not in ("chunked", "endless"):  # These two do not announce their length.
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if behavior == "breaks":
            self.wfile.write(body[: len(CONTENT) // 2 if not start else len(body)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        elif behavior == "stalls":
            self.wfile.write(body[:1000])
            self.wfile.flush()
            self.server.release.wait()  # Until the end of the test.
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
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.release.set()
        server.shutdown()


@pytest.fixture(autouse=True)
def clock(server, monkeypatch):
    """Ten seconds pass at each look at the clock while the slow URL sends, and none otherwise."""
    now = itertools.count(step=10)

    def monotonic():
        slow = server.requests[-1][0] == "/slow"
        return next(now) if slow else 0

    monkeypatch.setattr("s10.datasets.download.time", SimpleNamespace(monotonic=monotonic))


def fetch(server, path, *behaviors, **options):
    if "stalls" in behaviors:  # The only one that must not answer in time.
        options["stall_seconds"] = 0.5
    urls = [f"{server.url}/{behavior}" for behavior in behaviors]
    download(urls, path, size=len(CONTENT), md5=MD5, **options)


def test_a_good_server(server, tmp_path):
    fetch(server, tmp_path / "file", "good")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_complete_file_is_not_downloaded_again(server, tmp_path):
    fetch(server, tmp_path / "file", "good")
    fetch(server, tmp_path / "file", "good")
    assert len(server.requests) == 1


@pytest.mark.parametrize("bad", ["missing", "stalls", "html", "chunked", "liar", "endless"])
def test_the_next_url_takes_over(server, tmp_path, bad):
    # On a busy machine a good one may take half a second, too.
    fetch(server, tmp_path / "file", bad, *["good"] * 20)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests[0] == (f"/{bad}", None)


def test_a_url_without_a_server(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        urls = [dead, f"{server.url}/good"]
        download(urls, tmp_path / "file", size=len(CONTENT), md5=MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_broken_transfer_resumes(server, tmp_path):
    fetch(server, tmp_path / "file", "breaks")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests == [("/breaks", None), ("/breaks", f"bytes={len(CONTENT) // 2}-")]


def test_the_next_call_resumes(server, tmp_path):
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "file", "breaks", attempts=1)
    assert not (tmp_path / "file").exists()
    fetch(server, tmp_path / "file", "good")
    assert server.requests[-1] == ("/good", f"bytes={len(CONTENT) // 2}-")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("behavior", ["noranges", "elsewhere"])
def test_servers_that_resume_wrongly(server, tmp_path, behavior):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetch(server, tmp_path / "file", behavior, "good")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [1000, len(CONTENT), len(CONTENT) + 1])
def test_a_wrong_partial_file_is_discarded(server, tmp_path, size):
    (tmp_path / "file.part").write_bytes(b"?" * size)
    fetch(server, tmp_path / "file", "good")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_slow_url_is_abandoned_for_a_faster_one(server, tmp_path):
    fetch(server, tmp_path / "file", "slow", "good", min_speed=1e9)
    assert (tmp_path / "file").read_bytes() == CONTENT
    # What the slow one had sent is kept.
    assert server.requests[1][1] is not None


def test_a_slow_url_is_used_if_no_other_works(server, tmp_path):
    fetch(server, tmp_path / "file", "slow", "missing", min_speed=1e9)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("bad", ["missing", "liar", "html", "chunked", "stalls", "endless"])
def test_a_failed_download_leaves_no_file_and_names_the_url(server, tmp_path, bad):
    with pytest.raises(DownloadError) as caught:
        fetch(server, tmp_path / "file", bad)
    assert not (tmp_path / "file").exists()
    assert server.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cifar10_without_any_server_advises_what_to_do(server, tmp_path):
    with pytest.raises(InputError) as caught:
        cifar10.fetch_cifar10(tmp_path, ["a"], md5="0", urls=[f"{server.url}/missing"])
    message = str(caught.value)
    for part in ("HTTP 404", "cifar-10-batches-py", str(tmp_path), "--data-url", "--data shapes"):
        assert part in message
    assert "\n" not in message


def archive(folder, names, name="archive.tar.gz"):
    path = folder / name
    source = folder / "source"
    source.write_bytes(b"content")
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            tar.add(source, name)
    return path


def test_unpacking_extracts_only_the_named_files(tmp_path):
    inside = tmp_path / "data"
    inside.mkdir()
    path = archive(tmp_path, ["cifar-10-batches-py/a", "cifar-10-batches-py/b", "../evil"])
    folder = cifar10.unpack(path, inside, ["a", "b"])
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b"]
    assert not (tmp_path / "evil").exists()
    assert path.exists()


def test_unpacking_is_atomic(tmp_path):
    path = archive(tmp_path, ["cifar-10-batches-py/a"])
    with pytest.raises(InputError, match="cannot unpack"):
        cifar10.unpack(path, tmp_path, ["a", "b"])
    assert not (tmp_path / "cifar-10-batches-py").exists()
    assert not list(Path(tmp_path).glob(".unpacking*"))


@pytest.fixture
def own_archive(tmp_path):
    """A user's own archive in a data folder, and its md5."""
    data = tmp_path / "input"
    data.mkdir()
    path = archive(data, ["cifar-10-batches-py/a"], cifar10.ARCHIVE)
    return path, hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def serve(server, monkeypatch, own_archive):
    """The server has the archive; the fixture is its URL."""
    content = own_archive[0].read_bytes()
    monkeypatch.setattr(sys.modules[__name__], "CONTENT", content)
    monkeypatch.setattr(cifar10, "ARCHIVE_BYTES", len(content))
    return f"{server.url}/good"


def test_the_users_own_archive_is_kept(own_archive):
    path, md5 = own_archive
    content = path.read_bytes()
    folder = cifar10.fetch_cifar10(path.parent, ["a"], md5=md5, urls=[])
    assert folder == path.parent / "cifar-10-batches-py"
    assert (folder / "a").read_bytes() == b"content"
    assert path.read_bytes() == content


def test_the_users_damaged_archive_is_kept_too(own_archive, serve):
    path, md5 = own_archive
    path.write_bytes(b"damaged")
    folder = cifar10.fetch_cifar10(path.parent, ["a"], md5=md5, urls=[serve])
    assert (folder / "a").read_bytes() == b"content"
    assert path.read_bytes() == b"damaged"
    files = {"cifar-10-batches-py", "source", path.name}
    assert {p.name for p in path.parent.iterdir()} == files  # Of the download, nothing is left.


@pytest.mark.parametrize("has_archive", [True, False])
def test_a_read_only_data_folder(own_archive, serve, monkeypatch, tmp_path, capsys, has_archive):
    path, md5 = own_archive
    if not has_archive:
        path.unlink()
    before = sorted(path.parent.iterdir())
    make_read_only(monkeypatch, path.parent)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = tmp_path / "home" / ".cache" / "s10" / "cifar-10-batches-py"
    urls = [] if has_archive else [serve]
    assert cifar10.fetch_cifar10(path.parent, ["a"], md5=md5, urls=urls) == expected
    assert (expected / "a").read_bytes() == b"content"
    assert f"belongs in {expected.parent}" in capsys.readouterr().err
    # The next call finds it there.
    assert cifar10.fetch_cifar10(path.parent, ["a"], md5=md5, urls=[]) == expected
    assert sorted(path.parent.iterdir()) == before


def test_a_folder_with_the_archives_name_contains_the_unpacked_files(tmp_path):
    """As Kaggle unpacks what is uploaded."""
    folder = tmp_path / cifar10.ARCHIVE / "cifar-10-batches-py"
    assert cifar10.find_cifar10(tmp_path) is None
    folder.mkdir(parents=True)
    assert cifar10.find_cifar10(tmp_path) == folder
    assert cifar10.find_cifar10(folder) == folder


def test_an_archive_that_is_an_empty_folder_is_downloaded(own_archive, serve):
    path, md5 = own_archive
    path.unlink()
    path.mkdir()
    folder = cifar10.fetch_cifar10(path.parent, ["a"], md5=md5, urls=[serve])
    assert (folder / "a").read_bytes() == b"content"


def test_nowhere_to_write_to_is_one_line(own_archive, monkeypatch, tmp_path):
    (tmp_path / "home").touch()  # It cannot contain a folder.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    make_read_only(monkeypatch, own_archive[0].parent)
    with pytest.raises(InputError, match="cannot load the data cifar10") as caught:
        load_dataset("cifar10", own_archive[0].parent)
    assert "\n" not in str(caught.value)


def make_read_only(monkeypatch, folder):
    """As `chmod a-w` would for anyone but root, by whom tests may be run."""

    def refusing(function):
        def create(*arguments, **options):
            if folder in (*arguments, *options.values()):
                raise OSError(30, "Read-only file system", str(folder))
            return function(*arguments, **options)

        return create

    for name in ("mkdtemp", "TemporaryFile"):
        monkeypatch.setattr(tempfile, name, refusing(getattr(tempfile, name)))
