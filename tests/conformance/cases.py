"""One request for each row of the matrix, as data: its effect at the server, and what it acts on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.conformance.bench import Act, Bench


@dataclass(frozen=True)
class Case:
    """The request of a row.

    Attributes
    ----------
    effect : str
        Kind of its side effect in the server's log; "" for none.
    act : callable
        What to send; it makes what that acts on, before anything is counted. The only list in the body of a row of many items has a
        valid item and one that is refused.
    """

    effect: str
    act: Callable[[Bench], Act]

    def right(self, bench: Bench) -> Act:
        """An act that the API accepts whole."""
        return self.part(self.act(bench), slice(1))

    def part(self, act: Act, items: slice) -> Act:
        """The act with some of its items, if it has many."""
        if self not in MANY:
            return act
        ((name, listed),) = act.body.items()
        return replace(act, body={name: listed[items]})


def to(status="draft", **body):
    """An act on a post of this status."""
    return lambda bench: Act((bench.planted(status),), body or None)


def version(bench):
    post = bench.made(1, **bench.post())
    return Act((post["id"],), {"content": f"Edited {bench.new()}"}, post["updatedAt"])


def target(bench):
    post = bench.planted("failed")
    (failed,) = bench.sandbox.world.posts[post].targets
    return Act((post, failed.id), {"content": "Mended"})


def recurring(**body):
    def act(bench):
        post = bench.planted()
        bench.made(14, post, frequency="DAILY")
        return Act((post,), body or None)

    return act


def consent(bench):
    """A person has agreed to connect an account."""
    answer = bench.sandbox.authorize(bench.made(17, "threads")["state"])
    return Act(("threads",), {"code": answer["code"], "state": answer["state"]})


def connected(bench):
    agreed = consent(bench)
    return Act((bench.made(18, *agreed.ids, **agreed.body)["account"]["id"],))


def account(bench, **body):
    return Act((bench.account,), body or None)


def media(bench):
    return str(bench.made(27, url=f"https://cdn.example/{bench.new()}.jpg", contentType="image/jpeg")["id"])


def webhook(bench):
    return str(bench.made(34, url=f"https://other.example/{bench.new()}", events=["media.uploaded"])["id"])


def delivery(bench):
    hook = webhook(bench)
    return Act((hook, bench.made(38, webhookId=hook)["id"]))


def file(bench):
    path = bench.folder / f"{bench.new()}.jpg"
    path.write_bytes(b"a few bytes")
    return Act(body=path)


def image(bench, name=""):
    return {"filename": name or f"{bench.new()}.jpg", "contentType": "image/jpeg", "sizeBytes": 5}


def clip(bench, size):
    return {"filename": f"{bench.new()}.mp4", "contentType": "video/mp4", "sizeBytes": size}


CASES = {
    1: Case("post.create", lambda b: Act(body=b.post())),
    2: Case("post.update", version),
    3: Case("post.delete", to()),
    4: Case("post.publish", to()),
    5: Case("post.retry", to("failed")),
    6: Case("post.cancel", to()),
    7: Case("post.clone", to()),
    8: Case("post.duplicate", to()),
    9: Case("post.unpublish", to("published")),
    10: Case("target.fix", target),
    11: Case("post.create", lambda b: Act(body={"posts": [b.post(), b.post(accountIds=["acc_of_nobody"])]})),
    12: Case("post.create", lambda b: Act(body={"videos": [b.post(mediaId=media(b)), b.post(mediaId="media_of_nobody")]})),
    13: Case("", lambda _: Act(body={"content": "A text", "platforms": ["facebook"]})),
    14: Case("recurrence.create", to(frequency="WEEKLY")),
    15: Case("recurrence.update", recurring(frequency="MONTHLY")),
    16: Case("recurrence.delete", recurring()),
    17: Case("account.connect", lambda _: Act(("threads",))),
    18: Case("account.connected", consent),
    19: Case("account.disconnect", connected),
    20: Case("account.refresh", account),
    21: Case("account.test", account),
    22: Case("account.page", lambda b: account(b, pageId="page_1")),
    23: Case("account.backfill", account),
    24: Case("media.create", lambda b: Act(body=image(b))),
    25: Case("media.delete", lambda b: Act((media(b),))),
    26: Case("media.validate", lambda b: Act((media(b),))),
    27: Case("media.register", lambda b: Act(body={"url": f"https://cdn.example/{b.new()}.jpg", "contentType": "image/jpeg"})),
    28: Case("media.create", lambda b: Act(body={"files": [image(b), image(b, "  ")]})),
    29: Case("media.create", lambda b: Act(body={"videos": [clip(b, 500), clip(b, 600 * 1024**2)]})),
    30: Case("media.validate", lambda b: Act(body={"mediaIds": [media(b)]})),
    31: Case("media.import", lambda b: Act(body={"url": f"https://cdn.example/{b.new()}.jpg"})),
    32: Case("media.import", lambda b: Act(body={"fileId": b.new()})),
    33: Case("media.upload", file),
    34: Case("webhook.create", lambda b: Act(body={"url": f"https://other.example/{b.new()}", "events": ["post.failed"]})),
    35: Case("webhook.update", lambda b: Act((webhook(b),), {"enabled": False})),
    36: Case("webhook.delete", lambda b: Act((webhook(b),))),
    37: Case("webhook.rotate", lambda b: Act((webhook(b),))),
    38: Case("webhook.test", lambda b: Act(body={"webhookId": webhook(b)})),
    39: Case("delivery.resend", delivery),
}  # fmt: skip
MANY = frozenset(CASES[row] for row in (11, 12, 28, 29))
