"""The groups of methods of a client: ``client.posts.create`` is the row ``"posts.create"`` of `voxops.api.endpoints`.

Editors and mypy read ``groups.pyi``, which ``python -m tests.client_stub`` generates from the same table.
"""

from __future__ import annotations

from voxops.api.endpoints import ENDPOINTS
from voxops.client._methods import group_classes
from voxops.client.uploads import FileUploads

GROUPS = group_classes(ENDPOINTS, {"uploads": FileUploads}, __name__)
globals().update({group.__name__: group for group in GROUPS.values()})


class Groups:
    """A caller with its groups, such as `posts`."""

    def __init__(self):  # noqa: ANN204  its type is in the stub
        for name, group in GROUPS.items():
            setattr(self, name, group(self))
