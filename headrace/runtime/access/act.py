"""An administrative act as the audit log has it (pure)."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import uuid4

DEFINITION_IDS = frozenset(
    {
        "segment_id", "trait_id", "list_id", "campaign_id", "template_id", "block_id", "pool_id", "survey_id",
        "subscription_id", "source_name", "key_id", "token_id", "definition_id", "number", "version", "kind",
        "policy_id", "stage",
    }
)  # fmt: skip
"""Parameters of paths that name something of ours. All others may name a customer."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who did what, from where. `target`: the path's parameters. `request_id`: the caller's own."""

    actor_id: str
    actor_name: str
    address: str
    service: str
    method: str
    route: str
    target: Mapping[str, str]
    request_id: str | None
    id: str = field(default_factory=lambda: uuid4().hex)


def audit_key(root: str) -> bytes:
    """The key by which identifiers are hidden in the audit log. It changes with the root token."""
    return hmac.digest(root.encode("utf-8", "surrogatepass"), b"headrace audit log", "sha256")


def target(parameters: Mapping[str, object], key: bytes) -> dict[str, str]:
    """What may stand in the audit log of a path's parameters. What no name of ours can be is hidden too: Postgres
    does not take every character, and the request is refused for it later on."""
    texts = {name: str(value) for name, value in parameters.items()}
    return {
        name: text if name in DEFINITION_IDS and text.isprintable() else hidden(text, key)
        for name, text in texts.items()
    }


def hidden(identifier: str, key: bytes) -> str:
    """An identifier that only who has the key and a guess can recognise."""
    return "hmac:" + hmac.new(key, identifier.encode("utf-8", "surrogatepass"), sha256).hexdigest()[:32]


def request_id(given: str | None) -> str | None:
    """A caller's id for the request, if it looks like one and not like words."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else None
