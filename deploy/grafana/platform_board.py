"""How the platform is: requests, events, the pipeline, what is used."""

from panels import OWN, RATE, Dashboard, Panel, Row, most, quantiles, rates

JOBS = {"job": ("headrace_process_memory_bytes", "job")}
CHOSEN = 'job=~"$job"'
FAILED = 'status=~"5.."'

PLATFORM = Dashboard(
    "headrace-platform",
    "Headrace: platform",
    variables=JOBS,
    rows=[
        Row(
            "Now",
            [
                Panel(
                    "Processes",
                    "short",
                    [('sum by (job) (up{job=~"ingest|profiles|segmenter|messenger"})', "{{job}}")],
                    "stat",
                ),
                Panel("Events accepted", "eps", rates("headrace_events_accepted_total"), "stat"),
                Panel(
                    "Partitions that stand still", "short", [("sum(headrace_partition_halted)", "halted")], "stat"
                ),
                Panel(
                    "Oldest record not applied",
                    "s",
                    [("max(headrace_oldest_unprocessed_age_seconds)", "age")],
                    "stat",
                ),
            ],
            across=4,
        ),
        Row(
            "Requests",
            [
                Panel("Requests", "reqps", rates("headrace_http_requests_total", "job", where=f"{CHOSEN},{OWN}")),
                Panel(
                    "Errors of our own",
                    "percentunit",
                    [
                        (
                            f"sum by (job) (rate(headrace_http_requests_total{{{CHOSEN},{OWN},{FAILED}}}{RATE}))"
                            f" / sum by (job) (rate(headrace_http_requests_total{{{CHOSEN},{OWN}}}{RATE}))",
                            "{{job}}",
                        )
                    ],
                ),
                Panel(
                    "Time to answer, p99 by service",
                    "s",
                    [
                        (
                            "histogram_quantile(0.99, sum by (le, job) "
                            f"(rate(headrace_http_request_seconds_bucket{{{CHOSEN},{OWN}}}{RATE})))",
                            "{{job}}",
                        )
                    ],
                ),
                Panel(
                    "By route",
                    "reqps",
                    rates("headrace_http_requests_total", "job", "route", where=f"{CHOSEN},{OWN}"),
                ),
                Panel(
                    "By status",
                    "reqps",
                    rates("headrace_http_requests_total", "job", "status", where=f"{CHOSEN},{OWN}"),
                ),
                Panel(
                    "Ingest, time to answer",
                    "s",
                    quantiles("headrace_http_request_seconds", where=f'job="ingest",{OWN}'),
                ),
            ],
        ),
        Row(
            "Events",
            [
                Panel("Accepted, by source", "eps", rates("headrace_events_accepted_total", "source"), stack=True),
                Panel(
                    "Refused, by source and reason",
                    "eps",
                    rates("headrace_events_rejected_total", "source", "reason"),
                ),
                Panel(
                    "Not as their plan says",
                    "eps",
                    rates("headrace_plan_violations_total", "source", "event", "reason"),
                ),
                Panel("Dead letters", "eps", rates("headrace_dead_letters_total", "job", "reason")),
                Panel(
                    "Repeated by clients, or read twice",
                    "eps",
                    [
                        *rates("headrace_events_duplicate_total", "conflict"),
                        *rates("headrace_records_duplicate_total", "job", "topic"),
                    ],
                ),
                Panel(
                    "Merges, and identifiers put into quarantine",
                    "eps",
                    [
                        ("sum(rate(headrace_profile_merges_total[$__rate_interval]))", "merges"),
                        ("sum(rate(headrace_quarantined_identifiers_total[$__rate_interval]))", "quarantined"),
                    ],
                ),
            ],
        ),
        Row(
            "Pipeline",
            [
                Panel(
                    "Lag",
                    "short",
                    [(f"sum by (job, topic) (headrace_lag_records{{{CHOSEN}}})", "{{job}} {{topic}}")],
                ),
                Panel(
                    "Oldest record not applied",
                    "s",
                    most("headrace_oldest_unprocessed_age_seconds", "job", "topic", where=CHOSEN),
                ),
                Panel("Applied", "eps", rates("headrace_records_processed_total", "job", "topic", where=CHOSEN)),
                Panel(
                    "Committed and not published",
                    "short",
                    [(f"sum by (job, topic) (headrace_outbox_records{{{CHOSEN}}})", "{{job}} {{topic}}")],
                ),
                Panel("Published", "eps", rates("headrace_records_published_total", "job", "topic", where=CHOSEN)),
                Panel("Ticks", "eps", rates("headrace_ticks_published_total")),
                Panel(
                    "Fenced commits", "eps", rates("headrace_fenced_commits_total", "job", "store", where=CHOSEN)
                ),
                Panel(
                    "Restarts of partitions",
                    "eps",
                    rates("headrace_partition_restarts_total", "job", where=CHOSEN),
                ),
                Panel("Gaps", "eps", rates("headrace_sequence_gaps_total", "job", "topic", where=CHOSEN)),
            ],
        ),
        Row(
            "What is used of what may be",
            [
                Panel("Memory", "bytes", most("headrace_process_memory_bytes", "job", "instance", where=CHOSEN)),
                Panel(
                    "Request bytes held by ingest",
                    "percentunit",
                    [("headrace_ingest_buffered_bytes / headrace_ingest_buffer_limit_bytes", "{{instance}}")],
                ),
                Panel(
                    "Connections to Postgres",
                    "percentunit",
                    [
                        (
                            f"headrace_database_connections_busy{{{CHOSEN}}}"
                            f" / headrace_database_connections_limit{{{CHOSEN}}}",
                            "{{job}} {{instance}}",
                        )
                    ],
                ),
                Panel(
                    "Memory of segment state",
                    "bytes",
                    [
                        ("max(headrace_state_memory_bytes)", "used"),
                        ("max(headrace_state_memory_limit_bytes)", "limit"),
                    ],
                ),
                Panel(
                    "Clock, against Postgres'",
                    "s",
                    [("headrace_clock_skew_seconds", "{{job}} {{instance}}")],
                    signed=True,
                ),
                Panel(
                    "Memory, of its limit",
                    "percentunit",
                    [
                        (
                            f"headrace_process_memory_bytes{{{CHOSEN}}}"
                            f" / (headrace_process_memory_limit_bytes{{{CHOSEN}}} > 0)",
                            "{{job}} {{instance}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
