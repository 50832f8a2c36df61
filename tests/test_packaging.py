"""What pyproject.toml says is in the package is what the folders hold, so that a wheel misses nothing."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def setuptools() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    return settings


def shipped_files(setuptools: dict[str, Any]) -> dict[Path, str]:
    """Every file that belongs into a wheel, with the package of its folder."""
    found = {}
    for package, folder in {"benchmark": "benchmark", **setuptools["package-dir"]}.items():
        root = ROOT / folder
        for path in root.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                found[path] = ".".join([package, *path.parent.relative_to(root).parts])
    return found


def test_every_folder_with_files_is_a_package(setuptools: dict[str, Any]) -> None:
    assert sorted(setuptools["packages"]) == sorted(set(shipped_files(setuptools).values()))


def test_every_file_that_is_no_code_is_package_data(setuptools: dict[str, Any]) -> None:
    (patterns,) = setuptools["package-data"].values()
    data = [path for path in shipped_files(setuptools) if path.suffix != ".py"]
    assert {".yaml", ".json", ".csv", ".jinja"} <= {path.suffix for path in data}
    assert [path for path in data if not any(path.match(pattern) for pattern in patterns)] == []
