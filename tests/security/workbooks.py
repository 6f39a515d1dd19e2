"""Workbooks by hand, of Excel and of OpenDocument."""

from __future__ import annotations

import zipfile
from pathlib import Path

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


IDS = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'


def inline(*rows: list[str]) -> str:
    """Rows of an xlsx sheet."""
    return "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )


def xlsx(path: Path, rows: str, after: str = "", packing: int = zipfile.ZIP_DEFLATED, **parts: str) -> Path:
    """A workbook of one sheet, by hand."""
    links = "".join(
        f'<Relationship Id="{name}" Type="{IDS[9:-1]}/worksheet" Target="worksheets/{name}.xml"/>'
        for name in ("s", "big")
    )
    kind = "http://schemas.openxmlformats.org/package/2006"
    content = {
        "[Content_Types].xml": f'<Types xmlns="{kind}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{kind}/relationships"><Relationship Id="b" Type="{IDS[9:-1]}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {MAIN} {IDS}><sheets><sheet name="Plan" sheetId="1" r:id="s"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{kind}/relationships">{links}</Relationships>',
        "xl/worksheets/s.xml": f"<worksheet {MAIN}><sheetData>{rows}</sheetData>{after}</worksheet>",
        **{
            name.replace("___", "/_").replace("__", "/").replace("_xml", ".xml").replace("xml/rels", "xml.rels"): text
            for name, text in parts.items()
        },
    }
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return path


def ods(path: Path, rows: str) -> Path:
    """An OpenDocument sheet, by hand."""
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    body = f'<office:body><office:spreadsheet><table:table table:name="Plan">{rows}</table:table></office:spreadsheet></office:body>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", f"<office:document-content{spaces}>{body}</office:document-content>")
    return path


def ods_rows(*rows: list[str]) -> str:
    """Rows of an OpenDocument sheet."""
    cells = [
        [f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in row]
        for row in rows
    ]
    return "".join(f"<table:table-row>{''.join(row)}</table:table-row>" for row in cells)
