"""Find the known word that a user probably meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

_CUTOFF = 0.65
"""The least similarity of a suggestion."""
_MIN_LENGTH = 3
"""The length from which a common part of two words counts."""
_NO = "--no-"


def find_similar(typed: str, known: Sequence[str]) -> str:
    """Return the command, long option or name that is most similar to `typed`, or ''.

    Prefer those with the same beginning or with one of its words. Among equals, the first counts.
    """
    if not typed.startswith(_NO):
        known = [each for each in known if not each.startswith(_NO)]
    name = typed.lstrip("-")
    related = [each for each in known if _is_related(name, each.lstrip("-"))]
    matcher = SequenceMatcher(b=name)
    best, best_ratio = "", 0.0 if related else _CUTOFF
    for each in related or known:
        matcher.set_seq1(each.lstrip("-"))
        ratio = matcher.ratio()
        if ratio > best_ratio:
            best, best_ratio = each, ratio
    return best


def _is_related(typed: str, known: str) -> bool:
    """Return True if one word begins with the other, or if both have a word in common."""
    words = [word for word in typed.split("-") if len(word) >= _MIN_LENGTH]
    return _begins_with(typed, known) or any(
        known_word.startswith(word) for word in words for known_word in known.split("-")
    )


def _begins_with(typed: str, known: str) -> bool:
    is_long = min(len(typed), len(known)) >= _MIN_LENGTH
    return is_long and (known.startswith(typed) or typed.startswith(known))
