"""The job and its states. Rows change only through `services.py`; constraints refuse impossible rows."""

from typing import Any

import uuid_utils.compat as uuid
from django.conf import settings
from django.db import models
from django.db.models import F, Q

from genworkers.contract.base import KINDS
from genworkers.contract.image import ImageRequest
from genworkers.contract.requests import GENERATION_REQUEST
from genworkers.contract.text import TextRequest


class Job(models.Model):
    """One wish of one user: its request, its state, and who holds it."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        EXPIRED = "expired"
        BLOCKED = "blocked"
        HELD = "held"

    OPEN_STATUSES = (Status.QUEUED, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid7, editable=False)
    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.CASCADE, related_name="jobs")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="jobs")
    api_key = models.ForeignKey("accounts.ApiKey", on_delete=models.SET_NULL, null=True, related_name="jobs")
    kind = models.CharField(max_length=8, choices=[(kind, kind) for kind in KINDS])
    is_draft = models.BooleanField(default=False, help_text="its pictures are shown to whoever watches and not kept")
    request = models.JSONField(help_text="the contract's model, dumped; seed and style are always filled in")
    prompt = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="how often a worker has claimed the job")
    fence = models.PositiveIntegerField(default=0, help_text="rises with every claim and every loss of a lease")
    worker = models.CharField(max_length=100, blank=True)
    lease_expires_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField()
    cancel_requested_at = models.DateTimeField(null=True)
    dispatched_at = models.DateTimeField(null=True, help_text="null: still in the outbox")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    energy_j = models.FloatField(default=0.0, help_text="joules of all attempts that could still say so")
    energy_source = models.CharField(
        max_length=8, blank=True, help_text="how that is known: the contract's EnergySource; empty: not at all"
    )
    error_code = models.CharField(max_length=50, blank=True)
    error_message = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="running") | Q(lease_expires_at__isnull=False, started_at__isnull=False),
                name="running_job_has_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at__isnull=True)
                | (~Q(status__in=["queued", "running"]) & Q(finished_at__isnull=False)),
                name="job_is_finished_exactly_when_it_has_ended",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "succeeded", "cancelled", "expired"]) | ~Q(error_code=""),
                name="bad_ending_has_a_code",
            ),
            models.CheckConstraint(condition=Q(fence__gte=F("attempt")), name="fence_is_at_least_attempt"),
        ]
        indexes = [
            models.Index(fields=["kind", "created_at"], condition=Q(status="queued"), name="job_waiting"),
            models.Index(fields=["lease_expires_at"], condition=Q(status="running"), name="job_leases"),
            models.Index(fields=["workspace", "-created_at"], name="job_newest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} {self.status}"

    @property
    def is_open(self) -> bool:
        """Whether something can still happen to this job."""
        return self.status in self.OPEN_STATUSES

    @property
    def parsed_request(self) -> TextRequest | ImageRequest:
        """The stored request as the contract's model."""
        payload: dict[str, Any] = self.request
        return GENERATION_REQUEST.validate_python(payload)
