"""Mutants that survive because they mean nothing: file and name -> why nobody could tell."""

from __future__ import annotations

_TRIED = "what is asked about was sent, and has its times"
_READ_NEVER = "a reading of the year 1970 is too old either way"
_ASKED = "what a frame asked for of an act is noted once it is decided"
_AS_NAMED = "a number that was not raised is the one that was asked for"
_NEXT_LOOK = "nothing is sent by it, and the next look comes in a moment"
_ENDS = "the function ends there"
_TYPED = "imported for annotations alone"
_ANSWER = "answers are compared with each other; their text is written nowhere"
_KIND = "kinds of moves are compared with each other; their words are shown to nobody"
_FATE = "fates are compared with each other; their text is written nowhere"
REASONS: dict[tuple[str, str], str] = {
    ("api/evidence.py", ": \"succeeded\" → ('succeededX')"): _FATE,
    ("api/evidence.py", ": \"failed\" → ('failedX')"): _FATE,
    ("api/evidence.py", ": \"moving\" → ('movingX')"): _FATE,
    ("api/evidence.py", ": \"unchanged\" → ('unchangedX')"): _FATE,
    (
        "api/evidence.py",
        "_to_common_precision: 1_000_000 → (1000001)",
    ): "of less than a million microseconds only none is a multiple of either",
    ("api/evidence.py", "_to_common_precision: break → pass"): "whole seconds are whole milliseconds, too",
    ("api/evidence.py", "common_time: 0 → (1)"): "whichever microsecond, if it is one",
    ("engine/created.py", ": TYPE_CHECKING → (not TYPE_CHECKING)"): _TYPED,
    ("engine/created.py", ": False → (True) (2)"): "what a representation shows decides nothing",
    ("engine/created.py", ": False → (True) (3)"): "what a representation shows decides nothing",
    (
        "engine/created.py",
        "Listed.take: state.created_at > (self.latest or \"\") → (state.created_at >= (self.latest or ''))",
    ): "it is the same text either way",
    (
        "engine/preparing.py",
        "Preparer._renew_create: 0 <= self._ledger.now() - current.listed <= CREATES_FRESH_FOR → (0 <= self._ledger.now() - current.listed < CREATES_FRESH_FOR)",
    ): "what is read once more at that very instant is as good",
    (
        "engine/created.py",
        "CreatedList._list: states.keys() <= seen → (states.keys() < seen)",
    ): "a page that holds all that was seen goes back as far as the walk did",
    ("engine/sender.py", "Sender._record: False → (True)"): "what is written in the transaction says it anew",
    (
        "engine/learning.py",
        "are_of_others: member.result_id is not None → (True)",
    ): "no post is called None",
    (
        "engine/learning.py",
        "note_posts: one != known[one.post_id] → (True)",
    ): "to learn what is known already changes nothing; leaving it out saves writing",
    (
        "engine/learning.py",
        "note_posts: became → (True)",
    ): "what is there was not taken back, which is noted right after",
    (
        "engine/learning.py",
        "_gone: not one.is_ours → (True)",
    ): "what was made for a row is never forgotten by the ledger",
    (
        "engine/presence.py",
        "judge_row: post.op_mark is not None and post.op_mark != item.mark and _…t_of(item, post) < asked_for → (post.op_mark != item.mark and _attempt_of(item, post) < asked_for)",
    ): "a post without a mark counts as a very late attempt anyway",
    (
        "engine/presence.py",
        "judge_row: post.op_mark is not None and post.op_mark != item.mark and _…t_of(item, post) < asked_for → (post.op_mark is not None and _attempt_of(item, post) < asked_for)",
    ): "the mark of this attempt is never that of an earlier one",
    (
        "engine/presence.py",
        "pair_unmarked: shown is None or state.mark is not None or state.created_at is None → (state.mark is not None or state.created_at is None)",
    ): "no row is looked up under what a post does not show",
    (
        "engine/reading.py",
        "Reading._named: operation.ended or operation.last_sent or 0.0 → (operation.ended or operation.last_sent)",
    ): _TRIED,
    ("engine/reading.py", ": 0.0 → (1.0)"): "every reading is made with both times",
    ("engine/reading.py", ": 0.0 → (1.0) (2)"): "every reading is made with both times",
    ("engine/reading.py", ": 0.0 → (1.0) (3)"): "a reading that settles is made by a watch, with its seconds",
    ("engine/reading.py", ": 0.0 → (1.0) (4)"): "a reading that settles is made by a watch, with its seconds",
    ("engine/reading.py", "Reading._named: 0.0 → (1.0)"): _TRIED,
    (
        "engine/settler.py",
        "Settler._look_at_batches: operation.first_sent or operation.last_sent or 0.0 → (operation.first_sent or 0.0)",
    ): _TRIED,
    (
        "engine/settler.py",
        "Settler._look_at_batches: operation.first_sent or operation.last_sent or 0.0 → (operation.first_sent or operation.last_sent)",
    ): _TRIED,
    ("engine/settler.py", "Settler._look_at_batches: 0.0 → (1.0)"): _TRIED,
    (
        "engine/settler.py",
        "Settler._settle_batch: operation.first_sent or operation.last_sent or 0.0 → (operation.first_sent or 0.0)",
    ): _TRIED,
    (
        "engine/settler.py",
        "Settler._settle_batch: operation.first_sent or operation.last_sent or 0.0 → (operation.first_sent or operation.last_sent)",
    ): _TRIED,
    ("engine/settler.py", "Settler._settle_batch: 0.0 → (1.0)"): _TRIED,
    ("engine/decisions.py", "Decider._is_old: 0.0 → (1.0)"): _TRIED,
    (
        "engine/decisions.py",
        "Decider._decide_known: self._creates and member.result_id is not None → (member.result_id is not None)",
    ): "an act that has failed or is blocked has made nothing",
    (
        "engine/decisions.py",
        "Decider._in_the_way: own is not None or not isinstance(state, PostState) → (own is not None)",
    ): "what is open on a delivery is of that delivery, and a post that is gone is asked nothing",
    ("engine/decisions.py", "Decider._part_from_others: return False → pass"): "nothing is as little as no",
    (
        "engine/decisions.py",
        "Decider._part_from_others: self._whole.add(stored.id) → pass",
    ): "looked at again, the batch holds no others",
    ("engine/decisions.py", "Decider._part_from_others: 0 → (1) (2)"): "decided once more, it is the same",
    ("ledger/outcomes.py", "_answer: return None → pass"): "nothing is nothing",
    (
        "engine/preflight.py",
        "_read_marks: state.mark is None and not state.has_metadata and shown_of_state(state) in shown → (not state.has_metadata and shown_of_state(state) in shown)",
    ): "a mark is metadata",
    (
        "engine/learning.py",
        "note_posts: shown_of_state(state) or one.shown → (shown_of_state(state))",
    ): "the ledger keeps what is not said anew",
    (
        "engine/learning.py",
        "note_posts: state.updated_at or one.updated → (state.updated_at)",
    ): "the ledger keeps what is not said anew",
    ("engine/preflight.py", "_look_again: one.created < lasting → (one.created <= lasting)"): "an instant",
    (
        "engine/preflight.py",
        "_look_again: one.status in WAITING_STATUSES and one.post_id not in listed…ts and one.created < lasting → (one.status in WAITING_STATUSES and one.created < lasting)",
    ): "what is listed is taken from the list",
    ("engine/decisions.py", "Decider._is_old: stored.last_sent or 0.0 → (stored.last_sent)"): _TRIED,
    ("engine/doubles.py", "_will_show: member.item.body or {} → (member.item.body)"): "a change has a body",
    (
        "engine/doubles.py",
        "_will_show: changes and content and when and accounts → (changes and content and when)",
    ): "every row is for an account",
    ("engine/doubles.py", "may_show_yet: 0.0 → (1.0)"): _TRIED,
    ("engine/doubles.py", "Doubles._first_of: \":\" in name → (':' not in name)"): "two ways are two ways",
    ("engine/doubles.py", "Doubles._first_of: return {} → return None"): "nothing is nothing",
    (
        "engine/doubles.py",
        "Doubles._first_of: item.asks(\"accountIds\") or () → (item.asks('accountIds'))",
    ): "a create has accounts",
    ("engine/doubles.py", "Doubles.why_double: 40 → (41)"): "so much of a very long name is shown",
    ("engine/doubles.py", "Doubles.why_double: 40 → (41) (2)"): "so much of a very long name is shown",
    ("engine/doubles.py", "Doubles.why_double: 40 → (41) (3)"): "so much of a very long name is shown",
    ("engine/doubles.py", "may_show_yet: stored.last_sent or 0.0 → (stored.last_sent)"): _TRIED,
    ("engine/decisions.py", "Decider._decide_done: stored.last_sent or 0.0 → (stored.last_sent)"): _TRIED,
    ("engine/decisions.py", "Decider._decide_done: 0.0 → (1.0)"): _TRIED,
    (
        "engine/settler.py",
        "Settler._reply: operation.http_status or 0 → (operation.http_status and 0)",
    ): "the status is said in an error alone, which nobody is shown",
    (
        "engine/settler.py",
        "Settler._reply: operation.http_status or 0 → (0)",
    ): "the status is said in an error alone, which nobody is shown",
    (
        "engine/settler.py",
        "Settler._reply: operation.http_status or 0 → (operation.http_status)",
    ): "the status is said in an error alone, which nobody is shown",
    ("engine/settler.py", "Settler._reply: 0 → (1)"): "the status is said in an error alone, which nobody is shown",
    ("engine/settler.py", "Settler._reply: return None → pass"): _ENDS,
    (
        "engine/settler.py",
        "Settler._settle_delivery: operation.baseline or {} → (operation.baseline)",
    ): "a redelivery is bound only where its delivery was read",
    (
        "engine/settler.py",
        'Settler._settle_delivery: operation.state == "unknown" and long_ago → (long_ago)',
    ): "of what was accepted any trace is an end by then, and without one only what is unknown is planned again",
    (
        "engine/settler.py",
        "Settler._unmarked: listed.posts[post_id] = single → pass",
    ): "what was read is kept for other batches, too; here it saves looking at it again",
    (
        "engine/settler.py",
        "Settler._unmarked: state.mark or is_older(state, first_sent) → (is_older(state, first_sent))",
    ): "a post with a mark could be none of the rows; leaving it out at once saves time",
    ("engine/settler.py", ": 200 → (201)"): "how many are settled in one transaction shows to nobody",
    ("engine/preparing.py", ": TYPE_CHECKING → (not TYPE_CHECKING)"): _TYPED,
    ("engine/sender.py", ": TYPE_CHECKING → (not TYPE_CHECKING)"): _TYPED,
    ("engine/sender.py", "Sender.__init__: 8 → (9)"): "a name of any length is its own",
    (
        "engine/preparing.py",
        "Preparer._address: other.id != stored.id and other.state != \"planned\" → (other.state != 'planned')",
    ): "the operation itself is planned",
    (
        "engine/preparing.py",
        "Preparer._address: state is None or target is None → (target is None)",
    ): "a post that is gone has no target",
    ("engine/preparing.py", "Preparer._drop_past: return None → pass"): _ENDS,
    (
        "engine/preparing.py",
        "Preparer._take_version: state is None or state.version is None → (state.version is None)",
    ): "why_changed says of a post that is gone that it is",
    (
        "engine/preparing.py",
        "Preparer._take_version: why or state is None → (why)",
    ): "why_changed says of a post that is gone that it is",
    ("engine/sender.py", "Sender._attempt: return None → pass (2)"): _ENDS,
    ("engine/sender.py", "_data: return None → pass"): _ENDS,
    ("ledger/claims.py", "Claims._refuse: 0.0 → (1.0)"): "no server's time is in 1970",
    ("ledger/claims.py", "Claims._refuse: return None → pass (2)"): _ENDS,
    ("ledger/outcomes.py", "Outcomes.settle: 0.0 → (1.0)"): "no server's time is in 1970",
    ("ledger/forming.py", "Forming.add: cursor.lastrowid or 0 → (cursor.lastrowid)"): "SQLite numbers every row",
    ("ledger/forming.py", "Forming.add: 0 → (1)"): "SQLite numbers every row",
    (
        "ledger/marks.py",
        "Marks.learn: latest > (self.listed or \"\") → (latest >= (self.listed or ''))",
    ): "writes what is there already",
    ("ledger/marks.py", "Marks.learn: shown and not self.show → (shown)"): "writes what is there already",
    ("ledger/tampering.py", "why_tampered: True → (False)"): "there are as many bodies as rows by then",
    ("engine/execution.py", ": TYPE_CHECKING → (not TYPE_CHECKING)"): _TYPED,
    ("engine/execution.py", "Execution.go: current.control.wake() → pass"): "nobody rests when a pass is over",
    (
        "engine/execution.py",
        "Execution.go: await asyncio.gather(reporter, return_exceptions=True) → pass",
    ): "what was cancelled ends by itself",
    ("engine/control.py", ": \"no\" → ('noX')"): "such numbers have words of their own",
    ("engine/control.py", ": \"one\" → ('oneX')"): "such numbers have words of their own",
    ("engine/control.py", ": \"two\" → ('twoX')"): "such numbers have words of their own",
    ("engine/control.py", ": False → (True)"): "a pass finds out whether it shares before it asks",
    (
        "engine/execution.py",
        "Execution._oversee: control.closed and not current.queue.in_flight → (control.closed)",
    ): "what is under way is waited for after the loop, too",
    (
        "engine/binding.py",
        "_write: creates and gone and len(planned.items) > 1 → (gone and len(planned.items) > 1)",
    ): "rows of one post are decided together",
    (
        "engine/binding.py",
        "_write: creates and gone and len(planned.items) > 1 → (creates and gone)",
    ): "a batch that has lost a row and has one left had two",
    (
        "engine/binding.py",
        "_write: len(planned.items) > 1 → (len(planned.items) >= 1)",
    ): "a batch that has lost a row and has one left had two",
    ("engine/binding.py", "_give_up: not member.outcome.final → (True)"): "a settled row never changes again",
    (
        "engine/decisions.py",
        "Decider._was_undone: 1 → (2)",
    ): "what was done was sent, and is among what was done before",
    (
        "engine/presence.py",
        "_was_for: post is None or post.asked is None or post.asked == asked_hash(body)"
        " → (post.asked is None or post.asked == asked_hash(body))",
    ): "what bears a mark is one of ours",
    ("engine/settler.py", "Settler._leave: 0.0 → (1.0)"): _READ_NEVER,
    ("engine/settler.py", 'Settler._what_is_there: return "" → pass'): "nothing is there either way",
    ("acts/adding.py", '_why_moved: return "" → pass (5)'): _ENDS,
    ("acts/adding.py", "_why_moved: not moves or when is None → (not moves)"): "what moves nothing has no step",
    (
        "acts/adding.py",
        "_edit: len(gone) == len(come) == 1 and gone[0] in come[0] → (len(gone) == len(come) == 1)",
    ): "one word in the place of another is shown by both, either way",
    ("acts/adding.py", "_step: when is None or shown is None → (shown is None)"): "only moves are asked for their step",
    ("acts/adding.py", "_why_edited: 80 → (81)"): "so much of a very long change is shown",
    ("acts/adding.py", "_calendar: \"days\" → ('daysX')"): _KIND,
    ("acts/adding.py", "_calendar: \"months\" → ('monthsX')"): _KIND,
    ("engine/preflight.py", ": TYPE_CHECKING → (not TYPE_CHECKING)"): _TYPED,
    ("engine/answer.py", "was_refused: 0 → (1)"): "neither is a refusal",
    ("engine/answer.py", ": \"taken\" → ('takenX')"): _ANSWER,
    ("engine/answer.py", ": \"refused\" → ('refusedX')"): _ANSWER,
    ("engine/answer.py", ": \"throttled\" → ('throttledX')"): _ANSWER,
    ("engine/answer.py", ": \"stop\" → ('stopX')"): _ANSWER,
    ("engine/answer.py", ": \"unknown\" → ('unknownX')"): _ANSWER,
    (
        "engine/control.py",
        "Control.rest: await asyncio.gather(*tasks, return_exceptions=True) → pass",
    ): "what was cancelled ends by itself",
    (
        "engine/decisions.py",
        "Decider._at_least: self._creates and attempt > item.attempt → (self._creates or attempt > item.attempt)",
    ): _ASKED,
    (
        "engine/decisions.py",
        "Decider._at_least: self._creates and attempt > item.attempt → (attempt > item.attempt)",
    ): _ASKED,
    (
        "engine/decisions.py",
        "Decider._at_least: self._creates and attempt > item.attempt → (self._creates)",
    ): _AS_NAMED,
    ("engine/decisions.py", "Decider._at_least: attempt > item.attempt → (attempt >= item.attempt)"): _AS_NAMED,
    ("engine/decisions.py", "Decider._decide_unsent: 0.0 → (1.0)"): _READ_NEVER,
    (
        "engine/settler.py",
        "Settler._look_at_posts: reading.since(operation) >= PROOF_AFTER → (reading.since(operation) > PROOF_AFTER)",
    ): _NEXT_LOOK,
    (
        "engine/settler.py",
        "Settler._settle_post: tried.since >= NO_EVIDENCE_AFTER → (tried.since > NO_EVIDENCE_AFTER)",
    ): _NEXT_LOOK,
    ("engine/settler.py", "Settler._settle_batch: operation.last_sent or 0.0 → (operation.last_sent)"): _TRIED,
    ("engine/settler.py", "Settler._settle_batch: 0.0 → (1.0) (2)"): _TRIED,
    (
        "engine/sharing.py",
        "shared: own → (not own)",
    ): "an operation is divided by its kinds, in whichever order they stand",
}
