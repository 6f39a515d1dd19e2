"""Sync: what a campaign needs so that it shows its sheet, as one plan of creates, changes and withdrawals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import pandas as pd

from voxops._support.canonical import as_kept, fingerprint
from voxops.acts import keys
from voxops.acts.act import Act, Item, Judged, Row
from voxops.acts.cancel import CANCEL, plan_cancel
from voxops.acts.create import CREATE, NOTHING_ELSE, plan_create, row_names, shown_hash
from voxops.acts.plan import Plan, build_plan, fetched_at
from voxops.acts.update import FIELDS, UPDATE, plan_update
from voxops.api.evidence import common_time
from voxops.api.reasons import Reason
from voxops.api.states import PostState, as_mark
from voxops.api.timing import CLOCKS_DIFFER
from voxops.errors import PlanError
from voxops.frames.columns import (
    flags,
    instants,
    metadata_value,
    need_posts,
    plain_values,
    refuse_texts_of_lists,
)
from voxops.frames.records import targets_in
from voxops.frames.times import parse_times
from voxops.model import IN_FLIGHT_STATUSES, WAITING_STATUSES, WITHDRAWN_STATUSES
from voxops.sheets.rules import tags_in, utc_text

ACTS: dict[str, Act] = {"create": CREATE, "change": UPDATE, "withdraw": CANCEL}
NEEDED = ("post_id", "status", "content", "scheduled_for", "created_at", "updated_at", "targets", "tags", "metadata")
ATTEMPTS_BEYOND = 29  # attempts beyond the sheet's own under which a row may have been created
_SHOWN = {"content": "content", "scheduledFor": "scheduled_for", "tags": "tags", "accountIds": "accounts"}
_NAMES = _SHOWN | {"media": "media", "firstComment": "first_comment"}
_OVER = WITHDRAWN_STATUSES | {"failed", "draft", "deleted"}  # what does not go out any more, or not yet

Verb = Literal["create", "change", "withdraw", "none"]


class Sync(Act):
    """A plan of several acts; each row answers for itself, by its own act."""

    name = "sync"
    verb = "sync"
    about = "post"
    parts = tuple(ACTS)

    def verified(self, row: Row, state: PostState | None) -> tuple[str, str]:
        """As the row's own act says."""
        return str(row["act"]), ACTS[str(row["act"])].verified(row, state)[1]


SYNC = Sync()


@dataclass(frozen=True, slots=True)
class _Post:
    """A post of the campaign as the frame shows it.

    `shown` has its fields in the form of a request, None for one that is not shown; `asked` the marks of what was last requested of them;
    `withdrew` is when a sync of this ledger has withdrawn it.
    """

    place: int
    post_id: str
    status: str
    row_mark: str | None
    op_mark: str | None
    shown: Mapping[str, Any]
    asked: Mapping[str, str]
    written: Mapping[str, Any]
    created: str
    updated: datetime | None
    withdrew: datetime | None
    override: bool

    @property
    def is_live(self) -> bool:
        return self.status not in _OVER

    @property
    def by_sync(self) -> bool:
        """Whether a sync has withdrawn it, and nothing has changed it since."""
        then, now = self.withdrew, self.updated
        return None not in (then, now) and now <= then + timedelta(seconds=CLOCKS_DIFFER)  # type: ignore[operator]

    @property
    def looks(self) -> str | None:
        """Fingerprint of what readers see; None where it does not show all of it."""
        content, accounts, when = (self.shown[name] for name in ("content", "accountIds", "scheduledFor"))
        return shown_hash(content, accounts, when) if content and accounts and when else None

    def edited(self) -> list[str]:
        """Fields that show something else than was last requested, or of which that is not known."""
        marks = keys.field_marks({name: value for name, value in self.shown.items() if value is not None})
        known = {name for name, value in self.shown.items() if value is not None or name != "tags"}
        return sorted(name for name in known if name not in marks or marks[name] != self.asked.get(name))

    def shows(self, name: str, wanted: Any) -> bool:
        """Whether a field is as the sheet says; one that was requested so may be kept, or cut, in the API's own way."""
        shown = self.shown[name]
        asked = self.asked.get(name) == keys.field_marks({name: wanted})[name]
        if shown is None:
            return asked
        if name == "content":
            flat, kept = " ".join(str(wanted).split()), " ".join(shown.split())
            cut = kept.endswith(("…", "...")) and flat.startswith(kept.rstrip(".… "))
            return as_kept(shown) == as_kept(wanted) or (asked and (cut or as_kept(kept) == as_kept(flat)))
        if name == "scheduledFor":
            return bool(shown[:19] == wanted[:19] or (asked and shown[:19] == f"{wanted[:16]}:00"))
        return set(shown) == set(wanted)


