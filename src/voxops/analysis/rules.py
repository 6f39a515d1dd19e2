"""The rules of triage, as a table: what a failure calls for, by its code.

The first part is the API's own error table, row by row (contract: ERR, PLAY, SCH, K1-2); the second is what social platforms
report through it, which the contract does not list; the third guesses from the words of a message and therefore never makes
anything retryable; the last catches the codes that say nothing. The first rule that fits decides.

"Retryable" means that sending the same thing again can succeed *and* can't publish twice. A time-out while publishing is not:
the post may be out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from voxops.api.names import platform_spelling
from voxops.errors import PlanError
from voxops.model import Verdict

__all__ = ["RULES", "UNKNOWN", "Rule", "analyst_rules", "find_rule"]

_RETRY, _WAIT, _CONTENT, _MEDIA = Verdict.RETRY, Verdict.WAIT, Verdict.FIX_CONTENT, Verdict.FIX_MEDIA
_RECONNECT, _UPGRADE, _SUPPORT, _NOTHING = Verdict.RECONNECT, Verdict.UPGRADE, Verdict.SUPPORT, Verdict.NOTHING


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of failure calls for.

    Attributes
    ----------
    codes : tuple of str
        Error codes it is for, in either case; empty for any, also for none.
    verdict : Verdict
        What to do; its text, such as ``"retry"``, will do.
    remedy : str
        One sentence for the person who does it.
    retryable : bool
        Whether the same request may succeed when it is sent again, without a second effect.
    platform : str or None
        Only on this platform, in either case; None for all.
    http : int or None
        Status under which the contract lists the code; None where it lists none.
    pattern : str or None
        Regular expression to be found in the message, in any casing. Such a rule is a guess.
    source : str
        Where it comes from: the contract's tag, ``observed``, ``guess`` or ``analyst``.

    Raises
    ------
    PlanError
        If a rule that looks at the message calls something retryable, `codes` is not a tuple of texts, `verdict` none of `Verdict`,
        `retryable` neither True nor False, `platform` no text, or `pattern` not a regular expression.
    """

    codes: tuple[str, ...]
    verdict: Verdict
    remedy: str
    retryable: bool = False
    platform: str | None = None
    http: int | None = None
    pattern: str | None = None
    source: str = "analyst"

    def __post_init__(self) -> None:
        if not isinstance(self.codes, tuple) or not all(isinstance(code, str) for code in self.codes):
            raise PlanError(f"codes={self.codes!r} must be a tuple of error codes; write ('E_4711',), with the comma.")
        if self.platform is not None and not isinstance(self.platform, str):
            raise PlanError(f"platform={self.platform!r} must be the name of one platform, such as 'twitter'.")
        if not isinstance(self.retryable, bool):
            raise PlanError(f"retryable={self.retryable!r} must be True or False; the text 'no' would count as true.")
        # Failures have codes in upper and platforms in lower case: a rule that is spelt otherwise would never fit, in silence.
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

    @property
    def guess(self) -> bool:
        """Whether it goes by the words of a message."""
        return self.pattern is not None

    def fits(self, code: str | None, platform: str | None, message: str | None) -> bool:
        """Whether it is for this failure."""
        if self.codes and code not in self.codes:
            return False
        if self.platform is not None and platform != self.platform:
            return False
        return self.pattern is None or (
            message is not None and re.search(self.pattern, message, re.IGNORECASE) is not None
        )


def _verdict(value: object) -> Verdict:
    """A verdict, also as text."""
    try:
        return Verdict(str(value).strip().lower())
    except ValueError:
        raise PlanError(f"{value!r} is not a verdict; choose one of: {', '.join(Verdict)}.") from None


def _api(http: int, codes: str, verdict: Verdict, remedy: str, *, retryable: bool = False, source: str = "ERR") -> Rule:
    """A row of the API's own error table."""
    return Rule(tuple(codes.split()), verdict, remedy, retryable, http=http, source=source)


def _seen(codes: str, verdict: Verdict, remedy: str, *, platform: str | None = None) -> Rule:
    """What a platform reports; the contract says nothing of it, so it is never retried by itself."""
    return Rule(tuple(codes.split()), verdict, remedy, platform=platform, source="observed")


def _guess(pattern: str, verdict: Verdict, remedy: str) -> Rule:
    """A conclusion from the words of a message."""
    return Rule((), verdict, f"{remedy} (a guess from the message)", pattern=pattern, source="guess")


