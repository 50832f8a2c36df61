"""YAML is read strictly."""

from pathlib import Path

import pytest
import yaml

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.shipped import configurations
from benchmark.yaml_text import read_yaml


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", "1 and 3"),
        ("model:\n  init_args:\n    width: 1\n    # more\n    width: 2\n", "width", "3 and 5"),
        ("- {x: 1}\n- {y: 1, y: 1}\n", "y", "2 and 2"),
        ('{"train": 3, "train": 4}', "train", "1 and 1"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(text: str, key: str, lines: str) -> None:
    with pytest.raises(UserError, match=f"^here has the key {key} twice in one place, in lines {lines}; remove one"):
        read_yaml(text, "here")


def test_what_is_no_repetition_is_read_as_yaml_reads_it() -> None:
    text = "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\nc: {x: 3}\nd: [*a, *a]\n"
    assert read_yaml(text, "here") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 3}, "d": [{"x": 1}, {"x": 1}]}
    assert read_yaml("", "here") is None
    for path in configurations().values():
        held = path.read_text("utf-8")
        assert read_yaml(held, str(path)) == yaml.safe_load(held)


@pytest.mark.parametrize("text", ["a: " + "[" * 10_000 + "]" * 10_000, "\n".join(" " * n + "a:" for n in range(1500))])
def test_what_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="here is nested too deeply"):
        read_yaml(text, "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: SingleFrame\nmodel: SlowFusion\n", " has the key model twice in one place, in lines 1 and 2"),
        ("model: [\n", " is not YAML in line 2, column 1: expected the node content"),
        ("model: !!python/object/apply:os.system [echo]\n", "could not determine a constructor for the tag"),
        ("when: 2026-13-45\n", " is not YAML: month must be in 1..12"),
    ],
)
@pytest.mark.parametrize("option", ["--config", "--data", "--model"])
def test_files_of_the_command_line_are_read_so(
    option: str, text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text, "utf-8")
    assert main(["fit", *(["--config", "multires"] if option != "--config" else []), option, str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"clipbench: {option} {file}")
    assert message in said


def test_values_of_the_command_line_are_read_so(capsys: pytest.CaptureFixture[str]) -> None:
    value = '{"train": 3, "train": 4}'
    assert main(["fit", "--config", "multires", "--data.clips_per_video", value]) == 2
    assert "--data.clips_per_video has the key train twice" in capsys.readouterr().err
    assert main(["fit", "--config", "multires", f"--data.clips_per_video={value}"]) == 2
    assert "--data.clips_per_video has the key train twice" in capsys.readouterr().err
