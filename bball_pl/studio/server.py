"""The studio's server: one process on a free port, its address in the terminal, and a quiet end."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import threading
import webbrowser
from dataclasses import replace

import uvicorn

from bball_pl.errors import ConfigError
from bball_pl.studio.app import create_app
from bball_pl.studio.settings import Settings

#: Ports that are tried after the wanted one.
_MORE_PORTS = 20


def serve(settings: Settings, open_browser: bool = False, show_token: bool = True) -> None:
    """Serve the studio until Ctrl-C or SIGTERM.

    Args:
        settings: of this start; a port of 0 takes any that is free, and one that is taken gives way to the next.
        open_browser: show the page in the user's browser.
        show_token: print the address with the token; one that the user gave is not repeated.

    Raises:
        ConfigError: if nothing can listen at the host.
    """
    listening = listen(settings.host, settings.port)
    settings = replace(settings, port=listening.getsockname()[1])
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=128,
        timeout_graceful_shutdown=2,
        ws="none",
        http="h11",
        lifespan="on",
        # Nobody stands before this server: what a header says about an address is not believed.
        proxy_headers=False,
    )
    address = url(settings, show_token)
    print(f"studio: {address}", flush=True)
    if settings.token:
        whose = "the token is in the address" if show_token else "the token is the one that you gave"
        print(f"  Others in your network can reach it; {whose}.", flush=True)
    print("  Ctrl-C ends it; every change is on disk as soon as it is shown.", flush=True)
    if open_browser:
        # In a thread: some browsers let their starter wait.
        threading.Thread(target=webbrowser.open, args=(url(settings, True),), daemon=True).start()
    server = uvicorn.Server(config)
    with listening:
        asyncio.run(server.serve([listening]))
    print("studio: ended", file=sys.stderr)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host`, on `port` or the next one that is free.

    Raises:
        ConfigError: if that is not possible, with the reason.
    """
    wanted = [port] if port == 0 else range(port, min(port + _MORE_PORTS, 65536))
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        raise ConfigError(f"there is no host {host} here ({error}); pass --host 127.0.0.1") from None
    for number in wanted:
        listening = socket.socket(family)
        # So that a restart need not wait for the last connections of its predecessor.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address[0], number, *address[2:]))
            listening.listen(128)
            return listening
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                reason = error.strerror or str(error)
                raise ConfigError(
                    f"nothing can listen at {host}:{number} ({reason}); pass another --host or --port"
                ) from None
    raise ConfigError(f"the ports {port} to {wanted[-1]} are all taken; pass another --port")


def url(settings: Settings, with_token: bool) -> str:
    """Return the address of the page, by which the user may come in."""
    host = settings.host
    if host in {"0.0.0.0", "::"}:
        host = _own_address()
    if ":" in host:
        host = f"[{host.strip('[]')}]"
    entrance = f"?token={settings.token}" if settings.token and with_token else ""
    return f"http://{host}:{settings.port}/{entrance}"


def _own_address() -> str:
    """Return the address by which other machines of the network reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A datagram socket sends nothing when it is connected; it only finds the way out.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
