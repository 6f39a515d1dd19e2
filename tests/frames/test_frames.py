"""Records become frames whose columns and dtypes never depend on what the server sent; frames become bytes and back."""

from __future__ import annotations

import copy
import pickle
import string
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voxops import frames
from voxops.errors import ConfigError, PlanError
from voxops.frames.spans import length
from voxops.frames.typed import Columns, Target, Targets, build, moment, targets, window, within
from voxops.frames.values import parse_times, to_bool

UTC_US = "datetime64[us, UTC]"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)

PROMISED = {
    "posts": {
        "post_id": "string", "status": "string", "content": "string", "content_type": "string", "scheduled_for": UTC_US,
        "published_at": UTC_US, "created_at": UTC_US, "updated_at": UTC_US, "targets": "object", "failed_targets": "Int64",
        "tags": "object", "metadata": "object", "workspace_id": "string",
    },
    "deliveries": {
        "delivery_id": "string", "webhook_id": "string", "event_type": "string", "url": "string", "success": "boolean",
        "status_code": "Int64", "latency_ms": "Int64", "retry_count": "Int64", "error": "string", "response_body": "string",
        "created_at": UTC_US, "delivered_at": UTC_US,
    },
    "accounts": {
        "account_id": "string", "platform": "string", "username": "string", "display_name": "string", "account_type": "string",
        "status": "string", "followers": "Int64", "connected_at": UTC_US, "scope_status": "string", "scope_message": "string",
        "avatar_url": "string", "workspace_id": "string",
    },
    "webhooks": {
        "webhook_id": "string", "url": "string", "events": "object", "enabled": "boolean", "failure_count": "Int64",
        "last_delivery_at": UTC_US, "created_at": UTC_US,
    },
    "bulk_results": {
        "index": "Int64", "status": "string", "post_id": "string", "error_code": "string", "error_message": "string",
        "error_field": "string", "errors": "object",
    },
}  # fmt: skip
TARGETS = {
    "post_id": "string", "target_id": "string", "platform": "string", "account_id": "string", "account_name": "string",
    "status": "string", "error_code": "string", "error_message": "string", "retry_count": "Int64", "platform_post_id": "string",
    "platform_post_url": "string", "published_at": UTC_US, "post_status": "string", "updated_at": UTC_US,
    "scheduled_for": UTC_US, "content": "string", "workspace_id": "string",
}  # fmt: skip

# What a server, a proxy or a test double may send in place of anything.
ODD = [
    None,
    True,
    0,
    1.5,
    -1,
    2**70,
    "",
    " ",
    "ünï",
    "now",
    [],
    [None],
    ["x"],
    {},
    {"a": 1},
    [{"id": 1}],
    [[]],
    "\u202e",
]


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def target(**fields):
    """The first target of a post that has one."""
    return targets(build("posts", [{"id": "p", "platforms": [fields]}])).iloc[0]


@pytest.mark.parametrize("kind", PROMISED)
def test_columns_and_dtypes_are_the_promised_ones_for_empty_full_and_hostile_input(kind):
    fields = [column.fields for column in frames.SCHEMAS[kind]]
    names = sorted({field.split(".")[0] for group in fields for field in group})
    hostile = [dict.fromkeys(names, odd) for odd in ODD] + [{}, {"unknown": 1}, None, "text", 3, [1]]
    for records in ([], [{}], [{"id": "x"}], hostile):
        assert dtypes(build(kind, records)) == PROMISED[kind]
    assert len(build(kind, hostile)) == len(ODD) + 2


def test_the_targets_frame_has_the_promised_columns_for_empty_childless_and_hostile_posts():
    hostile = [{"id": "p", "platforms": odd} for odd in ODD]
    hostile += [
        {"id": "p", "platforms": [dict.fromkeys(Target._fields, odd) | {"platform": odd, "error": odd}]} for odd in ODD
    ]
    for records in ([], [{"id": "p"}], hostile):
        assert dtypes(targets(build("posts", records))) == TARGETS


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=10))  # fmt: skip
def test_no_json_value_anywhere_changes_a_dtype_or_raises(value):
    for kind in PROMISED:
        names = {field.split(".")[0] for column in frames.SCHEMAS[kind] for field in column.fields}
        frame = build(kind, [dict.fromkeys(names, value), {"data": value}, value])
        assert dtypes(frame) == PROMISED[kind]
    assert dtypes(targets(build("posts", [{"id": "p", "platforms": value}]))) == TARGETS


