"""Compiling the native library: once, and with a plain reason where it cannot be."""

from pathlib import Path

import pytest

from genworkers.nets import native_library
from genworkers.nets.native_library import NativeUnavailableError


def test_without_a_compiler_the_reason_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NativeUnavailableError, match="no C\\+\\+ compiler"):
        native_library.build(tmp_path / "build")


def test_what_a_failing_compiler_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho out of luck >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(NativeUnavailableError, match="out of luck"):
        native_library.build(tmp_path / "build")
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["lock"]


@pytest.mark.skipif(not native_library.is_available(), reason="no C++ compiler")
def test_a_compiled_library_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    path = native_library.build()
    monkeypatch.setenv("PATH", "")
    assert native_library.build() == path


@pytest.mark.skipif(not native_library.is_available(), reason="no C++ compiler")
def test_the_read_bandwidth_is_measured() -> None:
    assert native_library.read_bandwidth(num_threads=1, num_bytes=2**22, rounds=2) > 1e8
