"""Sync: what a campaign needs so that it shows its sheet, as one plan of creates, changes and withdrawals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

import pandas as pd

from voxops._support.arguments import true_or_false
from voxops._support.canonical import as_kept, fingerprint
from voxops.acts import keys
from voxops.acts.act import About, Act, Item
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import CREATE, NOTHING_ELSE, plan_create, resolved, row_names, shown_hash, shown_of_body
from voxops.acts.plan import Compared, Plan, build_plan, fetched_at, lengthened
from voxops.acts.update import FIELDS, UPDATE, plan_update
from voxops.api.evidence import same_text
from voxops.api.reasons import Reason
from voxops.api.states import as_mark
from voxops.api.timing import CLOCKS_DIFFER
from voxops.errors import PlanError
from voxops.frames.cells import metadata_value
from voxops.frames.checks import flags, instants, need_posts, plain_values
from voxops.frames.records import targets_in
from voxops.frames.times import parse_times
from voxops.model import WAITING_STATUSES, WITHDRAWN_STATUSES
from voxops.sheets.rules import tags_in, utc_text

PARTS = ("withdraw", "change", "create")
PLANNERS: dict[str, Callable[[pd.DataFrame], Plan]] = {"withdraw": plan_cancel, "change": plan_update}
NEEDED = ("post_id", "status", "content", "scheduled_for", "created_at", "updated_at", "targets", "tags", "metadata")
ATTEMPTS_BEYOND = 29  # attempts beyond the sheet's own under which a row may have been created
_SHOWN = {"content": "content", "scheduledFor": "scheduled_for", "tags": "tags", "accountIds": "accounts"}
_NAMES = _SHOWN | {"media": "media", "firstComment": "first_comment"}


class Sync(Act):
    """A plan of several acts; each row answers for itself, by its own act."""

    name = "sync"
    verb = "sync"
    about: ClassVar[About] = "post"
    parts: ClassVar[tuple[str, ...]] = PARTS


SYNC = Sync()


@dataclass(frozen=True, slots=True)
class _Post:
    """A post of the campaign."""

    place: int  # in the frame
    post_id: str
    status: str
    row_mark: str | None
    op_mark: str | None
    shown: Mapping[str, Any]  # its fields in the form of a request, None for one that is not shown
    marks: Mapping[str, Any]  # ``voxopsChanges``: what was last requested of its fields, and the names of changes
    state: str  # names its changes, with what is requested: a value that returns after another one is another change
    created: str
    updated: datetime | None
    withdrew: datetime | None  # when a sync of this ledger has withdrawn it
    override: bool
    label: str | None  # its row, where this ledger created it

    @property
    def is_live(self) -> bool:
        return self.status not in {"failed", "draft", *WITHDRAWN_STATUSES}

    @property
    def by_sync(self) -> bool:
        """Whether a sync has withdrawn it, and nobody has touched it since."""
        latest = self.withdrew and self.withdrew + timedelta(seconds=CLOCKS_DIFFER)
        return bool(self.status in WITHDRAWN_STATUSES and latest and self.updated and self.updated <= latest)

    @property
    def looks(self) -> str | None:
        """Fingerprint of what readers see; None where it does not show all of it."""
        content, accounts, when = (self.shown[name] for name in ("content", "accountIds", "scheduledFor"))
        return shown_hash(content, accounts, when) if content and accounts and when else None

    def was_asked(self, name: str, value: Any) -> bool:
        """Whether this was last requested of a field."""
        return as_mark(self.marks.get(name)) == keys.field_marks({name: value})[name]

    def other_texts(self, wanted: Mapping[str, str]) -> list[str]:
        """Columns of platforms' own texts that are not as they were last requested; none where no marks tell."""
        asked = {name: as_mark(mark) for name, mark in self.marks.items() if name.startswith("content:")}
        names = sorted(asked.keys() | wanted.keys()) if "content" in self.marks else []
        return [
            name for name in names if asked.get(name) != (keys.value_mark(wanted[name]) if name in wanted else None)
        ]

    def edited(self) -> list[str]:
        """Fields that show something else than was last requested, or of which that is not known; tags may not be shown."""
        shown = {name: value for name, value in self.shown.items() if value is not None or name != "tags"}
        return sorted(name for name, value in shown.items() if value is None or not self.was_asked(name, value))

    def shows(self, name: str, wanted: Any) -> bool:
        """Whether a field is as the sheet says; a list may cut a text that was requested so."""
        shown, asked = self.shown[name], self.was_asked(name, wanted)
        if shown is None:
            return asked
        if name == "content":
            cut = shown.rstrip().endswith(("…", "...")) and same_text(shown, wanted)
            return as_kept(shown) == as_kept(wanted) or (asked and cut)
        return bool(shown[:19] == wanted[:19]) if name == "scheduledFor" else set(shown) == set(wanted)


