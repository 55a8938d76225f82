"""Settings: typed, from a mapping handed in, and every refusal says what to write."""

from pathlib import Path

import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment, common_settings

REQUIRED = {"HEADRACE_LOG_URL": "redis://127.0.0.1:6379", "HEADRACE_ADMIN_TOKEN": "secret"}


def test_text_is_as_given() -> None:
    assert Environment({"A": " x y "}).text("A") == " x y "


def test_a_default_stands_for_what_is_absent_or_empty() -> None:
    assert Environment({}).text("A", "d") == "d"
    assert Environment({"A": ""}).text("A", "d") == "d"


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="HEADRACE_LOG_URL is not set"):
        Environment({}).text("HEADRACE_LOG_URL")


def test_optional_is_none_when_absent_or_empty() -> None:
    assert Environment({"A": ""}).optional("A") is None
    assert Environment({}).optional("B") is None
    assert Environment({"A": "x"}).optional("A") == "x"


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n", encoding="utf-8")
    assert Environment({"TOKEN_FILE": str(file)}).text("TOKEN") == "s3cret"


def test_the_variable_itself_wins_over_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from file", encoding="utf-8")
    assert Environment({"TOKEN": "direct", "TOKEN_FILE": str(file)}).text("TOKEN") == "direct"


def test_an_unreadable_secret_is_an_error_not_a_default(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TOKEN_FILE"):
        Environment({"TOKEN_FILE": str(tmp_path / "absent")}).text("TOKEN", "default")


@pytest.mark.parametrize(("raw", "expected"), [("0", 0), ("7", 7), ("007", 7)])
def test_integers(raw: str, expected: int) -> None:
    assert Environment({"N": raw}).integer("N", 3) == expected


@pytest.mark.parametrize("raw", ["-1", "1.5", "x", "1e3", "٣", "99", " 5"])
def test_what_is_no_integer_in_range_is_refused(raw: str) -> None:
    with pytest.raises(SettingsError, match=r"N=.* whole number from 0 to 10"):
        Environment({"N": raw}).integer("N", 3, low=0, high=10)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("250ms", 250),
        ("90s", 90_000),
        ("90", 90_000),
        ("10m", 600_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("2w", 1_209_600_000),
        ("0", 0),
    ],
)
def test_durations(raw: str, expected: int) -> None:
    assert Environment({"D": raw}).duration_ms("D", "1s") == expected


@pytest.mark.parametrize("raw", ["1.5h", "-1s", "1y", "s", "1 h", "1h30m"])
def test_what_is_no_duration_is_refused(raw: str) -> None:
    with pytest.raises(SettingsError, match="must be a duration such as"):
        Environment({"D": raw}).duration_ms("D", "1s")


@pytest.mark.parametrize(
    ("raw", "expected"), [("true", True), ("1", True), ("YES", True), ("no", False), ("0", False)]
)
def test_flags(raw: str, expected: bool) -> None:
    assert Environment({"F": raw}).flag("F", not expected) is expected


def test_what_is_no_flag_is_refused() -> None:
    with pytest.raises(SettingsError, match="must be true or false"):
        Environment({"F": "maybe"}).flag("F")


def test_common_settings_embedded() -> None:
    settings = common_settings(Environment(REQUIRED))
    assert (settings.partitions, settings.rollback_horizon_ms) == (4, 600_000)
    assert settings.host == "127.0.0.1"
    assert settings.log_json


def test_a_stall_is_not_called_so_within_a_minute() -> None:
    assert common_settings(Environment(REQUIRED)).stall_seconds == 120
    assert common_settings(Environment({**REQUIRED, "HEADRACE_STALL_SECONDS": "600"})).stall_seconds == 600
    with pytest.raises(SettingsError, match="HEADRACE_STALL_SECONDS='5' must be a whole number from 60"):
        common_settings(Environment({**REQUIRED, "HEADRACE_STALL_SECONDS": "5"}))


def test_common_settings_on_kafka() -> None:
    settings = common_settings(Environment({**REQUIRED, "HEADRACE_LOG_URL": "kafka://broker:9092"}))
    assert (settings.partitions, settings.rollback_horizon_ms) == (24, 86_400_000)


def test_the_prefix_stands_before_a_topics_name() -> None:
    settings = common_settings(Environment({**REQUIRED, "HEADRACE_TOPIC_PREFIX": "shop1."}))
    assert settings.topic("cdp.events.v1") == "shop1.cdp.events.v1"


@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_what_every_service_needs_is_demanded(missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        common_settings(Environment({name: value for name, value in REQUIRED.items() if name != missing}))
