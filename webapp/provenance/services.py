"""Signs what was made and checks what was signed (C2PA), and keeps the records of both and of marks."""

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import c2pa
from django.conf import settings

from webapp.provenance import authority, manifest, xmp
from webapp.provenance.manifest import GenerationFacts as GenerationFacts  # part of this interface
from webapp.provenance.models import Credential, MarkRecord

EMBEDDING_MEDIA_TYPES = frozenset({"image/png", "image/webp", "image/jpeg", "image/svg+xml", "image/gif", "video/mp4"})
Change = Literal["c2pa.resized", "c2pa.transcoded"]


@dataclass(frozen=True, slots=True)
class SignedFile:
    """Bytes and their credentials: inside them (`is_embedded`), or beside them in `sidecar`."""

    data: bytes = field(repr=False)
    media_type: str
    sidecar: bytes | None = field(repr=False)
    manifest_label: str
    issuer: str
    certificate_sha256: str
    is_embedded: bool
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class CredentialReport:
    """What the credentials of a file are worth.

    `valid` says that the bytes are the signed ones; `is_ours` also that this studio signed them. A valid file of
    another signer is `valid` and not ours: "not from this studio", never "trusted".
    """

    state: Literal["valid", "invalid", "none"]
    issuer: str = ""
    signed_at: datetime | None = None
    is_ours: bool = False
    problems: list[str] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    manifest_label: str = ""
    certificate_sha256: str = ""


@dataclass(frozen=True, slots=True)
class MarkFacts:
    """How the content itself is watermarked."""

    scheme: str
    key_id: str
    payload: str


UNMARKED = MarkFacts(scheme="none", key_id="", payload="")


def ensure_authority() -> None:
    """Make this studio's certificates unless they are there; safe from several processes at once."""
    authority.load(Path(settings.AUTHORITY_DIR))


