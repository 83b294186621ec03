"""The one door through which bytes enter storage. It refuses what is not screened, marked and signed by us."""

import hashlib
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from webapp.gallery import storage
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.provenance import manifest as manifests
from webapp.provenance import services as provenance
from webapp.provenance.services import FingerprintFacts, MarkFacts, SignedFile
from webapp.safety import services as safety
from webapp.safety.models import Action
from webapp.safety.rules import ScreenResult

SIDECAR_MEDIA_TYPE = "application/c2pa"


class RefusedError(ValueError):
    """The door does not let these bytes in; the message says what is missing. A fault of the caller, not of a user."""


@dataclass(frozen=True, slots=True)
class ArtifactDraft:
    """One result with everything that is known about it. `index` is 0-based; `request` is the contract's dump."""

    artifact_id: UUID
    job_id: UUID
    workspace_id: UUID
    created_by_id: int
    index: int
    kind: str
    is_held: bool
    prompt: str = field(repr=False)
    request: dict[str, Any] = field(repr=False)
    seed: int
    net: str
    checkpoint_sha256: str
    versions: dict[str, Any]
    timings: dict[str, Any]
    width_px: int | None
    height_px: int | None
    num_tokens: int | None
    finish_reason: str
    excerpt: str = field(repr=False)
    facts: dict[str, Any] = field(repr=False)
    original: SignedFile
    thumbnail: SignedFile | None
    verdicts: list[ScreenResult]
    mark: MarkFacts
    fingerprint: FingerprintFacts


def store(draft: ArtifactDraft) -> Artifact:
    """Keep one result: its bytes, its row, its verdicts, its mark and its credentials, in the caller's transaction.

    A second result of the same (job, index) is not kept; the first is returned. When the transaction is rolled back,
    bytes may stay under their hash, without a row and so without an address.

    Raises:
        RefusedError: verdicts, mark record or credentials are missing, wrong or another artifact's.
        AppError: storage_full.
    """
    _check(draft)
    known = Artifact.objects.filter(job_id=draft.job_id, index=draft.index).first()
    if known is not None:
        return known
    files = _put_files(draft)
    try:
        with transaction.atomic():
            artifact = _insert(draft, files)
    except IntegrityError:
        known = Artifact.objects.filter(job_id=draft.job_id, index=draft.index).first()
        if known is None:
            raise
        return known
    return artifact


def _check(draft: ArtifactDraft) -> None:
    if not any(verdict.stage == "output" for verdict in draft.verdicts):
        raise RefusedError(f"artifact {draft.artifact_id} has no verdict on its output: got {draft.verdicts}")
    actions = {verdict.action for verdict in draft.verdicts}
    if Action.BLOCK in actions:
        raise RefusedError(f"artifact {draft.artifact_id} was blocked; blocked results are not kept")
    if Action.REVIEW in actions and not draft.is_held:
        raise RefusedError(f"artifact {draft.artifact_id} must be held: a verdict asks for review")
    if not draft.mark.scheme or not (draft.mark.is_there or draft.mark.note):
        raise RefusedError(
            f"artifact {draft.artifact_id} has no mark record; one without a mark says scheme 'none' and why"
        )
    if not draft.fingerprint.value:
        raise RefusedError(f"artifact {draft.artifact_id} has no fingerprint")
    _check_credentials(draft.artifact_id, "original", draft.original, draft.mark)
    if draft.thumbnail is not None:
        _check_copy(draft.artifact_id, "thumbnail", draft.thumbnail, draft.original.manifest_label, draft.mark)


def _check_copy(artifact_id: UUID, what: str, copy: SignedFile, original_label: str, mark: MarkFacts) -> None:
    report = _check_credentials(artifact_id, what, copy, mark)
    if original_label not in report.manifest["manifests"]:
        raise RefusedError(f"the {what} of artifact {artifact_id} does not name its original as parent")


