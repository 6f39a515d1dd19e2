"""What an analyst loads: lists of the API as frames, checks of campaigns and accounts."""

from __future__ import annotations

from voxops.loading.accounts import BoardLoader

__all__ = ["BoardLoader"]