# --- records -> frame -> records -------------------------------------------------------------------------------------------

_word = st.text(string.ascii_letters, min_size=1, max_size=8)
_times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def _snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


_SPELL = [str, _snake, str.upper]


@st.composite
def _wire_posts(draw):
    """Posts with what the frame should say of them, in a spelling of the server's choice."""
    spell = draw(st.sampled_from(_SPELL))
    pages = []
    for number in range(draw(st.integers(0, 12))):
        when = draw(_times)
        platforms = [
            {
                "platform": draw(_word),
                "accountId": draw(_word),
                "status": draw(st.sampled_from(["FAILED", "failed", "published", "NEW_ONE"])),
                "retryCount": draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
                "error": draw(st.none() | st.fixed_dictionaries({"code": _word, "message": st.text()})),
            }
            for _ in range(draw(st.integers(0, 3)))
        ]
        pages.append(
            {
                "id": f"post_{number}",
                "status": draw(_word),
                "content": draw(st.none() | st.text()),
                "updatedAt": draw(st.sampled_from([when.isoformat(), when.isoformat().replace("+00:00", "Z")])),
                "platforms": platforms,
                "tags": draw(st.lists(st.text(), max_size=2)),
                "metadata": draw(st.none() | st.dictionaries(st.text(), st.integers() | st.text(), max_size=2)),
                "_when": when,
            }
        )
    return spell, pages


@given(_wire_posts())
def test_a_record_becomes_a_row_that_says_the_same(drawn):
    spell, posts = drawn
    wire = [{spell(name): value for name, value in post.items() if name != "_when"} for post in posts]
    frame = build("posts", wire)
    rows = targets(frame)
    assert list(frame["post_id"]) == [post["id"] for post in posts]
    assert list(frame["updated_at"]) == [post["_when"] for post in posts]
    assert [None if pd.isna(text) else text for text in frame["content"]] == [post["content"] for post in posts]
    assert [list(tags) for tags in frame["tags"]] == [post["tags"] for post in posts]
    assert list(frame["metadata"]) == [post["metadata"] for post in posts]
    assert list(frame["status"]) == [post["status"].lower() for post in posts]
    failed = [sum(entry["status"].lower() == "failed" for entry in post["platforms"]) for post in posts]
    assert list(frame["failed_targets"]) == failed
    expected = [
        (
            post["id"],
            entry.get("platform", "").lower() or None,
            entry.get("status", "").lower() or None,
            entry.get("retryCount"),
            (entry.get("error") or {}).get("code", "").upper() or None,
            (entry.get("error") or {}).get("message"),
        )
        for post in posts
        for entry in post["platforms"] or [{}]
    ]
    columns = ["post_id", "platform", "status", "retry_count", "error_code", "error_message"]
    found = [tuple(None if pd.isna(cell) else cell for cell in row) for row in rows[columns].itertuples(index=False)]
    assert found == expected


@given(st.lists(st.integers(0, 700), max_size=6), st.randoms())
def test_the_frame_does_not_depend_on_how_the_pages_were_cut(sizes, rng):
    posts = [
        {"id": f"p{number}", "updatedAt": f"2026-03-02T09:{number % 60:02}:00Z", "platforms": ["x"] * rng.randint(0, 2)}
        for number in range(sum(sizes))
    ]
    columns, done = Columns("posts"), 0
    for size in sizes:
        columns.extend(posts[done : done + size])
        done += size
        if rng.random() < 0.3:
            assert len(columns.frame()) == done == len(columns)
    pd.testing.assert_frame_equal(columns.frame(), build("posts", posts))


def test_a_frame_taken_early_does_not_change_when_more_arrives():
    columns = Columns("webhooks")
    columns.extend([{"id": "wh_1"}])
    early = columns.frame()
    early.loc[0, "url"] = "https://changed.example"
    columns.extend([{"id": "wh_2"}])
    assert list(early["webhook_id"]) == ["wh_1"]
    late = columns.frame()
    assert list(late["webhook_id"]) == ["wh_1", "wh_2"]
    assert late["url"].isna().all()


# --- values ------------------------------------------------------------------------------------------------------------------


