"""Download one large file from the first of several addresses that delivers it."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from s10.errors import S10Error
from s10.progress import bar_stream

CHUNK_BYTES = 1 << 16


class DownloadError(S10Error):
    """No address delivered the file; the message says what each one did."""


class _Wrong(Exception):
    """What an address delivered is not the file; what was kept of it is void."""


class _Slow(Exception):
    """The address delivers, but too slowly while others are untried."""


def download(
    addresses: list[str],
    path: Path,
    *,
    size: int,
    md5: str,
    stall_seconds: float = 20,
    slow_bytes_per_second: float = 300_000,
    attempts: int = 3,
    progress: bool = True,
) -> None:
    """Put the file with this size and md5 at `path`, whole or not at all.

    The addresses are tried in their order. One that stalls (no byte in
    `stall_seconds`) or is slow (fewer than `slow_bytes_per_second` over
    `stall_seconds`) is left for the next one, one that breaks off is taken up
    again `attempts` times. What has arrived waits in `path` + ".part", from
    which the next address, or the next call, goes on: all addresses hold the
    same bytes. When each address was slow, a second round takes any speed.

    Raises:
        DownloadError: none of them delivered the file.
    """
    if path.exists() and md5_of(path) == md5:
        return
    part = path.with_name(path.name + ".part")
    said: dict[str, str] = {}
    with tqdm(
        total=size, unit="B", unit_scale=True, desc=path.name, disable=not progress,
        file=bar_stream(),
    ) as bar:  # fmt: skip
        for slowest in (slow_bytes_per_second, 0):
            for address in addresses:
                if slowest == 0 and said.get(address) != "slow":
                    continue
                try:
                    _fetch(address, part, size, md5, stall_seconds, slowest, attempts, bar)
                    part.replace(path)
                    return
                except _Slow:
                    said[address] = "slow"
                except _Wrong as error:
                    part.unlink(missing_ok=True)
                    said[address] = str(error)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    said[address] = _in_short(error)
    raise DownloadError("; ".join(f"{address}: {what}" for address, what in said.items()))


def _fetch(address, part, size, md5, stall_seconds, slowest, attempts, bar) -> None:
    """Complete `part` from one address, taking it up again when it breaks off."""
    began_elsewhere = part.exists()
    for attempt in range(attempts):
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch_rest(address, part, size, stall_seconds, slowest, bar)
            if part.stat().st_size < size:
                raise ConnectionError(f"broke off after {part.stat().st_size:,} bytes")
            break
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException) as error:
            stalled = isinstance(error, TimeoutError)
            went_on = part.exists() and part.stat().st_size > before
            if stalled or not went_on or attempt == attempts - 1:
                raise
    if md5_of(part) == md5:
        return
    if not began_elsewhere:
        raise _Wrong("sent another file (its md5 differs)")
    # The wrong bytes may be those of another address: this one from its start.
    part.unlink()
    _fetch(address, part, size, md5, stall_seconds, slowest, attempts, bar)


def _fetch_rest(address, part, size, stall_seconds, slowest, bar) -> None:
    """One request for what is missing from `part`."""
    have = part.stat().st_size if part.exists() else 0
    if have == size:
        return
    headers = {"User-Agent": "s10"}  # Some hosts refuse Python's own name.
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=stall_seconds) as reply:
        # A server that knows no ranges sends everything again, with status 200.
        resumes = have and reply.status == 206
        if resumes and not reply.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise ValueError("resumed at another place than asked")
        have = have if resumes else 0
        length = reply.headers.get("Content-Length")
        if length is not None and have + int(length) != size:
            raise ValueError(f"has another file, of {have + int(length):,} bytes")
        with open(part, "ab" if resumes else "wb") as target:
            window_start, window_bytes = time.monotonic(), 0
            while chunk := reply.read1(CHUNK_BYTES):
                have += len(chunk)
                if have > size:
                    raise _Wrong("sent more bytes than the file has")
                target.write(chunk)
                bar.n = have
                bar.update(0)
                window_bytes += len(chunk)
                elapsed = time.monotonic() - window_start
                if elapsed > stall_seconds:
                    if window_bytes / elapsed < slowest:
                        raise _Slow
                    window_start, window_bytes = time.monotonic(), 0


def md5_of(path: Path) -> str:
    """The md5 of a file of any size, in hex digits."""
    with open(path, "rb") as file:
        digest = hashlib.md5()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _in_short(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer"
    return str(reason) or type(error).__name__
