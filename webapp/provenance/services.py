"""Signs what was made and checks what was signed (C2PA), and keeps the records of both and of marks."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import c2pa
from django.conf import settings

from webapp.errors import AppError
from webapp.provenance import authority, manifest, xmp
from webapp.provenance.manifest import GenerationFacts as GenerationFacts  # part of this interface, as the next
from webapp.provenance.manifest import MarkFacts as MarkFacts
from webapp.provenance.models import Credential, Fingerprint, FingerprintBand, MarkRecord

EMBEDDING_MEDIA_TYPES = frozenset({"image/png", "image/webp", "image/jpeg", "image/svg+xml", "image/gif", "video/mp4"})
# Of other makers' files we can read the credentials of these, too.
READABLE_MEDIA_TYPES = EMBEDDING_MEDIA_TYPES | {
    "image/avif",
    "image/tiff",
    "image/heic",
    "audio/wav",
    "application/pdf",
}
NO_ANSWER = "http resolver"  # in c2pa's words for an authority that cannot be reached
JUMBF = b"jumb"  # the box that every manifest store begins with: ISO 19566-5
CopyChange = Literal["c2pa.resized", "c2pa.transcoded"]


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
class Ingredient:
    """A file that another was made from.

    Args:
        change: what was done to it (`parentOf`); None when a net only looked at it (`inputTo`).
    """

    data: bytes = field(repr=False)
    media_type: str
    title: str
    change: CopyChange | Literal["c2pa.edited"] | None


@dataclass(frozen=True, slots=True)
class FingerprintFacts:
    """What an artifact looks or reads like; `value` is hex, `bands` are its parts for the index."""

    value: str = field(repr=False)
    bands: tuple[int, ...] = field(repr=False)


def ensure_authority() -> None:
    """Make this studio's certificates unless they are there; safe from several processes at once."""
    our_authority()


def our_authority() -> authority.Authority:
    """The certificates that sign here now.

    Raises:
        OSError, authority.CertificateError: see `authority.load`.
    """
    return authority.load(Path(settings.AUTHORITY_DIR), settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE)


@lru_cache(maxsize=8)
def _context(ours: authority.Authority, timestamp_url: str) -> Any:
    """c2pa's settings with our signer: our anchors alone are trusted; nothing but the time-stamps asks the network.

    One context serves every thread of a process: c2pa copies what it needs and guards its own handle.
    """
    signer = c2pa.C2paSignerInfo(
        ours.algorithm, ours.chain_pem.encode(), ours.signer_key_pem.encode(), timestamp_url.encode() or None
    )
    return c2pa.Context.from_dict(_options(ours.anchors_pem), signer=c2pa.Signer.from_info(signer))


@lru_cache(maxsize=2)
def _public_context(anchors_file: Path) -> Any:
    return c2pa.Context.from_dict(_options(anchors_file.read_text()))


def _options(anchors_pem: str) -> dict[str, Any]:
    return {
        "version": 1,
        "builder": {"thumbnail": {"enabled": False}},
        "trust": {"trust_anchors": anchors_pem},
        "verify": {
            "verify_trust": True,
            "verify_after_sign": False,  # the gallery's door reads every file again
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
    }


def copy_of(original: SignedFile, change: CopyChange, title: str) -> Ingredient:
    """The original of a copy, as the copy's parent."""
    return Ingredient(original.data, original.media_type, title, change)


def sign(data: bytes, media_type: str, *, facts: GenerationFacts, ingredients: Sequence[Ingredient] = ()) -> SignedFile:
    """Sign these bytes as made by a net: out of nothing, by changing an ingredient, or as a copy of one.

    A picture or a film carries its credentials; anything else (text) gets them as a sidecar and stays as it is.

    Args:
        data: the whole file.
        media_type: for example image/png; parameters such as "; charset=utf-8" are allowed.
        facts: what the manifest says.
        ingredients: what it was made from; one of them at most is changed into it.

    Raises:
        ValueError: there are no bytes, several ingredients are changed into one file, or c2pa refuses the bytes;
            the message says why.
        AppError: certificate_not_valid; it has expired, or the clock is wrong. timestamp_unavailable.
    """
    if not data:
        raise ValueError(f"nothing to sign: {media_type} of 0 bytes")
    changes = [ingredient.change for ingredient in ingredients if ingredient.change is not None]
    if len(changes) > 1:
        raise ValueError(f"a file is the changed form of one other, got {len(changes)}")
    ours = our_authority()
    _check_date(ours)
    context = _context(ours, settings.TIMESTAMP_URL)
    plain_type = media_type.partition(";")[0].strip()
    is_embedded = plain_type in EMBEDDING_MEDIA_TYPES
    signed_at = datetime.now(UTC)
    signed = io.BytesIO()
    try:
        with c2pa.Builder(manifest.manifest_definition(facts, signed_at), context=context) as builder:
            if changes:
                builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            else:
                builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA)
            for ingredient in ingredients:
                relationship = "inputTo" if ingredient.change is None else "parentOf"
                named = {"title": ingredient.title, "relationship": relationship}
                builder.add_ingredient(named, ingredient.media_type, io.BytesIO(ingredient.data))
            for action in _actions(facts, changes[0] if changes else None):
                builder.add_action(action)
            if not is_embedded:
                builder.set_no_embed()
            data = xmp.with_source_type(data, plain_type, facts)
            credentials: bytes = builder.sign(plain_type, io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        if settings.TIMESTAMP_URL and NO_ANSWER in str(error):
            message = (
                f"The time-stamping authority {settings.TIMESTAMP_URL} does not answer; nothing leaves without it."
            )
            raise AppError("timestamp_unavailable", 503, message) from error
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
        certificate_sha256=report.certificate_sha256,
        is_embedded=is_embedded,
        signed_at=signed_at,
    )


