"""Every metric of every service, declared once, each with a sentence.

One `Metrics` per process, made in `main` and handed down: no global registry. Labels are few and bounded;
never an id of a customer.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of one process. Bind labels once outside of loops."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self.service = service

        self.http_requests = self._counter("http_requests", "HTTP requests answered.", ["route", "status"])
        self.http_seconds = self._histogram("http_request_seconds", "Time to answer an HTTP request.", ["route"])
        self.accepted = self._counter(
            "events_accepted", "Events acknowledged after the log had them.", ["source", "type"]
        )
        self.rejected = self._counter(
            "events_rejected", "Events or requests refused, by reason.", ["source", "reason"]
        )
        self.placeholder_ids = self._counter(
            "placeholder_ids", "Ids dropped because they are placeholders such as null or 0.", ["source"]
        )
        self.plan_violations = self._counter(
            "plan_violations",
            "Durable events, or dead letters, that are not as their source's plan says; one for each thing wrong.",
            ["source", "event", "reason"],
        )
        self.ingest_bytes = self._gauge("ingest_buffered_bytes", "Request bytes held in memory now.")
        self.ingest_bytes_limit = self._gauge(
            "ingest_buffer_limit_bytes", "Request bytes that may be held; beyond them senders are answered 503."
        )

        self.memory = self._gauge("process_memory_bytes", "Memory of the process that is resident now.")
        self.memory_limit = self._gauge(
            "process_memory_limit_bytes", "What the process' control group may use; 0 where there is no limit."
        )
        self.connections = self._gauge(
            "database_connections_busy", "Connections of the process' Postgres pool that are in use now."
        )
        self.connections_limit = self._gauge(
            "database_connections_limit", "Connections that the process' Postgres pool may open."
        )
        self.clock_skew = self._gauge(
            "clock_skew_seconds", "Postgres' clock less this process' clock, when it was last asked."
        )

        self.rate_limited = self._counter("rate_limited", "Requests answered 429, by what was counted.", ["scope"])
        self.rate_local = self._gauge(
            "rate_limits_local", "1 while this process counts rates alone: without Redis, or while it is down."
        )

        self.records = self._counter("records_processed", "Input records applied.", ["topic", "partition"])
        self.duplicates = self._counter("records_duplicate", "Input records dropped as seen before.", ["topic"])
        self.lag = self._gauge("lag_records", "Records not yet applied.", ["topic", "partition"])
        self.oldest_age = self._gauge(
            "oldest_unprocessed_age_seconds",
            "Age of the oldest record not yet applied; 0 when there is none.",
            ["topic", "partition"],
        )
        self.standstill = self._gauge(
            "input_standstill_seconds",
            "For how long records have waited while their reader neither moved nor failed; the process ends at "
            "HEADRACE_STALL_SECONDS.",
            ["topic", "partition"],
        )
        self.fenced = self._counter(
            "fenced_commits", "Commits refused because another process had committed.", ["store"]
        )
        self.gaps = self._counter(
            "sequence_gaps", "Holes found in an input's dense numbers.", ["topic", "partition"]
        )
        self.halted = self._gauge("partition_halted", "1 while a partition waits for help.", ["partition"])
        self.restarts = self._counter(
            "partition_restarts", "Partition workers restarted after an error.", ["partition"]
        )
        self.dead_letters = self._counter("dead_letters", "Records set aside with a reason.", ["reason"])
        self.replayed = self._counter("dead_letters_replayed", "Dead letters put through again.", ["outcome"])
        self.published = self._counter("records_published", "Output records acknowledged by the log.", ["topic"])
        self.outbox = self._gauge(
            "outbox_records", "Outputs committed and not yet published.", ["topic", "partition"]
        )

        self.duplicate_events = self._counter(
            "events_duplicate", "Events with a messageId seen before.", ["conflict"]
        )
        self.suppressed = self._counter(
            "events_suppressed", "Events left out, since they name only people of whom nothing is collected."
        )
        self.merges = self._counter("profile_merges", "Profiles merged into another.")
        self.quarantined = self._counter(
            "quarantined_identifiers", "Identifiers put into quarantine: strangers share them."
        )
        self.ticks = self._counter("ticks_published", "Tick records published.")
        self.transitions = self._counter(
            "segment_transitions", "Membership transitions.", ["segment", "action", "reason"]
        )
        self.event_to_membership = self._histogram(
            "event_to_membership_seconds", "From the event's receipt to the committed membership change."
        )
        self.rebuilds = self._counter("rebuilds", "Partitions rebuilt from history.")
        self.type_mismatches = self._counter(
            "condition_type_mismatches", "Comparisons with a value of another type."
        )
        self.other_currencies = self._counter(
            "condition_other_currencies", "Events left out of an aggregate that names another currency."
        )
        self.cut_points_age = self._gauge(
            "cut_points_age_seconds",
            "Since the oldest RFM cut points in use were computed; 0 while none are in use.",
        )
        self.verify_checked = self._counter(
            "verify_checked", "Customers whose membership was compared with a recomputation.", ["segment"]
        )
        self.verify_mismatches = self._counter(
            "verify_mismatches", "Customers whose membership differed from the recomputation.", ["segment"]
        )
        self.verify_last_run = self._gauge(
            "verify_last_run_seconds",
            "When the segment was last compared, in seconds since the epoch.",
            ["segment"],
        )
        self.timers = self._gauge("timers_armed", "Customers with an armed deadline.", ["partition"])
        self.state_memory = self._gauge("state_memory_bytes", "Memory that the Redis of segment state uses.")
        self.state_memory_limit = self._gauge(
            "state_memory_limit_bytes", "Its maxmemory, beyond which it refuses writes; 0 where none is set."
        )

        self.spans = self._counter(
            "spans",
            "Spans of sampled traces: exported, failed (the receiver did not take them), dropped (no room).",
            ["outcome"],
        )
        self.webhook_deliveries = self._counter(
            "webhook_deliveries",
            "Attempts to deliver a webhook, by how they ended: delivered, retried later, failed for good.",
            ["subscription", "outcome"],
        )
        self.webhooks_disabled = self._counter(
            "webhook_subscriptions_disabled",
            "Webhook subscriptions disabled: the receiver is gone, failing for days, or has exhausted many.",
            ["reason"],
        )

        self.messages = self._counter("messages", "Messages by status reached.", ["campaign", "channel", "status"])
        self.provider_down = self._gauge(
            "provider_down", "1 while the breaker of a channel's provider is open.", ["channel", "provider"]
        )
        self.entry_to_provider = self._histogram(
            "entry_to_provider_seconds", "From a segment entry to the provider's answer.", ["channel"]
        )
        self.event_to_provider = self._histogram(
            "event_to_provider_seconds",
            "From the receipt of the event behind an entry to the provider's answer, where nothing put it off.",
            ["channel"],
        )
        self.unknown_messages = self._gauge(
            "messages_unknown", "Messages of which nobody knows whether they were sent.", ["channel"]
        )
        self.unknown_age = self._gauge(
            "messages_unknown_oldest_age_seconds", "Since the oldest of them was declared unknown.", ["channel"]
        )
        self.due_messages = self._gauge(
            "messages_due", "Messages that may be sent now and are not claimed yet.", ["channel"]
        )
        self.due_age = self._gauge(
            "messages_due_oldest_age_seconds", "Since the longest waiting of them was due.", ["channel"]
        )
        self.sends_in_flight = self._gauge(
            "sends_in_flight", "Messages that this process has claimed and not settled.", ["channel"]
        )
        self.sends_limit = self._gauge("sends_limit", "How many it may have claimed at a time.", ["channel"])
        self.journeys_waiting = self._gauge("journeys_waiting", "Journeys that have a step to come.")
        self.journeys_due = self._gauge("journeys_due", "Journeys whose step is due and not done yet.")
        self.hooks = self._counter(
            "hook_calls", "Calls of messaging providers to ingest: taken, or forged.", ["provider", "what"]
        )
        self.callbacks = self._counter(
            "provider_callbacks",
            "What providers called with: a receipt by its outcome, inbound, or unmatched.",
            ["provider", "what"],
        )
        self.vouchers_left = self._gauge(
            "voucher_codes_left",
            "Codes that a voucher pool can still give; not of pools without an end.",
            ["pool"],
        )

    def forget_partition(self, partition: int) -> None:
        """Take down what this process said of a partition that is not its own any more: somebody else speaks for
        it now."""
        for gauge in (self.lag, self.oldest_age, self.standstill, self.outbox, self.timers):
            gauge.remove_by_labels({"partition": str(partition)})

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"headrace_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"headrace_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str] = ()) -> Histogram:
        return Histogram(f"headrace_{name}", text, labels, registry=self.registry, buckets=LATENCY_BUCKETS)
