"""A workbook from elsewhere costs no more than it is worth: what is too large is refused in words, before its reader sees it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import python_calamine
from tests.security.raw import PEAK
from tests.security.workbooks import IDS, MAIN, inline, ods, ods_rows, xlsx

import voxops as vx
from voxops.errors import PlanError
from voxops.sheets import files

READ = (
    PEAK
    + """
import resource, sys
import voxops as vx
from voxops.errors import PlanError
resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000,) * 2)
for path in sys.argv[1:]:
    try:
        print(len(vx.read_campaign(path)), "rows", end="")
    except PlanError as error:
        print(error, end="")
    print(" in", peak(), flush=True)
"""
)
HEADS = ["row_id", "content", "accounts", "scheduled_for"]
ROW = ["a", "text", "acc_1", "2026-03-05T09:00Z"]


def sheet(path: Path, rows: str = "", *after: Any, **parts: str) -> Path:
    """A workbook of a good sheet and what comes behind its rows."""
    return xlsx(path, inline(HEADS, ROW) + rows, *after, **parts)


def shared(path: Path, index: str, uses: int) -> Path:
    """A workbook in which cells use a shared text of 30 KB."""
    texts = f"<sst {MAIN}><si><t>x</t></si><si><t>{'y' * 30_000}</t></si>{'<si><t>z</t></si>' * 20}</sst>"
    cells = "".join(f'<row><c t="s"><v>{index}</v></c></row>' for _ in range(uses))
    return sheet(path, cells, xl__sharedStrings_xml=texts)


def false_size(path: Path) -> Path:
    """A part of 1.2 GB that claims to have 500 bytes."""
    sheet(path, "")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("xl/worksheets/t.xml", "w", force_zip64=True) as part:
            for _ in range(100):
                part.write(b" " * 12_000_000)
        archive.getinfo("xl/worksheets/t.xml").file_size = 500
    return path


def exchanged(path: Path, part: str, before: str, after: str) -> Path:
    """The same workbook with one part changed."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name).decode() for name in archive.namelist()}
    assert before in content[part]
    content[part] = content[part].replace(before, after)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return path


def elsewhere(path: Path) -> Path:
    """A workbook whose shared texts are in a part that looks like a sheet."""
    sheet(path, xl__worksheets__big_xml=f"<sst {MAIN}>{'<si/>' * 9}</sst>")
    link = f'Id="big" Type="{IDS[9:-1]}/'
    return exchanged(path, "xl/_rels/workbook.xml.rels", f"{link}worksheet", f"{link}sharedStrings")


def another(path: Path) -> Path:
    """A workbook whose links name another one than the usual."""
    sheet = f'<workbook {MAIN} {IDS}><sheets><sheet name="Plan" sheetId="1" r:id="big"/></sheets></workbook>'
    links = f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="big" Type="{IDS[9:-1]}/worksheet" Target="/xl/worksheets/big.xml"/></Relationships>'
    big = f"<worksheet {MAIN}><sheetData>{inline(HEADS, ROW)}{V}</sheetData></worksheet>"
    xlsx(
        path,
        inline(HEADS, ROW),
        xl__worksheets__big_xml=big,
        xl__x__workbook_xml=sheet,
        xl__x___rels__workbook_xml__rels=links,
    )
    return exchanged(path, "_rels/.rels", "xl/workbook.xml", "xl/x/workbook.xml")


