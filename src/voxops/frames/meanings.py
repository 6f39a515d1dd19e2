"""What each column means: title, one sentence, unit. A name that means something else in one kind of frame stands as ``kind.name``."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, tuple[str, str, str]] = {
    "post_id": ("post", "The id of the post.", ""),
}
