"""System calls of a real run, as strace saw them, in their order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CALLS = (
    "openat,open,creat,close,write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,fsync,fdatasync,"
    "sync_file_range,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,"
    "sendto,sendmsg,copy_file_range,sendfile,dup,dup2,dup3"
)
_LINE = re.compile(r"^(\d+)\s+(?:(?P<name>\w+)\((?P<args>.*)|<\.\.\. (?P<resumed>\w+) resumed>(?P<rest>.*))$")
_END = re.compile(r"^(?P<args>.*)\)\s+= (?P<result>-?\d+|\?|0x[0-9a-f]+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_SHOWN = re.compile(r"\d+<((?:\\x[0-9a-f]{2})+|.*?)>(?:\(deleted\))?(?:,|$)")
UNFINISHED = " <unfinished ...>"


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that begins, ends, or does both at once."""

    thread: int
    name: str
    args: str
    texts: tuple[bytes, ...]
    begins: bool
    ends: bool
    result: int | None

    @property
    def fd(self) -> int:
        """The file descriptor that stands first."""
        found = re.match(r"(\d+)", self.args)
        if found is None:
            raise ValueError(f"{self.name}({self.args[:80]}: no file descriptor")
        return int(found[1])

    @property
    def shown(self) -> str:
        """What strace says that the descriptor is: a path, a socket."""
        found = _SHOWN.match(self.args)
        if found is None:
            return ""
        return bytes.fromhex(found[1].replace("\\x", "")).decode() if found[1].startswith("\\x") else found[1]

    @property
    def last(self) -> int:
        """The last argument, a number."""
        return int(self.args.rpartition(",")[2].strip().rstrip(")"))


@cache
def why_not() -> str:
    """Why system calls can't be traced here; empty if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    tried = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"tracing is not allowed here: {tried.stderr.strip()[:200]}"


def record(command: Sequence[str], output: Path, *, cwd: Path, seconds: float) -> None:
    """Run a command under strace."""
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-yy", "-xx", "-s", "4194304", "-e", "signal=none"]
    done = subprocess.run(
        [*strace, "-o", str(output), "-e", f"trace={CALLS}", "--", *command],
        capture_output=True, text=True, check=False, timeout=seconds, cwd=cwd,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the traced run failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def calls(output: Path) -> Iterator[Call]:
    """Read what strace wrote."""
    begun: dict[tuple[str, str], str] = {}
    with output.open(encoding="ascii", errors="replace") as lines:
        for raw in lines:
            line = raw.rstrip("\n")
            found = _LINE.match(line)
            if found is None:
                continue  # "+++ exited with 0 +++"
            thread, name, args = found[1], found["name"], found["args"]
            if name is None:
                name = found["resumed"]
                args = begun.pop((thread, name)) + found["rest"]
                yield _call(thread, name, args, begins=False, ends=True)
            elif args.endswith(UNFINISHED):
                args = args.removesuffix(UNFINISHED)
                begun[thread, name] = args
                yield _call(thread, name, args, begins=True, ends=False)
            else:
                yield _call(thread, name, args, begins=True, ends=True)


def _call(thread: str, name: str, args: str, *, begins: bool, ends: bool) -> Call:
    """One call, or half of it."""
    result = None
    if ends:
        end = _END.match(args)
        if end is None:
            raise ValueError(f"strace wrote what can't be read: {name}({args[:200]}")
        args, said = end["args"], end["result"]
        result = None if said == "?" else int(said, 0)
    texts = []
    for text, cut in _TEXT.findall(args):
        if cut:
            raise ValueError(f"strace cut what {name} wrote")
        texts.append(bytes.fromhex(text.replace("\\x", "")))
    return Call(int(thread), name, _TEXT.sub("…", args), tuple(texts), begins, ends, result)
