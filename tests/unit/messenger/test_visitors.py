"""Who opens messages: people in mail programs, or machines that say what they are."""

import pytest

from services.messenger.visitors import is_machine

PEOPLE = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.3.1",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17126; Pro)",
    "Mozilla/5.0 (Linux; Android 10; CUBOT X20 PRO) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
]
MACHINES = [
    "",
    "Mozilla/5.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "BarracudaCentral.org",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/119.0 Safari/537.36",
    "python-requests/2.31.0",
    "curl/8.4.0",
    "WhatsApp/2.23.20 A",
    "Mozilla/5.0 Mimecast URL Protect",
]


@pytest.mark.parametrize("agent", PEOPLE)
def test_people_are_people(agent: str) -> None:
    assert not is_machine({"user-agent": agent})


@pytest.mark.parametrize("agent", MACHINES)
def test_machines_are_machines(agent: str) -> None:
    assert is_machine({"user-agent": agent})


@pytest.mark.parametrize("header", ["sec-purpose", "purpose", "x-moz"])
def test_what_is_fetched_in_advance_nobody_has_seen(header: str) -> None:
    assert is_machine({"user-agent": PEOPLE[0], header: "prefetch"})


def test_who_says_nothing_is_nobody() -> None:
    assert is_machine({})
