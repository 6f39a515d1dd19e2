"""Read workbooks and CSV files altered at random, for some minutes: ``python -m tests.security.fuzz --minutes 10``.

One process has imported everything and forks for each batch. In a batch, each file must be read or refused with an error of ours,
within 10 seconds and 1 GB. What isn't is kept in ``build/fuzz``; the printed seed and number make it again.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import random
import resource
import secrets
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import python_calamine

import voxops as vx

BATCH = 50
SECONDS = 10
MEGABYTES = 1_000
KEPT = Path("build/fuzz")

ROWS = pd.DataFrame(
    {
        "row_id": [f"r{number}" for number in range(30)],
        "content": ['Spring; is "here"', "=1+1", "Grüße\nan alle", "x" * 300, "😀 ok"] * 6,
        "accounts": ["acc_1; acc_2", "twitter:@brand"] * 15,
        "scheduled_for": pd.date_range("2026-03-05T09:00", periods=30, freq="h", tz="UTC"),
        "media": ["https://a.example/b.jpg", None] * 15,
        "share": [0.5, 7.0, None] * 10,
    }
)
ODD_TEXT = [
    '"', "'", ";", ",", "\t", "|", "\n", "\r", "\r\n", "\0", "sep=;\n", "\ufeff", "#N/A", "\ud800", "é", "\u2028", "1E400", "=", "\x1a", "😀",
    "2026-02-31", "99:99", "-" * 500, "," * 500, '"' * 99, "\n" * 500,
]  # fmt: skip
ODD_XML = [
    "XFD1048576", "A0", "ZZZZZZZ9", "A99999999999", "-1", "0", "4294967295", "4294967296", "18446744073709551616", "1e308", "NaN", "",
    "&#0;", "&amp;", "<", ">", "<!--", "]]>", "<c>", "</c>", "<row r='9'>", "<v>7</v>", "<f>A1</f>", "<si/>", ' t="s"', ' t="e"', ' t="d"',
    ' t="b"', ' s="99"', "<is><t>x</t></is>", '<mergeCell ref="A1:XFD9"/>', '<dimension ref="A1:XFD1048576"/>', "xl/../", "\0", "é",
    ' table:number-columns-repeated="999999999"', ' table:number-rows-repeated="999999999"', '<text:s text:c="999999999"/>',
]  # fmt: skip


def models() -> list[bytes]:
    """The files that are altered: workbooks of our own and of OpenDocument, CSV files in several forms."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        made.append(vx.to_excel(Path(folder) / "a.xlsx", tz="UTC", Plan=ROWS).read_bytes())
    texts = ROWS.astype(str)
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{html.escape(str(cell))}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in [texts.columns, *texts.to_numpy()]
    )
    spaces = "".join(f' xmlns:{name}="urn:{name}"' for name in ("office", "table", "text"))
    body = f'<office:body><office:spreadsheet><table:table table:name="Plan">{cells}</table:table></office:spreadsheet></office:body>'
    ods = BytesIO()
    with zipfile.ZipFile(ods, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", f"<office:document-content{spaces}>{body}</office:document-content>")
    made.append(ods.getvalue())
    for mark in ",;\t|":
        text = texts.to_csv(index=False, sep=mark)
        made += [text.encode(), text.encode("utf-16"), text.encode("cp1252", "replace")]
    return made


def altered_bytes(data: bytes, chance: random.Random) -> bytes:
    """The same bytes with some flipped, cut, doubled or exchanged."""
    for _ in range(chance.choice([1, 1, 2, 5, 30])):
        at, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        end = min(end, at + chance.choice([1, 1, 4, 200]))
        data = (
            chance.choice(
                [
                    data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
                    data[:at] + data[end:],
                    data[:end] + data[at:],
                    data[:at] + data[at:end] * chance.choice([2, 50]) + data[end:],
                    data[:at] + chance.choice(ODD_TEXT).encode("utf-8", "surrogatepass") + data[end:],
                    data[:at] + chance.randbytes(end - at) + data[end:],
                ]
            )
            or b"a"
        )
    return data


def altered_text(data: bytes, chance: random.Random) -> bytes:
    """XML with some numbers, places, names or elements exchanged."""
    text = data.decode()
    for _ in range(chance.choice([1, 1, 2, 5])):
        marks = [at for at in range(len(text)) if text[at] in "<>\"'"]
        at = chance.choice(marks or [0])
        end = chance.choice([at, next((mark for mark in marks if mark > at), at)])
        odd = chance.choice(ODD_XML)
        text = chance.choice([text[: at + 1] + odd + text[end:], text[:at] + odd + text[at:], text[:at] + text[end:]])
    return text.encode("utf-8", "replace")


def altered(data: bytes, chance: random.Random) -> bytes:
    """One altered file; of a workbook, mostly a part of it."""
    if not data.startswith(b"PK") or chance.random() < 0.2:
        return altered_bytes(data, chance)
    made = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as archive, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        names = archive.namelist()
        wanted = chance.choice(names + [name for name in names if "sheet" in name or "content.xml" in name] * 5)
        for name in names:
            part = archive.read(name)
            if name == wanted:
                if chance.random() < 0.05:
                    continue
                part = chance.choice([altered_text, altered_text, altered_bytes])(part, chance)
            target.writestr(name, part)
    return made.getvalue()


def case(number: int, seed: int, all_models: list[bytes]) -> tuple[bytes, dict[str, Any]]:
    """The file of a number, and how it is read."""
    chance = random.Random(f"{seed}/{number}")
    # half of them are workbooks
    data = chance.choice(all_models[:2] if chance.random() < 0.5 else all_models[2:])
    options: dict[str, Any] = {
        "tz": chance.choice([None, "Europe/Berlin"]),
        "header": chance.choice([None] * 8 + [1, 3]),
    }
    options["encoding"] = chance.choice([None] * 20 + ["cp1250", "utf-16", "mac_roman", "utf-7"])
    return altered(data, chance), options


def read(path: Path, options: dict[str, Any]) -> str:
    """How a file was read; a foreign exception is its traceback."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            vx.read_campaign(path, **options)
    except vx.VoxopsError:
        return "refused"
    except BaseException:
        return traceback.format_exc(limit=-6)
    return "read"


def batch(numbers: range, seed: int, all_models: list[bytes], folder: Path, out: int) -> None:
    """In a forked process: read each file of a batch and report it. A file that takes too long ends the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where the reader's panics are printed
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (8_000_000_000,) * 2)
    for number in numbers:
        data, options = case(number, seed, all_models)
        path = folder / "file"
        path.write_bytes(data)
        signal.alarm(SECONDS)
        said = read(path, options)
        signal.alarm(0)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if used > MEGABYTES:
            said = f"used {used:,} MB"
        os.write(out, (json.dumps([number, said]) + "\n").encode())
        if used > MEGABYTES:
            return  # the next one has a process that did not


