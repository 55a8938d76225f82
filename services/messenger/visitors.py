"""Is it a person who opens a message or follows a link, or a machine on the way to one? Pure.

Only what says so itself is known: a scanner that calls itself a browser counts as a person.
"""

import re
from collections.abc import Mapping

# Apple's Mail Privacy Protection: Apple fetches every picture when the mail arrives, read or not. No browser calls
# itself this and nothing more.
_APPLE = "Mozilla/5.0"
_MACHINES = re.compile(
    "|".join(
        (
            r"GoogleImageProxy",  # Gmail: Google's servers fetch pictures for the reader, and keep them
            r"YahooMailProxy",  # Yahoo Mail: the same
            r"YahooCacheSystem",  # Yahoo's older picture cache
            r"\bBarracuda",  # these scan mail for companies, and follow links before anybody reads it
            r"\bProofpoint",
            r"\bMimecast",
            r"\bFireEye",
            r"\bSymantec",
            r"\bTrendMicro|\bTrend Micro",
            r"\bSophos",
            r"\bCloudmark",
            r"SafeLinks|Microsoft Office Existence Discovery",  # Microsoft: looks whether a link leads anywhere
            r"BingPreview|SkypeUriPreview|facebookexternalhit|WhatsApp/",  # previews of links that were passed on
            r"HeadlessChrome|PhantomJS",
            # programs that are no browsers
            r"^(?:curl|Wget|python-|Python/|Go-http-client|Java/|okhttp|axios|node-fetch|libwww-perl|Ruby|PHP)",
            r"(?<!\bcu)bot\b|crawler|spider|scanner",  # Cubot makes phones
        )
    ),
    re.IGNORECASE,
)


def is_machine(headers: Mapping[str, str]) -> bool:
    """By the request's headers, names in lower case. A browser that fetches what might be wanted later says so;
    who does not say what it is, is no mail program or browser."""
    if "prefetch" in headers.get("sec-purpose", headers.get("purpose", headers.get("x-moz", ""))).lower():
        return True
    agent = headers.get("user-agent", "").strip()
    return not agent or agent == _APPLE or _MACHINES.search(agent) is not None
