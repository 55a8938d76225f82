"""The vocative of Czech names: `Jana` is addressed as `Jano`, `Petr Novák` as `Petře Nováku`. Pure.

Endings decide (Internetová jazyková příručka, ÚJČ AV ČR: vocative of first names and surnames); `vocative_names`
holds the exceptions. What does not look Czech is left as it is: a wrong ending is worse than none.
"""

import re

from services.messenger.vocative_names import FOREIGN, SAME_FOR_WOMEN, WHOLE

_LETTERS = re.compile(r"[a-pr-vxyzáčďéěíňóřšťúůýž]+")
_FOREIGN_END = re.compile(r"(?:[aeiou]h|th|sh|ph|hn|ck|([bcdfghjklmnpqrstvwxz])\1)$")
_HARD = frozenset("bdfmnptv")
_SOFT = frozenset("šžčřcjďťňszx")
_MAX = 200


def vocative(name: str) -> str:
    """Of one name or of several (`Jana Nováková`, `Anna-Marie`); how letters are written (JANA) is kept."""
    words = re.split(r"([\s-]+)", name[:_MAX]) if len(name) <= _MAX else [name]
    woman = any(len(word) > 2 and word.lower().endswith("á") for word in words)
    return "".join(_word(word, woman) for word in words)


def _word(word: str, woman: bool) -> str:
    lower = word.lower()
    if len(lower) < 2 or len(lower) != len(word) or not _LETTERS.fullmatch(lower):
        return word
    changed = _changed(lower, woman)
    if changed == lower:
        return word
    kept = next(
        (at for at, pair in enumerate(zip(lower, changed, strict=False)) if pair[0] != pair[1]), len(lower)
    )
    kept = min(kept, len(changed))
    ending = changed[kept:]
    return word[:kept] + (ending.upper() if word.isupper() else ending)


def _changed(name: str, woman: bool) -> str:
    if name in WHOLE:
        return WHOLE[name]
    if name in FOREIGN or name in SAME_FOR_WOMEN or name.endswith("ova"):
        return name
    if name.endswith("a"):
        return name[:-1] + "o"
    if woman or name[-1] in "áeéěiíoóuúůyý" or _FOREIGN_END.search(name):
        return name
    return _man(name)


def _man(name: str) -> str:
    for end, instead in (("něk", "ňku"), ("děk", "ďku"), ("těk", "ťku"), ("ek", "ku"), ("ec", "če")):
        if name.endswith(end) and len(name) > len(end) + 1:
            return name[: -len(end)] + instead
    last = name[-1]
    if last in "kgh":
        return name + "u"
    if last in _SOFT or name.endswith("el"):
        return name + "i"
    if last == "r" and name[-2] not in "aáeéěiíoóuúůyý":
        return name[:-1] + "ře"
    return name + "e" if last in _HARD or last in "lr" else name
