"""Bytes lie under their hash, whole or not at all."""

import hashlib
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_django import Settings

from webapp.errors import AppError
from webapp.gallery import storage


@pytest.fixture
def blobs(settings: Settings, tmp_path: Path) -> Path:
    """An empty storage of the test's own."""
    folder = tmp_path / "blobs"
    backend = "webapp.gallery.storage.WholeFileStorage"
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": backend, "OPTIONS": {"location": folder}}}
    return folder


def all_files(folder: Path) -> list[Path]:
    """Every file, drafts included."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_come_back_by_their_hash(blobs: Path) -> None:
    sha256 = storage.put(b"tessera")
    assert sha256 == hashlib.sha256(b"tessera").hexdigest()
    with storage.open_blob(sha256) as file:
        assert file.read() == b"tessera"
    assert all_files(blobs) == [blobs / sha256[:2] / sha256[2:4] / sha256]


def test_known_bytes_are_not_written_again(blobs: Path) -> None:
    path = blobs / storage.blob_name(storage.put(b"tessera"))
    before = path.stat().st_mtime_ns, path.stat().st_ino
    storage.put(b"tessera")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_a_truncated_file_is_mended(blobs: Path) -> None:
    path = blobs / storage.blob_name(storage.put(b"tessera"))
    path.write_bytes(b"tess")
    storage.put(b"tessera")
    assert path.read_bytes() == b"tessera"


def test_writers_of_the_same_bytes_do_not_disturb_each_other(blobs: Path) -> None:
    data = os.urandom(200_000)
    with ThreadPoolExecutor(8) as pool:
        hashes = set(pool.map(lambda _: storage.put(data), range(24)))
    assert len(hashes) == 1
    assert [path.read_bytes() for path in all_files(blobs)] == [data]


def test_a_file_that_finds_no_room_is_said_and_leaves_nothing(blobs: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(AppError) as caught:
            storage.put(bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (caught.value.code, caught.value.http_status) == ("storage_full", 507)
    assert all_files(blobs) == []


def test_another_fault_keeps_its_own_name(blobs: Path) -> None:
    blobs.write_text("a file is in the way")
    with pytest.raises(NotADirectoryError):
        storage.put(b"tessera")


def test_lost_bytes_are_missed_loudly(blobs: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.open_blob("0" * 64)
