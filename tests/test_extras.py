"""What needs no extra runs without any of them, and what needs one says so in one message."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.extras import EXTRAS, require_extra, why_missing
from tests.generators.blocked import ROOT, run_without
from tests.generators.small_test import options

# Each imports a library of an extra at its top, and is itself imported only where that is there.
BEHIND_AN_EXTRA = {
    "benchmark.runs.wandb_runs",
    "benchmark.runs.wandb_tables",
    "benchmark.leaderboard.wandb_report",
    "benchmark.transfer.plot",
    "benchmark.speed.chart",
    "benchmark.figures.style",
    "benchmark.figures.charts",
    "benchmark.figures.filter_pictures",
    "benchmark.figures.gallery",
    "benchmark.figures.strips",
    "benchmark.runs.pictures",
    "benchmark.paper.pictures",
    "benchmark.paper.report",
    "benchmark.paper.pdf",
    *(f"benchmark.histograms.{name}" for name in ("colours", "textons", "description", "store", "filling")),
    *("benchmark.histograms.whole_videos", "benchmark.histograms.search"),
}
IMPORTED_AS = {"scikit_image": "skimage", "scikit_learn": "sklearn"}
"""Names in Python of libraries that go by another one."""
MAIN = "from benchmark.cli import main\n"


def test_the_table_of_extras_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        plain = [re.split(r"[<>=!~\[ ]", line)[0].replace("-", "_") for line in requirements]
        return {IMPORTED_AS.get(name, name) for name in plain}

    declared = project["optional-dependencies"]
    for extra in set(EXTRAS.values()):
        assert names(declared[extra]) == {library for library, its in EXTRAS.items() if its == extra}
    assert not names(project["dependencies"]) & EXTRAS.keys()
    (everything,) = declared["all"]
    assert set(everything.removeprefix("clipbench[").removesuffix("]").split(",")) == set(EXTRAS.values())


def test_a_library_that_is_there_is_not_missing() -> None:
    assert why_missing("json") is None
    require_extra("json", "a test")


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "no_such_library", "zoo")
    with pytest.raises(UserError) as caught:
        require_extra("no_such_library", "model Some")
    assert str(caught.value) == (
        "model Some needs no_such_library, which is not installed; run: pip install 'clipbench[zoo]'"
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_part", "No module named 'no_such_part'"),
        ("raise TypeError('Descriptors cannot be created directly')", "TypeError: Descriptors cannot be created"),
    ],
)
def test_a_library_that_is_broken(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(why_missing.cache_clear)
    why_missing.cache_clear()
    (tmp_path / "broken_library.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = why_missing("broken_library")
    assert found is not None
    assert f"is installed but cannot be imported ({reason}" in found
    assert "pip install broken_library --force-reinstall" in found


def test_every_module_but_those_behind_an_extra_imports_without_any(tmp_path: Path) -> None:
    code = """
import importlib, pkgutil, benchmark
for found in pkgutil.walk_packages(benchmark.__path__, "benchmark."):
    if not found.name.endswith("__main__"):
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            print(found.name, error.name.partition(".")[0])
"""
    shown = run_without(list(EXTRAS), code, tmp_path)
    assert shown.returncode == 0, shown.stderr
    failed = dict(line.split() for line in shown.stdout.splitlines())
    assert failed.keys() == BEHIND_AN_EXTRA
    assert set(failed.values()) <= EXTRAS.keys()


def test_the_main_job_runs_without_any(small_set: Path, tmp_path: Path) -> None:
    logger = ["--trainer.logger", "false"]
    words = options(small_set, tmp_path / "fit", report=None)
    words[1] = "multires"
    place = words.index("--trainer.logger")
    assert words[place : place + 2] == logger
    words = words[:place] + words[place + 2 :]  # that of the configuration: CSV and W&B
    code = f"""{MAIN}
words = {words!r}
def run(verb, folder, *more):
    assert main([verb, *words[:words.index("--run_dir")], "--run_dir", folder, *more]) == 0, (verb, folder)
