"""What may be asked and shown: a workspace's terms and policy, every verdict, what reviewers decided, and appeals."""

import uuid_utils.compat as uuid
from django.conf import settings
from django.db import models

from webapp.workspaces.append_only import AppendOnly


class Action(models.TextChoices):
    """What a verdict demands, mildest first: allow < flag < review < block."""

    ALLOW = "allow"
    FLAG = "flag"
    REVIEW = "review"
    BLOCK = "block"


class BlockedTerm(models.Model):
    """A word or phrase that a workspace refuses or sends to review."""

    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.CASCADE, related_name="blocked_terms")
    term = models.CharField(max_length=200)
    action = models.CharField(max_length=8, choices=Action, default=Action.BLOCK)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "term"], name="blocked_term_once_per_workspace")]

    def __str__(self) -> str:
        return f"{self.action} {self.term}"


class PolicyVersion(AppendOnly):
    """The thresholds of a workspace from one moment on; the highest number is in force. Without any, the default is."""

    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.PROTECT, related_name="policy_versions")
    number = models.PositiveIntegerField(help_text="from 1; 0 stands for the default")
    thresholds = models.JSONField(help_text="`policy.Policy`, dumped")
    note = models.CharField(max_length=500, blank=True, help_text="why it was changed")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "number"], name="one_policy_per_number")]

    def __str__(self) -> str:
        return f"policy {self.number} of {self.workspace_id}"


class Verdict(models.Model):
    """What one screen said of one text or picture, at one stage of one job."""

    class Stage(models.TextChoices):
        PROMPT = "prompt"
        INPUT = "input"
        OUTPUT = "output"

    id = models.UUIDField(primary_key=True, default=uuid.uuid7, editable=False)
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="verdicts")
    artifact = models.ForeignKey("gallery.Artifact", on_delete=models.CASCADE, null=True, related_name="verdicts")
    stage = models.CharField(max_length=8, choices=Stage)
    screen = models.CharField(max_length=50)
    version = models.CharField(max_length=80)
    action = models.CharField(max_length=8, choices=Action)
    matched = models.JSONField(default=list, help_text="terms, or the categories that fired, severest first")
    scores = models.JSONField(default=dict, help_text="category to 0..1, as the net gave them; empty for the rules")
    policy_number = models.PositiveIntegerField(null=True, help_text="the policy that weighed the scores")
    content_sha256 = models.CharField(max_length=64, blank=True, help_text="of what was judged, unmarked and unsigned")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.stage}: {self.action} by {self.screen}"


class Decision(models.Model):
    """What one reviewer decided about one result: when it was held, on appeal, or again and blind."""

    class Task(models.TextChoices):
        HELD = "held"
        APPEAL = "appeal"
        RECHECK = "recheck", "blind re-check"

    class Outcome(models.TextChoices):
        RELEASED = "released"
        REJECTED = "rejected"

    id = models.UUIDField(primary_key=True, default=uuid.uuid7, editable=False)
    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.CASCADE, related_name="decisions")
    artifact = models.ForeignKey("gallery.Artifact", on_delete=models.CASCADE, related_name="decisions")
    task = models.CharField(max_length=8, choices=Task)
    outcome = models.CharField(max_length=8, choices=Outcome)
    reason = models.TextField(blank=True)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions")
    is_sampled = models.BooleanField(default=False, help_text="comes back to another reviewer, who does not see it")
    content_sha256 = models.CharField(max_length=64, blank=True, help_text="of what was decided about, unmarked")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["artifact", "task"], name="decided_once_per_task")]
        indexes = [models.Index(fields=["workspace", "content_sha256"], name="decided_before")]

    def __str__(self) -> str:
        return f"{self.task}: {self.outcome}"


class Appeal(models.Model):
    """The author's words against a rejection, once; the `Decision` with the task `appeal` answers them."""

    artifact = models.OneToOneField("gallery.Artifact", on_delete=models.CASCADE, related_name="appeal")
    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.CASCADE, related_name="appeals")
    words = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"appeal {self.artifact_id}"
