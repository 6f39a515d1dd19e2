"""Reading for the engine: what is read is written into the ledger, and remembered with the instant at which the reading began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from voxops.acts.act import Item, Subject
from voxops.api.limits import LOOKBACK, PROOF_AFTER, SKEW
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.engine import match
from voxops.engine.facts import Moment, Readings, SharedState, utc
from voxops.engine.lists import Listed, Reader
from voxops.errors import AuthError
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Call, Seen
from voxops.loading.accounts import AccountNames, list_accounts, media_statuses
from voxops.model import NEVER_OUT, WAITING_STATUSES

if TYPE_CHECKING:
    from voxops.client import AsyncClient

Commit = Callable[[Callable[[], Any]], Awaitable[Any]]

LIKELY = ("failed", "partial", "scheduled", "draft")  # statuses of posts that are about to be acted on
ENDED = ("publishing", "pending", "published", "failed", "partial")  # and of those that were acted on
SINCE = ("publishing", "pending", "published", "cancelled", "failed", "partial")  # and of posts that waited to go out
FEW = 50  # posts that are read one by one at the same time
SINGLY = 20  # posts that are read one by one to learn whether lists show metadata


class Reads:
    """Reads the server for all runs of a workspace.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    reader : Reader
        Reads lists and posts.
    known : SharedState
        Where readings are kept.
    commit : callable
        Does a piece of work in a transaction of the ledger.
    """

    def __init__(self, client: AsyncClient, reader: Reader, shared: SharedState, commit: Commit) -> None:
        self._client = client
        self.reader: Reader = reader
        self._shared = shared
        self._ledger: Ledger = shared.ledger
        self._readings: Readings = shared.readings
        self._commit = commit

    def moment(self) -> Moment:
        """Now, as readings count it."""
        return Moment(self._client.now().timestamp(), self._client._clock.monotonic())

    # Posts and deliveries that acts are about.

    async def subjects(self, wanted: Mapping[str, bool], expect: Sequence[str], *, follow: bool = False) -> None:
        """Read subjects: those of acts that are read alone by themselves, the others from lists where that costs less."""
        subjects = [(Subject.parse(text), single) for text, single in wanted.items()]
        posts = {subject.id: single for subject, single in subjects if subject.kind == "post"}
        for post in sorted(post for post, single in posts.items() if single):
            moment = self.moment()
            await self._note({post: await self.reader.post(post)}, moment)
        if together := [post for post, single in posts.items() if not single]:
            moment = self.moment()
            shown = await (self.reader.follow(together) if follow else self.reader.posts(together, expect))
            await self._note(shown, moment)
        webhooks: dict[str, list[str]] = {}
        for subject, _ in subjects:
            if subject.kind == "delivery":
                webhooks.setdefault(subject.parent, []).append(subject.id)
        for webhook, names in sorted(webhooks.items()):
            moment = self.moment()
            states = await self.reader.deliveries(webhook, names)
            for name in names:
                self._readings.subjects[str(Subject("delivery", name, webhook))] = states.get(name), moment

    async def _note(self, states: Mapping[str, PostState | None], moment: Moment) -> None:
        """Remember posts as they were read, None for one that does not exist."""
        for post, state in states.items():
            self._readings.subjects[str(Subject("post", post))] = state, moment
        await self._commit(lambda: note_posts(self._ledger, states, moment.at))

    def note_answer(self, state: PostState) -> None:
        """Remember a post as the answer to a call shows it; inside the transaction that writes the answer."""
        moment = self.moment()
        self._readings.subjects[str(Subject("post", state.post_id))] = state, moment
        note_posts(self._ledger, {state.post_id: state}, moment.at)

    # The list of posts.

    async def listing(self, calls: Sequence[Call] = (), *, waiting: bool = False, since: float | None = None) -> None:
        """Read what was created since the list was read last, overlapping; for creates in doubt, back to before they were sent.

        On the first sight of a workspace a month is read, and what waits to go out. A post's own `created_at` is never believed to be later
        than the reading (rule 10). `since` asks for all of it, back to before that instant.
        """
        moment = self.moment()
        deep = min([call.first_sent for call in calls] + ([] if since is None else [since]), default=None)
        since, looked_through = self._since(moment.at)
        if deep is not None:
            since = min(since, deep - SKEW)
        first = looked_through is not None
        listed = await self.reader.created.read(
            utc(since), waiting=waiting, on_top=deep is None and not first, first=first
        )
        await self._commit(partial(self._learn, listed, moment.at, looked_through))
        self.reader.created.learnt(listed)
        readings = self._readings
        readings.listed = Moment(listed.read if listed.read is not None else moment.at, moment.elapsed)
        if listed.whole:
            readings.walked, readings.since, readings.window = moment, since, dict(listed.posts)
            await self._absent(listed, since, moment.at)
        else:
            readings.window |= listed.posts

    async def _absent(self, listed: Listed, since: float, began: float) -> None:
        """Read by themselves the posts of this ledger that a walk should have shown, and did not: they were deleted, or never there.

        What an answer alone has named, and does not exist five minutes on, makes its row blocked (rules 12 and 14).
        """
        named = self._ledger.requests.created_between(since, began - PROOF_AFTER)
        absent = {post: request for post, request in named.items() if post not in listed.posts}
        seen = self._ledger.seen.of_posts(absent)
        for post in sorted(absent)[:FEW]:
            if post in seen and seen[post].status == "deleted":
                continue
            read = self.moment()
            state = await self.reader.post(post)
            await self._commit(partial(self._note_absent, post, state, absent[post], read.at))

    def _note_absent(self, post: str, state: PostState | None, request: int, began: float) -> None:
        note_posts(self._ledger, {post: state}, began)
        create = self._ledger.requests.get([request])[request]
        if create.confirmed:
            return
        if state is None:
            self._ledger.requests.not_there(request, Reason("not_found"))
        elif state.mark is None:  # it is there, and shows no marks: nothing contradicts the answer
            self._ledger.requests.confirm([(post, request)])

    def _since(self, now: float) -> tuple[float, float | None]:
        """Back to when the list is read, and when the workspace was first looked through, if that is now."""
        listed, first = self._ledger.meta("listed", datetime.fromisoformat), self._ledger.seen.looked_through
        if listed is not None:
            return listed.timestamp() - SKEW, None
        if first is not None and first <= now:
            return first - LOOKBACK, None
        return now - LOOKBACK, now

    def _learn(self, listed: Listed, began: float, looked_through: float | None) -> None:
        """Write what the lists have shown."""
        # A post of the future stands on top of the list for days, and would hide what is created until then.
        latest = None if listed.latest is None else min(listed.latest, utc(listed.read or began).isoformat())
        seen = self._ledger.seen.of_posts(listed.posts)
        states = [state for post, state in listed.posts.items() if post in seen or match.is_remembered(state, began)]
        self._ledger.seen.learn(
            [match.seen_of(state, began) for state in states],
            latest=latest,
            shows_marks=listed.marked,
            looked_through=looked_through,
        )
        confirm(self._ledger, listed.posts.values())

    async def metadata(self) -> None:
        """Learn whether lists show the metadata of posts, before creates are sent that only their marks would find again (rule 11).

        Where lists have shown none, the newest posts are read by themselves, until one shows some that its list did not.
        """
        seen, window = self._ledger.seen, self._readings.window
        shows = seen.lists_show_metadata
        if shows:
            return
        if any(state.metadata for state in window.values()):
            await self._commit(partial(seen.note_metadata, shown=True))
            return
        if shows is False and self._readings.read_singly:
            return
        self._readings.read_singly = True
        newest = sorted(window.values(), key=lambda state: state.created_at or "", reverse=True)[:SINGLY]
        singles = [state for listed in newest if (state := await self.reader.post(listed.post_id)) is not None]
        marks = {state.mark: state.post_id for state in singles if state.mark is not None}
        own = {create.item.mark for create in self._ledger.requests.bearing(marks, ())}
        self._readings.foreign_mark = next((post for mark, post in marks.items() if mark not in own), "")
        ours = {create.result_id for create in self._ledger.requests.bearing((), window)}
        if any(state.metadata for state in singles) or ours:  # a create of ours has told, where nothing else could
            await self._commit(partial(seen.note_metadata, shown=False))

    async def refresh(self, requests: Sequence[Item], *, sending: bool = False) -> None:
        """Read again the posts that decide about rows and are only remembered: they may be otherwise now (rules 10 and 17).

        They are posts whose status says that they never go out. Unless `sending`, they are also those that may have gone out since
        (waiting ones, look-alikes created by hand), and all posts of a row that requests a next attempt.
        """
        seen, window = self._ledger.seen, self._readings.window
        of_rows = seen.of_rows([item.row_mark for item in requests], [item.mark for item in requests])
        alike = seen.alike(filter(None, map(self._shared.will_show, requests)))
        settled = self._client.now().timestamp() - PROOF_AFTER
        anew = {item.row_mark for item in requests if item.attempt > 1}

        def is_read(post: Seen) -> bool:
            if post.status == "deleted":
                return False
            if post.row_mark in anew and not sending:
                return True  # a list may still show what was deleted a moment ago
            if post.source == "list" and post.post_id in window:
                return False
            may_have_gone = not post.is_ours or (post.status in WAITING_STATUSES and post.began < settled)
            return post.status in NEVER_OUT or (may_have_gone and not sending)

        posts = {post.post_id: post for post in [*of_rows, *alike] if is_read(post)}
        if not posts:
            return
        statuses = Counter(post.status for post in posts.values())
        likely = [status for status, _ in statuses.most_common() if status not in WAITING_STATUSES]
        await self.posts(posts, list(dict.fromkeys([*likely, *SINCE])))

    async def accounts(self, items: Iterable[Item]) -> None:
        """Read the accounts of creates: what they are called, and which can publish.

        A key that may not read them sends what names accounts by their ids, and the API judges.
        """
        creates = [item for item in items if item.creates]
        if not creates:
            return
        try:
            self._shared.accounts = AccountNames(await list_accounts(self._client), self._shared.checks)
        except AuthError:
            if any(item.named_accounts for item in creates):
                raise
            self._shared.accounts = AccountNames()
        self._shared.accounts_read = True

    async def media(self, items: Iterable[Item]) -> None:
        """Read the media of creates that were not read since the plan was bound, and that no upload of this ledger has seen ready."""
        statuses = self._shared.media
        ids = {medium_id for item in items for medium_id in item.media_ids}.difference(statuses)
        if ids := ids - self._ledger.media.ready(ids) if ids else ids:
            statuses |= await media_statuses(self._client, sorted(ids)) or dict.fromkeys(ids, "")

    async def posts(self, ids: Iterable[str], expect: Sequence[str] = ENDED) -> dict[str, PostState | None]:
        """Read posts as they are now, None for one that does not exist, and remember what they show."""
        moment = self.moment()
        states = await self.reader.posts(ids, expect)
        await self._commit(lambda: note_posts(self._ledger, states, moment.at))
        return states


def note_posts(ledger: Ledger, posts: Mapping[str, PostState | None], began: float) -> None:
    """Remember what posts show that are known, or bear a mark; None for one that does not exist.

    What was created a moment ago is not deleted because reads do not show it yet.
    """
    seen = ledger.seen.of_posts(posts)
    learnt = [
        match.seen_of(state, began)
        for post, state in posts.items()
        if state is not None and (post in seen or state.mark is not None or state.marks[1] is not None)
    ]
    lasting = utc(began - PROOF_AFTER).isoformat()
    learnt += [
        Seen(post, before.created, "deleted", before.updated, began=began, source="single", since=began)
        for post, before in seen.items()
        if posts[post] is None and before.created < lasting
    ]
    if learnt:
        ledger.seen.learn(learnt)
        confirm(ledger, [state for state in posts.values() if state is not None])


def confirm(ledger: Ledger, states: Iterable[PostState]) -> None:
    """Creates that an answer alone has settled stand for the post that shows their mark: marks win over answers (rule 12)."""
    marked = match.by_mark(states)
    pairs = []
    for request in ledger.requests.unconfirmed(marked).values() if marked else ():
        asked, named = request.item.asked_hash, request.result_id
        own = [state for state in marked.get(request.item.mark, ()) if state.marks[3] in {None, asked}]
        if own:  # the earliest, but for the one that the answer named
            post = min(own, key=lambda state: state.post_id != named)
            pairs.append((post.post_id, request.id))
    if pairs:
        ledger.requests.confirm(pairs)
