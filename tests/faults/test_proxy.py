"""The proxy does to connections what the rows of the suite say."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from headrace.local.ports import free_port
from tests.faults.proxy import Proxy


class Echo(socketserver.BaseRequestHandler):
    """Answers what it is told, and remembers it."""

    heard: list[bytes]

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(1024):
                type(self).heard.append(data)
                self.request.sendall(data)


@pytest.fixture
def heard() -> list[bytes]:
    Echo.heard = []
    return Echo.heard


@pytest.fixture
def proxy(heard: list[bytes]) -> Iterator[Proxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with Proxy(free_port(), server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()
        thread.join()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        client.sendall(b"hello")
        assert client.recv(1024) == b"hello"
        yield client


def ended(client: socket.socket) -> bool:
    try:
        return client.recv(1024) == b""
    except ConnectionResetError:
        return True


def test_a_lost_reply_was_a_request_that_arrived(proxy: Proxy, client: socket.socket, heard: list[bytes]) -> None:
    sprung = proxy.lose_reply(b"COMMIT")

    client.sendall(b"one COMMIT")

    assert ended(client)
    assert sprung.wait(5)
    assert heard == [b"hello", b"one COMMIT"]


def test_a_request_is_cut_before_it_arrives(proxy: Proxy, client: socket.socket, heard: list[bytes]) -> None:
    sprung = proxy.cut_before(b"COMMIT")

    client.sendall(b"one COMMIT")

    assert ended(client)
    assert sprung.wait(5)
    assert heard == [b"hello"]


def test_a_black_hole_holds_back_until_it_is_healed(
    proxy: Proxy, client: socket.socket, heard: list[bytes]
) -> None:
    proxy.black_hole()
    client.sendall(b"late")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1024)
    assert heard == [b"hello"]
    proxy.heal()
    client.settimeout(5)

    assert client.recv(1024) == b"late"


def test_a_cut_ends_what_is_open_and_nothing_else(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut()

    assert ended(client)
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as again:
        again.sendall(b"again")
        assert again.recv(1024) == b"again"
