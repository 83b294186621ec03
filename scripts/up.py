"""`make up`: checks the ground, starts Redis, readies the database, runs the Procfile, and says where to sign in.

Everything it started ends with it, on Ctrl-C, on SIGTERM and on failure. Installing is scripts/install.py's work.
"""

import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from scripts import embedded_redis
from webapp.env import BASE_DIR, Environment, read_environment

NEEDED_BYTES = 1024**3
STOP_WAIT_S = 15.0
PROBE_EVERY_S = 0.25


class Stopped(BaseException):
    """Somebody asked us to stop."""


class Services:
    """The processes of this run, each in a session of its own, so that Ctrl-C reaches us alone."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *command: str, stdout: int | None = None) -> subprocess.Popen[str]:
        """Start a command of this environment's Python."""
        started = subprocess.Popen(
            [sys.executable, *command],
            cwd=BASE_DIR,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            text=True,
            start_new_session=True,
        )
        self._running.append(started)
        return started

    def has_lost_one(self) -> bool:
        """Whether a service ended by itself."""
        return any(service.poll() is not None for service in self._running)

    def forget(self, service: subprocess.Popen[str]) -> None:
        """No longer count a command that had to end."""
        self._running.remove(service)

    def stop(self) -> None:
        """End every service, the last started first, so that Redis outlives those who write to it."""
        for service in reversed(self._running):
            service.terminate()
            try:
                service.wait(timeout=STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(service.pid, signal.SIGKILL)
                service.wait()


def open_data_dir(folder: Path) -> IO[str]:
    """Make the data directory if it is missing, check it, and lock it for as long as the result stays open."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = (folder / "up.lock").open("a")
    except OSError as error:
        sys.exit(f"Cannot write to {folder} ({error.strerror}): set TESSERA_DATA_DIR to a folder that you own.")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another Tessera uses {folder}: stop it, or set TESSERA_DATA_DIR and TESSERA_PORT for this one.")
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < NEEDED_BYTES:
        sys.exit(f"Only {free_bytes / 1e6:.0f} MB are free at {folder}: make room for 1 GB, or set TESSERA_DATA_DIR.")
    return held


def check_port(host: str, port: int) -> None:
    """End with one line unless the site can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
            sys.exit(f"Port {port} of {host} {why}: set TESSERA_PORT to another one, for example {port + 1}.")


def prepare_redis(environment: Environment, data_dir: Path) -> list[str]:
    """The command of the embedded Redis, or nothing when the operator named another."""
    if environment.redis_url:
        return []
    try:
        return embedded_redis.prepare(data_dir / "redis").command
    except ValueError as error:
        sys.exit(f"{error}: set TESSERA_DATA_DIR to a shorter path.")


def wait_until_ready(services: Services, url: str) -> None:
    """Return once the site answers; end when a service gives up before."""
    while not services.has_lost_one():
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(PROBE_EVERY_S)


def stop_when_told() -> None:
    """Turn SIGTERM and Ctrl-C into the one exception that unwinds main()."""

    def unwind(signum: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise Stopped

    signal.signal(signal.SIGTERM, unwind)
    signal.signal(signal.SIGINT, unwind)


def main() -> int:
    """Run until told to stop (status 0) or until a service is beyond saving (status 1)."""
    stop_when_told()
    environment = read_environment()
    data_dir = environment.data_dir.resolve()
    with open_data_dir(data_dir):
        check_port(environment.host, environment.port)
        redis_command = prepare_redis(environment, data_dir)
        services = Services(
            os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
                "PYTHONUNBUFFERED": "1",
                "GRANIAN_HOST": environment.host,
                "GRANIAN_PORT": str(environment.port),
                "KEEP_WHILE_PID": str(os.getpid()),
            }
        )
        try:
            return serve(services, environment, redis_command)
        except Stopped:
            print("Stopping.", flush=True)
            return 0
        finally:
            services.stop()


def serve(services: Services, environment: Environment, redis_command: list[str]) -> int:
    """Start everything in order, print where it is, and watch it."""
    if redis_command:
        services.start("-m", "scripts.keep", *redis_command, stdout=subprocess.DEVNULL)
    preparing = services.start("-m", "scripts.prepare", stdout=subprocess.PIPE)
    bootstrap_words, _ = preparing.communicate()
    services.forget(preparing)
    if preparing.returncode:
        return 1
    services.start("-m", "honcho", "start")
    host = "127.0.0.1" if environment.host in ("0.0.0.0", "::") else environment.host
    wait_until_ready(services, f"http://{host}:{environment.port}")
    if not services.has_lost_one():
        url = environment.base_url or f"http://{host}:{environment.port}"
        print(f"\n{'=' * 72}\nTessera is ready: {url}\n{bootstrap_words.strip()}\n{'=' * 72}\n", flush=True)
    while not services.has_lost_one():
        time.sleep(PROBE_EVERY_S)
    print("A service does not stay up, so everything stops: its last words are above.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
