"""The VoxBurst API on this machine: real HTTP on loopback, a seeded campaign, a virtual clock, faults as data.

It implements every row of the capability matrix and the reads that go with them, written from the contract alone: it
imports nothing of voxops, so client and sandbox check each other. ``docs/sandbox.md`` says the same for curl. ::

    from voxburst_sandbox import Fault, Sandbox, Switches

    with Sandbox(seed=7, rate_limit=None) as sb:
        sb.url, sb.api_key                # "http://127.0.0.1:40123", "vb_test_sandbox"
        sb.add_fault(Fault(method="POST", path="/v1/posts/*/retry", nth=3, action="drop", when="after"))
        ...                               # any client in any language works against sb.url + "/v1"
        sb.advance(90)                    # virtual seconds; the queue moves, webhooks are delivered
        sb.effects("target.publish")      # what HAPPENED, not what was answered
        assert sb.duplicates() == []

From another process the same verbs exist on ``Remote(url)``; ``python -m voxburst_sandbox --port N [--seed N] [--state FILE]
[--speed X]`` serves it to any client.

**Python face.** ``Sandbox(seed=7, speed=0.0, state=None, port=0, storage_port=0, receiver_port=0, switches=None, rate_limit=500,
empty=False, posts=500, deliveries=4500, real_time=False, tls=None, fixture=None, workspace=None)``, a context manager with ``start()``
and ``stop()``; ``url``, ``api_key``, ``second_api_key``, ``storage_url``, ``receiver_url``, ``workspace_id``, ``certificate``. A `FixtureWorld`
replaces the seeded campaign by the accounts, media and time of a real workspace. Everything below is also on ``Remote``:

=====================================  ==============================================================================
``now()``                              the virtual time, an aware datetime
``advance(seconds)``                   move the clock; everything due meanwhile happens, in order
``set_speed(speed)``                   virtual seconds per real second; 0 stands still
``add_fault(*faults)``                 see `Fault`; ``faults()`` lists them with their counts, ``clear_faults()`` drops them
``requests(since=0, acting=None)``     list of dict: seq method path query key api_key status body acting effect replay fault at
                                       ended host; `ended` is ``""`` while it is under way, and `status` 0 where no answer went out
``effects(kind=None, since=0)``        list of dict, one per side effect that happened: seq kind at key mark request + ids
``duplicates()``                       list of dict: side effects that happened twice for one logical thing
``received(since=0)``                  what the built-in webhook receiver got: host path headers body at
``receiver(**behaviour)``              how the built-in receiver answers, e.g. ``status=503, times=2``
``authorize(state)``                   the person who agrees to connect an account; gives ``code`` and ``state``
``touch(post_id)``                     somebody edits the post's tags in the dashboard: `updatedAt` moves, nothing else
``person.edit(post_id, …)``            people in the web page, see `Person`: ``edit delete withdraw unpublish duplicate
                                       post_copy submit approve reject backdate``; copies keep the metadata
``plant_post(content, accounts, …)``   a post that was always there, e.g. ``status="pending_approval", daysOld=40``
``set_switches(**changes)``            change readings while it runs; ``switches`` shows the present ones
``state()``                            seed, clock, workspace, counts
``reset(empty=False)``                 the seeded beginning again: records, clock, logs, faults
=====================================  ==============================================================================

API keys: ``vb_test_sandbox`` and ``vb_test_second`` (`second_api_key`) may do everything in the same workspace, each with
separate idempotency keys (`Switches.workspace_keys` shares them); ``vb_test_readonly`` only reads (403 on writes),
``vb_test_quota`` creates nothing (402).

**Control calls** stand under ``/_sandbox`` (no API key, never logged, no rate limit; JSON only, with its content type): see
``docs/sandbox.md``. ``GET /`` is a page for people, ``GET /v1/openapi.json`` describes the API.

**Kinds of effects**, all listed in ``docs/sandbox.md``: ``post.create post.retry target.requeue target.publish target.fail
delivery.resend`` and so on, and ``person.edit`` and so on for what people did. A retry is one ``post.retry`` and a ``target.requeue``
per target (`cause` ``retry`` or ``fix``; `again` if an earlier publication of it had not ended). ``mark`` is ``metadata.voxopsOp`` of
a created or published post; ``key`` is the idempotency key of the request that caused the effect, also where it happened later.

**Codes of failed platforms**: passing ``RATE_LIMITED SERVICE_UNAVAILABLE INTERNAL_ERROR``, lasting until mended
``TOKEN_EXPIRED ACCOUNT_DISCONNECTED CONTENT_TOO_LONG MEDIA_ASPECT_RATIO MEDIA_FORMAT_NOT_SUPPORTED MEDIA_TOO_LARGE
PUBLISH_ERROR``, and two unknown ones, ``E_4711 GRAPH_368_NODE``. How many publications fail and recover is
`Switches.failure_rate` and `Switches.recovery_rate`.

**Time** is virtual and starts at 2026-03-02T09:00:00Z; the ``Date`` header shows it. With ``speed=0`` two starts answer the
same calls with the same bytes, but for the workspace id (pin it with ``workspace=``) and the loopback port in upload
addresses. Randomness is drawn by hashing seed, subject and attempt, so results don't depend on order or timing.

**Seeded world**: 12 accounts, about 500 posts of the ten days before the start with 60 to 90 failed targets, 40 media,
3 webhooks whose ``*.example`` hosts lead to the built-in receiver, 30 days of delivery history.
"""

from __future__ import annotations

from voxburst_sandbox.control import API_KEY, SECOND_API_KEY, Person, Remote
from voxburst_sandbox.seed import FixtureAccount, FixtureWorld
from voxburst_sandbox.server import Sandbox, main, serve
from voxburst_sandbox.switches import Fault, Switches

__all__ = [
    "API_KEY",
    "SECOND_API_KEY",
    "Fault",
    "FixtureAccount",
    "FixtureWorld",
    "Person",
    "Remote",
    "Sandbox",
    "Switches",
    "main",
    "serve",
]
