"""``python -m weedout_core`` is the command ``weedout``."""

import sys

from weedout_core.lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
