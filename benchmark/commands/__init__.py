"""The suite's own verbs, one file each: a `SUMMARY` line and `main(argv)`, which returns the exit code."""

from types import ModuleType

from benchmark.commands import (
    check,
    compare,
    configs,
    leaderboard,
    new,
    plugins,
    prepare,
    protocol,
    report,
    rescore,
    speed,
    transfer,
)

COMMANDS: dict[str, ModuleType] = {
    "configs": configs,
    "prepare": prepare,
    "rescore": rescore,
    "compare": compare,
    "protocol": protocol,
    "leaderboard": leaderboard,
    "report": report,
    "transfer": transfer,
    "speed": speed,
    "check": check,
    "new": new,
    "plugins": plugins,
}
