"""Records of posts as states."""

from __future__ import annotations

from voxops.frames.records import read_post, read_posts


def test_posts_are_read_in_any_casing_and_shape():
    record = {
        "id": "post_1",
        "status": "PARTIAL",
        "updatedAt": "2026-03-02T09:00:00.000Z",
        "metadata": {"voxopsOp": "a" * 32},
        "platforms": [{"platform": "TWITTER", "accountId": "a", "status": "FAILED", "error": "RATE_LIMITED: later"}],
    }
    state = read_posts([record])["post_1"]
    assert (state.status, state.mark, state.has_metadata, state.open_targets) == ("partial", "a" * 32, True, 1)
    assert state.updated_at == "2026-03-02T09:00:00+00:00"
    bare = read_post({key: value for key, value in record.items() if key != "metadata"})
    assert bare is not None
    assert (bare.mark, bare.has_metadata) == (None, False)
