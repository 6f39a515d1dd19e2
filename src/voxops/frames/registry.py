"""The palette, and the registry of columns: what each is called, means and looks like, and which matter in which kind of frame.

Views, panels, reports, plans, Excel heads, ``vx.columns`` and the glossary come from it. A new column is one entry. So is a new kind of
frame, with its columns in the order of reading, the code and the message of a failure first.

The colours are Okabe and Ito's, which people with any of the common colour-vision deficiencies can tell apart, plus greys that are
visible on white and on black. A word or a glyph always says what a colour says.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import starmap
from typing import Any, NamedTuple

import pandas as pd

from voxops.model import Outcome, Verdict

_ORANGE, _SKY, _GREEN, _YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
_BLUE, _VERMILLION, _PURPLE = "#0072B2", "#D55E00", "#CC79A7"
_INK, _GREY, _PALE = "#646464", "#8C8C8C", "#C8C8C8"
_ONE = {"causes in weeks": "cause in a week", "deliveries": "delivery", "rows to mend": "row to mend"}
_UNITS = {"time": "UTC", "day": "zone of tz=", "share": "0 to 1"}
# fmt: off
# A name that means something else in one kind of frame stands as ``kind.name``, too.
# Name, title, meaning, kind and unit.
_COLUMNS: tuple[tuple[str, ...], ...] = (
    # posts
    ("post_id", "post", "Id of the post in the API.", "id"),
    ("status", "status", "Status of the post, such as scheduled, publishing, published or failed; in a targets frame, of the one target.", "word"),
    ("content", "text", "Text of the post."),
    ("content_type", "type", "Type of the post's content, such as text, image or video, as the API reports it."),
    ("scheduled_for", "scheduled", "Instant at which the post is due to go out; missing if it has none.", "time"),
    ("published_at", "published", "Instant at which the post or the target was published; missing before.", "time"),
    ("created_at", "created", "Instant at which the record was created, by the server's clock.", "time"),
    ("updated_at", "changed", "Instant of the post's last change.", "time"),
    ("targets", "platforms", "Targets of the post, one per platform and account.", "list"),
    ("failed_targets", "failed", "Number of targets of the post that failed.", "number", "targets"),
    ("tags", "tags", "Tags of the post; in a campaign sheet, text separated by semicolons.", "list"),
    ("metadata", "metadata", "Metadata object of the post, as the API returns it."),
    ("workspace_id", "workspace", "Id of the workspace; missing where the API does not return it.", "id"),
    ("owner", "owner", "Owner of the post, from the metadata field that owner_field= names.", "word"),
    ("campaign", "campaign", "Campaign of the post, from the metadata field that campaign_field= names.", "word"),
    # targets
    ("target_id", "target", "Id of the target; lists may omit it.", "id"),
    ("platform", "platform", "Platform in lower case, such as instagram or twitter.", "word"),
    ("account_id", "account id", "Id of the account on which the target is published.", "id"),
    ("account_name", "account", "Name of the account on its platform."),
    ("error_code", "error", "Code of the failure; missing without a failure or a code.", "word"),
    ("error_message", "message", "Message of the failure, as the platform or the API returned it."),
    ("retry_count", "retries", "Number of retries that the API reports; lists of posts may omit it.", "number", "retries"),
    ("platform_post_id", "platform's id", "Id of the published post on the platform.", "id"),
    ("platform_post_url", "link", "Address of the published post on the platform.", "link"),
    ("post_status", "post's status", "Status of the whole post, of which the row is one target."),
    # triage
    ("verdict", "verdict", "Next step: retry, wait, fix content, fix media, reconnect account, upgrade plan, ask support or nothing to do.", "word"),
    ("cause", "cause", "Cause of the failure: code, platform and message without its variable parts; missing without a problem."),
    ("remedy", "what to do", "How to mend the failure."),
    ("retryable", "can be retried", "True if a retry may succeed; set it to True to overrule the verdict."),
    # causes
    ("causes.platforms", "platforms", "Platforms on which the cause occurred, joined by commas."),
    ("causes.count", "targets", "Number of targets that failed by this cause.", "number", "targets"),
    ("posts", "posts", "Number of distinct posts among the rows of the cause.", "number", "posts"),
    ("causes.accounts", "accounts", "Number of distinct accounts among the failures.", "number", "accounts"),
    ("causes.retryable", "can be retried", "Number of the cause's targets that can be retried.", "number", "targets"),
    ("causes.first_seen", "first seen", "Earliest last change of a post that failed by this cause.", "time"),
    ("last_seen", "last seen", "Latest last change of a post that failed by this cause.", "time"),
    ("example", "example", "Message of one failure of the cause, in full."),
    ("owners", "owners", "Owners with the most failures of the cause, and how many."),
    ("week", "week", "Instant at which the week begins, Monday at midnight in the workspace's zone.", "day"),
    ("causes in weeks.targets", "targets", "Number of targets that failed by the cause on the platform in the week.", "number", "targets"),
    ("change", "change", "Name of the change under which each field of a post is set once, in a plan of changes."),
    ("causes by week.change", "change", "Trend of the cause: came back, new, worse, recurring or gone."),
    ("rows", "rows", "Number of rows in the last span.", "number", "rows"),
    ("last_week", "span before", "Number of rows in the span before the last.", "number", "rows"),
    ("before", "before", "Number of rows in the time before both spans.", "text", "rows"),
    # deliveries
    ("delivery_id", "delivery", "Id of the webhook delivery.", "id"),
    ("webhook_id", "webhook", "Id of the webhook.", "id"),
    ("event_type", "event", "Type of the event, such as post.failed.", "word"),
    ("url", "address", "Address of the receiver, shown without its query.", "address"),
    ("success", "success", "True if the receiver accepted the delivery, False if it failed, missing while in flight.", "flag"),
    ("status_code", "HTTP", "HTTP status of the receiver's last response; missing without a response.", "number", "HTTP status"),
    ("latency_ms", "ms", "Duration of the last attempt until the receiver's response.", "number", "ms"),
    ("error", "error", "Error of the last attempt, as the API reports it."),
    ("response_body", "response", "Body of the receiver's last response."),
    ("delivered_at", "delivered", "Instant at which the receiver accepted the delivery.", "time"),
    ("deliveries.retry_count", "retries", "Number of attempts after the first.", "number", "attempts"),
    ("why", "why", "Reason why a delivery is lost, or why an account is at risk."),
    ("rows that did not go.why", "why", "Reason why the row did not go: that of its failure, of its block, or of the plan."),
    ("rows that did not go.campaign", "campaign", "Name of the campaign under which the row would be created."),
    ("reason_code", "reason code", "Code of the reason beside it."),
    # statistics of deliveries
    ("hour", "hour", "Instant at which the hour begins.", "time", "zone of tz="),
    ("day", "day", "Instant at which the day begins, at midnight.", "day"),
    ("month", "month", "Instant at which the month begins.", "day"),
    ("deliveries", "deliveries", "Number of deliveries in the group.", "number", "deliveries"),
    ("statistics.succeeded", "delivered", "Number of deliveries that the receiver accepted.", "number", "deliveries"),
    ("statistics.failed", "failed", "Number of deliveries whose last attempt failed.", "number", "deliveries"),
    ("in_flight", "in flight", "Number of deliveries without a result yet.", "number", "deliveries"),
    ("success_rate", "success rate", "Share of succeeded deliveries among those that succeeded or failed.", "share"),
    ("delivered_by_1", "by attempt 1", "Share of deliveries that succeeded by attempt 1.", "share"),
    ("delivered_by_2", "by attempt 2", "Share of deliveries that succeeded by attempt 2.", "share"),
    ("delivered_by_3", "by attempt 3", "Share of deliveries that succeeded by attempt 3.", "share"),
    ("attempts", "attempts", "Number of attempts of all deliveries in the group.", "number", "attempts"),
    ("attempts_mean", "attempts each", "Mean number of attempts per delivery.", "number", "attempts"),
    ("p50_ms", "median latency", "Latency that half of the deliveries do not exceed.", "number", "ms"),
    ("p95_ms", "p95 latency", "Latency that 95 % of the deliveries do not exceed.", "number", "ms"),
    ("p99_ms", "p99 latency", "Latency that 99 % of the deliveries do not exceed.", "number", "ms"),
    # outages and duplicates
    ("start", "start", "Instant of the first delivery of the outage whose first attempt failed.", "time"),
    ("end", "end", "Instant of the last delivery of the outage whose first attempt failed.", "time"),
    ("recovered_at", "recovered", "Instant of the next delivery that succeeded at its first attempt; missing if there is none yet.", "time"),
    ("failed_first", "failed at first", "Number of deliveries in the outage whose first attempt failed.", "number", "deliveries"),
    ("lost", "lost", "Number of deliveries in the outage that still failed at the end.", "number", "deliveries"),
    ("failure_rate", "failing", "Share of deliveries in the outage whose first attempt failed.", "share"),
    ("symptom", "symptom", "Most frequent error of the outage."),
    ("outages.deliveries", "deliveries", "Number of deliveries to the receiver during the outage.", "number", "deliveries"),
    ("first_at", "first", "Instant of the first copy.", "time"),
    ("last_at", "last", "Instant of the last copy.", "time"),
    ("copies", "copies", "Number of deliveries of the same event to one webhook.", "number", "deliveries"),
    ("duplicates.delivered", "delivered", "Number of copies that the receiver accepted.", "number", "deliveries"),
    ("evidence", "evidence", "Evidence that the copies are one event: same delivery, same event or same instant."),
    ("delivery_ids", "deliveries", "Ids of the copies."),
    # accounts and risk
    ("accounts.account_id", "account id", "Id of the account in the API.", "id"),
    ("accounts.status", "status", "Status of the account's connection, such as active or expired."),
    ("username", "account", "Name of the account on its platform."),
    ("scope_status", "permissions", "State of the account's permissions, such as ok or degraded."),
    ("scope_message", "scope message", "Message of the API about missing permissions."),
    ("checked_at", "checked", "Instant of the account's last check; missing before the first.", "time"),
    ("works", "works", "True if the account passed its last check, False if not; missing if it could not be tried."),
    ("check_message", "check message", "Message of the API at the last check."),
    ("refreshed", "renewed", "True if the account's token was renewed before the check."),
    ("tried", "tries", "Number of tries of this ledger at the target; in a posts frame, what it knows of each target.", "number", "tries"),
    ("sync_withdrew_at", "withdrawn by a sync", "Instant at which a sync of this ledger has withdrawn the post.", "time"),
    ("accounts.tried", "published or failed", "Number of the account's targets that were published or failed within seven days.", "number", "targets"),
    ("accounts.failed", "failed", "Number of the account's targets that failed within seven days.", "number", "targets"),
    ("failure_share", "failing", "Share of the account's targets of the last seven days that failed.", "share"),
    ("commonest_cause", "commonest cause", "Most frequent cause of the account's recent failures."),
    ("last_failed_at", "last failure", "Instant of the account's last failure.", "time"),
    ("scheduled", "scheduled", "Number of targets that wait to go out on the account.", "number", "targets"),
    ("next_at", "next", "Instant at which the account's next target is due.", "time"),
    ("accounts.owners", "owners", "Owners of the posts that wait to go out on the account.", "text"),
    ("campaigns", "campaigns", "Campaigns of the posts that wait to go out on the account.", "text"),
    ("risk", "risk", "Risk of the account: its inactive status, degraded or failing; missing without one.", "word"),
    # webhooks
    ("events", "events", "Types of events that the webhook receives."),
    ("enabled", "enabled", "True if the API sends events to the webhook."),
    ("failure_count", "failures", "Number of failures that the API counts for the webhook.", "number", "failures"),
    ("last_delivery_at", "last delivery", "Instant of the webhook's last delivery.", "time"),
    # campaign sheets and findings
    ("row_id", "row", "Key of the row in the campaign sheet.", "id"),
    ("accounts", "accounts", "Accounts of the row: ids or platform:@name, separated by semicolons.", "list"),
    ("account_ids", "account ids", "Account ids of the row, instead of accounts, separated by semicolons."),
    ("campaign rows.scheduled_for", "scheduled", "Time of the row as text, with its offset.", "number", "ISO text"),
    ("media", "media", "Files, https addresses or ids of media, separated by semicolons."),
    ("campaign rows.media_id", "media ids", "Ids of the row's media once they are uploaded, separated by semicolons."),
    ("media_sha256", "hashes", "Hashes of the row's files, or the addresses, in the order of media, separated by semicolons."),
    ("media_uploaded", "uploaded", "Cell media of the row, as it was uploaded."),
    ("media_error", "upload failed", "Sentence that says why the media of the row are not uploaded."),
    ("first_comment", "first comment", "Text of the first comment below the post."),
    ("findings.rows", "rows", "Positions of the rows that have the finding, from 0.", "list", "from 0"),
    ("endpoints.row", "row", "Number of the endpoint in the capability matrix.", "text", "1 to 39"),
    ("created posts.row", "row", "Key of the run's row that created the post."),
    ("posts.row", "row", "Key of the run's row that created the post, or of which it is a copy."),
    ("sheet_row", "sheet row", "Row number of the spreadsheet.", "text", "from 1"),
    ("cell", "cell", "Cells of the spreadsheet, such as D7 or C3:C97.", "word"),
    ("column", "column", "Column of the sheet that the finding is about.", "word"),
    ("level", "level", "Weight of the finding: an error can't be sent, a warning needs a look.", "word"),
    ("code", "code", "Code of the finding, the API's own if it has one.", "word"),
    ("message", "message", "Sentence that says what is wrong and how to mend it."),
    # uploads
    ("uploads.path", "path", "Path of the file, as it was given."),
    ("name", "file", "Name of the file."),
    ("media_id", "media", "Id of the media file, for posts.", "id"),
    ("uploads.status", "status", "State of the file: ready for posts, or failed.", "word"),
    ("bytes", "size", "Size of the file.", "number", "bytes"),
    ("reused", "reused", "True if the file had been uploaded before, so no bytes were sent."),
    # plans
    ("act", "act", "Name of the act that would be sent; missing if the row is not eligible.", "word"),
    ("eligible", "sent", "True if the row would be sent.", "flag"),
    ("reason", "reason", "Reason why the row would be sent, or why not; in runs and the ledger, the reason given by the user."),
    ("rows to mend.reason", "reason", "Why the row has failed or is blocked: what a person must mend."),
    ("campaigns.campaign", "campaign", "Name of the campaign, as it was written last."),
    ("campaigns.rows", "rows", "Number of rows that were sent or have posts.", "number", "rows"),
    ("campaigns.first_at", "first", "Instant at which the first row was created.", "time"),
    ("campaigns.last_at", "last", "Instant at which the last row was created.", "time"),
    ("rows to mend.campaign", "campaign", "Name of the campaign under which the row is created."),
    ("runs.reason", "reason", "Reason that was given for the run, for the audit trail."),
    ("ledger rows.reason", "reason", "Reason that was given for the run, for the audit trail."),
    ("attempt", "attempt", "Number of the logical attempt; a new attempt has a new key.", "text", "from 1"),
    ("batch", "batch", "Number of the batch in which the row would be sent.", "text", "from 1"),
    ("idempotency_key", "key", "Idempotency key of the request; missing while accounts are named but not resolved.", "id"),
    ("request", "request", "Method and path of the request.", "word"),
    ("now_content", "text now", "Text that the post shows, where it is to change."),
    ("now_scheduled_for", "time now", "Instant at which the post is scheduled, where it is to change.", "time"),
    ("now_tags", "tags now", "Tags of the post, where they are to change."),
    ("now_account_ids", "accounts now", "Accounts of the post, where they are to change."),
    ("override", "override", "True where the sheet wins over what somebody has edited in the dashboard."),
    ("new_content", "new text", "Text that the post would get."),
    ("new_media_url", "new media", "Address of the media file that the target would get.", "address"),  # it may be signed
    ("new_scheduled_for", "new time", "Instant at which the post would go out.", "time"),
    ("new_tags", "new tags", "Tags that the post would get."),
    ("new_account_ids", "new accounts", "Accounts on which the post would go out."),
    ("again", "again", "True if the delivery is sent again on purpose, though it was rejected or sent before."),
    ("force", "force", "True if the row is sent although an account is unknown, or known to be unable to publish."),
    ("twin", "duplicate", "True if a duplicate of the row is intended."),
    # results
    ("status_before", "status before", "Status of the post, target or delivery when it was planned; missing for creates."),
    ("outcome", "outcome", "Outcome of the row: succeeded, failed, pending, unknown or blocked.", "word"),
    ("waiting_for", "waits for", "Reason why the row is not settled, or what a person must do."),
    ("withdrawn", "withdrawn", "Status and instant at which the created post was withdrawn or deleted; missing otherwise.", "word"),
    ("tries", "tries", "Number of times that the request was sent under its key.", "number", "tries"),
    ("http_status", "HTTP", "HTTP status of the last response to the request.", "text", "HTTP status"),
    ("result_id", "result", "Id of the post or record that the act created or changed.", "id"),
    ("settled_at", "settled", "Instant at which the outcome became final, by the server's clock.", "time"),
    ("notice", "notice", "Possible duplicate of the row, or its known copies."),
    ("id", "id", "Id of the watched post, media file, account or delivery."),
    ("copy_of", "copy of", "Id of the post to keep, of which the row is a copy."),
    ("created_by_run", "by this run", "False if an earlier run or another ledger created the post."),
    ("last_outcome", "last outcome", "Outcome of this ledger's last try at the target."),
    ("last_code", "last error", "Code of the failure of this ledger's last try at the target."),
    ("last_tried_at", "last tried", "Instant at which this ledger's last try at the target ended, or was sent.", "time"),
    # runs and the ledger
    ("run", "run", "Id of the run, for ws.attach().", "id"),
    ("action", "act", "Act of the run, such as retry or create.", "word"),
    ("runs.campaign", "campaign", "Name that tells apart two creates of the same row; empty for other acts."),
    ("results.campaign", "campaign", "Name of the campaign under which the row was created."),
    ("state", "state", "State of the run, such as running, paused or done.", "word"),
    ("ledger rows.state", "state", "State of the request: unsent, that of its open call, or settled."),
    ("who", "who", "User and machine that started the run.", "word"),
    ("note", "note", "Sentence about the run, such as why it stopped."),
    ("endpoints.note", "note", "Remark of the API's page on the endpoint."),
    ("succeeded", "succeeded", "Number of the run's rows that succeeded.", "number", "rows"),
    ("failed", "failed", "Number of the run's rows that failed.", "number", "rows"),
    ("pending", "pending", "Number of rows without a final outcome yet.", "number", "rows"),
    ("unknown", "unknown", "Number of the run's rows whose request was sent and whose outcome is not known.", "number", "rows"),
    ("blocked", "blocked", "Number of rows that a person must change before they can be sent.", "number", "rows"),
    ("mended", "mended", "Number of failed and blocked rows that a later run has mended.", "number", "rows"),
    ("runs.withdrawn", "withdrawn", "Number of succeeded rows whose posts were withdrawn or deleted since.", "number", "rows"),
    ("runs.created_at", "started", "Instant at which the run was started.", "time"),
    ("item", "item", "Post, delivery or row of the sheet that the request is about.", "id"),
    ("method", "method", "HTTP method of the request."),
    ("path", "path", "Path of the request."),
    ("first_sent_at", "first sent", "Instant of the first try.", "time"),
    ("last_sent_at", "last sent", "Instant of the last try.", "time"),
    # matrix
    ("group", "group", "Group of the endpoint: posts, accounts, media or webhooks."),
    ("idempotent", "idempotent", "True if the server recognises a repeated idempotency key."),
    ("asynchronous", "queued", "True if a 2xx only means queued and is no outcome."),
    ("partial", "partial", "True if the call can half succeed, so that each item must be read."),
    ("emits", "events", "Webhook events that follow the call, joined by commas."),
    ("resend", "again", "Whether the call may be sent again after an ambiguous failure: safe, with key or never."),
    ("polled", "poll", "Resource to poll until the call has ended; empty for none."),
    ("inferred", "inferred", "Names of the cells that are inferred, not quoted from the API's page."),
    # reports and plans
    ("explained columns.column", "column", "Name of the column in the frame."),
    ("explained columns.title", "title", "Title of the column in views, panels, reports and workbooks."),
    ("explained columns.meaning", "meaning", "What the column is, in one sentence; missing for a column that voxops does not know."),
    ("explained columns.unit", "unit", "Unit of the column's numbers or times; missing for text."),
    ("explained columns.dtype", "dtype", "The column's dtype in pandas."),
    ("after", "after", "Value that is requested, in a plan of changes."),
    ("what", "what", "What must be done, in a report.", "word"),
)


class Look(NamedTuple):
    """A colour as ``#rrggbb``, and a glyph."""

    colour: str
    glyph: str


