"""The suite's own verbs, one file each: a `SUMMARY` line and `main(argv)`, which returns the exit code."""

from types import ModuleType

from benchmark.commands import prepare

COMMANDS: dict[str, ModuleType] = {"prepare": prepare}
