"""Words with which customers stop messages, start them again, or ask for help. Pure."""

import re
import unicodedata
from typing import Literal

from headrace.contracts.policy import Keywords

Word = Literal["stop", "start", "help"]
# STOP and its kin as carriers and Twilio know them, then Czech, Slovak, Polish, Hungarian and German ones.
_STOP = frozenset(
    {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out"}
    | {"odhlasit", "odhlas", "konec", "ukoncit", "zrusit", "odhlasit sa", "koniec", "rezygnuje", "wypisz", "koncz"}
    | {"leiratkozas", "leiratkozom", "abmelden", "abbestellen", "stopp"}
)
_START = frozenset(
    {"start", "yes", "unstop", "prihlasit", "ano", "zapisz", "tak", "feliratkozas", "anmelden", "ja"}
)
_HELP = frozenset({"help", "info", "pomoc", "napoveda", "segitseg", "hilfe"})
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


def keyword(text: str, own: Keywords) -> Word | None:
    """What a text asks for when it is that word and nothing else: without regard to case, accents, and what stands
    around it. `own`: the shop's further words."""
    said = _plain(text)
    if not said or len(said) > 40:
        return None
    lists: tuple[tuple[Word, frozenset[str], tuple[str, ...]], ...] = (
        ("stop", _STOP, own.stop),
        ("start", _START, own.start),
        ("help", _HELP, own.help),
    )
    for word, known, further in lists:
        if said in known or said in {_plain(one) for one in further}:
            return word
    return None


def _plain(text: str) -> str:
    split = unicodedata.normalize("NFD", text.strip()[:200].casefold())
    bare = "".join(letter for letter in split if not unicodedata.combining(letter)).replace("ł", "l")
    return re.sub(r"\s+", " ", _AROUND.sub("", bare))
