"""Download one large file from the first of several URLs that delivers it."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from s10.runtime.errors import InputError, S10Error
from s10.runtime.progress import bar_stream

CHUNK_BYTES = 1 << 16
HEADERS = {"User-Agent": "s10"}  # Some hosts refuse Python's default.


class DownloadError(S10Error):
    """No URL delivered the file; the message gives the reason for each."""


class _WrongFile(Exception):
    """What has arrived is not the file, and must be deleted."""


class _TooSlow(Exception):
    """The transfer is below the minimum speed."""


def download(
    urls: Iterable[str],
    path: Path,
    *,
    size: int,
    md5: str,
    stall_seconds: float = 20,
    min_speed: float = 300_000,
    attempts: int = 3,
) -> None:
    """Download the file with this size and md5 to `path`, atomically.

    The URLs all serve the same file and are tried in order. One that stalls (no
    byte for `stall_seconds`) or is slow (below `min_speed` bytes per second over
    `stall_seconds`) is abandoned for the next; after a broken connection the
    transfer resumes, with at most `attempts` requests to one URL. What has
    arrived is kept in `path`.part, from which the next URL, or the next call,
    resumes. At last the slow URLs are tried again without a minimum speed.

    Raises:
        DownloadError: no URL delivered the file.
    """
    if path.exists() and file_md5(path) == md5:
        return
    part = path.with_name(path.name + ".part")
    queue = [(url, min_speed) for url in urls]
    reasons: dict[str, str] = {}
    with tqdm(total=size, unit="B", unit_scale=True, desc=path.name, file=bar_stream()) as bar:
        for url, speed in queue:  # Slow URLs are appended on the way.
            for _ in range(attempts):
                before = _size(part)
                try:
                    _request_rest(url, part, size, stall_seconds, speed, bar)
                    if file_md5(part) == md5:
                        part.replace(path)
                        return
                    raise _WrongFile("sent another file (its md5 differs)")
                except _TooSlow:
                    queue.append((url, 0))
                    reasons[url], retry = "slow", False
                except _WrongFile as error:
                    part.unlink()
                    # If it was resumed, the wrong bytes may have come from another URL.
                    reasons[url], retry = str(error), before > 0
                except (OSError, http.client.HTTPException, ValueError) as error:
                    stalled = isinstance(error, TimeoutError)
                    reasons[url], retry = _reason(error), _size(part) > before and not stalled
                if not retry:
                    break
    raise DownloadError("; ".join(f"{url}: {reason}" for url, reason in reasons.items()))


def _request_rest(
    url: str, part: Path, size: int, stall_seconds: float, min_speed: float, bar: tqdm
) -> None:
    """Send one request for what is missing from `part`, and append it there."""
    received = _size(part)
    if received >= size:
        return
    resume = {"Range": f"bytes={received}-"} if received else {}
    request = urllib.request.Request(url, headers=HEADERS | resume)
    with urllib.request.urlopen(request, timeout=stall_seconds) as response:
        # A server without range requests sends the whole file again, with status 200.
        resumes = received and response.status == 206
        content_range = response.headers.get("Content-Range", "")
        if resumes and not content_range.startswith(f"bytes {received}-"):
            raise ValueError("resumed at the wrong position")
        received = received if resumes else 0
        length = response.headers.get("Content-Length")
        if length is not None and received + int(length) != size:
            raise ValueError(f"has another file, of {received + int(length):,} bytes")
        with open(part, "ab" if resumes else "wb") as target:
            window_start, window_bytes = time.monotonic(), 0
            while chunk := response.read1(CHUNK_BYTES):
                received += len(chunk)
                if received > size:
                    raise _WrongFile("sent more bytes than the file has")
                target.write(chunk)
                bar.n = received
                bar.update(0)
                window_bytes += len(chunk)
                elapsed = time.monotonic() - window_start
                if elapsed > stall_seconds:
                    if window_bytes / elapsed < min_speed:
                        raise _TooSlow
                    window_start, window_bytes = time.monotonic(), 0
    if received < size:
        raise ConnectionError(f"closed the connection after {received:,} bytes")


def fetch(url: str, max_bytes: int) -> bytes:
    """What a URL delivers, if it is small.

    Raises:
        InputError: it does not answer for 20 seconds, fails, or is larger.
    """
    try:
        request = urllib.request.Request(url, headers=HEADERS)
        with urllib.request.urlopen(request, timeout=20) as response:
            content = response.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise ValueError(f"it has more than {max_bytes:,} bytes")
            return content
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InputError(f"{url} could not be downloaded: {_reason(error)}") from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def file_md5(path: Path) -> str:
    """The md5 of a file of any size, in hex digits."""
    digest = hashlib.md5()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer"
    return str(reason) or type(error).__name__
