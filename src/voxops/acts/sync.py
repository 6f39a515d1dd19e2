"""Sync: what a campaign needs so that it shows its sheet, as one plan of creates, changes and withdrawals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pandas as pd

from voxops._support.arguments import true_or_false
from voxops._support.canonical import fingerprint
from voxops.acts import keys
from voxops.acts.act import Act, Item
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import CREATE, NOTHING_ELSE, plan_create, resolved, row_names
from voxops.acts.plan import Compared, Plan, build_plan, columns_of, fetched_at
from voxops.acts.posts import COLUMNS, FramePost, read_posts
from voxops.acts.update import FIELDS, UPDATE, plan_update
from voxops.api.reasons import Reason
from voxops.errors import PlanError
from voxops.frames.cells import metadata_value
from voxops.frames.checks import flags, need_posts, plain_values
from voxops.frames.times import parse_times
from voxops.model import WAITING_STATUSES, WITHDRAWN_STATUSES
from voxops.sheets.rules import utc_text

PARTS = ("withdraw", "change", "create")
PLANNERS: dict[str, Callable[[pd.DataFrame], Plan]] = {"withdraw": plan_cancel, "change": plan_update}
_NEEDED = (*COLUMNS, "updated_at", "tags")
ATTEMPTS_BEYOND = 29  # attempts beyond the sheet's own under which a row may have been created
_ELIGIBLE = frozenset({"ready", "sync_returns", "new_values", "sync_moved", "sync_gone"})


class Sync(Act):
    """A plan of several acts; each row answers for itself, by its own act."""

    name = "sync"
    verb = "sync"
    parts: ClassVar[tuple[str, ...]] = PARTS


SYNC = Sync()


@dataclass(frozen=True, slots=True)
class _Need:
    """What a row of the plan needs; a change has its `body`, a create the `attempt` that it is."""

    act: Literal["create", "change", "withdraw", "none"]
    reason: Reason
    post: FramePost | None = None
    body: Mapping[str, Any] | None = None
    attempt: int = 0  # 0 for the sheet's

    @property
    def eligible(self) -> bool:
        return self.reason.code in _ELIGIBLE


def _of_row(item: Item, posts: Sequence[FramePost], *, override: bool, tags: bool) -> _Need:
    """What a row needs whose create is planned, by the posts that bear its mark."""
    live = sorted((post for post in posts if post.is_live), key=lambda post: (post.created, post.post_id))
    if any(post.op_mark != live[0].op_mark or post.looks == live[0].looks for post in live[1:]):
        return _Need("none", Reason("sync_doubled", posts=", ".join(post.post_id for post in live)), live[0])
    if live:  # others with this mark are copies that a person has made into other posts (rule 19)
        return _of_live(item, live[0], override=override or live[0].override, tags=tags)
    numbers = keys.marks(item.campaign, item.label, item.attempt + ATTEMPTS_BEYOND)
    attempts = {post.post_id: numbers.get(post.op_mark or "", 1) for post in posts}
    last = max(posts, key=lambda post: (attempts[post.post_id], post.created, post.post_id), default=None)
    if last is None or (item.attempt > attempts[last.post_id] and last.status != "failed"):
        return _Need("create", Reason("ready"), attempt=item.attempt)
    again = attempts[last.post_id] + 1
    if last.by_sync:
        return _Need("create", Reason("sync_returns", post=last.post_id, attempt=again), attempt=again)
    if last.status == "draft":
        reason = Reason("sync_draft", post=last.post_id)
    elif last.status in WITHDRAWN_STATUSES:
        reason = Reason("withdrawn_since", post=last.post_id, status=last.status, attempt=again)
    else:
        reason = Reason("sync_failed", post=last.post_id, status=last.status)
    return _Need("none", reason, last)


def _of_live(item: Item, post: FramePost, *, override: bool, tags: bool) -> _Need:
    """What a row needs whose post is out, or will go out."""
    wanted = {**NOTHING_ELSE, **item.requested}
    other = [name for name in FIELDS.values() if (name != "tags" or tags) and not post.shows(name, wanted[name])]
    more = [name for name in ("media", "firstComment") if name in post.marks and not post.was_asked(name, wanted[name])]
    more += post.other_texts(keys.texts_by_column(wanted))
    edited, reason = [name for name in post.edited() if name in other], None
    if item.named_accounts:
        reason = Reason("sync_account", value=", ".join(item.named_accounts))
    elif post.status == "partial":
        reason = Reason("sync_failed", post=post.post_id, status=post.status)
    elif not other and (not more or override):
        reason = Reason("sync_as_is")
    elif post.status not in WAITING_STATUSES:
        reason = Reason("sync_too_late", status=post.status, fields=columns_of([*other, *more]))
    if reason:
        return _Need("none", reason, post)
    if post.status != "scheduled":
        reason = Reason("not_changeable", status=post.status)
    elif edited and not override:
        reason = Reason("sync_edited", post=post.post_id, fields=columns_of(edited))
    elif more and not override:
        reason = Reason("created_otherwise", post=post.post_id, fields=columns_of(more))
    if reason:
        return _Need("change", reason, post)
    # The row is as it was created, and nobody has edited the post: a run has, such as one of plan_update.
    moved = not edited and post.asked == item.asked_hash
    reason = Reason("sync_moved" if moved else "new_values", fields=columns_of(other))
    return _Need("change", reason, post, {name: wanted[name] for name in other})


def _of_gone(post: FramePost, *, withdraw: bool) -> _Need:
    """What becomes of a post whose row the sheet does not have."""
    if post.status not in WAITING_STATUSES:
        return _Need("none", Reason("sync_out", status=post.status), post)
    edited = post.edited() + ["row"] * (post.row_mark is None) + ["withdrawal"] * (post.withdrew is not None)
    if post.status not in {"draft", "scheduled"}:
        reason = Reason("not_cancellable", status=post.status)
    elif not withdraw:
        reason = Reason("withdraw_not_asked", many=1, of=1)
    elif edited and not post.override:
        reason = Reason("sync_edited", post=post.post_id, fields=columns_of(edited))
    else:
        reason = Reason("sync_gone", many=1, of=1)
    return _Need("withdraw", reason, post)


def _hold_look_alikes(
    needs: dict[int, _Need], makes: Mapping[int, str], posts: Sequence[FramePost]
) -> dict[int, _Need]:
    """Block rows that would show what another post shows, unless this plan changes or withdraws that one (rule 17).

    `makes` is what each row will show. Where only posts of rows that are gone stand in the way, the reason says so.
    """
    alike: dict[str | None, list[FramePost]] = defaultdict(list)
    for post in posts:
        if post.is_live:
            alike[post.looks].append(post)
    moved = {
        need.post.post_id
        for row, need in needs.items()
        if need.post and need.eligible and makes.get(row) != need.post.looks
    }
    # Posts that a withdrawal would remove, or that would change then.
    gone = {need.post.post_id for need in needs.values() if need.post and need.reason.code == "withdraw_not_asked"}
    held: dict[
        int, tuple[FramePost, bool]
    ] = {}  # row -> the post in its way, and whether a withdrawal would resolve it
    while True:
        blocks = {}
        for row, shows in makes.items():
            own = needs[row].post
            if row in held or (own and own.looks == shows):
                continue
            stays = [post for post in alike[shows] if post is not own and post.post_id not in moved]
            if stays:
                blocks[row] = stays[0], all(post.post_id in gone for post in stays)
        if not blocks:
            break
        held |= blocks
        stuck = [(needs[row].post, by_withdrawal) for row, (_, by_withdrawal) in blocks.items()]
        moved -= {post.post_id for post, _ in stuck if post}
        gone |= {post.post_id for post, by_withdrawal in stuck if post and by_withdrawal}
    count = sum(by_withdrawal for _, by_withdrawal in held.values())
    for row, (post, by_withdrawal) in held.items():
        by_row = Reason("looks_like_row", post=post.post_id, of="")
        why = Reason("sync_held", post=post.post_id, count=count) if by_withdrawal else by_row
        needs[row] = replace(needs[row], reason=why)
    return needs


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
    need_posts(posts, _NEEDED, "plan_sync() needs posts", "Use ws.posts(campaign=…).")
    now = fetched_at(posts)
    if now is None:
        raise PlanError(
            "the posts do not say when they were loaded: merge(), join() and files drop frame.attrs, which contain it; "
            "load them again with ws.posts(campaign=…)"
        )
    created = plan_create(sheet, key=key, campaign=campaign, one_by_one=one_by_one)
    if "outcome" in sheet.columns or "run" in sheet.attrs:
        raise PlanError("these are rows of a run; rows that are missing would count as deleted; pass the whole sheet")
    if withdraw and not len(sheet):
        raise PlanError("the sheet has no rows: withdraw=True would withdraw the whole campaign; use vx.plan_cancel")
    if withdraw and len(posts) and not any(metadata_value(value, []) for value in plain_values(posts, "metadata")):
        raise PlanError(
            "no post of the frame shows metadata, so nothing tells which row each belongs to; leave out withdraw=True, or use vx.plan_cancel"
        )
    labels = row_names(sheet, key)
    marks = [keys.row_mark(name, label) for label in labels]
    ours, by_row = list(read_posts(posts, name)), defaultdict[str | None, list[FramePost]](list)
    for post in ours:
        by_row[post.row_mark].append(post)
    items = {item.row: item for item in created.items}
    override, tags, accounts = flags(sheet, "override"), "tags" in sheet.columns, posts.attrs.get("accounts") or {}
    needs: dict[int, _Need] = {}
    makes: dict[int, str] = {}
    for row, mark in enumerate(marks):
        if row not in items:
            needs[row] = _Need("none", created.why[row], post=next(iter(by_row[mark]), None))
            continue
        item = resolved(items[row], accounts)
        need = _of_row(item, by_row[mark], override=override[row], tags=tags)
        if need.act == "create" and CREATE.has_passed(item, now):
            need = _Need("none", Reason("time_passed"))
        elif need.eligible and not item.seen["twin"]:
            makes[row] = item.shown_hash
        needs[row] = need
    gone = [post for post in ours if post.row_mark not in marks and post.status not in WITHDRAWN_STATUSES]
    needs |= {len(sheet) + at: _of_gone(post, withdraw=withdraw) for at, post in enumerate(gone)}
    needs = _hold_look_alikes(needs, makes, ours)
    # A withdrawal says how many of how many posts of the campaign are withdrawn.
    withdrawals = [row for row, need in needs.items() if need.reason.code in {"sync_gone", "withdraw_not_asked"}]
    for row in withdrawals:
        needs[row] = replace(needs[row], reason=needs[row].reason.having(many=len(withdrawals), of=len(ours)))
    compared = [*((mark, by_row[mark]) for mark in marks), *(("", [post]) for post in gone)]
    checked = {
        row: (mark, {post.post_id: (post.status, utc_text(post.updated)) for post in own})
        for row, (mark, own) in enumerate(compared)
        if needs[row].eligible or needs[row].reason.code == "sync_as_is"
    }
    identities = sorted(fingerprint("create", name, label) for label in labels)
    return _plan(sheet, posts, [needs[row] for row in range(len(needs))], created, Compared(tuple(identities), checked))


def _plan(sheet: pd.DataFrame, posts: pd.DataFrame, needs: Sequence[_Need], created: Plan, compared: Compared) -> Plan:
    """The plan of all rows, of items that the acts' own planners make."""
    table, name, why = _table(sheet, posts, needs, created.key), created.campaign, [need.reason for need in needs]
    items = {
        item.row: replace(item, attempt=needs[item.row].attempt)
        for item in created.items
        if needs[item.row].act == "create" and needs[item.row].eligible
    }
    for act, planner in PLANNERS.items():
        done = {
            row: (need, need.post) for row, need in enumerate(needs) if need.act == act and need.eligible and need.post
        }
        if not done:
            continue
        rows, own = list(done), table.iloc[list(done)]
        columns = {column: own[column].array for column in ("attempt", *FIELDS) if column in own}
        columns["change"] = [fingerprint("sync", post.state, need.body) for need, post in done.values()]
        plan = planner(posts.iloc[[post.place for _, post in done.values()]][[*_NEEDED]].assign(**columns))
        planned = {rows[item.row]: item for item in plan.items}
        items |= {row: replace(item, row=row, seen={**item.seen, "sync": name}) for row, item in planned.items()}
        for row, reason in zip(rows, plan.why, strict=True):
            why[row] = why[row] if row in planned else reason
    reads = 1 + len(WAITING_STATUSES) + sum(item.act == UPDATE.name for item in items.values())  # the campaign anew
    judged = [(reason, items.get(row)) for row, reason in enumerate(why)]
    acts = [need.act for need in needs]
    return build_plan(SYNC, table, judged, acts=acts, reads=reads, campaign=name, key=created.key, compared=compared)


