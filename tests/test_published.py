"""What others see of the project: its metadata, citation, addresses and files for services."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import benchmark

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project() -> dict[str, Any]:
    held: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return held


def test_every_address_is_of_one_repository(project: dict[str, Any]) -> None:
    repository = project["urls"]["Repository"]
    name = repository.removeprefix("https://github.com/")
    assert all(url.startswith(repository) for url in project["urls"].values())
    for document in ("README.md", "CHANGELOG.md", "CITATION.cff"):
        text = (ROOT / document).read_text("utf-8")
        found = re.findall(r"https://(?:raw\.githubusercontent|github)\.com/([\w.-]+/[\w.-]+)", text)
        assert set(found) == {name}, document


def test_pictures_of_the_readme_are_seen_on_pypi(project: dict[str, Any]) -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    name = project["urls"]["Repository"].removeprefix("https://github.com/")
    start = f"https://raw.githubusercontent.com/{name}/main/"
    assert pictures
    for picture in pictures:
        assert picture.startswith(start)
        assert (ROOT / picture.removeprefix(start)).is_file()


def test_one_version_is_said_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == benchmark.__version__
    first = re.search(r"^## \[(\d[^\]]*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert first is not None
    assert first.groups() == (benchmark.__version__, str(citation["date-released"]))


def test_the_citation_is_valid() -> None:
    cffconvert = pytest.importorskip(
        "cffconvert", reason="pip install cffconvert, which holds jsonschema to a version of 2020"
    )
    held = cffconvert.Citation((ROOT / "CITATION.cff").read_text("utf-8"))
    held.validate()
    assert "clipbench" in held.as_bibtex()


def test_classifiers_are_those_of_pypi(project: dict[str, Any]) -> None:
    known = pytest.importorskip("trove_classifiers", reason="needs trove_classifiers, which building a wheel brings")
    assert set(project["classifiers"]) <= known.classifiers
    assert any(line.endswith("Python :: 3.11") for line in project["classifiers"])


def test_the_workflow_runs_the_one_check() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text("utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step][-1] == "bash .ci/run"
    assert workflow["permissions"] == {"contents": "read"}


def test_the_image_runs_the_program(project: dict[str, Any]) -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    assert 'ENTRYPOINT ["clipbench"]' in lines
    extras = next(line for line in lines if line.startswith("ARG EXTRAS=")).partition("=")[2].split(",")
    assert set(extras) <= set(project["optional-dependencies"])
