"""UTM parameters on the links of a sheet: which links, which values, and nothing twice."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import voxops as vx
from voxops.errors import PlanError

TAGGED = "utm_source=x"


def sheet(*contents: object, **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"content": list(contents), "accounts": "twitter:@a", **columns})
    return frame.astype({name: "string" for name in frame.columns if not isinstance(columns.get(name), list)})


def tagged(text: str, **values: str) -> str:
    return str(vx.tag_links(sheet(text), **(values or {"source": "x"}))["content"].iloc[0])


@pytest.mark.parametrize(("before", "after"), [
    ("https://a.example", "https://a.example/?@"),
    ("https://a.example/", "https://a.example/?@"),
    ("Look: HTTP://A.example/b.", "Look: HTTP://A.example/b?@."),
    ("https://a.example/b?c=d", "https://a.example/b?c=d&@"),
    ("Is it https://a.example/b?", "Is it https://a.example/b?@?"),
    ("https://a.example/b?c=d&", "https://a.example/b?c=d&@"),
    ("https://a.example/b#part", "https://a.example/b?@#part"),
    ("https://a.example#part?x=1", "https://a.example/?@#part?x=1"),
    ("https://a.example:8080/b!", "https://a.example:8080/b?@!"),
    ("https://a.example:8080", "https://a.example:8080/?@"),
    ("https://münchen.example/straße", "https://münchen.example/straße?@"),
    ("https://[::1]:80/b", "https://[::1]:80/b?@"),
    ("(see https://a.example/b)", "(see https://a.example/b?@)"),
    ("https://a.example/wiki/B_(c), and", "https://a.example/wiki/B_(c)?@, and"),
    ("[text](https://a.example/b_(c))", "[text](https://a.example/b_(c)?@)"),
    ("**https://a.example/b**", "**https://a.example/b?@**"),
    ("_https://a.example/b_", "_https://a.example/b?@_"),
    ("https://a.example/b_", "https://a.example/b_?@"),
    ("<https://a.example/b>", "<https://a.example/b?@>"),
    ("\"https://a.example/b\" 'https://a.example/c'", "\"https://a.example/b?@\" 'https://a.example/c?@'"),
    ("https://a.example/b…", "https://a.example/b?@…"),
    ("看https://a.example/b。好", "看https://a.example/b?@。好"),
    ("https://a.example/b🚀", "https://a.example/b?@🚀"),
    ("https://a.example/b\u200b", "https://a.example/b?@\u200b"),
    ("https://a.example,https://b.example\nhttps://c.example", "https://a.example/?@,https://b.example/?@\nhttps://c.example/?@"),
    ("https://a.example/go?to=https://b.example/c", "https://a.example/go?to=https://b.example/c&@"),
    *((same, same) for same in (
        "https://a.example/?utm_source=y", "https://a.example/?c=d&amp;UTM_Source=", "https://a.example/?utm%5Fsource=y#z", "no link",
        "ftp://a.example", "a.example/b", "https://", "https://[::1", "https://a.example:port/", "xhttps://a.example",
    )),
])  # fmt: skip
def test_parameters_go_on_links_and_on_nothing_else(before, after):
    assert tagged(before) == after.replace("@", TAGGED) == tagged(tagged(before))


@example("https://a.example/(b")
@example("*https://a.example/*_)*")
@given(
    st.lists(st.sampled_from([*"ab.:/?#&=_*()[]{}<>'\",;|…🚀 \n\u200bä", "https://a.example"]), max_size=30).map(
        "".join
    )
)
def test_tagging_twice_changes_nothing_more_and_only_inserts(text):
    once = tagged(text)
    assert tagged(once) == once
    left = iter(once)
    assert all(letter in left for letter in text), "nothing of the text is lost"
    assert 0 <= len(once) - len(text) - once.count(TAGGED) * len(TAGGED) <= 2 * once.count(TAGGED), "or added but that"


def test_values_are_text_templates_and_columns_which_win():
    frame = sheet(
        "https://a.example", "https://a.example", "no link", Thema=["Früh & spät", None, None],
        utm_term=[None, " eigen ", "unused"], utm_campaign=[None, "c&d", None], row_id=["7", "8", "9"],
    )  # fmt: skip
    found = vx.tag_links(
        frame, source="{platform}", medium="social", campaign="spring {row_id} {{x}}", term="{Thema}", content=""
    )
    base = "https://a.example/?utm_source=twitter&utm_medium=social&utm_campaign="
    assert found["content"].to_list() == [
        f"{base}spring%207%20%7Bx%7D&utm_term=Fr%C3%BCh%20%26%20sp%C3%A4t",
        f"{base}c%26d&utm_term=eigen",
        "no link",
    ]
    assert found["content_before"].fillna("").to_list() == ["https://a.example", "https://a.example", ""]
    assert found["content_before"].dtype == "string"
    only = vx.tag_links(frame)
    assert only["content"].to_list()[:2] == [
        "https://a.example",
        "https://a.example/?utm_campaign=c%26d&utm_term=eigen",
    ]
    assert "content_before" not in frame, "a copy"


def test_each_text_is_tagged_for_its_platform_and_twice_is_as_once():
    link = "https://a.example"
    frame = sheet(link, link, link, **{
        "content:twitter": [f"T {link}", None, f"T {link}"], "first_comment": [None, link, None],
    }).assign(accounts=["twitter:@a; linkedin:@b", "linkedin:@b", "twitter:@a"])  # fmt: skip
    frame.attrs["kind"] = "campaign"
    found = vx.tag_links(frame, source="{platform}")
    by = f"{link}/?utm_source="
    assert found["content"].to_list() == [f"{by}linkedin", f"{by}linkedin", link], "the last one appears nowhere"
    assert found["content:twitter"].fillna("").to_list() == [f"T {by}twitter", "", f"T {by}twitter"]
    assert found["first_comment"].fillna("").to_list() == ["", f"{by}linkedin", ""]
    assert found["content_before"].fillna("").to_list() == [link, link, ""]
    pd.testing.assert_frame_equal(vx.tag_links(found, source="{platform}"), found)
    assert found.attrs == frame.attrs
    assert found.dtypes["content"] == frame.dtypes["content"]


def test_a_column_of_categories_or_of_what_is_no_text_is_read_as_any_other():
    frame = sheet("https://a.example", "b").astype({"content": "category"})
    assert vx.tag_links(frame, source="x")["content"].to_list() == [f"https://a.example/?{TAGGED}", "b"]
    odd = pd.DataFrame({"content": ["https://a.example", 5, None, b"https://b.example"]}, dtype=object)
    assert vx.tag_links(odd, source="x")["content"].to_list()[1:] == [5, None, b"https://b.example"]


@pytest.mark.parametrize(("arguments", "accounts", "said"), [
    ({}, "twitter:@a", "no parameter is named; pass source="),
    ({"source": 5}, "twitter:@a", "source='5' must be text in which {column}"),
    ({"source": "{"}, "twitter:@a", "source='{' must be text"),
    ({"source": "{row_id!r}"}, "twitter:@a", "must be text in which"),
    ({"source": "{row_id.x}"}, "twitter:@a", "the sheet has no column 'row_id.x'; did you mean 'row_id'?"),
    ({"medium": "{}"}, "twitter:@a", "medium='{}': the sheet has no column ''"),
    ({"term": "{Thema}"}, "twitter:@a", "row 0: {Thema} of utm_term is empty; fill the cell, or a column utm_term"),
    ({"source": "{platform}"}, "twitter:@a;linkedin:@b",
     "row 0: {platform} of utm_source in content: on linkedin and twitter; a text for each, such as content:twitter, or a column utm_source"),
    ({"source": "{platform}"}, "acc_1", "in content: accounts by their ids name no platform"),
])  # fmt: skip
def test_what_can_not_be_filled_in_is_said_with_its_remedy(arguments, accounts, said):
    frame = sheet("https://a.example", row_id=["a"], Thema=[None]).assign(accounts=accounts)
    with pytest.raises(PlanError) as caught:
        vx.tag_links(frame, **arguments)
    assert said in str(caught.value)
    assert vx.tag_links(frame.assign(utm_source="mine"), source="{platform}")["content"].str.endswith("mine").all()


def test_a_mistyped_column_is_warned_of():
    with pytest.warns(UserWarning, match="column 'utm_sorce' is ignored; if you mean 'utm_source', rename it"):
        vx.tag_links(sheet("x", utm_sorce=["y"]), medium="z")
