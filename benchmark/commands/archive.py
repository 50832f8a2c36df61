"""Unpacks archives that strangers made: only plain files of the wanted kinds, only below the folder asked for.

Everything is unpacked to a temporary folder first and moved into place file by file, so that an interrupted run leaves
no half a video. ZIP and TAR are read by Python itself; RAR needs a tool on the PATH.
"""

import contextlib
import dataclasses
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.data.found import leaves_root
from benchmark.errors import DatasetNotFoundError, UserError


@dataclasses.dataclass(frozen=True)
class RarTool:
    """An outside program that reads RAR.

    Args:
        program: Name on the PATH.
        listing: Arguments before the archive that list its names, one a line.
        name_prefix: What comes before a name in the listing; other lines are skipped.
        extraction: The command line that unpacks `archive` into `folder`.
    """

    program: str
    listing: tuple[str, ...]
    name_prefix: str
    extraction: Callable[[str, str], list[str]]


RAR_TOOLS = (
    RarTool("bsdtar", ("-tf",), "", lambda archive, folder: ["-xf", archive, "-C", folder]),
    RarTool("unrar", ("lb", "-p-"), "", lambda archive, folder: ["x", "-y", "-p-", "-idq", archive, f"{folder}/"]),
    RarTool("7z", ("l", "-ba", "-slt"), "Path = ", lambda archive, folder: ["x", "-y", f"-o{folder}", archive]),
    RarTool("7zz", ("l", "-ba", "-slt"), "Path = ", lambda archive, folder: ["x", "-y", f"-o{folder}", archive]),
)

_ALWAYS_BYTES, _GROWTH = 100_000_000, 20  # what an archive may unpack to, the second times its own size

_LOOK_SECONDS = 0.2  # between two looks at what an outside program has unpacked

_INSTALL = "Debian and Ubuntu: apt install libarchive-tools; macOS has bsdtar; conda install -c conda-forge libarchive"


def unpack(archive: Path, into: Path, *, suffixes: Sequence[str]) -> int:
    """Unpack the files of some kinds from a ZIP, TAR or RAR archive.

    Args:
        archive: The archive; its name's ending tells RAR from the others.
        into: Folder to unpack into; it is made if it is not there. Files of the same name are replaced.
        suffixes: Endings of the files wanted, in lower case; files of other kinds are left out.

    Returns:
        Number of files unpacked.

    Raises:
        DatasetNotFoundError: If there is no such archive.
        UserError: If it is damaged or of another kind, a member is absolute, leads upwards or is a link (nothing is
            unpacked then), or a RAR archive meets no tool that reads it.
    """
    if not archive.is_file():
        raise DatasetNotFoundError(f"the archive {archive} is not there; pass the path of the downloaded file.")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=into) as temporary:
        try:
            if archive.suffix.lower() == ".rar":
                _unpack_rar(archive, Path(temporary))
            elif zipfile.is_zipfile(archive):
                _unpack_zip(archive, Path(temporary), suffixes)
            elif tarfile.is_tarfile(archive):
                _unpack_tar(archive, Path(temporary), suffixes)
            else:
                raise UserError(f"{archive} is neither a ZIP, a TAR nor a RAR archive; was it fetched to the end?")
            return _move(archive, Path(temporary), into, suffixes)
        except (zipfile.BadZipFile, tarfile.TarError, RuntimeError, EOFError, OSError) as cause:
            raise UserError(f"{archive} cannot be unpacked into {into}: {cause}") from cause


def _refuse(archive: Path, names: Iterable[str]) -> None:
    refused = sorted(set(names))
    if refused:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise UserError(
            f"{archive} is refused, nothing was unpacked: these members are links, special files or lead out of the "
            f"folder: {', '.join(refused[:5])}{more}. Get the archive from the dataset's own site."
        )


def _unpack_zip(archive: Path, folder: Path, suffixes: Sequence[str]) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        plain = (0, stat.S_IFREG, stat.S_IFDIR)  # 0: written by a tool that notes no kind
        linked = [m.filename for m in members if stat.S_IFMT(m.external_attr >> 16) not in plain]
        _refuse(archive, [*linked, *(m.filename for m in members if leaves_root(m.filename))])
        wanted = [m for m in members if m.filename.lower().endswith(tuple(suffixes))]
        _require_room(archive, sum(m.file_size for m in wanted), folder)
        opened.extractall(folder, wanted)


