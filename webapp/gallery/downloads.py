"""The bytes of an artifact over HTTP: whoever may not see it gets 404, as for what does not exist."""

import re
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from webapp.accounts.signed_in import person
from webapp.errors import not_found
from webapp.gallery import conversions, held, selectors
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.provenance import services as provenance

EXTENSION_OF = {
    "text/plain": "txt",
    "image/png": "png",
    "image/webp": "webp",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "image/gif": "gif",
    "video/mp4": "mp4",
    "application/c2pa": "c2pa",
}
MAX_NAME_CHARS = 40
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@require_safe
def artifact_content(request: HttpRequest, artifact_id: UUID) -> HttpResponseBase:
    """The original, or with `?format=webp|jpeg|svg` a conversion of it; `?download=1` saves it."""
    return content_response(request, _visible(request, artifact_id), request.GET.get("format", ""))


@require_safe
def artifact_thumbnail(request: HttpRequest, artifact_id: UUID) -> HttpResponseBase:
    """The small signed picture of an image."""
    return file_response(request, _visible(request, artifact_id), ArtifactFile.Role.THUMBNAIL)


@require_safe
def artifact_credentials(request: HttpRequest, artifact_id: UUID) -> HttpResponseBase:
    """A text's sidecar (.c2pa); for a picture, which carries its own, what they say and whether they hold, as JSON."""
    return credentials_response(request, _visible(request, artifact_id))


def content_response(request: HttpRequest, artifact: Artifact, name: str) -> HttpResponseBase:
    """The answer of `artifact_content`, for a caller that has checked the permission itself.

    Args:
        name: of the format; empty means the original's own.

    Raises:
        AppError: not_found, format_unknown, conversion_failed, pictures_busy, storage_full.
    """
    if selectors.file_of(artifact, ArtifactFile.Role.ORIGINAL) is None:
        raise not_found("original")
    return _response(request, artifact, conversions.in_format(artifact, name))


def _visible(request: HttpRequest, artifact_id: UUID) -> Artifact:
    artifact = selectors.artifact_for_viewer(request.user, artifact_id)
    if artifact is None:
        raise not_found("artifact")
    held.look(person(request), artifact)
    return artifact


def credentials_response(request: HttpRequest, artifact: Artifact) -> HttpResponseBase:
    """The answer of `artifact_credentials`, for a caller that has checked the permission itself."""
    if selectors.file_of(artifact, ArtifactFile.Role.SIDECAR) is not None:
        return file_response(request, artifact, ArtifactFile.Role.SIDECAR)
    file = _file_or_404(artifact, ArtifactFile.Role.ORIGINAL)
    report = provenance.read(_read(file), file.media_type)
    content = {
        "state": report.state,
        "is_ours": report.is_ours,
        "issuer": report.issuer,
        "signed_at": report.signed_at,
        "problems": report.problems,
        "manifest": report.manifest,
    }
    response = JsonResponse(content, json_dumps_params={"indent": 2})
    response["Cache-Control"] = "private, no-cache"
    return response


def file_response(request: HttpRequest, artifact: Artifact, role: str) -> HttpResponseBase:
    """One file of an artifact, for a caller that has checked the permission itself.

    Answers If-None-Match with 304 and one byte range with 206; several ranges get the whole file.

    Raises:
        AppError: not_found, when there is no such file.
    """
    return _response(request, artifact, _file_or_404(artifact, role))


def _response(request: HttpRequest, artifact: Artifact, file: ArtifactFile) -> HttpResponseBase:
    etag = f'"{file.sha256}"'
    unchanged = get_conditional_response(request, etag=etag)
    response = unchanged if unchanged is not None else _whole_or_range(request, _read(file), etag)
    # Kept by the browser of one person only, and asked for again each time: a right can be withdrawn.
    response["Cache-Control"] = "private, no-cache"
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if response.status_code in (200, 206):
        is_text = file.media_type.startswith("text/")
        response["Content-Type"] = "text/plain; charset=utf-8" if is_text else file.media_type
        is_saved = request.GET.get("download") == "1" or file.role == ArtifactFile.Role.SIDECAR
        response["Content-Disposition"] = content_disposition_header(is_saved, _file_name(artifact, file)) or ""
    if selectors.file_of(artifact, ArtifactFile.Role.SIDECAR) is not None:
        address = request.build_absolute_uri(reverse("artifact_credentials", args=[artifact.id]))
        response["Link"] = f'<{address}>; rel="c2pa-manifest"'
    return response


def _whole_or_range(request: HttpRequest, data: bytes, etag: str) -> HttpResponse:
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None or not any(found.groups()) or request.headers.get("If-Range", etag) != etag:
        return HttpResponse(data)
    if found[1]:
        start, end = int(found[1]), int(found[2] or len(data))
    else:
        start, end = max(0, len(data) - int(found[2])), len(data)
    end = min(end, len(data) - 1)
    if start > end:
        is_backwards = bool(found[1] and found[2]) and int(found[2]) < start
        return HttpResponse(data) if is_backwards else _unsatisfiable(len(data))
    response = HttpResponse(data[start : end + 1], status=206)
    response["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return response


def _unsatisfiable(num_bytes: int) -> HttpResponse:
    response = HttpResponse(status=416)
    response["Content-Range"] = f"bytes */{num_bytes}"
    return response


def _file_or_404(artifact: Artifact, role: str) -> ArtifactFile:
    file = selectors.file_of(artifact, role)
    if file is None:
        raise not_found(role)
    return file


def _read(file: ArtifactFile) -> bytes:
    with selectors.open_bytes(file) as opened:
        data: bytes = opened.read()
    return data


def _file_name(artifact: Artifact, file: ArtifactFile) -> str:
    words = slugify(artifact.prompt)[:MAX_NAME_CHARS].strip("-") or artifact.kind
    extension = EXTENSION_OF.get(file.media_type.partition(";")[0].strip(), "bin")
    return f"{words}-{artifact.id.hex[-8:]}.{extension}"
