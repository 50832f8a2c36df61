"""The verb `configs`: a line for each configuration, and copies that replace nothing."""

from pathlib import Path

import pytest

from benchmark.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_has_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list((ROOT / "conf").rglob("*.yaml")))
    assert all(len(line.split()) > 3 for line in lines)
    (line,) = (line for line in lines if line.startswith("multires "))
    said = "Single-frame multiresolution network (section 3.2): a fovea and a context stream."
    assert line.split(maxsplit=1)[1] == said


@pytest.mark.parametrize(
    ("name", "written", "use"),
    [
        ("multires", "multires.yaml", "clipbench fit --config multires.yaml"),
        ("zoo/x3d_m", "x3d_m.yaml", "clipbench fit --config x3d_m.yaml"),
        ("data/ucf101", "ucf101.yaml", "clipbench fit --config multires --data ucf101.yaml"),
        ("transfer/embedded", "embedded.yaml", "clipbench transfer --config embedded.yaml"),
    ],
)
def test_a_copy_is_the_file(
    name: str, written: str, use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["configs", "copy", name]) == 0
    assert capsys.readouterr().out == f"wrote {written}; use it: {use}\n"
    assert [path.name for path in tmp_path.iterdir()] == [written]
    assert (tmp_path / written).read_bytes() == (ROOT / "conf" / f"{name}.yaml").read_bytes()


def test_a_copy_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("mine", "utf-8")
    assert main(["configs", "copy", "multires", "--to", "mine.yaml"]) == 2
    assert "mine.yaml is there already and stays as it is; name another file with --to" in capsys.readouterr().err
    assert (tmp_path / "mine.yaml").read_text("utf-8") == "mine"
    assert main(["configs", "copy", "multires", "--to", "mine.yaml/other.yaml"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["configs", "copy", "multires", "--to", "new/mine.yaml"]) == 0
    assert (tmp_path / "new/mine.yaml").is_file()


def test_an_unknown_name_gets_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs", "copy", "multirez"]) == 2
    assert "the nearest: multires, paper/multires, slow_multires" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
