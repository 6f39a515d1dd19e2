"""The table of endpoints, from which the methods of `voxops.client.AsyncClient` and their stub file are generated.

``client.posts.create`` is the row ``"posts.create"``, and ``client.posts.create.operation`` returns it. A new endpoint is one row; a list
that becomes a frame needs a schema in `voxops.frames.schemas`, too. After a change, ``python -m tests.client_stub`` writes the stub file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, partial
from inspect import Parameter, Signature
from textwrap import fill, indent
from typing import Any

from voxops.api import fields as f
from voxops.api.assumptions import (
    BULK_PRESIGN_LIST,
    BULK_VALIDATE_LIST,
    BULK_VIDEO_LIST,
    CONNECT_RETURN,
    DELIVERIES_PATH,
    DELIVERIES_QUERY,
    DRIVE_FILE,
)
from voxops.api.fields import Check, as_is, https, ident, if_true, instant, mapping, refuse
from voxops.api.limits import PAGE_RECORDS
from voxops.api.matrix import MATRIX, Endpoint, Resend, may_resend, polled

REQUIRED: Any = object()


class Place(StrEnum):
    """Where the value of a field goes: ``WHOLE`` is a body by itself, ``OPTION`` one of `AsyncClient.request`."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    WHOLE = "whole"
    OPTION = "option"


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of a method.

    Attributes
    ----------
    name, type : str
        Its name and annotation in Python.
    says : str
        One line for the docstring.
    check : callable
        Checks a value and returns it as it is sent.
    place : Place
        Where it goes.
    default : object
        `REQUIRED`, or the value if it is omitted; None is not sent.
    sent : str
        Its name in the API; by default that in Python, in camel case.
    keyword : bool
        Whether it is keyword-only.
    """

    name: str
    type: str
    says: str
    check: Check = as_is
    place: Place = Place.BODY
    default: Any = REQUIRED
    sent: str = ""
    keyword: bool = False

    @property
    def wire(self) -> str:
        """Its name in the API."""
        return self.sent or f.wire_name(self.name)


class Gives(StrEnum):
    """What a method returns."""

    VALUE = "value"  # one record
    ANY = "any"  # the JSON as it is
    ITEMS = "items"  # a record with `results`, each of which must be read whatever the status was
    LIST = "list"  # a `Listing` of records
    HANDLE = "handle"  # a `Handle`, to await the outcome
    HANDLES = "handles"  # one `Handle` per item
    ADDRESS = "address"  # where to upload a file


_RETURNS = {Gives.LIST: "Listing[{}]", Gives.HANDLE: "Handle", Gives.HANDLES: "tuple[Handle, ...]"}


@dataclass(frozen=True)
class Operation:
    """One endpoint.

    Attributes
    ----------
    name : str
        Group and method: ``posts.create`` is ``client.posts.create``.
    at : int or str
        The row of the matrix, which has its method and path; for other endpoints these, such as ``GET /v1/posts/:id``.
    takes : tuple of Field
        Its parameters; those of the path in the path's order.
    gives : Gives
        What it returns.
    record : str
        The type of a record, in `voxops.api.records`; `Presigned` is the client's.
    says : str
        What it does, in one line.
    more : str
        The docstring's second paragraph.
    returns : str
        What the result means.
    key : bool
        Whether it takes an idempotency key.
    read_first : bool
        Whether the subject is read before the act, since only a change shows that it was tried again.
    rule : callable or None
        Checks the values together, by their names in the API.
    """

    name: str
    at: int | str
    takes: tuple[Field, ...]
    gives: Gives
    record: str
    says: str
    more: str = ""
    returns: str = ""
    key: bool = True
    read_first: bool = False
    rule: Callable[[Mapping[str, Any]], object] | None = None

    @cached_property
    def row(self) -> Endpoint | None:
        """Its row of the matrix."""
        return next((row for row in MATRIX if row.row == self.at), None)

    @property
    def call(self) -> tuple[str, str]:
        """Method and path."""
        method, _, path = str(self.row or self.at).partition(" ")
        return method, path

    @property
    def kind(self) -> str | None:
        """The kind of thing whose record shows the outcome, None if the answer is the outcome."""
        return None if self.row is None else polled(self.row)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The parameters of the method: a write that may be repeated takes a key."""
        keyed = self.key and self.row is not None and self.row.resend is not Resend.NEVER
        return (*self.takes, KEY) if keyed else self.takes

    @property
    def returned(self) -> str:
        """The annotation of the result."""
        return _RETURNS.get(self.gives, "{}").format(self.record)


