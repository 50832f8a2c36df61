"""The site itself as a source of videos, by yt-dlp."""

import errno
import importlib
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.data.sports1m import SUFFIXES
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.scale.manifest import State
from benchmark.scale.sources import (
    LONGEST_MINUTES,
    TIMEOUT_S,
    BusyError,
    FaultError,
    Fetched,
    RefusedError,
    refuse_long,
)

# What the site says of a video, in yt-dlp's words; the first that fits counts.
_SAID: tuple[tuple[str, State], ...] = (
    (r"private video|members-only|join this channel|sign in to confirm your age", "private"),
    (r"not (?:made this video )?available in your (?:country|location)|geo.?restrict|blocked it in your country",
     "region"),
    (r"video unavailable|has been removed|is not available|account .*terminated|no longer available|does not exist"
     r"|incomplete youtube id|http error 404|http error 410", "dead"),
)  # fmt: skip
# What no other video would fare better with.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_LEAVE_ALONE = re.compile(r"http error 429|too many requests|not a bot|rate.?limit", re.IGNORECASE)


class YtDlpSource:
    """The site itself, by yt-dlp; cookies are handed to it and are in nothing that is said or written down.

    Args:
        cookies: A file of cookies, as browsers export them, or None.
        longest_minutes: Longer videos are refused before they are fetched.
        most_lines: Rows of pixels up to which a format is taken; of those the largest.
        address: Of a video, with `{id}`.
        timeout_s: Seconds without a byte after which a try has failed.

    Raises:
        UserError: If yt-dlp or the file of cookies is not there.
    """

    def __init__(
        self,
        cookies: Path | None = None,
        longest_minutes: float = LONGEST_MINUTES,
        most_lines: int = 360,
        address: str = "https://www.youtube.com/watch?v={id}",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        require_extra("yt_dlp", "--source yt-dlp")
        if cookies is not None and not cookies.is_file():
            raise UserError(f"--cookies is {cookies}, not a file; export them from a browser, or leave it out")
        self.cookies, self.longest_minutes, self.most_lines = cookies, longest_minutes, most_lines
        self.address, self.timeout_s = address, timeout_s
        self._secrets = tuple(_cookie_values(cookies)) if cookies is not None else ()

    def probe(self, video_id: str) -> None:
        """See `Source`."""
        self._asked(video_id, None)

    def fetch(self, video_id: str, into: Path) -> Fetched:
        """See `Source`."""
        into.mkdir(parents=True, exist_ok=True)
        folder = into / f"{video_id}.new"  # what a killed process left is gone on with
        said = self._asked(video_id, folder)
        files = [Path(part["filepath"]) for part in said.get("requested_downloads") or () if part.get("filepath")]
        if len(files) != 1 or not files[0].is_file():
            raise FaultError("yt-dlp left no file")
        target = into / f"{video_id}{files[0].suffix if files[0].suffix in SUFFIXES else '.mp4'}"
        files[0].replace(target)
        shutil.rmtree(folder, ignore_errors=True)
        return Fetched(target, said.get("duration"), is_copy=True)

    def _asked(self, video_id: str, folder: Path | None) -> dict[str, Any]:
        yt_dlp: Any = importlib.import_module("yt_dlp")

        options: dict[str, Any] = {
            # One stream of pictures, without sound, which needs no second program to be joined.
            "format": f"bv[height<={self.most_lines}][ext=mp4]/b[height<={self.most_lines}]/bv[ext=mp4]/b/bv",
            "noplaylist": True, "quiet": True, "no_warnings": True, "noprogress": True, "logger": _Silent(),
            "retries": 0, "extractor_retries": 0, "cachedir": False, "socket_timeout": self.timeout_s,
            "outtmpl": "%(id)s.%(ext)s", "paths": {"home": str(folder)} if folder else {},
        }  # fmt: skip
        if self.cookies is not None:
            options["cookiefile"] = io.StringIO(self.cookies.read_text("utf-8"))  # so that the file is never written
        try:
            with yt_dlp.YoutubeDL(options) as site:
                said: dict[str, Any] = site.extract_info(self.address.replace("{id}", video_id), download=False)
                refuse_long(said.get("duration") or 0, self.longest_minutes)
                return site.process_ie_result(said, download=True) if folder is not None else said
        except yt_dlp.utils.YoutubeDLError as error:
            if (full := _no_room(error)) is not None:
                raise full from None
            raise self._meaning(str(error)) from None

    def _meaning(self, said: str) -> Exception:
        text = self._without_secrets(re.sub(r"\x1b\[[0-9;]*m", "", said))
        if _LEAVE_ALONE.search(text):
            return BusyError()
        for pattern, state in _SAID:
            if re.search(pattern, text, re.IGNORECASE):
                return RefusedError(state, text)
        return FaultError(text)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:200]


def _no_room(error: BaseException | None) -> OSError | None:
    """What a full disk said, if an error of yt-dlp's comes from one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return error
        within = (getattr(error, "exc_info", None) or (None, None))[1]
        error = within or error.__cause__ or error.__context__
    return None


def _cookie_values(file: Path) -> Iterator[str]:
    for line in file.read_text("utf-8", "replace").splitlines():
        parts = line.split("\t")
        if len(parts) == 7 and len(parts[6]) >= 4:
            yield parts[6]


class _Silent:
    """Where yt-dlp's own messages go."""

    def debug(self, message: str) -> None:
        """Drop it."""

    info = warning = error = debug
