"""The verb `report` on a small leaderboards' folder, without a login and against a stub of W&B's server."""

import json
import shlex
from pathlib import Path

import pytest

pytest.importorskip("wandb_workspaces", reason="needs the extra wandb")


from benchmark.commands.report import main
from benchmark.errors import UserError
from benchmark.leaderboard.entries import add_entry
from benchmark.verbs import COMMANDS
from tests.generators.ledgers import make_ledger, write_run
from tests.generators.wandb_stub import (  # noqa: F401  (forget_login is a fixture)
    WandbStub,
    forget_login,
    login,
    no_login,
    serving,
)

CLAIMS = {
    "dataset": "Sports-1M",
    "fold": None,
    "classes": None,
    "protocol": "its own",
    "source": "Karpathy et al. 2014, Table 1",
    "rows": [{"name": "single-frame", "metrics": {"video_hit1": {"value": 0.593}}}],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Leaderboards with two entries on one board, and a claim."""
    folder = tmp_path / "leader boards"
    (folder / "paper").mkdir(parents=True)
    (folder / "paper" / "table1.json").write_text(json.dumps(CLAIMS), "utf-8")
    for model in (0, 1):
        write_run(tmp_path / f"run{model}", make_ledger(model_seed=model), name=f"Model {model}")
        add_entry(tmp_path / f"run{model}", folder, None)
    return folder


def arguments(root: Path, *more: str) -> list[str]:
    return ["--entity", "team", "--project", "made", "--root", str(root), "--output", str(root.parent / "out"), *more]


@pytest.mark.parametrize("asked", [False, True])
def test_without_a_login_report_and_preview_are_written(
    root: Path, asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    no_login(tmp_path, monkeypatch)
    assert main(arguments(root, *["--publish"] * asked)) == int(asked)
    printed = capsys.readouterr().out
    held = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert len(held["run_sets_to_look_up"]) == 1
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    for text in ("Model 0", "Model 1", "Made fold 1", "Sports-1M", "59.3"):
        assert text in page
        assert text in json.dumps(held)
    assert ("there is no login to W&B" if asked else "--publish is not given") in printed
    last = printed.splitlines()[-1]
    assert shlex.split(last) == ["python", "-m", "benchmark", "report", *arguments(root), "--publish"]
    assert "wandb sync --entity team --project made runs/" in printed


def test_with_a_login_it_is_published(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for stub in serving(WandbStub()):
        login(stub.url, tmp_path, monkeypatch)
        assert main(arguments(root)) == 0
        assert stub.calls == []  # not asked to publish
        assert main(arguments(root, "--publish")) == 0
        assert capsys.readouterr().out.splitlines()[-1] == (
            f"published {stub.url}/team/made/reports/clipbench-leaderboards--VmlldzoxMjM="
        )
        assert json.loads(stub.saved["spec"])["blocks"]
        with pytest.raises(UserError, match="no such project"):
            main(["--entity", "team", "--project", "absent", *arguments(root)[4:], "--publish"])
        assert (tmp_path / "out" / "report.json").is_file()


def test_wrong_arguments_are_one_message(root: Path) -> None:
    with pytest.raises(UserError, match=r"--entity is 'a/b'"):
        main(["--entity", "a/b", *arguments(root)[2:]])
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        main(arguments(root.parent / "nowhere"))
    (root.parent / "out").write_text("a file", "utf-8")
    with pytest.raises(UserError, match=r"--output .*out cannot be written \(File exists\)"):
        main(arguments(root))


def test_it_is_one_of_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert "W&B" in COMMANDS["report"]
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for option in ("--entity", "--project", "--root", "--output", "--ledgers", "--publish"):
        assert option in shown
    assert "publish_it" not in shown
