"""`python -m benchmark`."""

import sys

if __name__ == "__main__":
    from benchmark.cli import main

    sys.exit(main())
