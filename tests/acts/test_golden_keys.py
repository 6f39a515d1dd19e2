"""Golden keys and marks, written down once: a change here gives every request that was already sent a second key (rule 8)."""

from datetime import datetime
from io import StringIO

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.acts.support import deliveries, keys_of, posts, targets

from voxops._support.canonical import fingerprint
from voxops.acts import ACTS, act_named, keys
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create, resolved, row_names
from voxops.acts.keys import asked_hash, shown_of_body
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_fix, plan_retry
from voxops.acts.update import plan_update

OLD = pd.Timestamp("2026-03-01T09:00:00.123456Z")
SHEET = pd.DataFrame({
    "row_id": ["r1", 2, "3.0"], "content": ["Grüße \u2028 x", "two", "three"], "accounts": ["acc_2; acc_1", "acc_1", "acc_1"],
    "scheduled_for": ["2027-03-01T10:00:00+01:00", "2027-03-02T09:00:00Z", "2027-03-03T09:00:00.250Z"],
    "media": ["media_0", None, "media_1"], "tags": ["a; b", None, None], "first_comment": [None, "more", None],
    "attempt": [1, 2, 1],
})  # fmt: skip
POSTS = posts(
    "scheduled", "scheduled", post_id=["post_1", "post_2"], updated_at=OLD, scheduled_for=OLD + pd.Timedelta("9D")
)
FAILED = {"account_id": "acc_1", "updated_at": OLD, "new_content": "Shorter."}
TARGETS = targets(FAILED, {**FAILED, "platform": "facebook"}, {**FAILED, "post_id": "post_2"})
DELIVERIES = deliveries({"delivery_id": "del_1", "webhook_id": "wh_1", "created_at": OLD})
SPRING = plan_create(SHEET, key="row_id", campaign="Spring")
NAMED = plan_update(POSTS, by="2h", change="Strike, Monday")
GOLDEN = {
    "retry": (plan_retry(TARGETS), ["9bcfa468-4085-44c1-a7e8-b23f08a0dae4", "7d80591b-3028-410e-b4a3-6af5fcc3822a"]),
    "retry of one target": (
        plan_retry(TARGETS.assign(retryable=[True, False, True])), ["7a344151-6bfb-4d6c-a4fc-0b7c2cf8ad09", "7d80591b-3028-410e-b4a3-6af5fcc3822a"]),
    "fix": (
        plan_fix(TARGETS), ["82f87212-5fe0-43a8-8fcb-590768060205", "74658dc5-379e-402e-a973-48f9246bdb7d", "a35971c8-81e9-477e-9b09-a094e160e498"]),
    "cancel": (plan_cancel(POSTS), ["b594cb9e-ad3e-48c3-aa78-72d3a6201176", "67b76993-f979-4c6c-9e5d-6653c3757064"]),
    "create": (SPRING, ["c8c2a4a0-5c0a-4f2f-9299-48c34d08e6cb"]),
    "create of a name with signs": (
        plan_create(SHEET, key="row_id", campaign="KW 10 – „Frühling“ … ‹’26›"), ["30461767-edf2-4e58-b40d-648e496d5b1c"]),
    "create_one": (
        plan_create(SHEET, key="row_id", campaign="Spring", one_by_one=True),
        ["35eb4050-191b-4d74-b68f-5efa534ffd12", "15f0fd89-591a-4837-8331-1434a3fca361", "632ab01e-1a72-471b-a86f-8c439c6af9f3"]),
    "redeliver": (plan_redeliver(DELIVERIES, force=True), ["1d237190-10b1-490f-b29a-78cab0b2b59c"]),
    "update": (
        plan_update(POSTS.assign(new_content="Bye", new_tags="b; a")), ["ed5fa22a-c552-4df1-bb92-f0a9e308f9a7", "ec7fd44b-8fee-4e3b-ab1f-f677615d5806"]),
    "update with a name": (NAMED, ["649a88e3-0fb9-40e0-b5d9-88fca4c4bcab", "b934c8d9-15d0-4c52-b7e3-3191624c4752"]),
}  # fmt: skip


def test_every_act_has_golden_keys():
    assert {name.partition(" ")[0] for name in GOLDEN} == set(ACTS) - {"sync"}, "whose items are of other acts"


@pytest.mark.parametrize(("plan", "golden"), GOLDEN.values(), ids=GOLDEN)
def test_golden_keys_never_change(plan, golden):
    assert keys_of(plan) == golden
    assert set(plan.frame["idempotency_key"].dropna()) == set(golden)


