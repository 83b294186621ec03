"""/v1/models: the text nets of this studio, by the names that `model` takes."""

from typing import Literal

from pydantic import BaseModel, Field

from genworkers.contract import NetManifest
from webapp.catalog import selectors as catalog
from webapp.errors import AppError


class Model(BaseModel):
    """A net that completions can name."""

    id: str = Field(description="the net's name", examples=["llama-tessera-text"])
    object: Literal["model"] = "model"
    created: int = Field(description="not known here: 0")
    owned_by: str
    context_tokens: int = Field(description="not in OpenAI's API: the most tokens of prompt and answer together")
    system_fingerprint: str = Field(description="not in OpenAI's API: the SHA-256 of the net's checkpoint")


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


def models() -> list[Model]:
    """Every text net."""
    return [_model(net) for net in catalog.nets() if net.kind == "text"]


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


def _model(net: NetManifest) -> Model:
    return Model(
        id=net.name, created=0, owned_by="tessera", context_tokens=net.context_tokens, system_fingerprint=net.sha256
    )
