"""`python -m s10` is the same as `s10`."""

import sys

from s10.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
