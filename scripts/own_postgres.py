"""A PostgreSQL server that a test run starts for itself and stops: own folder, own password, loopback only."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from scripts.ports import free_port

START_WAIT_S = 30.0
SETTINGS = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]


def programs() -> Path | None:
    """The folder of the newest server's programs, which Debian keeps off the PATH; None when there is no server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None


@contextlib.contextmanager
def started(programs: Path) -> Iterator[str]:
    """A server for as long as the block lasts; yields its URL."""
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="tessera-postgres-") as name:
        folder = Path(name)
        data, password_file, password = folder / "data", folder / "password", secrets.token_urlsafe(16)
        password_file.write_text(password)
        for path in (folder, password_file):
            os.chown(path, user, -1)
        initdb = [str(programs / "initdb"), "-D", str(data), "--username=tessera", "--auth=scram-sha-256", "--no-sync"]
        options = [f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run([*initdb, *options], user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        port = free_port()
        settings = [word for setting in [f"port={port}", *SETTINGS] for word in ("-c", setting)]
        command = [str(programs / "postgres"), "-D", str(data), *settings]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
        url = f"postgresql://tessera:{password}@127.0.0.1:{port}/postgres"
        try:
            _wait_until_it_answers(url)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # its "fast shutdown"
            server.wait(timeout=START_WAIT_S)


def _wait_until_it_answers(url: str) -> None:
    until = time.monotonic() + START_WAIT_S
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