def _id(name: str, says: str, check: Check = ident, sent: str = "id") -> Field:
    return Field(name, "str", says, check, Place.PATH, sent=sent)


def _query(name: str, kind: str, says: str, check: Check = as_is, sent: str = "") -> Field:
    return Field(name, f"{kind} | None", says, check, Place.QUERY, None, sent, keyword=True)


def _whole(name: str, kind: str, says: str, check: Check = mapping, default: Any = REQUIRED) -> Field:
    return Field(name, kind, says, check, Place.WHOLE, default)


def _option(name: str, kind: str, says: str, check: Check = as_is, sent: str = "") -> Field:
    return Field(name, f"{kind} | None", says, check, default=None, sent=sent, keyword=True)


def _platform(name: str, value: Any) -> str:
    return ident(name, value).lower()


def _returns_to(_: str, value: Any) -> dict[str, Any]:
    return {CONNECT_RETURN: value}


def _excludes(name: str, other: str) -> Callable[[Mapping[str, Any]], None]:
    def check(values: Mapping[str, Any]) -> None:
        if name in values and other in values:
            refuse(name, f"can't be used with {other}")

    return check


def _changes(values: Mapping[str, Any]) -> None:
    if not values:
        refuse("webhook", "nothing to change")


POST_ID = _id("post_id", "Id of the post.")
TARGET_ID = _id("target_id", "The target's ``postPlatformId``, which only a single post shows.")
ACCOUNT_ID = _id("account_id", "Id of the account.")
MEDIA_ID = _id("media_id", "Id of the media file.")
WEBHOOK_ID = _id("webhook_id", "Id of the webhook.")
DELIVERY_ID = _id("delivery_id", "Id of the delivery.")
TO_CONNECT = _id("platform", "Such as ``linkedin``.", _platform, "platform")

STATUS = _query("status", "str", "One status, or ``all``; not every server supports each filter.")
MEDIA_STATUS = _query("status", "str", "``pending processing ready failed``; by default all.")
ACCOUNT_STATUS = _query(
    "status", "str", "``active inactive error disconnected all``; by default the API omits disconnected ones."
)
PLATFORM = _query("platform", "str", "One platform.")
SINCE = _query("since", "datetime | str", "First instant; ISO text needs an offset.", instant, "from")
UNTIL = _query("until", "datetime | str", "Last instant; ISO text needs an offset.", instant, "to")
PAGE_SIZE = Field(
    "page_size", "int", "Records per page, 1 to 100.", place=Place.QUERY, default=PAGE_RECORDS, sent="limit", keyword=True
)  # fmt: skip
PERIOD = (
    _query("start", "datetime", "First instant; the API's default is 30 days.", sent="startDate"),
    _query("end", "datetime", "Last instant; the API may shorten a longer period.", sent="endDate"),
)
BODY = _whole("body", "Mapping[str, Any] | None", "More fields; they pass through.", default=None)
WEB_FILE = Field("url", "str", "https address of the file.", https)
FILE_NAME = _option("filename", "str", "Its name.")
VALUE, ANY, ITEMS, LIST = Gives.VALUE, Gives.ANY, Gives.ITEMS, Gives.LIST
HANDLE, HANDLES, ADDRESS = Gives.HANDLE, Gives.HANDLES, Gives.ADDRESS

KEY = Field(
    "idempotency_key", "str | None",
    "Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.",
    place=Place.OPTION, default=None, sent="idempotency_key", keyword=True,
)  # fmt: skip

