"""Measures where the time of training goes: configuration -> objects of a fit -> measurements -> report and files."""

from collections.abc import Sequence

from benchmark.plugins import require_named_classes

SUMMARY = "where the time of training goes: loading, computing, full against multires, other libraries"


def main(argv: Sequence[str]) -> int:
    """Run `speed [options of fit] [--speed.option value ...]` and return the exit code."""
    # The command line of a fit knows this verb, so it is looked up late; and the picture takes a second to import.
    from benchmark.commands.speed_tables import speed_tables
    from benchmark.speed.chart import write_chart
    from benchmark.speed.measure import measure
    from benchmark.speed.options import SpeedCLI

    require_named_classes(argv)
    cli = SpeedCLI(list(argv))
    report = measure(cli)
    print(f"\n{speed_tables(report)}")
    report.write(cli.run_dir / "speed.json")
    write_chart(report, cli.run_dir / "speed.png")
    print(f"\nwrote {cli.run_dir / 'speed.json'}, {cli.run_dir / 'speed.png'}")
    return 0
