"""/v1/models: the nets of this studio, their adapters, the encoder and the screens, by the names that `model` takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from genworkers.contract.base import Kind
from genworkers.contract.checks import ENCODER_MAX_TOKENS, ENCODER_NAME, ENCODER_SHA256
from genworkers.contract.manifests import NetManifest
from webapp.catalog import selectors as catalog
from webapp.errors import AppError

MODERATION_NAME = "tessera-moderation"


class Model(BaseModel):
    """What completions, pictures, embeddings and moderations can name."""

    id: str = Field(description="a net, or NET:ADAPTER", examples=["llama-tessera-text"])
    object: Literal["model"] = "model"
    created: int = Field(description="when it was put here, in seconds since 1970; 0 for what came with the studio")
    owned_by: str
    kind: Kind | Literal["embedding", "moderation"] = Field(description="not in OpenAI's API: what it makes")
    context_tokens: int = Field(
        description="not in OpenAI's API: the most tokens of prompt and answer together; 0 where that means nothing"
    )
    system_fingerprint: str = Field(description="not in OpenAI's API: as in the answers")


ENCODER = Model(
    id=ENCODER_NAME,
    created=0,
    owned_by="sentence-transformers",
    kind="embedding",
    context_tokens=ENCODER_MAX_TOKENS,
    system_fingerprint=ENCODER_SHA256,
)


SCREENS = Model(
    id=MODERATION_NAME, created=0, owned_by="tessera", kind="moderation", context_tokens=0, system_fingerprint=""
)


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


def models() -> list[Model]:
    """Every net, each followed by its adapters; then the encoder and the screens."""
    return [*(model for net in catalog.nets() for model in _models_of(net)), ENCODER, SCREENS]


def model(model_id: str) -> Model:
    """One of them.

    Raises:
        AppError: net_unknown.
    """
    known = models()
    found = next((entry for entry in known if entry.id == model_id), None)
    if found is None:
        names = ", ".join(entry.id for entry in known) or "none is installed"
        raise AppError("net_unknown", 404, f"There is no model {model_id!r} here. Known: {names}.")
    return found


def fingerprint(net_name: str, adapter_name: str) -> str:
    """The SHA-256 of the net's checkpoint, and after a colon that of the adapter; empty when the net is gone."""
    net = catalog.net(net_name)
    shas = [net.sha256] if net else []
    shas += [adapter.sha256 for adapter in catalog.adapters_of(net_name) if adapter.name == adapter_name]
    return ":".join(shas)


def _models_of(net: NetManifest) -> Iterator[Model]:
    for adapter in ("", *(one.name for one in catalog.adapters_of(net.name))):
        folder = catalog.adapter_folder(net.name, adapter) if adapter else catalog.folder_of(net.name)
        yield Model(
            id=f"{net.name}:{adapter}" if adapter else net.name,
            created=_put_here_at(folder),
            owned_by="tessera",
            kind=net.kind,
            context_tokens=net.context_tokens,
            system_fingerprint=fingerprint(net.name, adapter),
        )


def _put_here_at(folder: Path | None) -> int:
    return int(folder.stat().st_mtime) if folder is not None and folder.exists() else 0
