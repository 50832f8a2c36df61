"""Writes a small package that adds an architecture, which installs, passes its tests and fits as it is."""

import importlib.metadata
import importlib.util
import keyword
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import jinja2

from benchmark.command_line import Parser
from benchmark.errors import UserError

_TEMPLATES = Path(__file__).parent / "new_package"
_FILES = {
    "pyproject.toml": "pyproject.toml.jinja",
    "README.md": "README.md.jinja",
    "src/{name}/__init__.py": "init.py.jinja",
    "src/{name}/model.py": "model.py.jinja",
    "conf/{name}.yaml": "conf.yaml.jinja",
    "tests/test_{name}.py": "test_model.py.jinja",
}
_IMPORTED = {"ConformanceSuite", "F", "Recipe", "Tensor", "VideoClassifier"}  # by name, in the templates


def new(name: str, folder: Path | None = None) -> int:
    """Write the package and say what to do with it.

    Args:
        name: Of the package, such as my_net; the class is then called MyNet.
        folder: Folder to make for it; one of its name in the current folder by default.

    Returns:
        0.

    Raises:
        UserError: If the name is not allowed or taken, or there is a file or folder of that path.
    """
    class_name = _class_name(name)
    target = folder if folder is not None else Path(name)
    if target.exists() or target.is_symlink():
        raise UserError(f"--folder {target} is there already; name one that is not")
    templates = jinja2.Environment(  # what comes out is code, not HTML, and holds a name of letters and digits alone
        loader=jinja2.FileSystemLoader(_TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    values = {"name": name, "class_name": class_name, "distribution": name.replace("_", "-")}
    try:
        for place, template in _FILES.items():
            path = target / place.format(name=name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(templates.get_template(template).render(values), "utf-8")
    except OSError as error:
        raise UserError(f"--folder {target} cannot be written: {error.strerror}; name another folder") from error
    print(
        f"wrote {target}: {class_name} in src/{name}/model.py\n"
        f"next: python -m pip install -e {target} --no-deps --no-build-isolation\n"
        f"      python -m pytest {target}\n"
        f"      python -m benchmark check {class_name}"
    )
    return 0


def _class_name(name: str) -> str:
    """The name of the class; refuses what cannot be a package."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name) or len(name) > 60:
        raise UserError(
            f"{name!r} cannot be a package's name; use lower-case letters and digits, words joined by _, such as my_net"
        )
    class_name = "".join(word.capitalize() for word in name.split("_"))
    if keyword.iskeyword(class_name):
        raise UserError(f"{name!r} would make a class called {class_name}, which is a word of Python; name another")
    held = importlib.util.find_spec(name)
    # A folder without code hides nothing, as one that `new` has written, in which the package is further down.
    if name in sys.stdlib_module_names or (held is not None and held.origin is not None):
        raise UserError(f"there is a package or file called {name} already, which would hide the new one; name another")
    if _is_installed(name.replace("_", "-")):
        raise UserError(f"a distribution called {name} is installed, which the new one would replace; name another")
    if class_name in _IMPORTED:
        raise UserError(f"{name!r} would make a class called {class_name}, which its files import; name another")
    from benchmark.models import VideoClassifier  # import torch, for which a name that cannot be does not wait
    from benchmark.plugins import usable_subclasses

    taken = [cls for cls in usable_subclasses(VideoClassifier) if cls.__name__ == class_name]
    if taken:
        raise UserError(f"there is a model called {class_name} already, in {taken[0].__module__}; name another")
    return class_name


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main(argv: Sequence[str]) -> int:
    """Run `new NAME [--folder DIR]` and return the exit code."""
    parser = Parser(prog="clipbench new", description="Write a package that adds an architecture.")
    parser.add_argument("name", type=str, help="Of the package, such as my_net; the class is then called MyNet.")
    parser.add_argument(
        "--folder", type=Path | None, default=None, help="Folder to make; one of that name here by default."
    )
    return new(**vars(parser.parse_args(list(argv))))
