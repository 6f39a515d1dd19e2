"""The only reader of error bodies, in every known shape.

An error response has ``{"error": {"code", "message", "details"?}}``, the same at the top level, a text under ``error`` with or
without a sibling ``message``, or a bare text (contract: section 5). A target or an item of a bulk request has its error as an
object, a text, a list of them or null (contract: 8.1, 8.2). Branch on the HTTP status first, then on the code, never on the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from voxops._support import canonical
from voxops.api.states import field_name
from voxops.errors import NotFoundError

_BARE_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_ROW = re.compile(r"posts\[(\d{1,9})\]")
_LONGEST_CODE = 100  # characters of a code; more are cut
_WORDS = frozenset({"code", "message", "error", "details"})
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class ErrorBody(NamedTuple):
    """An error as read.

    Attributes
    ----------
    code : str
        In upper case, ``""`` for none.
    message : str
        As sent, ``""`` for none. It is untrusted text of any length.
    details : mapping
        The fields besides code and message, ``{}`` for none.
    row : int or None
        The row of a bulk request that the error names, from 0; None if it names none.
    """

    code: str = ""
    message: str = ""
    details: Mapping[str, Any] = _NOTHING
    row: int | None = None


def read_answer(data: Any) -> ErrorBody:
    """Read the decoded body of an error response.

    Parameters
    ----------
    data : object
        Decoded JSON; None for an empty body, or one that is not JSON.

    Returns
    -------
    ErrorBody
        Empty if the body names no error.
    """
    if not isinstance(data, Mapping):
        return read_error(data)
    fields = _canonical(data)
    if "error" not in fields and "errors" not in fields:
        return read_error(data)
    error = fields.get("error", fields.get("errors"))
    if not isinstance(error, str):
        return read_error(error)
    details, row = _details(fields.get("details"))
    code, message = fields.get("code"), fields.get("message")
    if code is None and message:  # some servers put the code under `error` and a sibling `message`
        return ErrorBody(_code(error), _text(message), details, row)
    said = read_error(error)
    return ErrorBody(_code(code) or said.code, said.message or _text(message), details, row)


def bears_error(data: Any) -> bool:
    """Whether a response reports a failure, whatever its status: by an error, or by ``success: false``."""
    if not isinstance(data, Mapping):
        return False
    fields = _canonical(data)
    return bool(fields.get("error") or fields.get("errors")) or fields.get("success") is False


def read_error(error: Any) -> ErrorBody:
    """Read one error: an object, a text, a list of either, or null.

    A text in the form of a code, such as ``MEDIA_INVALID``, is the code; any other text is the message only. In a list, the first
    entry that is not empty counts.

    Parameters
    ----------
    error : object
        Decoded JSON.

    Returns
    -------
    ErrorBody
        Empty if there is none.
    """
    if type(error) is dict and len(error) == 2:  # the usual case; frames have many
        code, message = error.get("code"), error.get("message")
        if type(code) is str and type(message) is str:
            return ErrorBody(code.strip().upper()[:_LONGEST_CODE], message)
    if isinstance(error, list):
        error = next((entry for entry in error if entry), None)
    if not isinstance(error, Mapping):
        text = _text(error)
        return ErrorBody(text) if _BARE_CODE.fullmatch(text) else ErrorBody(message=text)
    fields = _canonical(error)
    code, message = fields.get("code"), fields.get("message")
    if code is None and message is None:  # an item of a bulk request: {field, issue, detail?}
        issue = fields.get("issue")
        code = issue if isinstance(issue, str) and _BARE_CODE.fullmatch(issue) else None
        message = fields.get("detail") or issue
    if code is None and message is None and fields:
        message = error
    details = fields.get("details")
    if details is None:  # such as PERSONA_IN_USE with its linkedPostCount
        details = {name: value for name, value in error.items() if field_name(str(name)) not in _WORDS}
    return ErrorBody(_code(code), _text(message), *_details(details))


def _canonical(record: Mapping[str, Any]) -> dict[str, Any]:
    """Index a record by the canonical names of its fields."""
    return {field_name(str(name)): value for name, value in record.items()}


def _details(details: Any) -> tuple[Mapping[str, Any], int | None]:
    """Return details as a mapping, and the row that they name."""
    if details is None:
        return _NOTHING, None
    entries = details if isinstance(details, list) else [details]
    row = next((named for entry in entries if (named := _row(entry)) is not None), None)
    return details if isinstance(details, dict) else {"details": details}, row


def _row(details: Any) -> int | None:
    """Return the row that details name, by ``index`` or by a field's path such as ``posts[7].content``."""
    if not isinstance(details, Mapping):
        return None
    index = details.get("index")
    if type(index) is int:
        return index
    named = _ROW.match(details["field"]) if isinstance(details.get("field"), str) else None
    return int(named[1]) if named else None


def _code(value: Any) -> str:
    """Return an error code in upper case; numbers are codes, too."""
    return str(value).strip().upper()[:_LONGEST_CODE] if isinstance(value, str | int) else ""


def _text(value: Any) -> str:
    """Return any JSON value as text; ``""`` for null."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return canonical.encode(value)
    except RecursionError:  # a thousand nested lists instead of a text
        return "[…]"


def says_absent(error: NotFoundError) -> bool:
    """Whether the API itself says that a thing does not exist: by an error as JSON; a page is a proxy's (rule 16)."""
    try:
        return bool(canonical.decode(error.body))
    except ValueError:
        return False
