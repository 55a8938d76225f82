"""Record headers: CloudEvents' Kafka binding and ours."""

from headrace.contracts import headers


def test_cloud_event_names_follow_the_kafka_binding() -> None:
    built = headers.cloud_event(kind="event.v1", event_id="m1", source="ingest", subject="p1", traceparent="00-t")
    assert dict(built) == {
        "ce_specversion": b"1.0",
        "ce_type": b"io.headrace.event.v1",
        "ce_source": b"headrace/ingest",
        "ce_id": b"m1",
        "content-type": b"application/json",
        "ce_subject": b"p1",
        "traceparent": b"00-t",
    }


def test_what_is_absent_has_no_header() -> None:
    names = [name for name, _ in headers.cloud_event(kind="event.v1", event_id="m1", source="ingest")]
    assert "ce_subject" not in names
    assert "traceparent" not in names


def test_the_last_header_of_a_name_counts() -> None:
    pairs = [("a", b"1"), ("b", b"2"), ("a", b"3")]
    assert headers.header(pairs, "a") == b"3"
    assert headers.header(pairs, "c") is None


def test_store_output_reads_back() -> None:
    built = headers.store_output(source="profiles", epoch=2, seq=41, position="41/0/p1/0")
    assert headers.header(built, headers.SOURCE) == b"profiles"
    assert headers.header(built, headers.EPOCH) == b"2"
    assert headers.header(built, headers.SEQ) == b"41"
    assert headers.header(built, headers.POSITION) == b"41/0/p1/0"