run("fit", "fit")
for name in ("best", "last"):
    run("test", name, "--ckpt_path", f"fit/checkpoints/{{name}}.ckpt")
assert main(["rescore", "best"]) == 0
assert main(["compare", "best", "last"]) == 0
"""
    shown = run_without(list(EXTRAS), code, tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("no W&B logs: wandb is not installed; run: pip install 'clipbench[wandb]'\n") == 3
    assert list(tmp_path.glob("fit/csv/version_0/metrics.csv"))
    assert not list(tmp_path.rglob("wandb"))
    assert "WandbLogger" not in (tmp_path / "fit/config.yaml").read_text("utf-8")
    assert (tmp_path / "best/record.json").is_file()
    assert "video Hit@1" in shown.stdout


LEADERBOARDS = str(ROOT / "leaderboards")
LISTING = ["plugins", "--costs", "false"]
NEEDING = {
    "fit": (["fit", "--config", "zoo/x3d_m"], "zoo", "model PytorchvideoVideo needs pytorchvideo"),
    "speed": (["speed", "--config", "zoo/x3d_m"], "zoo", "model PytorchvideoVideo needs pytorchvideo"),
    "check": (["check", "PytorchvideoVideo", "--model.architecture", "x3d_m"], "zoo", "model PytorchvideoVideo needs"),
    "online": (["fit", "--config", "multires", "--trainer.logger.offline", "false"], "wandb", "trainer.logger sends"),
    "report": (["report", "--entity", "someone", "--project", "some"], "wandb", "report needs wandb"),
    "build": (["leaderboard", "build", "--root", LEADERBOARDS], "report", "the leaderboards' page needs plotly"),
    "verify": (["leaderboard", "verify", "--root", LEADERBOARDS], "report", "leaderboard verify, which makes the page"),
    "histograms": (["fit", "--config", "histograms"], "histograms", "HistogramNetwork needs skimage"),
    "extract": (["histograms", "extract", "--data", "SyntheticActions"], "histograms", "histograms extract needs skim"),
    "decoder": (["fit", "--config", "multires", "--data.decoder", "torchcodec"], "torchcodec", "data.decoder is torch"),
}
"""Words of a command line, the extra it needs, and the beginning of its message."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit code, output and errors of commands without any extra, all in one process and an empty folder."""
    commands = {**{name: words for name, (words, _, _) in NEEDING.items()}, "plugins": LISTING}
    folder = tmp_path_factory.mktemp("empty")
    code = f"""
import contextlib, io, json
{MAIN}
said = {{}}
for name, words in {commands!r}.items():
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as errors:
        code = main(words)
    said[name] = code, out.getvalue(), errors.getvalue()
print(json.dumps(said))
"""
    before = (ROOT / "leaderboards/README.md").stat().st_mtime_ns
    shown = run_without(list(EXTRAS), code, folder)
    assert shown.returncode == 0, shown.stderr
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert (ROOT / "leaderboards/README.md").stat().st_mtime_ns == before
    found: dict[str, tuple[int, str, str]] = json.loads(shown.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", NEEDING)
def test_a_missing_extra_is_one_message(name: str, said: dict[str, tuple[int, str, str]]) -> None:
    _, extra, message = NEEDING[name]
    code, _, errors = said[name]
    assert code == 2
    lines = [line for line in errors.splitlines() if line.startswith("clipbench: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"clipbench: {message}")
    assert f"pip install 'clipbench[{extra}]'" in lines[0]
    assert "Traceback" not in errors


def test_the_list_of_plugins_says_what_a_network_needs(said: dict[str, tuple[int, str, str]]) -> None:
    code, shown, _ = said["plugins"]
    assert code == 0
    assert "PytorchvideoVideo needs pytorchvideo, which is not installed; run: pip install 'clipbench[zoo]'\n" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["PytorchvideoVideo", "x3d_m", "clipbench", "0.2.0", "-", "-"] in rows
    assert any(row[:2] == ["TorchvisionVideo", "r3d_18"] and row[-1].isdecimal() for row in rows)
