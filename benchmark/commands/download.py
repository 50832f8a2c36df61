"""Fetches one file over HTTP so that a broken connection costs no more than what is still missing."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from benchmark.errors import UserError

_CHUNK_BYTES = 2**20
_REPORT_BYTES = 500 * 2**20
_TIMEOUT_S = 60


def fetch(url: str, into: Path) -> Path:
    """Download a file, or go on with a download that broke off.

    What has arrived is kept beside the target with `.part` added to its name, which it loses when complete.

    Args:
        url: An http or https address; its last part names the file.
        into: Folder of the file.

    Returns:
        The file; if it is there already, nothing is fetched.

    Raises:
        UserError: If the file cannot be had or only part of it arrived.
    """
    target = into / url.rpartition("/")[2]
    if target.is_file():
        return target
    part = target.with_name(f"{target.name}.part")
    into.mkdir(parents=True, exist_ok=True)
    print(f"fetching {url} into {target}", flush=True)
    try:
        expected = _fetch_part(url, part)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as cause:
        held = f" {part.stat().st_size:,} bytes have arrived; run it again to go on." if part.is_file() else ""
        raise UserError(
            f"{url} could not be downloaded: {cause}.{held} Or fetch it with a browser and pass the file as an archive."
        ) from cause
    held_bytes = part.stat().st_size
    if expected is not None and held_bytes != expected:
        raise UserError(f"only {held_bytes:,} of {expected:,} bytes of {url} arrived; run it again to go on.")
    return part.replace(target)


def _fetch_part(url: str, part: Path) -> int | None:
    held = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as refusal:
        if refusal.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not held:
            raise
        # Nothing follows the bytes held: either they are all, or they are of another file.
        if refusal.headers.get("Content-Range") == f"bytes */{held}":
            return held
        part.unlink()
        return _fetch_part(url, part)
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        length: int | None = getattr(response, "length", None)  # None too where what it says is no number
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(_CHUNK_BYTES):
                before = file.tell()
                file.write(chunk)
                if file.tell() // _REPORT_BYTES > before // _REPORT_BYTES:
                    print(f"  {file.tell():,} bytes", flush=True)
    return None if length is None else length + (held if resumed else 0)
