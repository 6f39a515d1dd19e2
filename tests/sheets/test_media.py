"""Media of a sheet: what a cell may name, how files are looked at, and that a row is its file's bytes, whatever it is called."""

from __future__ import annotations

import os
import unicodedata
from unittest.mock import DEFAULT, Mock

import pandas as pd
import pytest
from PIL import Image
from tests.sheets.offline import findings, listed, uploaded

from voxops import plan_create, read_campaign
from voxops.acts.create import resolved
from voxops.api import limits
from voxops.api.reasons import Reason
from voxops.loading.accounts import AccountNames
from voxops.sheets import media
from voxops.sheets.media import MediaFile, content_type_of, look_at

FILMS = limits.FILE_BYTES["video/mp4"]
FILM = b"\0\0\0\x18ftyp"


def picture(path, size=(1080, 1080), **options):
    """A picture in the format that its name says."""
    Image.new("RGB", size, options.pop("color", "red")).save(path, **options)
    return path


def sheet(folder, *cells, **columns):
    """A row for each cell of media, read from a file in a folder."""
    rows = [
        {"row_id": str(n), "content": f"t{n}", "accounts": "twitter:@a", "scheduled_for": f"203{n}-01-01T10:00Z", "media": cell}
        | {name: value[n] if isinstance(value, list) else value for name, value in columns.items()}
        for n, cell in enumerate(cells)
    ]  # fmt: skip
    path = folder / "sheet.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return read_campaign(path)


def test_a_file_is_named_by_its_hash_an_address_by_itself_and_an_id_stays(tmp_path, monkeypatch):
    (tmp_path / "pics").mkdir()
    picture(tmp_path / "pics" / "a.jpg")
    other = picture(tmp_path / "b.png", color="blue")
    address = "https://cdn.example/w_300,h_200/c.gif?x=1"
    cells = ("pics/a.jpg", "pics\\a.jpg", f"{other}; media_1", address, "HTTPS://cdn.example/d.jpg")
    monkeypatch.chdir("/")  # names are relative to the sheet
    with monkeypatch.context() as patch:
        frame = uploaded(sheet(tmp_path, *cells))
        patch.setattr(media, "look_at", None)  # a plan reads no file
        found = plan_create(frame, key="row_id", campaign="c")
    assert found.eligible == len(cells)
    items = sorted(found.items, key=lambda item: item.row)
    bodies = [item.requested["media"] for item in items]
    a, b = bodies[0][0], bodies[2][0]
    assert a.startswith("sha256:")
    assert bodies == [[a], [a], [b, "media_1"], [address], ["https://cdn.example/d.jpg"]]
    assert items[2].media_ids == [f"media_{b[-9:]}", "media_1"]
    assert items[3].media_ids == [f"media_{address[-9:]}"]


