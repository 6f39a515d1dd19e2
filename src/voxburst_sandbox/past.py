"""What lists that lag still show: the states of posts before their latest changes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import replace

from voxburst_sandbox.records import Post

__all__ = ["Past", "copied"]


def copied(post: Post) -> Post:
    """Return a copy that later changes of the post leave as it is."""
    targets = [replace(target) for target in post.targets]
    return replace(
        post, targets=targets, media=list(post.media), tags=list(post.tags), metadata=dict(post.metadata)
    )  # fmt: skip


class Past:
    """Earlier states of posts, kept only while some answer may need them.

    Begins with the posts as they are: what they were before that is not known, so a lag that is switched on shows
    changes late from then on.
    """

    def __init__(self) -> None:
        self.kept = False
        self._latest: dict[str, Post] = {}
        # Post id -> (until, state) in the order of the changes; None where the post was not there yet.
        self._before: dict[str, list[tuple[int, Post | None]]] = {}

    def begin(self, posts: Iterable[Post]) -> None:
        """Keep states from now on."""
        self.kept = True
        self._latest = {post.id: copied(post) for post in posts}
        self._before = {}

    def end(self) -> None:
        """Keep nothing any more."""
        self.kept = False
        self._latest, self._before = {}, {}

    def note(self, key: str, at: int, post: Post | None) -> None:
        """Take down that a post is another from an instant on; None if it is gone."""
        if not self.kept:
            return
        self._before.setdefault(key, []).append((at, self._latest.get(key)))
        if post is None:
            self._latest.pop(key, None)
        else:
            self._latest[key] = copied(post)

    def seen(self, key: str, instant: int) -> Post | None:
        """Return the post as it was at an instant; None if it was not there."""
        for until, state in self._before.get(key, ()):
            if until > instant:
                return state
        return self._latest.get(key)

    def order(self, present: list[tuple[int, int, str]], instant: int) -> list[tuple[int, int, str]]:
        """Return the order of the posts that were there at an instant, from the present order; forget what is older."""
        for key in [key for key, states in self._before.items() if states[-1][0] <= instant]:
            del self._before[key]
        order = [entry for entry in present if entry[2] not in self._before]
        for key in self._before:
            if (post := self.seen(key, instant)) is not None:
                insort(order, (post.created_at, post.ordinal, post.id))
        return order
