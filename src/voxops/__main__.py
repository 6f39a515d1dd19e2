"""``python -m voxops`` is the command ``voxops``."""

from __future__ import annotations

import sys

from voxops.cli import main

if __name__ == "__main__":
    sys.exit(main())
