"""Links to a customer's own survey: `/s/{token}`, signed with HMAC-SHA256, compared in constant time.

A token is `key id.survey.profile.expiry.signature`, the expiry in seconds since 1970, or 0 for none. It names a
survey and a profile, and serves nothing but that survey.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from headrace.contracts.errors import SettingsError
from headrace.contracts.instant import Millis

_MAC_BYTES = 16
_TOKEN = re.compile(
    r"([1-9][0-9]{0,8})\.([a-z0-9-]{1,64})\.([A-Za-z0-9_-]{1,128})\.(0|[1-9][0-9]{0,11})\.(.*)", re.ASCII
)
_KEY = re.compile(r"([1-9][0-9]{0,8}):([0-9a-f]{64,128})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SurveyLink:
    """Whose survey it is."""

    survey_id: str
    profile_id: str


@dataclass(frozen=True, slots=True)
class SurveyKeys:
    """Signing keys by id. The one with the greatest id signs; all verify, so that a key can be replaced."""

    keys: Mapping[int, bytes] = field(repr=False)

    def sign(self, link: SurveyLink, *, expires_at: Millis | None = None) -> str:
        """The token. It is good until `expires_at`, rounded up to the second; None: for ever."""
        key_id = max(self.keys)
        seconds = -(-expires_at // 1000) if expires_at is not None else 0
        named = f"{key_id}.{link.survey_id}.{link.profile_id}.{seconds}"
        return f"{named}.{self._mac(key_id, named)}"

    def verify(self, token: str, now: Millis) -> SurveyLink | None:
        """What a token that we signed and that has not expired is for, else None."""
        match = _TOKEN.fullmatch(token)
        if match is None or int(match[1]) not in self.keys:
            return None
        expected = self._mac(int(match[1]), token[: match.start(5) - 1])
        if not hmac.compare_digest(expected.encode(), match[5].encode("utf-8", "surrogatepass")):
            return None
        expires = int(match[4])
        return None if expires and now >= expires * 1000 else SurveyLink(match[2], match[3])

    def _mac(self, key_id: int, named: str) -> str:
        digest = hmac.digest(self.keys[key_id], f"headrace survey link v1:{named}".encode(), sha256)
        return base64.urlsafe_b64encode(digest[:_MAC_BYTES]).rstrip(b"=").decode()


def read_survey_keys(variable: str, text: str) -> SurveyKeys:
    """`1:<hex>`, several joined by commas. Raises SettingsError, without the secrets."""
    keys: dict[int, bytes] = {}
    for part in text.split(","):
        match = _KEY.fullmatch(part.strip().lower())
        if match is None or len(match[2]) % 2 or int(match[1]) in keys:
            raise SettingsError(
                f"{variable} must be keys as 1:<64 hexadecimal digits>, each with a number of its own, joined by "
                "commas; make one with: openssl rand -hex 32"
            )
        keys[int(match[1])] = bytes.fromhex(match[2])
    return SurveyKeys(keys)


@dataclass(frozen=True, slots=True)
class SurveyLinks:
    """Makes links. `base` is where customers reach the profile service's pages."""

    base: str
    keys: SurveyKeys

    def to(self, survey_id: str, profile_id: str, *, expires_at: Millis | None = None) -> str:
        return f"{self.base}/s/{self.keys.sign(SurveyLink(survey_id, profile_id), expires_at=expires_at)}"
