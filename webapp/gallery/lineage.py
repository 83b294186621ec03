"""What a picture was made from and what was made from it, for one viewer."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse

from webapp.accounts.models import User
from webapp.gallery import selectors
from webapp.gallery.models import Artifact, Upload

NUM_SHOWN = 6


@dataclass(frozen=True)
class Origin:
    """The picture that another one began with: in words, and where to see it; no addresses when it is gone."""

    words: str
    page: str = ""
    picture: str = ""


def origin_of(artifact: Artifact, viewer: User) -> Origin | None:
    """What this picture began with, or None when it began with nothing."""
    request = artifact.request
    part = "part of " if request.get("mask") else ""
    if request.get("draft_seed") is not None:
        return Origin(f"the draft with seed {request['draft_seed']}")
    if not request.get("start_image"):
        return None
    input_id = UUID(request["start_image"])
    start = selectors.artifact_for_viewer(viewer, input_id)
    if start is not None:
        page, picture = reverse("artifact", args=[start.id]), reverse("artifact_thumbnail", args=[start.id])
        return Origin(f"{part}a picture of this workspace", page, picture)
    if Upload.objects.filter(id=input_id, workspace=artifact.workspace_id).exists():
        address = reverse("upload_content", args=[input_id])
        return Origin(f"{part}an uploaded picture", address, address)
    return Origin(f"{part}a picture that is not here any more")


def made_from(artifact: Artifact) -> QuerySet[Artifact]:
    """The newest pictures that began with this one."""
    newer = selectors.artifacts_of(artifact.workspace, kind="image").filter(created_at__gte=artifact.created_at)
    return newer.filter(request__start_image=str(artifact.id))[:NUM_SHOWN]
