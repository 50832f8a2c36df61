"""Names, archives, configurations, checkpoints and lists that strangers made."""

import io
import os
import pickle
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.commands.archive import unpack
from benchmark.data.folder import read_folder_index
from benchmark.errors import UserError
from tests.campaign.attacks import Kind, Outcome, require
from tests.campaign.commands import Ended, require_one_message, run
from tests.campaign.readers import READERS
from tests.campaign.runs import Ground
from tests.campaign.runs import prepare as prepare_runs
from tests.generators.small_test import options

_SIGNS = [*"a'\"`;|&\\:*?[]#~ \n\r\t", "\u00c9", "\u878d", "\u0301", "\u202e", "\u200b", "\ufeff", "\udcff", "\udc80"]
_SIGNS += [
    "\x1b]0;x\x07",
    "$(touch x)",
    "<script>",
    "=1+1",
    "@x",
    "-rf",
    "--run_dir",
    "%s",
    "{0}",
    "{}",
    "..",
    ".",
    "a" * 200,
]
_SIGNS += ["http:", "concat:a|b", "file:", "pipe:0", "CON", "nan", "null", "a" * 200]


def _path_name(rng: np.random.Generator) -> str:
    """A file's name, of anything that a file system takes."""
    name = "".join(str(sign) for sign in rng.choice(_SIGNS, int(rng.integers(1, 5))))
    name = name.replace("/", "_").replace("\0", "_")
    return os.fsdecode(os.fsencode(name)[:200])


def names(video: Path, seed: int, folder: Path) -> Outcome:
    """Folders of classes and files with names of all kinds."""
    rng, root = np.random.default_rng([seed, 29]), folder / "videos"
    made = []
    for _ in range(int(rng.integers(2, 6))):
        place = root / ("c" + _path_name(rng))[: int(rng.integers(1, 60))]
        try:
            place.mkdir(parents=True, exist_ok=True)
            path = place / (_path_name(rng) + str(rng.choice([".mp4", ".MP4", ""])))
            path.write_bytes(video.read_bytes())
            made.append(path)
        except (OSError, ValueError):  # what no file system takes
            continue
    what = f"{[path.name for path in made]!r}"
    before = {path for path in folder.rglob("*")}
    try:
        index = read_folder_index(root)
    except UserError as error:
        require("\x1b" not in _shown(error), f"{what}: {error!r}")
        return Outcome("refused", what)
    for row in range(len(index)):
        found = index.video(row)
        require(found.path is None or found.path.is_file(), f"{what}: {found.path!r} is not there")
        found.video_id.encode()
    require({path for path in folder.rglob("*")} == before, f"{what}: files appeared")
    return Outcome("survived", what)


def _shown(error: Exception) -> str:
    from benchmark.errors import printable

    return printable(str(error))


def prepare_video(folder: Path) -> Path:
    """One small video."""
    from tests.generators.videos import write_video

    return write_video(folder / "v.mp4")


_LEADS_OUT = (
    "../out.avi",
    "/tmp/clipbench-out.avi",
    "a/../../out.avi",
    "..\\out.avi",
    "C:\\out.avi",
    "\\\\host\\out.avi",
)


