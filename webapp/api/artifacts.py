"""/artifacts: what was made, every fact about it, and its files."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.urls import reverse
from ninja import Query, Router
from pydantic import BaseModel, Field

from genworkers.contract.base import Kind
from webapp.api.auth import READ, ApiRequest
from webapp.api.paging import Before, Limit, Slug, page_of
from webapp.errors import not_found
from webapp.gallery import conversions, downloads, held, selectors
from webapp.gallery.models import Artifact, ArtifactFile

router = Router(tags=["artifacts"])


class ArtifactUrls(BaseModel):
    """Where the parts of an artifact are."""

    self: str
    content: str = Field(description="the original bytes")
    formats: dict[str, str] = Field(
        description="format to address, the original's own first; the others are made when first asked for",
        examples=[{"png": "https://studio.example/api/v1/artifacts/.../content?format=png"}],
    )
    thumbnail: str | None = Field(description="a small signed picture; null for text")
    credentials: str = Field(description="the C2PA manifest: a text's sidecar, a picture's report as JSON")
    job: str
    page: str


class ArtifactItem(BaseModel):
    """An artifact in a list; its own address has the rest."""

    id: UUID
    job: UUID
    index: int = Field(description="0-based place among the results of the job")
    kind: Kind
    status: Literal["kept", "held", "rejected"] = Field(description="held, rejected: only reviewers see it")
    workspace: str
    created_by: str = Field(description="the name of the person")
    created_at: datetime
    prompt: str
    seed: int
    net: str
    width_px: int | None
    height_px: int | None
    num_tokens: int | None
    finish_reason: str = Field(description="`stop`: a text that ended by itself; `length`: one that was cut")
    excerpt: str = Field(description="the first words of a text; empty for a picture")
    urls: ArtifactUrls


class ArtifactPage(BaseModel):
    """Artifacts, newest first."""

    items: list[ArtifactItem]
    next: str | None = Field(description="the address of the next page; null on the last")


class Credentials(BaseModel):
    """The signed C2PA manifest of one file."""

    manifest_label: str
    issuer: str
    certificate_sha256: str
    is_embedded: bool = Field(description="inside the file; otherwise in its sidecar")
    signed_at: datetime


class FileFacts(BaseModel):
    """One stored file."""

    role: ArtifactFile.Role
    media_type: str
    num_bytes: int
    sha256: str
    credentials: Credentials | None


class MarkFacts(BaseModel):
    """How the content is watermarked; the scheme "none" says that it is not, and `note` why."""

    scheme: str
    key_id: str
    payload: str = Field(description="the number that a picture's mark carries, in hex; a text's carries none")
    note: str


class VerdictFacts(BaseModel):
    """What one screen said."""

    stage: str
    screen: str
    version: str
    action: str
    matched: list[str] = Field(description="terms, or the categories that fired, severest first")
    scores: dict[str, float] = Field(description="category to 0..1, as a net gave them; empty for the rules")
    policy_number: int | None = Field(description="the version of the policy that weighed the scores")
    created_at: datetime


class ArtifactDetail(ArtifactItem):
    """Everything that is known about an artifact."""

    request: dict[str, Any] = Field(description="every parameter; send it to POST /jobs to make the same again")
    checkpoint_sha256: str
    versions: dict[str, str] = Field(description="library to version")
    timings: dict[str, float] = Field(description="seconds")
    files: list[FileFacts]
    mark: MarkFacts
    verdicts: list[VerdictFacts]


@router.get("/artifacts", auth=READ, response=ArtifactPage, summary="List artifacts")
def list_artifacts(
    request: ApiRequest,
    kind: Annotated[Kind | None, Query(description="only artifacts of this kind")] = None,
    q: Annotated[
        str,
        Query(max_length=selectors.MAX_QUERY_CHARS, description="words that must all stand in the prompt"),
    ] = "",
    job: Annotated[UUID | None, Query(description="only the results of this job")] = None,
    workspace: Slug = None,
    before: Before = None,
    limit: Limit = 20,
) -> ArtifactPage:
    """The gallery of a workspace, newest first. What is held for review is not in it."""
    rows = _gallery(request, workspace, job, kind=kind or "", query=q)
    found, following = page_of(request, rows, before=before, limit=limit)
    return ArtifactPage(items=[ArtifactItem(**_item(artifact)) for artifact in found], next=following)


def _gallery(
    request: ApiRequest, workspace: str | None, job_id: UUID | None, *, kind: str, query: str
) -> QuerySet[Artifact]:
    if job_id is None:
        return selectors.artifacts_of(request.auth.workspace(workspace), kind=kind, query=query)
    job = request.auth.job(job_id)
    return selectors.artifacts_of(job.workspace, kind=kind, query=query).filter(job=job)


@router.get("/artifacts/{uuid:artifact_id}", auth=READ, response=ArtifactDetail, summary="Get an artifact")
def get_artifact(request: ApiRequest, artifact_id: UUID) -> ArtifactDetail:
    """Every fact: parameters, seed, net and checkpoint, versions, timings, verdicts, mark and credentials."""
    artifact = _artifact(request, artifact_id)
    return ArtifactDetail(
        **_item(artifact),
        request=artifact.request,
        checkpoint_sha256=artifact.checkpoint_sha256,
        versions=artifact.versions,
        timings=artifact.timings,
        files=[_file(file) for file in artifact.files.all()],
        mark=MarkFacts.model_validate(artifact.mark, from_attributes=True),
        verdicts=[VerdictFacts.model_validate(verdict, from_attributes=True) for verdict in artifact.verdicts.all()],
    )


def _artifact(request: ApiRequest, artifact_id: UUID) -> Artifact:
    artifact = selectors.artifact_for_viewer(request.auth.user, artifact_id)
    if artifact is None or not request.auth.may_reach(artifact.workspace_id):
        raise not_found("artifact")
    held.look(request.auth.user, artifact)
    return artifact


def _file(file: ArtifactFile) -> FileFacts:
    credential = getattr(file, "credential", None)
    return FileFacts.model_validate(
        {
            "role": file.role,
            "media_type": file.media_type,
            "num_bytes": file.num_bytes,
            "sha256": file.sha256,
            "credentials": credential and Credentials.model_validate(credential, from_attributes=True),
        }
    )


_SAME_NAMES = (
    *("id", "index", "kind", "status", "created_at", "prompt", "seed", "net"),
    *("width_px", "height_px", "num_tokens", "finish_reason", "excerpt"),
)


def _item(artifact: Artifact) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in _SAME_NAMES} | {
        "job": artifact.job_id,
        "workspace": artifact.workspace.slug,
        "created_by": artifact.created_by.username,
        "urls": _urls(artifact),
    }


def _urls(artifact: Artifact) -> ArtifactUrls:
    api = f"{settings.BASE_URL}/api/v1"
    own = f"{api}/artifacts/{artifact.id}"
    has_thumbnail = selectors.file_of(artifact, ArtifactFile.Role.THUMBNAIL) is not None
    return ArtifactUrls(
        self=own,
        content=f"{own}/content",
        formats={name: f"{own}/content?format={name}" for name in conversions.formats_of(artifact)},
        thumbnail=f"{own}/thumbnail" if has_thumbnail else None,
        credentials=f"{own}/credentials",
        job=f"{api}/jobs/{artifact.job_id}",
        page=settings.BASE_URL + reverse("artifact", args=[artifact.id]),
    )


def _bytes_of(description: str) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {"responses": {200: {"description": description, "content": {"*/*": binary}}}}


@router.get(
    "/artifacts/{uuid:artifact_id}/content",
    auth=READ,
    summary="Get the original, or a conversion",
    openapi_extra=_bytes_of("The file, as it was signed. `ETag` is its SHA-256; one byte range is served."),
)
def get_content(
    request: ApiRequest,
    artifact_id: UUID,
    format: Annotated[  # noqa: A002 (the name of the query parameter)
        str,
        Query(max_length=20, description="one of the artifact's formats: for a picture png, webp, jpeg or svg"),
    ] = "",
) -> HttpResponseBase:
    """The bytes as they were signed; `?download=1` names a file to save. SVG is the picture traced in few colours."""
    response = downloads.content_response(request, _artifact(request, artifact_id), format)
    return _with_our_link(response, artifact_id)


@router.get(
    "/artifacts/{uuid:artifact_id}/thumbnail",
    auth=READ,
    summary="Get the thumbnail",
    openapi_extra=_bytes_of("A small signed picture."),
)
def get_thumbnail(request: ApiRequest, artifact_id: UUID) -> HttpResponseBase:
    """The small signed picture of an image; a text has none."""
    return downloads.file_response(request, _artifact(request, artifact_id), "thumbnail")


@router.get(
    "/artifacts/{uuid:artifact_id}/credentials",
    auth=READ,
    summary="Get the credentials",
    openapi_extra=_bytes_of("A text's C2PA sidecar, or for a picture, which carries its own, what they say, as JSON."),
)
def get_credentials(request: ApiRequest, artifact_id: UUID) -> HttpResponseBase:
    """The signed C2PA manifest, and for a picture whether it holds."""
    artifact = _artifact(request, artifact_id)
    return _with_our_link(downloads.credentials_response(request, artifact), artifact_id)


def _with_our_link(response: HttpResponseBase, artifact_id: UUID) -> HttpResponseBase:
    if "Link" in response:
        own = f"{settings.BASE_URL}/api/v1/artifacts/{artifact_id}/credentials"
        response["Link"] = f'<{own}>; rel="c2pa-manifest"'
    return response