def _table(sheet: pd.DataFrame, frame: pd.DataFrame, needs: Sequence[_Need], key: str) -> pd.DataFrame:
    """The sheet with the posts of its rows, what they show and will show, and below it the rows that are gone, in the zone of either."""
    before, count = {column: column.replace("new_", "now_") for column in FIELDS}, len(sheet)
    table = sheet.reset_index(drop=True).drop(columns=[*before, *before.values()], errors="ignore")
    posts = [need.post for need in needs]
    if gone := [post for post in posts[count:] if post]:
        kinds = {"i": "Int64", "b": "boolean"}  # whole numbers and flags are missing below the sheet
        table = table.astype({name: kinds[dtype.kind] for name, dtype in table.dtypes.items() if dtype.kind in kinds})
        table = table.reindex(range(len(needs)))
        accounts = frame.attrs.get("accounts") or {}
        names = {account: name for name, account in accounts.items() if account not in name}
        below: dict[str, list[Any]] = {
            "content": [post.shown["content"] for post in gone],
            "scheduled_for": [post.shown["scheduledFor"] for post in gone],
            "accounts": [";".join(names.get(id_, id_) for id_ in post.shown["accountIds"] or ()) for post in gone],
        }
        for column in [name for name in below if name in sheet.columns]:
            table[column] = pd.Series([*sheet[column], *below[column]], dtype=sheet[column].dtype)
        labels = pd.Series([post.label for post in gone], range(count, len(needs)), dtype=object)
        is_number = pd.api.types.is_numeric_dtype(table[key].dtype)
        table.loc[count:, key] = pd.to_numeric(labels, errors="coerce") if is_number else labels
    for name in ("post_id", "status"):
        table[name] = pd.Series([post and getattr(post, name) for post in posts], dtype="string")
    table["attempt"] = [
        need.attempt or value for need, value in zip(needs, plain_values(table, "attempt"), strict=True)
    ]
    for column, name in FIELDS.items():
        changed = [need.post if need.body and name in need.body else None for need in needs]
        new = [(need.body or {}).get(name) for need in needs]
        for place, values in ((before[column], [post and post.shown[name] for post in changed]), (column, new)):
            if any(changed):
                kind = "string" if name == "content" else object
                table[place] = parse_times(values) if name == "scheduledFor" else pd.Series(values, dtype=kind)
    table.attrs = {name: value for name, value in frame.attrs.items() if name in {"tz", "campaigns"}} | sheet.attrs
    return table
