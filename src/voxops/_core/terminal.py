"""What is printed for people in a terminal, by rich."""

from __future__ import annotations

from rich.console import Console

__all__ = ["Terminal"]


class Terminal(Console):
    """A console that leaves a closed pipe to its command; rich would end the program with the exit status of an error."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError again."""
        raise BrokenPipeError