def _posts(frame: pd.DataFrame, campaign: str) -> Iterator[_Post]:
    """The posts that bear the campaign's mark; drafts without a time are clones and nobody's (rule 10)."""
    ours, people = keys.campaign_mark(campaign), frame.attrs.get("people") or {}
    columns = {name: plain_values(frame, name) for name in NEEDED}
    columns |= {name: instants(frame, name) for name in ("updated_at", "sync_withdrew_at")}
    columns["override"], columns["row"] = flags(frame, "override"), plain_values(frame, "row")
    for place, values in enumerate(zip(*columns.values(), strict=True)):
        row = dict(zip(columns, values, strict=True))
        metadata = metadata_value(row["metadata"], [])
        is_nobodys = not row["post_id"] or (row["status"] == "draft" and row["scheduled_for"] is None)
        if is_nobodys or not isinstance(metadata, Mapping) or as_mark(metadata.get("voxopsCampaign")) != ours:
            continue
        accounts = [target.account_id for target in targets_in(row["targets"])]
        shown = {
            "content": row["content"],
            "scheduledFor": utc_text(row["scheduled_for"]),
            "accountIds": None if None in accounts or not accounts else accounts,
            "tags": None if "tags" in people or row["tags"] is None else tags_in(row["tags"]),
        }
        marks = metadata.get("voxopsChanges")
        state = fingerprint(ours, metadata.get("voxopsRow"), marks, (utc_text(row["updated_at"]) or "")[:19])
        yield _Post(
            place, str(row["post_id"]), str(row["status"]), as_mark(metadata.get("voxopsRow")), as_mark(metadata.get("voxopsOp")), shown,
            marks if isinstance(marks, Mapping) else {}, state, str(row["created_at"]), row["updated_at"], row["sync_withdrew_at"], row["override"],
            row["row"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Said:
    """What becomes of a row; a change has its `body`, a create its attempt and the posts whose withdrawal it waits for."""

    act: Literal["create", "change", "withdraw", "none"]
    reason: Reason
    eligible: bool = False
    post: _Post | None = None
    body: Mapping[str, Any] | None = None
    attempt: int = 0  # 0 for the sheet's


def _of_row(item: Item, posts: Sequence[_Post], *, override: bool, tags: bool) -> _Said:
    """What a row needs whose create is planned, by the posts that bear its mark."""
    live = sorted((post for post in posts if post.is_live), key=lambda post: (post.created, post.post_id))
    if any(post.op_mark != live[0].op_mark or post.looks == live[0].looks for post in live[1:]):
        return _Said("none", Reason("sync_doubled", posts=", ".join(post.post_id for post in live)), post=live[0])
    if live:  # another one that shows something else is a copy of which somebody has made another post (rule 19)
        return _of_live(item, live[0], override=override or live[0].override, tags=tags)
    numbers = keys.marks(item.campaign, item.label, item.attempt + ATTEMPTS_BEYOND)
    numbered = [(numbers.get(post.op_mark or "", 1), post.created, post.post_id, post) for post in posts]
    attempt, _, _, last = max(numbered, default=(0, "", "", None), key=lambda one: one[:3])
    if last is None or (item.attempt > attempt and last.status != "failed"):
        return _Said("create", Reason("ready"), eligible=True, attempt=item.attempt)
    if last.by_sync:
        returns = Reason("sync_returns", post=last.post_id, attempt=attempt + 1)
        return _Said("create", returns, eligible=True, attempt=attempt + 1)
    if last.status == "draft":
        return _Said("none", Reason("sync_draft", post=last.post_id), post=last)
    if last.status not in WITHDRAWN_STATUSES:
        return _Said("none", Reason("sync_failed", post=last.post_id, status=last.status), post=last)
    reason = Reason("withdrawn_since", post=last.post_id, status=last.status, attempt=attempt + 1)
    return _Said("none", reason, post=last)


def _of_live(item: Item, post: _Post, *, override: bool, tags: bool) -> _Said:
    """What a row needs whose post is there, and out or to go out."""
    if item.named_accounts:
        return _Said("none", Reason("sync_account", value=", ".join(item.named_accounts)), post=post)
    wanted = {**NOTHING_ELSE, **item.requested}
    other = [name for name in _SHOWN if (name != "tags" or tags) and not post.shows(name, wanted[name])]
    more = [name for name in ("media", "firstComment") if name in post.marks and not post.was_asked(name, wanted[name])]
    more += post.other_texts(keys.texts_by_column(wanted))
    if post.status == "partial":
        return _Said("none", Reason("sync_failed", post=post.post_id, status=post.status), post=post)
    if not other and (not more or override):
        return _Said("none", Reason("sync_as_is"), post=post)
    if post.status not in WAITING_STATUSES:
        return _Said("none", Reason("sync_too_late", status=post.status, fields=_fields([*other, *more])), post=post)
    edited, reason = [name for name in post.edited() if name in other], None
    if post.status != "scheduled":
        reason = Reason("not_changeable", status=post.status)
    elif edited and not override:
        reason = Reason("sync_edited", post=post.post_id, fields=_fields(edited))
    elif more and not override:
        reason = Reason("created_otherwise", post=post.post_id, fields=_fields(more))
    body = {name: wanted[name] for name in other} if reason is None else None
    return _Said("change", reason or Reason("new_values", fields=_fields(other)), reason is None, post, body)


def _fields(names: Sequence[str]) -> str:
    return ", ".join(_NAMES.get(name, name) for name in names)


def _of_gone(post: _Post, *, withdraw: bool) -> _Said:
    """What becomes of a post whose row the sheet does not have."""
    if post.status not in WAITING_STATUSES:
        return _Said("none", Reason("sync_out", status=post.status), post=post)
    edited = post.edited() + ["row"] * (post.row_mark is None) + ["withdrawal"] * (post.withdrew is not None)
    reason = None
    if post.status not in {"draft", "scheduled"}:
        reason = Reason("not_cancellable", status=post.status)
    elif not withdraw:
        reason = Reason("withdraw_not_asked", many=1, of=1)
    elif edited and not post.override:
        reason = Reason("sync_edited", post=post.post_id, fields=_fields(edited))
    return _Said("withdraw", reason or Reason("sync_gone", many=1, of=1), eligible=reason is None, post=post)


def _hold_look_alikes(rows: dict[int, _Said], makes: Mapping[int, str], posts: Sequence[_Post]) -> dict[int, _Said]:
    """Rows that would show what another post shows until it is changed or withdrawn by this plan (rule 17), else not eligible.

    `makes` is what each row will show. Where nothing but posts of rows that are gone stands in the way, the reason says so.
    """
    moves = (
        said.post for row, said in rows.items() if said.post and said.eligible and makes.get(row) != said.post.looks
    )
    moved = {post.post_id for post in moves}
    gone = {said.post.post_id for said in rows.values() if said.post and said.reason.code == "withdraw_not_asked"}
    alike: dict[str | None, list[_Post]] = defaultdict(list)
    for post in posts:
        if post.is_live:
            alike[post.looks].append(post)
    held: dict[int, tuple[_Post, bool]] = {}  # row -> the post in its way, and whether a withdrawal would resolve it
    while True:
        found = {}
        for row, shows in makes.items():
            own = rows[row].post
            if row in held or (own and own.looks == shows):
                continue
            stays = [post for post in alike[shows] if post is not own and post.post_id not in moved]
            if stays:
                waits = {said.post.post_id for row, said in rows.items() if row in held and held[row][1] and said.post}
                found[row] = stays[0], all(post.post_id in gone | waits for post in stays)
        if not found:
            break
        held |= found
        moved -= {own.post_id for row in found if (own := rows[row].post)}
    count = sum(by_withdrawal for _, by_withdrawal in held.values())
    for row, (post, by_withdrawal) in held.items():
        why = (
            Reason("sync_held", post=post.post_id, count=count)
            if by_withdrawal
            else Reason("looks_like_row", post=post.post_id, of="")
        )
        rows[row] = replace(rows[row], reason=why, eligible=False)
    return rows


def plan_sync(
    sheet: pd.DataFrame,
    posts: pd.DataFrame,
    *,
    key: str,
    campaign: str,
    withdraw: bool = False,
    one_by_one: bool = False,
) -> Plan:
    """Plan what a campaign needs so that it shows its sheet: creates, changes and withdrawals.

    Parameters
    ----------
    sheet : pandas.DataFrame
        The whole sheet, as for `plan_create`; a row that it does not have is gone. Without a column ``tags`` tags are left as they are.
    posts : pandas.DataFrame
        From ``ws.posts(campaign=…)``, joined to rows by their marks; others are left alone. A column ``override`` (True), here or in the
        sheet, lets the sheet win over what somebody has edited.
    key, campaign, one_by_one : str, str, bool
        As for `plan_create`; the campaign needs a name.
    withdraw : bool
        Withdraw the posts of rows that are gone, which are listed in any case.

    Returns
    -------
    Plan
        As for `plan_retry`. ``act`` (string) is ``withdraw change create none``, eligible or not, and withdrawals are sent first; rows
        that are gone are below those of the sheet. ``post_id status`` (string) are of the row's post;
        ``now_content now_scheduled_for now_tags now_account_ids`` are what it shows of a field that changes, and the same with ``new_``
        what it will show.

        Not eligible are rows whose post is out or in flight, has failed, was edited or withdrawn by a person, or does not tell; and rows
        that would show what another post shows. Media, first comments and texts for one platform can't be changed, because no list shows
        them; owner and campaign are left as they are. A row that returns after this ledger's sync withdrew it is its next attempt.

        Running the plan reads the campaign's posts once more. A row whose post is no longer as `posts` shows it is blocked: "load the
        posts again". A sync is done when a run of a fresh plan has nothing to send.

    Raises
    ------
    PlanError
        As `plan_create`; if `posts` is no posts frame, or does not say when it was loaded; if the sheet is a part of one, such as
        ``run.failed()``. With `withdraw` also if the sheet is empty, or no post of the frame shows metadata.

    Examples
    --------
    >>> vx.plan_sync(sheet, ws.posts(campaign="autumn"), key="row_id", campaign="autumn").frame["act"].to_list()
    ['create', 'create']
    """
    withdraw = true_or_false("withdraw", withdraw)
    if not isinstance(campaign, str) or not (name := keys.campaign_name(campaign)):
        raise PlanError(f"campaign={campaign!r} must name the campaign, such as 'spring 2026'")
    need_posts(posts, NEEDED, "plan_sync() needs posts", "Use ws.posts(campaign=…).")
    now = fetched_at(posts)
    if now is None:
        raise PlanError(
            "the posts do not say when they were loaded: merge(), join() and files drop frame.attrs, which contain it; "
            "load them again with ws.posts(campaign=…)"
        )
    created = plan_create(sheet, key=key, campaign=campaign, one_by_one=one_by_one)
    if "outcome" in sheet.columns or "run" in sheet.attrs:
        raise PlanError("these are rows of a run, and rows that a sheet does not have are gone; pass the whole sheet")
    if withdraw and not len(sheet):
        raise PlanError("the sheet has no rows: withdraw=True would withdraw the whole campaign; use vx.plan_cancel")
    if withdraw and len(posts) and not any(metadata_value(value, []) for value in plain_values(posts, "metadata")):
        raise PlanError(
            "no post of the frame shows metadata, so nothing tells which row each is; leave out withdraw=True, or use vx.plan_cancel"
        )
    labels = row_names(sheet, key)
    marks = [keys.row_mark(name, label) for label in labels]
    known, by_row = list(_posts(posts, name)), defaultdict[str | None, list[_Post]](list)
    for post in known:
        by_row[post.row_mark].append(post)
    items = {item.row: item for item in created.items}
    override, tags, accounts = flags(sheet, "override"), "tags" in sheet.columns, posts.attrs.get("accounts") or {}
    rows: dict[int, _Said] = {}
    makes: dict[int, str] = {}
    for row, mark in enumerate(marks):
        if row not in items:
            rows[row] = _Said("none", created.why[row], post=next(iter(by_row.get(mark, ())), None))
            continue
        item = resolved(items[row], accounts)
        said = _of_row(item, by_row.get(mark, ()), override=override[row], tags=tags)
        if said.act == "create" and CREATE.has_passed(item, now):
            said = _Said("none", Reason("time_passed"))
        elif said.eligible and not item.seen["twin"]:
            makes[row] = shown_of_body(item.requested)
        rows[row] = said
    gone = [post for post in known if post.row_mark not in marks and post.status not in WITHDRAWN_STATUSES]
    rows |= {len(sheet) + at: _of_gone(post, withdraw=withdraw) for at, post in enumerate(gone)}
    rows = _counted(_hold_look_alikes(rows, makes, known), len(known))
    seen = {row: (mark, by_row.get(mark, ())) for row, mark in enumerate(marks)}
    seen |= {len(sheet) + at: ("", [post]) for at, post in enumerate(gone)}
    checked = {
        row: (mark, {post.post_id: (post.status, utc_text(post.updated)) for post in some})
        for row, (mark, some) in seen.items()
        if rows[row].eligible or rows[row].reason.code == "sync_as_is"
    }
    identities = sorted(fingerprint("create", name, label) for label in labels)
    return _plan(sheet, posts, list(rows.values()), created, Compared(tuple(identities), checked))


def _counted(rows: dict[int, _Said], count: int) -> dict[int, _Said]:
    """Each withdrawal says how many of how many posts of the campaign are withdrawn."""
    some = {row: said for row, said in rows.items() if said.reason.code in {"sync_gone", "withdraw_not_asked"}}
    return rows | {
        row: replace(said, reason=said.reason.having(many=len(some), of=count)) for row, said in some.items()
    }


def _plan(sheet: pd.DataFrame, posts: pd.DataFrame, rows: Sequence[_Said], created: Plan, compared: Compared) -> Plan:
    """The plan of all rows, of items that the acts' own planners make."""
    table, name, why, items = (
        _table(sheet, posts, rows, created.key),
        created.campaign,
        [said.reason for said in rows],
        dict[int, Item](),
    )
    for item in created.items:
        said = rows[item.row]
        if said.act == "create" and said.eligible:
            items[item.row] = replace(item, attempt=said.attempt)
    for verb, planner in PLANNERS.items():
        done = {row: said for row, said in enumerate(rows) if said.act == verb and said.eligible}
        own, places = table.iloc[list(done)], list(done)
        columns = {column: own[column].array for column in ("attempt", *FIELDS) if column in own}
        columns["change"] = [fingerprint("sync", said.post.state, said.body) for said in done.values() if said.post]
        some = posts.iloc[[said.post.place for said in done.values() if said.post]][list(NEEDED)]
        plan = planner(some.assign(**columns)) if done else None
        for item in plan.items if plan else ():
            items[places[item.row]] = replace(item, row=places[item.row], seen={**item.seen, "sync": name})
        for row, reason in zip(places, plan.why if plan else (), strict=True):
            why[row] = why[row] if row in items else reason
    reads = (
        1 + len(WAITING_STATUSES) + sum(item.act == UPDATE.name for item in items.values())
    )  # the campaign is read anew
    judged = [(reason, items.get(row)) for row, reason in enumerate(why)]
    made = build_plan(SYNC, table, judged, reads=reads, campaign=name, key=created.key, compared=compared)
    return replace(made, table=made.table.assign(act=pd.array([said.act for said in rows], dtype="string")))


def _table(sheet: pd.DataFrame, frame: pd.DataFrame, rows: Sequence[_Said], key: str) -> pd.DataFrame:
    """The sheet with the posts of its rows, what they show and will show, and below it the rows that are gone, in the zone of either."""
    before = {column: column.replace("new_", "now_") for column in FIELDS}
    table = sheet.reset_index(drop=True).drop(columns=[*before, *before.values()], errors="ignore")
    posts = [said.post for said in rows]
    if len(rows) > len(sheet):
        table = lengthened(table, len(rows))
        accounts = frame.attrs.get("accounts") or {}
        names = {account: name for name, account in accounts.items() if account not in name}
        gone = [post.shown if post else {} for post in posts[len(sheet) :]]
        below: dict[str, list[Any]] = {
            "content": [shown.get("content") for shown in gone],
            "scheduled_for": [shown.get("scheduledFor") for shown in gone],
            "accounts": [";".join(names.get(one, one) for one in shown.get("accountIds") or ()) for shown in gone],
        }
        for column in [name for name in below if name in sheet.columns]:
            table[column] = pd.Series([*sheet[column], *below[column]], dtype=sheet[column].dtype)
        labels = pd.Series(
            [post and post.label for post in posts[len(sheet) :]], range(len(sheet), len(rows)), dtype=object
        )
        is_number = pd.api.types.is_numeric_dtype(table[key].dtype)
        table.loc[len(sheet) :, key] = pd.to_numeric(labels, errors="coerce") if is_number else labels
    table["post_id"] = pd.Series([post and post.post_id for post in posts], dtype="string")
    table["status"] = pd.Series([post and post.status for post in posts], dtype="string")
    table["attempt"] = [said.attempt or value for said, value in zip(rows, plain_values(table, "attempt"), strict=True)]
    for column, name in FIELDS.items():
        changed = [said.post if said.body and name in said.body else None for said in rows]
        new = [(said.body or {}).get(name) for said in rows]
        for place, values in ((before[column], [post and post.shown[name] for post in changed]), (column, new)):
            if any(changed):
                kind = "string" if name == "content" else object
                table[place] = parse_times(values) if name == "scheduledFor" else pd.Series(values, dtype=kind)
    zone = {name: value for name, value in frame.attrs.items() if name in {"tz", "campaigns"}}
    table.attrs = zone | sheet.attrs
    return table
