"""The policy: what holds for every campaign (DESIGN §7). One document, `id: default`; absent means off."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from headrace.contracts.campaign import Cap, QuietHours
from headrace.contracts.campaign_steps import known_zone
from headrace.contracts.definition import Model, Name, problems
from headrace.contracts.errors import InvalidDefinition

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$")]
"""Money as text, exact: `"1.10"`."""
Word = Annotated[str, StringConstraints(pattern=r"^\S{1,30}$")]


class SpendCap(Model):
    """At most so much money a day (UTC) for text messages: to one `country`, or to all together."""

    per_day: Amount
    country: Country | None = None

    @property
    def amount(self) -> Decimal:
        return Decimal(self.per_day)


class SmsPolicy(Model):
    """`prices` are per part, by country; `default_price` holds for the others."""

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "EUR"
    prices: Annotated[dict[Country, Amount], Field(default_factory=dict)]
    default_price: Amount = "0"
    spend: Annotated[tuple[SpendCap, ...], Field(max_length=300, strict=False)] = ()

    def price(self, country: str | None) -> Decimal:
        return Decimal(self.prices.get(country or "", self.default_price))


class Keywords(Model):
    """Words besides STOP, START and HELP that customers answer with, and what HELP is answered with."""

    stop: Annotated[tuple[Word, ...], Field(max_length=100, strict=False)] = ()
    start: Annotated[tuple[Word, ...], Field(max_length=100, strict=False)] = ()
    help: Annotated[tuple[Word, ...], Field(max_length=100, strict=False)] = ()
    help_text: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None


class Topic(Model):
    """A topic as customers see it on the preferences page."""

    name: Name
    locales: Annotated[dict[str, Name], Field(default_factory=dict)]


class PolicyDefinition(Model):
    """`caps` count marketing messages of all campaigns; `quiet_hours` hold where a campaign has none of its own;
    `time_zone` is for customers of whom neither time zone nor country is known. `topics` are what the preferences
    page offers, by id."""

    kind: Literal["policy"] = "policy"
    id: Literal["default"] = "default"
    caps: Annotated[tuple[Cap, ...], Field(max_length=20, strict=False)] = ()
    quiet_hours: QuietHours | None = None
    time_zone: Annotated[str, AfterValidator(known_zone)] = "UTC"
    sms: Annotated[SmsPolicy, Field(default_factory=lambda: SmsPolicy.model_validate({}))]
    keywords: Keywords = Keywords()
    topics: Annotated[dict[str, Topic], Field(default_factory=dict)]


def parse_policy(document: Any) -> PolicyDefinition:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    try:
        return PolicyDefinition.model_validate(document)
    except ValidationError as error:
        fields = {f for m in (PolicyDefinition, SmsPolicy, Keywords, Cap, QuietHours) for f in m.model_fields}
        raise InvalidDefinition(problems(error, fields)) from error
