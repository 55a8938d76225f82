"""JSON Schemas (2020-12) of everything that crosses a border between services, from the types themselves."""

from collections.abc import Mapping
from typing import Any, cast, get_args

import msgspec
from pydantic import TypeAdapter

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_schema import campaign_schema
from headrace.contracts.computed_trait import ComputedTrait
from headrace.contracts.customer_update import MessageRecord
from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.errors import ErrorBody
from headrace.contracts.event import Event
from headrace.contracts.policy import PolicyDefinition
from headrace.contracts.profile_event import ControlRequest, ProfileEvent
from headrace.contracts.provider_callback import ProviderCallback
from headrace.contracts.segment import KINDS, Definition
from headrace.contracts.segment_change import SegmentChange
from headrace.contracts.segment_membership import SegmentMembership
from headrace.contracts.segment_schema import AsWritten, segment_schema
from headrace.contracts.survey import SurveyDefinition
from headrace.contracts.template import BlockDefinition, TemplateDefinition
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.voucher import VoucherPool

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# File name under docs/schemas → title and type: records and bodies, which msgspec reads and writes.
STRUCTS: Mapping[str, tuple[str, Any]] = {
    "event": ("An event as collected", Event),
    "profile-event": ("A row of a customer's timeline, or a tick", ProfileEvent),
    "segment-change": ("A membership transition", SegmentChange),
    "segment-membership": ("A customer's membership in a segment, as long as it lasts", SegmentMembership),
    "computed-trait": ("A new value of a customer's computed trait", ComputedTrait),
    "message-outcome": ("One outcome of one message, or an update of a customer", MessageRecord),
    "provider-callback": ("What a messaging provider called with", ProviderCallback),
    "dead-letter": ("What could not be processed", DeadLetter),
    "control-request": ("Body of POST /v1/control", ControlRequest),
    "error": ("An HTTP answer other than success", ErrorBody),
}

# The same for definitions, which people write and pydantic reads.
DEFINITIONS: Mapping[str, tuple[str, Any]] = {
    "segment": ("A definition of a segment, a static list or stages", Definition),
    "trait": ("A definition of a computed trait", TraitDefinition),
    "campaign": ("A campaign definition", CampaignDefinition),
    "template": ("A template definition", TemplateDefinition),
    "block": ("A block that templates share", BlockDefinition),
    "policy": ("The policy for all campaigns", PolicyDefinition),
    "vouchers": ("A pool of voucher codes", VoucherPool),
    "survey": ("A survey definition", SurveyDefinition),
}


# By what a document calls its kind: the schema it is held against.
SCHEMA_OF_KIND: Mapping[str, str] = {
    **dict.fromkeys(KINDS, "segment"),
    "trait": "trait",
    "campaign": "campaign",
    "template": "template",
    "block": "block",
    "policy": "policy",
    "vouchers": "vouchers",
    "survey": "survey",
}


def schemas() -> dict[str, Schema]:
    """Every schema by file name (without `.json`)."""
    structs = {name: _titled(name, title, _struct_schema(kind)) for name, (title, kind) in STRUCTS.items()}
    definitions = {name: _titled(name, title, _defined(kind)) for name, (title, kind) in DEFINITIONS.items()}
    return structs | definitions


def _defined(kind: Any) -> Schema:
    if kind is Definition:
        return segment_schema()
    if kind is CampaignDefinition:
        return campaign_schema()
    if kind is TraitDefinition:
        return TypeAdapter(kind).json_schema(schema_generator=AsWritten)
    return TypeAdapter(kind).json_schema()


def _titled(name: str, title: str, schema: Schema) -> Schema:
    body = {key: value for key, value in schema.items() if key not in {"$schema", "$id", "title"}}
    return {"$schema": DIALECT, "$id": f"{name}.json", "title": title, **body}


def _struct_schema(kind: Any) -> Schema:
    members = get_args(kind) or (kind,)
    mirrors = [_mirror(member) for member in members]
    schema = msgspec.json.schema(_union(mirrors))
    if list(schema) == ["$ref", "$defs"] and len(schema["$defs"]) == 1:
        return cast(Schema, next(iter(schema["$defs"].values())))
    return schema


def _union(types: list[type]) -> Any:
    union: Any = types[0]
    for other in types[1:]:
        union = union | other
    return union


def _mirror(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The same record with every `Raw` (bytes passed through) declared as the JSON object it holds; msgspec
    cannot describe a Raw that has a default."""
    config = struct.__struct_config__
    return msgspec.defstruct(
        struct.__name__,
        [_mirror_field(field) for field in msgspec.structs.fields(struct)],
        kw_only=True,
        tag=config.tag,
        tag_field=config.tag_field,
        namespace={"__doc__": struct.__doc__},
    )


def _mirror_field(field: msgspec.structs.FieldInfo) -> tuple[str, Any, Any]:
    if field.type is msgspec.Raw:
        # each Raw of the contracts defaults to an empty object
        return field.name, dict[str, Any], msgspec.field(default_factory=dict, name=field.encode_name)
    if field.default is not msgspec.NODEFAULT:
        return field.name, field.type, msgspec.field(default=field.default, name=field.encode_name)
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory, name=field.encode_name)
    return field.name, field.type, msgspec.field(name=field.encode_name)
