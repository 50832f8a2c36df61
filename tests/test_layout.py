"""The structure of the package: who may import whom, and how long a file may be."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.commands import READING_RESULTS
from tests.generators.forked import install

PACKAGE = Path(__file__).resolve().parents[1] / "benchmark"
FILES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of this package besides itself; parts not named may import everything.
ALLOWED = {
    "errors": set[str](),
    "files": set[str](),
    "changes": set[str](),
    "extras": {"errors"},
    "shipped": {"errors", "yaml_text"},
    "yaml_text": {"errors"},
    "class_options": set[str](),
    "argument_messages": {"class_options"},
    "command_line": {"argument_messages", "class_options", "errors"},
    "usual_options": set[str](),
    "protocol": set[str](),
    "identity": set[str](),
    "clip": {"protocol"},
    "caches": set[str](),
    "isolation": set[str](),
    "content": set[str](),
    "metrics": set[str](),
    "data": {"caches", "clip", "content", "files", "identity", "protocol", "errors", "process"},
    "models": {"changes", "clip", "cost", "files", "protocol", "errors", "extras", "metrics"},
    "results": {"files", "changes", "identity", "protocol", "errors", "metrics"},
    "pages": {"files"},
    "leaderboard": {"changes", "files", "identity", "results", "protocol", "errors", "extras", "metrics", "pages"},
    "figures": {"files", "results", "metrics", "errors", "pages"},
    "runs": {
        *("clip", "cost", "data", "metrics", "models", "plugins", "protocol", "results"),
        *("caches", "changes", "class_options", "content", "errors", "extras", "figures", "files", "pages"),
    },
    "grid": {"changes", "errors", "files", "metrics", "models", "process", "results", "runs"},
    "transfer": {
        *("clip", "data", "grid", "leaderboard", "models", "results", "runs"),
        *("changes", "errors", "figures", "files", "pages", "shipped"),
    },
    "paper": {
        *(
            "errors",
            "figures",
            "files",
            "grid",
            "leaderboard",
            "models",
            "pages",
            "results",
            "runs",
            "shipped",
            "transfer",
        ),
    },
    "histograms": {"caches", "clip", "data", "errors", "extras", "files", "models", "results", "runs"},
    "plugins": {
        "added_scores",
        "class_options",
        "errors",
        "extras",
        "importing",
        "shipped",
        "metrics",
        "models",
        "data",
    },
    "added_scores": {"errors", "importing", "metrics"},
    "importing": {"errors"},
    "conformance": {"clip", "command_line", "errors", "importing", "models", "plugins"},
    "cost": set[str](),
    "process": set[str](),
    "encoding": set[str](),
}


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(source: str) -> set[str]:
    """Parts of the package that a file imports, wherever in the file."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        modules |= {name.split(".")[1] for name in names if name.startswith("benchmark.")}
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_part_may(path: Path) -> None:
    if part(path) in ALLOWED:
        assert imported_parts(path.read_text("utf-8")) <= ALLOWED[part(path)] | {part(path)}


def test_only_the_files_of_decoding_import_a_decoder() -> None:
    decoders = {"av", "torchcodec", "decord"}
    importing = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            importing |= {path.name for name in names if name.split(".")[0] in decoders}
    # The embedded data and an audit's copies are encoded; the others are what our decoding is measured against.
    ours = {"container.py", "display.py", "packets.py", "pyav_video.py", "torchcodec_video.py"}
    assert importing - {"synthetic_files.py", "disguise.py", "peers.py", "bare_decoder.py"} == ours


@pytest.mark.parametrize("room", ["results", "leaderboard"])
def test_numbers_need_neither_torch_nor_lightning(room: str) -> None:
    names = ", ".join(f"benchmark.{room}.{path.stem}" for path in (PACKAGE / room).glob("[!_]*.py"))
    code = f"import sys, {names}; print({{'torch', 'lightning'}} & {{*sys.modules}})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    assert shown.strip() == "set()"


SCORE = """
from benchmark.metrics import Score

CERTAIN = Score("certain", "certain", "certain", lambda p: p.scores.max(1), unit="number")
"""


@pytest.mark.parametrize("verb", sorted(READING_RESULTS))
def test_verbs_that_read_results_need_neither_torch_nor_lightning(verb: str, tmp_path: Path) -> None:
    install(tmp_path, "own_scores", SCORE)
    install(tmp_path, "own_networks", "raise ModuleNotFoundError('no torch here')")
    code = f"""
import sys
from benchmark.cli import main
from benchmark.metrics.descriptors import known_scores
try:
    main(["{verb}", "--help"])
except SystemExit:
    assert "certain" in {{score.name for score in known_scores()}}
    print({{"torch", "lightning"}} & {{*sys.modules}})
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, env=environment
    )
    shown = done.stdout
    assert "plugin own_networks of own_networks 1.2 is left out: ModuleNotFoundError: no torch here" in done.stderr
    assert f"usage: clipbench {verb}" in shown
    assert shown.strip().splitlines()[-1] == "set()"


def circles(imports: dict[str, set[str]]) -> set[str]:
    """Parts that import themselves by way of others."""

    def reached(start: str) -> set[str]:
        found, waiting = set[str](), {*imports[start]}
        while waiting:
            part = waiting.pop()
            if part not in found:
                found.add(part)
                waiting |= imports.get(part, set())
        return found

    return {name for name in imports if name in reached(name)}


def test_no_parts_import_each_other_in_a_circle() -> None:
    imports: dict[str, set[str]] = {}
    for path in FILES:
        own = part(path)
        imports.setdefault(own, set()).update(imported_parts(path.read_text("utf-8")) - {own})
    assert circles(imports) == set()
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == {"b", "c"}


def test_a_forbidden_import_would_be_seen() -> None:
    assert imported_parts("def f():\n    from benchmark.data.index import VideoIndex\n") == {"data"}
    assert imported_parts("import benchmark.models.layers\nfrom benchmark import cli\n") == {"models", "cli"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 350
