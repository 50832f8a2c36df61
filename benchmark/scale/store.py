"""A place for files by its URL: a folder, S3 or whatever fsspec knows; HTTP for reading.

Files are there whole or not at all. What fails for a while is tried again for some minutes, what is not there at once.
"""

import contextlib
import errno
import functools
import os
import shutil
import sys
import time
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.files import whole
from benchmark.scale.ranges import AT_ONCE, Range, ShortError, Signing, WebRanges

T = TypeVar("T")

_PATIENCE_S = 300.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 20.0
_SAY_FROM_S = 1.0  # what fails for a moment is nobody's concern
# Libraries that a protocol needs, where they come with an extra.
_NEEDED = {"s3": ("s3fs", "pycurl"), "s3a": ("s3fs", "pycurl"), "http": ("pycurl",), "https": ("pycurl",)}
_WEB, _S3 = ("http://", "https://"), ("s3://", "s3a://")
_SETTLED = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError, ShortError, UserError)
# What a user has to change first: a folder's place or disk, and the keys of an address.
_NO_PLACE = {errno.ENOTDIR, errno.EEXIST, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG}
_NO_KEYS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError")


class Store:
    """Files by their names within a folder or bucket; handed to other processes by its URL alone.

    Args:
        url: A folder, or an address such as `s3://bucket/folder`. Keys and endpoints come from where the library of
            the protocol looks for them: for S3 the environment or ~/.aws.
        patience_s: Seconds for which what fails is tried again.

    Raises:
        UserError: If nothing installed knows the protocol, or its library cannot begin with what it is told.
    """

    def __init__(self, url: str, patience_s: float = _PATIENCE_S) -> None:
        self.url, self.patience_s, self._has_said = url.rstrip("/") or "/", patience_s, False
        protocol, sign, rest = url.partition("://")
        self._folder = Path(rest if sign and protocol == "file" else url) if not sign or protocol == "file" else None
        if self._folder is None:
            for library in _NEEDED.get(protocol, ()):
                require_extra(library, f"the store {url}")
            try:
                _ = self._remote
                _signing(self.url)  # what takes a second to make, processes that are forked off need not make
            except Exception as error:
                # Of botocore, which need not be installed: a profile, a region or an endpoint that means nothing.
                if isinstance(error, UserError) or not (
                    isinstance(error, ValueError) or type(error).__module__ == "botocore.exceptions"
                ):
                    raise
                raise UserError(
                    f"the store {url} cannot be used: {error}; correct the environment (AWS_...) or ~/.aws"
                ) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self.patience_s)

    def __str__(self) -> str:
        return self.url

    @property
    def place(self) -> str:
        """The same however it is written: a folder's whole path, else the address."""
        return self.url if self._folder is None else str(self._folder.resolve())

    @property
    def _remote(self) -> Any:
        """The file system of fsspec, of this very process: its connections must not be used across a fork."""
        try:
            return _file_system(self.url, os.getpid())
        except (ImportError, ValueError) as error:
            raise UserError(
                f"the store {self.url} cannot be used: {error}; give a folder or an s3:// address"
            ) from None

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: If it is not there.
            UserError: If the store gives nothing for minutes.
        """
        if self._folder is not None:
            return self._patiently(lambda: (self._local / name).read_bytes())
        held: bytes = self._patiently(lambda: self._remote.cat_file(self._path(name)))
        return held

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each range, asked for at the same time.

        Raises:
            FileNotFoundError: If a file is not there.
            ShortError: If one ends too early.
            UserError: If the store gives nothing for minutes.
        """
        if self._folder is not None:
            return [self._patiently(functools.partial(_read_range, self._local, part)) for part in ranges]
        found: list[Any] = [None] * len(ranges)
        lacking = list(range(len(ranges)))

        def ask() -> None:
            parts = [ranges[place] for place in lacking]
            web = _web_ranges(self.url, os.getpid())
            answers = web.read(parts) if web is not None else self._cat_ranges(parts)
            errors = []
            for place, answer in zip(list(lacking), answers, strict=True):
                if isinstance(answer, Exception):
                    errors.append(answer)
                elif len(answer) != ranges[place].end - ranges[place].start:
                    errors.append(ShortError(f"{ranges[place].name} is shorter than it should be"))
                else:
                    found[place] = bytes(answer)
                    lacking.remove(place)
            if errors:
                raise errors[0]

        if ranges:
            self._patiently(ask)
        return found

    def _cat_ranges(self, parts: Sequence[Range]) -> Any:
        return self._remote.cat_ranges(
            [self._path(part.name) for part in parts],
            [part.start for part in parts],
            [part.end for part in parts],
            batch_size=AT_ONCE,
            on_error="return",
        )

    def write(self, name: str, content: bytes | Path) -> None:
        """Put bytes, or a copy of a local file, in the store, whole or not at all.

        Raises:
            UserError: If the store takes nothing for minutes, is for reading alone, or cannot be made.
        """
        if self.url.startswith(_WEB):
            raise UserError(f"the store {self.url} is for reading alone; give a folder or an s3:// address")

        def put() -> None:
            if self._folder is not None:
                with whole(self._local / name, shared=True) as unfinished:
                    if isinstance(content, Path):
                        _copied(content, unfinished)
                    else:
                        unfinished.write_bytes(content)
            elif isinstance(content, Path):
                self._remote.put_file(str(content), self._path(name))
            else:
                self._remote.pipe_file(self._path(name), content)

        try:
            self._patiently(put)
        except FileNotFoundError as error:
            if isinstance(content, Path) and not content.is_file():
                raise
            raise UserError(
                f"the store {self.url} is not there and cannot be made ({error}); give a folder that can be made, or a "
                "bucket that is there"
            ) from error

    def names(self, folder: str) -> set[str]:
        """Names of the files in a folder of the store, without the folder's; none where there is no folder."""
        return {*self.sizes(folder)}

    def sizes(self, folder: str) -> dict[str, int]:
        """The same, with the bytes of each."""
        try:
            if self._folder is not None:
                return self._patiently(lambda: _sizes(self._local / folder))
            self._remote.invalidate_cache()
            listed: list[dict[str, Any]] = self._patiently(lambda: self._remote.ls(self._path(folder), detail=True))
        except FileNotFoundError:
            return {}
        return {each["name"].rstrip("/").rpartition("/")[2]: int(each["size"] or 0) for each in listed}

    @property
    def _local(self) -> Path:
        if self._folder is None:
            raise ValueError(f"{self.url} is no folder")
        return self._folder

    def _path(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _patiently(self, request: Callable[[], T]) -> T:
        """The answer to a request that is made again for a while if it fails for a reason that may pass."""
        wait_s, end = _FIRST_WAIT_S, time.monotonic() + self.patience_s
        while True:
            try:
                return request()
            except _SETTLED:
                raise
            except Exception as error:  # each library of fsspec's raises its own
                said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                if isinstance(error, OSError) and error.errno in _NO_PLACE and self._folder is not None:
                    raise UserError(
                        f"the store {self.url} cannot be used: {error.strerror}; name another folder or make room, and "
                        "run the same command again"
                    ) from error
                if type(error).__name__ in _NO_KEYS:
                    raise UserError(
                        f"the store {self.url} cannot be used: {error}; set AWS_ACCESS_KEY_ID and "
                        "AWS_SECRET_ACCESS_KEY, or ~/.aws"
                    ) from error
                if time.monotonic() + wait_s > end:
                    raise UserError(
                        f"the store {self.url} failed for {self.patience_s:.0f} s ({said}); try again when it answers"
                    ) from error
                if wait_s > _SAY_FROM_S and not self._has_said:
                    self._has_said = True  # once: other threads and requests wait as well
                    print(
                        f"the store {self.url} fails ({said}); it is tried again for {self.patience_s:.0f} s",
                        file=sys.stderr, flush=True,
                    )  # fmt: skip
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


@functools.lru_cache(maxsize=64)
def _file_system(url: str, process: int) -> Any:
    import fsspec.core

    return fsspec.core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)[0]


