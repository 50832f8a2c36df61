"""Measures where the time of training goes: configuration -> objects of a fit -> measurements -> report and files."""

from collections.abc import Sequence

from benchmark.extras import why_missing
from benchmark.plugins import require_named_classes
from benchmark.shipped import with_files


def main(argv: Sequence[str]) -> int:
    """Run `speed [options of fit] [--speed.option value ...]` and return the exit code."""
    # The command line of a fit knows this verb, so it is looked up late.
    from benchmark.commands.speed_tables import speed_tables
    from benchmark.runs.screen import quiet
    from benchmark.speed.measure import measure
    from benchmark.speed.options import SpeedCLI

    words = with_files(argv)
    require_named_classes(words)
    with quiet():
        cli = SpeedCLI(words)
        report = measure(cli)
    print(f"\n{speed_tables(report)}")
    report.write(cli.run_dir / "speed.json")
    written = [cli.run_dir / "speed.json"]
    if reason := why_missing("matplotlib"):
        print(f"\nno picture: matplotlib {reason}")
    else:
        from benchmark.speed.chart import write_chart

        written.append(cli.run_dir / "speed.png")
        write_chart(report, written[-1])
    print(f"\nwrote {', '.join(map(str, written))}")
    return 0
