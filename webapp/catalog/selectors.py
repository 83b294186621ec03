"""Reads: nets, their adapters and what screens, as their manifests describe them. No weights are loaded here."""

from pathlib import Path
from typing import TypeVar

import structlog
from django.conf import settings
from pydantic import BaseModel, ValidationError

from genworkers.contract.manifests import AdapterManifest, NetManifest

log = structlog.get_logger(__name__)

NET_FILE = "manifest.json"
ADAPTER_FILE = "adapter.json"

Manifest = TypeVar("Manifest", bound=BaseModel)

_manifest_of: dict[Path, tuple[tuple[int, int], BaseModel | None]] = {}


def _read(path: Path, kind: type[Manifest]) -> Manifest | None:
    """The manifest, read again only when the file has changed; None, and one line in the log, when it is broken."""
    try:
        stat = path.stat()
        version = (stat.st_mtime_ns, stat.st_size)
        known = _manifest_of.get(path)
        if known is not None and known[0] == version:
            return known[1] if isinstance(known[1], kind) else None
        content = path.read_bytes()
    except OSError as error:
        log.warning("manifest_unreadable", path=str(path), error=error.strerror)
        return None
    manifest: Manifest | None
    try:
        manifest = kind.model_validate_json(content)
    except ValidationError as error:
        log.warning("manifest_broken", path=str(path), error=str(error))
        manifest = None
    _manifest_of[path] = (version, manifest)
    return manifest


def _found_in(*places: Path) -> dict[str, tuple[Path, NetManifest]]:
    found: dict[str, tuple[Path, NetManifest]] = {}
    for place in places:
        for path in sorted(place.glob(f"*/{NET_FILE}")):
            manifest = _read(path, NetManifest)
            if manifest is not None:
                found.setdefault(manifest.name, (path.parent, manifest))
    return found


def checkpoints() -> dict[str, tuple[Path, NetManifest]]:
    """The folder and the manifest of every net of `nets`, by its name."""
    return _found_in(Path(settings.NETS_DIR), Path(settings.ADDED_NETS_DIR))


def nets() -> list[NetManifest]:
    """Every net with a sound manifest: the house's by the names of their folders, then the added ones.

    Of two with one name, the first.
    """
    return [manifest for _, manifest in checkpoints().values()]


def net(name: str) -> NetManifest | None:
    """The net of this name, or None."""
    return next((manifest for manifest in nets() if manifest.name == name), None)


def folder_of(name: str) -> Path | None:
    """Where the checkpoint of this net lies, or None."""
    folder, _ = checkpoints().get(name, (None, None))
    return folder


def is_added(name: str) -> bool:
    """Whether this net was added here with `manage.py add_net`; the others are the house's own."""
    folder = folder_of(name)
    return folder is not None and folder.parent == Path(settings.ADDED_NETS_DIR)


def screens() -> dict[str, tuple[Path, NetManifest]]:
    """The folder and the manifest of each net that screens texts or pictures, by its name."""
    return _found_in(Path(settings.SCREENS_DIR))


def adapters_of(net: str) -> list[AdapterManifest]:
    """The LoRA adapters that fit this net as it is now, by name."""
    _, base = checkpoints().get(net, (None, None))
    if base is None:
        return []
    paths = sorted((Path(settings.ADAPTERS_DIR) / base.name).glob(f"*/{ADAPTER_FILE}"))
    adapters = [_read(path, AdapterManifest) for path in paths]
    return [one for one in adapters if one is not None and one.base_sha256 == base.sha256]


def adapter_folder(net: str, adapter: str) -> Path | None:
    """Where an adapter of `adapters_of` lies, or None."""
    is_there = any(one.name == adapter for one in adapters_of(net))
    return Path(settings.ADAPTERS_DIR) / net / adapter if is_there else None
