"""What each route of this service asks for: the one place where it is said."""

from headrace.runtime.access.rules import rules

RULES = rules(
    {
        "GET /v1/profiles": "read",
        "GET /v1/profiles/count": "read",
        "GET /v1/profiles/lookup": "read",
        "GET /v1/profiles/{profile_id}": "read",
        "GET /v1/profiles/{profile_id}/events": "read",
        "GET /v1/profiles/{profile_id}/sessions": "read",
        "GET /v1/profiles/{profile_id}/messages": "read",
        "GET /v1/profiles/{profile_id}/export": "privacy",
        "DELETE /v1/profiles/{profile_id}": "privacy",
        "POST /v1/profiles/{profile_id}/merge": "admin",
        "POST /v1/control": "admin",
        "GET /v1/profiles/{profile_id}/suppress": "privacy:read",
        "POST /v1/profiles/{profile_id}/suppress": "privacy",
        "DELETE /v1/profiles/{profile_id}/suppress": "privacy",
        "POST /v1/suppressions/lift": "privacy",
        "GET /v1/identifiers/quarantined": "read",
        "POST /v1/identifiers/release": "admin",
        "POST /v1/profiles/{profile_id}/tags": "segments",
        "POST /v1/tags": "segments",
        "GET /v1/profiles/{profile_id}/consents": "privacy:read",
        "POST /v1/profiles/{profile_id}/consents": "privacy",
        "GET /v1/audit": "privacy:read",
        "PUT /v1/profiles/{profile_id}/preferences": "privacy",
        "POST /v1/profiles/{profile_id}/unmerge": "admin",
        "GET /v1/profiles/{profile_id}/merges": "read",
        "GET /v1/profiles/{profile_id}/traits": "read",
        "PUT /v1/surveys/{survey_id}": "campaigns",
        "GET /v1/surveys": "campaigns:read",
        "GET /v1/surveys/{survey_id}": "campaigns:read",
        "DELETE /v1/surveys/{survey_id}": "campaigns",
        "POST /v1/surveys/{survey_id}/links": "campaigns",
        "GET /v1/profiles/{profile_id}/next-question": "campaigns:read",
        "POST /v1/profiles/{profile_id}/next-question": "campaigns",
        "POST /v1/republish": "admin",
    },
    exports=frozenset(
        {
            "GET /v1/profiles/{profile_id}/export",
        }
    ),
)
