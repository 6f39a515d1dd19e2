"""What of a folder is on disk when the power fails: synced bytes are, all else may be lost, whole or torn.

A file's bytes are on disk when an fsync of it has returned that began after they were written. A name (of a new file, a rename, a
removal) is on disk when an fsync of its folder has returned. That is less than any journalling file system gives.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

SECTOR = 512  # bytes that a disk writes whole


@dataclass(eq=False)
class Inode:
    """A file's bytes, or a folder's names; what is pending is not on disk yet."""

    folder: bool = False
    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(
        default_factory=list
    )  # (offset, bytes), or (length, None): truncated
    names: dict[str, Inode] = field(default_factory=dict)  # as the running system sees them
    kept: dict[str, Inode] = field(default_factory=dict)  # as they are on disk
    moves: list[tuple[str, Inode | None]] = field(default_factory=list)  # name -> what it stands for, None if removed

    def write(self, offset: int, data: bytes) -> None:
        """Write without syncing."""
        self.pending.append((offset, data))

    def truncate(self, length: int) -> None:
        """Cut or extend without syncing."""
        self.pending.append((length, None))

    def put(self, name: str, inode: Inode | None) -> None:
        """Give a name without syncing."""
        if inode is None:
            del self.names[name]
        else:
            self.names[name] = inode
        self.moves.append((name, inode))

    def begin_sync(self) -> tuple[int, int]:
        """What a sync that begins now will have put on disk."""
        return len(self.pending), len(self.moves)

    def end_sync(self, mark: tuple[int, int]) -> None:
        """A sync has returned."""
        writes, moves = mark
        for offset, data in self.pending[:writes]:
            apply(self.synced, offset, data)
        for name, inode in self.moves[:moves]:
            give(self.kept, name, inode)
        del self.pending[:writes], self.moves[:moves]

    def after(self, rng: random.Random | None) -> bytes:
        """Its bytes after the cut: only those synced, or with what was pending lost or torn as drawn."""
        found = bytearray(self.synced)
        for offset, data in self.pending if rng else ():
            fate = rng.random()  # type: ignore[union-attr]
            if fate < 0.35:
                continue
            if data is None or fate < 0.6:
                apply(found, offset, data)
                continue
            end, at = offset + len(data), offset
            while at < end:  # by sectors of the file
                after = min(end, (at // SECTOR + 1) * SECTOR)
                if rng.random() < 0.5:  # type: ignore[union-attr]
                    apply(found, at, data[at - offset : after - offset])
                at = after
        return bytes(found)


def apply(found: bytearray, offset: int, data: bytes | None) -> None:
    """Write, or truncate, for good."""
    if data is None:
        del found[offset:]
        found.extend(bytes(offset - len(found)))
        return
    found.extend(bytes(max(0, offset - len(found))))
    found[offset : offset + len(data)] = data


def give(names: dict[str, Inode], name: str, inode: Inode | None) -> None:
    """Give a name, or take it away, for good."""
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


class Disk:
    """A folder that is on disk and empty in the beginning, and what happens in it."""

    def __init__(self, root: PurePosixPath) -> None:
        self.root = root
        self._top = Inode(folder=True)

    def holds(self, path: PurePosixPath) -> bool:
        """Whether a path lies in the folder."""
        return path == self.root or self.root in path.parents

    def find(self, path: PurePosixPath) -> Inode | None:
        """What is there, as the running system sees it."""
        found: Inode | None = self._top
        for part in path.relative_to(self.root).parts:
            found = None if found is None else found.names.get(part)
        return found

    def parent(self, path: PurePosixPath) -> Inode:
        """The folder of a path."""
        found = self.find(path.parent)
        if found is None:
            raise LookupError(f"{path.parent} was never made")
        return found

    def make(self, path: PurePosixPath, *, folder: bool = False) -> Inode:
        """Make a file or folder."""
        made = Inode(folder=folder)
        self.parent(path).put(path.name, made)
        return made

    def move(self, old: PurePosixPath, new: PurePosixPath) -> None:
        """Rename."""
        inode = self.find(old)
        self.parent(new).put(new.name, inode)
        self.parent(old).put(old.name, None)

    def remove(self, path: PurePosixPath) -> None:
        """Remove."""
        self.parent(path).put(path.name, None)

    def restore(self, target: Path, rng: random.Random | None = None) -> None:
        """Write what is there after the cut to an empty folder."""
        _restore(self._top, target, rng)


def _restore(folder: Inode, target: Path, rng: random.Random | None) -> None:
    names = dict(folder.kept)
    if rng is not None:  # names get to the disk in their order, up to some
        for name, inode in folder.moves[: rng.randint(0, len(folder.moves))]:
            give(names, name, inode)
    for name, inode in sorted(names.items()):
        if inode.folder:
            (target / name).mkdir()
            _restore(inode, target / name, rng)
        else:
            (target / name).write_bytes(inode.after(rng))
