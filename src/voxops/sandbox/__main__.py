"""``python -m voxops.sandbox``."""

from __future__ import annotations

import sys

from voxops.sandbox.command import main

if __name__ == "__main__":
    sys.exit(main())
