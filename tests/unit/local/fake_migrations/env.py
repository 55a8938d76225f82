"""Alembic's entry, as a service has it."""

from headrace.runtime.migrations import run_on_connection

run_on_connection()