def test_a_large_number_next_to_a_null_stays_itself():
    log = build(
        "deliveries", [{"id": 9007199254740993, "latencyMs": 9007199254740993}, {"id": None, "latencyMs": None}]
    )
    assert log["latency_ms"][0] == 9007199254740993
    assert log["delivery_id"][0] == "9007199254740993"
    assert log["latency_ms"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("sent", "count"),
    [(3, 3), ("3", 3), (" 3 ", 3), (3.0, 3), (2.6, 3), (-1, -1), (2**63 - 1, 2**63 - 1), (2**63, None), (-(2**63) - 1, None), (True, None), ("3.4", 3), ("many", None), ([3], None), (float("nan"), None)],
)  # fmt: skip
def test_counts_are_read_leniently_and_what_is_lost_is_told(sent, count):
    log = build("deliveries", [{"retryCount": sent}, {"retryCount": None}])
    assert (None if pd.isna(log["retry_count"][0]) else log["retry_count"][0]) == count
    assert log.attrs["unread"] == ({"retry_count": 1} if count is None else {})


@pytest.mark.parametrize(
    ("sent", "said"),
    [(True, True), (False, False), (1, True), (0, False), ("true", True), ("FALSE", False), ("yes", True), (None, None), ("maybe", None), ([], None)],
)  # fmt: skip
def test_to_bool(sent, said):
    assert to_bool(sent) is said
    assert build("deliveries", [{"success": sent}])["success"].tolist() == [pd.NA if said is None else said]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"),
        ("2026-03-02T09:00:00.123Z", "2026-03-02T09:00:00.123Z"),
        ("2026-03-02T09:00:00.123456Z", "2026-03-02T09:00:00.123456Z"),
        ("2026-03-02T09:00:00.123456789Z", "2026-03-02T09:00:00.123456Z"),
        ("2026-03-02T11:00:00+02:00", "2026-03-02T09:00:00Z"),
        ("2026-03-02T04:00:00-05:00", "2026-03-02T09:00:00Z"),
        ("2026-03-02T09:00:00+0000", "2026-03-02T09:00:00Z"),
        ("2026-03-02 09:00:00Z", "2026-03-02T09:00:00Z"),
        ("2026-03-02T09:00:00", "2026-03-02T09:00:00Z"),
        (" 2026-03-02T09:00:00Z ", "2026-03-02T09:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_read_in_every_form_the_api_may_send(text, time):
    expected = pd.Timestamp(datetime.fromisoformat(time)).as_unit("us")
    for others in ([], [None], ["2026-03-02T09:00:00Z"], ["2026-03-02T09:00:00+01:00", "garbage", 5]):
        parsed = parse_times([text, *others])
        assert str(parsed.dtype) == UTC_US
        assert parsed[0] == expected


@pytest.mark.parametrize(
    "text",
    ["now", "today", "nowZ", "2026-03-02TnowZ", "garbage", "", "NaT", "2026-02-30T00:00:00Z", "2026-03-02T25:00:00Z", "2026-03-02T09:00+01:00Z", "2026-03-02T09:00-01:00Z", "2026-03-02T09:00:00ZZ", 1772442000, 1.5, True, {}, [], pd.NaT],
)  # fmt: skip
def test_what_is_no_time_is_nat_and_its_neighbours_are_read(text):
    parsed = parse_times(["2026-03-02T09:00:00Z", text, None])
    assert parsed.isna().tolist() == [False, True, True]
    assert build("posts", [{"createdAt": text if text is not pd.NaT else "x"}]).attrs["unread"] == {"created_at": 1}


@given(st.lists(st.none() | st.datetimes(timezones=st.just(UTC) | st.timezones()), max_size=20))
def test_any_time_that_python_can_write_is_read_back(times):
    try:
        expected = [None if time is None else time.astimezone(UTC) for time in times]
    except OverflowError:
        return
    texts = [None if time is None else time.isoformat() for time in times]
    parsed = parse_times(texts)
    assert [None if pd.isna(time) else time.to_pydatetime() for time in parsed] == [
        None if time is None else datetime.fromisoformat(text).astimezone(UTC)
        for time, text in zip(expected, texts, strict=True)
    ]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, None, None),
        ({"code": "RATE_LIMITED", "message": "slow down"}, "RATE_LIMITED", "slow down"),
        ({"code": "rate_limited", "message": "slow down", "details": {}}, "RATE_LIMITED", "slow down"),
        ({"Code": "X_1", "Message": None}, "X_1", None),
        ({"message": "only words"}, None, "only words"),
        ({"field": "content", "issue": "CONTENT_TOO_LONG", "detail": "300 of 280"}, "CONTENT_TOO_LONG", "300 of 280"),
        ({"field": "content", "issue": "is too long"}, None, "is too long"),
        ("Token expired", None, "Token expired"),
        ("RATE_LIMITED", "RATE_LIMITED", None),
        ("RATE_LIMITED: slow down", None, "RATE_LIMITED: slow down"),
        ([{"code": "A_B", "message": "first"}, {"code": "C_D"}], "A_B", "first"),
        ([], None, None),
        ("", None, None),
        ({"odd": 1}, None, '{"odd":1}'),
        (17, None, "17"),
    ],
)
def test_errors_of_every_shape(error, code, message):
    row = target(platform="x", error=error)
    assert (None if pd.isna(row["error_code"]) else row["error_code"]) == code
    assert (None if pd.isna(row["error_message"]) else row["error_message"]) == message


