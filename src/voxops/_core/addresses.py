"""Addresses of webhooks as they may be shown: without what lets somebody else post there.

A webhook's address often *is* its password: in front of the host, in the query, after the ``#``, or as a long random part of
the path. What is left tells endpoints apart and opens none of them.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["redact_address", "redact_addresses", "short_address"]

_ADDRESS = re.compile(r"\b(?:https?|wss?|ftp)://[^\s\"'<>`]*[^\s\"'<>`.,;:!?)\]]", re.IGNORECASE)
# What follows one of these is a token, however short; the group before it stays.
_KNOWN = re.compile(
    r"""
      (?P<slack>   ^/(?:services|workflows|triggers)/[^/]+/[^/]+/ ).+
    | (?P<discord> ^/api/(?:v\d+/)?webhooks/[^/]+/ ).+
    | (?P<telegram> ^/bot\d+ ):[^/]+
    | (?P<zapier>  ^/hooks/(?:catch|standard)/[^/]+/ ).+
    | (?P<ifttt>   ^/trigger/[^/]+/(?:json/)?with/key/ ).+
    | (?P<named>   /(?:token|key|secret|apikey|api-key|api_key|signature|sig|auth)/ )[^/]+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A part of a path that no person would choose: long, of letters and digits mixed, such as a UUID or a random token.
_RANDOM = re.compile(r"^(?=[^/]*\d)(?=[^/]*[A-Za-z])[A-Za-z0-9_.~=+:-]{16,}$")
_KEPT = 4  # characters of a random part that are shown, so that two endpoints of one host can be distinguished


def redact_address(url: object) -> str:
    """Return an address without user, password and fragment; its query and the tokens in its path become ``…``."""
    text = str(url)
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:  # no address at all, such as ``http://[``: nothing of it is known to be harmless
        return "…"
    scheme = f"{parts.scheme}://" if parts.netloc else f"{parts.scheme}:" if parts.scheme else ""
    path = parts.path if parts.netloc or not parts.scheme else parts.path.rpartition("@")[2]
    return f"{scheme}{host}{_redact_path(path)}{'?…' if parts.query else ''}"


def short_address(url: object) -> str:
    """Return an address as `redact_address` does, without its scheme, which tells no two endpoints apart."""
    return redact_address(url).removeprefix("https://").removeprefix("http://")


def redact_addresses(text: object) -> str:
    """Return a text whose addresses, such as those in an error message, are shown as `redact_address` does."""
    return _ADDRESS.sub(lambda found: redact_address(found[0]), str(text))


def _redact_path(path: str) -> str:
    """Return a path whose tokens are replaced."""
    path = _KNOWN.sub(lambda found: next(filter(None, found.groups())) + "…", path)
    parts = re.split("([/@])", path)  # an ``@`` stands between two parts of the addresses of some chats
    return "".join(f"{part[:_KEPT]}…" if _RANDOM.match(part) else part for part in parts)
