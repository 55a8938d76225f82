"""Every request of a FastAPI service is counted and timed, by its route's template, also one that fails."""

import asyncio

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from headrace.contracts.errors import ApiError
from headrace.runtime.access.guard import Access
from headrace.runtime.http import create_app
from headrace.runtime.http_metrics import MeasuredHttp
from headrace.runtime.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
def client(metrics: Metrics) -> httpx.AsyncClient:
    app = create_app("test", metrics=metrics, checks={}, access=Access.by_root("test", {}, "admin"))

    @app.get("/v1/people/{person}")
    async def person(person: int) -> dict[str, int]:
        return {"person": person}

    @app.get("/v1/busy")
    async def busy() -> None:
        raise ApiError(503, "log_unavailable", "Try again in a moment.")

    @app.get("/v1/crash")
    async def crash() -> None:
        raise RuntimeError("a defect")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Requests by route and status."""
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in metrics.http_requests.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/v1/people/7", "/v1/people/{person}", "200"),
        ("/v1/people/nobody", "/v1/people/{person}", "400"),
        ("/v1/busy", "/v1/busy", "503"),
        ("/v1/crash", "/v1/crash", "500"),
        ("/healthz", "/healthz", "200"),
        ("/etc/passwd", "unmatched", "404"),
        ("/v1/people/7/e@shop.test", "unmatched", "404"),
    ],
)
async def test_a_request_is_counted_and_timed(
    client: httpx.AsyncClient, metrics: Metrics, path: str, route: str, status: str
) -> None:
    for _ in range(2):
        await client.get(path)
    assert counted(metrics) == {(route, status): 2}
    seconds = metrics.registry.get_sample_value("headrace_http_request_seconds_count", {"route": route})
    assert seconds == 2


async def test_a_client_that_left_is_told_from_an_error(metrics: Metrics) -> None:
    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent")

    request = asyncio.ensure_future(MeasuredHttp(waits, metrics)({"type": "http"}, receive, send))
    await asyncio.sleep(0)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert counted(metrics) == {("unmatched", "499"): 1}