def test_flat_error_fields_win_over_nothing():
    row = target(errorCode="a_b", errorMessage="m", error=None)
    assert (row["error_code"], row["error_message"]) == ("A_B", "m")


@pytest.mark.parametrize(
    "platforms",
    [
        ["TWITTER", "linkedin"],
        [{"platform": "Twitter"}, {"platform": "LINKEDIN"}],
        {"TWITTER": {"status": "x"}, "linkedin": {}},
    ],
)
def test_platforms_as_names_objects_or_a_map(platforms):
    rows = targets(build("posts", [{"id": "p", "platforms": platforms}]))
    assert list(rows["platform"]) == ["twitter", "linkedin"]


def test_a_post_without_platforms_keeps_its_row_and_does_not_claim_to_have_none_failed():
    posts = build("posts", [{"id": "a"}, {"id": "b", "platforms": None}, {"id": "c", "platforms": []}])
    assert posts["failed_targets"].tolist() == [pd.NA, pd.NA, 0]
    rows = targets(posts)
    assert list(rows["post_id"]) == ["a", "b", "c"]
    assert rows[list(Target._fields)].isna().all(axis=None)


def test_envelopes_are_taken_off_and_pages_of_both_kinds_mix():
    posts = build("posts", [{"data": {"id": "a"}}, {"id": "b"}, {"id": "c", "data": {"id": "no"}}, {"data": None}])
    assert posts["post_id"].tolist() == ["a", "b", "c", pd.NA]


def test_the_first_spelling_with_a_value_wins():
    posts = build("posts", [{"id": "a", "scheduledFor": None, "scheduled_at": "2026-03-02T09:00:00Z"}, {"postId": "b"}])
    assert posts["scheduled_for"][0] == NOW
    assert list(posts["post_id"]) == ["a", "b"]


def test_fields_of_the_list_fill_what_its_records_lack():
    columns = Columns("deliveries")
    columns.extend([{"id": "d1"}, {"id": "d2", "webhookId": "own"}], webhookId="asked")
    assert list(columns.frame()["webhook_id"]) == ["asked", "own"]


def test_what_is_no_record_is_counted_and_the_rest_is_kept():
    columns = Columns("posts")
    columns.extend([{"id": "a"}, "junk", None, 5, {"id": "b", "createdAt": "soon"}])
    frame = columns.frame()
    assert list(frame["post_id"]) == ["a", "b"]
    assert frame.attrs["unread"] == {"record": 3, "created_at": 1}


def test_unknown_fields_come_on_request_and_never_a_secret():
    record = {"id": "wh_1", "secret": "whsec_1", "signing_secret": "x", "filters": {"a": [1]}}
    assert "extra" not in build("webhooks", [record]).columns
    frame = build("webhooks", [record, {}], extra=True)
    assert list(frame["extra"]) == [{"filters": {"a": [1]}}, {}]
    assert "whsec_1" not in frame.astype(str).to_csv()


