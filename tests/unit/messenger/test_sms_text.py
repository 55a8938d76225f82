"""SMS: which alphabet, how many parts, and what is left of letters that the cheaper alphabet lacks."""

from decimal import Decimal

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.policy import SmsPolicy
from services.messenger.sms_text import (
    GSM_7,
    GSM_7_EXTENSION,
    Parts,
    cheapest,
    count,
    country_of,
    is_gsm_7,
    sms_cost,
    transliterate,
)

GSM = st.text(st.sampled_from(sorted(GSM_7 | GSM_7_EXTENSION)))


@pytest.mark.parametrize(
    ("text", "encoding", "characters", "parts"),
    [
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("ř" * 70, "UCS-2", 70, 1),
        ("ř" * 71, "UCS-2", 71, 2),
        ("a" * 152 + "€", "GSM-7", 154, 1),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
        ("a" * 153 + "€" + "a" * 151, "GSM-7", 306, 2),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("ř" * 66 + "😀" + "ř" * 66, "UCS-2", 134, 3),
        ("", "GSM-7", 0, 0),
    ],
)
def test_parts_as_other_counters_count_them(text: str, encoding: str, characters: int, parts: int) -> None:
    assert count(text) == Parts(encoding, characters, parts)  # type: ignore[arg-type]


@given(st.text())
def test_parts_hold_what_is_in_them(text: str) -> None:
    found = count(text)
    one, several = (160, 153) if found.encoding == "GSM-7" else (70, 67)
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if found.encoding == "UCS-2":
        assert found.characters == units
    else:
        assert found.characters == len(text) + sum(letter in GSM_7_EXTENSION for letter in text)
    if found.characters <= one:
        assert found.parts == (1 if text else 0)
    else:
        # each part but the last may have one place left that a pair did not fit in
        least, most = -(-found.characters // several), -(-found.characters // (several - 1))
        assert least <= found.parts <= most


@given(st.text(), st.text())
def test_more_text_is_never_fewer_parts(text: str, more: str) -> None:
    assert count(text + more).parts >= count(text).parts


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Příliš žluťoučký kůň úpěl ďábelské ódy", "Prilis zlutoucky kun upel dabelské ody"),
        ("Vďaka, Ľubomír, kĺb, vŕba, dážď", "Vdaka, Lubomir, klb, vrba, dazd"),
        ("Zażółć gęślą jaźń, ŁÓDŹ", "Zazolc gesla jazn, LODZ"),
        ("árvíztűrő tükörfúrógép", "arviztürö tükörfurogép"),
        ("Grüße aus Köln für Änne, STRAẞE", "Grüße aus Köln für Änne, STRASSE"),
        ("„Ahoj“ – ‚sleva‘… 1\u00a0234\u202fKč", "\"Ahoj\" - 'sleva'... 1 234 Kc"),
        ("e\u0301 s\u030c", "é s"),
        ("Ahoj 😀 Привет", "Ahoj 😀 Привет"),
    ],
)
def test_transliteration(text: str, plain: str) -> None:
    assert transliterate(text) == plain


@given(GSM)
def test_what_fits_stays(text: str) -> None:
    assert transliterate(text) == text
    assert count(text).encoding == "GSM-7"


@given(st.text())
def test_transliterating_twice_changes_nothing(text: str) -> None:
    assert transliterate(transliterate(text)) == transliterate(text)


@given(st.text(st.sampled_from("áčďéěíňóřšťúůýžľĺŕäôąćęłńóśźżőűöüßÁČĎÉĚÍŇÓŘŠŤÚŮÝŽĽĹŔÄÔĄĆĘŁŃÓŚŹŻŐŰÖÜ„“”–—… ")))
def test_czech_slovak_polish_hungarian_and_german_fit_into_gsm_7(text: str) -> None:
    assert is_gsm_7(transliterate(text))


@given(st.text())
def test_the_cheapest_text_is_never_dearer(text: str) -> None:
    assert count(cheapest(text)).parts <= max(count(text).parts, count(transliterate(text)).parts)


def test_letters_are_not_worn_down_for_nothing() -> None:
    assert cheapest("Řekni 😀") == "Řekni 😀"
    assert cheapest("Řekni") == "Rekni"
    assert cheapest("ž" * 60 + "…" * 5 + "😀") == "ž" * 60 + "…" * 5 + "😀"


SMS = SmsPolicy.model_validate({"prices": {"CZ": "1.10", "SK": "0.055"}, "default_price": "2", "currency": "CZK"})


@pytest.mark.parametrize(
    ("text", "number", "expected"),
    [
        ("Ahoj", "+420601000001", (1, "CZ", Decimal("1.10"))),
        ("ř" * 71, "+421905000001", (2, "SK", Decimal("0.110"))),
        ("a" * 161, "+4915112345678", (2, "DE", Decimal(4))),
        ("Ahoj", "+999", (1, None, Decimal(2))),
        ("Ahoj", None, (1, None, Decimal(2))),
    ],
)
def test_cost(text: str, number: str | None, expected: tuple[int, str | None, Decimal]) -> None:
    assert sms_cost(text, number, SMS) == expected


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_the_country_of_a_number_is_that_of_its_plan(region: str) -> None:
    number = phonenumbers.example_number(region)
    assert number is not None
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert country_of(text) == phonenumbers.region_code_for_number(number)


@given(st.text())
def test_what_is_no_number_is_of_no_country(number: str) -> None:
    found = country_of(number)
    assert found is None or (len(found) == 2 and found.isupper())
