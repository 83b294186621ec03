"""What a credential says: the C2PA manifest, its assertions and the words for what can be wrong with it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

PROVIDER = "Tessera"
DISCLOSURE_LABEL = "org.tessera.disclosure"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@dataclass(frozen=True, slots=True)
class GenerationFacts:
    """What the manifest tells the world. No prompt and nothing about a person belongs here.

    `created_at` is aware; `checkpoint_sha256` is 64 hex digits.
    """

    artifact_id: UUID
    job_id: UUID
    title: str
    net: str
    checkpoint_sha256: str
    created_at: datetime
    software_version: str


def manifest_definition(facts: GenerationFacts, signed_at: datetime) -> dict[str, Any]:
    """The manifest for c2pa's Builder, without its actions.

    The disclosure holds what California's SB 942 asks of a latent disclosure: provider, system, version, time, id.
    """
    disclosure = {
        "provider": PROVIDER,
        "system": facts.net,
        "version": facts.software_version,
        "created": facts.created_at.isoformat(),
        "signed": signed_at.isoformat(),
        "id": facts.artifact_id.urn,
        "job": facts.job_id.urn,
        "checkpoint_sha256": facts.checkpoint_sha256,
    }
    return {
        "claim_generator_info": [{"name": PROVIDER, "version": facts.software_version}],
        "title": facts.title,
        "assertions": [{"label": DISCLOSURE_LABEL, "data": disclosure, "created": True}],
    }


def software_agent(facts: GenerationFacts) -> dict[str, str]:
    """Who acted: this software."""
    return {"name": PROVIDER, "version": facts.software_version}


def created_action(facts: GenerationFacts) -> dict[str, Any]:
    """A net made this file."""
    return {
        "action": "c2pa.created",
        "when": facts.created_at.isoformat(),
        "softwareAgent": software_agent(facts),
        "digitalSourceType": SOURCE_TYPE,
    }


def disclosure_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The disclosure in a manifest that was read; empty when it holds none."""
    for assertion in manifest.get("assertions", []):
        if assertion.get("label") == DISCLOSURE_LABEL and isinstance(assertion.get("data"), dict):
            return dict(assertion["data"])
    return {}
