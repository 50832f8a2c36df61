"""What a record says of the code: changed files make it modified, entries and videos beside it do not."""

import shutil
import subprocess
from pathlib import Path

import pytest

import benchmark
from benchmark.runs.code import code_facts

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a package that is run from it."""
    for name in ("benchmark", "leaderboards"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("", "utf-8")
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "made")):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    monkeypatch.setattr(benchmark, "__file__", str(tmp_path / "benchmark/__init__.py"))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "modified"),
    [
        (None, False),
        ("leaderboards/made/record.json", False),
        ("leaderboards/__init__.py", False),
        ("videos/a.mp4", False),
        ("benchmark/__init__.py", True),
        ("benchmark/more.py", True),
        ("my_net.py", True),
    ],
)
def test_changed_code_is_modified_and_nothing_else(checkout: Path, path: str | None, modified: bool) -> None:
    if path is not None:
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text("changed\n", "utf-8")
    assert code_facts().modified == modified
    assert len(str(code_facts().commit)) == 40