OTHER = Look(_GREY, "·")  # for values without a look

OUTCOME: Mapping[str, Look] = {
    Outcome.SUCCEEDED: Look(_GREEN, "✓"),
    Outcome.FAILED: Look(_VERMILLION, "✗"),
    Outcome.PENDING: Look(_SKY, "…"),
    Outcome.UNKNOWN: Look(_PURPLE, "?"),
    Outcome.BLOCKED: Look(_ORANGE, "⊘"),
}

VERDICT: Mapping[str, Look] = {
    Verdict.RETRY: Look(_BLUE, "↻"),
    Verdict.WAIT: Look(_SKY, "…"),
    Verdict.FIX_CONTENT: Look(_ORANGE, "✎"),
    Verdict.FIX_MEDIA: Look(_YELLOW, "▣"),
    Verdict.RECONNECT: Look(_VERMILLION, "⇄"),
    Verdict.UPGRADE: Look(_PURPLE, "↑"),
    Verdict.SUPPORT: Look(_INK, "?"),
    Verdict.NOTHING: Look(_PALE, "–"),
}

# Statuses of posts, of their platforms, and of accounts.
STATUS = {
    "published": Look(_GREEN, "✓"),
    "partial": Look(_ORANGE, "◐"),
    "failed": Look(_VERMILLION, "✗"),
    "publishing": Look(_SKY, "…"),
    "pending": Look(_SKY, "…"),
    "scheduled": Look(_BLUE, "◷"),
    "approved": Look(_BLUE, "◷"),
    "pending_approval": Look(_YELLOW, "◔"),
    "draft": Look(_GREY, "✎"),
    "cancelled": Look(_PALE, "⊘"),
    "unpublished": Look(_PALE, "⊘"),
    "archived": Look(_PALE, "⊘"),
    # and those of accounts
    "active": Look(_GREEN, "✓"),
    "expired": Look(_VERMILLION, "✗"),
    "error": Look(_VERMILLION, "✗"),
    "disconnected": Look(_PALE, "⊘"),
}

