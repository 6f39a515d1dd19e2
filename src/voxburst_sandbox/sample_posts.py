"""What a small coffee brand posts: texts, tags and owners of the seeded campaign."""

from __future__ import annotations

from random import Random

__all__ = ["CAMPAIGNS", "OWNERS", "long_text", "post_text", "tags"]

OWNERS = ("maria.k", "jonas.w", "aisha.r", "tom.b")
CAMPAIGNS = ("spring-2026", "barista-week", "origin-stories", "always-on", "berlin-opening")
_PRODUCTS = (
    "Sidama Washed", "Huila Honey", "House Espresso No. 4", "Decaf Cauca", "Yirgacheffe Natural", "the oat flat white",
    "Cold Brew Concentrate", "the travel press", "Kenya Peaberry", "Brew Kit Two", "Sumatra Ketambe", "the pistachio cruffin",
)  # fmt: skip
_OPENERS = (
    "New on the bar: {product}.",
    "We cupped {product} three times this week, and it kept getting better.",
    "Slow mornings call for {product} ☕",
    "Ask us anything about {product}: our roaster answers until noon.",
    "Back by popular demand: {product}!",
    "{product} is {percent} % off until {day}.",
    "Behind the scenes: how {product} gets from the farm to your cup.",
    "Wir rösten heute {product} – frisch ab {hour} Uhr.",
    "{count} bags of {product} left. When they are gone, they are gone.",
    "Our barista {barista} pours {product} like nobody else.",
    "Sunday reading: why {product} tastes of {note}.",
    "You voted, we listened: {product} stays on the menu 🎉",
)
_CLOSERS = (
    "Come by before {hour}.", "Link in bio.", "Order by {day}, drink it fresh on Saturday.", "Tell us how you brew it.",
    "Tasting notes: {note}, {other}, a long finish.", "Free shipping over 35 €.", "Tag someone who owes you a coffee.",
    "Bis gleich in der Kastanienallee!", "Full story on the blog: https://alder.example/s/{code}", "",
)  # fmt: skip
_NOTES = ("bergamot", "stone fruit", "cocoa nibs", "jasmine", "brown sugar", "red apple", "toasted almond", "plum")
_DAYS = ("Thursday", "Friday", "Sunday", "the end of the month")
_BARISTAS = ("Inés", "Malik", "Søren", "Yuki", "Zoë")
_TAGS = ("#coffee", "#specialtycoffee", "#slowmornings", "#berlincoffee", "#singleorigin", "#latteart", "#aldercoffee")
_LABELS = ("product", "event", "education", "offer", "community", "ugc", "launch")
_FILLER = (
    " We taste every batch blind, write down what we find, and only then look at the label.",
    " The farm has worked with us since 2019; this lot comes from the two highest plots, picked in the last week of the harvest.",
    " If you brew it at home, start with 16 g to 250 g of water at 93 degrees and go a little finer than you would think.",
)


def post_text(rng: Random) -> str:
    """Return a post that fits every platform."""
    values = {
        "product": rng.choice(_PRODUCTS),
        "percent": rng.choice((10, 15, 20, 25)),
        "day": rng.choice(_DAYS),
        "hour": rng.randint(8, 18),
        "count": rng.randint(9, 180),
        "barista": rng.choice(_BARISTAS),
        "note": rng.choice(_NOTES),
        "other": rng.choice(_NOTES),
        "code": f"{rng.randrange(16**5):05x}",
    }
    text = rng.choice(_OPENERS).format(**values)
    closer = rng.choice(_CLOSERS).format(**values)
    marks = " ".join(rng.sample(_TAGS, rng.randint(0, 3)))
    return "\n".join(part for part in (f"{text} {closer}".strip(), marks) if part)


def long_text(rng: Random, text: str, more_than: int) -> str:
    """Return the same post, written too long for a platform."""
    while len(text) <= more_than:
        text += rng.choice(_FILLER)
    return text


def tags(rng: Random) -> list[str]:
    """One to three labels."""
    return sorted(rng.sample(_LABELS, rng.randint(1, 3)))
