"""`python -m benchmark`."""

import sys

if __name__ == "__main__":
    try:
        from benchmark.cli import main

        code = main()
    except KeyboardInterrupt:  # while it is imported
        code = 130
    sys.exit(code)
