"""What a shell completes, asked of the shell itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.commands import COMMANDS

LINES = {
    "clipbench fi": {"fit", "figures"},
    "clipbench leaderboard bu": {"build"},
    "clipbench fit --config mult": {"multires", "multires_half_second"},
    "clipbench fit --trainer.max_ep": {"--trainer.max_epochs"},
    "clipbench fit --model Slow": {"SlowFusion"},
    "clipbench evaluate --data uc": {"ucf101"},
    "clipbench rescore --cal": {"--calibration"},
}


@pytest.mark.extra("shtab")
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_options_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out, "utf-8")
    ask = """source "$1"; read -ra COMP_WORDS <<<"$2"; COMP_LINE=$2; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _shtab_clipbench 2>/dev/null; printf '%s\\n' "${COMPREPLY[@]}" """
    for line, wanted in LINES.items():
        done = subprocess.run(
            ["bash", "-c", ask, "bash", str(script), line], capture_output=True, encoding="utf-8", check=True
        )
        assert set(done.stdout.split()) == wanted, line


@pytest.mark.extra("shtab")
def test_every_verb_is_among_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("#compdef clipbench")
    assert all(f'"{verb}:' in shown for verb in COMMANDS)
