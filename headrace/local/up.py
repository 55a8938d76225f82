"""`headrace up`: take the data folder, start the platform, show where it is, stop it on a signal."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from headrace.local.data_folder import DataFolder, Deployment
from headrace.local.engines import choose_engines
from headrace.local.errors import PortTaken
from headrace.local.output import Terminal
from headrace.local.ports import is_free
from headrace.local.readiness import base_url
from headrace.local.services import Service
from headrace.local.settings import UpSettings, port_variable
from headrace.local.stack import LocalStack


def run_up(settings: UpSettings, services: Sequence[Service]) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP. Raises a HeadraceError whose message is for the user."""
    began = time.monotonic()
    shown = None if sys.stdout is None else sys.stdout.fileno()
    _occupy_standard_descriptors()
    folder = DataFolder.open(settings.data_dir)
    terminal = Terminal(shown)
    try:
        folder.demand_space(settings.min_free_mb)
        ports = free_ports(settings, services)
        deployment = folder.deployment(settings.partitions, default=settings.default_partitions)
        asyncio.run(_serve(settings, folder, deployment, ports, terminal, began))
    finally:
        terminal.close()
        folder.close()


def free_ports(settings: UpSettings, services: Sequence[Service]) -> dict[Service, int]:
    """Each service's port. Raises PortTaken, naming the variable to change, when it cannot be listened on."""
    ports: dict[Service, int] = {}
    for service in services:
        port = settings.port(service.name, service.port)
        change = f"set {port_variable(service.name)} to another"
        if port in ports.values():
            raise PortTaken(f"port {port} is given to two services: {change}")
        try:
            taken = not is_free(port, settings.host)
        except OSError as error:
            raise PortTaken(
                f"{service.name} cannot listen on {settings.host} port {port} ({error.strerror}): {change}"
            ) from error
        if taken:
            raise PortTaken(f"port {port}, which {service.name} needs, is taken: stop what uses it, or {change}")
        ports[service] = port
    return ports


def _occupy_standard_descriptors() -> None:
    """Where standard input, output or error is closed, put the null device: a file of ours that got its number
    would become our children's output."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


async def _serve(
    settings: UpSettings,
    folder: DataFolder,
    deployment: Deployment,
    ports: Mapping[Service, int],
    terminal: Terminal,
    began: float,
) -> None:
    engines = choose_engines(settings, folder, deployment)
    stack = LocalStack(settings, folder, deployment, engines, ports, terminal)
    stop = _stop_on_signals(stack)
    starting = asyncio.create_task(stack.start(), name="start")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await starting
            terminal.print(_welcome(settings, folder, deployment, ports, time.monotonic() - began))
            await stopping
        terminal.show("up", "stopping")
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        stopping.cancel()
        await stack.stop()


def _stop_on_signals(stack: LocalStack) -> asyncio.Event:
    """Set by the first signal; a second one does not wait for a clean stop."""
    stop = asyncio.Event()
    killing: list[asyncio.Task[None]] = []

    def on_signal() -> None:
        if stop.is_set():
            killing.append(asyncio.create_task(stack.kill(), name="kill"))
        stop.set()

    loop = asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    return stop


def _welcome(
    settings: UpSettings,
    folder: DataFolder,
    deployment: Deployment,
    ports: Mapping[Service, int],
    seconds: float,
) -> str:
    rows = [
        (service.name, base_url(settings.host, port))
        for service, port in sorted(ports.items(), key=lambda item: item[1])
    ]
    rows += [
        ("", ""),
        ("write key", settings.write_key or deployment.write_key),
        ("admin token", settings.admin_token or deployment.admin_token),
        ("outbox", str(folder.outbox)),
        ("logs", str(folder.logs)),
    ]
    table = "\n".join(f"  {name:<12} {value}".rstrip() for name, value in rows)
    return f"\nHeadrace is ready after {seconds:.1f} s. Ctrl-C stops it.\n\n{table}\n"
