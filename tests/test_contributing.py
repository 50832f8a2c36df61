"""CONTRIBUTING's tutorial on a new architecture, followed to the letter by somebody who has clipbench installed."""

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = re.search(
    r"^## A new architecture$(.*?)^## ", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)


def blocks(language: str) -> list[str]:
    """The tutorial's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL[1] if TUTORIAL else "", re.DOTALL | re.MULTILINE)


def environment(folder: Path, small_set: Path) -> dict[str, str]:
    """An environment of its own over the packages of this one, so that what is installed goes nowhere else."""
    venv.create(folder / "venv", with_pip=False)
    packages = next((folder / "venv").rglob("site-packages"))
    (packages / "shared.pth").write_text(
        f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n{ROOT}\n", "utf-8"
    )
    (folder / "cache").mkdir()
    (folder / "cache/clipbench").symlink_to(small_set)
    return {
        **{name: value for name, value in os.environ.items() if name not in {"CLIPBENCH_RUN_DIR", "LOCAL_RANK"}},
        "PATH": f"{folder / 'venv/bin'}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "WANDB_SILENT": "true",
    }


@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform == "win32", reason="the tutorial's commands are for a POSIX shell")
@pytest.mark.skipif(
    # Looking for the module pip would make older setuptools give up its distutils in this process, which torch needs.
    not all([*importlib.metadata.Distribution.discover(name=name)] for name in ("pip", "setuptools")),
    reason="installing a package without isolation needs pip and setuptools in this environment",
)
def test_the_tutorial_can_be_followed(small_set: Path, tmp_path: Path) -> None:
    held = environment(tmp_path, small_set)
    work = tmp_path / "work"
    work.mkdir()
    name = re.search(r"Save this as `(\w+\.py)`", TUTORIAL[1] if TUTORIAL else "")
    (code,) = blocks("python")
    (work / (name[1] if name else "")).write_text(code, "utf-8")
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert {shlex.split(command)[3] for command in commands if " benchmark " in command} >= {"check", "fit", "new"}
    said = {}
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=work, env=held, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        said[command] = done.stdout + done.stderr
    assert all("checks passed" in text for command, text in said.items() if " check " in command)
    assert all(re.search(r"^epoch \d", text, re.MULTILINE) for command, text in said.items() if " fit " in command)
    assert len(list(work.glob("runs/*/checkpoints/last.ckpt"))) == 2
    listed = next(text for command, text in said.items() if " plugins" in command)
    assert re.search(r"^MyNet\s+my-net 0\.1\.0\s+2 of 16\s+170$", listed, re.MULTILINE), listed
    assert "broken" not in listed

    # A console script does not have the current folder on its path by itself.
    line = ["fit", "--model", "mean_colour.MeanColour", "--data", "SyntheticActions", "--print_config"]
    program = tmp_path / "venv/bin/clipbench"
    program.write_text("import sys\nfrom benchmark.cli import main\nsys.exit(main())\n", "utf-8")
    done = subprocess.run(
        [str(tmp_path / "venv/bin/python"), str(program), *line],
        cwd=work,
        env=held,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "class_path: mean_colour.MeanColour" in done.stdout
