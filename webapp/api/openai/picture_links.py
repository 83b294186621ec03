"""Addresses of pictures that can be fetched for an hour by whoever has them, as `response_format: url` promises."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from webapp.errors import not_found
from webapp.gallery import downloads
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact

VALID_FOR = timedelta(hours=1)
_signer = signing.TimestampSigner(salt="webapp.api.openai.picture_links")


def link_to(artifact_id: UUID, output_format: str) -> str:
    """The address of one picture in one format; it says nothing but that, signed and dated."""
    token = _signer.sign(f"{artifact_id}.{output_format}")
    return settings.BASE_URL + reverse("openai:get_linked_picture", args=[token])


def content_response(request: HttpRequest, token: str) -> HttpResponseBase:
    """The picture behind an address.

    Raises:
        AppError: not_found, for a wrong or an old address and for a picture that is no longer shown to all members.
    """
    try:
        artifact_id, _, output_format = _signer.unsign(token, max_age=VALID_FOR).partition(".")
    except signing.BadSignature as error:
        raise not_found("picture") from error
    kept = Artifact.objects.filter(id=artifact_id, status=Artifact.Status.KEPT)
    artifact = gallery.with_facts(kept).first()
    if artifact is None:
        raise not_found("picture")
    return downloads.content_response(request, artifact, output_format)
