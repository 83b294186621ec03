"""Pictures that people give as the start, the end or the mask of a job: cleaned, kept for a week, used by their id.

The bytes go through `pictures.py`; the addresses are in `upload_views.py` and in the API.
"""

import hashlib
import io
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Sum
from django.utils import timezone
from PIL import Image

from genworkers.contract.image import ImageRequest
from genworkers.contract.text import TextRequest
from webapp.accounts.models import User
from webapp.errors import AppError, not_found, problem
from webapp.gallery import pictures, selectors, storage
from webapp.gallery.models import Artifact, ArtifactFile, Upload
from webapp.workspaces import selectors as workspaces
from webapp.workspaces.models import Workspace

KEEP = timedelta(days=7)
REUSE = timedelta(days=3)  # the same picture sent again within this time keeps its id, so that a call can be repeated
QUOTA_PERIOD = timedelta(days=1)
MAX_UPLOADS_A_DAY = 200
MAX_BYTES_A_DAY = 200_000_000


def keep(workspace: Workspace, user: User, data: bytes, *, field: str = "file") -> Upload:
    """Clean a picture and keep it; the same picture of the same person, sent again, is the same upload.

    Args:
        field: what the caller calls this file; errors name it.

    Raises:
        AppError: forbidden, uploads_used_up, storage_full, and what `pictures.clean` raises. Then nothing is kept.
    """
    check_may_keep(workspace, user)
    return keep_clean(workspace, user, pictures.clean(data, field_name=field))


def keep_clean(workspace: Workspace, user: User, picture: pictures.CleanPicture) -> Upload:
    """Keep a picture that is clean already, for a caller that has asked `check_may_keep`.

    Raises:
        AppError: storage_full. Then nothing is kept.
    """
    sha256 = hashlib.sha256(picture.png).hexdigest()
    known = Upload.objects.filter(
        workspace=workspace, created_by=user, sha256=sha256, created_at__gt=timezone.now() - REUSE
    ).first()
    if known is not None:
        return known
    upload = Upload(
        workspace=workspace,
        created_by=user,
        sha256=sha256,
        width_px=picture.width_px,
        height_px=picture.height_px,
        num_bytes=len(picture.png),
    )
    with transaction.atomic():
        upload.save(force_insert=True)
        storage.put_as(_name(upload.id), picture.png)
    return upload


def _name(upload_id: UUID) -> str:
    return f"uploads/{upload_id}.png"


def check_may_keep(workspace: Workspace, user: User) -> None:
    """Refuse whoever may only look here, and whoever has uploaded enough for a day.

    Raises:
        AppError: forbidden, uploads_used_up.
    """
    if not workspaces.may_generate(user, workspace.id):
        raise AppError("forbidden", 403, "Your role in this workspace may look, but not upload. Ask an owner.")
    recent = Upload.objects.filter(created_by=user, created_at__gt=timezone.now() - QUOTA_PERIOD)
    used = recent.aggregate(number=Count("id"), num_bytes=Sum("num_bytes", default=0))
    if used["number"] >= MAX_UPLOADS_A_DAY or used["num_bytes"] >= MAX_BYTES_A_DAY:
        message = (
            f"You have uploaded {used['number']} pictures within a day, {used['num_bytes'] / 1e6:.0f} MB; at most "
            f"{MAX_UPLOADS_A_DAY} and {MAX_BYTES_A_DAY / 1e6:.0f} MB are taken. Try again tomorrow."
        )
        raise AppError("uploads_used_up", 429, message, headers={"Retry-After": "3600"})


def sweep() -> int:
    """Remove what is older than KEEP, bytes and rows, and say how many."""
    old = Upload.objects.filter(created_at__lt=timezone.now() - KEEP)
    num_removed = 0
    for upload in old.only("id"):
        storage.delete(_name(upload.id))
        upload.delete()
        num_removed += 1
    return num_removed


def upload_for_viewer(user: User, upload_id: UUID) -> Upload:
    """The upload, if this person is a member of its workspace.

    Raises:
        AppError: not_found.
    """
    found = Upload.objects.filter(id=upload_id, workspace__memberships__user=user).first()
    if found is None:
        raise not_found("upload")
    return found


def bytes_of(upload: Upload) -> bytes:
    """The kept PNG.

    Raises:
        AppError: not_found, when it has just been removed.
    """
    try:
        with storage.open_named(_name(upload.id)) as file:
            data: bytes = file.read()
    except FileNotFoundError as error:
        raise not_found("upload") from error
    return data


