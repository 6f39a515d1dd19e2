"""Media that a sheet names: files beside it, looked at and hashed, and addresses of the web; ids are left to the API."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO
from urllib.parse import urlsplit

import pandas as pd

from voxops._support.canonical import is_well_formed
from voxops._support.safe import redact_address
from voxops.api.limits import FILE_BYTES, FILE_TYPES, PLATFORM_PICTURES
from voxops.api.reasons import Reason

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_FILE = re.compile(r".*[\\/].*|.*\.[a-z][a-z0-9]{1,4}", re.IGNORECASE | re.DOTALL)  # a path, or a name with an ending
_SEVERAL = re.compile(r"\s|[,|]https?://", re.IGNORECASE)  # addresses that no semicolon separates
# Names of Pillow's; a photograph with a second picture in it is a JPEG to all others.
_FORMATS = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_HEAD = 1024  # bytes that tell the kind of a film or a document
_ORIENTATION, _TURNED = 274, 5  # the tag of a photograph, and the first of its values that exchange width and height
_PHOTOS = frozenset({b"heic", b"heix", b"mif1", b"avif"})  # brands of pictures in the container of films
_OTHER = "no picture, film or PDF that can be read"
# What ws.upload adds to a sheet: an id and a hash for each part of ``media``, that cell as it was then, and why it was not uploaded.
UPLOAD_COLUMNS = ("media_id", "media_sha256", "media_uploaded", "media_error")


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file that a sheet names, as it was read.

    Attributes
    ----------
    source : str
        ``sha256:`` and the hash of its bytes, by which a request names it.
    path, name, type : str
        Real path, file name as the sheet has it, and content type.
    size : int
        Bytes.
    pixels : tuple of int or None
        Width and height of a picture as people see it; None for what is none.
    """

    source: str
    path: str
    name: str
    type: str
    size: int
    pixels: tuple[int, int] | None = None


Found = MediaFile | str | Reason


_READ_FROM: dict[str, str] = {}  # of the sheets that this process has read: a name of our own -> the folder


def keep_folder(folder: str | Path) -> str:
    """Return the name by which this process finds the folder of a sheet: attrs of a frame may come from anybody."""
    root = os.path.abspath(folder)  # noqa: PTH100
    name = next((name for name, known in _READ_FROM.items() if known == root), None) or token_hex(8)
    _READ_FROM[name] = root
    return name


def folder_of(frame: pd.DataFrame, folder: str | Path | None) -> str | None:
    """Return the folder that was passed, else that of a sheet that this process has read; None for neither."""
    return os.path.abspath(folder) if folder is not None else _READ_FROM.get(str(frame.attrs.get("reading")))  # noqa: PTH100


def media_of(
    parts: Sequence[str],
    ids: Sequence[str],
    hashes: Sequence[str],
    named: Sequence[str],
    error: object,
    *,
    reads: bool,
    folder: str | None,
) -> tuple[dict[str, Found], dict[str, str]]:
    """Return the media of a row from the columns of ``ws.upload``; with `reads`, the files are read, too.

    Parameters
    ----------
    parts : sequence of str
        Parts of the cell ``media``.
    ids, hashes, named : sequence of str
        Parts of ``media_id``, ``media_sha256`` and ``media_uploaded``.
    error : object
        The cell ``media_error``.
    reads : bool
        Whether files are read; one that can't be is said only of what is not uploaded.
    folder : str or None
        Where names are looked for; None if it is not known.

    Returns
    -------
    tuple
        Part -> its file, its source, or the reason why the row can't be sent; and source -> media id.
    """
    found: dict[str, Found] = {}
    media: dict[str, str] = {}
    # Somebody may have named another file since, so the cell must still be the one that was uploaded.
    fits = len(parts) == len(ids) == len(hashes) and list(named or parts) == list(parts)
    for number, part in enumerate(parts):
        address = _address(part) if _ADDRESS.match(part) else None
        if isinstance(address, Reason):
            found[part] = address
        elif address or _FILE.fullmatch(part):
            looked: Found | None = address
            if address is None and reads:
                looked = look_at(part, folder) if folder else Reason("media_folder", value=part[-100:])
            found[part] = Reason("media_not_uploaded", value=_shown(part), said=f" ({error})" if error else "")
            if fits:
                source = address or f"sha256:{hashes[number]}"
                found[part], media[source] = source, ids[number]
            if reads and looked is not None and (not fits or isinstance(looked, MediaFile)):
                found[part] = looked
    return found, media


def content_type_of(name: str) -> str:
    """Return the content type that a file name or an address ends with; ``""`` for none."""
    place = urlsplit(name).path if _ADDRESS.match(name) else name
    return FILE_TYPES.get(os.path.splitext(place)[1].lower(), "")  # noqa: PTH122  it may be no path


