"""Triage: the table of rules against the API's own error table, fingerprints, and verdicts by status."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voxburst_sandbox import publishing
from voxops.analysis.triage import RULES, UNKNOWN, Rule, analyst_rules, find_rule, judge, message_template, triage
from voxops.errors import PlanError
from voxops.frames.records import build, targets
from voxops.model import Verdict

# The API's error table as published: which codes are retryable, and the others.
AGAIN = {"IDEMPOTENCY_IN_PROGRESS", "RATE_LIMITED", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "DESTINATIONS_NOT_LOADED"}
FINAL = {
    "BAD_REQUEST", "VALIDATION_ERROR", "IDEMPOTENCY_INVALID_KEY", "UNAUTHORIZED", "LIMIT_EXCEEDED", "AUTHORIZATION_ERROR", "FORBIDDEN",
    "NOT_FOUND", "CONFLICT", "IDEMPOTENCY_CONFLICT", "INVALID_DATE", "CONTENT_TOO_LONG", "MEDIA_REQUIRED", "CONTENT_TYPE_REQUIRED",
    "CONTENT_TYPE_NOT_SUPPORTED", "ACCOUNT_NOT_FOUND", "PERSONA_IN_USE", "PAGE_SELECTION_NOT_SUPPORTED", "ACCOUNT_PAGE_MISMATCH",
}  # fmt: skip
PUBLISHED = sorted(AGAIN | FINAL)
VERDICTS = {
    "RATE_LIMITED": Verdict.RETRY, "SERVICE_UNAVAILABLE": Verdict.RETRY, "INTERNAL_ERROR": Verdict.RETRY,
    "TOKEN_EXPIRED": Verdict.RECONNECT, "ACCOUNT_DISCONNECTED": Verdict.RECONNECT,
    "CONTENT_TOO_LONG": Verdict.FIX_CONTENT, "MEDIA_ASPECT_RATIO": Verdict.FIX_MEDIA,
    "MEDIA_TOO_LARGE": Verdict.FIX_MEDIA, "MEDIA_FORMAT_NOT_SUPPORTED": Verdict.FIX_MEDIA,
    "LIMIT_EXCEEDED": Verdict.UPGRADE, "PUBLISH_ERROR": Verdict.SUPPORT, "E_4711": Verdict.SUPPORT,
    "SKIPPED": Verdict.SUPPORT,
}  # fmt: skip


def failed(*errors, status="failed", platform="twitter"):
    """A targets frame of one post whose targets failed like this."""
    entry = {"platform": platform, "status": status}
    entries = [{**entry, "accountId": f"acc_{n}", "error": error} for n, error in enumerate(errors)]
    return targets(
        build("posts", [{"id": "p", "status": "failed", "updatedAt": "2026-03-02T09:00:00Z", "platforms": entries}])
    )


@pytest.mark.parametrize("code", PUBLISHED)
def test_each_published_code_has_a_rule_with_the_published_retryability(code):
    rule = find_rule(code, "twitter", "whatever the message says: rate limit, timeout")
    assert (rule.retryable, rule.pattern) == (code in AGAIN, None)


@pytest.mark.parametrize("code", VERDICTS)
def test_verdicts(code):
    assert judge(code, "linkedin", None).verdict == VERDICTS[code]


def test_every_rule_can_be_reached_and_only_published_codes_are_retryable():
    seen = set()
    for rule in RULES:
        assert seen.isdisjoint(rule.codes), "an earlier rule for every platform shadows it"
        seen |= set() if rule.platform else set(rule.codes)
    assert {code for rule in (*RULES, UNKNOWN) if rule.retryable for code in rule.codes or [None]} == AGAIN
    advised = [rule for rule in (*RULES, *analyst_rules({"E_1": "retry"})) if rule.verdict == "retry"]
    assert all("publish the failed platforms again" in rule.remedy for rule in advised), "what the act does"
    remedies = [judge("MEDIA_ASPECT_RATIO", platform, None).remedy for platform in ("instagram", "facebook")]
    assert ["4:5" in remedy for remedy in remedies] == [True, False], "a rule for one platform comes first"


def test_every_code_that_the_sandbox_sends_for_a_target_is_understood_or_meant_to_be_unknown():
    for code, text in publishing._TEXTS.values():
        rule = find_rule(code, "instagram", text)
        assert (rule is UNKNOWN) == code.startswith(("E_", "GRAPH_")), code


@pytest.mark.parametrize(("message", "verdict"), [
    ("Too many requests", Verdict.RETRY), ("The access token has expired", Verdict.RECONNECT),
    ("This text is too long", Verdict.FIX_CONTENT), ("Aspect ratio 2:1 is not supported", Verdict.FIX_MEDIA),
    ("HTTP 503", Verdict.RETRY), ("Your plan allows ten posts", Verdict.UPGRADE), ("upstream timeout", Verdict.SUPPORT),
    ("the moon is full", Verdict.SUPPORT),
])  # fmt: skip
@pytest.mark.parametrize("code", [None, "PUBLISH_ERROR", "E_4711"])
def test_a_message_may_be_guessed_from_but_never_makes_anything_retryable(code, message, verdict):
    said = judge(code, "x", message)
    assert said.verdict == verdict
    assert said.retryable is False
    assert said.remedy.endswith("(a guess from the message)") == (message != "the moon is full")


@pytest.mark.parametrize(("status", "post_status", "verdict", "has_cause"), [
    ("failed", "failed", Verdict.RETRY, True), ("failed", "partial", Verdict.RETRY, True),
    ("failed", "publishing", Verdict.RETRY, True), ("failed", "cancelled", Verdict.NOTHING, False),
    ("failed", "archived", Verdict.NOTHING, False), ("published", "partial", Verdict.NOTHING, False),
    ("publishing", "publishing", Verdict.WAIT, True), ("pending", "partial", Verdict.WAIT, True),
    ("pending", "scheduled", Verdict.WAIT, False), ("pending", "draft", Verdict.WAIT, False),
    (None, "failed", Verdict.RETRY, True), (None, "draft", Verdict.WAIT, False),
    (None, "published", Verdict.NOTHING, False), ("throttled", "partial", Verdict.SUPPORT, True),
    (None, None, Verdict.SUPPORT, True),
])  # fmt: skip
def test_only_what_failed_is_asked_why(status, post_status, verdict, has_cause):
    said = judge("RATE_LIMITED", "x", "slow down", status, post_status)
    assert said.verdict == verdict
    assert (said.cause is not None) == has_cause
    assert said.retryable == (verdict is Verdict.RETRY)


STUCK = "2026-03-02T08:50:00Z"


def under_way(updated_at, fetched_at="2026-03-02T09:00:00+00:00", **columns):
    """One target that is publishing."""
    frame = failed({"code": "X"}).assign(**{"status": "publishing", "post_status": "publishing", **columns})
    frame["updated_at"] = pd.to_datetime([updated_at], utc=True).as_unit("us")
    frame.attrs = {} if fetched_at is None else {"fetched_at": fetched_at}
    return frame


YOUNG = "2026-03-02T08:50:01Z"
DTYPES = ("timestamp[us, tz=UTC][pyarrow]", "datetime64[ns, Asia/Tokyo]", "string", object)


@pytest.mark.parametrize(("frame", "verdict"), [
    (under_way(STUCK), "ask support"), (under_way(STUCK, status="pending", post_status="partial"), "ask support"),
    *((under_way(STUCK).astype({"updated_at": dtype}), "ask support") for dtype in DTYPES),  # as from a file
    *((under_way(YOUNG).astype({"updated_at": dtype}), "wait") for dtype in DTYPES),
    (under_way(YOUNG), "wait"), (under_way(STUCK, None), "wait"), (under_way(None), "wait"),
    (under_way(STUCK).drop(columns="updated_at"), "wait"), (under_way(STUCK).assign(updated_at="soon"), "wait"),
], ids=range(15))  # fmt: skip
def test_what_is_under_way_for_ten_minutes_is_stuck(frame, verdict):
    (row,) = triage(frame).to_dict("records")
    assert (row["verdict"], row["retryable"]) == (verdict, False)
    assert row["cause"].startswith("stuck ") == (verdict == "ask support")


def test_a_frame_that_has_lost_when_it_was_read_was_not_read_before_its_latest_change():
    """A merge and a concat of two loads lose their attrs."""
    both = pd.concat([under_way(STUCK), under_way("2026-03-02T09:00:00Z")], ignore_index=True)
    both.attrs = {}
    assert triage(both)["verdict"].tolist() == ["ask support", "wait"]
    assert triage(both.assign(updated_at=both["updated_at"].max()))["verdict"].tolist() == ["wait", "wait"]


@pytest.mark.parametrize(("message", "cause"), [
    ("X rate limit reached, 417 seconds until reset", "X rate limit reached, <n> seconds until reset"),
    ("The access token of @alder.berlin expired on 2026-03-01.", "The access token of <name> expired on <time>."),
    ("expired at 2026-03-01T09:00:00.123Z", "expired at <time>"),
    ("expired at 2026-03-01 09:00:00", "expired at <time>"),
    ("mail jonas.w@alder.example about it", "mail <mail> about it"),
    ("see https://alder.example/s/1?a=2#x", "see <url>"), ('field "campaign name" is wrong', "field <text> is wrong"),
    ("field 'campaign name' is wrong", "field <text> is wrong"),
    ("it can't be, and it won't be", "it can't be, and it won't be"),
    ("media media_b2f6ajmku5vu2xjv2beq6l4u not found", "media <id> not found"),
    ("request 550e8400-e29b-41d4-a716-446655440000 failed", "request <id> failed"),
    ("trace 4f9a12bc77de failed", "trace <id> failed"), ("at 0xDEADBEEF", "at <id>"),
    ("(request k3v7q2m9x1ab)", "(request <id>)"),
    ("ratio 0.42:1 is outside 4:5 to 1.91:1", "ratio <n> is outside <n> to <n>"),
    ("99.5% of 1,000,000 bytes", "<n> of <n> bytes"), ("a\n\tb\x00 c", "a b c"), ("  \n ", ""), (None, ""),
])  # fmt: skip
def test_variable_parts_are_taken_out_of_a_message(message, cause):
    assert message_template(message) == cause


@example("0''")
@example("''0''")
@example("0@AA")
@example("deadbeef12345678@AA")
@given(st.text(max_size=400))
def test_a_fingerprint_is_one_short_line_and_its_own_fingerprint(message):
    said = message_template(message)
    assert len(said) <= 120
    assert "\n" not in said
    if not said.endswith("…"):
        assert message_template(said) == said


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "part", ["a", "1", "@", '"', "'", "a_", "-", "http://", "a1", ".", "a@", "b" * 11 + " ", "\u202e", "_1"]
)
def test_hostile_messages_take_no_time(part):
    message = part * (1_000_000 // len(part))
    assert message_template(message) == message_template(message[:10_000]), "what goes on for ever is one message"


def test_triage_adds_four_columns_and_changes_nothing_else():
    rows = failed({"code": "RATE_LIMITED", "message": "wait 5 s"}, "Token expired", None)
    before = rows.copy()
    triaged = triage(rows)
    pd.testing.assert_frame_equal(rows, before)
    pd.testing.assert_frame_equal(triaged[list(rows.columns)], rows)
    assert set(triaged.columns) - set(rows.columns) == {"cause", "verdict", "remedy", "retryable"}
    added = triaged[["cause", "verdict", "retryable"]]
    assert added.to_numpy().tolist() == [
        ["RATE_LIMITED twitter: wait <n> s", "retry", True], ["NO_CODE twitter: Token expired", "reconnect account", False],
        ["NO_CODE twitter", "ask support", False],
    ]  # fmt: skip
    assert added.dtypes.astype(str).to_list() == ["string", "string", "bool"]
    assert (triaged.attrs["kind"], triaged.attrs["rules"]) == ("targets", [])
    pd.testing.assert_frame_equal(triage(triaged), triaged)


def test_triage_of_nothing_has_the_same_columns_and_dtypes():
    empty, full = triage(failed()[:0]), triage(failed({"code": "X"}))
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)
    assert len(empty) == 0


@pytest.mark.parametrize(("rule", "said"), [
    ({"codes": (), "pattern": "503", "retryable": True}, "guess"), ({"codes": "E_4711"}, "with the comma"),
    ({"retryable": "no"}, "retryable='no'"), ({"codes": (), "pattern": "("}, "not a regular expression"),
    ({"verdict": "retyr"}, "'retyr' is not a verdict"), ({"platform": ["twitter"]}, "the name of one platform"),
], ids=str)  # fmt: skip
def test_a_rule_that_is_not_well_formed_is_refused_when_it_is_made(rule, said):
    with pytest.raises(PlanError, match=said):
        Rule(**{"codes": ("E_4711",), "verdict": Verdict.RETRY, "remedy": "Again.", **rule})


@pytest.mark.parametrize("rules", [{"X": "resend"}, ["RATE_LIMITED"], [{"codes": "X"}], {404: "retry"}])
def test_rules_that_make_no_sense_are_refused(rules):
    with pytest.raises(PlanError, match=r"verdict|rules="):
        analyst_rules(rules)


def test_a_rule_fits_however_its_code_and_platform_are_spelt():
    rule = Rule((" e_4711",), "Retry", "Again.", retryable=True, platform="X")  # type: ignore[arg-type]
    assert (rule.codes, rule.verdict, rule.platform) == (("E_4711",), Verdict.RETRY, "twitter")
    assert rule.fits("E_4711", "twitter", None)


@pytest.mark.parametrize(
    "rules",
    [{"e_4711": "retry"}, {"E_4711": Verdict.RETRY}, [Rule(("E_4711",), Verdict.RETRY, "Again.", retryable=True)]],
)
def test_rules_of_the_analyst_come_first_and_are_on_record(rules):
    rows = failed({"code": "E_4711", "message": "upstream"}, {"code": "E_4712", "message": "upstream"})
    triaged = triage(rows, rules=rules)
    assert triaged["retryable"].tolist() == [True, False]
    assert triaged.attrs["rules"] == ["E_4711"]
    assert judge("E_4711", "twitter", "upstream").retryable is False
    held = triage(failed({"code": "RATE_LIMITED"}), rules={"RATE_LIMITED": "ask support"})
    assert held["retryable"].tolist() == [False]


def test_posts_are_triaged_as_their_targets_are():
    errors = [{"platform": "twitter", "status": "failed", "error": {"code": "RATE_LIMITED"}}, {"platform": "x"}]
    posts = build("posts", [{"id": "a", "platforms": errors}, {"id": "b"}], fetched_at="2026-03-02T09:00:00Z")
    for frame in (posts, posts.explode("targets"), posts.iloc[:0]):
        triaged, expected = triage(frame), triage(targets(frame))
        pd.testing.assert_frame_equal(triaged, expected)
        assert triaged.attrs == expected.attrs
    with pytest.raises(PlanError, match="results of a run"):
        triage(posts.assign(outcome="failed", waiting_for=None))


def test_a_slip_in_the_code_of_a_rule_is_warned_of():
    frame = failed({"code": "TOKEN_EXPIRED"}, {"code": "E_4711_OURS\x1b[2J"}, {"code": "E_4711_OURS"})
    for typo, meant in {"TOKN_EXPIRED": "TOKEN_EXPIRED", "E_4712_OURS": "E_4711_OURS"}.items():
        with pytest.warns(UserWarning, match=f"{typo}, .*did you mean {meant}\\?") as caught:
            triage(frame, rules={typo: "retry"})
        assert "\x1b" not in str(caught[0].message), "an untrusted code steers no terminal"
    # Warnings are errors.
    triage(frame, rules={"RATE_LIMITED": "wait", "E_4711_OURS": "retry", "NOBODY_KNOWS": "retry"})
