"""Reads: the gallery of a workspace, one artifact for one viewer, and the bytes behind it."""

from functools import reduce
from operator import or_
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.files.base import File
from django.db.models import Prefetch, Q, QuerySet

from webapp.accounts.models import User
from webapp.gallery import storage
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import REVIEWING_ROLES

MAX_QUERY_CHARS = 200
MAX_SHOWN_BYTES = 65_536


def with_facts(artifacts: QuerySet[Artifact]) -> QuerySet[Artifact]:
    """The same artifacts with maker, mark, files, credentials and verdicts, in three queries whatever their number."""
    files = Prefetch("files", ArtifactFile.objects.select_related("credential"))
    return artifacts.select_related("workspace", "created_by", "mark").prefetch_related(files, "verdicts")


def artifacts_of(workspace: Workspace, *, kind: str = "", query: str = "") -> QuerySet[Artifact]:
    """What the workspace has kept, newest first; held results are not in the gallery.

    Args:
        kind: text or image; empty means both.
        query: words that must all stand in the prompt, in any order and case; parts of words count.
    """
    artifacts = Artifact.objects.filter(workspace=workspace, status=Artifact.Status.KEPT)
    if kind:
        artifacts = artifacts.filter(kind=kind)
    for word in query[:MAX_QUERY_CHARS].replace("\x00", "").split():
        artifacts = artifacts.filter(_contains(word))
    return with_facts(artifacts)


def _contains(word: str) -> Q:
    """SQLite ignores case for ASCII only, so the usual spellings of other words are asked for by name."""
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    return reduce(or_, (Q(prompt__icontains=spelling) for spelling in sorted(spellings)))


def artifact_for_viewer(user: User | AnonymousUser, artifact_id: UUID) -> Artifact | None:
    """The artifact, if this person may see it: a member, and of what is held only a reviewing one."""
    if not isinstance(user, User):
        return None
    return (
        with_facts(Artifact.objects.all())
        .filter(
            Q(status=Artifact.Status.KEPT) | Q(workspace__memberships__role__in=REVIEWING_ROLES),
            id=artifact_id,
            workspace__memberships__user=user,
        )
        .first()
    )


def file_of(artifact: Artifact, role: str) -> ArtifactFile | None:
    """The file with this role, or None; no query when the files are prefetched."""
    return next((file for file in artifact.files.all() if file.role == role), None)


def open_file(artifact: Artifact, role: str) -> "File[bytes]":
    """The bytes of one file of an artifact, to read and close.

    Raises:
        FileNotFoundError: the artifact has no such file, or its bytes are gone.
    """
    file = file_of(artifact, role)
    if file is None:
        raise FileNotFoundError(f"artifact {artifact.id} has no {role}")
    return open_bytes(file)


def open_bytes(file: ArtifactFile) -> "File[bytes]":
    """The bytes of this very file, to read and close.

    Raises:
        FileNotFoundError: they are gone.
    """
    return storage.open_blob(file.sha256)


def text_of(artifact: Artifact) -> str:
    """The text of a text artifact, as far as a page shows it."""
    with open_file(artifact, ArtifactFile.Role.ORIGINAL) as file:
        text: bytes = file.read(MAX_SHOWN_BYTES)
    return text.decode("utf-8", "replace")
