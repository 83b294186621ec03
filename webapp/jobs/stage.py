"""One job as the pages show it: live while it is open, with its results and their text after that."""

from dataclasses import dataclass
from uuid import UUID

from django.urls import reverse

from webapp.accounts.models import User
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact
from webapp.jobs.models import Job
from webapp.jobs.selectors import QueueState, queue_state
from webapp.safety import selectors as safety
from webapp.safety.selectors import Notice
from webapp.workspaces.selectors import may_generate


@dataclass(frozen=True)
class Stage:
    """What the template of a job reads. `places` are the pictures or texts to come, `texts` the words of those kept.

    `note` and `notices`, of help and of reviews, are for the person who asked.
    """

    job: Job
    places: list[int]
    artifacts: list[Artifact]
    texts: list[str]
    queue: QueueState
    may_cancel: bool
    prompt_url: str
    note: str
    notices: list[Notice]

    @property
    def kept_texts(self) -> list[tuple[Artifact, str]]:
        """Each kept text with its words."""
        return list(zip(self.artifacts, self.texts, strict=True)) if self.texts else []

    @property
    def socket_path(self) -> str:
        """Where the job can be followed live."""
        return f"/ws/jobs/{self.job.id}/"


def stage_of(job: Job, user: User) -> Stage:
    """Read the job's results, as far as this person may see them."""
    artifact_ids: list[UUID] = [] if job.is_open else list(job.artifacts.order_by("index").values_list("id", flat=True))
    found = [gallery.artifact_for_viewer(user, artifact_id) for artifact_id in artifact_ids]
    # Also a reviewer sees what is held on the page of reviews alone, where it is covered until asked for.
    artifacts = [artifact for artifact in found if artifact is not None and artifact.status == Artifact.Status.KEPT]
    is_author = job.created_by_id == user.id
    return Stage(
        job=job,
        places=list(range(job.request.get("num_images" if job.kind == "image" else "num_texts", 1))),
        artifacts=artifacts,
        texts=[gallery.text_of(artifact) for artifact in artifacts] if job.kind == "text" else [],
        queue=queue_state(job),
        may_cancel=job.is_open and may_generate(user, job.workspace_id),
        prompt_url=f"{reverse('studio', args=[job.workspace.slug])}?job={job.id}",
        note=safety.note_for(job.id) if is_author else "",
        notices=safety.notices_for(job.id) if is_author and not job.is_open else [],
    )
