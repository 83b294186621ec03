"""What was made: an artifact, its facts and its files; and what was given to make it from."""

import uuid_utils.compat as uuid
from django.conf import settings
from django.db import models
from django.db.models import Q


class Artifact(models.Model):
    """One saved result of a job, with everything that is known about it."""

    class Status(models.TextChoices):
        KEPT = "kept"
        HELD = "held"
        REJECTED = "rejected", "rejected: a reviewer decided that it is not shown"

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
    facts = models.JSONField(default=dict, help_text="the contract's PictureFacts, dumped; empty for a text")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["job", "index"], name="one_artifact_per_job_and_index")]
        indexes = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="gallery_newest_first"),
            models.Index(fields=["workspace", "created_at"], condition=Q(status="held"), name="artifact_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class ArtifactFile(models.Model):
    """One stored file of an artifact; its bytes lie under their SHA-256."""

    class Role(models.TextChoices):
        ORIGINAL = "original"
        THUMBNAIL = "thumbnail"
        SIDECAR = "sidecar", "sidecar: the signed credentials of a file that cannot carry them"
        WEBP = "webp", "webp: the original as WebP, made when first asked for"
        JPEG = "jpeg", "jpeg: the original as JPEG, made when first asked for"
        SVG = "svg", "svg: the original traced as SVG, made when first asked for"

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="files")
    role = models.CharField(max_length=16, choices=Role)
    sha256 = models.CharField(max_length=64)
    media_type = models.CharField(max_length=100)
    num_bytes = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["artifact", "role"], name="one_file_per_role")]

    def __str__(self) -> str:
        return f"{self.role} {self.sha256[:12]}"


class Upload(models.Model):
    """A picture that somebody gave as the start, the end or the mask of a job: cleaned, and kept as PNG for a while."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid7, editable=False)
    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.CASCADE, related_name="uploads")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="uploads")
    sha256 = models.CharField(max_length=64)
    width_px = models.PositiveIntegerField()
    height_px = models.PositiveIntegerField()
    num_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["created_at"], name="upload_oldest")]

    def __str__(self) -> str:
        return f"upload {self.id}"
