"""The structure of the package: who may import whom, and how long a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "benchmark"
FILES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of this package besides itself; parts not named may import everything.
ALLOWED = {
    "errors": set[str](),
    "protocol": set[str](),
    "clip": {"protocol"},
    "metrics": set[str](),
    "data": {"clip", "protocol", "errors"},
    "models": {"clip", "protocol", "errors", "metrics"},
    "callbacks": {"clip", "errors", "metrics", "results"},
    "results": {"protocol", "errors"},
    "plugins": {"errors", "models", "data"},
    "conformance": {"errors", "models", "plugins", "callbacks"},
    "runs": {"errors"},
    "trainer": {"errors"},
    "process": set[str](),
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
        assert imported_parts(path.read_text()) <= ALLOWED[part(path)] | {part(path)}


def test_only_one_file_imports_a_decoder() -> None:
    decoders = {"av", "torchcodec", "decord"}
    importing = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            importing |= {path.name for name in names if name.split(".")[0] in decoders}
    # The embedded data is encoded, not decoded, and the others are what our decoding is measured against.
    assert importing - {"synthetic_files.py", "peers.py", "bare_decoder.py"} == {"container.py", "decode.py"}


def test_results_need_neither_torch_nor_lightning() -> None:
    names = ", ".join(f"benchmark.results.{path.stem}" for path in (PACKAGE / "results").glob("[!_]*.py"))
    code = f"import sys, {names}; print({{'torch', 'lightning'}} & {{*sys.modules}})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"


def test_a_forbidden_import_would_be_seen() -> None:
    assert imported_parts("def f():\n    from benchmark.data.index import VideoIndex\n") == {"data"}
    assert imported_parts("import benchmark.models.layers\nfrom benchmark import cli\n") == {"models", "cli"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350
