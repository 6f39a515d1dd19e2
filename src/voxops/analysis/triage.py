"""Triage: the cause, verdict and remedy of each failure, from a table of rules."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import pandas as pd

from voxops._support import safe
from voxops._support.arguments import near
from voxops.api.limits import STUCK_AFTER
from voxops.api.states import platform_spelling
from voxops.errors import PlanError
from voxops.frames.checks import need, refuse_results, times_of
from voxops.frames.records import TRIED_TYPES, targets
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import present_of
from voxops.model import IN_FLIGHT_STATUSES, WAITING_STATUSES, Outcome, Verdict, VerdictName

_LONGEST = 120  # characters of a message in a cause
_READ = 2000  # characters of a message that are read; later ones do not distinguish causes

# Parts of a message that differ between failures; the name of the matching group replaces them. A message is read word by word, so
# that repeated words cost nothing. Every repetition is bounded or over disjoint classes, so that hostile text can't slow the search.
_QUOTED = re.compile(r"""\"[^"\n]{0,400}\"|“[^”\n]{0,400}”|`[^`\n]{0,400}`|(?<!\w)'[^'\n]{0,400}'(?!\w)""")
_VARIABLE = re.compile(
    r"""
      (?P<url>  \b[a-z][a-z0-9+.-]{1,20}://[^"'<>]+ )
    | (?P<mail> \b[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{2,63} )
    | (?P<name> (?<!\w)@\w[\w.-]{0,63}\w )
    | (?P<time> \b\d{4}-\d\d-\d\d(?:t[\d:.]{4,20})?(?:z|utc|[+-]\d\d:?\d\d)?\b | \b\d\d:\d\d:\d\d(?:\.\d+)?z?\b )
    | (?P<id>   \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b
              | \b0x[0-9a-f]+\b
              | \b[a-z]{1,12}_[a-z]*\d\w*\b
              | \b(?=[a-z]{0,40}\d)(?=\d{0,40}[a-z])[a-z0-9]{8,}\b
              | \b(?=[a-z]{0,40}(?:[bcdfghjklmnpqrstvwxz]{5}|[jq][^aeiou\W]))[a-z]{12,}\b )
    | (?P<n>    [+-]?\d[\d.,:/]*\d%? | \d+%? )
    """,
    re.VERBOSE | re.IGNORECASE,
)
SPACE = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]+")