def test_old_and_new_bulk_results():
    new = [
        {"index": 0, "status": "created", "postId": "post_1"},
        {
            "index": 1,
            "status": "FAILED",
            "errors": [{"field": "content", "issue": "CONTENT_TOO_LONG", "detail": "300 of 280"}],
        },
        {"index": 2, "status": "valid"},
    ]
    old = [
        {"index": 0, "success": True, "post": {"id": "post_1", "status": "scheduled"}},
        {"index": 1, "success": False, "error": "Content too long"},
    ]
    frame = build("bulk_results", new)
    assert frame["status"].tolist() == ["created", "failed", "valid"]
    assert frame["post_id"].tolist() == ["post_1", pd.NA, pd.NA]
    assert frame.loc[1, ["error_code", "error_message", "error_field"]].tolist() == [
        "CONTENT_TOO_LONG",
        "300 of 280",
        "content",
    ]
    frame = build("bulk_results", old)
    assert frame["status"].tolist() == ["created", "failed"]
    assert frame["post_id"].tolist() == ["post_1", pd.NA]
    assert frame["error_message"].tolist() == [pd.NA, "Content too long"]


def test_an_error_object_of_a_delivery_is_one_line():
    log = build("deliveries", [{"error": {"code": "TIMEOUT", "message": "10 s"}}, {"error": "timeout"}, {"error": {}}])
    assert log["error"].tolist() == ["TIMEOUT: 10 s", "timeout", pd.NA]


def test_many_different_labels_are_all_kept():
    log = build("deliveries", [{"url": f"https://hooks.example/{number}"} for number in range(25_000)])
    assert log["url"].nunique() == 25_000
    assert log["url"][24_999] == "https://hooks.example/24999"


def test_a_text_nested_a_thousand_deep_is_no_reason_to_fail():
    deep: list = []
    for _ in range(1000):
        deep = [deep]
    posts = build("posts", [{"id": deep, "content": deep, "status": deep, "platforms": [{"error": deep}, deep]}])
    assert posts["content"].notna().all()
    assert len(targets(posts)) == 2


# --- attrs ------------------------------------------------------------------------------------------------------------------