def _check_date(ours: authority.Authority) -> None:
    now = datetime.now(UTC)
    if not ours.valid_from <= now <= ours.valid_until:
        message = (
            f"The certificate that signs here is valid from {ours.valid_from:%Y-%m-%d %H:%M} to "
            f"{ours.valid_until:%Y-%m-%d %H:%M}, and this machine's clock says {now:%Y-%m-%d %H:%M} (all UTC). Nothing "
            "leaves unsigned: an operator must renew the certificate or set the clock."
        )
        raise AppError("certificate_not_valid", 503, message)


def _actions(facts: GenerationFacts, change: str | None) -> Iterator[dict[str, Any]]:
    """What was done, in order; `c2pa.opened` before a change is c2pa's own."""
    if change is None:
        yield manifest.made_action(facts)
    elif change == "c2pa.edited":
        yield manifest.made_action(facts, change)
    else:
        yield {"action": change, "softwareAgent": manifest.software_agent(facts)}
    if facts.mark.is_there:
        yield manifest.marked_action(facts)


def read(data: bytes, media_type: str, sidecar: bytes | None = None) -> CredentialReport:
    """Check the credentials of these bytes, in them or in the sidecar. Never raises for bad bytes; reads no network."""
    ours = our_authority()
    store = _store(data, media_type, sidecar, _context(ours, settings.TIMESTAMP_URL))
    if not isinstance(store, dict):
        return CredentialReport("none") if store is None else CredentialReport("invalid", problems=[store])
    return _report(store, ours)


def is_publicly_trusted(data: bytes, media_type: str, sidecar: bytes | None = None) -> bool:
    """Whether the signature leads up to a root that the operator's list of public roots names."""
    if settings.PUBLIC_TRUST_FILE is None:
        return False
    store = _store(data, media_type, sidecar, _public_context(settings.PUBLIC_TRUST_FILE))
    return isinstance(store, dict) and store.get("validation_state") == "Trusted"


def _store(data: bytes, media_type: str, sidecar: bytes | None, context: Any) -> dict[str, Any] | str | None:
    """The manifests and what is wrong with them; None where there are none; why they cannot be read."""
    plain_type = media_type.partition(";")[0].strip()
    if sidecar is None and plain_type not in READABLE_MEDIA_TYPES:
        return None
    try:
        with c2pa.Reader(plain_type, io.BytesIO(data), sidecar, context=context) as reader:
            store: dict[str, Any] = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        has_trace = sidecar is not None or JUMBF in data  # a damaged file without credentials has none
        return f"the credentials cannot be read: {error}" if has_trace else None
    return store


def _report(store: dict[str, Any], ours: authority.Authority) -> CredentialReport:
    label = store.get("active_manifest", "")
    active = store.get("manifests", {}).get(label, {})
    signature = active.get("signature_info", {})
    results = store.get("validation_results", {})
    failures = list(results.get("activeManifest", {}).get("failure", []))
    for delta in results.get("ingredientDeltas", []):
        failures += delta.get("validationDeltas", {}).get("failure", [])
    state = store.get("validation_state")
    # Under an anchor that an operator brought others may sign, too: the certificate itself must be one of ours.
    serial = signature.get("cert_serial_number", "") if state == "Trusted" else ""
    certificate_sha256 = dict(ours.certificates).get(serial, "")
    return CredentialReport(
        state="valid" if state in ("Trusted", "Valid") else "invalid",
        issuer=", ".join(filter(None, (signature.get("common_name"), signature.get("issuer")))),
        signed_at=_signing_time(active, signature),
        is_ours=bool(certificate_sha256),
        problems=[f"{failure['code']}: {failure.get('explanation', '')}" for failure in failures],
        manifest=store,
        manifest_label=label,
        certificate_sha256=certificate_sha256,
    )


def _signing_time(active: dict[str, Any], signature: dict[str, Any]) -> datetime | None:
    """The authority's timestamp where there is one, else what the signer claims, if that says in which time zone."""
    told = signature.get("time") or manifest.disclosure_of(active).get("signed")
    try:
        claimed = datetime.fromisoformat(str(told))
        return claimed.astimezone(UTC) if claimed.tzinfo is not None else None
    except (ValueError, OverflowError):  # the first and the last day of the calendar lie outside it in another zone
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
    MarkRecord.objects.create(
        artifact_id=artifact_id, scheme=mark.scheme, key_id=mark.key_id, payload=mark.payload, note=mark.note
    )


def record_fingerprint(artifact_id: UUID, facts: FingerprintFacts) -> None:
    """Keep what an artifact looks or reads like."""
    row = Fingerprint.objects.create(artifact_id=artifact_id, value=facts.value)
    FingerprintBand.objects.bulk_create(FingerprintBand(fingerprint=row, band=band) for band in facts.bands)
