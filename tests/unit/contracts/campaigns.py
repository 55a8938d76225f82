"""Short ways to write definitions that name each other."""

from typing import Any

from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.campaign_lint import Found, Known, lint_campaigns
from headrace.contracts.documents import load_document
from headrace.contracts.segment import Definition, parse_segment
from headrace.contracts.template import Template, parse_template
from headrace.contracts.trait import parse_trait
from headrace.contracts.voucher import parse_voucher_pool


def campaign(id: str = "greet", **fields: Any) -> CampaignDefinition:
    steps = [{"send": {"channel": "sms", "template": "hello"}}]
    return parse_campaign({"id": id, "name": id, "trigger": {"segment": "vip"}, "steps": steps, **fields})


def segment(id: str, when: str) -> Definition:
    return parse_segment({"kind": "segment", "id": id, "name": id, "when": load_document(when)})


def stages(id: str, **whens: str) -> Definition:
    body = [{"id": key, "when": load_document(when)} for key, when in whens.items()]
    return parse_segment({"kind": "stages", "id": id, "name": id, "stages": body})


def sms(id: str = "hello", text: str = "Hello") -> Template:
    return parse_template({"id": id, "channel": "sms", "text": text})


def mail(id: str, text: str = "Hello") -> Template:
    return parse_template({"id": id, "channel": "email", "subject": "Hello", "text": text})


VIP = segment("vip", "{tag: {name: gold}}")


def known(*definitions: Any, **more: Any) -> Known:
    """Those definitions, beside the segment `vip`, the template `hello` and the pool `codes`."""
    everything = [VIP, sms(), parse_voucher_pool({"id": "codes", "name": "Codes"}), *definitions]
    kinds = {"segment": "segments", "list": "segments", "stages": "segments", "vouchers": "pools"}
    found: dict[str, dict[str, Any]] = {}
    for one in everything:
        found.setdefault(kinds.get(one.kind, f"{one.kind}s"), {})[one.id] = one
    return Known(**found, **more)


def trait(id: str, value: str) -> Any:
    return parse_trait({"kind": "trait", "id": id, "name": id, "value": load_document(value)})


def told(*definitions: Any, **more: Any) -> list[str]:
    """What the linter says, a line each; notes say so."""
    return [line(found) for found in lint_campaigns(known(*definitions, **more))]


def line(found: Found) -> str:
    note = "note: " if found.note else ""
    return f"{note}{found.problem.path}: {found.problem.reason} ({found.problem.suggestion})"
