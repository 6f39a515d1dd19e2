"""A workbook from elsewhere costs no more than it is worth: each form is read or refused in words, in a process with little memory."""

from __future__ import annotations

import zipfile

import openpyxl
from tests.security.programs import lines_of
from tests.security.workbooks import IDS, MAIN, inline, xlsx

READ = """
import resource, sys
import voxops as vx
from voxops.errors import PlanError
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000,) * 2)
for path in sys.argv[1:]:
    try:
        print(vx.read_campaign(path)["content"].to_list()[:3], end="")
    except PlanError as error:
        print(error, end="")
    print(" in", peak(), flush=True)
"""
HEADS = ["row_id", "content", "accounts", "scheduled_for"]
ROW = ["a", "text", "acc_1", "2026-03-05T09:00Z"]


def sheet(path, rows="", *after, **parts):
    """A workbook of a good sheet and what comes behind its rows."""
    return xlsx(path, inline(HEADS, ROW) + rows, *after, **parts)


def false_size(path):
    """A part of 1.2 GB that claims to have 500 bytes."""
    sheet(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("xl/worksheets/t.xml", "w", force_zip64=True) as part:
            for _ in range(100):
                part.write(b" " * 12_000_000)
        archive.getinfo("xl/worksheets/t.xml").file_size = 500
    return path


def twice(path):
    with zipfile.ZipFile(sheet(path), "a") as archive:
        archive.writestr("XL/worksheets/S.xml", "")
    return path


def archive_of(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


TEXTS = f"<sst {MAIN}><si><t>x</t></si><si><t>{'y' * 30_000}</t></si></sst>"
ENTITIES = f'<!DOCTYPE a [<!ENTITY b "{"c" * 9_000}">]>'
READ_IT, REFUSED, FAR = "['text']", "is not a workbook that can be read", "and 2,000,000 cells are the limit"
FORMS = {
    "two kinds at once": (lambda p: sheet(p, content_xml="<x/>"), "is an OpenDocument file (.ods); save it as .xlsx"),
    "no namespace": (lambda p: sheet(p, xl__worksheets__s_xml=f"<worksheet><sheetData>{inline(HEADS, ROW)}</sheetData></worksheet>"), "the sheet 'Plan' is empty"),
    "entities": (lambda p: sheet(p, xl__sharedStrings_xml=f'{ENTITIES}<sst {MAIN}>{"<si><t>&b;</t></si>" * 9_000}</sst>'), "EntitiesForbidden"),
    "the last cell": (lambda p: sheet(p, "<row><c r='XFD1048576'><v>1</v></c></row>"), "its cells reach XFD1048576, " + FAR),
    "a wide and a deep cell": (lambda p: sheet(p, "<row><c r='ZZ9'><v>1</v></c></row><row><c r='A30000'><v>1</v></c></row>"), "its cells reach ZZ30000"),
    "styles alone far away": (lambda p: sheet(p, "".join(f'<row r="{row}"><c r="XFD{row}" s="1"/></row>' for row in (3, 1_048_576)), "<mergeCells>" + "<mergeCell ref='A9:XFD1048576'/>" * 3 + "</mergeCells>"), READ_IT),
    "rows in disorder": (lambda p: sheet(p, "<row r='9'><c r='A9'><v>1</v></c></row><row r='3'><c r='B3'><v>2</v></c></row>"), "['text', '2', <NA>]"),
    # Much from little.
    "texts that repeat": (lambda p: sheet(p, '<row><c t="s"><v>1</v></c></row>' * 1_000, xl__sharedStrings_xml=TEXTS), "the texts of its cells take over 20 MB"),
    "merged over and over": (lambda p: sheet(p, "<row r='10000'><c r='J10000'><v>1</v></c></row>", "<mergeCells>" + "<mergeCell ref='A1:J10000'/>" * 10_000 + "</mergeCells>"), "over 2,000,000 cells are merged"),
    "a text that is merged": (lambda p: sheet(p, f"<row r='3'><c t='inlineStr'><is><t>{'y' * 30_000}</t></is></c></row><row r='9000'><c><v>1</v></c></row>", "<mergeCells><mergeCell ref='A3:A9000'/></mergeCells>"), "the texts of its cells take over 20 MB"),
    "elements": (lambda p: sheet(p, "<row>" + "<c/>" * 1_600_000 + "</row>"), "or over 1,500,000 elements and attributes"),
    "a large part": (lambda p: sheet(p, xl__styles_xml=f"<a>{'b' * 21_000_000}</a>"), "its sheets have over 20 MB unpacked"),
    "a size that is false": (false_size, "Bad CRC-32"),
    "a large part that is not read": (lambda p: sheet(p, xl__media__a_xml="b" * 90_000_000), READ_IT),
    # Other archives.
    "two sheets of one name": (lambda p: sheet(p, xl__workbook_xml=f'<workbook {MAIN} {IDS}><sheets><sheet name="Plan" sheetId="1" r:id="s"/><sheet state="hidden" name="Plan" sheetId="2" r:id="s"/></sheets></workbook>'), "two sheets are named 'Plan'"),
    "two parts of one name": (twice, "two of its parts have one name"),
    "LZMA": (lambda p: sheet(p, "", "", zipfile.ZIP_LZMA), "it is packed in an unusual way"),
    "xlsb": (lambda p: archive_of(p, "xl/workbook.bin"), "is a binary workbook (.xlsb); save it as .xlsx"),
    "a broken archive": (lambda p: p.write_bytes(b"PK\x03\x04" + bytes(2_000)) and p, REFUSED),
    "before 2007": (lambda p: p.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2_000)) and p, "before 2007 (.xls), or one with a password; save it as .xlsx"),
}  # fmt: skip


def test_each_form_of_a_workbook_is_read_or_refused_within_300_mb(tmp_path):
    paths = [make(tmp_path / f"{number}.xlsx") for number, (make, _) in enumerate(FORMS.values())]
    assert max(path.stat().st_size for path in paths) < 6_000_000
    for (form, (_, words)), line in zip(FORMS.items(), lines_of(READ, *paths), strict=True):
        said, _, megabytes = line.rpartition(" in ")
        assert words in said, (form, said)
        assert int(megabytes) < 300, form


def test_what_reads_xml_refuses_what_expands():
    assert openpyxl.DEFUSEDXML
