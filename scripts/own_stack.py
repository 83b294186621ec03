"""The whole of `make up` for tests and measurements: own port, own data folder, stopped by its process."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from scripts.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
START_WAIT_S = 180.0
STOP_WAIT_S = 30.0


class Stack:
    """Starts everything and returns when the site says that it is ready."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("TESSERA_", "DJANGO_"))}
        self.environment = outside | {"TESSERA_DATA_DIR": str(data_dir), "TESSERA_PORT": str(self.port)}
        self._lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts.up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.sign_in_url = self._wait_for(rf"{self.url}/\S+")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return "".join(self._lines)

    def _wait_for(self, pattern: str) -> str:
        until = time.monotonic() + START_WAIT_S
        while (found := re.search(pattern, self.output.partition("Tessera is ready")[2])) is None:
            ended = self.process.poll() is not None
            if ended or time.monotonic() > until:
                self.stop()
                raise AssertionError(f"it did not become ready:\n{self.output}")
            time.sleep(0.1)
        return found[0]

    def manage(self, *arguments: str) -> str:
        """What a `manage.py` command of this stack prints."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to stop, as an operator would; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        status = self.process.wait(timeout=STOP_WAIT_S)
        self._reader.join(timeout=5)
        return status
