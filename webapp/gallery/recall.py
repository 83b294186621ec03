"""The recall verbs: addresses of the studio that put a request, or part of it, back into the prompt bar.

An address names the artifact: a long prompt itself would not fit into one.
"""

import json

from django.urls import reverse

from genworkers.contract.manifests import NetManifest
from genworkers.contract.requests import API_ONLY_FIELDS
from webapp.catalog import selectors as catalog
from webapp.gallery.models import Artifact

VERBS = ("prompt", "seed", "all", "remix")
PICTURE_VERBS = ("start", "edit")
BEGINNINGS = frozenset({"start_image", "mask", "draft_seed"})
VARY_STRENGTH = 0.5
NUM_VARIATIONS = 4


def recall_urls(artifact: Artifact) -> dict[str, str]:
    """Verb to address; a picture can also be begun with, if a net here can."""
    studio = reverse("studio", args=[artifact.workspace.slug])
    verbs = VERBS + (PICTURE_VERBS if _is_still(artifact) and editing_net(artifact) else ())
    return {verb: f"{studio}?artifact={artifact.id}&recall={verb}" for verb in verbs}


def recalled(artifact: Artifact, verb: str) -> dict[str, str]:
    """The fields that a verb fills, with the kind.

    `all` makes this result again, one of several alone; `remix` leaves the seed out; `start` and `edit` begin with the
    picture itself. An unknown verb fills none.
    """
    remix = {
        name: _written(value)
        for name, value in artifact.request.items()
        if value is not None and (name in BEGINNINGS or name not in API_ONLY_FIELDS | {"seed"})
    }
    seed = {"seed": str(artifact.seed)}
    alone = {"num_texts" if artifact.kind == "text" else "num_images": "1"}
    parts = {"prompt": {"prompt": artifact.prompt}, "seed": seed, "all": remix | seed | alone, "remix": remix}
    if verb in PICTURE_VERBS and artifact.kind == "image":
        parts["start"] = _begun_with(artifact)
        parts["edit"] = parts["start"] | {"editor": "yes"}
    return {"kind": artifact.kind} | parts.get(verb, {})


def variation_of(artifact: Artifact) -> dict[str, str]:
    """The fields of a request for other pictures like this one; none when no net here can make them."""
    if not _is_still(artifact) or editing_net(artifact) is None:
        return {}
    return _begun_with(artifact) | {"strength": str(VARY_STRENGTH), "num_images": str(NUM_VARIATIONS)}


def editing_net(artifact: Artifact) -> NetManifest | None:
    """The net that would change this picture: its own if that can, else the first that can."""
    able = [net for net in catalog.nets() if net.kind == "image" and net.abilities >= {"start_image", "mask"}]
    return next((net for net in able if net.name == artifact.net), able[0] if able else None)


def _begun_with(artifact: Artifact) -> dict[str, str]:
    fields = {"prompt": artifact.prompt, "start_image": str(artifact.id)}
    net = editing_net(artifact)
    if net is not None:
        style = str(artifact.request.get("style", ""))
        fields |= {"net": net.name, "style": style if style in net.styles else ""}
    return fields


def _is_still(artifact: Artifact) -> bool:
    return artifact.kind == "image" and artifact.request.get("walk") is None


def _written(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(str(line) for line in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
