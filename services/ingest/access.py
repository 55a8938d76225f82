"""What each route of this service asks for: the one place where it is said."""

from headrace.runtime.access.rules import rules

RULES = rules(
    {
        "GET /v1/dead-letters": "read",
        "POST /v1/dead-letters/replay": "admin",
        "GET /v1/plans": "read",
        "GET /v1/plans/violations": "read",
        "GET /v1/sources": "admin",
        "GET /v1/sources/{source_name}": "admin",
        "PUT /v1/sources/{source_name}": "admin",
        "DELETE /v1/sources/{source_name}": "admin",
        "POST /v1/sources/{source_name}/keys": "admin",
        "DELETE /v1/sources/{source_name}/keys/{key_id}": "admin",
        "GET /v1/tokens": "admin",
        "POST /v1/tokens": "admin",
        "DELETE /v1/tokens/{token_id}": "admin",
        "GET /v1/audit": "admin",
    },
)
