"""Reads: the nets that can be used, as their manifests describe them. No weights are loaded here."""

from pathlib import Path

import structlog
from django.conf import settings
from pydantic import ValidationError

from genworkers.contract import NetManifest

log = structlog.get_logger(__name__)

_manifest_of: dict[Path, tuple[tuple[int, int], NetManifest | None]] = {}


def _read(path: Path) -> NetManifest | None:
    """The manifest, read again only when the file has changed; None, and one line in the log, when it is broken."""
    try:
        stat = path.stat()
        version = (stat.st_mtime_ns, stat.st_size)
        known = _manifest_of.get(path)
        if known is not None and known[0] == version:
            return known[1]
        content = path.read_bytes()
    except OSError as error:
        log.warning("manifest_unreadable", path=str(path), error=error.strerror)
        return None
    try:
        manifest = NetManifest.model_validate_json(content)
    except ValidationError as error:
        log.warning("manifest_broken", path=str(path), error=str(error))
        manifest = None
    _manifest_of[path] = (version, manifest)
    return manifest


def nets() -> list[NetManifest]:
    """Every net with a sound manifest, by the name of its folder; of two with one name, the first."""
    found: dict[str, NetManifest] = {}
    for path in sorted(Path(settings.NETS_DIR).glob("*/manifest.json")):
        manifest = _read(path)
        if manifest is not None:
            found.setdefault(manifest.name, manifest)
    return list(found.values())


def net(name: str) -> NetManifest | None:
    """The net of this name, or None."""
    return next((manifest for manifest in nets() if manifest.name == name), None)
