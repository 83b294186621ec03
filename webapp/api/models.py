"""What the API remembers between requests: answers under an Idempotency-Key, for a day."""

from django.conf import settings
from django.db import models


class IdempotencyRecord(models.Model):
    """The first answer to one key of one person in one workspace."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.CASCADE)
    key = models.CharField(max_length=255)
    request_sha256 = models.CharField(max_length=64)
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, null=True)
    http_status = models.PositiveSmallIntegerField(default=202)
    body = models.JSONField(default=dict, help_text="the answer as it was sent")
    busy_until = models.DateTimeField(null=True, help_text="until then the first request may still be waiting")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "workspace", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.key} {self.http_status}"
