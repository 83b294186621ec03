"""What a credential says: the C2PA manifest and its assertions, made and read. Signatures are in `services.py`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

PROVIDER = "Tessera"
DISCLOSURE_LABEL = "org.tessera.disclosure"
MARK_ALGORITHM_PREFIX = "org.tessera.mark."
# IPTC's words for what a picture is made of: by a net alone, or from a person's picture with parts by a net.
MADE_BY_NET = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MADE_WITH_NET = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


@dataclass(frozen=True, slots=True)
class MarkFacts:
    """How the content itself is watermarked.

    Args:
        payload: what the mark says, in hex; empty for a text, whose mark says only whose it is.
        note: why there is none, or how far it can be relied on.
    """

    scheme: str
    key_id: str = ""
    payload: str = ""
    note: str = ""

    @property
    def is_there(self) -> bool:
        """Whether there is a mark at all."""
        return self.scheme != "none"


def unmarked(note: str) -> MarkFacts:
    """The record of content without a mark; `note` says why, in words for people."""
    return MarkFacts("none", note=note)


@dataclass(frozen=True, slots=True)
class GenerationFacts:
    """What the manifest tells the world. No prompt and nothing about a person belongs here.

    `created_at` is aware; `checkpoint_sha256` is 64 hex digits; `source_type` is MADE_BY_NET or MADE_WITH_NET; without
    a job is what belongs to a net itself.
    """

    artifact_id: UUID
    job_id: UUID | None
    title: str
    net: str
    checkpoint_sha256: str
    created_at: datetime
    software_version: str
    mark: MarkFacts
    source_type: str = MADE_BY_NET


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
        **({"job": facts.job_id.urn} if facts.job_id is not None else {}),
        "checkpoint_sha256": facts.checkpoint_sha256,
    }
    assertions = [{"label": DISCLOSURE_LABEL, "data": disclosure, "created": True}]
    binding = binding_to(facts.mark)
    if binding is not None:
        bound = {"alg": binding[0], "blocks": [{"scope": {}, "value": binding[1]}]}  # no scope: all of it
        assertions.append({"label": "c2pa.soft-binding", "data": bound, "created": True})
    return {
        "claim_generator_info": [{"name": PROVIDER, "version": facts.software_version}],
        "title": facts.title,
        "assertions": assertions,
    }


def software_agent(facts: GenerationFacts) -> dict[str, str]:
    """Who acted: this software."""
    return {"name": PROVIDER, "version": facts.software_version}


def made_action(facts: GenerationFacts, action: str = "c2pa.created") -> dict[str, Any]:
    """A net made this file, or changed another one into it (`c2pa.edited`)."""
    return {
        "action": action,
        "when": facts.created_at.isoformat(),
        "softwareAgent": software_agent(facts),
        "digitalSourceType": facts.source_type,
    }


def marked_action(facts: GenerationFacts) -> dict[str, Any]:
    """The mark that the soft binding names was written into this file."""
    return {"action": "c2pa.watermarked.bound", "softwareAgent": software_agent(facts)}


def disclosure_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The disclosure in a manifest that was read; empty when it holds none."""
    for assertion in manifest.get("assertions", []):
        if assertion.get("label") == DISCLOSURE_LABEL and isinstance(assertion.get("data"), dict):
            return dict(assertion["data"])
    return {}


def binding_of(manifest: dict[str, Any]) -> tuple[str, str] | None:
    """The mark that a manifest binds itself to: its algorithm and what it says; None when it names none."""
    for assertion in manifest.get("assertions", []):
        data = assertion.get("data")
        if assertion.get("label") == "c2pa.soft-binding" and isinstance(data, dict) and data.get("blocks"):
            return str(data.get("alg", "")), str(data["blocks"][0].get("value", ""))
    return None


def binding_to(mark: MarkFacts) -> tuple[str, str] | None:
    """What `binding_of` must give for a file with this mark."""
    return (f"{MARK_ALGORITHM_PREFIX}{mark.scheme}", mark.payload or mark.key_id) if mark.is_there else None


def source_type_of(store: dict[str, Any], label: str) -> str:
    """What a manifest, or the one that it is a copy of, says that its file is made of; empty when none says."""
    manifest = store.get("manifests", {}).get(label, {})
    told = ""
    for assertion in manifest.get("assertions", []):
        data = assertion.get("data")
        if str(assertion.get("label", "")).startswith("c2pa.actions") and isinstance(data, dict):
            for action in data.get("actions", []):
                told = str(action.get("digitalSourceType") or told)
    parents = (one for one in manifest.get("ingredients", []) if one.get("relationship") == "parentOf")
    others = {name: one for name, one in store.get("manifests", {}).items() if name != label}
    return told or next(
        (source_type_of({"manifests": others}, parent.get("active_manifest", "")) for parent in parents), ""
    )
