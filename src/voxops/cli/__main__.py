"""``python -m voxops.cli`` is the command, too."""

from __future__ import annotations

import sys

from voxops.cli import main

sys.exit(main())