V = "<c r='XFD1048576'><v>1</v></c>"
STRING = 'office:value-type="string"'
MERGED = (
    "<mergeCells>"
    + "<mergeCell ref='A1:J10000'/>" * 10_000
    + "<mergeCell ref='A1048000:XFD1048001'/>" * 10_000
    + "</mergeCells>"
)
ATTACKS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a cell in the last corner": (lambda p: sheet(p, f"<row r='1048576'>{V}</row>"), "its cells reach XFD1048576, and 20,000,000"),
    "a cell below the last row": (lambda p: sheet(p, "<row r='4294967295'><c><v>1</v></c></row>"), "20,000,000 cells are the limit"),
    "a wide and a deep cell": (lambda p: sheet(p, "<row><c r='ZZ9'><v>1</v></c></row><row><c r='A30000'><v>1</v></c></row>"), "its cells reach ZZ30000"),
    "a prefix": (lambda p: sheet(p, f"<x:row xmlns:x='{MAIN[7:-1]}'><x:c r='XFD1048576'><x:v>1</x:v></x:c></x:row>"), "its cells reach XFD1048576"),
    "a place in escapes": (lambda p: sheet(p, "<row><c r='&#88;FD1048576'><v>1</v></c></row>"), "its cells reach XFD1048576"),
    "a shared text": (lambda p: shared(p, "1", 100_000), "the texts of its cells take over 500 MB"),
    "a shared text behind zeros": (lambda p: shared(p, "0001", 100_000), "the texts of its cells take over 500 MB"),
    "a shared text and a comment": (lambda p: shared(p, "1<!---->2", 100_000), "the texts of its cells take over 500 MB"),
    "a shared text and an escape": (lambda p: shared(p, "1&#50;", 100_000), "the texts of its cells take over 500 MB"),
    "two sheets in one": (
        lambda p: sheet(p, xl__worksheets__big_xml=f"<worksheet {MAIN}><sheetData>{V}</sheetData></worksheet>",
                       xl__workbook_xml=f'<workbook {MAIN} {IDS} xmlns:q="q"><sheets><sheet name="Plan" sheetId="1" q:id="s" r:id="big"/></sheets></workbook>'),
        "its cells reach XFD1048576",
    ),
    "two sheets of one name": (
        lambda p: sheet(p, xl__worksheets__big_xml=f"<worksheet {MAIN}><sheetData>{V}</sheetData></worksheet>",
                       xl__workbook_xml=f'<workbook {MAIN} {IDS}><sheets><sheet name="Plan" sheetId="1" r:id="s"/><sheet state="hidden" name="Plan" sheetId="2" r:id="big"/></sheets></workbook>'),
        "two sheets are named 'Plan'",
    ),
    "a large part": (lambda p: sheet(p, xl__styles_xml=f"<a>{'<b/>' * 6_000_000}</a>"), "has over 20 MB in xl/styles.xml"),
    "texts in another place": (
        elsewhere,
        "its texts are in xl/worksheets/big.xml",
    ),
    "another workbook": (another, "1 rows"),
    "a size that is false": (false_size, "is not a workbook that can be read: Bad CRC-32"),
    "LZMA": (lambda p: sheet(p, "", "", zipfile.ZIP_LZMA), "it is packed in an unusual way"),
    "entities": (lambda p: sheet(p, xl__sharedStrings_xml=f'<!DOCTYPE a [<!ENTITY b "{"c" * 9_000}">]><sst {MAIN}>{"<si><t>&b;</t></si>" * 9_000}</sst>'), "it declares a type of document"),
    "merged over and over": (lambda p: sheet(p, "<row r='10000'><c r='J10000'><v>1</v></c></row>", MERGED), "over 20,000,000 cells are merged"),
    "rows in disorder": (lambda p: sheet(p, "<row r='9'><c r='A9'><v>1</v></c></row><row r='1'><c r='A1'><v>2</v></c></row><row r='3'><c r='B3'><v>2</v></c></row>"), "rows"),
    "ods: a wide cell": (lambda p: ods(p, ods_rows(HEADS, ROW) + f'<table:table-row><table:table-cell table:number-columns-repeated="1000000000" {STRING}><text:p>a</text:p></table:table-cell></table:table-row>'), "5,000,000 cells are the limit"),
    "ods: a deep row": (lambda p: ods(p, ods_rows(HEADS, ROW) + f'<table:table-row table:number-rows-repeated="1000000000"><table:table-cell {STRING}><text:p>a</text:p></table:table-cell></table:table-row>'), "5,000,000 cells are the limit"),
    "ods: a distant row": (lambda p: ods(p, '<table:table-row table:number-rows-repeated="1000000000"/>' + ods_rows(HEADS, ROW)), "5,000,000 cells are the limit"),
    "ods: blanks": (lambda p: ods(p, ods_rows(HEADS, [*ROW[:3], '<text:s text:c="2000000000"/>'])), "the texts of its cells take over 500 MB"),
    "ods: a text": (lambda p: ods(p, ods_rows(HEADS, ROW) + f'<table:table-row table:number-rows-repeated="100000"><table:table-cell {STRING}><text:p>{"x" * 30_000}</text:p></table:table-cell></table:table-row>'), "the texts of its cells take over 500 MB"),
}  # fmt: skip