def _unpack_tar(archive: Path, folder: Path, suffixes: Sequence[str]) -> None:
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        _refuse(archive, [m.name for m in members if leaves_root(m.name) or not (m.isfile() or m.isdir())])
        wanted = [m for m in members if m.isfile() and m.name.lower().endswith(tuple(suffixes))]
        _require_room(archive, sum(m.size for m in wanted), folder)
        opened.extractall(folder, wanted, filter="data")


def _require_room(archive: Path, needed: int, folder: Path | None = None) -> None:
    """Refuse what could only be a trap, as videos shrink by nothing, and what the disk of a folder does not hold."""
    allowed = _ALWAYS_BYTES + _GROWTH * archive.stat().st_size
    if needed > allowed:
        raise UserError(
            f"{archive} of {archive.stat().st_size / 1e6:.1f} MB would unpack to {needed / 1e6:,.0f} MB, more than "
            f"videos do (allowed are {allowed / 1e6:,.0f}); get it from the dataset's own site"
        )
    if folder is not None and needed > (free := shutil.disk_usage(folder).free):
        raise UserError(f"{archive} unpacks to {needed / 1e9:.1f} GB, and {folder.parent} has {free / 1e9:.1f} GB left")


def find_rar_tools(archive: Path) -> list[RarTool]:
    """The outside programs on the PATH that may read RAR; some builds of 7-Zip leave that out.

    Args:
        archive: What is to be unpacked, for the message.

    Returns:
        At least one.

    Raises:
        UserError: If there is none; it says what to install.
    """
    tools = [tool for tool in RAR_TOOLS if shutil.which(tool.program)]
    if not tools:
        raise UserError(
            f"{archive.name} is a RAR archive, and none of {', '.join(tool.program for tool in RAR_TOOLS)} is on the "
            f"PATH. Install one ({_INSTALL}), or unpack the archive yourself and run this again without it."
        )
    return tools


def _unpack_rar(archive: Path, folder: Path) -> None:
    full = str(archive.resolve())
    failures: list[str] = []
    for tool in find_rar_tools(archive):
        try:
            listing = _run(tool.program, [*tool.listing, full], archive)
        except UserError as failure:
            failures.append(str(failure))
            continue
        lines = [line for line in listing.splitlines() if line.startswith(tool.name_prefix)]
        names = [line.removeprefix(tool.name_prefix) for line in lines]
        _refuse(archive, [name for name in names if leaves_root(name)])
        _run(
            tool.program, tool.extraction(full, str(folder)), archive, lambda: _require_room(archive, _bytes_in(folder))
        )
        _refuse(archive, [str(path.relative_to(folder)) for path in _all_files(folder) if not _is_plain(path)])
        return
    raise UserError(f"{'; '.join(failures)}. If the archive is whole, install a program that reads RAR ({_INSTALL})")


def _run(program: str, arguments: Sequence[str], archive: Path, require: Callable[[], None] = lambda: None) -> str:
    """What a program prints; `require` is called again and again while it runs, and ends it by an error."""
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(
        [program, *arguments], stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace", **pipes
    ) as running:
        said = None
        try:
            while said is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    said = running.communicate(timeout=_LOOK_SECONDS)
                require()
        except BaseException:
            running.kill()
            raise
    out, err = said
    if running.returncode:
        reason = (err.strip() or out.strip()).splitlines()[-1:] or ["no reason given"]
        raise UserError(f"{program} cannot read {archive} (exit code {running.returncode}): {reason[0]}")
    return str(out)


def _bytes_in(folder: Path) -> int:
    sizes = 0
    for path in _all_files(folder):
        with contextlib.suppress(FileNotFoundError):  # renamed by the program in between
            sizes += path.lstat().st_size
    return sizes


def _all_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() or not path.is_dir():
                yield path


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _move(archive: Path, folder: Path, into: Path, suffixes: Sequence[str]) -> int:
    files = [path for path in _all_files(folder) if path.suffix.lower() in suffixes]
    _refuse(archive, [str(path.relative_to(folder)) for path in files if not _is_plain(path)])
    for file in files:
        target = into / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
    return len(files)