def _posts(frame: pd.DataFrame, campaign: str) -> Iterator[_Post]:
    """The posts that bear the campaign's mark; drafts without a time are clones and nobody's (rule 13)."""
    ours, people = keys.campaign_mark(campaign), frame.attrs.get("people") or {}
    columns = {name: plain_values(frame, name) for name in NEEDED}
    override, withdrew = flags(frame, "override"), instants(frame, "sync_withdrew_at")
    updated = instants(frame, "updated_at")
    for place, values in enumerate(zip(*columns.values(), strict=True)):
        row = dict(zip(columns, values, strict=True))
        metadata = metadata_value(row["metadata"], [])
        if not isinstance(metadata, Mapping) or as_mark(metadata.get("voxopsCampaign")) != ours or not row["post_id"]:
            continue
        if row["status"] == "draft" and row["scheduled_for"] is None:
            continue
        written = metadata.get("voxopsChanges")
        written = written if isinstance(written, Mapping) else {}
        accounts = [target.account_id for target in targets_in(row["targets"])]
        shown = {
            "content": row["content"],
            "scheduledFor": utc_text(row["scheduled_for"]),
            "accountIds": None if None in accounts or not accounts else accounts,
            "tags": None if "tags" in people or row["tags"] is None else tags_in(row["tags"]),
        }
        yield _Post(
            place, str(row["post_id"]), str(row["status"]), *(as_mark(metadata.get(name)) for name in ("voxopsRow", "voxopsOp")), shown,
            {name: mark for name in _NAMES if (mark := as_mark(written.get(name)))}, written, str(row["created_at"]), updated[place],
            withdrew[place], override[place],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Said:
    """What becomes of a row: the act, why or why not, and whether it is done; a change has its fields, a create what is special."""

    act: Verb
    reason: Reason
    eligible: bool = False
    post: _Post | None = None
    body: Mapping[str, Any] | None = None
    attempt: int = 0  # 0 for the sheet's
    replaces: tuple[str, ...] = ()


def _of_row(item: Item, posts: Sequence[_Post], accounts: Mapping[str, str], *, override: bool, tags: bool) -> _Said:
    """What a row needs whose create is planned, by the posts that bear its mark."""
    live = sorted((post for post in posts if post.is_live), key=lambda post: (post.created, post.post_id))
    if live:
        own, *others = live
        if any(post.op_mark != own.op_mark or post.looks == own.looks for post in others):
            return _Said("none", Reason("sync_doubled", posts=", ".join(post.post_id for post in live)), post=own)
        return _of_live(item, own, accounts, override=override or own.override, tags=tags)
    numbers = keys.marks(item.campaign, item.label, item.attempt + ATTEMPTS_BEYOND)
    numbered = [(numbers.get(post.op_mark or "", 0), post.created, post.post_id, post) for post in posts]
    attempt, _, _, last = max(numbered, default=(0, "", "", None), key=lambda one: one[:3])
    if last is None or item.attempt > attempt > 0:
        return _Said("create", Reason("ready"), eligible=True, attempt=item.attempt)
    following = attempt + 1
    if last.status == "draft":
        return _Said("none", Reason("sync_draft", post=last.post_id), post=last)
    if last.status in WITHDRAWN_STATUSES and attempt and last.by_sync:
        return _Said("create", Reason("sync_returns", post=last.post_id, attempt=following), eligible=True, attempt=following)  # fmt: skip
    if last.status in WITHDRAWN_STATUSES:
        reason = Reason("withdrawn_since", post=last.post_id, status=last.status, attempt=following)
    else:
        reason = Reason("sync_failed", post=last.post_id, status=last.status, attempt=following)
    return _Said("none", reason, post=last)


def _of_live(item: Item, post: _Post, accounts: Mapping[str, str], *, override: bool, tags: bool) -> _Said:
    """What a row needs whose post is there."""
    wanted = {**NOTHING_ELSE, **item.requested}
    unknown = [name for name in item.named_accounts if name not in accounts]
    if unknown:
        return _Said("none", Reason("sync_account", value=", ".join(unknown)), post=post)
    wanted["accountIds"] = sorted({accounts.get(name, name) for name in wanted["accountIds"]})
    compared = [name for name in _SHOWN if name != "tags" or tags]
    other = [name for name in compared if not post.shows(name, wanted[name])]
    fixed = {name: wanted[name] for name in ("media", "firstComment")}
    more = sorted(name for name, mark in keys.field_marks(fixed).items() if post.asked.get(name, mark) != mark)
    fields = ", ".join(_NAMES[name] for name in sorted(other) + more)
    if post.status == "partial":
        return _Said("none", Reason("sync_failed", post=post.post_id, status=post.status, attempt=2), post=post)
    if not other and (not more or override):
        return _Said("none", Reason("sync_as_is"), post=post)
    if post.status not in WAITING_STATUSES:
        return _Said("none", Reason("sync_too_late", status=post.status, fields=fields), post=post)
    if post.status != "scheduled":
        return _Said("change", Reason("not_changeable", status=post.status), post=post)
    edited = [_NAMES[name] for name in post.edited() if name in other]
    if edited and not override:
        return _Said("change", Reason("sync_edited", post=post.post_id, fields=", ".join(edited)), post=post)
    if more and not override:
        said = Reason("created_otherwise", post=post.post_id, fields=", ".join(map(_NAMES.__getitem__, more)))
        return _Said("change", said, post=post)
    body = {name: wanted[name] for name in other}
    return _Said("change", Reason("new_values", fields=fields), eligible=True, post=post, body=body)


def _of_gone(post: _Post, *, withdraw: bool) -> _Said:
    """What becomes of a post whose row the sheet does not have."""
    if post.status in IN_FLIGHT_STATUSES or post.status not in WAITING_STATUSES:
        return _Said("none", Reason("sync_out", status=post.status), post=post)
    if post.status not in {"draft", "scheduled"}:
        return _Said("withdraw", Reason("not_cancellable", status=post.status), post=post)
    if not withdraw:
        return _Said("withdraw", Reason("withdraw_not_asked"), post=post)
    edited = [_NAMES[name] for name in post.edited()]
    edited += ["row"] * (post.row_mark is None) + ["withdrawal"] * (post.withdrew is not None)
    if edited and not post.override:
        return _Said("withdraw", Reason("sync_edited", post=post.post_id, fields=", ".join(edited)), post=post)
    return _Said("withdraw", Reason("sync_gone"), eligible=True, post=post)


def _not_twice(
    said: _Said, item: Item, accounts: Mapping[str, str], alike: Mapping[str, list[_Post]], gone: Mapping[str, _Said]
) -> _Said:
    """A create that a post of another row looks like waits for the withdrawal of that, or is not planned (rule 26)."""
    ids = {accounts.get(name, name) for name in item.requested["accountIds"]}
    looks = shown_hash(item.requested["content"], sorted(ids), item.requested["scheduledFor"])
    found = [post for post in alike.get(looks, ()) if post.row_mark != item.row_mark]
    for post in () if item.seen["twin"] else found:
        of_gone = gone.get(post.post_id)
        if post.is_live and of_gone is not None and of_gone.act == "withdraw":
            reason = Reason("sync_renamed", post=post.post_id)
            said = replace(said, reason=reason, eligible=said.eligible and of_gone.eligible)
        elif post.is_live or (post.status in WITHDRAWN_STATUSES and not post.by_sync):
            since = "" if post.is_live else f", {post.status} since"
            return replace(said, reason=Reason("looks_like_row", post=post.post_id, since=since), eligible=False)
    return replace(said, replaces=tuple(post.post_id for post in found))


def plan_sync(sheet: pd.DataFrame, posts: pd.DataFrame, *, key: str, campaign: str, withdraw: bool = False) -> Plan:
    """Plan what a campaign needs so that it shows its sheet: creates, changes and withdrawals.

    Parameters
    ----------
    sheet : pandas.DataFrame
        The whole sheet, as for `plan_create`: a row that it does not have is gone. A column ``override`` (True) lets the row win over
        what somebody has edited in the web page. Without a column ``tags``, tags are left as they are.
    posts : pandas.DataFrame
        From ``ws.posts(campaign=…)``: what is there, joined to rows by their marks. Posts without the campaign's mark are left alone. A
        gone row that somebody has edited is withdrawn if a column ``override`` of this frame is True.
    key : str
        The column that names a row for ever.
    campaign : str
        Its name; it can't be empty.
    withdraw : bool
        Withdraw the posts of rows that are gone. They are listed in any case.

    Returns
    -------
    Plan
        As for `plan_retry`. ``act`` (string) is ``create change withdraw none`` for each row, eligible or not, and below the sheet's rows
        its frame has those that are gone. ``post_id status`` (string) are of the row's post, ``now_content now_scheduled_for now_tags
        now_account_ids`` what it shows of a field that changes, and the same columns with ``new_`` what it will show.

        Not eligible are rows whose post is out or in flight, was edited by somebody, shows no mark of what was last requested, has failed
        (retry or fix it) or was withdrawn by a person. Media and first comments can't be changed. A row that returns after a sync of this
        ledger has withdrawn it is its next attempt.

        Where lists show no metadata no post is found: rows that this ledger has created are done or blocked as by `plan_create`. A change
        of a row whose create has not ended waits for the next sync.

    Raises
    ------
    PlanError
        As `plan_create`; also if `posts` is no posts frame, the sheet is a part of one, such as ``run.failed()``, or it is empty and
        `withdraw` is True.

    Examples
    --------
    >>> plan = vx.plan_sync(sheet, ws.posts(status="all"), key="row_id", campaign="autumn")
    >>> plan.frame["act"].to_list()
    ['create', 'create']
    """
    if not isinstance(withdraw, bool):
        raise PlanError(f"withdraw= must be True or False, not {type(withdraw).__name__}")
    if not isinstance(campaign, str) or not (name := keys.campaign_name(campaign)):
        raise PlanError(f"campaign={campaign!r} must name the campaign, such as 'spring 2026'")
    need_posts(posts, NEEDED, "use ws.posts(campaign=…)")
    if len(posts):
        refuse_texts_of_lists(posts, "targets")
    created = plan_create(sheet, key=key, campaign=name)
    if "outcome" in sheet.columns or "run" in sheet.attrs:
        raise PlanError("these are rows of a run, and rows that a sheet does not have are gone; pass the whole sheet")
    if withdraw and not len(sheet):
        raise PlanError(
            "the sheet has no rows, and withdraw=True would withdraw the whole campaign; use vx.plan_cancel"
        )
    marks = [keys.row_mark(name, label) for label in row_names(sheet, key)]
    by_row: dict[str | None, list[_Post]] = defaultdict(list)
    alike: dict[str, list[_Post]] = defaultdict(list)
    for post in _posts(posts, name):
        by_row[post.row_mark].append(post)
        if post.looks:
            alike[post.looks].append(post)
    left = [
        post for mark in by_row.keys() - set(marks) for post in by_row[mark] if post.status not in WITHDRAWN_STATUSES
    ]
    below = [_of_gone(post, withdraw=withdraw) for post in sorted(left, key=lambda post: post.place)]
    gone = {said.post.post_id: said for said in below if said.post}
    items, now = {item.row: item for item in created.items}, fetched_at(posts)
    override, tags, accounts = flags(sheet, "override"), "tags" in sheet.columns, posts.attrs.get("accounts") or {}
    rows: list[_Said] = []
    for row, mark in enumerate(marks):
        item = items.get(row)
        if item is None:
            rows.append(_Said("none", created.why[row], post=next(iter(by_row.get(mark, ())), None)))
            continue
        said = _of_row(item, by_row.get(mark, ()), accounts, override=override[row], tags=tags)
        if said.act == "create" and now is not None and CREATE.has_passed(item, now):
            said = _Said("none", Reason("time_passed"))
        elif said.act == "create":
            said = _not_twice(said, item, accounts, alike, gone)
        rows.append(said)
    return _plan(sheet, posts, [*rows, *below], items, key=key, campaign=name)


def _plan(
    sheet: pd.DataFrame,
    posts: pd.DataFrame,
    rows: Sequence[_Said],
    items: Mapping[int, Item],
    *,
    key: str,
    campaign: str,
) -> Plan:
    """The plan of all rows, of items that the acts' own planners make."""
    table = _table(sheet, rows)
    judged: list[Judged] = [(said.reason, None) for said in rows]
    for row, said in _done(rows, "create"):
        seen = {**items[row].seen, **({"replaces": list(said.replaces)} if said.replaces else {})}
        judged[row] = said.reason, replace(items[row], attempt=said.attempt, seen=seen)
    for verb in ("change", "withdraw"):
        done = _done(rows, verb)
        some = posts.iloc[[said.post.place for _, said in done if said.post]][list(NEEDED)]
        if done and verb == "change":
            own = table.iloc[[row for row, _ in done]]
            columns = {name: own[name].array for name in ("attempt", *FIELDS) if name in own}
            plan = plan_update(some.assign(**columns, change=[_name(campaign, said) for _, said in done]))
        elif done:
            plan = plan_cancel(some)
        made = {item.row: item for item in plan.items} if done else {}
        for number, (row, said) in enumerate(done):
            if number not in made:
                judged[row] = plan.why[number], None
                continue
            seen = {**made[number].seen, **({"sync": campaign} if verb == "withdraw" else {})}
            judged[row] = said.reason, replace(made[number], row=row, seen=seen)
    acts = [item.act for _, item in judged if item is not None]
    reads = acts.count(UPDATE.name) + (1 + len(WAITING_STATUSES) if CREATE.name in acts else 0)
    plan = build_plan(SYNC, table, judged, reads=reads, campaign=campaign, key=key)
    return replace(plan, table=plan.table.assign(act=pd.array([said.act for said in rows], dtype="string")))


def _done(rows: Sequence[_Said], verb: str) -> list[tuple[int, _Said]]:
    return [(row, said) for row, said in enumerate(rows) if said.act == verb and said.eligible]


def _name(campaign: str, said: _Said) -> str:
    """The name of a change: what the row asks, of which state of its post.

    So Run All sets a field once, and a value that returns after another one is another change.
    """
    post = said.post
    assert post is not None
    stamp = None if post.updated is None else common_time(post.updated.isoformat())
    return fingerprint("sync", campaign, post.row_mark, stamp, sorted(post.written.items()), said.body)


def _table(sheet: pd.DataFrame, rows: Sequence[_Said]) -> pd.DataFrame:
    """The sheet with the posts of its rows, what they show and will show, and below it the rows that are gone."""
    shown = {name: column.replace("new_", "now_") for column, name in FIELDS.items()}
    table = sheet.reset_index(drop=True).drop(columns=[*FIELDS, *shown.values()], errors="ignore")
    below = [said.post for said in rows[len(sheet) :] if said.post]
    if below:
        whole = {
            name: "Int64" if dtype.kind == "i" else "boolean"
            for name, dtype in table.dtypes.items()
            if dtype.kind in "ib"
        }
        table = table.astype(whole).reindex(range(len(rows)))
        for column, name in (("content", "content"), ("scheduled_for", "scheduledFor")):
            values = [*sheet[column], *(post.shown[name] for post in below)]
            table[column] = pd.Series(values, dtype=sheet[column].dtype)
    posts = [said.post for said in rows]
    table["post_id"] = pd.array([post and post.post_id for post in posts], dtype="string")
    table["status"] = pd.array([post and post.status for post in posts], dtype="string")
    table["attempt"] = [said.attempt or value for said, value in zip(rows, plain_values(table, "attempt"), strict=True)]
    for column, name in FIELDS.items():
        changes = [(said.post, said.body) if said.body and name in said.body else None for said in rows]
        if not any(changes):
            continue
        now = [each and each[0] and each[0].shown[name] for each in changes]
        new = [each and each[1] and each[1][name] for each in changes]
        for place, values in ((shown[name], now), (column, new)):
            if name == "scheduledFor":
                table[place] = parse_times(values)
            else:
                table[place] = pd.Series(values, dtype="string" if name == "content" else object)
    table.attrs = dict(sheet.attrs)
    return table
