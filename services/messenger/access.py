"""What each route of this service asks for: the one place where it is said."""

from headrace.runtime.access.rules import rules

RULES = rules(
    {
        "PUT /v1/templates/{template_id}": "campaigns",
        "DELETE /v1/templates/{template_id}": "campaigns",
        "GET /v1/templates/{template_id}": "campaigns:read",
        "GET /v1/templates": "campaigns:read",
        "PUT /v1/campaigns/{campaign_id}": "campaigns",
        "DELETE /v1/campaigns/{campaign_id}": "campaigns",
        "GET /v1/campaigns/{campaign_id}": "campaigns:read",
        "GET /v1/campaigns": "campaigns:read",
        "POST /v1/campaigns/{campaign_id}/move": "campaigns",
        "GET /v1/messages": "campaigns:read",
        "GET /v1/campaigns/{campaign_id}/report": "campaigns:read",
        "GET /v1/campaigns/{campaign_id}/journeys": "campaigns:read",
        "GET /v1/segments/{segment_id}/report": "campaigns:read",
        "GET /v1/suppressions": "privacy:read",
        "POST /v1/suppressions": "privacy",
        "DELETE /v1/suppressions": "privacy",
        "GET /v1/inbound": "campaigns:read",
        "POST /v1/inbound/{inbound_id}/reply": "campaigns",
        "PUT /v1/vouchers/{pool_id}": "campaigns",
        "GET /v1/vouchers": "campaigns:read",
        "GET /v1/vouchers/{pool_id}": "campaigns:read",
        "DELETE /v1/vouchers/{pool_id}": "campaigns",
        "POST /v1/vouchers/{pool_id}/codes": "campaigns",
        "GET /v1/vouchers/{pool_id}/codes": "campaigns:read",
        "PUT /v1/blocks/{block_id}": "campaigns",
        "DELETE /v1/blocks/{block_id}": "campaigns",
        "GET /v1/blocks/{block_id}": "campaigns:read",
        "GET /v1/blocks": "campaigns:read",
        "PUT /v1/policies/{policy_id}": "campaigns",
        "DELETE /v1/policies/{policy_id}": "campaigns",
        "GET /v1/policies/{policy_id}": "campaigns:read",
        "GET /v1/policies": "campaigns:read",
        "POST /v1/templates/{template_id}/preview": "campaigns:read",
        "POST /v1/preview": "campaigns:read",
        "POST /v1/templates/{template_id}/test": "campaigns",
        "GET /v1/signing-keys": "admin",
        "POST /v1/signing-keys": "admin",
        "DELETE /v1/signing-keys/{key_id}": "admin",
        "POST /v1/republish": "admin",
    },
    exports=frozenset(
        {
            "GET /v1/vouchers/{pool_id}/codes",
        }
    ),
)