@lru_cache(maxsize=8)
def _context(folder: Path) -> Any:
    """c2pa's settings with our signer: no thumbnails in manifests, our root as the only anchor, never the network.

    One context serves every thread of a process: c2pa copies what it needs and guards its own handle.
    """
    ours = authority.load(folder)
    info = c2pa.C2paSignerInfo("es256", ours.chain_pem.encode(), ours.signer_key_pem.encode(), None)
    options = {
        "version": 1,
        "builder": {"thumbnail": {"enabled": False}},
        "trust": {"trust_anchors": ours.root_pem},
        "verify": {
            "verify_trust": True,
            "verify_after_sign": False,  # the gallery's door reads every file again
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
    }
    return c2pa.Context.from_dict(options, signer=c2pa.Signer.from_info(info))


def sign(
    data: bytes,
    media_type: str,
    *,
    facts: GenerationFacts,
    parent: SignedFile | None = None,
    change: Change = "c2pa.resized",
) -> SignedFile:
    """Sign these bytes as made by a net, or as another copy of `parent`.

    A picture or a film carries its credentials; anything else (text) gets them as a sidecar and stays as it is.

    Args:
        data: the whole file.
        media_type: for example image/png; parameters such as "; charset=utf-8" are allowed.
        facts: what the manifest says.
        parent: the signed original of a copy; named as its parent ingredient.
        change: how the copy differs: made smaller, or put into another format.

    Raises:
        ValueError: there are no bytes, or c2pa refuses them; the message says why.
    """
    if not data:
        raise ValueError(f"nothing to sign: {media_type} of 0 bytes")
    folder = Path(settings.AUTHORITY_DIR)
    ours = authority.load(folder)
    plain_type = media_type.partition(";")[0].strip()
    is_embedded = plain_type in EMBEDDING_MEDIA_TYPES
    signed_at = datetime.now(UTC)
    signed = io.BytesIO()
    try:
        with c2pa.Builder(manifest.manifest_definition(facts, signed_at), context=_context(folder)) as builder:
            if parent is None:
                builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA)
                builder.add_action(manifest.created_action(facts))
                data = xmp.with_source_type(data, facts) if plain_type == "image/png" else data
            else:
                builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
                ingredient = {"title": facts.title, "relationship": "parentOf"}
                builder.add_ingredient(ingredient, parent.media_type, io.BytesIO(parent.data))
                builder.add_action({"action": change, "softwareAgent": manifest.software_agent(facts)})
            if not is_embedded:
                builder.set_no_embed()
            credentials: bytes = builder.sign(plain_type, io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        raise ValueError(f"cannot sign {len(data)} bytes of {media_type}: {error}") from error
    signed_bytes = signed.getvalue() if is_embedded else data
    sidecar = None if is_embedded else credentials
    report = read(signed_bytes, media_type, sidecar)
    return SignedFile(
        data=signed_bytes,
        media_type=media_type,
        sidecar=sidecar,
        manifest_label=report.manifest_label,
        issuer=report.issuer,
        certificate_sha256=ours.signer_sha256,
        is_embedded=is_embedded,
        signed_at=signed_at,
    )


def read(data: bytes, media_type: str, sidecar: bytes | None = None) -> CredentialReport:
    """Check the credentials of these bytes, in them or in the sidecar. Never raises for bad bytes; reads no network."""
    folder = Path(settings.AUTHORITY_DIR)
    plain_type = media_type.partition(";")[0].strip()
    if sidecar is None and plain_type not in EMBEDDING_MEDIA_TYPES:
        return CredentialReport("none")
    try:
        with c2pa.Reader(plain_type, io.BytesIO(data), sidecar, context=_context(folder)) as reader:
            store: dict[str, Any] = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return CredentialReport("none")
    except c2pa.C2paError as error:
        return CredentialReport("invalid", problems=[f"the credentials cannot be read: {error}"])
    return _report(store, authority.load(folder))


def _report(store: dict[str, Any], ours: authority.Authority) -> CredentialReport:
    label = store.get("active_manifest", "")
    active = store.get("manifests", {}).get(label, {})
    signature = active.get("signature_info", {})
    results = store.get("validation_results", {})
    failures = list(results.get("activeManifest", {}).get("failure", []))
    for delta in results.get("ingredientDeltas", []):
        failures += delta.get("validationDeltas", {}).get("failure", [])
    state = store.get("validation_state")
    is_ours = state == "Trusted"
    return CredentialReport(
        state="valid" if state in ("Trusted", "Valid") else "invalid",
        issuer=", ".join(filter(None, (signature.get("common_name"), signature.get("issuer")))),
        signed_at=_signing_time(active, signature),
        is_ours=is_ours,
        problems=[f"{failure['code']}: {failure.get('explanation', '')}" for failure in failures],
        manifest=store,
        manifest_label=label,
        certificate_sha256=(
            ours.signer_sha256 if is_ours and signature.get("cert_serial_number") == ours.signer_serial else ""
        ),
    )


def _signing_time(active: dict[str, Any], signature: dict[str, Any]) -> datetime | None:
    """The authority's timestamp where there is one, else what the signer claims."""
    told = signature.get("time") or manifest.disclosure_of(active).get("signed")
    try:
        return datetime.fromisoformat(str(told))
    except ValueError:
        return None


def record_credential(file_id: int, signed: SignedFile) -> None:
    """Keep what is known about the signature of one stored file."""
    Credential.objects.create(
        file_id=file_id,
        manifest_label=signed.manifest_label,
        issuer=signed.issuer,
        certificate_sha256=signed.certificate_sha256,
        is_embedded=signed.is_embedded,
        signed_at=signed.signed_at,
    )


def record_mark(artifact_id: UUID, mark: MarkFacts) -> None:
    """Keep how an artifact is marked; "none" is a record too."""
    MarkRecord.objects.create(artifact_id=artifact_id, scheme=mark.scheme, key_id=mark.key_id, payload=mark.payload)