def test_attrs_say_where_from_and_are_plain_json(tmp_path):
    frame = build(
        "posts", [{"id": "a", "platforms": ["x"]}], source="https://api.example", fetched_at=pd.Timestamp(NOW),
        filters={"status": {"failed"}, "since": NOW, 1: timedelta(1)}, complete=True,
    )  # fmt: skip
    assert frame.attrs == {
        "kind": "posts",
        "source": "https://api.example",
        "fetched_at": "2026-03-02T09:00:00Z",
        "filters": {"status": ["failed"], "since": "2026-03-02T09:00:00Z", "1": "P1D"},
        "complete": True,
        "unread": {},
    }
    assert msgspec.json.decode(msgspec.json.encode(frame.attrs)) == frame.attrs
    again = pd.concat([frame, frame], ignore_index=True)
    assert again.attrs == frame.attrs
    assert frame[frame["post_id"] == "a"].attrs == frame.attrs
    targets(frame).to_parquet(tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet").attrs["source"] == "https://api.example"


# --- targets ---------------------------------------------------------------------------------------------------------------


def _some_posts(count: int = 700) -> pd.DataFrame:
    return build(
        "posts",
        [
            {
                "id": f"p{number}",
                "status": "partial",
                "platforms": [
                    {
                        "platform": name,
                        "accountId": f"a{number}",
                        "status": ["published", "failed", "publishing"][(number + place) % 3],
                    }
                    for place, name in enumerate(["twitter", "threads", "bluesky"][: number % 4])
                ],
            }
            for number in range(count)
        ],
    )


def test_targets_follow_their_posts_through_sorting_filtering_and_joining():
    posts = _some_posts()
    mixed = pd.concat([posts.sample(frac=0.5, random_state=1), posts.iloc[::-3], _some_posts(5)])
    rows = targets(mixed)
    expected = [
        (post, entry)
        for post, entries in zip(mixed["post_id"], mixed["targets"], strict=True)
        for entry in entries or [Target()]
    ]
    assert list(rows["post_id"]) == [post for post, _ in expected]
    accounts = [None if pd.isna(value) else value for value in rows["account_id"]]
    assert accounts == [entry.account_id for _, entry in expected]
    assert [
        None if account is None else post[1:] == account[1:]
        for post, account in zip(rows["post_id"], accounts, strict=True)
    ].count(False) == 0
    assert rows.index.equals(pd.RangeIndex(len(expected)))


def test_targets_of_plain_dicts_that_came_back_from_a_file(tmp_path):
    posts = _some_posts(6)
    posts.assign(targets=[[entry._asdict() for entry in cell] for cell in posts["targets"]], metadata=None).to_parquet(
        tmp_path / "p"
    )
    again = pd.read_parquet(tmp_path / "p")
    columns = ["post_id", "platform", "account_id", "status"]
    assert (
        targets(again)[columns].astype(object).to_numpy().tolist()
        == targets(posts)[columns].astype(object).to_numpy().tolist()
    )


def test_targets_remember_what_is_open_even_when_rows_are_filtered_away():
    rows = targets(_some_posts(8))
    counted = rows.groupby("post_id")["status"].agg(
        lambda states: [(states == "failed").sum(), (states == "publishing").sum()]
    )
    assert msgspec.json.decode(rows.attrs["open_targets"]) == {
        post: list(map(int, both)) for post, both in counted.items() if any(both)
    }
    assert rows[rows["platform"] == "twitter"].attrs["open_targets"] == rows.attrs["open_targets"]


def test_targets_names_what_is_missing():
    with pytest.raises(PlanError, match=r"missing: targets, scheduled_for.*ws\.posts"):
        targets(_some_posts(2).drop(columns=["targets", "scheduled_for"]))


def test_a_cell_of_targets_is_a_sequence_like_any_other():
    cell = _some_posts()["targets"][699]
    assert isinstance(cell, Targets)
    assert len(cell) == 3
    assert cell[0].platform == "twitter"
    assert cell[-1] == list(cell)[-1]
    assert cell[1:] == list(cell)[1:]
    assert cell == list(cell)
    assert cell != list(cell)[:1]
    assert cell != 3
    assert [entry.platform for entry in cell] == ["twitter", "threads", "bluesky"]
    for same in (pickle.loads(pickle.dumps(cell)), copy.copy(cell), copy.deepcopy(cell)):
        assert same == cell
    assert repr(cell) == repr(list(cell))
    assert not Targets.of([])
    with pytest.raises(TypeError):
        hash(cell)
    with pytest.raises(IndexError):
        cell[3]
    assert _some_posts(5).explode("targets")["post_id"].tolist() == ["p0", "p1", "p2", "p2", "p3", "p3", "p3", "p4"]


def test_a_targets_cell_does_not_pin_more_than_its_own_rows_when_pickled():
    posts = _some_posts()
    assert len(pickle.dumps(posts["targets"][699])) < 1_500


# --- pack and unpack -------------------------------------------------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
_cell = (
    _json
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.binary(max_size=6)
    | st.tuples(st.text(), st.integers())
    | st.frozensets(st.text(), max_size=3)
    | st.dictionaries(st.integers(), _json, max_size=2)
    | st.dictionaries(st.just("$time"), _json, max_size=1)
    | st.text(st.characters(categories=["Cs"]), max_size=2)
)


def same(frame: pd.DataFrame) -> None:
    again = frames.unpack(frames.pack(frame))
    pd.testing.assert_frame_equal(again, frame, check_freq=False, check_column_type=True)
    assert dtypes(again) == dtypes(frame)
    assert again.attrs == frame.attrs


@given(st.lists(_cell, max_size=6))
@example([float("inf"), -0.0, 2**64, -(2**63) - 1, True, pd.NaT, pd.NA])
def test_objects_come_back_with_value_and_type(cells):
    frame = pd.DataFrame({"cell": pd.Series(np.fromiter(cells, object, len(cells)), dtype=object)})
    again = frames.unpack(frames.pack(frame))["cell"].tolist()
    assert repr(again) == repr(cells) or all(
        type(found) is type(cell) and (found is cell or found == cell) for found, cell in zip(again, cells, strict=True)
    )


@pytest.mark.parametrize("kind", PROMISED)
def test_frames_of_every_kind_come_back_equal(kind):
    records = [
        {"id": f"x{number}", "createdAt": "2026-03-02T09:00:00.5Z", "platforms": ["a", {"platform": "b"}]}
        for number in range(3)
    ]
    same(build(kind, [*records, {}], source="s", filters={"status": ["failed"]}))
    same(build(kind, []))


def test_frames_with_columns_of_users_come_back_equal():
    frame = _some_posts(3).assign(
        ordered=pd.Categorical(["b", "a", None], ["b", "a"], ordered=True),
        spans=pd.Categorical(pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-01"])),
        real=[1.5, np.nan, -np.inf],
        small=np.array([0.1, 0.2, 0.3], "float32"),
        nullable=pd.array([1.5, None, 0.1 + 0.2], dtype="Float64"),
        whole=[1, 2, 2**62],
        unsigned=np.array([0, 1, 2**64 - 1], "uint64"),
        flag=[True, False, True],
        maybe=pd.array([True, None, False], dtype="boolean"),
        naive=pd.to_datetime(["2026-01-01", None, "2026-01-02T03:04:05.678901"], format="ISO8601"),
        nano=pd.to_datetime([1, 2, 3], unit="ns"),
        local=pd.to_datetime(["2026-10-25T00:30Z", "2026-10-25T01:30Z", None]).tz_convert("Europe/Berlin"),
        offset=pd.to_datetime(["2026-01-01T00:00+05:30"] * 3),
        span=pd.to_timedelta([1, None, 3], unit="s"),
        text=["a", None, "ü😀"],
        nested=[{"a": [1, {"b": None}]}, [], None],
    )
    frame.attrs["more"] = {"deep": [1, "x", None]}
    same(frame)
    same(frame.set_index("whole"))
    same(frame.set_index("local"))
    same(frame.set_index(pd.Index(["x", "y", "z"], name="label")).iloc[:0])
    same(frame.iloc[1:2])
    same(frame[["text", "text"]])
    same(pd.DataFrame({0: [1], 1: ["x"]}))
    same(pd.DataFrame())
    same(pd.DataFrame(index=[3, 5]))


def test_a_float_nullable_column_keeps_nan_and_na_apart():
    array = pd.arrays.FloatingArray(np.array([np.nan, 0.0, 1.0]), np.array([False, True, False]))
    again = frames.unpack(frames.pack(pd.DataFrame({"x": array})))["x"].array
    assert again._mask.tolist() == [False, True, False]
    assert np.isnan(again._data[0])


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"x": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "reset_index"),
        (pd.DataFrame({("a", "b"): [1]}), "reset_index"),
        (pd.DataFrame({"x": pd.period_range("2026", periods=2, freq="D")}), "dtype period"),
        (pd.DataFrame({"x": [object()]}), "type object"),
        (
            pd.DataFrame({"x": [[[]]]}).assign(x=[__import__("functools").reduce(lambda a, _: [a], range(4000), [])]),
            "can't be kept",
        ),
    ],
)
def test_what_has_no_json_form_is_refused_in_words(frame, words):
    with pytest.raises(PlanError, match=words):
        frames.pack(frame)


