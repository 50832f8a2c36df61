import io
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmark.commands.archive import RAR_TOOLS, RarTool, unpack
from benchmark.errors import DatasetNotFoundError, UserError

GOOD = {"UCF-101/Archery/a.avi": b"first", "lists/trainlist01.txt": b"second", "setup.py": b"not wanted"}
WANTED = (".avi", ".txt")

# Stands in for an outside program: reads a TAR file under the name of a RAR, and keeps no guard of its own.
FAKE_BSDTAR = f"""#!{sys.executable}
import sys, tarfile
with tarfile.open(sys.argv[2]) as archive:
    if sys.argv[1] == "-tf":
        print("\\n".join(archive.getnames()))
    else:
        archive.extractall(sys.argv[4], filter="fully_trusted")
"""


def write_zip(path: Path, contents: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, contents: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


def write_rar(path: Path, contents: Mapping[str, bytes]) -> Path:
    """A RAR 4 archive of stored files, block by block."""

    def block(kind: int, flags: int, fields: bytes) -> bytes:
        body = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body

    data = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, content in contents.items():
        size, checksum, text = len(content), zlib.crc32(content), name.encode()
        fields = struct.pack("<IIBIIBBHI", size, size, 3, checksum, 0x5A210000, 20, 0x30, len(text), 0o100644)
        data += block(0x74, 0x8000, fields + text) + content
    path.write_bytes(data + block(0x7B, 0x4000, b""))
    return path


def files_under(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def only_fake_bsdtar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "programs" / "bsdtar"
    program.parent.mkdir()
    program.write_text(FAKE_BSDTAR, "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


@pytest.mark.parametrize("name", ["good.zip", "good.tar"])
def test_wanted_files_are_unpacked_and_nothing_else_is_left(tmp_path: Path, name: str) -> None:
    write = write_zip if name.endswith("zip") else write_tar
    into = tmp_path / "new" / "folder"
    assert unpack(write(tmp_path / name, GOOD), into, suffixes=WANTED) == 2
    assert files_under(into) == {"UCF-101/Archery/a.avi": b"first", "lists/trainlist01.txt": b"second"}
    assert unpack(write(tmp_path / name, {**GOOD, "lists/trainlist01.txt": b"newer"}), into, suffixes=WANTED) == 2
    assert files_under(into)["lists/trainlist01.txt"] == b"newer"
    assert sorted(entry.name for entry in into.iterdir()) == ["UCF-101", "lists"]


@pytest.mark.parametrize("name", ["../evil.avi", "/tmp/evil.avi", "a/../../evil.avi", "C:\\evil.avi", "..\\evil.avi"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_are_refused_before_anything_is_written(tmp_path: Path, name: str, kind: str) -> None:
    write = write_zip if kind == "zip" else write_tar
    archive = write(tmp_path / f"evil.{kind}", {**GOOD, name: b"evil"})
    with pytest.raises(UserError, match=r"refused, nothing was unpacked.*evil\.avi"):
        unpack(archive, tmp_path / "into", suffixes=WANTED)
    assert files_under(tmp_path / "into") == {}
    assert not list(tmp_path.glob("evil.avi"))


def test_links_are_refused(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "evil.tar", GOOD, {"UCF-101/link.avi": "/etc/passwd"})
    link = zipfile.ZipInfo("UCF-101/link.avi")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("a.avi", b"first")
        archive.writestr(link, "/etc/passwd")
    for evil in (tar, tmp_path / "evil.zip"):
        with pytest.raises(UserError, match=r"UCF-101/link\.avi"):
            unpack(evil, tmp_path / "into", suffixes=WANTED)
        assert files_under(tmp_path / "into") == {}


@pytest.mark.usefixtures("only_fake_bsdtar")
def test_a_rar_goes_through_the_outside_program(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "-UCF101.rar", GOOD)
    assert unpack(archive, tmp_path / "into", suffixes=WANTED) == 2
    assert set(files_under(tmp_path / "into")) == {"UCF-101/Archery/a.avi", "lists/trainlist01.txt"}


@pytest.mark.usefixtures("only_fake_bsdtar")
def test_what_the_outside_program_would_let_through_is_refused(tmp_path: Path) -> None:
    leading_out = write_tar(tmp_path / "out.rar", {"../out.avi": b"evil"})
    with pytest.raises(UserError, match=r"refused.*\.\./out\.avi"):
        unpack(leading_out, tmp_path / "into", suffixes=WANTED)
    linked = write_tar(tmp_path / "link.rar", GOOD, {"UCF-101/link.avi": "/etc/passwd", "folder": "/etc"})
    with pytest.raises(UserError, match=r"refused.*UCF-101/link\.avi, folder"):
        unpack(linked, tmp_path / "into", suffixes=WANTED)
    assert files_under(tmp_path / "into") == {}


@pytest.mark.usefixtures("only_fake_bsdtar")
def test_a_rar_that_grows_is_stopped_while_it_is_unpacked(tmp_path: Path) -> None:
    grow = "open(sys.argv[4] + '/a.avi', 'wb').truncate(200_000_000); time.sleep(250)"
    code = f"#!{sys.executable}\nimport sys, time\nif sys.argv[1] != '-tf': {grow}\n"
    (tmp_path / "programs/bsdtar").write_text(code, "utf-8")
    (tmp_path / "bomb.rar").write_bytes(b"Rar!")
    with pytest.raises(UserError, match="would unpack to 200 MB, more than videos do"):
        unpack(tmp_path / "bomb.rar", tmp_path / "into", suffixes=WANTED)
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.usefixtures("only_fake_bsdtar")
def test_a_rar_that_the_program_cannot_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "cut.rar").write_bytes(b"Rar!\x1a\x07\x00cut")
    with pytest.raises(UserError, match=r"bsdtar cannot read .*cut\.rar \(exit code 1\)"):
        unpack(tmp_path / "cut.rar", tmp_path / "into", suffixes=WANTED)


@pytest.mark.usefixtures("only_fake_bsdtar")
def test_the_next_program_is_tried_where_one_cannot_read_rar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unable = tmp_path / "programs" / "unable"
    unable.write_text(f"#!{sys.executable}\nraise SystemExit('no codec for this')\n", "utf-8")
    unable.chmod(0o755)
    tools = (RarTool("unable", (), "", lambda archive, folder: []), *RAR_TOOLS)
    monkeypatch.setattr("benchmark.commands.archive.RAR_TOOLS", tools)
    assert unpack(write_tar(tmp_path / "good.rar", GOOD), tmp_path / "into", suffixes=WANTED) == 2
    (tmp_path / "cut.rar").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"unable cannot read .*no codec.*; bsdtar cannot read .*apt install"):
        unpack(tmp_path / "cut.rar", tmp_path / "into", suffixes=WANTED)


@pytest.mark.parametrize("tool", RAR_TOOLS, ids=lambda tool: tool.program)
def test_a_true_rar_is_read_by_each_tool_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: RarTool
) -> None:
    if shutil.which(tool.program) is None:
        pytest.skip(f"{tool.program} is not on the PATH")
    if tool.program in {"7z", "7zz"} and " Rar " not in subprocess.check_output([tool.program, "i"], encoding="utf-8"):
        pytest.skip(f"this build of {tool.program} reads no RAR")
    monkeypatch.setattr("benchmark.commands.archive.RAR_TOOLS", (tool,))
    archive = write_rar(tmp_path / "UCF101.rar", GOOD)
    assert unpack(archive, tmp_path / "into", suffixes=WANTED) == 2
    assert files_under(tmp_path / "into") == {"UCF-101/Archery/a.avi": b"first", "lists/trainlist01.txt": b"second"}
    with pytest.raises(UserError, match="refused"):
        unpack(write_rar(tmp_path / "evil.rar", {"../evil.avi": b"evil"}), tmp_path / "into", suffixes=WANTED)


def test_without_a_program_a_rar_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    (tmp_path / "UCF101.rar").write_bytes(b"Rar!")
    with pytest.raises(UserError, match=r"bsdtar, unrar, 7z, 7zz.*apt install libarchive-tools"):
        unpack(tmp_path / "UCF101.rar", tmp_path / "into", suffixes=WANTED)


def test_absent_damaged_and_unknown_archives_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"absent\.zip is not there"):
        unpack(tmp_path / "absent.zip", tmp_path / "into", suffixes=WANTED)
    (tmp_path / "page.zip").write_text("<html>not found</html>", "utf-8")
    with pytest.raises(UserError, match="neither a ZIP, a TAR nor a RAR"):
        unpack(tmp_path / "page.zip", tmp_path / "into", suffixes=WANTED)
    damaged = write_zip(tmp_path / "damaged.zip", {"a.avi": b"0123456789" * 20})
    damaged.write_bytes(damaged.read_bytes().replace(b"0123456789", b"0123456780", 1))
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(damaged, tmp_path / "into", suffixes=WANTED)
    assert files_under(tmp_path / "into") == {}