# Group -> its docstring.
GROUPS: Mapping[str, str] = {
    "posts": """Posts of the workspace.

    Every method sends at once, and sends again only as its row of the matrix allows, under the same key. Only a plan
    (``ws.run(plan)``) prevents duplicates *across calls, kernels and crashes*; here the caller must pass the same `idempotency_key`
    for the same request.""",
    "accounts": "Social accounts that the workspace may post to.",
    "analytics": "Figures of posts, accounts and the workspace, as the API sends them, in several shapes (contract: 8.7).",
    "media": "Images, videos, documents and captions; posts refer to them by id once their status is ``ready``.",
    "webhooks": "Webhooks of the workspace, and their delivery history.",
    "uploads": "Uploads of files from this machine.",
}

# fmt: off
ENDPOINTS: tuple[Operation, ...] = (
    # -- posts
    Operation("posts.list", "GET /v1/posts", (
        STATUS, PLATFORM, _query("account", "str", "One account id.", sent="accountId"), SINCE, UNTIL, PAGE_SIZE,
    ), LIST, "Post", "Read posts, newest created first."),
    Operation("posts.get", "GET /v1/posts/:id", (POST_ID,), VALUE, "Post", "Read one post."),
    Operation("posts.create", 1, (_whole("fields", "PostFields", "The post; it needs a content and accounts.", f.new_post),),
              VALUE, "Post", "Create a post; without `scheduled_for` or `queue` it is a draft."),
    Operation("posts.update", 2, (
        POST_ID, _whole("fields", "PostFields", "The fields to change; None clears a field.", f.changed_post),
        Field("version", "str | None", "The post's ``updatedAt`` as last read; a ConflictError then means that it changed after that.",
              f.VERSION, Place.OPTION, None, keyword=True),
    ), VALUE, "Post", "Update a draft or scheduled post."),
    Operation("posts.delete", 3, (POST_ID,), VALUE, "Deleted", "Delete a draft or scheduled post.", returns="``{}`` if the answer has no body."),
    Operation("posts.publish", 4, (POST_ID,), HANDLE, "Post", "Queue a post for publication."),
    Operation("posts.retry", 5, (POST_ID,), HANDLE, "Post", "Queue every failed, pending and stuck target of a post again.", read_first=True,
              returns="``accepted`` lists ``retriedPlatforms`` and ``skippedPlatforms``."),
    Operation("posts.cancel", 6, (POST_ID,), VALUE, "Post", "Cancel a draft or scheduled post."),
    Operation("posts.clone", 7, (POST_ID,), VALUE, "Post", "Clone a post into a new draft."),
    Operation("posts.duplicate", 8, (POST_ID, BODY), VALUE, "Post", "Duplicate a post; its fields are not documented."),
    Operation("posts.unpublish", 9, (POST_ID, BODY), VALUE, "Post", "Unpublish a post."),
    Operation("posts.fix", 10, (
        POST_ID, TARGET_ID, _option("content", "str", "New text on that platform only.", f.CONTENT),
        _option("media_url", "str", "https address of the new media.", https),
        Field("refresh_media", "bool", "Re-encode the first image as JPEG; not together with `media_url`.", if_true, default=False, keyword=True),
    ), HANDLE, "Post", "Fix one target of a post and queue it again; without changes it is only queued again.", read_first=True,
        rule=_excludes("refreshMedia", "mediaUrl")),
    Operation("posts.bulk", 11, (
        Field("posts", "Sequence[PostFields]", "1 to 50; each needs a time, unless it is a dry run.", f.bulk_posts),
        Field("dry_run", "bool", "Only validate them.", default=False, keyword=True),
    ), ITEMS, "BulkResult", "Create up to 50 posts in one request.", rule=f.each_has_a_time),
    Operation("posts.bulk_video", 12, (
        Field("videos", "Sequence[Mapping[str, Any]]", "Items pass through; only ``content`` and ``scheduledFor`` are checked.", f.bulk_videos),
    ), ITEMS, "BulkResult", "Create up to 20 video posts in one request."),
    Operation("posts.validate", 13, (
        Field("content", "str", "Its text.", keyword=True),
        Field("platforms", "Sequence[str]", "In any case.", f.platforms_to_validate, keyword=True),
        _option("media_ids", "Sequence[str]", "Its media, by id.", f.texts),
        _option("media", "Sequence[Mapping[str, Any]]", "Its media, as ``{type, url?, mimeType?, sizeBytes?, durationMs?}``.", f.validated_media),
        _option("first_comment", "str", "Its first comment."),
        _option("platform_metadata", "Mapping[str, Any]", "As in `PostFields`."),
    ), VALUE, "Validation", "Validate a post for each platform, without creating it.", key=False),
    Operation("posts.set_recurrence", 14, (POST_ID, _whole("rule", "Mapping[str, Any]", "The rule; it passes through.")),
              VALUE, "Post", "Set a post's recurrence."),
    Operation("posts.update_recurrence", 15, (POST_ID, _whole("changes", "Mapping[str, Any]", "The changes; they pass through.")),
              VALUE, "Post", "Change a post's recurrence."),
    Operation("posts.delete_recurrence", 16, (POST_ID,), VALUE, "Deleted", "Delete a post's recurrence."),
    # -- accounts
    Operation("accounts.list", "GET /v1/accounts", (
        ACCOUNT_STATUS, PLATFORM,
        Field("include_archived", "bool", "Include archived ones; the API ignores it if `status` is given.", if_true, Place.QUERY, False, keyword=True),
        PAGE_SIZE,
    ), LIST, "Account", "Read accounts."),
    Operation("accounts.get", "GET /v1/accounts/:id", (ACCOUNT_ID,), VALUE, "Account", "Read one account."),
    Operation("accounts.pages", "GET /v1/accounts/:id/pages", (ACCOUNT_ID,), ANY, "Any", "Read the pages that an account may post to."),
    Operation("accounts.connect", 17, (
        TO_CONNECT, _whole("return_url", "str | None", "Address that the browser returns to.", _returns_to, None),
    ), VALUE, "Consent", "Start to connect an account.",
        returns="``state``, and the address at which the account's owner consents: ``authUrl``, ``authorizationUrl`` or ``url``."),
    Operation("accounts.callback", 18, (
        TO_CONNECT, Field("code", "str", "The code of the consent."), Field("state", "str", "The state of the consent."),
    ), VALUE, "Connected", "Finish connecting an account: never sent again, because a code can't be replayed.",
        "After a TransportError or ServerError, check `list` before you connect again."),
    Operation("accounts.delete", 19, (ACCOUNT_ID,), VALUE, "Deleted", "Disconnect an account.", returns="``{}`` if the answer has no body."),
    Operation("accounts.refresh", 20, (ACCOUNT_ID,), VALUE, "Success", "Refresh an account's token.", returns="``success`` says whether it worked."),
    Operation("accounts.test", 21, (ACCOUNT_ID,), VALUE, "Success", "Test an account.", returns="``success`` reports its health, the HTTP status does not."),
    Operation("accounts.select_page", 22, (
        ACCOUNT_ID, Field("page_id", "str", "Id of the page; an empty one clears the selection.", f.page_id),
        Field("page_name", "str | None", "Name of the page.", default=None),
    ), VALUE, "Success", "Select the page that an account posts to."),
    Operation("accounts.backfill", 23, (ACCOUNT_ID, BODY), HANDLE, "Account", "Backfill an account's analytics."),
    # -- analytics; these reads are not in the matrix
    Operation("analytics.post", "GET /v1/analytics/posts/:id", (POST_ID, *PERIOD), ANY, "Any", "Read the figures of one post."),
    Operation("analytics.account", "GET /v1/analytics/accounts/:id", (ACCOUNT_ID, *PERIOD), ANY, "Any", "Read the figures of one account."),
    Operation("analytics.overview", "GET /v1/analytics/overview", PERIOD, ANY, "Any", "Read the figures of the whole workspace."),
    # -- media
    Operation("media.list", "GET /v1/media", (MEDIA_STATUS, PAGE_SIZE), LIST, "MediaFile", "Read media."),
    Operation("media.get", "GET /v1/media/:id", (MEDIA_ID,), VALUE, "MediaFile", "Read one media file.", returns="Its status may come in either case."),
    Operation("media.delete", 25, (MEDIA_ID,), VALUE, "Deleted", "Delete a media file.", returns="``{}`` if the answer has no body."),
    Operation("media.validate", 26, (MEDIA_ID,), HANDLE, "MediaFile", "Let the API validate a media file again."),
    Operation("media.register", 27, (WEB_FILE, Field("content_type", "str", "Such as ``image/jpeg``."), FILE_NAME),
              VALUE, "MediaFile", "Register a file on the web as a media file.", returns="Its id is ``id``, not ``mediaId``."),
    Operation("media.bulk_validate", 30, (Field("media_ids", "Sequence[str]", "1 to 100 ids.", f.media_ids, sent=BULK_VALIDATE_LIST),),
              HANDLES, "MediaFile", "Let the API validate many media files again.",
              returns="One per id, in their order; ``accepted`` is the item's result, ``{}`` if it has none. An item of status ``failed`` was not queued."),
    Operation("media.import_from_url", 31, (WEB_FILE, FILE_NAME, _option("content_type", "str", "Such as ``image/jpeg``.")),
              HANDLE, "MediaFile", "Let the API import a file from the web; ``metadata.importStatus`` shows its status."),
    Operation("media.import_from_drive", 32, (Field("file_id", "str", "Id of the file in the drive.", ident, sent=DRIVE_FILE), BODY),
              HANDLE, "MediaFile", "Let the API import a file from a connected drive."),
    # -- webhooks
    Operation("webhooks.list", "GET /v1/webhooks", (PAGE_SIZE,), LIST, "Webhook", "Read webhooks."),
    Operation("webhooks.get", "GET /v1/webhooks/:id", (WEBHOOK_ID,), VALUE, "Webhook", "Read one webhook."),
    Operation("webhooks.create", 34, (
        Field("url", "str", "Address that receives the events.", f.web_address),
        Field("events", "Sequence[str]", "Such as ``post.failed``; ``*`` for all.", f.event_names),
    ), VALUE, "Webhook", "Create a webhook.", returns="With its ``secret``, which no later read returns: store it, and don't print it."),
    Operation("webhooks.update", 35, (
        WEBHOOK_ID, _option("url", "str", "Address that receives the events.", f.web_address),
        _option("events", "Sequence[str]", "Such as ``post.failed``; ``*`` for all.", f.event_names), _option("enabled", "bool", "Whether it is on."),
    ), VALUE, "Webhook", "Update a webhook; None leaves a field unchanged.", rule=_changes),
    Operation("webhooks.delete", 36, (WEBHOOK_ID,), VALUE, "Deleted", "Delete a webhook.", returns="``{}`` if the answer has no body."),
    Operation("webhooks.rotate_secret", 37, (WEBHOOK_ID,), VALUE, "NewSecret", "Replace a webhook's secret: never sent again, because each call changes it.",
              "After a TransportError or ServerError the valid secret is unknown: rotate it once more by hand."),
    Operation("webhooks.test", 38, (Field("webhook_id", "str", "Id of the webhook, which must be enabled.", ident),),
              VALUE, "Delivery", "Send a test event to a webhook.", returns="Its ``success`` says whether it was accepted."),
    Operation("webhooks.deliveries", f"GET {DELIVERIES_PATH}", (
        WEBHOOK_ID, *(replace(field, sent=DELIVERIES_QUERY[field.name]) for field in (
            SINCE, UNTIL, _query("event_type", "str", "Such as ``post.failed``."), _query("success", "bool", "Only delivered, or only failed ones."),
        )), PAGE_SIZE,
    ), LIST, "Delivery", "Read a webhook's delivery history, newest first (assumed)."),
    Operation("webhooks.retry_delivery", 39, (WEBHOOK_ID, DELIVERY_ID), HANDLE, "Delivery", "Queue a delivery again.", read_first=True),
    # -- uploads; `voxops.client.uploads` sends files
    Operation("uploads.presign", 24, (
        Field("filename", "str", "Its name."), Field("content_type", "str", "Such as ``image/jpeg``."), Field("size", "int", "Its bytes.", sent="sizeBytes"),
    ), ADDRESS, "Presigned", "Request an upload address for a new media file.", returns="It is valid for 15 minutes.", rule=partial(f.file_item, "file")),
    Operation("uploads.bulk_presign", 28, (
        Field("files", "Sequence[Mapping[str, Any]]", "1 to 100 files as ``{filename, contentType, sizeBytes}``.", f.bulk_files, sent=BULK_PRESIGN_LIST),
    ), ITEMS, "BulkAddresses", "Request upload addresses for many media files."),
    Operation("uploads.bulk_video_urls", 29, (
        Field("videos", "Sequence[Mapping[str, Any]]", "1 to 20 files as ``{filename, contentType, sizeBytes}``.", f.bulk_video_files, sent=BULK_VIDEO_LIST),
    ), ITEMS, "BulkAddresses", "Request upload addresses for up to 20 videos of at most 20 GB in total."),
)
# fmt: on


