"""Reads: which artifact a file or text is, by its bytes, its manifest, its mark or its likeness."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from django.db.models import Count

from genworkers.contract import fingerprints
from webapp.provenance.models import Credential, Fingerprint, MarkRecord

By: TypeAlias = Literal["bytes", "manifest", "mark", "likeness"]
# Of those that share most parts with a fingerprint, so many are compared as a whole.
NUM_COMPARED = 50


@dataclass(frozen=True, slots=True)
class Match:
    """One artifact that a file may be, and by what it was found."""

    artifact: Any
    by: By


def by_bytes(sha256: str, label: str) -> Match | None:
    """The artifact one of whose signed files has exactly these bytes; of several the one signed with this manifest."""
    equal = Credential.objects.filter(file__sha256=sha256)
    return _match(equal.filter(manifest_label=label), "bytes") or _match(equal, "bytes")


def by_manifest(label: str) -> Match | None:
    """The artifact one of whose files was signed with this manifest."""
    return _match(Credential.objects.filter(manifest_label=label), "manifest") if label else None


def _match(credentials: Any, by: By) -> Match | None:
    found = credentials.select_related("file__artifact__fingerprint").order_by("id").first()
    return None if found is None else Match(found.file.artifact, by)


def by_mark(key_id: str, payload: str) -> Match | None:
    """The artifact whose mark says this; a text's mark says only which workspace and time it is of."""
    found = MarkRecord.objects.filter(key_id=key_id, payload=payload).exclude(payload="")
    record = found.select_related("artifact__fingerprint").first()
    return None if record is None else Match(record.artifact, "mark")


def by_likeness(value: bytes, bands: list[int]) -> Match | None:
    """The artifact that looks or reads most like this, if it is like enough to be called the same."""
    near = Fingerprint.objects.filter(bands__band__in=bands).annotate(num_shared=Count("bands"))
    rows = near.order_by("-num_shared", "-id").select_related("artifact")[:NUM_COMPARED]
    compared = [(fingerprints.similarity(value, bytes.fromhex(row.value)), row) for row in rows]
    likeness, row = max(compared, key=lambda one: one[0], default=(0.0, None))
    if row is None or likeness < fingerprints.SAME[value[:1]]:
        return None
    return Match(row.artifact, "likeness")


def likeness_to(artifact: Any, value: bytes) -> float | None:
    """How alike an artifact and a file are, 0..1; None for an artifact that was kept without a fingerprint."""
    kept = getattr(artifact, "fingerprint", None)
    return None if kept is None or not value else fingerprints.similarity(value, bytes.fromhex(kept.value))
