"""What an analyst sets for a workspace: the zone in which times are shown, and which metadata name people."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voxops.frames.people import PEOPLE, metadata_field
from voxops.frames.spans import zone

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a workspace; frames say in ``attrs`` with which of them they were loaded.

    Attributes
    ----------
    tz : str
        Time zone in which times are shown, and in which ``since="today"`` and ``"yesterday"`` begin. Data stay in UTC.
    people : mapping of str to str
        ``owner``, ``campaign`` and ``tags`` -> the field of the posts' metadata that holds it.
    """

    tz: str = "UTC"
    people: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, values: Mapping[str, str | None]) -> Settings:
        """Return the settings of these values: ``tz owner campaign tags``, None or an empty text for each that is not set.

        Raises
        ------
        ConfigError
            If a zone or a field is none.
        """
        fields = {name: metadata_field(name, value) for name in PEOPLE if (value := values.get(name))}
        return cls(zone(values.get("tz") or "UTC"), fields)

    def attrs(self) -> dict[Hashable, Any]:
        """Return what the ``attrs`` of frames hold of them; defaults are left out."""
        attrs: dict[Hashable, Any] = {"tz": self.tz} if self.tz != "UTC" else {}
        return attrs | ({"people": dict(self.people)} if self.people else {})

    def arguments(self) -> dict[str, str]:
        """Return the arguments of ``vx.connect`` that say the same."""
        return ({"tz": self.tz} if self.tz != "UTC" else {}) | dict(self.people)
