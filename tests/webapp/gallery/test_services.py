"""The door lets in what is screened, marked and signed, once, and nothing else."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from tests.webapp.gallery.drafts import OUTPUT_VERDICT, PROMPT_VERDICT, REVIEW_VERDICT, draft_of, job_of
from tests.webapp.provenance.samples import PNG, TEXT, facts_of
from webapp.gallery import selectors, services
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.gallery.services import ArtifactDraft, RefusedError
from webapp.jobs.models import Job
from webapp.provenance import services as provenance
from webapp.provenance.manifest import unmarked
from webapp.provenance.services import FingerprintFacts, MarkFacts
from webapp.safety.rules import ScreenResult

pytestmark = pytest.mark.django_db


def files_in(folder: Path) -> set[str]:
    """The names of everything that lies there."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("kind", "roles"), [("image", {"original", "thumbnail"}), ("text", {"original", "sidecar"})])
def test_a_result_is_kept_with_everything_known_about_it(kind: str, roles: set[str]) -> None:
    job = job_of(kind)
    draft = draft_of(job)
    with transaction.atomic():
        stored = services.store(draft)
    artifact = Artifact.objects.get(id=stored.id)
    assert (artifact.id, artifact.job_id, artifact.workspace_id) == (draft.artifact_id, job.id, job.workspace_id)
    assert (artifact.seed, artifact.status, artifact.request) == (2**63 - 1, "kept", job.request)
    assert (artifact.mark.scheme, artifact.mark.payload) == (draft.mark.scheme, draft.mark.payload)
    assert artifact.fingerprint.bands.count() == len(draft.fingerprint.bands)
    assert {verdict.stage for verdict in artifact.verdicts.all()} == {"prompt", "output"}
    files = {file.role: file for file in artifact.files.all()}
    assert set(files) == roles
    for role, file in files.items():
        with selectors.open_file(artifact, role) as opened:
            data = opened.read()
        assert hashlib.sha256(data).hexdigest() == file.sha256
        assert len(data) == file.num_bytes
        if role != "sidecar":
            assert file.credential.certificate_sha256 == draft.original.certificate_sha256
            assert file.credential.issuer == draft.original.issuer


def test_every_stored_file_validates() -> None:
    for kind in ("image", "text"):
        services.store(draft_of(job_of(kind)))
    for file in ArtifactFile.objects.exclude(role="sidecar").select_related("artifact"):
        has_sidecar = selectors.file_of(file.artifact, "sidecar") is not None
        with selectors.open_file(file.artifact, file.role) as opened:
            data = opened.read()
        sidecar = selectors.open_file(file.artifact, "sidecar").read() if has_sidecar else None
        report = provenance.read(data, file.media_type, sidecar)
        assert (report.state, report.is_ours) == ("valid", True)
        assert report.manifest_label == file.credential.manifest_label


def test_a_second_store_of_the_same_place_returns_the_first() -> None:
    job = job_of("text")
    first = services.store(draft_of(job))
    second = services.store(draft_of(job))
    assert second.id == first.id
    assert Artifact.objects.count() == 1
    assert first.verdicts.count() == 2
    assert services.store(draft_of(job, index=1)).id != first.id


@pytest.mark.django_db(transaction=True)
def test_the_loser_of_a_race_gets_the_winners_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of("text")
    late = draft_of(job)
    put_files = services._put_files

    def put_files_while_another_stores(draft: ArtifactDraft) -> list[tuple[ArtifactFile, provenance.SignedFile | None]]:
        files = put_files(draft)
        monkeypatch.undo()
        services.store(draft_of(job))
        return files

    monkeypatch.setattr(services, "_put_files", put_files_while_another_stores)
    artifact = services.store(late)
    assert artifact.id != late.artifact_id
    assert Artifact.objects.count() == 1
    assert ArtifactFile.objects.count() == 2


def test_identical_bytes_lie_on_disk_once(settings: Settings, tmp_path: Path) -> None:
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "webapp.gallery.storage.WholeFileStorage", "OPTIONS": {"location": tmp_path / "blobs"}}
    }
    one, two = services.store(draft_of(job_of("text"))), services.store(draft_of(job_of("text")))
    sha256 = hashlib.sha256(TEXT).hexdigest()
    assert {artifact.files.get(role="original").sha256 for artifact in (one, two)} == {sha256}
    assert (tmp_path / "blobs" / sha256[:2] / sha256[2:4] / sha256).read_bytes() == TEXT
    assert len(files_in(tmp_path / "blobs")) == 3  # the text, two sidecars