def run(minutes: float, seed: int, first: int = 0) -> int:
    """Fuzz for so many minutes; return how many files were found wanting."""
    all_models = models()
    counts = {"read": 0, "refused": 0}
    findings = 0
    number, end = first, time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            source, target = os.pipe()
            if (child := os.fork()) == 0:
                try:
                    batch(range(number, number + BATCH), seed, all_models, Path(folder), target)
                finally:
                    os._exit(0)
            os.close(target)
            with os.fdopen(source) as lines:
                reports = [json.loads(line) for line in lines]
            _, status = os.waitpid(child, 0)
            done = len(reports)
            if status:
                name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status}"
                reports.append([number + done, f"ended its process: {name}"])
            for at, said in reports:
                if said in counts:
                    counts[said] += 1
                    continue
                findings += 1
                KEPT.mkdir(parents=True, exist_ok=True)
                data, options = case(at, seed, all_models)
                (KEPT / f"{seed}-{at}").write_bytes(data)
                print(f"file {at}, {options}: {said}", flush=True)
            number += len(reports)
    print(
        f"seed {seed}: {number - first:,} files, {counts['read']:,} read, {counts['refused']:,} refused, {findings} wanting"
    )
    return findings


def main() -> None:
    """Fuzz, and exit with status 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    assert python_calamine  # imported before the first fork
    sys.exit(1 if run(options.minutes, options.seed, options.first) else 0)


if __name__ == "__main__":
    main()
