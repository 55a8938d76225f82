"""Reading the URLs that name providers. Errors name the variable and show a URL that works, never a secret."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from headrace.contracts.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ProviderUrl:
    """One URL, in its parts. `plain` is set by `+http` after the scheme, for a test host."""

    variable: str
    example: str
    scheme: str
    plain: bool
    host: str
    port: int | None
    user: str | None
    password: str | None
    query: Mapping[str, str]

    @property
    def base_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{'http' if self.plain else 'https'}://{host}{port}"

    @property
    def rate(self) -> float | None:
        """Messages per second, `&rate=20`."""
        text = self.query.get("rate")
        if text is None:
            return None
        if not text.isascii() or not text.replace(".", "", 1).isdigit() or not float(text) > 0:
            raise self.wrong("has a rate that is no number of messages per second, such as rate=20")
        return float(text)

    def flag(self, name: str) -> bool:
        text = self.query.get(name, "0")
        if text not in ("0", "1"):
            raise self.wrong(f"has a {name} that is neither 0 nor 1")
        return text == "1"

    def only(self, known: Collection[str]) -> None:
        """Raises SettingsError for another parameter than these and `rate`."""
        for name in self.query:
            if name not in known and name != "rate":
                listed = ", ".join(sorted({*known, "rate"}))
                raise SettingsError(f"{self.variable} has an unknown parameter {name}; known: {listed}")

    def wrong(self, what: str) -> SettingsError:
        return SettingsError(f"{self.variable} {what}, e.g. {self.example}")


def read_url(variable: str, text: str, example: str) -> ProviderUrl:
    """Raises SettingsError for what is no URL."""
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        raise SettingsError(f"{variable} must look like {example}")
    scheme, _, plain = url.scheme.partition("+")
    if plain not in ("", "http"):
        raise SettingsError(f"{variable} has a scheme {url.scheme} that is unknown; it must look like {example}")
    query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    return ProviderUrl(
        variable,
        example,
        scheme,
        plain == "http",
        host,
        port,
        unquote(url.username) if url.username else None,
        unquote(url.password) if url.password else None,
        query,
    )