def _check_credentials(
    artifact_id: UUID, what: str, signed: SignedFile, mark: MarkFacts
) -> provenance.CredentialReport:
    """Read the credentials of the very bytes that are about to be kept."""
    report = provenance.read(signed.data, signed.media_type, signed.sidecar)
    if report.state != "valid" or not report.is_ours:
        reasons = "; ".join(report.problems) or f"{report.state}, signed by {report.issuer or 'nobody'}"
        raise RefusedError(f"the credentials of the {what} of artifact {artifact_id} do not hold: {reasons}")
    if report.certificate_sha256 != signed.certificate_sha256 or report.manifest_label != signed.manifest_label:
        raise RefusedError(f"the {what} of artifact {artifact_id} is described by another file's credentials")
    active = report.manifest["manifests"][report.manifest_label]
    if manifests.binding_of(active) != manifests.binding_to(mark):
        raise RefusedError(f"the credentials of the {what} of artifact {artifact_id} do not name its mark")
    disclosed = manifests.disclosure_of(active).get("id")
    if disclosed != artifact_id.urn:
        raise RefusedError(f"the credentials of the {what} name {disclosed}, not {artifact_id.urn}")
    return report


def store_copy(
    artifact: Artifact, role: ArtifactFile.Role, copy: SignedFile, *, original_label: str, mark: MarkFacts
) -> ArtifactFile:
    """Keep another file of an artifact that is kept already, such as its original as WebP: its bytes and credentials.

    A second file of the same role is not kept; the first is returned.

    Args:
        original_label: the manifest of the original, which the copy must name as its parent.
        mark: the artifact's, or none where the copy cannot carry it.

    Raises:
        RefusedError: the credentials are missing, wrong, another artifact's, or name another original or mark.
        AppError: storage_full.
    """
    _check_copy(artifact.id, role, copy, original_label, mark)
    file = ArtifactFile(
        artifact=artifact,
        role=role,
        sha256=hashlib.sha256(copy.data).hexdigest(),
        media_type=copy.media_type,
        num_bytes=len(copy.data),
    )
    try:
        with transaction.atomic():
            file.save(force_insert=True)
            provenance.record_credential(file.id, copy)
            storage.put(copy.data)
    except IntegrityError:
        known = ArtifactFile.objects.filter(artifact=artifact, role=role).first()
        if known is None:
            raise
        return known
    return file


def _put_files(draft: ArtifactDraft) -> list[tuple[ArtifactFile, SignedFile | None]]:
    """The bytes in storage and their unsaved rows, each with the signature that it carries."""

    def put(role: ArtifactFile.Role, data: bytes, media_type: str) -> ArtifactFile:
        return ArtifactFile(
            artifact_id=draft.artifact_id,
            role=role,
            sha256=storage.put(data),
            media_type=media_type,
            num_bytes=len(data),
        )

    original = draft.original
    rows: list[tuple[ArtifactFile, SignedFile | None]] = [
        (put(ArtifactFile.Role.ORIGINAL, original.data, original.media_type), original)
    ]
    if original.sidecar is not None:
        rows.append((put(ArtifactFile.Role.SIDECAR, original.sidecar, SIDECAR_MEDIA_TYPE), None))
    if draft.thumbnail is not None:
        thumbnail = draft.thumbnail
        rows.append((put(ArtifactFile.Role.THUMBNAIL, thumbnail.data, thumbnail.media_type), thumbnail))
    return rows


def _insert(draft: ArtifactDraft, files: list[tuple[ArtifactFile, SignedFile | None]]) -> Artifact:
    artifact = Artifact.objects.create(
        id=draft.artifact_id,
        workspace_id=draft.workspace_id,
        job_id=draft.job_id,
        index=draft.index,
        created_by_id=draft.created_by_id,
        kind=draft.kind,
        status=Artifact.Status.HELD if draft.is_held else Artifact.Status.KEPT,
        prompt=draft.prompt,
        request=draft.request,
        seed=draft.seed,
        net=draft.net,
        checkpoint_sha256=draft.checkpoint_sha256,
        versions=draft.versions,
        timings=draft.timings,
        width_px=draft.width_px,
        height_px=draft.height_px,
        num_tokens=draft.num_tokens,
        finish_reason=draft.finish_reason,
        excerpt=draft.excerpt.replace("\x00", ""),  # PostgreSQL cannot hold one
        facts=draft.facts,
    )
    for file, signed in files:
        file.save(force_insert=True)
        if signed is not None:
            provenance.record_credential(file.id, signed)
    provenance.record_mark(artifact.id, draft.mark)
    provenance.record_fingerprint(artifact.id, draft.fingerprint)
    safety.record(draft.job_id, draft.verdicts, artifact_id=artifact.id)
    return artifact
