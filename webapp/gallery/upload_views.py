"""Uploads over HTTP for the browser: send a picture, see it again. Errors are JSON, because a script asks."""

from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.signed_in import person, sign_in_required
from webapp.errors import AppError, not_found, problem
from webapp.gallery import pictures, uploads
from webapp.gallery.models import Upload
from webapp.workspaces.selectors import workspaces_of

ONE_FILE = "Send one picture as multipart/form-data, in the field {}."


@require_POST
def create_upload(request: HttpRequest, slug: str) -> JsonResponse:
    """Keep the picture in the field `file`: 201 with its id, size and address; or code, message and problems."""
    try:
        user = person(request)
        workspace = workspaces_of(user).filter(slug=slug).first()
        if workspace is None:
            raise not_found("workspace")
        upload = uploads.keep(workspace, user, sent_bytes(request.FILES.get("file")))
    except AppError as error:
        told = {"code": error.code, "message": error.message, "problems": error.problems}
        return JsonResponse(told, status=error.http_status, headers=error.headers)
    return JsonResponse(
        {
            "id": str(upload.id),
            "width_px": upload.width_px,
            "height_px": upload.height_px,
            "url": reverse("upload_content", args=[upload.id]),
        },
        status=201,
    )


def sent_bytes(file: "UploadedFile[Any] | None", field: str = "file") -> bytes:
    """The bytes of one file of a form, no more than a picture may have.

    Raises:
        AppError: picture_missing, or what `pictures.clean` raises of a file that is too large.
    """
    if file is None:
        problems = [problem(field, "missing", "this is needed", "", pictures.TAKEN)]
        raise AppError("picture_missing", 422, ONE_FILE.format(field), problems=problems)
    pictures.check_num_bytes(file.size or 0, field)
    data: bytes = file.read()
    return data


@sign_in_required
@require_safe
def upload_content(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """The kept PNG, for members of its workspace."""
    return content_response(uploads.upload_for_viewer(person(request), upload_id))


def content_response(upload: Upload) -> HttpResponse:
    """The kept PNG, for a caller that has checked the permission itself."""
    headers = {
        "Cache-Control": "private, no-cache",
        "ETag": f'"{upload.sha256}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return HttpResponse(uploads.bytes_of(upload), content_type="image/png", headers=headers)
