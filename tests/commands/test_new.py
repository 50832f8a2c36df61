"""What `new` refuses and writes; that it installs, passes its tests and fits is shown by tests/test_contributing.py."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from benchmark.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which the command line adds the current folder
    return tmp_path


@pytest.mark.parametrize("folder", [None, "deep/er"])
def test_the_package(folder: str | None, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "two_words", *(["--folder", folder] if folder else [])]) == 0
    written = here / (folder or "two_words")
    assert {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()} == {
        *("pyproject.toml", "README.md", "conf/two_words.yaml", "tests/test_two_words.py"),
        *("src/two_words/__init__.py", "src/two_words/model.py"),
    }
    assert f"wrote {written.relative_to(here)}: TwoWords" in capsys.readouterr().out
    project = tomllib.loads((written / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"] == {"clipbench.plugins": {"two_words": "two_words"}}
    model = ast.parse((written / "src/two_words/model.py").read_text("utf-8"))
    assert [node.name for node in model.body if isinstance(node, ast.ClassDef)] == ["TwoWords"]
    assert not any("{{" in path.read_text("utf-8") for path in written.rglob("*") if path.is_file())
    # The experiment differs from the shipped ones in its model alone.
    config, shipped = (
        yaml.safe_load(path.read_text("utf-8"))
        for path in (written / "conf/two_words.yaml", ROOT / "conf/single_frame.yaml")
    )
    assert config.pop("model")["class_path"] != shipped.pop("model")["class_path"]
    assert config == shipped


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *(
            (name, "cannot be a package's name")
            for name in ("My_net", "my-net", "2net", "_net", "net_", "../net", "for")
        ),
        ("a" * 61, "cannot be a package's name"),
        ("none", "would make a class called None, which is a word of Python"),
        ("json", "there is a package or file called json already"),
        ("torch", "there is a package or file called torch already"),
        ("clipbench", "a distribution called clipbench is installed"),
        ("opencv_python_headless", "a distribution called opencv_python_headless is installed"),
        ("f", "would make a class called F, which its files import"),
        ("conformance_suite", "would make a class called ConformanceSuite, which its files import"),
        ("slow_fusion", "there is a model called SlowFusion already, in benchmark.models.slow_fusion"),
    ],
)
def test_a_bad_name_is_refused(name: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", name]) == 2
    assert message in capsys.readouterr().err
    assert not list(here.iterdir())


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_there_is_left_alone(kind: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = here / "held"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.touch()
    else:
        target.symlink_to("nowhere")
    assert main(["new", "my_net", "--folder", "held"]) == 2
    assert "held is there already" in capsys.readouterr().err
    assert [path.name for path in here.rglob("*")] == ["held"]


def test_a_folder_that_cannot_be_made(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").touch()
    assert main(["new", "my_net", "--folder", "file/in/it"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_folder_without_code_of_that_name_is_in_nobodys_way(here: Path) -> None:
    """As the one that `new` has written into the checkout, from where tests and the program are run."""
    sys.path.insert(0, str(here))
    assert main(["new", "some_net"]) == 0
    assert main(["new", "some_net", "--folder", "another"]) == 0
    (here / "code_net.py").touch()
    assert main(["new", "code_net"]) == 2
