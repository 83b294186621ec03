"""What we can prove later: the mark in an artifact, its fingerprint, and the signed credentials of each file."""

from django.db import models
from django.db.models import Q


class MarkKey(models.Model):
    """Names the secret that a workspace's marks are written with in one epoch; the secret itself is never stored."""

    workspace = models.ForeignKey("workspaces.Workspace", on_delete=models.CASCADE, related_name="mark_keys")
    epoch = models.PositiveIntegerField(help_text="counts the keys of this workspace, from 1")
    key_id = models.CharField(max_length=16, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-epoch"]
        constraints = [models.UniqueConstraint(fields=["workspace", "epoch"], name="one_mark_key_per_epoch")]

    def __str__(self) -> str:
        return self.key_id


class MarkRecord(models.Model):
    """How an artifact is watermarked; scheme "none" says plainly that it is not, and `note` says why."""

    artifact = models.OneToOneField("gallery.Artifact", on_delete=models.CASCADE, related_name="mark")
    scheme = models.CharField(max_length=50)
    key_id = models.CharField(max_length=50, blank=True)
    payload = models.CharField(max_length=100, blank=True, help_text="what the mark says, in hex; empty for texts")
    note = models.CharField(max_length=200, blank=True, help_text="why there is none, or how far it can be relied on")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key_id", "payload"], condition=~Q(payload=""), name="one_mark_per_payload")
        ]

    def __str__(self) -> str:
        return self.scheme


class Fingerprint(models.Model):
    """What an artifact looks or reads like, so that a copy without mark and credentials still finds its record."""

    artifact = models.OneToOneField("gallery.Artifact", on_delete=models.CASCADE, related_name="fingerprint")
    value = models.TextField(help_text="in hex, as genworkers/marks/fingerprint.py computes it")

    def __str__(self) -> str:
        return self.value[:16]


class FingerprintBand(models.Model):
    """One part of a fingerprint; near fingerprints share at least one, so that they are found by an index."""

    fingerprint = models.ForeignKey(Fingerprint, on_delete=models.CASCADE, related_name="bands")
    band = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return f"{self.band:x}"


class Credential(models.Model):
    """The signed C2PA manifest of one file."""

    file = models.OneToOneField("gallery.ArtifactFile", on_delete=models.CASCADE, related_name="credential")
    manifest_label = models.CharField(max_length=200, db_index=True)
    issuer = models.CharField(max_length=200)
    certificate_sha256 = models.CharField(max_length=64)
    is_embedded = models.BooleanField()
    signed_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.manifest_label