# Nobody can tell fifteen colours apart: the commonest platforms have a colour, the rest share the grey.
PLATFORM = {
    "linkedin": Look(_BLUE, "●"),
    "twitter": Look(_INK, "●"),
    "instagram": Look(_PURPLE, "●"),
    "facebook": Look(_SKY, "●"),
    "bluesky": Look(_GREEN, "●"),
    "threads": Look(_ORANGE, "●"),
    "youtube": Look(_VERMILLION, "●"),
    "tiktok": Look(_YELLOW, "●"),
}
LOOKS = {"outcome": OUTCOME, "platform": PLATFORM, "status": STATUS, "verdict": VERDICT, "what": VERDICT}  # of columns


def look(table: Mapping[str, Look], value: object) -> Look:
    """Return the look of a value, by its lower-case text; `OTHER` for values without a look."""
    return table.get(str(value).lower(), OTHER)




class Column(NamedTuple):
    """One column.

    Attributes
    ----------
    name, title : str
        Name in the frame, and title for people.
    meaning : str
        What it is, in one sentence.
    kind : str
        ``word`` (of a small vocabulary), ``text``, ``id``, ``time``, ``day``, ``number``, ``share`` (0 to 1, shown in percent), ``flag``,
        ``list``, ``address`` (of a webhook, which may contain a secret) or ``link``.
    unit : str
        Unit of its numbers; by default that of its kind.
    """

    name: str
    title: str
    meaning: str = ""
    kind: str = "text"
    unit: str = ""

    @property
    def right(self) -> bool:
        """Whether it is aligned right."""
        return self.kind in {"number", "share"}


