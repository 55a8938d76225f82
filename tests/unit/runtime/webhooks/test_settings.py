"""Where webhooks may go, from the environment."""

import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment
from headrace.runtime.webhooks.address import ANYWHERE, PUBLIC
from headrace.runtime.webhooks.settings import webhook_reach


def test_only_public_addresses_unless_told() -> None:
    assert webhook_reach(Environment({})) == PUBLIC
    assert webhook_reach(Environment({"HEADRACE_WEBHOOK_ALLOW_PRIVATE": "1"})) == ANYWHERE


def test_networks_by_commas() -> None:
    reach = webhook_reach(Environment({"HEADRACE_WEBHOOK_ALLOW": "127.0.0.1/32, 10.1.0.0/16,fd00::/8"}))
    assert reach.allows("10.1.2.3", plain=True)
    assert reach.allows("fd12::1")
    assert not reach.allows("10.2.0.1")


@pytest.mark.parametrize("text", ["localhost", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1/32;10.0.0.0/8"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1/32"):
        webhook_reach(Environment({"HEADRACE_WEBHOOK_ALLOW": text}))
