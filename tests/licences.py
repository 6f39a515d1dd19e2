"""The licences of what an installation brings along, by the packages' own metadata; a part of ``make audit``.

Prints a table of voxops's requirements, and theirs in turn, and ends with an error where a package names no licence, or one that is
not on the list below: somebody must read it then, and either add it or take the package out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Permissive licences, and the MPL, whose conditions end at its own files.
ACCEPTED = re.compile(
    r"0BSD|Apache( License)?(,? Version)?[ -]?(Software License|2(\.0)?)?|BSD([ -][23]-Clause)?( License)?|CC0-1\.0|HPND|ISC( License)?"
    r"|MIT([ -]0|[ -]CMU)?( License)?|MPL-2\.0|Mozilla Public License 2\.0|PSF-2\.0|Python Software Foundation License"
    r"|Python-2\.0|(The )?Unlicense|Zlib|OFL-1\.1",
    re.IGNORECASE,
)
# What names more than it is under, and was read.
READ = {"docutils": "public domain and BSD; the GPL is that of a file for Emacs, which the wheel lacks"}
_PARTS = re.compile(r"\s+(?:AND|OR)\s+|;\s*", re.IGNORECASE)
_SHORT = re.compile(r"\s+\([\w .]+\)")  # the abbreviation behind a name


def closure(name: str, extras: Iterable[str] = ()) -> list[Distribution]:
    """A package and everything that it requires here, each once, by name; PackageNotFoundError names what is not installed."""
    found: dict[str, Distribution] = {}
    left = [Requirement(f"{name}[{','.join(extras)}]")]
    done = set()
    while left:
        wanted = left.pop()
        if (key := (canonicalize_name(wanted.name), frozenset(wanted.extras))) in done:
            continue
        done.add(key)
        found[key[0]] = package = distribution(wanted.name)
        for requirement in map(Requirement, package.requires or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                left.append(requirement)
    return [found[each] for each in sorted(found)]


def licence_of(package: Distribution) -> str:
    """The licence that a package names: its expression, else its classifiers, else the first line of a text; ``""`` if none."""
    said = package.metadata
    if expression := said.get("License-Expression"):
        return expression
    classified = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or () if line.startswith("License")]
    named = [each for each in classified if each not in {"OSI Approved", "DFSG approved"}]
    return "; ".join(named) or (said.get("License") or "").strip().partition("\n")[0].strip()


def unknown(licence: str) -> bool:
    """Whether somebody must read a licence before it is accepted; of several that are joined, each counts."""
    parts = [part.strip(" ()") for part in _PARTS.split(_SHORT.sub("", licence))]
    return not all(ACCEPTED.fullmatch(part) for part in parts)


def main(extras: Iterable[str]) -> int:
    """Print the table; 1 where a licence must be read."""
    packages = {each.metadata["Name"]: (each.version, licence_of(each)) for each in closure("voxops", extras)}
    for name, (version, licence) in packages.items():
        print(f"{f'{name} {version}':40}  {licence or '?'}")
    read = {"voxops", *READ}
    odd = [name for name, (_, licence) in packages.items() if name not in read and unknown(licence)]
    print(f"\n{len(packages)} packages" + (f"; to be read: {', '.join(odd)}" if odd else ", all licences known"))
    return 1 if odd else 0
