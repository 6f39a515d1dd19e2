"""``python -m voxburst_sandbox``."""

from __future__ import annotations

import sys

from voxburst_sandbox.server import main

if __name__ == "__main__":
    sys.exit(main())
