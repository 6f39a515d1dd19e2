"""The receipts of uploads and imports."""

from dataclasses import replace

from voxops.ledger.records import Medium

FILE = Medium("sha256:1", "media_1", 0, "sent")
ADDRESS = Medium("https://x.example/\ud83d.jpg", "media_2", 3, "failed")


def test_a_medium_is_kept_as_it_was_last(ledger):
    for one in (FILE, replace(FILE, media_id="media_3", number=1), replace(FILE, state="ready"), ADDRESS):
        ledger.media.keep(one)
    assert ledger.media.get(["sha256:1", "sha256:2"]) == {"sha256:1": replace(FILE, state="ready")}
    (other,) = ledger.media.get(["https://x.example/?.jpg"]).values()
    assert (other.media_id, other.number, other.state) == ("media_2", 3, "failed")
