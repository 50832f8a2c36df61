"""The reference is built in strict mode, holds every public name, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import benchmark

pytest.importorskip("mkdocs", reason="needs mkdocs, of the extra docs")
pytest.importorskip("mkdocstrings", reason="needs mkdocstrings, of the extra docs")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The site's pages by name."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {page.relative_to(site).as_posix(): page.read_text("utf-8") for page in site.rglob("*.html")}


def test_every_public_name_is_there(pages: dict[str, str]) -> None:
    held = {name for page in pages.values() for name in re.findall(r'id="benchmark\.([\w.]+)"', page)}
    promised = {*benchmark.__all__} - {"__version__", "data", "models"}
    for part in ("data", "models"):
        promised |= {f"{part}.{name}" for name in getattr(benchmark, part).__all__}
    assert promised - held == set()


def test_pages_load_nothing_from_elsewhere(pages: dict[str, str]) -> None:
    loaded = r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)"
    for name, page in pages.items():
        assert re.findall(loaded, page) == [], name
