"""What a picture begins with, as the prompt bar shows it: an upload, a picture of the workspace, or a draft."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.urls import reverse

from webapp.gallery.models import Artifact, Upload
from webapp.studio.parameters import FieldError
from webapp.workspaces.models import Workspace


@dataclass(frozen=True)
class Start:
    """The ids as the form posts them; `address` and `mask_address` show the pictures, empty where there are none."""

    image: str = ""
    mask: str = ""
    draft_seed: str = ""
    address: str = ""
    mask_address: str = ""
    error: FieldError | None = None

    @property
    def is_given(self) -> bool:
        """Whether there is anything to begin with."""
        return bool(self.image or self.draft_seed)


def as_given(values: Mapping[str, str], workspace: Workspace, error: FieldError | None = None) -> Start:
    """What these values of a request say, though it may be gone or never have been there."""
    image, mask = values.get("start_image", ""), values.get("mask", "")
    return Start(
        image=image,
        mask=mask,
        draft_seed=values.get("draft_seed", ""),
        address=_address(image, workspace),
        mask_address=_address(mask, workspace),
        error=error,
    )


def still_there(values: Mapping[str, str], workspace: Workspace) -> Start:
    """The same for a request of an earlier visit: a picture that is gone since is not begun with."""
    start = as_given(values, workspace)
    is_gone = (start.image and not start.address) or (start.mask and not start.mask_address)
    return Start(draft_seed=start.draft_seed) if is_gone else start


def _address(input_id: str, workspace: Workspace) -> str:
    """Where a page of this workspace gets the picture with this id; empty when the workspace has none."""
    try:
        found = UUID(input_id)
    except ValueError:
        return ""
    if Artifact.objects.filter(id=found, workspace=workspace, kind="image").exists():
        return reverse("artifact_content", args=[found])
    if Upload.objects.filter(id=found, workspace=workspace).exists():
        return reverse("upload_content", args=[found])
    return ""
