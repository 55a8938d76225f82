"""How segments are: who enters and leaves, how soon, whether it is right."""

from panels import Dashboard, Panel, Row, most, quantiles, rates

SEGMENT = 'segment=~"$segment"'
SEGMENTS = Dashboard(
    "headrace-segments",
    "Headrace: segments",
    variables={"segment": ("headrace_segment_transitions_total", "segment")},
    rows=[
        Row(
            "Membership",
            [
                Panel(
                    "Entered",
                    "eps",
                    rates("headrace_segment_transitions_total", "segment", where=f'{SEGMENT},action="entered"'),
                ),
                Panel(
                    "Exited",
                    "eps",
                    rates("headrace_segment_transitions_total", "segment", where=f'{SEGMENT},action="exited"'),
                ),
                Panel(
                    "Why", "eps", rates("headrace_segment_transitions_total", "action", "reason", where=SEGMENT)
                ),
                Panel("From event to membership", "s", quantiles("headrace_event_to_membership_seconds")),
                Panel("Customers with a deadline", "short", [("sum(headrace_timers_armed)", "armed")]),
                Panel("Age of the cut points in use", "s", [("max(headrace_cut_points_age_seconds)", "age")]),
            ],
        ),
        Row(
            "Proof",
            [
                Panel(
                    "Customers compared", "eps", rates("headrace_verify_checked_total", "segment", where=SEGMENT)
                ),
                Panel(
                    "Mismatches",
                    "short",
                    [
                        (
                            f"sum by (segment) (increase(headrace_verify_mismatches_total{{{SEGMENT}}}[1h]))",
                            "{{segment}}",
                        )
                    ],
                ),
                Panel(
                    "Since the last comparison",
                    "s",
                    [
                        (
                            f"time() - max by (segment) (headrace_verify_last_run_seconds{{{SEGMENT}}})",
                            "{{segment}}",
                        )
                    ],
                ),
                Panel(
                    "Partitions rebuilt",
                    "short",
                    [("sum(increase(headrace_rebuilds_total[1h]))", "within an hour")],
                ),
                Panel("Comparisons with another type", "eps", rates("headrace_condition_type_mismatches_total")),
                Panel("Events in other currencies", "eps", rates("headrace_condition_other_currencies_total")),
            ],
        ),
        Row(
            "State and receivers",
            [
                Panel(
                    "Memory of segment state",
                    "bytes",
                    [
                        ("max(headrace_state_memory_bytes)", "used"),
                        ("max(headrace_state_memory_limit_bytes)", "limit"),
                    ],
                ),
                Panel("Lag", "short", [('sum by (topic) (headrace_lag_records{job="segmenter"})', "{{topic}}")]),
                Panel(
                    "Oldest record not applied",
                    "s",
                    most("headrace_oldest_unprocessed_age_seconds", "topic", where='job="segmenter"'),
                ),
                Panel(
                    "Deliveries of webhooks",
                    "eps",
                    rates("headrace_webhook_deliveries_total", "subscription", "outcome"),
                ),
                Panel(
                    "Subscriptions disabled",
                    "short",
                    [
                        (
                            "sum by (reason) (increase(headrace_webhook_subscriptions_disabled_total[1h]))",
                            "{{reason}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
