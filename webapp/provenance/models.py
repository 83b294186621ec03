"""What we can prove later: the mark in an artifact and the signed credentials of each file."""

from django.db import models


class MarkRecord(models.Model):
    """How an artifact is watermarked; scheme "none" says plainly that it is not."""

    artifact = models.OneToOneField("gallery.Artifact", on_delete=models.CASCADE, related_name="mark")
    scheme = models.CharField(max_length=50)
    key_id = models.CharField(max_length=50, blank=True)
    payload = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.scheme


class Credential(models.Model):
    """The signed C2PA manifest of one file."""

    file = models.OneToOneField("gallery.ArtifactFile", on_delete=models.CASCADE, related_name="credential")
    manifest_label = models.CharField(max_length=200)
    issuer = models.CharField(max_length=200)
    certificate_sha256 = models.CharField(max_length=64)
    is_embedded = models.BooleanField()
    signed_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.manifest_label
