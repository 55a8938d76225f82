"""Real servers for `make test-kafka`: Kafka, PostgreSQL and Redis, those of the environment or our own.

Tests take them from these variables; unset means the embedded engine, which `make test` uses.
"""

LOG_URL = "HEADRACE_TEST_LOG_URL"
DATABASE_URL = "HEADRACE_TEST_DATABASE_URL"
REDIS_URL = "HEADRACE_TEST_REDIS_URL"
