"""The whole platform on this machine: engines first, then topics and migrations, then the services."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from headrace.local.data_folder import DataFolder, Deployment, explained
from headrace.local.engines import Engine, Engines
from headrace.local.errors import StartFailed
from headrace.local.keeper import Keeper
from headrace.local.output import LogFile, Terminal
from headrace.local.postgres import Postgres
from headrace.local.process import Process, describe_end
from headrace.local.program import Program
from headrace.local.readiness import is_ready
from headrace.local.services import Service, migrating
from headrace.local.settings import UpSettings, port_variable
from headrace.runtime.settings import Environment
from headrace.runtime.survey_settings import SURVEY_KEYS

READY_SECONDS = 60.0
EXTERNAL_PATIENCE = 5.0
SERVICE_GRACE = 10.0
ENGINE_GRACE = 20.0


class LocalStack:
    """Starts everything once and keeps it running until `stop`."""

    def __init__(
        self,
        settings: UpSettings,
        folder: DataFolder,
        deployment: Deployment,
        engines: Engines,
        services: Mapping[Service, int],
        terminal: Terminal,
    ) -> None:
        """`services` maps each service to its port, in the order they start."""
        self._settings = settings
        self._folder = folder
        self._deployment = deployment
        self._engines = engines
        self._terminal = terminal
        self._ports = services
        self._environment = self._service_environment()
        self._engine_keepers = {engine: self._engine_keeper(engine) for engine in engines.embedded}
        self._service_keepers = {service.name: self._service_keeper(service) for service in services}

    async def start(self) -> None:
        """Return when every /readyz answers 200. Raises StartFailed or another HeadraceError; call `stop` then."""
        prepared = asyncio.create_task(self._prepare(), name="prepare")
        engines = asyncio.create_task(self._start_engines(), name="engines")
        services = [self._start_service(service, engines, prepared) for service in self._ports]
        await _all_of([engines, prepared, *services])

    async def stop(self) -> None:
        """Services in the reverse order of their start, then the engines. Idempotent."""
        for keeper in reversed(self._service_keepers.values()):
            await keeper.stop(SERVICE_GRACE)
        await asyncio.gather(*(keeper.stop(ENGINE_GRACE) for keeper in self._engine_keepers.values()))

    async def kill(self) -> None:
        """Cut a running `stop` short."""
        await asyncio.gather(
            *(keeper.kill() for keeper in (*self._service_keepers.values(), *self._engine_keepers.values()))
        )

    async def _start_engines(self) -> None:
        await _all_of([self._start_engine(engine, keeper) for engine, keeper in self._engine_keepers.items()])

    async def _start_engine(self, engine: Engine, keeper: Keeper) -> None:
        if isinstance(engine, Postgres) and not engine.initialized:
            with explained(engine.placement.cluster), engine.initialization(self._folder.run) as program:
                await self._run_to_end(program, "Postgres' initdb")
        keeper.start()
        await keeper.wait_ready(READY_SECONDS)

    async def _prepare(self) -> None:
        """Topics and migrations. The process starts at once and waits for the engines by itself."""
        patience = READY_SECONDS if self._engines.embedded else EXTERNAL_PATIENCE
        schemas = [f"{service.schema}={service.migrations}" for service in migrating(self._ports)]
        command = (sys.executable, "-m", "headrace.local.prepare", f"{patience:.0f}", *schemas)
        await self._run_to_end(self._program("prepare", command), "creating topics and schemas")

    async def _start_service(
        self, service: Service, engines: asyncio.Task[None], prepared: asyncio.Task[None]
    ) -> None:
        # shielded: the first error of all must be the one that is raised, not a cancellation of these two
        await asyncio.shield(engines)
        if service.migrates:
            await asyncio.shield(prepared)
        keeper = self._service_keepers[service.name]
        keeper.start()
        await keeper.wait_ready(READY_SECONDS)

    async def _run_to_end(self, program: Program, what: str) -> None:
        """Run a program that ends by itself; raise StartFailed when it fails."""
        log = self._log_file(program.name)
        process = await Process.start(program, lock=self._folder.lock, write=log.write)
        try:
            code = await process.wait()
        finally:
            await process.stop(SERVICE_GRACE)
            log.close()
        if code:
            raise StartFailed(f"{what} failed: {describe_end(code, process.tail)}; see {log.path}")

    def _engine_keeper(self, engine: Engine) -> Keeper:
        async def probe() -> bool:
            return await asyncio.to_thread(engine.answers)

        # engines talk a lot and rarely to the user: their lines go to the file only
        return self._keeper(engine.name, lambda: engine.prepare(self._folder.run), probe, show=False)

    def _service_keeper(self, service: Service) -> Keeper:
        host, port = self._settings.host, self._ports[service]
        program = self._program(service.name, service.command)
        return self._keeper(service.name, lambda: program, lambda: is_ready(host, port), show=True)

    def _keeper(
        self, name: str, prepare: Callable[[], Program], probe: Callable[[], Awaitable[bool]], *, show: bool
    ) -> Keeper:
        return Keeper(
            name,
            prepare,
            probe,
            lock=self._folder.lock,
            log=self._log_file(name),
            show=(lambda line: self._terminal.show(name, line)) if show else _hide,
            report=lambda line: self._terminal.show("up", line),
        )

    def _program(self, name: str, command: tuple[str, ...]) -> Program:
        return Program(name, command, self._folder.run / f"{name}.pid", self._environment)

    def _log_file(self, name: str) -> LogFile:
        return LogFile(self._folder.logs / f"{name}.log")

    def _service_environment(self) -> dict[str, str]:
        settings, deployment = self._settings, self._deployment
        environment = {
            "HEADRACE_LOG_FORMAT": "text",
            **settings.environment,
            "HEADRACE_LOG_URL": self._engines.log_url,
            "HEADRACE_DATABASE_URL": self._engines.database_url,
            "HEADRACE_REDIS_URL": self._engines.redis_url,
            "HEADRACE_DATA_DIR": str(self._folder.path),
            "HEADRACE_HOST": settings.host,
            "HEADRACE_PARTITIONS": str(deployment.partitions),
            "HEADRACE_ROLLBACK_HORIZON": settings.rollback_horizon,
            "HEADRACE_WRITE_KEY": settings.write_key or deployment.write_key,
            "HEADRACE_ADMIN_TOKEN": settings.admin_token or deployment.admin_token,
            SURVEY_KEYS: Environment(settings.environment).optional(SURVEY_KEYS) or f"1:{deployment.survey_key}",
        }
        for service, port in self._ports.items():
            environment[port_variable(service.name)] = str(port)
        return environment


def _hide(line: str) -> None:
    """For lines that are kept in the file only."""


async def _all_of(parts: Sequence[Awaitable[None]]) -> None:
    """Wait for all; at the first error cancel the rest, wait for them too, and raise that error. Each is
    cancelled once: a second cancellation would break off what the first makes it clean up."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = [task for task in tasks if task.done() and not task.cancelled() and task.exception()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in failed:
        task.result()
