"""Template tags of the pages: an icon from the sprite, the seal of an artifact."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from genworkers.contract.energy import JOULES_PER_KWH
from genworkers.contract.requests import API_ONLY_FIELDS
from webapp.catalog import selectors as catalog
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.safety.forms import words_of_change
from webapp.safety.policy import Change
from webapp.studio import parameters
from webapp.workspaces.models import AuditEntry

APART = ("kind", "prompt", "history")

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
    released = {"held": ("held for review", "held"), "rejected": ("rejected by a reviewer", "bad")}
    return [
        ("signed", "on") if is_signed else ("not signed", "bad"),
        ("marked", "on") if is_marked else ("not marked", ""),
        screened,
        released.get(artifact.status, ("released", "on")),
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


@register.filter
def energy(joules: float) -> str:
    """Energy as a person says it.

    >>> energy(12.34), energy(9000.0), energy(5e6)
    ('12 J', '2.5 Wh', '1.4 kWh')
    """
    if joules < 3600:
        return f"{joules:.2g} J" if joules < 10 else f"{joules:,.0f} J"
    return f"{joules / 3600:.3g} Wh" if joules < JOULES_PER_KWH else f"{joules / JOULES_PER_KWH:,.1f} kWh"


@register.filter
def energy_source(source: str) -> str:
    """How a number of joules is known, in words."""
    known = {"rapl": "measured by the processor's counter", "nvml": "measured by the GPU's counter"}
    return known.get(source, "estimated")


@register.simple_tag
def title_of(kind: str, name: str) -> str:
    """The contract's title of a parameter; the bare name for one that is no longer in the contract."""
    field = parameters.REQUEST_OF_KIND["image" if kind == "image" else "text"].model_fields.get(name)
    return field.title or name if field else name


@register.simple_tag
def value_of(kind: str, name: str, value: object) -> str:
    """A parameter's value with its unit; nets and styles by their titles, as the prompt bar names them."""
    if name == "net":
        net = catalog.net(str(value))
        return net.title if net else str(value)
    if name == "walk" and isinstance(value, Mapping):
        return f"{value['route']}, {value['num_frames']} frames, {value['fps']} a second"
    if name in ("style", "style_mix"):
        return next((net.styles[str(value)] for net in catalog.nets() if str(value) in net.styles), str(value))
    if name in ("start_image", "mask") and value:
        return "given"
    schemas = parameters.schema_of("image" if kind == "image" else "text")
    unit = schemas.get(name, {}).get("unit", "")
    if value is True:
        return "yes"
    return f"{parameters.written(value)} {unit}".strip() or "none"


@register.simple_tag
def ending(finish_reason: str, num_tokens: int | None) -> str:
    """Why a text ends, in words; job.js says the same while it watches."""
    return {"stop": "Ended by itself", "length": f"Cut at {num_tokens} tokens"}.get(finish_reason, "")


@register.simple_tag
def change_words(change: Change) -> str:
    """Which threshold a change of the policy is about."""
    return words_of_change(change)


@register.simple_tag
def threshold(value: float | None) -> str:
    """A threshold as the policy page says it."""
    return "never" if value is None else f"{value:g}"


@register.simple_tag
def act_words(act: str) -> str:
    """What was done, as the audit log says it; a name that is no longer known stays as it is."""
    return (AuditEntry.Act(act).label if act in AuditEntry.Act.values else act).capitalize()


@register.simple_tag
def subject_url(entry: AuditEntry, slug: str) -> str:
    """Where the subject of an entry of the audit log is shown; empty where no page shows it."""
    kind, _, name = entry.subject.partition(" ")
    try:
        match kind:
            case "artifact" | "job":
                return reverse(kind, args=[name])
            case "policy":
                return reverse("policy", args=[slug])
    except NoReverseMatch:  # no id: somebody changed the log, and its page must be there to say so
        pass
    return ""


# Said only where somebody asked for them.
QUIET = API_ONLY_FIELDS | {
    *("num_texts", "adapter", "min_p", "json_schema"),
    *("repetition_penalty", "presence_penalty", "frequency_penalty"),
    *("style_mix", "negative_prompt", "background"),
}
# Said only beside another field that was asked for.
WITH = {"style_mix_frac": ("style_mix",), "strength": ("start_image", "draft_seed")}


@register.filter
def facts_of(request: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What a label says of a request, beside what its page shows elsewhere."""
    fields = parameters.REQUEST_OF_KIND["image" if request["kind"] == "image" else "text"].model_fields

    def is_said(name: str, value: object) -> bool:
        default = fields[name].get_default(call_default_factory=True) if name in fields else None
        is_idle = name in WITH and all(request.get(other) in (None, "") for other in WITH[name])
        return value is not None and not (name in QUIET and value == default) and not is_idle

    return [(name, value) for name, value in request.items() if name not in APART and is_said(name, value)]
