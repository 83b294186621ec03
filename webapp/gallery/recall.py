"""The recall verbs: addresses of the studio that put a request, or part of it, back into the prompt bar."""

from django.http import QueryDict
from django.urls import reverse

from webapp.gallery.models import Artifact


def recall_urls(artifact: Artifact) -> dict[str, str]:
    """Verb to address. `all` repeats the request exactly; `remix` keeps all but the seed."""
    whole = {name: _written(value) for name, value in artifact.request.items() if value is not None} | {
        "seed": str(artifact.seed)
    }
    parts = {
        "prompt": {"prompt": artifact.prompt},
        "seed": {"seed": str(artifact.seed)},
        "all": whole,
        "remix": {name: value for name, value in whole.items() if name != "seed"},
    }
    return {verb: _studio_url(artifact, values) for verb, values in parts.items()}


def _written(value: object) -> str:
    return "\n".join(str(line) for line in value) if isinstance(value, list) else str(value)


def _studio_url(artifact: Artifact, values: dict[str, str]) -> str:
    query = QueryDict(mutable=True)
    query.update({"kind": artifact.kind} | values)
    return f"{reverse('studio', args=[artifact.workspace.slug])}?{query.urlencode()}"
