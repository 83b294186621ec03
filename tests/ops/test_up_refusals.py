"""What stops `make up` before anything is started: one line each, that says what to do, and nothing left running."""

import hashlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts import install, ports, up


def start(data_dir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`make up` with a bare environment, as far as it gets."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.up"],
        env={"PATH": "/usr/bin:/bin", "TESSERA_DATA_DIR": str(data_dir)} | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in words), line


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port(tmp_path: Path, taken_port: int) -> None:
    done = start(tmp_path, TESSERA_PORT=str(taken_port))
    assert_one_line(done, f"Port {taken_port}", "taken", "TESSERA_PORT")


def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = start(tmp_path / "file" / "var")
    assert_one_line(done, str(tmp_path / "file"), "TESSERA_DATA_DIR")


def test_a_data_directory_in_use(tmp_path: Path) -> None:
    with up.open_data_dir(tmp_path):
        assert_one_line(start(tmp_path), "Another Tessera", "TESSERA_DATA_DIR", "TESSERA_PORT")


def test_a_data_directory_whose_path_no_socket_can_have(tmp_path: Path) -> None:
    done = start(tmp_path / ("long" * 25), TESSERA_PORT=str(ports.free_port()))
    assert_one_line(done, "longer than", "TESSERA_DATA_DIR", "shorter")


def test_a_wrong_value_is_named(tmp_path: Path) -> None:
    assert_one_line(start(tmp_path, TESSERA_PORT="70000"), "TESSERA_PORT", "70000", "65535")


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**10, 10**10 - 3 * 10**6, 3 * 10**6))
    with pytest.raises(SystemExit, match=r"Only 3 MB are free at .*: make room"):
        up.open_data_dir(tmp_path)


def test_a_too_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, not 3\.9: install one"):
        install.main()


def test_the_installed_weights_are_the_ones_named() -> None:
    (weights,) = Path(sys.prefix).glob(install.MINILM)
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == install.MINILM_SHA256
