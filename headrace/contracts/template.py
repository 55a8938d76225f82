"""Templates of messages, and blocks that several of them share (DESIGN §7). Their texts are Liquid."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from headrace.contracts.definition import DefinitionId, Model, problems, storable
from headrace.contracts.errors import InvalidDefinition

MAX_TEMPLATE_CHARS = 100_000
Source = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEMPLATE_CHARS), AfterValidator(storable)]
Subject = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(storable)]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
"""A language, or a language in a country: `cs`, `en-GB`."""


class TextVariant(Model):
    """A short message in one language."""

    text: Source


class EmailVariant(Model):
    """An e-mail in one language. Without `text` one is made from the HTML."""

    subject: Subject
    html: Source | None = None
    mjml: Source | None = None
    text: Source | None = None

    @model_validator(mode="after")
    def _has_a_body(self) -> "EmailVariant":
        if self.html is not None and self.mjml is not None:
            raise ValueError("write html or mjml, not both")
        if self.html is None and self.mjml is None and self.text is None:
            raise ValueError("an e-mail needs html, mjml or text")
        return self


class _Short(TextVariant):
    """`locales` are the same message in other languages: the customer's trait `locale` (else `language`) chooses;
    `text` is for everybody else."""

    kind: Literal["template"] = "template"
    id: DefinitionId
    locales: Annotated[dict[Locale, TextVariant], Field(default_factory=dict)]


class SmsTemplate(_Short):
    """A text message. `transliterate` replaces letters that would make it several parts (č by c)."""

    channel: Literal["sms"]
    transliterate: bool = False


class ViberTemplate(_Short):
    """A Viber message; with a button and an image if there are some."""

    channel: Literal["viber"]
    image_url: Source | None = None
    button: Source | None = None
    button_url: Source | None = None


class WhatsAppTemplate(Model):
    """A message template that WhatsApp has approved, by `name` and `language`; `parameters` fill its body's
    {{1}}, {{2}}, … in this order. `text` is what it says, for the preview and the customer's timeline."""

    kind: Literal["template"] = "template"
    id: DefinitionId
    channel: Literal["whatsapp"]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,512}$")]
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")] = "en"
    parameters: Annotated[tuple[Source, ...], Field(max_length=20, strict=False)] = ()
    text: Source | None = None


class EmailTemplate(EmailVariant):
    """An e-mail. `locales` are the same one in other languages."""

    kind: Literal["template"] = "template"
    id: DefinitionId
    channel: Literal["email"]
    locales: Annotated[dict[Locale, EmailVariant], Field(default_factory=dict)]


class BlockDefinition(Model):
    """A piece that templates share: `{% render "footer" %}`. Changing it changes all of them at once. `html` is
    used in HTML (MJML too), `text` elsewhere; one may stand for both."""

    kind: Literal["block"] = "block"
    id: DefinitionId
    text: Source | None = None
    html: Source | None = None

    @model_validator(mode="after")
    def _has_one(self) -> "BlockDefinition":
        if self.text is None and self.html is None:
            raise ValueError("a block needs text, html or both")
        return self


Template = SmsTemplate | EmailTemplate | ViberTemplate | WhatsAppTemplate
TemplateDefinition = Annotated[Template, Field(discriminator="channel")]
_templates: TypeAdapter[Template] = TypeAdapter(TemplateDefinition)
_MODELS = (SmsTemplate, EmailTemplate, ViberTemplate, WhatsAppTemplate)
_FIELDS = {name for model in _MODELS for name in model.model_fields}


def parse_template(document: object) -> Template:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    try:
        return _templates.validate_python(document)
    except ValidationError as error:
        raise InvalidDefinition(problems(error, _FIELDS)) from error


def parse_block(document: Any) -> BlockDefinition:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    try:
        return BlockDefinition.model_validate(document)
    except ValidationError as error:
        raise InvalidDefinition(problems(error, BlockDefinition.model_fields)) from error
