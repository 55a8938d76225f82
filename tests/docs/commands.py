"""The `headrace` command for a page's shell, without Python's start for each: one process has everything imported
and forks for each command. The child is the command as `headrace` runs it: arguments, folder, environment, streams
and exit code are the caller's."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path

from headrace.cli.main import main
from tests.docs.blocks import ROOT

_CALLER = """\
#!{python} -IS
import json, os, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect({address!r})
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(asked, [len(call).to_bytes(4, "big")], [0, 1, 2])
asked.sendall(call)
sys.exit(asked.recv(1)[0])
"""


@contextlib.contextmanager
def headrace_command(program: Path) -> Iterator[None]:
    """Puts a program there that acts as `headrace` while the context lasts."""
    address = program.with_name("headrace.socket")
    program.write_text(textwrap.dedent(_CALLER).format(python=sys.executable, address=str(address)))
    program.chmod(0o755)
    server = subprocess.Popen(
        (sys.executable, "-m", "tests.docs.commands", str(address)),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.communicate()


def serve(address: str) -> None:
    """Until standard input ends: whoever started it is done, or gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a connection's child
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(8)
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            caller, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(caller)
            caller.close()


def _answer(caller: socket.socket) -> None:
    """In the child: be the command, tell the caller its exit code, end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, streams, _, _ = socket.recv_fds(caller, 4, 3)
    arguments, folder, environment = json.loads(_exactly(caller, int.from_bytes(length, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["headrace", *arguments]
    caller.send(bytes([_run()]))
    os._exit(0)


def _run() -> int:
    """The exit code. What the interpreter does at its end is done here: print an error, write what is buffered."""
    code: object = 1
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _exactly(stream: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += stream.recv(size - len(got))
    return got


if __name__ == "__main__":
    serve(sys.argv[1])