def _without_verdicts(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, verdicts=[])


def _with_prompt_verdict_only(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, verdicts=[PROMPT_VERDICT])


def _blocked(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, verdicts=[OUTPUT_VERDICT, ScreenResult("block", "rules", "1", "prompt", ["boat"])])


def _to_review_but_kept(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, verdicts=[REVIEW_VERDICT])


def _without_mark(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, mark=MarkFacts("", "", ""))


def _unmarked_without_a_reason(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, mark=MarkFacts("none"))


def _with_another_mark(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, mark=replace(draft.mark, payload="000000001"))


def _marked_but_not_said(draft: ArtifactDraft) -> ArtifactDraft:
    facts = replace(facts_of(draft.artifact_id), mark=unmarked("not asked for"))
    return replace(draft, original=provenance.sign(PNG, "image/png", facts=facts))


def _without_fingerprint(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, fingerprint=FingerprintFacts("", ()))


def _unsigned(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, original=replace(draft.original, data=PNG))


def _tampered(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, original=replace(draft.original, data=draft.original.data[:-20] + bytes(20)))


def _of_another_artifact(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, original=provenance.sign(PNG, "image/png", facts=facts_of(mark=draft.mark)))


def _with_another_label(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, original=replace(draft.original, manifest_label="urn:c2pa:other"))


def _with_another_certificate(draft: ArtifactDraft) -> ArtifactDraft:
    return replace(draft, original=replace(draft.original, certificate_sha256="0" * 64))


def _with_orphan_thumbnail(draft: ArtifactDraft) -> ArtifactDraft:
    facts = facts_of(draft.artifact_id, mark=draft.mark)
    return replace(draft, thumbnail=provenance.sign(PNG, "image/png", facts=facts))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_without_verdicts, "no verdict on its output"),
        (_with_prompt_verdict_only, "no verdict on its output"),
        (_blocked, "was blocked"),
        (_to_review_but_kept, "must be held"),
        (_without_mark, "no mark record"),
        (_unmarked_without_a_reason, "no mark record"),
        (_with_another_mark, "do not name its mark"),
        (_marked_but_not_said, "do not name its mark"),
        (_without_fingerprint, "no fingerprint"),
        (_unsigned, "signed by nobody"),
        (_tampered, "credentials of the original"),
        (_of_another_artifact, "not urn:uuid:"),
        (_with_another_label, "another file's credentials"),
        (_with_another_certificate, "another file's credentials"),
        (_with_orphan_thumbnail, "does not name its original"),
    ],
)
def test_the_door_refuses_and_keeps_nothing(
    spoil: Callable[[ArtifactDraft], ArtifactDraft], reason: str, settings: Settings
) -> None:
    draft = spoil(draft_of(job_of("image")))
    before = files_in(settings.BLOBS_DIR)
    with pytest.raises(RefusedError, match=reason):
        services.store(draft)
    assert not Artifact.objects.exists()
    assert files_in(settings.BLOBS_DIR) == before


def test_the_door_refuses_what_another_studio_signed(settings: Settings, tmp_path: Path) -> None:
    ours = settings.AUTHORITY_DIR
    settings.AUTHORITY_DIR = tmp_path / "another"
    draft = draft_of(job_of("text"))
    settings.AUTHORITY_DIR = ours
    with pytest.raises(RefusedError, match=r"signingCredential\.untrusted"):
        services.store(draft)


def test_a_held_result_is_kept_as_held() -> None:
    artifact = services.store(draft_of(job_of("text"), is_held=True, verdicts=[REVIEW_VERDICT]))
    assert artifact.status == Artifact.Status.HELD


def test_a_rollback_leaves_no_row() -> None:
    job: Job = job_of("text")

    def store_and_fail() -> None:
        with transaction.atomic():
            services.store(draft_of(job))
            raise RuntimeError("the worker dies here")

    with pytest.raises(RuntimeError):
        store_and_fail()
    assert not Artifact.objects.exists()
    assert not connection.needs_rollback


def test_an_excerpt_with_a_nul_is_kept_without_it() -> None:
    artifact = services.store(draft_of(job_of("text"), excerpt="a\x00b"))
    assert artifact.excerpt == "ab"
