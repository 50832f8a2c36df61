"""What stands behind `--` on the command line of a benchmark goes on to the commands that it runs."""

import sys


def split_options() -> tuple[list[str], list[str]]:
    """The benchmark's own words, and those behind the first `--`."""
    words = sys.argv[1:]
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]
