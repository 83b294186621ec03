"""Where the bytes lie: those of artifacts under their own SHA-256, whole or not at all, each once.

`gallery.services` and `gallery.conversions` alone write artifacts here and `gallery.selectors` alone reads them;
uploads, which go again, have names of their own and belong to `gallery.uploads`. The backend is
STORAGES["default"]: local files below, or an object store that overwrites by name (django-storages' S3 with
`file_overwrite`), by one setting.
"""

import contextlib
import errno
import hashlib
import os
import tempfile
from pathlib import Path

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, default_storage

from webapp.errors import AppError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class WholeFileStorage(FileSystemStorage):
    """Local files that appear complete or not at all, also after a crash; the same name is written over."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself: a name is the hash of its content, so a second writer writes the same."""
        return name

    def _save(self, name: str, content: "File[bytes]") -> str:
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(prefix=".draft-", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(draft).unlink()
            raise
        _sync_folder(target.parent)
        return name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def blob_name(sha256: str) -> str:
    """`ab/cd/abcd...`: two levels keep every folder small."""
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def put(data: bytes) -> str:
    """Keep these bytes and answer their SHA-256; known bytes are not written again.

    Raises:
        AppError: storage_full. Nothing half-written stays.
        OSError: the storage cannot be written to for another reason.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    put_as(blob_name(sha256), data)
    return sha256


def put_as(name: str, data: bytes) -> None:
    """Keep these bytes under a name that nobody else uses for others.

    Raises:
        AppError: storage_full. Nothing half-written stays.
        OSError: the storage cannot be written to for another reason.
    """
    try:
        if not (default_storage.exists(name) and default_storage.size(name) == len(data)):
            default_storage.save(name, ContentFile(data))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        message = "The storage is full, so nothing was kept. An operator must make room; then try again."
        raise AppError("storage_full", 507, message) from error


def open_blob(sha256: str) -> "File[bytes]":
    """The kept bytes, to read and close.

    Raises:
        FileNotFoundError: they are gone.
    """
    return open_named(blob_name(sha256))


def open_named(name: str) -> "File[bytes]":
    """The bytes that `put_as` kept, to read and close.

    Raises:
        FileNotFoundError: they are gone.
    """
    file: File[bytes] = default_storage.open(name, "rb")
    return file


def delete(name: str) -> None:
    """Forget what `put_as` kept; nothing happens when it is gone."""
    default_storage.delete(name)
