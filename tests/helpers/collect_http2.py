"""A host that speaks HTTP/2, with and without TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import h2.config
import h2.connection
import h2.events


class Http2Host:
    """Answers every request on `/…` with the bytes that `files` has for its path.

    Args:
        files: by path.
        tls: certificate and key, for https.

    Attributes:
        connections: how many there were.
        headers: of the last request.
    """

    def __init__(self, files: dict[str, bytes], tls: ssl.SSLContext | None = None) -> None:
        self.files = files
        self._tls = tls
        self.connections = 0
        self.requests = 0
        self.headers: dict[str, str] = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", int(self._socket.getsockname()[1])

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                # The client does not trust the certificate.
                return
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        while data := connection.recv(65536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.requests += 1
                    self.headers = {str(name): str(value) for name, value in event.headers or []}
                    body = self.files.get(self.headers[":path"])
                    assert event.stream_id is not None
                    status = "404" if body is None else "200"
                    state.send_headers(event.stream_id, [(":status", status), ("content-type", "image/jpeg")])
                    state.send_data(event.stream_id, body or b"", end_stream=True)
            connection.sendall(state.data_to_send())


@contextmanager
def http2(files: dict[str, bytes], tls: ssl.SSLContext | None = None) -> Iterator[Http2Host]:
    """Run such a host."""
    host = Http2Host(files, tls)
    try:
        yield host
    finally:
        host.close()