class Kind(NamedTuple):
    """A kind of frame: its name, the columns by which it is recognised, and those that matter, most first.

    `order` is the column by which rows that need no action come last.
    """

    name: str
    known_by: frozenset[str]
    columns: tuple[str, ...]
    order: str = ""

    @property
    def one(self) -> str:
        """The name of one row."""
        return _ONE.get(self.name, self.name.removesuffix("s"))


# fmt: on
COLUMNS: Mapping[str, Column] = {
    column.name: column._replace(unit=column.unit or _UNITS.get(column.kind, ""))
    for column in starmap(Column, _COLUMNS)
}


def _kind(name: str, known_by: str, columns: str = "", order: str = "") -> Kind:
    return Kind(name, frozenset(known_by.split()), tuple(columns.split()), order)


# The most specific kinds first: a plan of triaged rows is a plan.
KINDS: tuple[Kind, ...] = (
    _kind(
        "rows that did not go",
        "outcome why eligible idempotency_key",
        "outcome why row_id accounts scheduled_for content post_id",
    ),
    _kind(
        "results",
        "outcome eligible settled_at",
        "outcome error_code error_message waiting_for withdrawn row_id owner platform account_name accounts new_scheduled_for new_content "
        "content post_id event_type url delivery_id cause scheduled_for tries settled_at result_id",
        "outcome",
    ),
    _kind(
        "planned rows",
        "eligible reason idempotency_key",
        "eligible reason row_id owner cause platform account_name accounts new_content now_content new_scheduled_for now_scheduled_for "
        "new_tags now_tags new_account_ids now_account_ids new_media_url content media scheduled_for event_type url status_code post_id delivery_id attempt",
        "eligible",
    ),
    _kind(
        "rows to mend",
        "reason reason_code outcome",
        "reason reason_code outcome row_id platform account_name accounts scheduled_for content post_id event_type url attempt",
    ),
    _kind(
        "ledger rows",
        "item outcome idempotency_key first_sent_at",
        "outcome error_code error_message waiting_for action item platform who last_sent_at reason attempt tries settled_at",
    ),
    _kind(
        "runs",
        "action state who succeeded failed",
        "run action state created_at succeeded failed pending unknown blocked reason withdrawn who campaign note",
    ),
    _kind("campaigns", "campaign rows first_at last_at"),
    _kind(
        "causes",
        "cause verdict remedy count posts",
        "verdict cause remedy count posts owners accounts platforms first_seen last_seen example",
    ),
    _kind(
        "triaged targets",
        "cause verdict remedy platform",
        "verdict cause remedy owner campaign platform account_name content updated_at post_id",
        "cause",
    ),
    _kind(
        "causes by week", "change cause verdict rows last_week", "change cause verdict rows last_week before last_seen"
    ),
    _kind("explained columns", "column title meaning unit dtype"),
    _kind("findings", "level code message column", "level code message rows row_id platform column cell"),
    _kind("statistics", "deliveries succeeded failed in_flight success_rate"),
    _kind("causes in weeks", "week cause targets"),
    _kind("duplicates", "copies delivered evidence"),
    _kind("endpoints", "idempotent asynchronous resend"),
    _kind(
        "outages",
        "start recovered_at failed_first lost",
        "url symptom start end recovered_at lost failed_first deliveries failure_rate",
    ),
    _kind(
        "accounts",
        "risk failure_share next_at checked_at",
        "status risk why remedy verdict platform username owners scheduled next_at account_id failed failure_share works",
    ),
    _kind(
        "targets",
        "post_id target_id platform",
        "status error_code error_message platform account_name owner campaign content scheduled_for updated_at retry_count post_id",
    ),
    _kind("uploads", "path name media_id reused", "status error_code error_message name bytes reused media_id"),
    _kind(
        "created posts", "row created_by_run post_id", "row status content targets scheduled_for created_by_run post_id"
    ),
    _kind(
        "posts",
        "post_id status content created_at",
        "status content targets failed_targets owner campaign tags scheduled_for published_at updated_at post_id",
    ),
    _kind(
        "deliveries",
        "delivery_id event_type",
        "success why status_code error event_type url post_id latency_ms retry_count created_at delivered_at delivery_id",
    ),
    _kind(
        "webhooks",
        "webhook_id events enabled",
        "enabled url events failure_count last_delivery_at created_at webhook_id",
    ),
    _kind(
        "campaign rows",
        "row_id content accounts scheduled_for",
        "row_id accounts scheduled_for content media tags first_comment",
    ),
)
OTHER_ROWS = Kind("rows", frozenset(), ())


