"""The recall verbs: addresses of the studio that put a request, or part of it, back into the prompt bar.

An address names the artifact: a long prompt itself would not fit into one.
"""

import json

from django.urls import reverse

from genworkers import contract
from webapp.gallery.models import Artifact

VERBS = ("prompt", "seed", "all", "remix")


def recall_urls(artifact: Artifact) -> dict[str, str]:
    """Verb to address."""
    studio = reverse("studio", args=[artifact.workspace.slug])
    return {verb: f"{studio}?artifact={artifact.id}&recall={verb}" for verb in VERBS}


def recalled(artifact: Artifact, verb: str) -> dict[str, str]:
    """The fields that a verb fills, with the kind.

    `all` makes this result again, one of several texts alone; `remix` leaves the seed out. An unknown verb fills none.
    """
    remix = {
        name: _written(value)
        for name, value in artifact.request.items()
        if value is not None and name not in contract.API_ONLY_FIELDS | {"seed"}
    }
    seed = {"seed": str(artifact.seed)}
    alone = {"num_texts": "1"} if artifact.kind == "text" else {}
    parts = {"prompt": {"prompt": artifact.prompt}, "seed": seed, "all": remix | seed | alone, "remix": remix}
    return {"kind": artifact.kind} | parts.get(verb, {})


def _written(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(str(line) for line in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
