"""The recall verbs: addresses of the studio that put a request, or part of it, back into the prompt bar."""

import json

from django.http import QueryDict
from django.urls import reverse

from genworkers import contract
from webapp.gallery.models import Artifact


def recall_urls(artifact: Artifact) -> dict[str, str]:
    """Verb to address. `all` makes this result again, one of several texts alone; `remix` leaves the seed out."""
    remix = {
        name: _written(value)
        for name, value in artifact.request.items()
        if value is not None and name not in contract.API_ONLY_FIELDS | {"seed"}
    }
    seed = {"seed": str(artifact.seed)}
    alone = {"num_texts": "1"} if artifact.kind == "text" else {}
    parts = {"prompt": {"prompt": artifact.prompt}, "seed": seed, "all": remix | seed | alone, "remix": remix}
    return {verb: _studio_url(artifact, values) for verb, values in parts.items()}


def _written(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(str(line) for line in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _studio_url(artifact: Artifact, values: dict[str, str]) -> str:
    query = QueryDict(mutable=True)
    query.update({"kind": artifact.kind} | values)
    return f"{reverse('studio', args=[artifact.workspace.slug])}?{query.urlencode()}"
