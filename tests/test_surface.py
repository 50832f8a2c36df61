"""The package's public names: all there, imported when used, and documented."""

import ast
import inspect
import subprocess
import sys
import typing

import pytest

import benchmark

NAMES = [name for name in benchmark.__all__ if name != "__version__"]
OBJECTS = {
    **{name: getattr(benchmark, name) for name in NAMES if name not in {"data", "models"}},
    **{name: getattr(benchmark.data, name) for name in benchmark.data.__all__},
    **{name: getattr(benchmark.models, name) for name in benchmark.models.__all__},
}


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout


def test_importing_the_package_imports_nothing_else() -> None:
    said = fresh("import sys, benchmark; dir(benchmark); print([n for n in sys.modules if n.startswith('benchmark.')])")
    assert said.strip() == "[]"


def test_results_are_read_without_torch() -> None:
    said = fresh("import sys, benchmark; benchmark.read_results, benchmark.UserError; print('torch' in sys.modules)")
    assert said.strip() == "False"


@pytest.mark.parametrize("name", OBJECTS)
def test_a_public_name_is_documented_and_typed(name: str) -> None:
    found = OBJECTS[name]
    assert inspect.getdoc(found)
    members = [found] if inspect.isfunction(found) else [
        member for label, member in vars(found).items()
        if inspect.isfunction(member) and (label == "__init__" or not label.startswith("_"))
    ]  # fmt: skip
    for member in members:
        if not member.__module__.startswith("benchmark") or member.__qualname__.endswith("__create_fn__"):
            continue
        if member.__name__ != "__init__":
            assert inspect.getdoc(member), member
        signature = inspect.signature(member)
        for parameter in list(signature.parameters.values())[0 if found is member else 1 :]:
            assert parameter.annotation is not parameter.empty, (member, parameter)


def test_type_checkers_see_the_names_that_are_there() -> None:
    tree = ast.parse(inspect.getsource(benchmark))
    held = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert held - {None} == set(NAMES)
    assert set(NAMES) <= set(dir(benchmark))


def test_configurations_name_classes_by_the_paths_that_they_had() -> None:
    said = fresh(
        "import benchmark; benchmark.models, benchmark.data\n"
        "from jsonargparse._util import get_import_path\n"
        "print(get_import_path(benchmark.models.SlowFusion), get_import_path(benchmark.data.UCF101))"
    )
    assert said.split() == ["benchmark.models.SlowFusion", "benchmark.data.UCF101"]


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'Singleframe'; it has .*TrainedModel"):
        typing.cast(typing.Any, benchmark).Singleframe  # noqa: B018
