"""HTTP to the services: one small client whose errors say what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from headrace.cli.deployment import Deployment
from headrace.contracts.errors import HeadraceError

_TIMEOUT = 30.0


class Unreachable(HeadraceError):
    """A service does not answer. Start it, or name where it is."""


class Refused(HeadraceError):
    """A service answered with an error; the message is its own."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Service:
    """One service's admin API."""

    def __init__(self, deployment: Deployment, name: str) -> None:
        self._name = name
        self._url = deployment.url(name)
        self._headers = {"Authorization": f"Bearer {deployment.admin_token()}"}

    def get(self, path: str, **query: str) -> Any:
        return self._call("GET", path, params=query)

    def put(self, path: str, body: object) -> Any:
        return self._call("PUT", path, json=body)

    def post(
        self, path: str, body: object = None, *, timeout: float | None = _TIMEOUT, key: str | None = None
    ) -> Any:
        """`key`: the request's idempotency key."""
        return self._call("POST", path, json=body, timeout=timeout, headers=_keyed(key))

    def upload(self, path: str, content: bytes, *, content_type: str, key: str | None = None, **query: str) -> Any:
        headers = {"Content-Type": content_type, **_keyed(key)}
        return self._call("POST", path, content=content, timeout=None, headers=headers, params=query)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def items(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next")
            if not cursor:
                return

    def download(self, path: str, **query: str) -> Iterator[bytes]:
        """The body of an answer in pieces, as they come. Raises Unreachable also when it breaks off."""
        url = self._url + path
        with (
            self._errors(),
            httpx.stream(
                "GET", url, headers=self._headers, timeout=_TIMEOUT, trust_env=False, params=query
            ) as response,
        ):
            if response.is_error:
                response.read()
                raise Refused(response.status_code, f"{self._name}: {words(response)}")
            yield from response.iter_bytes()

    def _call(
        self,
        method: str,
        path: str,
        *,
        timeout: float | None = _TIMEOUT,
        headers: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Any:
        with self._errors():
            # trust_env: a proxy setting must not get between the command and the services
            response = httpx.request(
                method,
                self._url + path,
                headers={**self._headers, **(headers or {})},
                timeout=timeout,
                trust_env=False,
                **request,
            )
        if response.is_error:
            raise Refused(response.status_code, f"{self._name}: {words(response)}")
        return response.json() if response.content else None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise Unreachable(
                f"{self._name} does not answer at {self._url}; is `headrace up` running? "
                f"(HEADRACE_{self._name.upper()}_URL says where it is)"
            ) from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._name} at {self._url}: {type(error).__name__}; try again") from error


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def words(response: httpx.Response) -> str:
    """What the service says about an error: its message, and the problems of a definition line by line."""
    try:
        body = response.json()
        problems = body.get("problems") or []
        lines = [f"{p['path'] or '(top)'}: {p['reason']}: {p['suggestion']}".rstrip(": ") for p in problems]
        return "\n  ".join([str(body["message"]), *lines]) if not problems else "\n  ".join(["refused", *lines])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{response.status_code} {response.reason_phrase}"
