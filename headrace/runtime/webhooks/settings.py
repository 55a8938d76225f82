"""Where webhooks may go, as the operator says."""

from ipaddress import ip_network

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment
from headrace.runtime.webhooks.address import ANYWHERE, Reach


def webhook_reach(env: Environment) -> Reach:
    """Raises SettingsError for what is no network."""
    if env.flag("HEADRACE_WEBHOOK_ALLOW_PRIVATE"):
        return ANYWHERE
    texts = [text.strip() for text in env.text("HEADRACE_WEBHOOK_ALLOW", "").split(",")]
    try:
        return Reach(tuple(ip_network(text) for text in texts if text))
    except ValueError as error:
        raise SettingsError(
            f"HEADRACE_WEBHOOK_ALLOW must be networks joined by commas, e.g. 127.0.0.1/32,10.1.0.0/16: {error}"
        ) from error
