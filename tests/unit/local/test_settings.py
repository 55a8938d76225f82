"""The settings of `headrace up`, and what the engines get of them."""

import stat
from pathlib import Path

import pytest

from headrace.contracts.errors import SettingsError
from headrace.local.settings import up_settings
from headrace.local.valkey import Valkey


def test_defaults_are_embedded() -> None:
    settings = up_settings({})
    assert (settings.default_partitions, settings.rollback_horizon_ms) == (4, 600_000)
    assert settings.partitions is None
    assert settings.log_url is None
    assert settings.port("ingest", 8080) == 8080


def test_with_kafka_the_defaults_are_kafka_s() -> None:
    settings = up_settings({"HEADRACE_LOG_URL": "kafka://broker:9092"})
    assert (settings.default_partitions, settings.rollback_horizon) == (24, "24h")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADRACE_PARTITIONS", "0"),
        ("HEADRACE_PARTITIONS", "many"),
        ("HEADRACE_ROLLBACK_HORIZON", "soon"),
        ("HEADRACE_LOG_MEMORY_MB", "1"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        up_settings({name: value})


def test_a_port_that_cannot_be_used_is_named() -> None:
    with pytest.raises(SettingsError, match="HEADRACE_INGEST_PORT"):
        up_settings({"HEADRACE_INGEST_PORT": "70000"}).port("ingest", 8080)


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(up_settings({"HEADRACE_WRITE_KEY": "secret", "HEADRACE_ADMIN_TOKEN": "secret"}))


def test_the_log_s_configuration_is_closed_and_bounded_and_its_command_has_no_password(tmp_path: Path) -> None:
    engine = Valkey("log", tmp_path / "log", 1234, "secret", "always", 64, "HEADRACE_LOG_URL")
    program = engine.prepare(tmp_path)
    configuration = tmp_path / "log" / "valkey.conf"
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    assert "maxmemory 64mb" in configuration.read_text()
    assert "secret" not in " ".join(program.guarded()) + repr(program) + repr(engine)
