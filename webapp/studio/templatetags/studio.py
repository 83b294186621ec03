"""Template tags of the pages: an icon from the sprite, the seal of an artifact."""

from datetime import datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from webapp.catalog import selectors as catalog
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.studio.parameters import schema_of, written

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """One decorative icon; the text beside it or an aria-label says what it means."""
    address = f"{static('img/icons.svg')}#{name}"
    return format_html('<svg class="icon" aria-hidden="true" focusable="false"><use href="{}"/></svg>', address)


def _tiles(artifact: Artifact) -> list[tuple[str, str]]:
    """What the seal says of signed, marked, screened, released: the words, and the tile's class."""
    is_signed = any(
        file.role == ArtifactFile.Role.ORIGINAL and hasattr(file, "credential") for file in artifact.files.all()
    )
    is_marked = hasattr(artifact, "mark") and artifact.mark.scheme != "none"
    screens = {verdict.stage: verdict.screen for verdict in artifact.verdicts.all()}
    if screens.get("output", "none") != "none":
        screened = ("screened", "on")
    else:
        screened = ("prompt screened", "half") if "prompt" in screens else ("not screened", "bad")
    is_held = artifact.status == Artifact.Status.HELD
    return [
        ("signed", "on") if is_signed else ("not signed", "bad"),
        ("marked", "on") if is_marked else ("not marked yet", ""),
        screened,
        ("held for review", "held") if is_held else ("released", "on"),
    ]


@register.simple_tag
def seal_words(artifact: Artifact) -> str:
    """What the four tiles say, as a sentence."""
    return ", ".join(words for words, _ in _tiles(artifact)).capitalize() + "."


@register.inclusion_tag("_seal.html")
def seal(artifact: Artifact, size: str = "") -> dict[str, Any]:
    """Four tiles that tell at a glance whether an artifact is signed, marked, screened and released."""
    return {"label": f"Seal: {seal_words(artifact)}", "tiles": [tile for _, tile in _tiles(artifact)], "size": size}


@register.filter
def ago(moment: datetime) -> str:
    """How long ago, in words."""
    if (timezone.now() - moment).total_seconds() < 60:
        return "just now"
    return f"{timesince(moment, depth=1)} ago"


@register.simple_tag
def seconds(value: float) -> str:
    """A duration as a person says it."""
    if value < 1:
        return "under 1 s" if value < 0.05 else f"{value:.1f} s"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s" if value < 90 else f"{value / 60:.0f} min"


@register.simple_tag
def seconds_between(start: datetime, end: datetime) -> str:
    """How long it was from one moment to another."""
    return seconds((end - start).total_seconds())


@register.simple_tag
def title_of(kind: str, name: str) -> str:
    """The contract's title of a parameter; the bare name for one that is no longer in the contract."""
    schemas = schema_of("image" if kind == "image" else "text")
    return str(schemas.get(name, {}).get("title", name))


@register.simple_tag
def value_of(kind: str, name: str, value: object) -> str:
    """A parameter's value with its unit; nets and styles by their titles, as the prompt bar names them."""
    if name == "net":
        net = catalog.net(str(value))
        return net.title if net else str(value)
    if name == "style":
        return next((net.styles[str(value)] for net in catalog.nets() if str(value) in net.styles), str(value))
    schemas = schema_of("image" if kind == "image" else "text")
    unit = schemas.get(name, {}).get("unit", "")
    return f"{written(value)} {unit}".strip() or "none"
