"""Results that are not released: the one place that changes their status, and the note of who looked at them."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from webapp.accounts.models import User
from webapp.gallery.models import Artifact
from webapp.workspaces import audit
from webapp.workspaces.models import AuditEntry

# One page asks for several files of an artifact; that is one look.
ONE_LOOK = timedelta(minutes=10)


def move(artifact_id: UUID, *, expected: Artifact.Status, to: Artifact.Status) -> bool:
    """Give a result another status in one conditional UPDATE; False when somebody else was faster."""
    return Artifact.objects.filter(id=artifact_id, status=expected).update(status=to) == 1


def look(user: User, artifact: Artifact, *, is_blind: bool = False) -> None:
    """Write down that this person sees what is not released; a kept result is everybody's and leaves no trace.

    Args:
        is_blind: the person may not learn how it was decided, so a kept result leaves the same trace.
    """
    if artifact.status == Artifact.Status.KEPT and not is_blind:
        return
    act, subject, now = AuditEntry.Act.LOOKED, subject_of(artifact.id), timezone.now()
    looks = AuditEntry.objects.filter(workspace_id=artifact.workspace_id, subject=subject, act=act, actor=user)
    if not looks.filter(at__range=(now - ONE_LOOK, now)).exists():
        audit.append(artifact.workspace_id, act, actor=user, subject=subject, details={"status": artifact.status})


def subject_of(artifact_id: UUID) -> str:
    """How the audit log names an artifact."""
    return f"artifact {artifact_id}"
