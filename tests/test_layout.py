"""The structure of the package: who may import whom, and how long a file may be."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.verbs import READING_RESULTS
from tests.generators.forked import install

PACKAGE = Path(__file__).resolve().parents[1] / "benchmark"
FILES = sorted(PACKAGE.rglob("*.py"))

_ROW = re.compile(r"^\| (?P<parts>`benchmark/[^|]+) \| [^|]+ \| (?P<uses>[^|]+) \|$", re.MULTILINE)
_FREE = "nothing of ours, and all may import them"


def allowed() -> dict[str, set[str] | None]:
    """What each part may import of this package besides itself, as CONTRIBUTING's table has it; None is everything."""
    found: dict[str, set[str] | None] = {}
    free: set[str] = set()
    for row in _ROW.finditer((PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")):
        parts = {
            name.removeprefix("benchmark/").rstrip("/").removesuffix(".py") for name in row["parts"].split("`")[1::2]
        }
        free |= parts if row["uses"] == _FREE else set()
        named = set() if row["uses"].startswith("nothing of ours") else {*row["uses"].split(", ")}
        found |= {name: None if row["uses"] == "everything" else named | parts for name in parts}
    return {name: None if uses is None else uses | free for name, uses in found.items()}


ALLOWED = allowed()


def test_every_part_has_a_row() -> None:
    assert {part(path) for path in FILES} - {"__main__"} == {*ALLOWED}


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
    may = ALLOWED.get(part(path))
    assert may is None or imported_parts(path.read_text("utf-8")) <= may


def test_only_the_files_of_decoding_import_a_decoder() -> None:
    decoders = {"av", "torchcodec", "decord"}
    importing = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            importing |= {path.name for name in names if name.split(".")[0] in decoders}
    # The embedded data, an audit's copies and the frames of a store are encoded; the others are what our decoding is
    # measured against.
    ours = {"container.py", "display.py", "packets.py", "pyav_video.py", "torchcodec_video.py"}
    assert importing - {"synthetic_files.py", "disguise.py", "peers.py", "bare_decoder.py", "pictures.py"} == ours


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
