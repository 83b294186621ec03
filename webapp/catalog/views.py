"""The catalogue: what writes, draws and screens here, with its card, and the audits."""

from pathlib import Path, PurePath
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from genworkers.contract.manifests import NetManifest
from webapp.accounts.signed_in import sign_in_required
from webapp.catalog import documents, selectors
from webapp.catalog.audits import AUDITS, Audit, audits_of_net, audits_of_screen
from webapp.catalog.audits import audit as audit_of
from webapp.errors import not_found

ATTRIBUTIONS_PART = "attributions"
WORDS_OF_ABILITY = {
    "steps": "more or fewer steps",
    "negative_prompt": "what not to show",
    "style_mix": "two styles mixed",
    "start_image": "a picture to start from",
    "mask": "a part drawn anew",
    "explain": "which word drew what",
    "draft": "drafts while you type",
    "map_point": "a place on its map",
    "walk": "walks between places",
}


@sign_in_required
@require_safe
def nets(request: HttpRequest) -> HttpResponse:
    """Every net by what it does, then what screens."""
    rows = [_row_of(*found) | {"is_added": selectors.is_added(name)} for name, found in selectors.checkpoints().items()]
    context = {
        "writing": [row for row in rows if row["net"].kind == "text"],
        "drawing": [row for row in rows if row["net"].kind == "image"],
        "screening": [_row_of(*found) for found in selectors.screens().values()],
    }
    return render(request, "catalog/nets.html", context | {"prompt_bar": None})


def _row_of(folder: Path, net: NetManifest) -> dict[str, Any]:
    return {"net": net, "card": documents.document(folder, documents.CARD, net.title)}


@sign_in_required
@require_safe
def net(request: HttpRequest, name: str) -> HttpResponse:
    """One net: its facts, its adapters, its card, and the audits that are about it."""
    folder, manifest = _net(name)
    context = _row_of(folder, manifest) | {
        "abilities": [WORDS_OF_ABILITY.get(one, one) for one in sorted(manifest.abilities)],
        "adapters": selectors.adapters_of(name),
        "audits": audits_of_net(manifest.kind),
        "is_added": selectors.is_added(name),
        "origin": [(key, str(value)) for key, value in manifest.source.items() if isinstance(value, str)],
        "has_attributions": ATTRIBUTIONS_PART in manifest.files,
    }
    return render(request, "catalog/net.html", context | {"prompt_bar": None})


def _net(name: str) -> tuple[Path, NetManifest]:
    found = selectors.checkpoints().get(name)
    if found is None:
        raise not_found("net")
    return found


@sign_in_required
@require_safe
def attributions(request: HttpRequest, name: str) -> HttpResponse:
    """Whose works a net learned from, where a file of its checkpoint says so."""
    folder, manifest = _net(name)
    path = str(manifest.files.get(ATTRIBUTIONS_PART, {}).get("path", ""))
    found = documents.document(folder, path, "") if PurePath(path).suffix == ".md" else None
    if found is None:
        raise not_found("list of attributions")
    return render(request, "catalog/attributions.html", {"net": manifest, "document": found, "prompt_bar": None})


@sign_in_required
@require_safe
def screen(request: HttpRequest, name: str) -> HttpResponse:
    """One screen: its facts, its card with thresholds and figures, and its audits."""
    found = selectors.screens().get(name)
    if found is None:
        raise not_found("screen")
    context = _row_of(*found) | {"audits": audits_of_screen(name), "is_screen": True}
    return render(request, "catalog/net.html", context | {"prompt_bar": None})


@sign_in_required
@require_safe
def audits(request: HttpRequest) -> HttpResponse:
    """Every audit, also those whose document did not come with this installation."""
    rows = [{"audit": one} | _subjects(one) for one in AUDITS]
    return render(request, "catalog/audits.html", {"rows": rows, "prompt_bar": None})


def _subjects(audit: Audit) -> dict[str, list[NetManifest]]:
    return {
        "screens_of": [one for name, (_, one) in selectors.screens().items() if name in audit.screens],
        "nets_of": [one for one in selectors.nets() if one.kind in audit.kinds],
    }


@sign_in_required
@require_safe
def audit(request: HttpRequest, name: str) -> HttpResponse:
    """One audit as its document tells it."""
    found = audit_of(name)
    shown = documents.document(Path(settings.AUDITS_DIR), found.file, found.title) if found is not None else None
    if found is None or shown is None:
        raise not_found("audit")
    context = {"audit": found, "document": shown} | _subjects(found)
    return render(request, "catalog/audit.html", context | {"prompt_bar": None})
