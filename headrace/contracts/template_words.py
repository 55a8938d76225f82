"""What the texts of a template ask for: variables, blocks, surveys. Pure, and no judge of Liquid: the messenger
checks that when the template is put."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.contracts.template import BlockDefinition, EmailTemplate, EmailVariant, Template, WhatsAppTemplate

_NOT_READ = re.compile(
    r"{%-?\s*(comment|raw)\b.*?%}.*?{%-?\s*end\1\s*-?%}|{#.*?#}",
    re.DOTALL,
)
_OUTPUT = re.compile(r"{{-?(.*?)-?}}", re.DOTALL)
_TAG = re.compile(r"{%-?\s*(\w+)(.*?)-?%}", re.DOTALL)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_RENDERED = re.compile(r"""^\s*["']([a-z0-9-]{1,64})["']""")
_SURVEY = re.compile(r"""\bsurvey_url(?:\.|\[\s*["'])([a-z0-9-]+)""")
_TESTS = ("if", "elsif", "unless", "case", "when")


@dataclass(frozen=True, slots=True)
class Words:
    """`asked` are the roots of variables (`voucher` of `voucher.code`) that are used without a `default`, in a
    text that does not test them; `blocks` are rendered, `surveys` linked to."""

    asked: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset()
    surveys: frozenset[str] = frozenset()

    def __or__(self, other: "Words") -> "Words":
        return Words(self.asked | other.asked, self.blocks | other.blocks, self.surveys | other.surveys)


def template_words(template: Template, blocks: Mapping[str, BlockDefinition] | None = None) -> Words:
    """What the template asks for in any of its languages, with what the `blocks` that it renders ask for."""
    found = Words()
    for _, text in template_texts(template):
        found |= words(text)
    waiting = sorted(found.blocks)
    for name in waiting:
        block = (blocks or {}).get(name)
        if block is not None:
            found |= words(block.text or "") | words(block.html or "")
            waiting += sorted(found.blocks - {*waiting})
    return found


def template_texts(template: Template) -> Iterator[tuple[str, str]]:
    """Each of its texts, with the path of its field."""
    if isinstance(template, WhatsAppTemplate):
        yield from ((f"parameters.{place}", text) for place, text in enumerate(template.parameters))
    if isinstance(template, EmailTemplate):
        yield from _mail("", template)
        for name, variant in template.locales.items():
            yield from _mail(f"locales.{name}.", variant)
        return
    for field in ("text", "image_url", "button", "button_url"):
        if (text := getattr(template, field, None)) is not None:
            yield field, text
    if not isinstance(template, WhatsAppTemplate):
        yield from ((f"locales.{name}.text", variant.text) for name, variant in template.locales.items())


def _mail(prefix: str, mail: EmailVariant) -> Iterator[tuple[str, str]]:
    for field in ("subject", "html", "mjml", "text"):
        if (text := getattr(mail, field)) is not None:
            yield f"{prefix}{field}", text


def words(text: str) -> Words:
    """What one text asks for."""
    read = _NOT_READ.sub(" ", text)
    tags = [(match[1], match[2]) for match in _TAG.finditer(read)]
    outputs = [match[1] for match in _OUTPUT.finditer(read)]
    tested = _roots(" ".join(rest for name, rest in tags if name in _TESTS))
    used = [rest for name, rest in tags if name not in (*_TESTS, "render")] + outputs
    asked = frozenset().union(*(_roots(one) for one in used if not re.search(r"\|\s*default\s*:", one)))
    rendered = (_RENDERED.match(rest) for name, rest in tags if name == "render")
    return Words(
        asked - tested,
        frozenset(match[1] for match in rendered if match is not None),
        frozenset(match[1] for used_text in used for match in _SURVEY.finditer(used_text)),
    )


def _roots(expression: str) -> frozenset[str]:
    """Names in an expression that are no field of another, no filter and no text."""
    bare = _QUOTED.sub(" ", expression)
    return frozenset(re.findall(r"(?<![\w.|-])(?<!\|\s)([A-Za-z_][\w-]*)", bare))
