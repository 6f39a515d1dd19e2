"""Frame -> cause, verdict, remedy: what failed, why, and what it calls for.

A *cause* is a message's template: two failures have the same one if they differ only in numbers, names, addresses and times. What a
cause calls for stands in the table of `rules`; what has not failed, or hangs, is judged here, by its status and age.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import pandas as pd

from voxops._core import safe
from voxops._core.arguments import near
from voxops.analysis.rules import RULES, Rule, analyst_rules, find_rule
from voxops.analysis.templates import SPACE, message_template
from voxops.api.windows import STUCK_AFTER
from voxops.frames import need_frame
from voxops.frames.columns import refuse_results, times_of
from voxops.frames.values import STRING_DTYPE
from voxops.model import IN_FLIGHT_STATUSES, WAITING_STATUSES, Verdict

__all__ = ["NEEDED", "Judgement", "judge", "triage"]

NEEDED = ("platform", "status", "error_code", "error_message", "post_status")

_FIRST = ("verdict", "cause", "remedy")  # what a reader looks for comes before what a machine joins by
_WITHDRAWN = frozenset({"cancelled", "unpublished", "archived", "deleted"})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say of one target.

    Attributes
    ----------
    cause : str or None
        Fingerprint of the failure, or of what it waits for; None where nothing is wrong.
    verdict : Verdict
        What to do.
    remedy : str
        One sentence for the person who does it.
    retryable : bool
        Whether sending it again can succeed, without a second effect.
    guess : bool
        Whether the verdict goes by the words of the message.
    source : str
        Where the rule comes from: the contract's tag, ``observed``, ``guess``, ``analyst``, ``status`` or ``none``.
    """

    cause: str | None
    verdict: Verdict
    remedy: str
    retryable: bool = False
    guess: bool = False
    source: str = "status"


def judge(
    code: str | None,
    platform: str | None,
    message: str | None,
    status: str | None = "failed",
    post_status: str | None = None,
    *,
    stuck: bool = False,
    rules: Iterable[Rule] = (),
) -> Judgement:
    """Say what one target calls for.

    Parameters
    ----------
    code, platform, message : str or None
        Of its error: code in upper case, platform in lower case.
    status, post_status : str or None
        Of the target and of its post, in lower case; a target without a status has its post's.
    stuck : bool
        Whether it has been under way for `STUCK_AFTER` or longer.
    rules : iterable of Rule
        The analyst's own; they come before the table.

    Returns
    -------
    Judgement
        By status first: only what failed has a cause that the rules are asked about.
    """
    state = status or post_status
    if state == "published":
        return Judgement(None, Verdict.NOTHING, "Published.")
    if state in _WITHDRAWN or post_status in _WITHDRAWN:
        return Judgement(None, Verdict.NOTHING, f"The post is {post_status if post_status in _WITHDRAWN else state}.")
    if state in IN_FLIGHT_STATUSES and post_status not in WAITING_STATUSES:
        if stuck:
            return Judgement(
                _label(f"stuck {state}", platform, ""), Verdict.SUPPORT, _STUCK.format(state), source="PLAY"
            )
        remedy = f"It is {state}: let it finish; after 10 minutes look at the dashboard, it may be stuck."
        return Judgement(_label(f"still {state}", platform, ""), Verdict.WAIT, remedy, source="PLAY")
    if state in IN_FLIGHT_STATUSES | WAITING_STATUSES:
        return Judgement(None, Verdict.WAIT, f"The post is {post_status or state}: a person or a later time moves it.")
    if state not in {"failed", "partial"}:
        remedy = (
            f"voxops does not know the status {state!r}: look at the post."
            if state
            else "It has no status: look at the post."
        )
        return Judgement(_label(f"status {state}", platform, ""), Verdict.SUPPORT, remedy)
    rule = find_rule(code, platform, message, rules)
    cause = _label(code or "NO_CODE", platform, message_template(message))
    return Judgement(cause, rule.verdict, rule.remedy, rule.retryable, rule.guess, rule.source)


_STUCK = (
    "It has been {} for 10 minutes or longer, so it is stuck: look at the platform and ask support, or set retryable yourself if it is "
    "not out."
)


def _label(head: str, platform: str | None, tail: str) -> str:
    """A cause as text: ``RATE_LIMITED twitter: too many requests``."""
    return f"{SPACE.sub(' ', head)[:60]} {SPACE.sub(' ', platform or '-')[:30]}" + (f": {tail}" if tail else "")


