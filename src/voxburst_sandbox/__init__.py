"""The VoxBurst API on this machine: real HTTP on loopback, a seeded campaign, a virtual clock, faults as data.

It implements every row of the capability matrix and the reads. It is written from the contract and imports nothing of
voxops, so client and sandbox check each other. ``docs/reference/sandbox.md`` describes it for curl. ::

    from voxburst_sandbox import Fault, Sandbox, Switches

    with Sandbox(seed=7, rate_limit=None) as sb:
        sb.url, sb.api_key                # "http://127.0.0.1:40123", "vb_test_sandbox"
        sb.add_fault(Fault(method="POST", path="/v1/posts/*/retry", nth=3, action="drop", when="after"))
        ...                               # any client in any language works against sb.url + "/v1"
        sb.advance(90)                    # virtual seconds; the queue moves, webhooks are delivered
        sb.effects("target.publish")      # what happened, not what was answered
        assert sb.duplicates() == []

`Remote` controls a sandbox in another process, such as ``voxops sandbox --port N``, with the same verbs:

=====================================  ==============================================================================
``now()``                              the virtual time, an aware datetime
``advance(seconds)``                   move the clock; everything that falls due happens, in order
``set_speed(speed)``                   virtual seconds per real second; 0 stops the clock
``add_fault(*faults)``                 see `Fault`; ``faults()`` lists them with their counts, ``clear_faults()`` drops them
``requests(since=0, acting=None)``     list of dict: seq method path query key api_key status body acting effect replay fault at
                                       ended host; in flight `ended` is ``""``; `status` is 0 if no answer was sent
``effects(kind=None, since=0)``        list of dict, one per side effect: seq kind at key mark request + ids
``duplicates()``                       list of dict: side effects that happened twice for one logical thing
``received(since=0)``                  deliveries to the built-in webhook receiver: host path headers body at
``receiver(**behaviour)``              how the built-in receiver answers, e.g. ``status=503, times=2``
``authorize(state)``                   agree to connect an account; returns ``code`` and ``state``
``touch(post_id)``                     edit a post's tags in the dashboard: `updatedAt` moves, nothing else
``person.edit(post_id, …)``            a person in the dashboard, see `Person`; copies keep the metadata
``plant_post(content, accounts, …)``   add a post without an effect, e.g. ``status="pending_approval", daysOld=40``
``set_switches(**changes)``            change readings of the contract, see `Switches`; ``switches`` are those in force
``state()``                            seed, clock, workspace, counts
``reset(empty=False)``                 the seeded state again: records, clock, logs, faults
=====================================  ==============================================================================

**API keys**: ``vb_test_sandbox`` and ``vb_test_second`` have full access to the same workspace, with
separate idempotency keys; ``vb_test_readonly`` only reads (403 on writes), ``vb_test_quota`` creates nothing (402).

**Effects**: ``docs/reference/sandbox.md`` lists their kinds. A retry is one ``post.retry`` and a ``target.requeue`` per target (`cause`
``retry`` or ``fix``; `again` if an earlier publication of it had not ended). ``mark`` is ``metadata.voxopsOp`` of a created or
published post; ``key`` is the idempotency key of the request that caused the effect, also of a later effect.

**Codes of failed platforms**: passing ``RATE_LIMITED SERVICE_UNAVAILABLE INTERNAL_ERROR``; lasting until a fix
``TOKEN_EXPIRED ACCOUNT_DISCONNECTED CONTENT_TOO_LONG MEDIA_ASPECT_RATIO MEDIA_FORMAT_NOT_SUPPORTED MEDIA_TOO_LARGE
PUBLISH_ERROR``; unknown ``E_4711 GRAPH_368_NODE``. `Switches.failure_rate` and `Switches.recovery_rate` set how many
publications fail and recover.

**Time** is virtual and starts at 2026-03-02T09:00:00Z; the ``Date`` header shows it. With ``speed=0`` two starts answer the
same calls with the same bytes, but for the workspace id (pin it with ``workspace=``) and the loopback ports. Randomness is
drawn by hashing seed, subject and attempt, so results don't depend on order or timing.

**Seeded world**: 12 accounts, 40 media, and about 500 posts of the ten days before the start, with 60 to 90 failed
targets. Also 30 days of deliveries of 3 webhooks, whose ``*.example`` hosts lead to the built-in receiver.
"""

from __future__ import annotations

from voxburst_sandbox.control import API_KEY, Person, Remote
from voxburst_sandbox.server import Sandbox, serve
from voxburst_sandbox.switches import Fault, Switches

__all__ = ["API_KEY", "Fault", "Person", "Remote", "Sandbox", "Switches", "serve"]