# -- how the methods show themselves

_WIDTH = 128
_MEANS = {
    Gives.ANY: "As the API sends it.",
    Gives.ITEMS: "``results`` has one entry per item, identified by its ``index``; read each, whatever the HTTP status was.",
    Gives.LIST: "``async for`` yields its records, `pages` its pages; requests are sent then.",
    Gives.HANDLE: "``await`` it for the outcome.",
}


def signature_of(operation: Operation) -> Signature:
    """Return the signature of a method; annotations are text, as in any module with postponed ones."""
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)] + [
        Parameter(
            field.name, Parameter.KEYWORD_ONLY if field.keyword else Parameter.POSITIONAL_OR_KEYWORD,
            default=Parameter.empty if field.default is REQUIRED else field.default, annotation=field.type,
        )
        for field in operation.fields
    ]  # fmt: skip
    return Signature(parameters, return_annotation=operation.returned)


def docstring(operation: Operation) -> str:
    """Return the docstring of a method."""
    row = operation.row
    law = "a read; it may be sent again" if row is None else f"row {row.row} of the matrix; it {_resent(row)}"
    queued = "" if row is None or not row.is_async else "; a 2xx only means that it is queued"
    first = " The subject is read first: only a change shows that it was tried again." if operation.read_first else ""
    parts = [operation.says, fill(f"``{' '.join(operation.call)}``: {law}{queued}.{first} {operation.more}", _WIDTH)]
    if operation.fields:
        parts.append("Parameters\n----------\n" + "\n".join(map(_parameter, operation.fields)))
    means = " ".join(filter(None, (_MEANS.get(operation.gives, ""), operation.returns)))
    parts.append(f"Returns\n-------\n{operation.returned}" + (f"\n{_inner(means)}" if means else ""))
    unfit = "ValidationError\n    With status 0, if a value exceeds a documented limit: nothing was sent."
    when = "ApiError, TransportError, DecodeError, WaitTooLong\n    As for `AsyncClient.request`."
    parts.append(f"Raises\n------\n{unfit}\n{when}")
    return "\n\n".join(parts) + "\n"


def _resent(row: Endpoint) -> str:
    if may_resend(row, with_key=False):
        return "may be sent again"
    return "may be sent again under the same key only" if may_resend(row, with_key=True) else "is never sent again"


def _parameter(field: Field) -> str:
    kind = field.type.removesuffix(" | None") + ("" if field.default is REQUIRED else ", optional")
    return f"{field.name} : {kind}\n{_inner(field.says)}"


def _inner(text: str) -> str:
    return indent(fill(text, _WIDTH - 4), "    ")
