"""A service process: serves, stops cleanly on a signal, and fails when a background task ends."""

import asyncio
import os
import signal
import subprocess
import sys

import httpx
import pytest
from fastapi import FastAPI

from headrace.runtime import lifecycle
from headrace.runtime.access.guard import Access
from headrace.runtime.http import create_app
from headrace.runtime.lifecycle import serve
from headrace.runtime.metrics import Metrics
from tests.unit.service_runtime.ports import free_port


class Background:
    """A task that runs until cancelled, and says what happened to it."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = False

    async def run(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def service() -> FastAPI:
    return create_app("test", metrics=Metrics("test"), checks={}, access=Access.by_root("test", {}, "admin"))


async def wait_until_up(port: int) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(20):
        while True:
            try:
                response = await client.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
                continue
            assert response.status_code == 200
            return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_server_and_its_tasks(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "DATE_SECONDS", 3_600)  # it is told, it does not look
    port, background = free_port(), Background()
    running = asyncio.create_task(serve(service(), host="127.0.0.1", port=port, background=[background.run()]))
    await wait_until_up(port)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(20):
        assert await running == 0
    assert background.cancelled


async def test_a_background_task_that_fails_ends_the_process_with_an_error() -> None:
    fail = asyncio.Event()
    other = Background()

    async def failing() -> None:
        await fail.wait()
        raise RuntimeError("engine gone")

    port = free_port()
    running = asyncio.create_task(
        serve(service(), host="127.0.0.1", port=port, background=[failing(), other.run()])
    )
    await wait_until_up(port)
    fail.set()
    async with asyncio.timeout(20):
        assert await running == 1
    assert other.cancelled


async def test_a_request_under_way_is_answered_before_the_end() -> None:
    app, arrived, go_on = service(), asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> dict[str, bool]:
        arrived.set()
        await go_on.wait()
        return {"done": True}

    port = free_port()
    running = asyncio.create_task(serve(app, host="127.0.0.1", port=port))
    await wait_until_up(port)
    async with httpx.AsyncClient() as client, asyncio.timeout(20):
        answer = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/slow"))
        await arrived.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        go_on.set()
        assert (await answer).json() == {"done": True}
        assert await running == 0


STUBBORN = """
import asyncio
from headrace.runtime import lifecycle
from tests.unit.service_runtime.test_lifecycle import free_port, service

async def failing():
    raise RuntimeError("stalled")

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("not yet", flush=True)

lifecycle.LAST_SECONDS = 0.5
asyncio.run(lifecycle.serve(service(), host="127.0.0.1", port=free_port(), background=[failing(), stubborn()]))
"""


def test_a_process_that_failed_ends_even_if_something_in_it_does_not() -> None:
    ended = subprocess.run(
        (sys.executable, "-c", STUBBORN), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert "not yet" in ended.stdout