def kind_of(frame: pd.DataFrame) -> Kind:
    """Return the kind of a frame by its columns: a filter, a file or a merge may have lost its attrs."""
    names = set(frame.columns)
    return next((kind for kind in KINDS if kind.known_by <= names), OTHER_ROWS)


def is_deliveries(frame: pd.DataFrame) -> bool:
    """Whether the rows are webhook deliveries, also in a plan or in the results of a run."""
    return {"delivery_id", "event_type"} <= set(frame.columns)


def column_of(name: object, values: pd.Series[Any], kind: Kind = OTHER_ROWS) -> Column:
    """Return how a column is drawn: by its entry, as far as its values are of that kind, else by their dtype."""
    found = column_named(str(name), kind.name)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return found if found.kind in {"time", "day"} else found._replace(kind="time")
    if pd.api.types.is_bool_dtype(values) and found.kind != "word":
        return found._replace(kind="flag")
    if pd.api.types.is_numeric_dtype(values) and found.kind not in {"id", "word"}:
        title = found.name.replace("_", " ") if found.kind == "list" else found.title  # a count, not a list
        return found._replace(kind=found.kind if found.kind in {"number", "share"} else "number", title=title)
    # Text of a sheet, or of a file that has lost its types.
    return found._replace(kind="text") if found.kind in {"time", "day", "number", "share"} else found


