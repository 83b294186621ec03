"""What may be asked and shown: the rules of a workspace and every verdict that was given."""

import uuid_utils.compat as uuid
from django.db import models


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


class Verdict(models.Model):
    """What one screen said of one text or picture, at one stage of one job."""

    class Stage(models.TextChoices):
        PROMPT = "prompt"
        OUTPUT = "output"

    id = models.UUIDField(primary_key=True, default=uuid.uuid7, editable=False)
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="verdicts")
    artifact = models.ForeignKey("gallery.Artifact", on_delete=models.CASCADE, null=True, related_name="verdicts")
    stage = models.CharField(max_length=8, choices=Stage)
    screen = models.CharField(max_length=50)
    version = models.CharField(max_length=20)
    action = models.CharField(max_length=8, choices=Action)
    matched = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.stage}: {self.action} by {self.screen}"