def triage(frame: pd.DataFrame, rules: Iterable[Rule] | Mapping[str, Verdict | str] | None = None) -> pd.DataFrame:
    """Say of every target why it failed and what it calls for.

    Parameters
    ----------
    frame : pandas.DataFrame
        From ``vx.targets(posts)``; needs ``platform status error_code error_message post_status``.
    rules : iterable of Rule, mapping or None
        Your own rules, which come before the table: ``{"E_4711": "retry"}``, or `Rule` objects.

    Returns
    -------
    pandas.DataFrame
        A copy that begins with ``verdict`` (string: retry, wait, fix content, fix media, reconnect account, upgrade plan, ask
        support, nothing to do), ``cause`` (string; NA where nothing is wrong) and ``remedy`` (string, one sentence), and ends
        with ``retryable`` (bool). Set ``retryable`` to True by hand where you know better; the plan records that it was you. ``attrs`` also has
        ``rules``: the codes of your own. What was under way and last changed (``updated_at``) 10 minutes or longer before the frame
        was read (``attrs["fetched_at"]``; where a merge has lost that, before the latest change that it shows) is stuck, and for
        support.

    Raises
    ------
    PlanError
        If a column is missing, a rule is unfit, or the frame is ``run.results()``, whose statuses are those before the run.

    Examples
    --------
    >>> vx.triage(vx.targets(posts))["verdict"].value_counts().to_dict()
    {'nothing to do': 101, 'retry': 29, 'reconnect account': 20, 'fix media': 14, 'fix content': 10, 'ask support': 4}
    """
    posts = isinstance(frame, pd.DataFrame) and "targets" in frame.columns
    advice = "expand the posts first: vx.triage(vx.targets(posts))" if posts else "use vx.targets(posts)"
    need_frame(frame, NEEDED, "triage() needs a targets frame", f"To get one, {advice}.")
    refuse_results(frame, "triage()")
    own = analyst_rules(rules)
    _warn_of_slips(own, set(_plain(frame["error_code"])))

    @cache  # a frame has far more rows than kinds of failures
    def judged(row: tuple[str | None, ...], stuck: bool) -> Judgement:
        platform, status, code, message, post_status = row
        return judge(code, platform, message, status, post_status, stuck=stuck, rules=own)

    rows = zip(*(_plain(frame[name]) for name in NEEDED), strict=True)
    judgements = [judged(row, stuck) for row, stuck in zip(rows, _stuck(frame), strict=True)]
    triaged = frame.assign(
        verdict=pd.array([str(one.verdict) for one in judgements], dtype=STRING_DTYPE),
        cause=pd.array([one.cause for one in judgements], dtype=STRING_DTYPE),
        remedy=pd.array([one.remedy for one in judgements], dtype=STRING_DTYPE),
        retryable=pd.array([one.retryable for one in judgements], dtype="bool"),
    )
    triaged = triaged[[*_FIRST, *(name for name in triaged.columns if name not in _FIRST)]]
    triaged.attrs = {**frame.attrs, "rules": sorted({code for rule in own for code in rule.codes})}
    return triaged


def _warn_of_slips(rules: Iterable[Rule], seen: set[str | None]) -> None:
    """Warn of a code of a rule that no row has and that nearly is a known one: the rule would do nothing, in silence."""
    known = {code for rule in RULES for code in rule.codes} | {code for code in seen if code is not None}
    for code in dict.fromkeys(code for rule in rules for code in rule.codes if code not in known):
        if meant := near(code, known):
            warnings.warn(f"rules= names {code}, which no row has; did you mean {safe.plain(meant, 60)}?", stacklevel=3)


def _stuck(frame: pd.DataFrame) -> list[bool]:
    """Which rows had not changed for `STUCK_AFTER` or longer when the frame was read; none where nothing says so.

    A merge forgets when that was: not before the latest change that the frame shows.
    """
    changed = times_of(frame, "updated_at")
    fetched = frame.attrs.get("fetched_at")
    read = changed.max() if fetched is None else pd.Timestamp(fetched)
    return (changed <= read - STUCK_AFTER).tolist()


def _plain(column: pd.Series) -> list[str | None]:
    """Values of a text column, None where there is none."""
    return [value if isinstance(value, str) else None for value in column.array.to_numpy(object)]