def test_golden_marks_never_change():
    assert keys.mark("", "r1", 1) == "cb89a64a1edb3d4f6ab118c71e2a4ce1"
    assert keys.mark("spring", "r1", 2) == "b3d1dd8a354ab54434ab2b2e28122e64"
    assert keys.row_mark("spring", "r1") == "cd509d84aef14ba958b401f4da8a2e5e"
    assert keys.campaign_name("KW 10 – „Frühling“ … ‹’26›") == "kw 10 - \"frühling\" ... ''26'"
    assert keys.campaign_mark("spring") == "1077fdfa2ff0fe1cbf4f4e9711608f55"
    assert keys.change_mark("strike, monday", "content", "post_1") == "fa88d0075761f538ba0b18b650ad1400"
    assert keys.value_mark("Bye") == "b542f2ee41a753d672a5d22fe3597081"
    assert keys.value_mark(["b", "a"]) == keys.value_mark(["a", "b"]) == "db8992cf941b185a1c5bbcfbdc3f4320"
    first = min(SPRING.items, key=lambda item: item.row)
    assert asked_hash(first.body) == "6731507954adc099628c2becfe7b31f8"
    assert shown_of_body(first.body) == "18e1f36f6d83e1df1e357953a3b15d0e"
    assert fingerprint("create", "spring", "r1") == first.identity == "f93cc11edceb96613c9944100e16f324"
    assert NAMED.items[0].identity == "1f9d3a1210ea5953606d5b4cb20f8ebf"
    assert fingerprint(first.body) == fingerprint(resolved(first, {}).body) == "96ab6f8e03da7b288742a12bc46ac28c"
    assert (
        act_named("create").form([first]).body
        == b'{"dryRun":false,"posts":[{"accountIds":["acc_1","acc_2"],"content":"Gr\xc3\xbc\xc3\x9fe \xe2\x80\xa8 x","media":["media_0"],"metadata":{"voxopsAsked":"6731507954adc099628c2becfe7b31f8","voxopsCampaign":"1077fdfa2ff0fe1cbf4f4e9711608f55","voxopsChanges":{"accountIds":"8b0e36ed56d7919aabf0b264ca850464","content":"7650d88b119cf03c083aa43b97667b09","firstComment":"055539df4a0b804c58caf46c0cd2941a","media":"8e4de4e495e13f08a957a637d1252b04","scheduledFor":"afe9126d8ad3da9d284cf76ed32cc3f1","tags":"db8992cf941b185a1c5bbcfbdc3f4320"},"voxopsOp":"b3b5a2960d2b9c30f5ed344787ad1907","voxopsRow":"cd509d84aef14ba958b401f4da8a2e5e"},"scheduledFor":"2027-03-01T09:00:00Z","tags":["a","b"]}]}'
    )


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()))
def test_rule_05_a_column_of_times_with_a_zone_names_its_rows_through_a_csv_file(when):
    frame = pd.DataFrame({"slot": pd.Series([pd.Timestamp(when)]).dt.as_unit("us")})
    assert isinstance(frame["slot"].dtype, pd.DatetimeTZDtype)
    back = pd.read_csv(StringIO(frame.to_csv(index=False)))
    assert row_names(frame, "slot") == row_names(back, "slot") == row_names(frame.astype(object), "slot")


# Each sign as it may be spelt (rule 5).
SPELLINGS = {
    '"': '"“”„‟«»″', "'": "'‘’‚‛‹›′ʼ´", "-": "-‐‑‒–—―−", "...": ["...", "…", ".\u200b.."], " ": [" ", "\u00a0", " \t\n", "\u2003 "],
    "a": "aA", "é": ["é", "É", "e\u0301"], "ss": ["ss", "ß", "SS", "ẞ"], "1": "1",
}  # fmt: skip


@st.composite
def spelt(draw):
    """A name in its form, and a spelling of it."""
    signs = draw(st.lists(st.sampled_from(list(SPELLINGS)), min_size=1, max_size=5))
    spelling = "".join(draw(st.sampled_from(SPELLINGS[sign])) for sign in signs)
    return " ".join("".join(signs).split()), draw(st.sampled_from(["", " ", "\ufeff"])) + spelling


@given(spelt(), spelt())
@example(("kw 10", "KW\u00a010"), ("kw 10", "kw 10"))
@example(('"a"', "„A“"), ('"a"', "»a«"))
def test_rule_05_two_spellings_have_the_same_keys_exactly_where_they_are_one_name(one, other):
    plans = [plan_create(SHEET, key="row_id", campaign=spelling) for _, spelling in (one, other)]
    ours = [(keys_of(plan), [(item.mark, item.row_mark, item.identity) for item in plan.items]) for plan in plans]
    assert [keys.campaign_name(spelling) for _, spelling in (one, other)] == [one[0], other[0]]
    assert (ours[0] == ours[1]) == (one[0] == other[0])


@given(st.text(max_size=8) | st.text("aßİéŉ´…\u00ad\u0301\u0316\u200d A", max_size=6))
@example("Cafe\u00ad\u0301")
@example("ß\u0301")
@example("ŉ")
def test_the_name_of_a_campaign_in_its_form_stays_as_it_is(name):
    folded = keys.campaign_name(name)
    assert keys.campaign_name(folded) == folded
