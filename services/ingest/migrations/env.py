"""Alembic's entry: runs on the connection that `headrace.runtime.migrations` hands over."""

from headrace.runtime.migrations import run_on_connection

run_on_connection()
