"""The studio's own certificates: a root, an issuing authority and the signer, made once per data directory.

Private keys are read here and nowhere else, and never leave the folder. See docs/adr on why they live so long.
"""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORGANISATION = "Tessera"
ROOT_YEARS, ISSUING_YEARS, SIGNER_YEARS = 30, 25, 20
FILES = ("root.pem", "root.key", "issuing.pem", "issuing.key", "signer.pem", "signer.key")


@dataclass(frozen=True, slots=True)
class Authority:
    """What signing and checking need. `signer_key_pem` stays out of every representation."""

    root_pem: str
    chain_pem: str
    signer_key_pem: str = field(repr=False)
    signer_name: str
    signer_serial: str
    signer_sha256: str


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    years: int,
    path_length: int | None,
) -> x509.Certificate:
    """An ES256 certificate as C2PA wants it; `path_length` None makes the signer, a number an authority."""
    is_authority = path_length is not None
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_authority:
        # The one usage that every C2PA reader accepts without extra settings.
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _write_chain(folder: Path) -> None:
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "issuing", "signer")}
    public = (
        keys["root"]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    studio = f"Tessera studio {hashlib.sha256(public).hexdigest()[:8]}"
    root, issuing = f"{studio} root", f"{studio} issuing"
    certificates = {
        "root": _certificate(root, keys["root"], root, keys["root"], years=ROOT_YEARS, path_length=1),
        "issuing": _certificate(issuing, keys["issuing"], root, keys["root"], years=ISSUING_YEARS, path_length=0),
        "signer": _certificate(studio, keys["signer"], issuing, keys["issuing"], years=SIGNER_YEARS, path_length=None),
    }
    for name, key in keys.items():
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(folder / f"{name}.key", pem)
        _write(folder / f"{name}.pem", certificates[name].public_bytes(serialization.Encoding.PEM))


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def make_once(folder: Path) -> None:
    """Make the certificates unless they are there. Processes may race: one rename wins, the others use its result.

    Raises:
        OSError: the folder's parent cannot be written to.
    """
    if _is_filled(folder):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # mode 0700
    try:
        _write_chain(draft)
        draft.rename(folder)
    except OSError:
        if not _is_filled(folder):
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@lru_cache(maxsize=8)
def load(folder: Path) -> Authority:
    """The authority in this folder, made first when there is none.

    Raises:
        OSError: a file is missing or cannot be read. It is never replaced by a new one: what was signed with the
            old root would no longer be ours.
    """
    make_once(folder)
    content = {name: (folder / name).read_text() for name in FILES}
    signer = x509.load_pem_x509_certificate(content["signer.pem"].encode())
    common_name = signer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return Authority(
        root_pem=content["root.pem"],
        chain_pem=content["signer.pem"] + content["issuing.pem"],
        signer_key_pem=content["signer.key"],
        signer_name=str(common_name),
        signer_serial=str(signer.serial_number),
        signer_sha256=signer.fingerprint(hashes.SHA256()).hex(),
    )