# fmt: off
RULES: tuple[Rule, ...] = (
    # --- the API's error table -------------------------------------------------------------------------------------------
    _api(400, "BAD_REQUEST", _CONTENT, "The request was malformed: compare the post with the API's fields and correct it."),
    _api(400, "VALIDATION_ERROR", _CONTENT, "The post breaks a rule of the platform: correct what the message names."),
    _api(400, "IDEMPOTENCY_INVALID_KEY", _SUPPORT, "The API refused the form of an idempotency key: report it to voxops."),
    _api(401, "UNAUTHORIZED", _RECONNECT, "Access was refused: reconnect the account; if all accounts fail, check the API key."),
    _api(402, "LIMIT_EXCEEDED", _UPGRADE, "A quota of the plan is used up: upgrade it, or wait for the next period."),
    _api(403, "AUTHORIZATION_ERROR FORBIDDEN", _RECONNECT, "A permission is missing: reconnect the account and grant all of them."),
    _api(404, "NOT_FOUND", _CONTENT, "The post names something that is not in this workspace: choose another account or media file."),
    _api(409, "CONFLICT", _WAIT, "The post's state did not permit it: load the post again and look at its status."),
    _api(409, "IDEMPOTENCY_CONFLICT", _SUPPORT, "One key was used for two requests: look at the post before anything else is sent."),
    _api(409, "IDEMPOTENCY_IN_PROGRESS", _WAIT, "The same request is still under way: wait for it.", retryable=True),
    _api(429, "RATE_LIMITED", _RETRY, "Too much was sent in a short time: send it again later.", retryable=True),
    _api(500, "INTERNAL_ERROR", _RETRY, "The service failed for a moment: send it again.", retryable=True),
    _api(503, "SERVICE_UNAVAILABLE", _RETRY, "The service was not available: send it again later.", retryable=True),
    _api(400, "INVALID_DATE", _CONTENT, "A time has no offset: write it with Z or +01:00.", source="SCH"),
    _api(400, "CONTENT_TOO_LONG", _CONTENT, "The text is too long for the platform: shorten it.", source="PLAY"),
    _api(400, "CONTENT_TYPE_REQUIRED CONTENT_TYPE_NOT_SUPPORTED", _CONTENT,
         "The platform does not take this type of post: choose another content type.", source="PLAY"),
    _api(400, "MEDIA_REQUIRED", _MEDIA, "The platform needs an image or a video: attach one.", source="PLAY"),
    _api(400, "ACCOUNT_NOT_FOUND", _RECONNECT, "The account is not in this workspace: connect it, or choose another.", source="PLAY"),
    _api(400, "PAGE_SELECTION_NOT_SUPPORTED ACCOUNT_PAGE_MISMATCH", _RECONNECT,
         "The account posts to the wrong page: select its page again.", source="K1-2"),
    _api(400, "DESTINATIONS_NOT_LOADED", _RETRY, "The account's pages were not loaded yet: send it again shortly.",
         retryable=True, source="K1-2"),
    _api(409, "PERSONA_IN_USE", _NOTHING, "The persona is used by posts and stays; this concerns no publication.", source="PER"),
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
          "The API left it out and will not try it again, mostly since its retries are used up: load the post again, correct what "
          "failed and send it with vx.plan_fix, or ask support."),
    _seen("TIMEOUT GATEWAY_TIMEOUT NETWORK_ERROR", _SUPPORT,
          "Nobody knows whether it was published: look at the platform first, and retry only what is missing there."),
    # --- guesses ---------------------------------------------------------------------------------------------------------
    _guess(r"rate.?limit|too many requests", _RETRY, "It looks like a rate limit: retry later"),
    _guess(r"time[ds]?.?out", _SUPPORT, "It looks like a time-out: see whether the post is out before you retry"),
    _guess(r"token|log ?in|re-?connect|not connected|unauthori[sz]ed|re-?authenticate", _RECONNECT, "Reconnect the account"),
    _guess(r"permission|scope|not allowed|forbidden", _RECONNECT, "A permission seems to be missing: reconnect the account"),
    _guess(r"too long|characters|shorten", _CONTENT, "Shorten the text"),
    _guess(r"duplicate|already (been )?posted", _CONTENT, "The platform seems to have it already: change the text, or leave it"),
    _guess(r"policy|guidelines|community standards|spam|refused the post|prohibited", _CONTENT,
           "The platform objects to the content: change it"),
    _guess(r"aspect ratio|resolution|image|video|media|\bfile\b|thumbnail", _MEDIA, "Look at the image or video"),
    _guess(r"quota|upgrade|billing|your plan", _UPGRADE, "A quota seems to be used up"),
    _guess(r"\b50[0234]\b|temporar|unavailable|try again|later", _RETRY, "It looks like a passing failure: retry it"),
    # --- codes that say nothing ------------------------------------------------------------------------------------------
    Rule(("PUBLISH_ERROR", "PLATFORM_ERROR", "UNKNOWN_ERROR", "API_ERROR"), _SUPPORT,
         "The code says only that publishing failed: read the message, and set retryable yourself if it was passing.", source="WH-3"),
)
# fmt: on

UNKNOWN = Rule(
    (),
    _SUPPORT,
    "voxops does not know this failure: read the message, and set retryable yourself if it was passing.",
    source="none",
)


def find_rule(code: str | None, platform: str | None, message: str | None, rules: Iterable[Rule] = ()) -> Rule:
    """Return the first rule that fits; `rules` come before the table, `UNKNOWN` after it."""
    for table in (rules, RULES):
        for rule in table:
            if rule.fits(code, platform, message):
                return rule
    return UNKNOWN


def analyst_rules(rules: Iterable[Rule] | Mapping[str, Verdict | str] | None) -> tuple[Rule, ...]:
    """Read what an analyst gives as ``rules=``.

    Parameters
    ----------
    rules : iterable of Rule, mapping or None
        A mapping is short for rules of one code each, ``{"E_4711": "retry"}``: ``retry`` and ``wait`` make the code retryable.

    Raises
    ------
    PlanError
        If a verdict is not one of `Verdict`, or something else than a Rule stands among the rules.
    """
    if rules is None:
        return ()
    if isinstance(rules, Mapping):
        return tuple(_short_rule(code, verdict) for code, verdict in rules.items())
    if not isinstance(rules, Iterable):
        raise PlanError(f"rules= takes Rule objects or a mapping of code to verdict, not {type(rules).__name__}.")
    made = tuple(rules)
    odd = [rule for rule in made if not isinstance(rule, Rule)]
    if odd:
        raise PlanError(f"rules= takes Rule objects or a mapping of code to verdict, not {type(odd[0]).__name__}.")
    return made


def _short_rule(code: str, verdict: Verdict | str) -> Rule:
    """A rule of one code, in the analyst's name."""
    if not isinstance(code, str):
        raise PlanError(f"rules= names error codes as text, such as {{'E_4711': 'retry'}}, not {code!r}.")
    known = _verdict(verdict)
    return Rule((code,), known, f"Your own rule: {known}.", retryable=known in {Verdict.RETRY, Verdict.WAIT})