def archives(video: Path, seed: int, folder: Path) -> Outcome:
    """Archives that lead out of their folder, hold links or devices, grow, or are damaged."""
    rng, path, into = np.random.default_rng([seed, 31]), folder / "a.zip", folder / "in/to"
    kind = ("zip", "tar", "tar.gz", "rar", "7z")[seed % 5]
    path = folder / f"a.{kind}"
    bad = bool(rng.integers(2))
    members = [f"c/v{number}.avi" for number in range(3)]
    if bad:
        members.insert(int(rng.integers(4)), str(rng.choice(_LEADS_OUT)))
    link = str(rng.choice(["", "link", "hard", "device", "huge"]))
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in members:
                archive.writestr(name, b"video")
            if link:
                held = zipfile.ZipInfo("c/odd.avi")
                held.external_attr = (stat.S_IFLNK if link in {"link", "hard"} else stat.S_IFBLK) << 16
                archive.writestr(held, "/etc/passwd")
    elif kind.startswith("tar"):
        with tarfile.open(path, "w:gz" if kind.endswith("gz") else "w") as archive:
            for name in members:
                member = tarfile.TarInfo(name)
                member.size = 5
                archive.addfile(member, io.BytesIO(b"video"))
            if link:
                member = tarfile.TarInfo("c/odd.avi")
                member.type = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}.get(link, tarfile.CHRTYPE)
                member.linkname = "/etc/passwd"
                archive.addfile(member)
    else:
        path.write_bytes({"rar": b"Rar!\x1a\x07\x01\x00", "7z": b"7z\xbc\xaf\x27\x1c"}[kind] + rng.bytes(200))
    if rng.random() < 0.4:
        content = bytearray(path.read_bytes())
        for _ in range(int(rng.integers(1, 20))):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        path.write_bytes(content[: int(rng.integers(len(content) // 2, len(content) + 1))])
    what = f"{kind} with {members} and {link or 'no link'}"
    try:
        unpack(path, into, suffixes=(".avi",))
        verdict = Outcome("survived", what)
    except UserError as error:
        require(len(str(error)) < 2000, f"{what}: a message of {len(str(error))} characters")
        verdict = Outcome("refused", what)
    for found in folder.rglob("*"):
        require(not found.is_symlink() and (found.is_dir() or found.is_file()), f"{what}: {found} came of it")
        inside = found.is_relative_to(into) or into.is_relative_to(found) or found == path
        require(inside, f"{what}: {found} is outside")
    require(not Path("/tmp/clipbench-out.avi").exists(), f"{what}: a file in /tmp")
    return verdict


def files(_: Any, seed: int, folder: Path) -> Outcome:
    """Lists, records, ledgers, tables and configurations with damaged bytes."""
    rng = np.random.default_rng([seed, 37])
    name = list(READERS)[seed % len(READERS)]
    reader = READERS[name]
    sound = reader.sound()
    content = bytearray(sound[int(rng.integers(len(sound)))])
    for _turn in range(int(rng.integers(1, 4))):
        content = _damaged(content, rng)
    path = folder / reader.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    what = f"{name} of {len(content)} bytes"
    try:
        reader.use(path)
    except (UserError, OSError) as error:
        require(isinstance(error, UserError) or "allowed are" in str(error), f"{what}: {error!r}")
        require(len(str(error)) < 3000, f"{what}: a message of {len(str(error))} characters")
        return Outcome("refused", what)
    return Outcome("survived", what)


def _damaged(content: bytearray, rng: np.random.Generator) -> bytearray:
    if not content:
        return content
    place = int(rng.integers(len(content)))
    how = int(rng.integers(8))
    if how == 0:
        content[place] ^= 1 << int(rng.integers(8))
    elif how == 1:
        content[place] = int(rng.integers(256))
    elif how == 2:
        del content[place : place + int(rng.integers(1, 40))]
    elif how == 3:
        content[place:place] = content[place : place + int(rng.integers(1, 40))]
    elif how == 4:
        del content[place:]
    elif how == 5:
        odd = (
            b"\0",
            b"\xff\xfe",
            b"-1",
            b"1e999",
            b"NaN",
            b"null",
            b"99999999999999999999",
            b"[" * 3000,
            b'"',
            b"\n",
            b",",
        )
        content[place:place] = odd[int(rng.integers(len(odd)))]
    elif how == 6:
        digits = [at for at, byte in enumerate(content) if 48 <= byte <= 57]
        if digits:
            content[int(rng.choice(digits))] = int(rng.integers(45, 58))
    else:
        content[place:place] = rng.bytes(int(rng.integers(1, 30)))
    return content


class _Runs:
    """Pickled, it runs a command when it is read."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def checkpoints(ground: Ground, seed: int, folder: Path) -> Outcome:
    """Checkpoints that run something, are damaged, or hold something else."""
    rng, path = np.random.default_rng([seed, 41]), folder / "x.ckpt"
    ran = folder / "ran"
    held: Any = torch.load(ground.run / "checkpoints/last.ckpt", weights_only=True)
    names = sorted(held)
    how = seed % 8
    if how == 0:
        held["callbacks"] = _Runs(f"touch {ran}")
        torch.save(held, path)
    elif how == 1:
        with path.open("wb") as file:
            pickle.dump(_Runs(f"touch {ran}"), file)
    elif how == 2:
        held.pop(str(rng.choice(names)))
        torch.save(held, path)
    elif how == 3:
        held[str(rng.choice(names))] = [None, 3, "x", {}, [1], torch.zeros(2), {"a": {"b": 1}}][int(rng.integers(7))]
        torch.save(held, path)
    elif how == 4:
        key = str(rng.choice(sorted(held["state_dict"])))
        held["state_dict"][key] = [torch.zeros(3), torch.full((1,), float("nan")), "x", None][int(rng.integers(4))]
        torch.save(held, path)
    elif how == 5:
        content = bytearray((ground.run / "checkpoints/last.ckpt").read_bytes())
        for _ in range(int(rng.integers(1, 200))):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        path.write_bytes(content[: int(rng.integers(1, len(content)))] if rng.integers(2) else content)
    elif how == 6:
        torch.save([held["state_dict"], [1, 2], "text", 3.0][int(rng.integers(4))], path)
    else:
        path.write_bytes([b"", b"PK\x03\x04", rng.bytes(5000), b"version https://git-lfs"][int(rng.integers(4))])
    verb = str(rng.choice(["test", "fit", "validate"]))
    what = f"{verb} with a checkpoint of way {how}"
    more = ["--trainer.max_epochs", "1"] if verb == "fit" else []
    ended = run(
        [verb, *options(ground.data, folder / "run", *more, report=None), "--ckpt_path", str(path)], folder / "log"
    )
    require(not ran.exists(), f"{what}: its command was run")
    return _verdict(ended, what)


def _verdict(ended: Ended, what: str) -> Outcome:
    if ended.code == 0:
        return Outcome("survived", what)
    require_one_message(ended, what)
    return Outcome("refused", what)


_VALUES = [
    "null",
    "-1",
    "0",
    "1e999",
    ".nan",
    "''",
    "[]",
    "{}",
    "[[[]]]",
    "true",
    "'x'",
    "2020-01-01",
    "'\\x1b]0;x\\x07'",
]
_VALUES += ["&a [*a]", "[1, 2, 3]", "99999999999", "'../../x'", "builtins.eval", "os.system", "{class_path: os.system}"]
_VALUES += ["{class_path: subprocess.Popen, init_args: {args: [touch, ran]}}", "{class_path: torch.nn.Linear}"]
_VALUES += ["!!python/name:os.system", "'\\x1b]0;x\\x07'"]


def configurations(ground: Ground, seed: int, folder: Path) -> Outcome:
    """Configurations in which one value is another."""
    import yaml

    rng = np.random.default_rng([seed, 43])
    held = yaml.safe_load((ground.run / "config.yaml").read_text("utf-8"))
    places = [place for place in _places(held) if place[0] not in {"run_dir"}]
    place = places[int(rng.integers(len(places)))]
    value = str(rng.choice(_VALUES))
    mark = "PLACE-OF-THE-VALUE"
    at = held
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = mark
    text = yaml.safe_dump(held).replace(mark, value)
    config = folder / "own.yaml"
    config.write_text(text, "utf-8")
    what = f"{'.'.join(map(str, place))}: {value}"
    few = [
        *("--data.root", str(ground.data), "--run_dir", str(folder / "run"), "--trainer.limit_train_batches", "1"),
        *("--trainer.limit_val_batches", "1", "--trainer.max_epochs", "1", "--data.num_workers", "0"),
    ]
    if place[0] == "trainer":  # what would otherwise be written over
        few = few[:4] + few[-2:]
    ended = run(["fit", "--config", str(config), *few], folder / "log", before=lambda: os.chdir(folder))
    require(not (folder / "ran").exists(), f"{what}: it ran a command")
    return _verdict(ended, what)


def _places(held: Any, place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [place] if place else []
    for key, part in held.items() if isinstance(held, dict) else ():
        found += _places(part, (*place, key))
    return found


NAMES = Kind("names", names, prepare_video, size=400, seconds=60, share=0.5)
ARCHIVES = Kind("archives", archives, prepare_video, size=400, seconds=60, share=0.5)
FILES = Kind("files", files, lambda folder: None, size=4000, seconds=60, share=1)
CHECKPOINTS = Kind("checkpoints", checkpoints, prepare_runs, size=80, seconds=240, share=1)
CONFIGURATIONS = Kind("configurations", configurations, prepare_runs, size=120, seconds=240, share=1.5)
STRANGERS = (NAMES, ARCHIVES, FILES, CHECKPOINTS, CONFIGURATIONS)