def test_hostile_workbooks_are_refused_in_words(tmp_path):
    """In a process of their own, whose memory is bounded and measured."""
    paths = [make(tmp_path / f"{number}.xlsx") for number, (make, _) in enumerate(ATTACKS.values())]
    assert max(path.stat().st_size for path in paths) < 6_000_000
    command = [sys.executable, "-c", READ, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    for (what, (_, words)), line in zip(ATTACKS.items(), done.stdout.splitlines(), strict=True):
        said, _, megabytes = line.rpartition(" in ")
        assert words in said, what
        assert int(megabytes) < 1_200, what


def test_other_workbooks_are_refused_in_words(tmp_path):
    binary = BytesIO()
    with zipfile.ZipFile(binary, "w") as archive:
        archive.writestr("xl/workbook.bin", b"")
    for data, words in (
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2_000), "before 2007, or one with a password"),
        (b"PK\x03\x04" + bytes(2_000), "not a workbook that can be read"),
        (binary.getvalue(), "xlsb"),
    ):
        (tmp_path / "sheet.xls").write_bytes(data)
        with pytest.raises(PlanError, match=words):
            vx.read_campaign(tmp_path / "sheet.xls")


def test_cells_that_have_a_style_alone_are_not_counted(tmp_path):
    """A column formatted to its end, as people do, and the million empty rows that LibreOffice writes."""
    styled = "".join(f'<row r="{row}"><c r="XFD{row}" s="1"/></row>' for row in (3, 1_048_576))
    merged = "<mergeCells>" + "<mergeCell ref='A9:XFD1048576'/>" * 3 + "</mergeCells>"
    assert len(vx.read_campaign(sheet(tmp_path / "a.xlsx", styled, merged))) == 1
    empty = '<table:table-row table:number-rows-repeated="1048573"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
    assert len(vx.read_campaign(ods(tmp_path / "b.ods", ods_rows(HEADS, ROW) + empty))) == 1


def test_texts_are_counted_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CELLS", 1_000)
    path = sheet(tmp_path / "a.xlsx", xl__sharedStrings_xml=f"<sst {MAIN}>{'<si/>' * 1_000}</sst>")
    assert len(vx.read_campaign(path)) == 1
    path = sheet(tmp_path / "b.xlsx", xl__sharedStrings_xml=f"<sst {MAIN}>{'<si/>' * 1_001}</sst>")
    with pytest.raises(PlanError, match="1,000 texts"):
        vx.read_campaign(path)


class PanicException(BaseException):  # named as that of the reader, which no module exports
    pass


def test_a_panic_of_the_reader_is_an_error_of_ours(tmp_path, monkeypatch):
    path = sheet(tmp_path / "a.xlsx", "")

    def opened(error: BaseException) -> None:
        def fail(_: object) -> None:
            raise error

        monkeypatch.setattr(python_calamine, "CalamineWorkbook", SimpleNamespace(from_filelike=fail))
        vx.read_campaign(path)

    with pytest.raises(PlanError, match="index out of bounds"):
        opened(PanicException("index out of bounds"))
    with pytest.raises(KeyboardInterrupt):
        opened(KeyboardInterrupt())
