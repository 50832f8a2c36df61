"""What pyproject.toml says is in the package is what the folders hold, so that a wheel misses nothing."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def setuptools() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return settings


def test_every_folder_of_code_is_a_package(setuptools: dict[str, Any]) -> None:
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "benchmark").rglob("*.py")}
    named = {name for name in setuptools["packages"] if name not in setuptools["package-dir"]}
    assert named == {".".join(folder.parts) for folder in folders}
    assert set(setuptools["package-dir"]) <= set(setuptools["packages"])


def test_every_other_file_is_in_a_package(setuptools: dict[str, Any]) -> None:
    roots = {"benchmark": "benchmark", **setuptools["package-dir"]}
    assert set(setuptools["package-data"]) == set(roots)
    for package, patterns in setuptools["package-data"].items():
        root = ROOT / roots[package]
        held = {path for path in root.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
        assert held
        assert {path for pattern in patterns for path in root.glob(pattern)} == held
