"""The tenant of everything: a workspace, its members, and the log of what was done in it."""

import uuid_utils.compat as uuid
from django.conf import settings
from django.db import models

from webapp.workspaces.append_only import AppendOnly


class Workspace(models.Model):
    """A team's own place; nothing is shared between two of them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid7, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=50, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """One person's role in one workspace."""

    class Role(models.TextChoices):
        OWNER = "owner"
        EDITOR = "editor"
        REVIEWER = "reviewer"
        VIEWER = "viewer"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.EDITOR)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="one_membership_per_person")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} of {self.workspace_id}"


class AuditEntry(AppendOnly):
    """One act in a workspace, chained by its hash to the one before. Written by `audit.append` alone."""

    class Act(models.TextChoices):
        LOOKED = "looked", "looked at a result as a reviewer"
        RELEASED = "released", "released a held result"
        REJECTED = "rejected", "rejected a held result"
        APPEALED = "appealed", "appealed"
        OVERTURNED = "overturned", "overturned a rejection"
        UPHELD = "upheld", "upheld a rejection"
        CHECKED = "checked", "judged again, blind"
        POLICY_CHANGED = "policy_changed", "changed the policy"
        TERM_SET = "term_set", "put a term on the list"
        TERM_REMOVED = "term_removed", "took a term off the list"
        WORDS_REMOVED = "words_removed", "blocked a job and kept nothing of it"

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="audit_entries")
    number = models.PositiveBigIntegerField(help_text="from 1, without gaps")
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=150, blank=True, help_text="as it was then; empty: the studio itself")
    act = models.CharField(max_length=20, help_text="one of Act; a new one needs no change of the table")
    subject = models.CharField(max_length=100, help_text="what it was done to, such as `artifact ID`")
    details = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["workspace", "number"]
        constraints = [models.UniqueConstraint(fields=["workspace", "number"], name="one_audit_entry_per_number")]
        indexes = [models.Index(fields=["workspace", "subject"], name="audit_by_subject")]

    def __str__(self) -> str:
        return f"{self.number} {self.act} {self.subject}"

    @property
    def words(self) -> str:
        """What somebody wrote: the reason, the appeal, the note, or the term."""
        return next((self.details[name] for name in ("reason", "words", "note", "term") if self.details.get(name)), "")
