"""The embedded broker: amqtt in a process of its own, for demos and tests where nothing is to be installed.

Anonymous, without TLS, meant for 127.0.0.1. It keeps nothing over a restart and may lose what it has acknowledged;
nothing depends on either, because only a receipt counts as delivered.
"""

import argparse
import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType

from vitaledger.errors import MisuseError

_ANONYMOUS = "amqtt.plugins.authentication.AnonymousAuthPlugin"


def serve(host: str, port: int, announce: Callable[[int], None]) -> int:
    """Serve until SIGTERM or SIGINT; `announce` is called with the port when clients can connect. Port 0: a free one.

    Raises:
        MisuseError: the port is taken.
    """
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return asyncio.run(_serve(host, port, announce))


async def _serve(host: str, port: int, announce: Callable[[int], None]) -> int:
    port = _free_port(host, port)
    listener = ListenerConfig(type=ListenerType.TCP, bind=f"{host}:{port}", max_connections=0)
    broker = Broker(BrokerConfig(listeners={"default": listener}, plugins={_ANONYMOUS: {"allow_anonymous": True}}))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await broker.start()
    announce(port)
    await stop.wait()
    await broker.shutdown()
    return 0


def _free_port(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MisuseError(f"{host}:{port}: cannot listen: {error.strerror}") from error
        found: int = probe.getsockname()[1]
        return found


def main() -> int:
    """Serve and print the port."""
    parser = argparse.ArgumentParser(prog="python -m collector.broker", description="An MQTT broker for demos.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883, help="0 takes a free port")
    options = parser.parse_args()
    try:
        return serve(options.host, options.port, lambda port: print(port, flush=True))  # noqa: T201
    except MisuseError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
