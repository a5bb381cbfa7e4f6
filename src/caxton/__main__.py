"""`python -m caxton`: the same as the `caxton` command."""

import sys

from caxton.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