@pytest.mark.parametrize("data", [b"", b"junk", b"[]", b"{}", b"null", b'{"version":99}', pickle.dumps({"version": 1})])
def test_bytes_of_another_kind_are_refused_and_never_run(data):
    with pytest.raises(PlanError):
        frames.unpack(data)


def _two_posts():
    return build(
        "posts",
        [
            {
                "id": "p1",
                "status": "partial",
                "content": "a",
                "workspaceId": "w",
                "platforms": [
                    {
                        "id": "t1",
                        "platform": "twitter",
                        "accountId": "a1",
                        "status": "failed",
                        "error": {"code": "RATE_LIMITED"},
                    },
                    {"id": "t2", "platform": "bluesky", "accountId": "a2", "status": "publishing"},
                    {"id": "t3", "platform": "threads", "accountId": "a3", "status": "failed"},
                ],
            },
            {"id": "p2", "status": "draft", "platforms": []},
        ],
    )


def test_targets_of_an_exploded_frame_are_those_of_the_posts():
    posts = _two_posts()
    exploded, whole = targets(posts.explode("targets")), targets(posts)
    pd.testing.assert_frame_equal(exploded, whole)
    assert exploded.attrs == whole.attrs
    assert msgspec.json.decode(exploded.attrs["open_targets"]) == {"p1": [2, 1]}


def test_targets_read_back_from_csv_are_refused(tmp_path):
    _two_posts().to_csv(tmp_path / "posts.csv")
    with pytest.raises(PlanError, match=r"row 0: .*names no platform.*ws\.posts"):
        targets(pd.read_csv(tmp_path / "posts.csv"))


