"""Text is UTF-8 wherever it is written or read, also where the system's own encoding is another."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.generators.scenes import write_scene
from tests.generators.small_test import CONF

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for folder in ("benchmark", "tests") for path in (ROOT / folder).rglob("*.py"))
NOT_TEXT = {"av", "os", "tarfile", "lmdb", "Image", "webbrowser"}  # modules whose `open` opens no text


def unspecified(source: str) -> Iterator[int]:
    """Lines that read or write text in the system's own encoding."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called, words = node.func, {word.arg: word.value for word in node.keywords}
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        of = ast.unparse(called.value).rpartition(".")[2] if isinstance(called, ast.Attribute) else ""
        if name == "open" and of not in NOT_TEXT:
            modes = [ast.unparse(part) for part in (*node.args[:2], words.get("mode", ast.Constant("")))]
            is_bytes = any(mode.strip("'").rstrip("+") in {"rb", "wb", "ab", "r+b", "xb"} for mode in modes)
            is_text = not is_bytes and not any("'wb'" in mode for mode in modes)
        elif name in {"read_text", "write_text"}:
            is_text = len(node.args) <= (name == "write_text")
        else:
            is_text = name in {"run", "Popen", "check_output"} and bool({"text", "universal_newlines"} & words.keys())
        if is_text and not {"encoding", None} & words.keys():
            yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_is_opened_with_an_encoding(path: Path) -> None:
    assert list(unspecified(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    ["open(a)", "path.open('w')", "path.read_text()", "path.write_text('a')", "run(words, text=True)", "open(a, 'r+')"],
)
def test_a_call_without_an_encoding_would_be_seen(line: str) -> None:
    assert list(unspecified(line)) == [1]


def test_names_in_any_script_survive_the_c_locale(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    rows = ["path,labels,split"]
    for number, split in enumerate(["train", "train", "validation", "test"]):
        write_scene(folder / f"{number}.mp4", number)
        rows.append(f"{number}.mp4,{'Übung' if number % 2 else '跑步'},{split}")
    (tmp_path / "rows.csv").write_text("\n".join(rows), "utf-8")
    data = {"class_path": "VideoFolder", "init_args": {"name": "Straße 视频", "num_workers": 0, "batch_size": 2}}
    data["init_args"] |= {"root": str(folder), "annotations": str(tmp_path / "rows.csv")}  # type: ignore[operator]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "WANDB_SILENT": "true"}
    words = ["--config", str(CONF), "--data", str(tmp_path / "data.yaml"), "--model.width", "0.05"]
    words += ["--trainer.accelerator", "cpu", "--run_dir", str(tmp_path / "run"), "--trainer.max_epochs", "1"]
    for verb in (["fit"], ["test", "--ckpt_path", "last"]):
        done = subprocess.run(
            [sys.executable, "-m", "benchmark", *verb, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            encoding="ascii",
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Stra\\xdfe \\u89c6\\u9891" in done.stdout
    for name in ("config.yaml", "config_test.yaml"):
        config = yaml.safe_load((tmp_path / "run" / name).read_text("utf-8"))
        assert config["data"]["init_args"]["name"] == "Straße 视频"
    assert "Straße 视频" in yaml.safe_load((tmp_path / "run/record.json").read_text("utf-8"))["dataset"]["name"]