def _address(part: str) -> str | Reason:
    try:
        place = urlsplit(part)
        # A name before the host is a password's.
        is_fit = place.scheme == "https" and bool(place.hostname) and "@" not in place.netloc
    except ValueError:
        is_fit = False
    if _SEVERAL.search(part) or not is_well_formed(part):
        return Reason("media_form", value=_shown(part))
    return f"https://{part[8:]}" if is_fit else Reason("media_address", value=_shown(part))


def _shown(part: str) -> str:
    """Return a part of a cell for people: what an address asks for may be a signature."""
    return redact_address(part)[:100] if _ADDRESS.match(part) else part[-100:]


def look_at(name: str | os.PathLike[str], folder: str | None = None) -> MediaFile | Reason:
    """Read a file; one that is as it was read last, by its size and time, is not read again.

    With `folder`, one whose real path is outside of it is refused: a sheet may come from anybody, and what it names is posted.
    """
    shown = os.fspath(name)[-100:]
    try:
        path = _path(os.fspath(name), Path(folder or "."))
        real = path.resolve()
        if folder is not None and not real.is_relative_to(Path(folder).resolve()):
            return Reason("media_outside", value=shown)
        stat = real.stat()
        if not real.is_file():
            return Reason("media_no_file", value=shown)
        return read_media(str(real), path.name, stat.st_size, stat.st_mtime_ns)
    except FileNotFoundError:
        return Reason("media_missing", value=shown)
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # ValueError: a null byte in the name; RuntimeError: links in a circle
        return Reason("media_unreadable", value=shown, said=getattr(error, "strerror", None) or str(error))


def _path(name: str, folder: Path) -> Path:
    """Return the path of a name in a sheet, which a person on another system may have written."""
    if os.sep == "/":
        name = name.replace("\\", "/")
    forms = (folder / unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    return next((path for path in forms if path.exists()), folder / name)


@lru_cache(maxsize=16_384)
def read_media(path: str, name: str, size: int, changed: int) -> MediaFile | Reason:  # noqa: ARG001  another time is another file
    """Read a file of so many bytes: its kind, by its bytes, and its hash; OSError if it can't be read."""
    kind = content_type_of(name)
    if not kind or kind.startswith("text/"):
        return Reason("media_type", value=name)
    if not size:
        return Reason("media_empty", value=name)
    if size > FILE_BYTES[kind]:
        return Reason("media_too_large", value=name, count=size, kind=kind, most=FILE_BYTES[kind])
    with open(path, "rb") as file:  # noqa: PTH123
        actual, pixels = _picture(file) if kind.startswith("image/") else (_film(file.read(_HEAD), kind), None)
        if actual != kind:
            return Reason("media_kind", value=name, kind=actual or _OTHER)
        file.seek(0)
        return MediaFile(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", path, name, kind, size, pixels)


def _picture(file: BinaryIO) -> tuple[str, tuple[int, int] | None]:
    """Return content type and size of a picture, ``""`` for what is none; its pixels are not decoded."""
    from PIL import Image  # most processes that import voxops read no picture

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its size, and of odd metadata
            with Image.open(file, formats=[name for name in _FORMATS if name != "MPO"]) as picture:
                kind, (width, height) = _FORMATS[str(picture.format)], picture.size
                if kind == "image/jpeg" and picture.getexif().get(_ORIENTATION, 1) >= _TURNED:
                    width, height = height, width
                picture.verify()
    except Exception:  # noqa: BLE001  whatever a broken file makes of its reader
        return "", None
    return kind, (width, height)


def _film(head: bytes, named: str) -> str:
    """Return the content type of a film or document by its first bytes, ``""`` for others."""
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}:
        # Both names stand for one container, and programs give it either.
        is_film = head[8:12] not in _PHOTOS
        return ("video/quicktime" if named == "video/quicktime" else "video/mp4") if is_film else ""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "video/x-msvideo"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm"
    return "application/pdf" if b"%PDF-" in head else ""


def misshapen(found: Mapping[str, Found], platform: str, *, feed: bool) -> Iterator[Reason]:
    """Yield how pictures exceed the published limits of a platform; `feed` says that they go into its feed, not a story or a reel."""
    limits = PLATFORM_PICTURES.get(platform)
    for one in found.values():
        if limits is None or not isinstance(one, MediaFile) or one.pixels is None:
            continue
        width, height = one.pixels
        if one.size > limits.most_bytes and one.type != "image/gif":
            yield Reason("picture_too_large", value=one.name, platform=platform, count=one.size, most=limits.most_bytes)
        if width < limits.least_width:
            yield Reason("picture_too_small", value=one.name, platform=platform, count=width, least=limits.least_width)
        if feed and not limits.least_ratio <= width / height <= limits.most_ratio:
            least, most = f"{limits.least_ratio:g}", f"{limits.most_ratio:g}"
            yield Reason(
                "picture_shape", value=one.name, platform=platform, text=f"{width} x {height}", least=least, most=most
            )
