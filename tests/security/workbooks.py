"""Workbooks by hand, and as openpyxl reads them."""

from __future__ import annotations

import zipfile

from openpyxl import load_workbook

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
IDS = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
KIND = "http://schemas.openxmlformats.org/package/2006"


def inline(*rows):
    """Rows of an xlsx sheet."""
    return "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )


def xlsx(path, rows, after="", packing=zipfile.ZIP_DEFLATED, **parts):
    """A workbook of one sheet, by hand."""
    link = f'<Relationship Id="s" Type="{IDS[9:-1]}/worksheet" Target="worksheets/s.xml"/>'
    kinds = {"workbook": "sheet.main", "sharedStrings": "sharedStrings"}
    overrides = "".join(
        f'<Override PartName="/xl/{part}.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.{name}+xml"/>'
        for part, name in kinds.items()
        if part == "workbook" or f"xl__{part}_xml" in parts
    )
    content = {
        "[Content_Types].xml": f'<Types xmlns="{KIND}/content-types">{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{KIND}/relationships"><Relationship Id="b" Type="{IDS[9:-1]}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {MAIN} {IDS}><sheets><sheet name="Plan" sheetId="1" r:id="s"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{KIND}/relationships">{link}</Relationships>',
        "xl/worksheets/s.xml": f"<worksheet {MAIN}><sheetData>{rows}</sheetData>{after}</worksheet>",
        **{name.replace("__", "/").replace("_xml", ".xml"): text for name, text in parts.items()},
    }
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return path


def tables(path):
    """The values of each sheet of a workbook, as a reader other than ours sees them; ``""`` for an empty cell."""
    book = load_workbook(path, data_only=True)
    return {
        page.title: [["" if cell is None else cell for cell in row] for row in page.iter_rows(values_only=True)]
        for page in book.worksheets
    }
