"""/nets: what can be used, as the catalogue lists it."""

from typing import Any

from ninja import Router
from pydantic import BaseModel, Field

from genworkers.contract.base import Kind
from genworkers.contract.manifests import NetManifest
from webapp.api.auth import READ, ApiRequest
from webapp.catalog import documents
from webapp.catalog import selectors as catalog
from webapp.errors import not_found

router = Router(tags=["nets"])


class AdapterItem(BaseModel):
    """A fine-tuning (LoRA) of a net that text jobs can name beside it."""

    name: str
    title: str
    sha256: str = Field(description="of its weights")


class NetItem(BaseModel):
    """A net that jobs can name."""

    name: str = Field(examples=["mosaic"])
    kind: Kind
    title: str
    family: str
    notice: str
    num_parameters: int
    sha256: str = Field(description="of the checkpoint; every artifact carries it")
    styles: dict[str, str] = Field(description="style to its description; empty for text")
    context_tokens: int
    licences: list[str]
    adapters: list[AdapterItem] = Field(description="the fine-tunings of this net; empty for pictures")


class NetDetail(NetItem):
    """A net with its configuration and its card."""

    config: dict[str, Any]
    files: dict[str, dict[str, Any]] = Field(description="file of the checkpoint to its facts")
    card: str = Field(description="what its makers say of it, Markdown; empty where it has no card")


class NetList(BaseModel):
    """All nets."""

    items: list[NetItem]


@router.get("/nets", auth=READ, response=NetList, summary="List nets")
def list_nets(request: ApiRequest) -> NetList:
    """The nets that are installed here."""
    return NetList(items=[NetItem(**_facts(net)) for net in catalog.nets()])


@router.get("/nets/{name}", auth=READ, response=NetDetail, summary="Get a net")
def get_net(request: ApiRequest, name: str) -> NetDetail:
    """One net with its configuration, files and card."""
    net, folder = catalog.net(name), catalog.folder_of(name)
    if net is None or folder is None:
        raise not_found("net")
    card = documents.text_of(folder, documents.CARD)
    return NetDetail(**_facts(net), card=card.text if card else "")


def _facts(net: NetManifest) -> dict[str, Any]:
    return net.model_dump() | {"adapters": [adapter.model_dump() for adapter in catalog.adapters_of(net.name)]}