def message_template(message: str | None) -> str:
    """Return a message without its variable parts, in one line of at most 120 characters.

    Neighbours that become the same placeholder become one.

    Addresses, quoted text, @names, times, ids and numbers are replaced by ``<url> <mail> <text> <name> <time> <id> <n>``.
    """
    if message is None:
        return ""
    text, before = message[:_READ], None
    while text != before:  # a placeholder may expose its neighbour, such as a name beside a number
        before, text = text, _with_placeholders(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"


def _with_placeholders(text: str) -> str:
    """Return a text in one line with its visible variable parts replaced."""
    words = [_without_variables(word) for word in SPACE.split(_QUOTED.sub("<text>", text)) if word]
    return " ".join(word for at, word in enumerate(words) if not (at and word[0] == "<" and word == words[at - 1]))


@lru_cache(maxsize=10_000)
def _without_variables(word: str) -> str:
    """Return a word with its variable parts replaced."""
    return _VARIABLE.sub(lambda found: f"<{found.lastgroup}>", word)


_RETRY, _WAIT, _CONTENT, _MEDIA = Verdict.RETRY, Verdict.WAIT, Verdict.FIX_CONTENT, Verdict.FIX_MEDIA
_RECONNECT, _UPGRADE, _SUPPORT, _NOTHING = Verdict.RECONNECT, Verdict.UPGRADE, Verdict.SUPPORT, Verdict.NOTHING


@dataclass(frozen=True, slots=True)
class Rule:
    """Verdict and remedy for one kind of failure.

    Attributes
    ----------
    codes : tuple of str
        Its error codes, in either case; empty for any code or none.
    verdict : Verdict
        What to do, also as text: retry, wait, fix content, fix media, reconnect account, upgrade plan, ask support, nothing to do.
    remedy : str
        What the person who acts should do.
    retryable : bool
        Whether a resend of the same request may succeed, without a second effect.
    platform : str or None
        Only on this platform, in either case; None for all.
    pattern : str or None
        Regular expression to find in the message, in any case. Such a rule is a guess.
    source : str
        Its source: the contract's tag, ``observed``, ``guess`` or ``analyst``.

    Raises
    ------
    PlanError
        If `codes`, `verdict`, `retryable` or `platform` is not of its type, `pattern` is not a regular expression, or a
        rule with `pattern` is retryable.
    """

    codes: tuple[str, ...]
    verdict: Verdict | VerdictName
    remedy: str
    retryable: bool = False
    platform: str | None = None
    pattern: str | None = None
    source: str = "analyst"

    def __post_init__(self) -> None:
        if not isinstance(self.codes, tuple) or not all(isinstance(code, str) for code in self.codes):
            raise PlanError(f"codes={self.codes!r} must be a tuple of error codes; write ('E_4711',), with the comma.")
        if self.platform is not None and not isinstance(self.platform, str):
            raise PlanError(f"platform={self.platform!r} must be the name of one platform, such as 'twitter'.")
        if not isinstance(self.retryable, bool):
            raise PlanError(f"retryable={self.retryable!r} must be True or False; the text 'no' would count as true.")
        # Failures have codes in upper and platforms in lower case: a rule in another case would silently never match.
        object.__setattr__(self, "codes", tuple(code.strip().upper() for code in self.codes))
        object.__setattr__(self, "platform", None if self.platform is None else platform_spelling(self.platform))
        object.__setattr__(self, "verdict", _verdict(self.verdict))
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except (re.error, TypeError) as error:
                raise PlanError(f"pattern={self.pattern!r} is not a regular expression: {error}") from None
        if self.pattern is not None and self.retryable:
            raise PlanError(
                "A rule that matches message text is a guess and can't make anything retryable; match a code."
            )

    def fits(self, code: str | None, platform: str | None, message: str | None) -> bool:
        """Whether it matches this failure."""
        if self.codes and code not in self.codes:
            return False
        if self.platform is not None and platform != self.platform:
            return False
        return self.pattern is None or (
            message is not None and re.search(self.pattern, message, re.IGNORECASE) is not None
        )


def _verdict(value: object) -> Verdict:
    """Read a verdict, also as text."""
    try:
        return Verdict(str(value).strip().lower())
    except ValueError:
        raise PlanError(f"{value!r} is not a verdict; choose one of: {', '.join(Verdict)}.") from None


def _api(codes: str, verdict: Verdict, remedy: str, *, retryable: bool = False, source: str = "ERR") -> Rule:
    """A row of the API's own error table."""
    return Rule(tuple(codes.split()), verdict, remedy, retryable, source=source)


def _seen(codes: str, verdict: Verdict, remedy: str, *, platform: str | None = None) -> Rule:
    """A code that a platform reports and the contract does not list, so it is never retried automatically."""
    return Rule(tuple(codes.split()), verdict, remedy, platform=platform, source="observed")


def _guess(pattern: str, verdict: Verdict, remedy: str) -> Rule:
    """A guess from the words of a message."""
    return Rule((), verdict, f"{remedy} (a guess from the message)", pattern=pattern, source="guess")


# fmt: off
RULES: tuple[Rule, ...] = (
    # --- the API's error table -------------------------------------------------------------------------------------------
    _api("BAD_REQUEST", _CONTENT, "The request was malformed: compare the post with the API's fields and correct it."),
    _api("VALIDATION_ERROR", _CONTENT, "The post breaks a rule of the platform: correct what the message names."),
    _api("IDEMPOTENCY_INVALID_KEY", _SUPPORT, "The API refused the form of an idempotency key: report it to voxops."),
    _api("UNAUTHORIZED", _RECONNECT, "Access was refused: reconnect the account; if all accounts fail, check the API key."),
    _api("LIMIT_EXCEEDED", _UPGRADE, "A quota of the plan is used up: upgrade it, or wait for the next period."),
    _api("AUTHORIZATION_ERROR FORBIDDEN", _RECONNECT, "A permission is missing: reconnect the account and grant all of them."),
    _api("NOT_FOUND", _CONTENT, "The post names something that is not in this workspace: choose another account or media file."),
    _api("CONFLICT", _WAIT, "The post's state did not permit it: load the post again and look at its status."),
    _api("IDEMPOTENCY_CONFLICT", _SUPPORT, "One key was used for two requests: look at the post before anything else is sent."),
    _api("IDEMPOTENCY_IN_PROGRESS", _WAIT, "The same request is still in progress: wait for it, then publish the failed platforms again.", retryable=True),
    _api("RATE_LIMITED", _RETRY, "Too much was sent in a short time: publish the failed platforms again later.", retryable=True),
    _api("INTERNAL_ERROR", _RETRY, "The service failed for a moment: publish the failed platforms again.", retryable=True),
    _api("SERVICE_UNAVAILABLE", _RETRY, "The service was not available: publish the failed platforms again later.", retryable=True),
    _api("INVALID_DATE", _CONTENT, "A time has no offset: write it with Z or +01:00.", source="SCH"),
    _api("CONTENT_TOO_LONG", _CONTENT, "The text is too long for the platform: shorten it.", source="PLAY"),
    _api("CONTENT_TYPE_REQUIRED CONTENT_TYPE_NOT_SUPPORTED", _CONTENT,
         "The platform does not take this type of post: choose another content type.", source="PLAY"),
    _api("MEDIA_REQUIRED", _MEDIA, "The platform needs an image or a video: attach one.", source="PLAY"),
    _api("ACCOUNT_NOT_FOUND", _RECONNECT, "The account is not in this workspace: connect it, or choose another.", source="PLAY"),
    _api("PAGE_SELECTION_NOT_SUPPORTED ACCOUNT_PAGE_MISMATCH", _RECONNECT,
         "The account posts to the wrong page: select its page again.", source="K1-2"),
    _api("DESTINATIONS_NOT_LOADED", _RETRY, "The account's pages were not loaded yet: publish the failed platforms again shortly.",
         retryable=True, source="K1-2"),
    _api("PERSONA_IN_USE", _NOTHING, "Posts use the persona, so it was not deleted; no publication is affected.", source="PER"),
    # --- what platforms report -------------------------------------------------------------------------------------------
    _seen("TOKEN_EXPIRED TOKEN_REVOKED TOKEN_INVALID INVALID_TOKEN", _RECONNECT,
          "The platform no longer accepts the account's login: reconnect the account, then retry."),
    _seen("ACCOUNT_DISCONNECTED ACCOUNT_EXPIRED ACCOUNT_REVOKED ACCOUNT_INACTIVE ACCOUNT_NOT_ACTIVE", _RECONNECT,
          "The account is not connected: reconnect it, then retry."),
    _seen("ACCOUNT_SUSPENDED", _SUPPORT, "The platform suspended the account: its owner has to settle that there."),
    _seen("MEDIA_ASPECT_RATIO", _MEDIA, "The image has the wrong shape: crop it to between 4:5 and 1.91:1.", platform="instagram"),
    _seen("MEDIA_ASPECT_RATIO", _MEDIA, "The image or video has the wrong shape for the platform: crop it."),
    _seen("MEDIA_TOO_LARGE", _MEDIA, "The file is too large for the platform: compress it or make it smaller."),
    _seen("MEDIA_FORMAT_NOT_SUPPORTED MEDIA_TYPE_NOT_SUPPORTED", _MEDIA, "The platform does not take this kind of file: convert it."),
    _seen("MEDIA_INVALID MEDIA_NOT_READY MEDIA_NOT_FOUND MEDIA_PROCESSING_FAILED", _MEDIA,
          "The file could not be used: upload it again and wait until it is ready."),
    _seen("METADATA_LIMIT", _CONTENT, "The post's metadata are too large: keys have 100 characters, texts 1,000, lists 100 items."),
    _seen("DUPLICATE_CONTENT", _CONTENT, "The platform has this post already: change the text, or leave it."),
    _seen("SKIPPED", _SUPPORT,
          "The API skipped it, usually because it has no retries left: correct the post and send it again, or ask support."),
    _seen("TIMEOUT GATEWAY_TIMEOUT NETWORK_ERROR", _SUPPORT,
          "It is unknown whether it was published: check the platform first, and retry only what is missing there."),
    # --- guesses ---------------------------------------------------------------------------------------------------------
    _guess(r"rate.?limit|too many requests", _RETRY, "It looks like a rate limit: publish the failed platforms again later"),
    _guess(r"time[ds]?.?out", _SUPPORT, "It looks like a time-out: see whether the post is out before you retry"),
    _guess(r"token|log ?in|re-?connect|not connected|unauthori[sz]ed|re-?authenticate", _RECONNECT, "Reconnect the account"),
    _guess(r"permission|scope|not allowed|forbidden", _RECONNECT, "A permission seems to be missing: reconnect the account"),
    _guess(r"too long|characters|shorten", _CONTENT, "Shorten the text"),
    _guess(r"duplicate|already (been )?posted", _CONTENT, "The platform seems to have it already: change the text, or leave it"),
    _guess(r"policy|guidelines|community standards|spam|refused the post|prohibited", _CONTENT,
           "The platform objects to the content: change it"),
    _guess(r"aspect ratio|resolution|image|video|media|\bfile\b|thumbnail", _MEDIA, "Look at the image or video"),
    _guess(r"quota|upgrade|billing|your plan", _UPGRADE, "A quota seems to be used up"),
    _guess(r"\b50[0234]\b|temporar|unavailable|try again|later", _RETRY, "It looks like a temporary failure: publish the failed platforms again"),
    # --- codes that say nothing ------------------------------------------------------------------------------------------
    Rule(("PUBLISH_ERROR", "PLATFORM_ERROR", "UNKNOWN_ERROR", "API_ERROR"), _SUPPORT,
         "The code says only that publishing failed: read the message, and retry it if the failure was temporary.", source="WH-3"),
)
# fmt: on

UNKNOWN = Rule(
    (), _SUPPORT, "This failure is unknown: read the message, and retry it if the failure was temporary.", source="none"
)


def find_rule(code: str | None, platform: str | None, message: str | None, rules: Iterable[Rule] = ()) -> Rule:
    """Return the first matching rule; `rules` come before the table, `UNKNOWN` after it."""
    return next((rule for rule in chain(rules, RULES) if rule.fits(code, platform, message)), UNKNOWN)


def analyst_rules(rules: Sequence[Rule] | Mapping[str, Verdict | VerdictName] | None) -> tuple[Rule, ...]:
    """Read the analyst's ``rules=``.

    Parameters
    ----------
    rules : sequence of Rule, mapping or None
        A mapping is short for rules of one code each, ``{"E_4711": "retry"}``: ``retry`` and ``wait`` make the code retryable.

    Raises
    ------
    PlanError
        If a verdict is not a `Verdict`, or an entry is not a Rule.
    """
    if rules is None:
        return ()
    if isinstance(rules, Mapping):
        return tuple(_short_rule(code, verdict) for code, verdict in rules.items())
    own = tuple(rules) if isinstance(rules, Iterable) else (rules,)
    if odd := [rule for rule in own if not isinstance(rule, Rule)]:
        raise PlanError(f"rules= takes Rule objects or a mapping of code to verdict, not {type(odd[0]).__name__}.")
    return own


def _short_rule(code: str, verdict: Verdict | VerdictName) -> Rule:
    """Return the analyst's rule for one code."""
    if not isinstance(code, str):
        raise PlanError(f"rules= names error codes as text, such as {{'E_4711': 'retry'}}, not {code!r}.")
    known = _verdict(verdict)
    does = "publish the failed platforms again" if known == Verdict.RETRY else known
    return Rule((code,), known, f"Your own rule: {does}.", retryable=known in {Verdict.RETRY, Verdict.WAIT})


NEEDED = ("platform", "status", "error_code", "error_message", "post_status")

_FIRST = ("verdict", "cause", "remedy")  # columns for readers come before keys for joins
_WITHDRAWN = frozenset({"cancelled", "unpublished", "archived", "deleted"})


@dataclass(frozen=True, slots=True)
class Judgement:
    """Cause, verdict and remedy of one target.

    Attributes
    ----------
    cause : str or None
        Fingerprint of the failure, or of the state that it waits in; None without a problem.
    verdict : Verdict
        What to do.
    remedy : str
        What the person who acts should do.
    retryable : bool
        Whether a resend can succeed, without a second effect.
    """

    cause: str | None
    verdict: Verdict
    remedy: str
    retryable: bool = False


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
    """Judge one target.

    Parameters
    ----------
    code, platform, message : str or None
        The error's code in upper case, the platform in lower case, the message.
    status, post_status : str or None
        The statuses of the target and its post, in lower case; a target without a status has its post's.
    stuck : bool
        Whether it has been in flight for `STUCK_AFTER` or longer.
    rules : iterable of Rule
        The analyst's own, which come before the table.

    Returns
    -------
    Judgement
        By status first: the rules apply only to failures.
    """
    state = status or post_status
    if state == "published":
        return Judgement(None, Verdict.NOTHING, "Published.")
    if state in _WITHDRAWN or post_status in _WITHDRAWN:
        return Judgement(None, Verdict.NOTHING, f"The post is {post_status if post_status in _WITHDRAWN else state}.")
    if state in IN_FLIGHT_STATUSES and post_status not in WAITING_STATUSES:
        if stuck:
            return Judgement(_label(f"stuck {state}", platform, ""), Verdict.SUPPORT, _STUCK.format(state))
        remedy = f"It is {state}: let it finish; after 10 minutes look at the dashboard, it may be stuck."
        return Judgement(_label(f"still {state}", platform, ""), Verdict.WAIT, remedy)
    if state in IN_FLIGHT_STATUSES | WAITING_STATUSES:
        return Judgement(None, Verdict.WAIT, f"The post is {post_status or state}: it waits for its time or a person.")
    if state not in {"failed", "partial"}:
        remedy = (
            f"voxops does not know the status {state!r}: look at the post."
            if state
            else "It has no status: look at the post."
        )
        return Judgement(_label(f"status {state}", platform, ""), Verdict.SUPPORT, remedy)
    rule = find_rule(code, platform, message, rules)
    cause = _label(code or "NO_CODE", platform, message_template(message))
    return Judgement(cause, Verdict(rule.verdict), rule.remedy, rule.retryable)


_STUCK = (
    "It has been {} for 10 minutes or longer, so it is stuck: look at the platform and ask support, or retry it if it is "
    "not out."
)


def _label(head: str, platform: str | None, tail: str) -> str:
    """Return a cause as text: ``RATE_LIMITED twitter: too many requests``."""
    return f"{SPACE.sub(' ', head)[:60]} {SPACE.sub(' ', platform or '-')[:30]}" + (f": {tail}" if tail else "")


def triage(
    frame: pd.DataFrame, rules: Sequence[Rule] | Mapping[str, Verdict | VerdictName] | None = None
) -> pd.DataFrame:
    """Return every target with its cause, verdict and remedy: why it failed and what to do.

    Parameters
    ----------
    frame : pandas.DataFrame
        From ``ws.posts``, which is expanded by `targets` first; or from ``vx.targets``, with ``platform status error_code
        error_message post_status``.
    rules : sequence of Rule, mapping or None
        Your own rules, which come before the table: ``{"E_4711": "retry"}``, or `Rule` objects.

    Returns
    -------
    pandas.DataFrame
        One row per target. It begins with ``verdict`` (string: retry, wait, fix content, fix media, reconnect account, upgrade plan, ask
        support, nothing to do), ``cause`` (string; NA without a problem) and ``remedy`` (string), and ends with ``retryable`` (bool). Set
        ``retryable`` to True if you know better; the plan records that. ``attrs`` also has ``rules``: the codes of your own rules. A target
        in flight that last changed (``updated_at``) 10 minutes or longer before the load is stuck: ask support. The frame may have what the
        ledger knows (``last_outcome last_code last_tried_at tried``, see `targets`). Then a target that the API has skipped since is *ask
        support*, and the remedy of a target that failed again states its number of tries. The time of the load is ``attrs["fetched_at"]``, or
        the latest change if a merge has lost it.

    Raises
    ------
    PlanError
        If a column is missing, a rule is unfit, or the frame is ``run.results()``, whose statuses are from before the run.

    Examples
    --------
    >>> vx.triage(posts)["verdict"].value_counts().to_dict()
    {'nothing to do': 101, 'retry': 29, 'reconnect account': 20, 'fix media': 14, 'fix content': 10, 'ask support': 4}
    """
    if isinstance(frame, pd.DataFrame):
        refuse_results(frame, "triage()")
        if "targets" in frame.columns and not set(NEEDED) <= set(frame.columns):
            frame = targets(frame)
    need(frame, NEEDED, "triage() needs posts or targets", "Use ws.posts(...) or vx.targets(posts).")
    own = analyst_rules(rules)
    _warn_of_typos(own, set(_plain(frame["error_code"])))

    @cache  # frames have far more rows than kinds of failures
    def judged(row: tuple[str | None, ...], stuck: bool) -> Judgement:
        platform, status, code, message, post_status = row
        return judge(code, platform, message, status, post_status, stuck=stuck, rules=own)

    rows = zip(*(_plain(frame[name]) for name in NEEDED), strict=True)
    judgements = [judged(row, stuck) for row, stuck in zip(rows, _stuck(frame), strict=True)]
    if set(TRIED_TYPES) <= set(frame.columns):
        tried = zip(judgements, *(frame[name] for name in TRIED_TYPES), strict=True)
        judgements = [_after_tries(*row) for row in tried]
    triaged = frame.assign(
        verdict=pd.array([str(one.verdict) for one in judgements], dtype=STRING_DTYPE),
        cause=pd.array([one.cause for one in judgements], dtype=STRING_DTYPE),
        remedy=pd.array([one.remedy for one in judgements], dtype=STRING_DTYPE),
        retryable=pd.array([one.retryable for one in judgements], dtype="bool"),
    )
    triaged = triaged[[*_FIRST, *(name for name in triaged.columns if name not in _FIRST)]]
    triaged.attrs = {**frame.attrs, "rules": sorted({code for rule in own for code in rule.codes})}
    return triaged


_SKIPPED = "SKIPPED"  # the API's word that it will not try a target again


def _after_tries(judgement: Judgement, outcome: Any, code: Any, at: Any, count: Any) -> Judgement:
    """Judge a target that this ledger has tried again. If the API skipped it, a further retry would be skipped, too.

    Whether it has changed since can't be told: ``updated_at`` is the post's, which other targets move, too.
    """
    if not judgement.retryable or pd.isna(outcome) or outcome != Outcome.FAILED:
        return judgement
    if code == _SKIPPED:
        rule = find_rule(_SKIPPED, None, None)
        return replace(judgement, verdict=Verdict(rule.verdict), remedy=rule.remedy, retryable=False)
    said = f"{judgement.remedy} Retried {'once' if count == 1 else f'{count} times'}, last on {safe.instant(at)}, and failed."
    return replace(judgement, remedy=said)


def _warn_of_typos(rules: Iterable[Rule], seen: set[str | None]) -> None:
    """Warn of a rule's code that no row has and that is likely a typo: the rule would silently do nothing."""
    known = {code for rule in RULES for code in rule.codes} | {code for code in seen if code is not None}
    for code in dict.fromkeys(code for rule in rules for code in rule.codes if code not in known):
        if meant := near(code, known):
            warnings.warn(f"rules= names {code}, which no row has; did you mean {safe.plain(meant, 60)}?", stacklevel=3)


def _stuck(frame: pd.DataFrame) -> list[bool]:
    """Return which rows had not changed for `STUCK_AFTER` or longer at the time of the load; none without evidence.

    After a merge, which loses that time, the latest change in the frame replaces it.
    """
    changed = times_of(frame, "updated_at")
    return (changed <= present_of(frame, None, pd.Series(changed)) - STUCK_AFTER).tolist()


def _plain(column: pd.Series) -> list[str | None]:
    """Return the values of a text column, None for missing ones."""
    return [value if isinstance(value, str) else None for value in column.array.to_numpy(object)]
