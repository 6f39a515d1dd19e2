"""Texts of strangers that must stay text in every display; the first of them set a global of the page where they execute."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# The number in a name is the place in this list; test_hostile shows these in a real browser.
BROWSER = (
    "<script>window.hit_0=1</script>",
    "<img src=x onerror='window.hit_1=1'>",
    '"><svg><animate onbegin="window.hit_2=1" attributeName="x" dur="1s"></svg>',
    "</div></td></table></pre></script><img src=x onerror=window.hit_3=1>",
    "<iframe srcdoc='<script>parent.hit_4=1</script>'></iframe>",
    "<details open ontoggle='window.hit_5=1'>x</details>",
    "' onmouseover='window.hit_6=1' style='position:fixed;inset:0;z-index:9999' x='",
    "<style>body{display:none!important}</style><b style='position:fixed;inset:0;background:red'>&lt;b&gt;",
    "\x1b[31mred\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x07\x00",
    "abc \u202egnp.exe \u2066\u200f right to left",
    "$\\frac{a}{$ $x^{2$ %s {0} \\",
    "[click](javascript:window.hit_11=1) ![x](http://evil.example/x.png) `code` **b** <b>",
    '=HYPERLINK("http://evil.example";"x")',
    "x" * 200_000 + "<img src=x onerror=window.hit_13=1>",
    "<a href=javascript:window.hit_14=1 id=jp-main-dock-panel>clobber</a>",
    r"Only $5 today, $10 tomorrow $\href{https://evil.example}{Renew login}$",
)
EXECUTE = frozenset(range(6))  # those of BROWSER that need nobody's click

PAYLOADS = (
    *BROWSER,
    "\"><img src=x onerror='window.pwned=1'>",
    "</style></title></svg><svg onload=alert(1)>",
    "=cmd|' /C calc'!A0",
    "[click](javascript:alert(1)) @someone | **x** $x^2",
    "\x1b[31m\u202e\x00" + "x" * 2_000,
    "`${window.pwned=1}` & <b>bold</b>",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07x",
    "a\nb\r\nc",
    "x\x00\x08y",
    "\ud800",
    "half \ud83d",
    "<script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=1>\u202e\x1b[31m$x^{$ =1+1",
    "$x^2 \\frac{",
    "_hidden",
    "<b>bold</b>\x1b[31mred 😀\na\u202eevil",
    "**b** <img src=x> [x](javascript:1) @maria #1 | `c`",
    "post_`x`|y",
    "a``b",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\uff1d1+1",
    "\t=1+1",
    "",
)
TEXTS = [
    text for text in PAYLOADS if not {"\ud800", "\ud83d"} & set(text)
]  # a column of strings has no half of an emoji
INVISIBLE = frozenset("\x00\x07\x08\x1b\u202e\u2066\u200f\ud800\ud83d")  # what a terminal or a page would obey

# Tags of our own; `a` is for a published post alone.
_OURS = """div b i span p pre wbr table colgroup col thead tbody tr th td details summary figure figcaption style svg g path text tspan use
defs clippath rect pattern"""
TAGS, PAGE_TAGS = frozenset(_OURS.split()), frozenset({"html", "head", "meta", "title", "body"})


class Reader(HTMLParser):
    """What a browser would make of some markup."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags = []
        self.attributes = []
        self.text = ""

    @classmethod
    def of(cls, markup):
        page = cls()
        page.feed(f"{markup}")  # plain text, not Markup
        page.close()
        return page

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text += data


def assert_only_text(markup, *, links=False, page=False):
    """Assert that some HTML has our own tags alone, fetches nothing, runs nothing and reorders nothing; return it as read."""
    found = Reader.of(markup)
    strange = set(found.tags) - TAGS - ({"a"} if links else set()) - (PAGE_TAGS if page else set())
    assert not strange, strange
    for name, value in found.attributes:
        assert not name.startswith("on")
        assert name not in {"src", "srcdoc", "action", "data", "id"} or re.fullmatch(r"vx.*|[a-z][0-9a-f]{9,}", value)
        if "href" in name:
            assert value.startswith("#") or (links and value.startswith("https://"))
        if name == "style":
            assert not re.search(r"url\((?!#)|position:\s*(fixed|absolute)", value), value
    assert not INVISIBLE & set(markup)
    return found