def check_inputs(request: TextRequest | ImageRequest, workspace: Workspace) -> None:
    """Refuse a request that names pictures which are not there, or a mask of another size than its start picture.

    Raises:
        AppError: input_unknown, mask_size_differs.
    """
    if isinstance(request, TextRequest):
        return
    sizes = {field: _size_of(field, input_id, workspace) for field, input_id in _inputs_of(request)}
    start, mask = sizes.get("start_image"), sizes.get("mask")
    if start is not None and mask is not None:
        check_sizes(start, mask)


def check_sizes(start: tuple[int, int], mask: tuple[int, int]) -> None:
    """Refuse a mask of another size than its start picture; both are (width, height) in pixels.

    Raises:
        AppError: mask_size_differs.
    """
    if start != mask:
        given, wanted = (f"{width} x {height} px" for width, height in (mask, start))
        problems = [
            problem("mask", "mask_size_differs", "the mask must have the size of the start picture", given, wanted)
        ]
        message = f"The mask has {given}, the start picture {wanted}, both as they are kept. Send a mask of its size."
        raise AppError("mask_size_differs", 422, message, problems=problems)


def _inputs_of(request: ImageRequest) -> Iterator[tuple[str, str]]:
    named = {"start_image": request.start_image, "mask": request.mask}
    named["walk.end_image"] = None if request.walk is None else request.walk.end_image
    for field, input_id in named.items():
        if input_id is not None:
            yield field, input_id


def _size_of(field: str, input_id: str, workspace: Workspace) -> tuple[int, int]:
    upload = _upload(workspace.id, input_id)
    if upload is not None:
        return upload.width_px, upload.height_px
    artifact = None if field == "mask" else _picture(workspace.id, input_id)
    if artifact is None:
        raise _unknown(field, input_id)
    return artifact.width_px or 0, artifact.height_px or 0


def input_bytes(workspace_id: UUID, input_id: str) -> bytes:
    """The PNG of an upload of this workspace, or of a picture that it has kept; of an animation its first frame.

    Raises:
        AppError: input_unknown.
    """
    data, media_type = input_file(workspace_id, input_id)
    if media_type == "image/png":
        return data
    with Image.open(io.BytesIO(data)) as image, io.BytesIO() as png:
        image.convert("RGBA").save(png, "PNG")
        return png.getvalue()


def input_file(workspace_id: UUID, input_id: str) -> tuple[bytes, str]:
    """The same as it is kept, with its media type: of a kept picture its original, or where that is a film a picture.

    Raises:
        AppError: input_unknown.
    """
    upload = _upload(workspace_id, input_id)
    if upload is not None:
        return bytes_of(upload), "image/png"
    artifact = _picture(workspace_id, input_id)
    if artifact is None:
        raise _unknown("start_image", input_id)
    files = [selectors.file_of(artifact, role) for role in (ArtifactFile.Role.ORIGINAL, ArtifactFile.Role.THUMBNAIL)]
    file = next(file for file in files if file is not None and file.media_type.startswith("image/"))
    with selectors.open_bytes(file) as opened:
        data: bytes = opened.read()
    return data, file.media_type


def has_upload_behind(workspace_id: UUID, input_id: str | None) -> bool:
    """Whether this picture is a person's, or was changed from one that was, however many changes ago."""
    while input_id is not None:
        artifact = _picture(workspace_id, input_id)
        if artifact is None:
            return True
        is_walk = artifact.request.get("walk") is not None
        input_id = None if is_walk else artifact.request.get("start_image")
    return False


def _upload(workspace_id: UUID, input_id: str) -> Upload | None:
    return Upload.objects.filter(workspace_id=workspace_id, id=input_id).first()


def _picture(workspace_id: UUID, input_id: str) -> Artifact | None:
    kept = Artifact.objects.filter(workspace_id=workspace_id, kind="image", status=Artifact.Status.KEPT)
    return kept.filter(id=input_id).prefetch_related("files").first()


def _unknown(field: str, input_id: str) -> AppError:
    allowed = "the id of an upload of this workspace"
    allowed += "" if field == "mask" else ", or of a picture in its gallery"
    reason = f"there is no such picture in this workspace; uploads are kept for {KEEP.days} days"
    message = (
        f"There is no picture {input_id!r} in this workspace. Uploads are kept for {KEEP.days} days; send it again."
    )
    problems = [problem(field, "input_unknown", reason, input_id, allowed)]
    return AppError("input_unknown", 422, message, problems=problems)
