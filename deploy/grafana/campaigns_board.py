"""How campaigns are: messages, providers, what waits."""

from panels import Dashboard, Panel, Row, most, quantiles, rates

CAMPAIGN = 'campaign=~"$campaign"'
CAMPAIGNS = Dashboard(
    "headrace-campaigns",
    "Headrace: campaigns",
    variables={"campaign": ("headrace_messages_total", "campaign")},
    rows=[
        Row(
            "Messages",
            [
                Panel("By status", "eps", rates("headrace_messages_total", "status", where=CAMPAIGN)),
                Panel(
                    "Accepted, by campaign",
                    "eps",
                    rates("headrace_messages_total", "campaign", where=f'{CAMPAIGN},status="accepted"'),
                    stack=True,
                ),
                Panel(
                    "Skipped, by campaign",
                    "eps",
                    rates("headrace_messages_total", "campaign", where=f'{CAMPAIGN},status="skipped"'),
                ),
                Panel(
                    "Failed or bounced",
                    "eps",
                    rates(
                        "headrace_messages_total",
                        "campaign",
                        "channel",
                        where=f'{CAMPAIGN},status=~"failed|bounced"',
                    ),
                ),
                Panel("From event to provider", "s", quantiles("headrace_event_to_provider_seconds", "channel")),
                Panel("From entry to provider", "s", quantiles("headrace_entry_to_provider_seconds", "channel")),
            ],
        ),
        Row(
            "Providers",
            [
                Panel("Down", "short", most("headrace_provider_down", "channel", "provider")),
                Panel("Of unknown fate", "short", most("headrace_messages_unknown", "channel")),
                Panel(
                    "Oldest of unknown fate", "s", most("headrace_messages_unknown_oldest_age_seconds", "channel")
                ),
                Panel("Callbacks", "eps", rates("headrace_provider_callbacks_total", "provider", "what")),
                Panel("Calls to ingest", "eps", rates("headrace_hook_calls_total", "provider", "what")),
                Panel(
                    "In flight, of what may be",
                    "percentunit",
                    [
                        (
                            "sum by (channel) (headrace_sends_in_flight)"
                            " / sum by (channel) (headrace_sends_limit)",
                            "{{channel}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "What waits",
            [
                Panel("Messages that are due", "short", most("headrace_messages_due", "channel")),
                Panel("Longest due", "s", most("headrace_messages_due_oldest_age_seconds", "channel")),
                Panel(
                    "Journeys",
                    "short",
                    [
                        ("max(headrace_journeys_waiting)", "with a step to come"),
                        ("max(headrace_journeys_due)", "with a step that is due"),
                    ],
                ),
                Panel("Lag", "short", [('sum by (topic) (headrace_lag_records{job="messenger"})', "{{topic}}")]),
                Panel(
                    "Outcomes not published",
                    "short",
                    [('sum(headrace_outbox_records{job="messenger"})', "outcomes")],
                ),
                Panel(
                    "Codes left in voucher pools",
                    "short",
                    [("min by (pool) (headrace_voucher_codes_left)", "{{pool}}")],
                ),
            ],
        ),
    ],
)
