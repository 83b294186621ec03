"""Forms with pictures: what is sent to /v1/images/edits and /v1/images/variations as multipart/form-data."""

import hashlib
import io
from typing import Any, TypeVar

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from PIL import Image
from pydantic import ValidationError

from webapp.api.application import body_too_large
from webapp.api.auth import Caller
from webapp.api.openai.picture_bodies import EditForm, PictureBody, VariationForm
from webapp.api.openai.picture_translation import PictureCall, edit_call, variation_call
from webapp.api.openai.translation import wrong
from webapp.catalog import selectors as catalog
from webapp.errors import AppError, invalid_request, problem
from webapp.gallery import pictures, upload_views, uploads
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.workspaces.models import Workspace

# One start picture, one mask, and room for the rest of the form.
MAX_FORM_BYTES = 2 * pictures.MAX_BYTES + 1_000_000
IMAGE_FIELDS = ("image", "image[]")
EDITED_ALPHA = 128
_ANY_ID = "00000000-0000-0000-0000-000000000000"

_FILE = {"type": "string", "format": "binary"}
Form = TypeVar("Form", bound=PictureBody)


def edit_of(request: HttpRequest, caller: Caller) -> PictureCall:
    """The checked call of a form with a start picture and perhaps a mask, both kept as uploads.

    Raises:
        AppError: body_too_large, invalid_request, unsupported_parameter, mask_is_opaque, mask_size_differs, forbidden,
            uploads_used_up, storage_full, and what `pictures.clean` raises.
    """
    workspace = caller.workspace(None)
    form = _form(request, EditForm)
    start_bytes = _start_bytes(request)
    others = [name for name in request.FILES if name not in (*IMAGE_FIELDS, "mask")]
    ignored = (*(f"image[{number}]" for number in range(1, len(_images(request)))), *others)
    edit_call(form, start_image=_ANY_ID, mask=None, ignored=ignored)  # a wrong form keeps nothing
    uploads.check_may_keep(workspace, caller.user)
    start = pictures.clean(start_bytes, field_name="image")
    mask_file = request.FILES.get("mask")
    mask = None if mask_file is None else edited_part(upload_views.sent_bytes(mask_file, "mask"))
    if mask is not None:
        uploads.check_sizes((start.width_px, start.height_px), (mask.width_px, mask.height_px))
    start_id = str(uploads.keep_clean(workspace, caller.user, start).id)
    mask_id = None if mask is None else str(uploads.keep_clean(workspace, caller.user, mask).id)
    return edit_call(form, start_image=start_id, mask=mask_id, ignored=ignored)


def variation_of(request: HttpRequest, caller: Caller) -> PictureCall:
    """The checked call of a form with a picture to vary.

    A file that this workspace has made is recognised by its bytes and brings its own prompt, net and style.

    Raises:
        AppError: body_too_large, invalid_request, unsupported_parameter, and what `uploads.keep` raises.
    """
    workspace = caller.workspace(None)
    form = _form(request, VariationForm)
    data = _start_bytes(request)
    known = made_here(workspace, data)
    variation_call(form, start_image=_ANY_ID, known=known)  # a wrong form keeps nothing
    start = uploads.keep(workspace, caller.user, data, field="image")
    return variation_call(form, start_image=str(start.id), known=known)


def _form(request: HttpRequest, form: type[Form]) -> Form:
    """The fields of the form beside its files; empty ones are left out."""
    if request.content_type != "multipart/form-data":
        wanted = "multipart/form-data"
        raise wrong("body", "value_error", "send a form with files", request.content_type or "", wanted)
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_FORM_BYTES:
        raise body_too_large(MAX_FORM_BYTES)
    fields = {name: value for name, value in request.POST.items() if value != ""}
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        raise invalid_request(error, {}) from error


def described(form: type[PictureBody], *, has_mask: bool) -> dict[str, Any]:
    """The form with its files, as an OpenAPI request body."""
    schema = form.model_json_schema()
    fields = schema["properties"]
    for field in fields.values():
        choices = [choice for choice in field.pop("anyOf", []) if choice != {"type": "null"}]
        field |= choices[0] if choices else {}
        field.pop("default", None)
    fields["image"] = _FILE | {"description": f"the picture to begin with: {pictures.TAKEN}"}
    if has_mask:
        fields["image[]"] = {"type": "array", "items": _FILE, "description": "as `image`: the first is taken"}
        fields["mask"] = _FILE | {"description": "of the same size; what is transparent in it is drawn anew"}
    required = schema.get("required", [])
    body = {"type": "object", "properties": fields, "required": [*required, "image"]}
    return {"required": True, "content": {"multipart/form-data": {"schema": body}}}


def _images(request: HttpRequest) -> "list[UploadedFile[Any]]":
    return [file for name in IMAGE_FIELDS for file in request.FILES.getlist(name)]


def _start_bytes(request: HttpRequest) -> bytes:
    return upload_views.sent_bytes(next(iter(_images(request)), None), "image")


def edited_part(data: bytes) -> pictures.CleanPicture:
    """A mask as OpenAI means it, as the mask that a job takes: what is transparent is drawn anew, whatever its colour.

    Raises:
        AppError: mask_is_opaque, and what `pictures.clean` raises.
    """
    picture = pictures.clean(data, field_name="mask")
    with Image.open(io.BytesIO(picture.png)) as image:
        kept = image.getchannel("A").point(lambda alpha: 255 if alpha >= EDITED_ALPHA else 0)
    if kept.getextrema() == (255, 255):
        message = "no part of the mask is transparent, so nothing would be drawn anew"
        value = f"{picture.width_px} x {picture.height_px} px, opaque"
        allowed = "a PNG that is transparent where the picture is to change"
        problems = [problem("mask", "mask_is_opaque", message, value, allowed)]
        raise AppError("mask_is_opaque", 422, "No part of the mask is transparent.", problems=problems)
    mask = Image.new("RGBA", kept.size, "black")
    mask.putalpha(kept)
    target = io.BytesIO()
    mask.save(target, "PNG")
    return pictures.CleanPicture(target.getvalue(), *mask.size)


def made_here(workspace: Workspace, data: bytes) -> dict[str, Any]:
    """Prompt, net and style of the picture of this workspace that has these very bytes; empty when there is none."""
    sha256 = hashlib.sha256(data).hexdigest()
    file = (
        ArtifactFile.objects.filter(
            sha256=sha256, artifact__workspace=workspace, artifact__status=Artifact.Status.KEPT, artifact__kind="image"
        )
        .select_related("artifact")
        .first()
    )
    if file is None:
        return {}
    net = catalog.net(file.artifact.net)
    names = ("prompt", "net", "style") if net is not None and "start_image" in net.abilities else ("prompt",)
    return {name: file.artifact.request[name] for name in names}
