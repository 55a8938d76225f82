"""HTTP of previews and test messages."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from headrace.contracts.template import Template, parse_template
from services.messenger.definition_http import found, refuse
from services.messenger.definitions import Definitions
from services.messenger.locales import read_locale
from services.messenger.preview import Previews, Wish
from services.messenger.template_check import check
from services.messenger.trial import Trials


def _locale(text: str) -> str:
    locale = read_locale(text)
    if locale is None:
        raise ValueError("is no language: write cs, or cs-CZ")
    return locale


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profile_id: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]*$")] | None = None
    event: dict[str, Any] | None = None
    voucher: dict[str, Any] | None = None
    locale: Annotated[str, AfterValidator(_locale)] | None = None

    @property
    def wish(self) -> Wish:
        return Wish(self.profile_id, self.event, self.voucher, self.locale)


class _Draft(_Wish):
    template: dict[str, Any]


class _Test(_Wish):
    to: Annotated[str, Field(min_length=1, max_length=320)]


def preview_routes(definitions: Definitions, previews: Previews, trials: Trials) -> APIRouter:
    """What a template says to a customer, and a test of it sent to whoever tries it."""
    router = APIRouter()

    async def template_of(template_id: str) -> Template:
        stored = await found(definitions, "template", template_id)
        return parse_template(dict(stored.body))

    @router.post("/templates/{template_id}/preview")
    async def preview(template_id: str, body: _Wish) -> dict[str, Any]:
        return await previews.preview(await template_of(template_id), body.wish)

    @router.post("/preview")
    async def preview_draft(body: _Draft) -> dict[str, Any]:
        """Of a template that is not stored."""
        template = parse_template({"id": "preview", **body.template})
        refuse(check(template, await definitions.all_blocks()))
        return await previews.preview(template, body.wish)

    @router.post("/templates/{template_id}/test")
    async def test(template_id: str, body: _Test) -> dict[str, Any]:
        return await trials.send(await template_of(template_id), body.to, body.wish)

    return router
