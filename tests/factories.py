"""Rows for tests: `JobFactory.create(status="running")`. Only columns are filled: bytes enter storage through
`gallery.services` alone, in tests as well.
"""

# mypy: disallow-untyped-calls=False

import functools
import hashlib
from datetime import timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone
from factory.declarations import LazyAttribute, LazyFunction, RelatedFactory, SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory

from genworkers.contract.requests import GENERATION_REQUEST
from webapp.accounts.models import ApiKey, User
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.jobs.models import Job
from webapp.provenance.models import Credential, MarkRecord
from webapp.safety.models import BlockedTerm, Verdict
from webapp.workspaces.models import Membership, Workspace


@functools.cache
def _hashed_password() -> str:
    return make_password("tessera")  # slow by design, so once


class UserFactory(DjangoModelFactory[User]):
    """A person who signs in with the password `tessera`."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = Sequence(lambda n: f"person{n}")
    email = LazyAttribute(lambda user: f"{user.username}@example.org")
    password = LazyFunction(_hashed_password)


class WorkspaceFactory(DjangoModelFactory[Workspace]):
    """A workspace without members."""

    class Meta:
        model = Workspace

    name = Sequence(lambda n: f"Workspace {n}")
    slug = Sequence(lambda n: f"workspace-{n}")


class MembershipFactory(DjangoModelFactory[Membership]):
    """A new person in a new workspace, as its owner unless told otherwise."""

    class Meta:
        model = Membership

    workspace = SubFactory(WorkspaceFactory)
    user = SubFactory(UserFactory)
    role = Membership.Role.OWNER


class ApiKeyFactory(DjangoModelFactory[ApiKey]):
    """A key whose secret nobody knows; tests that call with a key use `accounts.services.create_api_key`."""

    class Meta:
        model = ApiKey

    workspace = SubFactory(WorkspaceFactory)
    user = SubFactory(UserFactory)
    name = Sequence(lambda n: f"key {n}")
    prefix = Sequence(lambda n: f"{n:08x}")
    sha256 = LazyAttribute(lambda key: hashlib.sha256(key.prefix.encode()).hexdigest())
    scopes = LazyFunction(lambda: ["read", "generate"])


def _request_of(job: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"kind": job.kind, "prompt": job.prompt, "seed": 7}
    return GENERATION_REQUEST.validate_python(request).model_dump(mode="json")


def _unless_open(job: Any) -> Any:
    return None if job.status in Job.OPEN_STATUSES else timezone.now()


class JobFactory(DjangoModelFactory[Job]):
    """A queued text job; any `status` gets the columns that the constraints demand."""

    class Meta:
        model = Job

    workspace = SubFactory(WorkspaceFactory)
    created_by = SubFactory(UserFactory)
    kind = "text"
    prompt = "Write a story about a brave little boat."
    request = LazyAttribute(_request_of)
    status = Job.Status.QUEUED
    attempt = LazyAttribute(lambda job: 0 if job.status == Job.Status.QUEUED else 1)
    fence = SelfAttribute("attempt")
    deadline_at = LazyFunction(lambda: timezone.now() + timedelta(minutes=15))
    dispatched_at = LazyFunction(timezone.now)
    started_at = LazyAttribute(lambda job: timezone.now() if job.attempt else None)
    finished_at = LazyAttribute(_unless_open)
    lease_expires_at = LazyAttribute(
        lambda job: timezone.now() + timedelta(seconds=20) if job.status == Job.Status.RUNNING else None
    )
    error_code = LazyAttribute(lambda job: "engine_failed" if job.status in ("failed", "blocked", "held") else "")
    error_message = LazyAttribute(lambda job: "The engine stopped." if job.error_code else "")


class ArtifactFactory(DjangoModelFactory[Artifact]):
    """The kept result of a succeeded job in the same workspace, with mark, verdict, file and credentials.

    The file's bytes are not in storage. `ArtifactFactory(job=job)` makes a result of that job.
    """

    class Meta:
        model = Artifact
        skip_postgeneration_save = True

    class Params:
        owner = SubFactory(MembershipFactory)

    job = SubFactory(
        JobFactory,
        status=Job.Status.SUCCEEDED,
        workspace=SelfAttribute("..owner.workspace"),
        created_by=SelfAttribute("..owner.user"),
    )
    workspace = SelfAttribute("job.workspace")
    created_by = SelfAttribute("job.created_by")
    index = 0
    kind = SelfAttribute("job.kind")
    prompt = SelfAttribute("job.prompt")
    request = SelfAttribute("job.request")
    seed = 7
    net = LazyAttribute(lambda artifact: artifact.request["net"])
    checkpoint_sha256 = "c" * 64
    versions = LazyFunction(lambda: {"torch": "2.13.0"})
    timings = LazyFunction(lambda: {"wait_s": 0.1, "run_s": 1.5})
    width_px = LazyAttribute(lambda artifact: 512 if artifact.kind == "image" else None)
    height_px = SelfAttribute("width_px")
    num_tokens = LazyAttribute(lambda artifact: 9 if artifact.kind == "text" else None)
    excerpt = LazyAttribute(lambda artifact: "Once upon a time." if artifact.kind == "text" else "")
    mark = RelatedFactory("tests.factories.MarkRecordFactory", factory_related_name="artifact")
    verdict = RelatedFactory("tests.factories.VerdictFactory", factory_related_name="artifact")
    original = RelatedFactory("tests.factories.ArtifactFileFactory", factory_related_name="artifact")


class ArtifactFileFactory(DjangoModelFactory[ArtifactFile]):
    """The original of an artifact, with credentials."""

    class Meta:
        model = ArtifactFile
        skip_postgeneration_save = True

    artifact = SubFactory(ArtifactFactory, original=None)
    role = ArtifactFile.Role.ORIGINAL
    sha256 = LazyAttribute(lambda file: hashlib.sha256(str(file.artifact.id).encode()).hexdigest())
    media_type = LazyAttribute(
        lambda file: "image/png" if file.artifact.kind == "image" else "text/plain; charset=utf-8"
    )
    num_bytes = 17
    credential = RelatedFactory("tests.factories.CredentialFactory", factory_related_name="file")


class CredentialFactory(DjangoModelFactory[Credential]):
    """The record of one signed manifest."""

    class Meta:
        model = Credential

    file = SubFactory(ArtifactFileFactory, credential=None)
    manifest_label = "urn:c2pa:00000000-0000-4000-8000-000000000000"
    issuer = "Tessera studio"
    certificate_sha256 = "d" * 64
    is_embedded = LazyAttribute(lambda credential: credential.file.media_type == "image/png")
    signed_at = LazyFunction(timezone.now)


class MarkRecordFactory(DjangoModelFactory[MarkRecord]):
    """The plain statement that an artifact bears no watermark."""

    class Meta:
        model = MarkRecord

    artifact = SubFactory(ArtifactFactory, mark=None)
    scheme = "none"
    note = "made by a test"


class VerdictFactory(DjangoModelFactory[Verdict]):
    """What the rules screen says of harmless output."""

    class Meta:
        model = Verdict

    artifact = SubFactory(ArtifactFactory, verdict=None)
    job = SelfAttribute("artifact.job")
    stage = Verdict.Stage.OUTPUT
    screen = "rules"
    version = "1"
    action = "allow"


class BlockedTermFactory(DjangoModelFactory[BlockedTerm]):
    """A phrase that a workspace refuses."""

    class Meta:
        model = BlockedTerm

    workspace = SubFactory(WorkspaceFactory)
    term = Sequence(lambda n: f"forbidden phrase {n}")
