"""What a template would say to a customer, without sending it. Links in it lead nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.contracts.errors import ApiError
from headrace.contracts.policy import PolicyDefinition
from headrace.contracts.survey_link import SurveyLinks
from headrace.contracts.template import Template
from services.messenger.address import address_for
from services.messenger.customer import Customer
from services.messenger.customers import load_customers, roots_of
from services.messenger.definitions import Definitions
from services.messenger.render import Rendered, TemplateFailed, render
from services.messenger.sms_text import count, sms_cost
from services.messenger.store import Connection, Pool
from services.messenger.survey_urls import SurveyUrls
from services.messenger.variables import event_variable

_SAMPLE = {"id": "preview", "name": "Preview"}
_NOBODY = Customer("preview", {}, {}, (), {}, (), None)


@dataclass(frozen=True, slots=True)
class Wish:
    """For whom, and with which event and voucher. Without a customer everything is missing."""

    profile_id: str | None = None
    event: Mapping[str, Any] | None = None
    voucher: Mapping[str, Any] | None = None
    locale: str | None = None


class _SampleLinks(SurveyLinks):
    """Answers to a preview are nobody's."""

    def to(self, survey_id: str, profile_id: str, *, expires_at: int | None = None) -> str:
        return f"{self.base}/s/preview.{survey_id}"


class Previews:
    """Reads customers as a claim does; writes nothing."""

    def __init__(
        self,
        pool: Pool,
        definitions: Definitions,
        *,
        public_url: str,
        phone_region: str | None,
        survey_links: SurveyLinks | None,
    ) -> None:
        self._pool = pool
        self._definitions = definitions
        self._public_url = public_url
        self._phone_region = phone_region
        links = _SampleLinks(survey_links.base, survey_links.keys) if survey_links is not None else None
        self._links = {
            "unsubscribe_url": f"{public_url}/u/preview",
            "preferences_url": f"{public_url}/p/preview",
            "survey_url": SurveyUrls(links, _NOBODY.id),
        }

    async def rendered(self, template: Template, wish: Wish) -> tuple[Rendered, Customer, PolicyDefinition]:
        """Raises ApiError: there is no such customer, or the template fails for this one."""
        async with self._pool.acquire() as connection:
            customer = await _customer(connection, wish.profile_id)
            policy = await self._definitions.policy(connection)
            blocks = await self._definitions.blocks_for(connection, [template])
        try:
            done = render(
                template, self._variables(customer, wish), blocks=blocks, zone=policy.time_zone, locale=wish.locale
            )
        except TemplateFailed as error:
            raise ApiError(400, "template_failed", f"The template fails for this customer: {error}.") from error
        return done, customer, policy

    async def preview(self, template: Template, wish: Wish) -> dict[str, Any]:
        """As `POST /v1/preview` answers."""
        done, customer, policy = await self.rendered(template, wish)
        return {
            "channel": template.channel,
            "locale": done.locale,
            "subject": done.subject,
            "text": done.text,
            "html": done.html,
            "extras": done.extras,
            "missing": list(done.missing),
            "sms": self._sms(done, customer, policy) if template.channel == "sms" else None,
        }

    def _sms(self, done: Rendered, customer: Customer, policy: PolicyDefinition) -> dict[str, Any]:
        number = address_for("sms", customer.traits, customer.identifiers, phone_region=self._phone_region)
        parts, country, cost = sms_cost(done.text, number, policy.sms)
        counted = count(done.text)
        return {
            "encoding": counted.encoding,
            "characters": counted.characters,
            "parts": parts,
            "country": country,
            "cost": str(cost),
            "currency": policy.sms.currency,
        }

    def _variables(self, customer: Customer, wish: Wish) -> dict[str, Any]:
        return {
            "profile": {
                "id": customer.id,
                "traits": customer.traits,
                "computed": customer.computed,
                "tags": customer.tags,
                "time_zone": customer.time_zone,
            },
            "segment": _SAMPLE,
            "campaign": _SAMPLE,
            "event": event_variable(wish.event),
            "voucher": wish.voucher or {},
            **self._links,
        }


async def _customer(connection: Connection, profile_id: str | None) -> Customer:
    if profile_id is None:
        return _NOBODY
    root = (await roots_of(connection, [profile_id]))[profile_id]
    customer = (await load_customers(connection, [root])).get(root)
    if customer is None:
        raise ApiError(404, "not_found", f"There is no customer {profile_id!r}.")
    return customer
