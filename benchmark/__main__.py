"""`python -m benchmark`, and the program `clipbench`."""

import sys


def main() -> int:
    """Run the command line, which may be interrupted while it is still being imported."""
    try:
        from benchmark.cli import main as command_line
    except KeyboardInterrupt:
        print("clipbench: interrupted", file=sys.stderr)
        return 130
    return command_line()


if __name__ == "__main__":
    sys.exit(main())
