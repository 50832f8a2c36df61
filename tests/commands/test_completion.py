"""What a shell completes, asked of the shell itself."""

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.commands.completion import completions
from benchmark.verbs import COMMANDS, TRAINER_VERBS

LINES = {
    "clipbench fi": {"fit", "figures"},
    "clipbench leaderboard bu": {"build"},
    "clipbench fit --config mult": {"multires", "multires_half_second"},
    "clipbench fit --trainer.max_ep": {"--trainer.max_epochs"},
    "clipbench fit --model Slow": {"SlowFusion"},
    "clipbench evaluate --data uc": {"ucf101"},
    "clipbench rescore --cal": {"--calibration"},
}


shtab = pytest.importorskip("shtab", reason="needs shtab, of the extra completion")


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    """What is completed."""
    return completions()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_options_and_names(parser: argparse.ArgumentParser, tmp_path: Path) -> None:
    script = tmp_path / "completion.sh"
    script.write_text(shtab.complete(parser, shell="bash"), "utf-8")
    ask = """source "$1"; read -ra COMP_WORDS <<<"$2"; COMP_LINE=$2; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _shtab_clipbench 2>/dev/null; printf '%s\\n' "${COMPREPLY[@]}" """
    for line, wanted in LINES.items():
        done = subprocess.run(
            ["bash", "-c", ask, "bash", str(script), line], capture_output=True, encoding="utf-8", check=True
        )
        assert set(done.stdout.split()) == wanted, line


def test_every_verb_has_its_options(
    parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (verbs,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    assert set(verbs.choices) == {*COMMANDS, *TRAINER_VERBS}
    known = {verb: {o for a in each._actions for o in a.option_strings} for verb, each in verbs.choices.items()}
    for verb, option in (
        ("speed", "--speed.clips"),
        ("audit", "--output"),
        ("evaluate", "--seeds"),
        ("new", "--folder"),
    ):
        assert option in known[verb], verb
    monkeypatch.setattr("benchmark.commands.completion.completions", lambda: parser)
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef clipbench")