def test_targets_read_back_from_parquet_are_the_same(tmp_path):
    posts = _two_posts()
    plain = posts.assign(targets=[[target._asdict() for target in cell] for cell in posts["targets"]])
    plain.drop(columns="metadata").to_parquet(tmp_path / "posts.parquet")
    back, whole = targets(pd.read_parquet(tmp_path / "posts.parquet")), targets(posts)
    pd.testing.assert_frame_equal(back, whole, check_dtype=False)


@pytest.mark.parametrize("given", [None, [{"id": "p1"}], pd.Series(["p1"]), {"post_id": ["p1"]}])
def test_what_is_no_frame_is_refused(given):
    with pytest.raises(PlanError, match=r"targets\(\) needs a posts frame, not .*ws\.posts"):
        targets(given)


# --- spans of time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("7D", "2026-02-23T09:00Z"),
        ("12h", "2026-03-01T21:00Z"),
        ("1.5h", "2026-03-02T07:30Z"),
        ("30 min", "2026-03-02T08:30Z"),
        ("7d", "2026-02-23T09:00Z"),
        ("1w", "2026-02-23T09:00Z"),
        ("12H", "2026-03-01T21:00Z"),
        ("30MIN", "2026-03-02T08:30Z"),
        (timedelta(days=1), "2026-03-01T09:00Z"),
        ("2026-03-01Z", "2026-03-01T00:00Z"),
        ("2026-03-01+01:00", "2026-02-28T23:00Z"),
        ("2026-03-01T10:00+01:00", "2026-03-01T09:00Z"),
        (pd.Timestamp("2026-03-01T09:00Z"), "2026-03-01T09:00Z"),
        (datetime(2026, 3, 1, 9, tzinfo=UTC), "2026-03-01T09:00Z"),
    ],
)
def test_a_window_opens_at_a_time_or_so_long_before_the_servers_now(value, time):
    start, end = window(value, None, NOW)
    assert (start, end) == (pd.Timestamp(time), None)
    assert start.unit == "us"
    assert window(None, value, NOW) == (None, pd.Timestamp(time))


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01",
        "2026-03-01T09:00",
        "yesterday",
        "7",
        "1M",
        "",
        5,
        pd.Timestamp("2026-03-01"),
        object(),
        "999999999D",
        "-3D",
    ],
)
def test_a_time_without_zone_or_sense_is_refused_and_not_guessed(value):
    with pytest.raises(ConfigError, match="since="):
        window(value, None, NOW)


@pytest.mark.parametrize("value", [7, "7", 7.0])
def test_a_number_without_unit_is_told_what_to_write(value):
    with pytest.raises(ConfigError, match=rf"since={value!r} has no unit; write '{value}D'"):
        window(value, None, NOW)


@pytest.mark.parametrize("value", ["x", "7", 7, None, "1M", "-6h", ""])
def test_what_is_no_length_of_time_is_refused(value):
    with pytest.raises(ConfigError, match="gap="):
        length("gap", value)


def test_a_length_of_time_takes_its_unit_in_either_case():
    assert length("gap", "6h") == length("gap", "6H") == length("gap", timedelta(hours=6)) == pd.Timedelta(6, "h")


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(ConfigError, match="before since"):
        window("1D", "2D", NOW)
    assert window(None, None, NOW) == (None, None)
    assert window(pd.NaT, None, NOW) == (None, None)


def test_within_is_half_open_and_keeps_what_has_no_time():
    times = pd.Series(
        parse_times(["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", None, "2026-03-03T00:00:00Z"]), index=[5, 6, 7, 8]
    )
    start, end = pd.Timestamp("2026-03-01T00:00Z"), pd.Timestamp("2026-03-03T00:00Z")
    assert within(times, start, end).to_dict() == {5: True, 6: True, 7: True, 8: False}
    assert within(times, None, None).all()


def test_the_moment_of_a_post_is_the_latest_of_its_times():
    posts = build(
        "posts",
        [
            {"id": "a", "createdAt": "2026-03-01T00:00:00Z", "scheduledFor": "2026-04-01T00:00:00Z"},
            {"id": "b", "createdAt": "2026-03-01T00:00:00Z", "updatedAt": "2026-03-02T00:00:00Z"},
            {"id": "c"},
        ],
    )
    latest = moment(posts)
    assert str(latest.dtype) == UTC_US
    assert latest.tolist()[:2] == [pd.Timestamp("2026-04-01T00:00Z"), pd.Timestamp("2026-03-02T00:00Z")]
    assert pd.isna(latest[2])
