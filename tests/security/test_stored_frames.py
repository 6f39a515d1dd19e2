"""A frame stored in bytes is data: whatever was altered in it is refused in words, and costs no more than its bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from typing import Any

import pandas as pd

from voxops.frames.packing import pack, unpack


def labels(*parts: int) -> dict[str, Any]:
    """Labels that are a range."""
    return {"name": None, "range": list(parts)}


def packed(index: Any, columns: Any, *arrays: tuple[str, list[Any]], attrs: Any = (), **further: Any) -> bytes:
    """A frame by hand; what is said further is of its arrays."""
    made = [{"dtype": dtype, "values": values, **further} for dtype, values in arrays]
    content = {"version": 1, "index": index, "columns": columns, "arrays": made, "attrs": attrs or {}}
    return json.dumps(content).encode()


MANY, ONE, NONE = labels(0, 300_000_000, 1), labels(0, 1, 1), labels(0, 0, 1)
HOSTILE = {
    "an index of 300 million rows": packed(MANY, ONE, ("int64", [1])),
    "an index without columns": packed(MANY, NONE),
    "columns without values": packed(ONE, MANY, ("int64", [1])),
    "levels": packed({"levels": [MANY, MANY]}, NONE),
    "levels of two lengths": packed({"levels": [ONE, MANY]}, ONE, ("int64", [1])),
    "columns of two lengths": packed(labels(0, 2, 1), labels(0, 2, 1), ("int64", [1, 2]), ("int64", [1])),
    "text of 400 MB": packed(ONE, ONE, ("U100000000", ["a"])),
    "bytes of 2 GB": packed(ONE, ONE, ("S2000000000", ["a"])),
    "nothing of 2 GB": packed(ONE, ONE, ("V2000000000", [None])),
    "sparse": packed(ONE, ONE, ("Sparse[int64]", [1])),
    "no decimal": packed(ONE, ONE, ("object", [{"$decimal": "abc"}])),
    "no target": packed(ONE, ONE, ("targets", [5])),
    "a target of numbers": packed(ONE, ONE, ("targets", [{"$targets": [{"status": 5}]}])),
    "no list": packed(ONE, ONE, ("list", ["a"])),
    "a step of none": packed(labels(0, 1, 0), ONE, ("int64", [1])),
    "a category out of range": packed(
        ONE, ONE, ("category", [7]), categories={"dtype": "int64", "values": [1]}, ordered=False
    ),
    "categories of none": packed(ONE, ONE, ("category", [0])),
    "attrs that are none": packed(ONE, ONE, ("int64", [1]), attrs=[1]),
    "a number for a name": b'{"version": 1, "index": {"name": null, "range": "abc"}, "columns": 5, "arrays": {}, "attrs": 1}',
}


def test_what_was_altered_is_refused_in_words_and_at_once():
    """In a process of its own, whose memory and time are bounded."""
    program = (
        "import json, resource, sys, time\nfrom voxops.frames.packing import unpack\nfrom voxops.errors import PlanError\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000,) * 2)\n"
        "for what, text in json.load(sys.stdin).items():\n    began = time.monotonic()\n"
        "    try:\n        unpack(text.encode())\n    except PlanError as error:\n"
        "        print(what, error, 'slowly' if time.monotonic() - began > 5 else '', sep=': ')\n"
    )
    texts = json.dumps({what: data.decode() for what, data in HOSTILE.items()})
    done = subprocess.run(
        [sys.executable, "-c", program], input=texts, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines() == [f"{what}: These bytes are not a packed frame.: " for what in HOSTILE], (
        done.stderr
    )


def test_no_zone_reads_a_file(tmp_path):
    trap = tmp_path / "trap"
    trap.write_bytes((files("tzdata") / "zoneinfo" / "Europe" / "Berlin").read_bytes())
    found = unpack(packed(ONE, ONE, (f"datetime64[us, dateutil/{trap}]", [5])))
    assert str(found[0].dt.tz) == "UTC"


def test_a_frame_of_rows_alone_comes_back():
    assert unpack(pack(pd.DataFrame(index=range(1_000)))).shape == (1_000, 0)
