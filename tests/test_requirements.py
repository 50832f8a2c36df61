"""The file of lowest versions that the check installs, against what pyproject.toml allows."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lowest_versions_are_the_floors_of_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    ours = {"dev", "docs"}  # which nobody installs beside other versions
    extras = [line for name, lines in project["optional-dependencies"].items() if name not in ours for line in lines]
    floors = {}
    for requirement in [*project["dependencies"], *extras]:
        name, floor = re.match(r"([\w.-]+)(?:\[[\w,]+\])?(?:[>=]=([\w.]+))?", requirement).groups()  # type: ignore[union-attr]
        if floor is not None:  # an extra of extras has none
            floors[canonical(name)] = floor
    pinned = dict(line.split("==") for line in (ROOT / ".ci/lowest.txt").read_text("utf-8").split())
    assert {canonical(name) for name in pinned} == set(floors)
    for name, version in pinned.items():
        # The floor 2.9 is the version 2.9.0; of some packages the first of it has a longer number.
        assert f"{version}.".startswith(f"{floors[canonical(name)]}."), name


def test_readers_need_a_part_of_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["report"]}
    wanted = {line for line in (ROOT / ".ci/readers.txt").read_text("utf-8").splitlines() if not line.startswith("#")}
    assert wanted <= declared
    assert not any(line.startswith(("torch", "lightning", "av", "opencv")) for line in wanted)
