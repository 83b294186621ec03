"""/uploads: pictures to begin with, to end at or to mask with; jobs name them by their id."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from ninja import File, Router, Status
from ninja.files import UploadedFile
from pydantic import BaseModel, Field

from webapp.api.auth import GENERATE, READ, ApiRequest
from webapp.api.paging import Slug
from webapp.errors import not_found
from webapp.gallery import pictures, upload_views, uploads
from webapp.gallery.models import Upload

router = Router(tags=["uploads"])
PNG = {"image/png": {"schema": {"type": "string", "format": "binary"}}}


class UploadItem(BaseModel):
    """A kept picture."""

    id: UUID = Field(description="what start_image, mask and end_image of a job take")
    width_px: int = Field(description="as it is kept: at most 1,024")
    height_px: int
    num_bytes: int
    created_at: datetime
    removed_at: datetime = Field(description="when it goes again")


@router.post(
    "/uploads",
    auth=GENERATE,
    response={201: UploadItem},
    summary="Upload a picture",
    openapi_extra={"responses": {201: {"description": f"The picture is kept. Taken is {pictures.TAKEN}."}}},
)
def create_upload(request: ApiRequest, file: File[UploadedFile], workspace: Slug = None) -> Status[UploadItem]:
    """Keep a picture for a week: upright, in sRGB with alpha, at most 1,024 px a side, without its metadata."""
    data = upload_views.sent_bytes(file)
    return Status(201, _item(uploads.keep(request.auth.workspace(workspace), request.auth.user, data)))


@router.get("/uploads/{uuid:upload_id}", auth=READ, response=UploadItem, summary="Get an upload")
def get_upload(request: ApiRequest, upload_id: UUID) -> UploadItem:
    """What is known about an upload."""
    return _item(_upload(request, upload_id))


@router.get(
    "/uploads/{uuid:upload_id}/content",
    auth=READ,
    summary="Get an uploaded picture",
    openapi_extra={"responses": {200: {"description": "The picture as it is kept.", "content": PNG}}},
)
def get_upload_content(request: ApiRequest, upload_id: UUID) -> HttpResponse:
    """The picture as jobs see it, as PNG."""
    return upload_views.content_response(_upload(request, upload_id))


def _upload(request: ApiRequest, upload_id: UUID) -> Upload:
    upload = uploads.upload_for_viewer(request.auth.user, upload_id)
    if not request.auth.may_reach(upload.workspace_id):
        raise not_found("upload")
    return upload


def _item(upload: Upload) -> UploadItem:
    facts: dict[str, Any] = {name: getattr(upload, name) for name in ("id", "width_px", "height_px", "num_bytes")}
    return UploadItem(**facts, created_at=upload.created_at, removed_at=upload.created_at + uploads.KEEP)
