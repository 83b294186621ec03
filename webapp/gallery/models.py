"""What was made: an artifact, its facts and its files."""

import uuid_utils.compat as uuid
from django.conf import settings
from django.db import models


class Artifact(models.Model):
    """One saved result of a job, with everything that is known about it."""

    class Status(models.TextChoices):
        KEPT = "kept"
        HELD = "held"

    id = models.UUIDField(primary_key=True, default=uuid.uuid7, editable=False)
    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.CASCADE, related_name="artifacts")
    job = models.ForeignKey("jobs.Job", on_delete=models.PROTECT, related_name="artifacts")
    index = models.PositiveSmallIntegerField(help_text="0-based place among the results of the job")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="artifacts")
    kind = models.CharField(max_length=8)
    status = models.CharField(max_length=8, choices=Status, default=Status.KEPT)
    prompt = models.TextField()
    request = models.JSONField(help_text="every parameter, as the contract's model dumps it")
    seed = models.BigIntegerField()
    net = models.CharField(max_length=100)
    checkpoint_sha256 = models.CharField(max_length=64)
    versions = models.JSONField(help_text="library name to version")
    timings = models.JSONField(help_text="name ending in _s to seconds")
    width_px = models.PositiveIntegerField(null=True)
    height_px = models.PositiveIntegerField(null=True)
    num_tokens = models.PositiveIntegerField(null=True)
    finish_reason = models.CharField(max_length=10, blank=True, help_text="why a text ends: stop or length")
    excerpt = models.TextField(blank=True, help_text="the first 300 characters of a text")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["job", "index"], name="one_artifact_per_job_and_index")]
        indexes = [models.Index(fields=["workspace", "-created_at", "-id"], name="gallery_newest_first")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class ArtifactFile(models.Model):
    """One stored file of an artifact; its bytes lie under their SHA-256."""

    class Role(models.TextChoices):
        ORIGINAL = "original"
        THUMBNAIL = "thumbnail"
        SIDECAR = "sidecar", "sidecar: the signed credentials of a file that cannot carry them"

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="files")
    role = models.CharField(max_length=16, choices=Role)
    sha256 = models.CharField(max_length=64)
    media_type = models.CharField(max_length=100)
    num_bytes = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["artifact", "role"], name="one_file_per_role")]

    def __str__(self) -> str:
        return f"{self.role} {self.sha256[:12]}"
