"""What several tests of displays do."""

from __future__ import annotations

import threading

from tests.virtual import until


def press(button):
    """Press a button as a page does, and wait for its thread."""
    button.click()
    until(lambda: not any(thread.name == "voxops-button" for thread in threading.enumerate()))


def let_all_be_retried(sandbox):
    for post in sandbox.world.posts.values():
        for target in post.targets:
            target.retry_count = 0