@functools.lru_cache(maxsize=64)
def _signing(url: str) -> Signing | None:
    """Gives web addresses of the files of a store, where they have some."""
    if url.startswith(_WEB):
        return lambda name, seconds: f"{url}/{urllib.parse.quote(name)}"
    if url.startswith(_S3):
        import botocore.config
        import botocore.session

        session = botocore.session.get_session()
        by = botocore.UNSIGNED if session.get_credentials() is None else "s3v4"
        client = session.create_client("s3", config=botocore.config.Config(signature_version=by))
        bucket, _, folder = url.partition("://")[2].partition("/")

        def sign(name: str, seconds: int) -> str:
            key = f"{folder}/{name}" if folder else name
            address: str = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}, seconds)
            return address

        return sign
    return None


@functools.lru_cache(maxsize=64)
def _web_ranges(url: str, process: int) -> WebRanges | None:
    """Reads ranges by web addresses, where the files of a store have them."""
    sign = _signing(url)
    return None if sign is None else WebRanges(sign)


def _read_range(folder: Path, part: Range) -> bytes:
    with (folder / part.name).open("rb", buffering=0) as file:
        file.seek(part.start)
        held = file.read(part.end - part.start)
        while len(held) < part.end - part.start and (more := file.read(part.end - part.start - len(held))):
            held += more
    if len(held) != part.end - part.start:
        raise ShortError(f"{part.name} is shorter than it should be")
    return held


def _sizes(folder: Path) -> dict[str, int]:
    found = {}
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # unfinished, and in its place by now
            found[file.name] = file.stat().st_size
    return found


def _copied(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)  # piece by piece: a shard may be larger than the memory
