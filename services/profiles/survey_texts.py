"""What stands on a survey's page around its own texts, by language (pure)."""

from collections.abc import Mapping
from typing import NamedTuple


class Texts(NamedTuple):
    """`gone` and `refused`: title and sentence of a page without a survey."""

    next: str
    skip: str
    yes: str
    no: str
    thanks_title: str
    thanks: str
    invalid: str
    gone: tuple[str, str]
    refused: tuple[str, str]


TEXTS: Mapping[str, Texts] = {
    "en": Texts(
        next="Continue",
        skip="Skip",
        yes="Yes",
        no="No",
        thanks_title="Thank you",
        thanks="Your answers have been saved. You can close this page.",
        invalid="Please answer the question in the form it asks for.",
        gone=("This survey is not available", "There is nothing to answer here any more."),
        refused=("This link is not valid", "Please use the link in the latest message you got."),
    ),
    "cs": Texts(
        next="Pokračovat",
        skip="Přeskočit",
        yes="Ano",
        no="Ne",
        thanks_title="Děkujeme",
        thanks="Vaše odpovědi jsme uložili. Stránku můžete zavřít.",
        invalid="Odpovězte prosím tak, jak otázka žádá.",
        gone=("Tento dotazník není dostupný", "Už tu není na co odpovídat."),
        refused=("Tento odkaz neplatí", "Použijte prosím odkaz z poslední zprávy, kterou jste dostali."),
    ),
}
