"""What stands beside the weights of nets and adapters."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from genworkers.contract.base import Kind

# What the nets of a family can be asked for beside a prompt, a style, a seed and a number of pictures.
ABILITIES_OF_FAMILY: dict[str, frozenset[str]] = {
    "mosaic": frozenset({"steps", "negative_prompt", "style_mix", "start_image", "mask", "explain"}),
    "spark": frozenset({"style_mix", "draft"}),
    "drift": frozenset({"style_mix", "start_image", "map_point", "walk"}),
}


class NetManifest(BaseModel):
    """What stands in `manifest.json` beside the weights: enough to list a net without loading it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(pattern=r"^[^/.][^/]*$")  # it stands in addresses, where a slash would end it
    kind: Kind
    family: str
    title: str
    notice: str = ""
    num_parameters: int
    sha256: str
    config: dict[str, Any]
    files: dict[str, dict[str, Any]]
    styles: dict[str, str] = Field(default_factory=dict)
    directions: dict[str, str] = Field(default_factory=dict)
    context_tokens: int = 0
    licences: list[str] = Field(default_factory=list)
    source: dict[str, Any] = Field(default_factory=dict)

    @property
    def abilities(self) -> frozenset[str]:
        """What its family can be asked for: see ABILITIES_OF_FAMILY."""
        return ABILITIES_OF_FAMILY.get(self.family, frozenset())


class AdapterManifest(BaseModel):
    """What stands in `adapter.json` beside a LoRA adapter; `base_sha256` is that of the net it was trained on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    title: str = ""
    base: str
    base_sha256: str
    rank: int = Field(ge=1)
    alpha: float = Field(gt=0.0, allow_inf_nan=False)
    targets: list[str]
    sha256: str
