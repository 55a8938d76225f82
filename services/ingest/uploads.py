"""Which uploads are tables, and by which mapping their rows become events. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.contracts.documents import load_document
from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.model_problems import near
from headrace.importing.mapping import Mapping as ImportMapping
from headrace.importing.mapping import parse_mapping
from services.ingest.budget import Lease
from services.ingest.compression import gunzip
from services.ingest.limits import KIB
from services.ingest.multipart import is_multipart, read_parts

MAX_MAPPING_BYTES = 256 * KIB
_GZIP = b"\x1f\x8b"
_HOW = "Name it, /v1/import?mapping=NAME, or send multipart/form-data with the parts `mapping` and `file`"


@dataclass(frozen=True, slots=True)
class Upload:
    """A table, decompressed, and its mapping."""

    content: bytes
    mapping: ImportMapping


def unpacked(body: bytes, limit: int, lease: Lease) -> bytes:
    """A body that is a gzip file, decompressed; others as they are."""
    return gunzip(body, limit, lease.take) if body.startswith(_GZIP) else body


def read_upload(
    body: bytes,
    content_type: bytes | None,
    query: Sequence[tuple[str, str]],
    mappings: Mapping[str, ImportMapping],
    limit: int,
    lease: Lease,
) -> Upload | None:
    """The table that was sent; None for a body of events. Raises ApiError."""
    name = next((value for key, value in query if key == "mapping"), None)
    if content_type is not None and is_multipart(content_type):
        lease.take(len(body))  # for the copy
        parts = read_parts(body, content_type)
        if "file" not in parts:
            raise ApiError(400, "missing_file", "Send the table as the part `file`.")
        sent = parts.get("mapping")
        mapping = _named(name, mappings) if sent is None else _read_mapping(sent)
        return Upload(unpacked(parts["file"], limit, lease), mapping)
    if name is None and not (content_type or b"").strip().lower().startswith(b"text/csv"):
        return None
    return Upload(unpacked(body, limit, lease), _named(name, mappings))


def _named(name: str | None, mappings: Mapping[str, ImportMapping]) -> ImportMapping:
    if name is None:
        raise ApiError(400, "missing_mapping", f"A CSV needs a mapping. {_HOW}.")
    mapping = mappings.get(name)
    if mapping is None:
        known = near(name, mappings) or f"The mappings are: {', '.join(sorted(mappings)) or 'none'}."
        raise ApiError(400, "unknown_mapping", f"HEADRACE_MAPPINGS has no mapping of this name. {known} {_HOW}.")
    return mapping


def _read_mapping(text: bytes) -> ImportMapping:
    if len(text) > MAX_MAPPING_BYTES:
        raise ApiError(413, "mapping_too_large", f"Send a mapping of at most {MAX_MAPPING_BYTES} bytes.")
    try:
        return parse_mapping(load_document(text.decode()))
    except UnicodeDecodeError as error:
        raise ApiError(400, "invalid_mapping", "Send the mapping as UTF-8.") from error
    except InvalidDefinition as error:
        raise invalid_mapping(error) from error


def invalid_mapping(error: InvalidDefinition) -> ApiError:
    return ApiError(400, "invalid_mapping", "; ".join(_told(problem) for problem in error.problems))


def _told(problem: Problem) -> str:
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    return f"{problem.path or '(top)'}: {problem.reason}{hint}"