def test_the_folder_is_that_of_a_sheet_that_this_process_has_read_or_one_that_is_passed(tmp_path, monkeypatch):
    """What attrs say came with the frame, which may be anybody's Parquet file."""
    picture(tmp_path / "a.jpg")
    frame = sheet(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert findings(frame).empty
    for attrs in ({}, {"folder": str(tmp_path)}, {"reading": str(tmp_path)}):
        frame.attrs = attrs
        assert findings(frame)["code"].tolist() == ["media_folder"]
        assert findings(frame, folder=tmp_path).empty


def test_a_name_with_accents_is_found_in_either_form_of_unicode(tmp_path):
    forms = [unicodedata.normalize(form, "Grüße.jpg") for form in ("NFC", "NFD")]
    for name, other in (forms, forms[::-1]):
        path = picture(tmp_path / name)
        assert isinstance(look_at(other, str(tmp_path)), MediaFile)
        path.unlink()


def test_a_file_is_read_once_until_it_changes_or_can_be_read(tmp_path, monkeypatch):
    path = picture(tmp_path / "a.jpg")
    answers = [PermissionError(13, "Permission denied"), DEFAULT, DEFAULT]
    digest = Mock(wraps=media.hashlib.file_digest, side_effect=answers)
    monkeypatch.setattr(media.hashlib, "file_digest", digest)
    assert look_at(path) == Reason("media_unreadable", value=str(path)[-100:], said="Permission denied")
    for _ in range(9):
        assert isinstance(look_at(path), MediaFile)
    assert digest.call_count == 2
    os.utime(path, ns=(1, 1))
    look_at(path)
    assert digest.call_count == 3


NO_KIND = {"kind": "no picture, film or PDF that can be read"}


@pytest.mark.parametrize(("name", "content", "code", "facts"), [
    ("none.jpg", None, "media_missing", {}), ("folder.jpg", "folder", "media_no_file", {}), ("empty.jpg", b"", "media_empty", {}),
    ("photo.heic", b"x", "media_type", {}), ("words.txt", b"x", "media_type", {}), ("text.png", b"hello", "media_kind", NO_KIND),
    ("png.jpg", slice(None), "media_kind", {"kind": "image/png"}), ("cut.png", slice(60), "media_kind", NO_KIND),
    ("film.mp4", b"RIFF\0\0\0\0AVI ", "media_kind", {"kind": "video/x-msvideo"}), ("photo.mov", FILM + b"heic", "media_kind", NO_KIND),
    ("long.mp4", FILMS + 1, "media_too_large", {"count": FILMS + 1, "kind": "video/mp4", "most": FILMS}), ("doc.pdf", b"hello", "media_kind", NO_KIND),
])  # fmt: skip
def test_a_file_that_can_not_be_sent_is_not_eligible_and_an_error_of_the_check(tmp_path, name, content, code, facts):
    path, reason = tmp_path / name, Reason(code, value=name, **facts)
    if content == "folder":
        path.mkdir()
    elif isinstance(content, slice):
        path.write_bytes(picture(tmp_path / "other.png").read_bytes()[content])
    elif isinstance(content, int):
        path.touch()
        os.truncate(path, content)
    elif content is not None:
        path.write_bytes(content)
    frame = sheet(tmp_path, name)
    found = plan_create(uploaded(frame), key="row_id")
    said = f" ({reason.sentence()})"
    assert (found.eligible, found.why) == (0, (Reason("media_not_uploaded", value=name, said=said).at("E2"),))
    checked = findings(frame)
    assert checked[["level", "code", "column"]].to_numpy().tolist() == [["error", code, "media"]]


def test_kinds_are_known_by_their_bytes(tmp_path):
    for name in ("a.jpg", "b.JPEG", "c.png", "d.gif", "e.webp"):
        assert look_at(picture(tmp_path / name)).type == content_type_of(name)
    films = {
        "a.mp4": FILM + b"mp42", "b.m4v": FILM + b"M4V ", "c.mov": FILM + b"qt  ", "d.mov": b"\0\0\0\x08wide", "e.mov": FILM + b"mp42",
        "f.avi": b"RIFF\0\0\0\0AVI LIST", "g.webm": b"\x1aE\xdf\xa3", "h.pdf": b"%PDF-1.7",
    }  # fmt: skip
    for name, head in films.items():
        (tmp_path / name).write_bytes(head + b"\0" * 50)
        assert look_at(tmp_path / name).type == content_type_of(name)


def test_a_photograph_with_a_second_picture_in_it_is_a_jpeg_and_a_turned_one_is_measured_as_people_see_it(tmp_path):
    second = Image.new("RGB", (100, 75))
    two = look_at(picture(tmp_path / "two.jpg", (400, 300), format="MPO", save_all=True, append_images=[second]))
    assert (two.type, two.pixels) == ("image/jpeg", (400, 300))
    exif = Image.Exif()
    exif[274] = 6
    assert look_at(picture(tmp_path / "turned.jpg", (400, 300), exif=exif)).pixels == (300, 400)


@pytest.mark.parametrize(("cell", "kind"), [
    ("a.jpg", "IMAGE"), ("film.mp4", "VIDEO"), ("a.jpg; film.mp4", "CAROUSEL"), ("https://x.example/f.MOV?a=b.jpg", "VIDEO"),
    ("https://x.example/file", "IMAGE"), ("media_1", "IMAGE"), ("mp4", "IMAGE"),
])  # fmt: skip
def test_the_content_type_for_instagram_follows_from_the_file(tmp_path, cell, kind):
    picture(tmp_path / "a.jpg")
    (tmp_path / "film.mp4").write_bytes(FILM + b"mp42")
    frame = uploaded(sheet(tmp_path, cell, accounts="instagram:@a"))
    (item,) = plan_create(frame, key="row_id", one_by_one=True).items
    known = AccountNames(listed(("instagram", "a", "acc_1", "active")))
    assert resolved(item, known).requested["contentType"] == kind


@pytest.mark.parametrize(("size", "platform", "codes", "columns"), [
    *(((width, height), "instagram", codes, {}) for width, height, codes in (
        (1080, 1350, []), (1080, 1360, ["picture_shape"]), (1910, 1000, []), (1920, 1000, ["picture_shape"]), (319, 319, ["picture_too_small"]),
        (100, 900, ["picture_too_small", "picture_shape"]),
    )),
    ((1080, 1920), "instagram", [], {"content_type": "story"}), ((1080, 1920), "twitter", [], {}), ((10, 10), "linkedin", [], {}),
    ((1080, 1080), "bluesky", ["picture_too_large"], {}),
])  # fmt: skip
def test_shape_and_size_of_a_picture_are_warnings_for_each_platform(tmp_path, size, platform, codes, columns):
    path = picture(tmp_path / "a.jpg", size)
    if platform == "bluesky":
        os.truncate(path, limits.PLATFORM_PICTURES[platform].most_bytes + 1)
    found = findings(sheet(tmp_path, "a.jpg", accounts=f"{platform}:@a", **columns))
    assert found["code"].tolist() == codes
    assert set(found["level"]) | set(found["platform"]) == ({"warning", platform} if codes else set())


def test_a_sheet_names_no_file_outside_of_its_folder(tmp_path):
    """A sheet may come from anybody, and what it names is posted."""
    desk = tmp_path / "desk"
    (desk / "pictures").mkdir(parents=True)
    picture(tmp_path / "private.jpg")
    picture(desk / "pictures" / "a.jpg")
    (desk / "link.jpg").symlink_to(tmp_path / "private.jpg")
    (desk / "up").symlink_to(tmp_path)
    (desk / "within.jpg").symlink_to(desk / "pictures" / "a.jpg")
    outside = [
        "../private.jpg", str(tmp_path / "private.jpg"), "pictures/../../private.jpg", "link.jpg", "up/private.jpg", "up/none.jpg",
    ]  # fmt: skip
    frame = sheet(desk, "pictures/a.jpg", "within.jpg", *outside)
    assert findings(frame)["code"].tolist() == ["media_outside"] * len(outside)
    assert uploaded(frame)["media_id"].notna().tolist() == [True, True, *[False] * len(outside)]
    wider = read_campaign(desk / "sheet.csv", folder=tmp_path)
    assert uploaded(wider)["media_id"].notna().tolist() == [False, False, False, True, *[False] * 4]


@pytest.mark.parametrize("secret", ["https://user:geheim@x.example/a.jpg", "https://user@x.example/a.jpg?geheim"])
def test_an_address_with_a_user_name_is_refused_and_not_repeated(tmp_path, secret):
    frame = sheet(tmp_path, secret, "https://x.example/a.jpg?sig=geheim")
    found = findings(frame)
    assert found[["level", "code"]].to_numpy().tolist() == [["error", "media_address"], ["warning", "media_imported"]]
    plan = plan_create(frame, key="row_id")
    assert [why.code for why in plan.why] == ["media_address", "media_not_uploaded"]
    assert not any("geheim" in text for text in [*found["message"], *map(str, plan.why)])
