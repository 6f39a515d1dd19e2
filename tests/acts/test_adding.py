"""What adds up: which change would be made twice, and which is another one, from what the post shows and what this ledger did before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from voxops.acts import adding
from voxops.acts.moments import minute
from voxops.acts.operation import Item, Past, Subject
from voxops.api.states import PostState

MOVED, SO_FAR, DAYS = "moved_already", "moved_as_far_already", "moved_by_days_already"
ADDED, EDITED, SET = "added_already", "edited_already", "set_before"


def why_adds_up(item: Item, state: PostState, before: Sequence[Past]) -> str:
    """The code and the parameters of the reason; ``""`` where there is none."""
    why = adding.why_adds_up(item, state, before)
    return "" if why is None else " ".join([why.code, *(f"({value})" for _, value in why.params)])


def change(old: dict[str, Any] | None, seen: dict[str, Any] | None = None, **body: Any) -> Item:
    """A change of a post that its frame showed so."""
    shown = {} if old is None else {"shown": old}
    return Item(
        0, "i", 1, Subject("post", "p"), "p", "", "", "", "PATCH", "/v1/posts/p", body, {**shown, **(seen or {})}
    )


def moves(*times: str, kept: str | None = None, **seen: Any) -> str:
    """Why a post is not moved along the last two of these times, after this ledger has moved it along those before."""
    changes = [change({"scheduled_for": old}, seen, scheduledFor=new) for old, new in pairwise(times)]
    before = [Past(each) for each in changes[:-1]]
    if kept is not None:
        before[-1] = Past(changes[-2], None, {"scheduled_for": kept})
    return why_adds_up(changes[-1], PostState("p", "scheduled", scheduled_for=times[-2]), before)


def texts(*texts: str, kept: str | None = None, answer: Any = None) -> str:
    """The same of its texts."""
    changes = [change({"content": old}, content=new) for old, new in pairwise(texts)]
    before = [Past(each) for each in changes[:-1]]
    if kept is not None or answer is not None:
        before[-1] = Past(changes[-2], answer, None if kept is None else {"content": kept})
    return why_adds_up(changes[-1], PostState("p", "scheduled", content=kept or texts[-2]), before)


def at(day: str, hour: str = "09:00") -> str:
    return f"{day}T{hour}:00+00:00"


@pytest.mark.parametrize(
    ("days", "why"),
    [
        (("2027-03-01", "2027-03-04", "2027-03-07"), SO_FAR),
        (("2027-03-01", "2027-03-04", "2027-03-05"), ""),
        (("2027-03-01", "2027-03-04", "2027-03-01"), ""),
        (("2026-11-30", "2026-12-30", "2027-01-30"), DAYS),  # months of 30 and 31 days
        (("2026-12-31", "2027-01-31", "2027-02-28"), DAYS),  # the last day of a shorter one
        (("2027-01-31", "2027-02-28", "2027-03-31"), DAYS),
        (("2026-11-15", "2027-01-15", "2027-03-15"), DAYS),  # two of them, over the turn of the year
        (("2026-11-15", "2026-12-15", "2027-03-15"), ""),  # one, and three
        (("2026-12-15", "2027-01-15", "2027-02-16"), ""),  # 31 days, and 32
        (("2027-03-03", "2027-03-08", "2027-03-15"), DAYS),  # the next Monday, and the one after it
        (("2027-03-01", "2027-03-08", "2027-03-22"), ""),  # by one week, and by two
        (("2027-03-05", "2027-03-08", "2027-03-09"), DAYS),  # from a Friday to the next working day, and again
        (("2027-03-06", "2027-03-08", "2027-03-17"), ""),
        (("2027-03-05", "2027-03-13", "2027-03-20"), ""),  # more than a week, and then one
        (("2026-11-01", "2026-11-30", "2026-12-01", "2026-12-31"), ""),  # the end of this month, and of the next one
    ],
)
def test_a_move_by_the_calendar_adds_up(days, why):
    said = moves(*map(at, days))
    assert (why in said) if why else said == ""


def test_a_move_that_keeps_no_hour_is_the_same_only_by_its_step():
    first = at("2027-03-01"), at("2027-03-02", "14:00")
    assert SO_FAR in moves(*first, at("2027-03-03", "19:00"))
    assert moves(*first, at("2027-03-03", "14:00")) == ""
    assert moves(at("2027-03-01"), at("2027-03-02"), at("2027-03-03", "14:00")) == ""


def test_days_are_those_of_the_zone():
    over = at("2027-03-27"), at("2027-03-28", "08:00"), at("2027-03-29", "08:00")  # ten o'clock in Berlin
    assert DAYS in moves(*over, tz="Europe/Berlin")
    assert "(2027-03-28 10:00 CEST)" in moves(*over, tz="Europe/Berlin")
    assert moves(*over, tz="Asia/Tokyo") == "", "whose clocks are never changed"
    assert DAYS in moves(*over), "nobody has named a zone"
    assert DAYS in moves(at("2027-03-01", "08:00"), at("2027-04-01", "07:00"), at("2027-05-01", "07:00")), "a month"
    assert DAYS in moves(at("2027-10-01", "07:00"), at("2027-11-01", "08:00"), at("2027-12-01", "08:00")), "in autumn"
    assert moves(at("2027-03-01"), at("2027-03-02", "07:00"), at("2027-03-03", "09:00")) == "", "two hours"
    for times in (
        (at("2027-03-10"), at("2027-04-10"), at("2027-05-10")),  # a month, the next Monday and the next working day
        (at("2027-03-25", "22:30"), at("2027-03-29", "22:30"), at("2027-04-05", "22:30")),
        (at("2027-03-26", "22:30"), at("2027-03-29", "22:30"), at("2027-03-30", "22:30")),
    ):
        assert DAYS in moves(*times, tz="Europe/Berlin"), "computed in UTC, as frames have their times"
    assert moves(at("2027-03-10"), at("2027-04-10"), at("2027-05-13"), tz="Europe/Berlin") == ""
    assert minute(over[1]) == "2027-03-28 08:00 UTC"
    assert minute(None) == "no time"


def test_a_move_by_a_step_is_refused_on_any_time_that_this_ledger_has_set():
    assert MOVED in moves(at("2027-03-01"), at("2027-03-04"), at("2027-03-05"), by=86_400.0)
    assert moves(at("2027-03-01"), at("2027-03-04"), at("2027-03-07"), to=True) == ""
    assert moves(at("2027-03-01"), at("2027-03-04")) == "", "nothing was done before"


def test_each_of_several_cells_in_turn_is_found_on_the_way():
    days = [at(f"2027-03-{day:02}") for day in (1, 4, 5)]
    assert SO_FAR in moves(*days, at("2027-03-08")), "three days, one, and three again"
    assert SO_FAR in moves(*days, at("2027-03-06"))
    assert ADDED in texts("a", "a #x", "> a #x", "> a #x #x")
    assert ADDED in texts("a", "a #x", "> a #x", "> > a #x")
    assert ADDED in texts("a", "a #x", "b", "b #x"), "Run All, whose second cell writes another text"


def test_what_was_added_is_found_also_where_others_have_corrected_the_rest_or_a_frame_showed_nothing():
    first = change({"content": "teh sale"}, content="teh sale #x")
    now = PostState("p", "scheduled", content="The sale #x")
    again = change({"content": "The sale #x"}, content="The sale #x #x")
    assert ADDED in why_adds_up(again, now, [Past(first)])
    assert ADDED in why_adds_up(again, now, [Past(first), Past(change(None, content="The sale #x"))])
    gone = PostState("p", "scheduled", content="The sale")
    assert why_adds_up(change({"content": "The sale"}, content="The sale #x"), gone, [Past(first)]) == "", (
        "it was taken away"
    )
    head = change({"content": "a"}, content="> a")
    assert (
        why_adds_up(change({"content": "a"}, content="> a"), PostState("p", "scheduled", content="a"), [Past(head)])
        == ""
    )
    blanks = change({"content": "a"}, content="a ")
    assert (
        why_adds_up(change({"content": "b"}, content="b "), PostState("p", "scheduled", content="b"), [Past(blanks)])
        == ""
    )


def test_what_was_set_before_and_changed_since_is_not_set_once_more():
    """Run All: a first cell sets it, a second one changes that."""
    assert f"{SET} (2027-03-05 09:00 UTC)" in moves(
        at("2027-03-01"), at("2027-03-05"), at("2027-03-06"), at("2027-03-05"), to=True
    )
    assert moves(at("2027-03-01"), at("2027-03-05"), at("2027-03-08"), at("2027-03-01"), to=True) == "", (
        "others set that"
    )
    assert f"{SET} (this text)" in texts("a", "b", "c", "b")
    assert texts("a", "b", "c", "a") == ""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("sale now", "big sale now", "big big sale now"), ADDED),
        (("the sale now", "the big sale now", "the big big sale now"), f"{EDITED} (+ 'big')"),
        (("the sale now", "the big sale now", "the big sale right now"), ""),
        (("a b c", "a c", "a"), ""),  # another word each time
        (("x b x b x", "x x b x", "x x x"), f"{EDITED} (- 'b')"),
        (("now! now! go", "now! go", "go"), f"{EDITED} (cut off 'its beginning')"),
        (("a long text", "a long t", "a long"), f"{EDITED} (cut off 'its end')"),
        (("first second third", "second third", "third"), f"{EDITED} (cut off 'its beginning')"),
        (("first second third", "second third", "second"), ""),
        (("5 days left", "4 days left", "3 days left"), f"{EDITED} (changed 'a number')"),
        (("only 10 EUR now", "only 9 EUR now", "only 8.1 EUR now"), ""),  # 8.1 is another kind of number
        (("part 1 (1)", "part 1 (1) (2)", "part 1 (1) (2) (3)"), ADDED),
        (("sale! now", "sale!! now", "sale!!! now"), f"{EDITED} (+ '!', in 'sale')"),
        (("one two three", "one, two three", "one, two, three"), ""),  # another comma
        (("sale! now", "sales! now", "sales!! now"), ""),
        (("one two", "one  two", "one   two"), ""),  # blanks that nobody sees
        (("the sale now", "the big old sale now", "the old big big old sale now"), f"{EDITED} (+ 'big', + 'old')"),
        (("big sale the now", "the big sale now", "now the big sale"), ""),  # the words are the same
        (("a", "b", "a"), ""),
        (("a", "b", "b"), ""),
        (("a", "a", "a"), ""),  # as where a column holds the same text, and something else is changed
        (("see a/x b/y", "see a/x?u b/y?u", "see a/x?u?u b/y?u?u"), f"{EDITED} (+ '?u', + '?u', in 'a/x', in 'b/y')"),
        (
            ("a & b & c", "a &amp; b &amp; c", "a &amp;amp; b &amp;amp; c"),
            f"{EDITED} (+ 'amp;', + 'amp;', in '&', in '&')",
        ),
        (("old old b", "new old b", "new new b"), f"{EDITED} (- 'old', + 'new')"),
        (("see a/x b/y", "see a/x?u b/y?u", "see a/x?u?v b/y?u?v"), ""),
        (("one two three four five", "two three four", "three"), f"{EDITED} (cut off 'both its ends')"),
        (("one two", "big two", "big big"), ""),  # of two words, another each time
        (("ha now", "haha! now", "haha!ha! now"), f"{EDITED} (+ 'ha!', in 'ha')"),
    ],
)
def test_words_that_are_put_in_taken_out_or_cut_off_twice(words, why):
    said = texts(*words)
    assert (why in said) if why else said == ""


def test_what_the_server_has_kept_of_a_text_is_what_the_next_one_is_made_of():
    words = "a", "a https://shop.example", "a vx.bst/1 https://shop.example"
    changes = [change({"content": "a"}, content=words[1]), change({"content": "a vx.bst/1"}, content=words[2])]
    now = PostState("p", "scheduled", content="a vx.bst/1")
    answer = {"id": "p", "content": "a vx.bst/1"}
    for past in (
        Past(changes[0], None, {"content": "a vx.bst/1"}),
        Past(changes[0], answer),
        Past(changes[0], answer, {"updated_at": "x"}),
    ):
        assert ADDED in why_adds_up(changes[1], now, [past])
    assert why_adds_up(changes[1], now, [Past(changes[0])]) == "", "nothing says how it came about"
    kept = moves(at("2027-03-01", "09:05"), at("2027-03-04"), at("2027-03-07", "00:00"), kept=at("2027-03-04"))
    assert kept == "", "a step of another length"


def test_a_column_that_holds_the_same_adds_nothing_up():
    """A sheet has both the text and the time; one of them is changed at a time."""
    first = change({"content": "a", "scheduled_for": at("2027-03-01")}, content="b", scheduledFor=at("2027-03-05"))
    second = change({"content": "b", "scheduled_for": at("2027-03-05")}, content="c", scheduledFor=at("2027-03-05"))
    third = change({"content": "c", "scheduled_for": at("2027-03-05")}, content="d", scheduledFor=at("2027-03-05"))
    now = PostState("p", "scheduled", content="c", scheduled_for=at("2027-03-05"))
    assert why_adds_up(third, now, [Past(first), Past(second)]) == ""
    fourth = change({"content": "b", "scheduled_for": at("2027-03-05")}, content="b", scheduledFor=at("2027-03-06"))
    fifth = change({"content": "b", "scheduled_for": at("2027-03-06")}, content="b", scheduledFor=at("2027-03-09"))
    now = PostState("p", "scheduled", content="b", scheduled_for=at("2027-03-06"))
    assert why_adds_up(fifth, now, [Past(first), Past(fourth)]) == ""


def test_a_text_or_a_time_of_which_nothing_is_known_adds_nothing_up():
    now = PostState("p", "scheduled", content="a #x", scheduled_for=at("2027-03-04"))
    past = [
        Past(change({"content": "a", "scheduled_for": at("2027-03-01")}, content="a #x", scheduledFor=at("2027-03-04")))
    ]
    for item in (
        change(None),
        change(None, tags=["a"]),
        change({}, content="b"),
        change({"content": "a #x"}, content=""),
    ):
        assert why_adds_up(item, now, past) == ""
    again = change({"content": "a #x"}, content="a #x #x")
    assert ADDED in why_adds_up(again, now, past)
    assert why_adds_up(again, PostState("p", "scheduled"), past) == "", "a list that shows neither"
    assert (
        why_adds_up(Item(**{name: getattr(again, name) for name in again.__slots__} | {"body": None}), now, past) == ""
    )


def test_what_is_added_is_said_and_not_too_much_of_it():
    long = "word " * 30
    said = texts("a", f"a {long}", f"a {long} {long}")
    assert said == f"{ADDED} ({('word ' * 8)[:40]})"
    assert '(" <b>)' in texts("a", 'a " <b>', 'a " <b> " <b>')
    between = texts("the sale", f"the {long}sale", f"the {long}{long}sale")
    assert between.startswith(f"{EDITED} (+ 'word', + 'word'")
    assert len(between) < 100


@pytest.mark.parametrize(
    ("old", "new", "corrected", "made_again", "why"),
    [
        ("The fair", "The fair #x", "The fair #x.", "The fair #x. #x", ADDED),
        ("The fair", "> The fair", "Hello! > The fair", "> Hello! > The fair", ADDED),
        ("fair at noon", "fair (free) at noon", "fair (free) by noon", "fair (free) (free) by noon", EDITED),
        ("fair at noon", "fair at one", "show at one", "show at one", ""),  # nothing is asked for
        ("fair at noon or noon", "fair at one or noon", "fair by one or noon", "fair by one or one", EDITED),
        ("fair at noon or noon", "fair at one or noon", "fair by noon or noon", "fair by one or noon", ""),  # it was taken back
        ("fair at noon", "at noon", "by noon", "noon", EDITED),
        ("fair at noon", "fair at", "fair by", "fair", EDITED),
    ],
)  # fmt: skip
def test_what_was_done_to_a_text_is_known_where_somebody_has_corrected_it_since(old, new, corrected, made_again, why):
    before = [Past(change({"content": old}, content=new))]
    found = why_adds_up(
        change({"content": corrected}, content=made_again), PostState("p", "scheduled", content=corrected), before
    )
    assert why in found
    assert bool(found) == bool(why)