@cache
def column_named(name: str, kind: str = "") -> Column:
    """Return a column by its name, in this kind of frame; one that is not in the registry has a title by its name."""
    found = COLUMNS.get(f"{kind}.{name}") or COLUMNS.get(name)
    if found is not None:
        return found._replace(name=name)
    if platform := name.partition("content:")[2]:
        return Column(name, f"text on {platform}", f"Text of the row on {platform}, in place of its content.")
    title = name.replace("_", " ").removesuffix(" at").removesuffix(" id")
    return Column(name, title, kind="id" if name.endswith("_id") else "text")


def columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Explain the columns of a frame.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any frame of voxops.

    Returns
    -------
    pandas.DataFrame
        One row per column, in the frame's order, indexed by ``column`` (string): ``title meaning unit dtype`` (string). ``meaning`` is NA
        for a column that voxops does not know, such as the analyst's own.

    Examples
    --------
    >>> vx.columns(posts).loc["post_id", "meaning"]
    'Id of the post in the API.'
    """
    kind = kind_of(frame).name
    found = [(str(name), column_named(str(name), kind), str(dtype)) for name, dtype in frame.dtypes.items()]
    rows = [(name, each.title, each.meaning or None, each.unit or None, dtype) for name, each, dtype in found]
    return pd.DataFrame(rows, columns=["column", "title", "meaning", "unit", "dtype"], dtype="string").set_index(
        "column"
    )
