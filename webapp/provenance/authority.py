"""The certificates that sign: the studio's own (root, issuing authority, signer), or one that an operator brings.

The own ones are made once per data directory. Of each that was brought the folder keeps the certificates, without the
key, so that what any of them signed stays ours when another takes over.

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
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORGANISATION = "Tessera"
ROOT_YEARS, ISSUING_YEARS, SIGNER_YEARS = 30, 25, 20
_OF_CURVE_BITS = {256: "es256", 384: "es384", 521: "es512"}
KEPT = "brought-*.pem"
FILES = ("root.pem", "root.key", "issuing.pem", "issuing.key", "signer.pem", "signer.key")


class CertificateError(ValueError):
    """The certificate that an operator brought cannot sign; the message says why."""


@dataclass(frozen=True, slots=True)
class Authority:
    """What signing and checking need. `signer_key_pem` stays out of every representation.

    Args:
        anchors_pem: the certificates that what we signed leads up to.
        algorithm: of the signatures, as c2pa names it.
        valid_from, valid_until: of the certificate that signs.
        certificates: serial number in decimal and SHA-256 of each that signs or signed for this studio.
    """

    anchors_pem: str
    chain_pem: str
    signer_key_pem: str = field(repr=False)
    algorithm: str
    valid_from: datetime
    valid_until: datetime
    certificates: tuple[tuple[str, str], ...]


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def certificate(
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


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as PKCS 8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


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
        "root": certificate(root, keys["root"], root, keys["root"], years=ROOT_YEARS, path_length=1),
        "issuing": certificate(issuing, keys["issuing"], root, keys["root"], years=ISSUING_YEARS, path_length=0),
        "signer": certificate(studio, keys["signer"], issuing, keys["issuing"], years=SIGNER_YEARS, path_length=None),
    }
    for name, key in keys.items():
        _write(folder / f"{name}.key", key_pem(key))
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
def load(folder: Path, chain_file: Path | None = None, key_file: Path | None = None) -> Authority:
    """The authority in this folder, made first when there is none; certificates that are brought are kept in it.

    Args:
        chain_file: PEM of the certificate to sign with instead, followed by those above it.
        key_file: PEM of its private key.

    Raises:
        OSError: a file is missing or cannot be read. It is never replaced by a new one: what was signed with the
            old root would no longer be ours.
        CertificateError: the files that were brought hold no certificate, no key, or two that do not belong together.
    """
    make_once(folder)
    content = {name: (folder / name).read_text() for name in FILES}
    brought = None if chain_file is None or key_file is None else (chain_file.read_text(), key_file.read_text())
    chain_pem, signer_key_pem = brought or (content["signer.pem"] + content["issuing.pem"], content["signer.key"])
    try:
        chain = x509.load_pem_x509_certificates(chain_pem.encode())
        key = serialization.load_pem_private_key(signer_key_pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"the certificate or its key cannot be read: {error}") from error
    if _public_pem(key.public_key()) != _public_pem(chain[0].public_key()):
        raise CertificateError("the private key is not that of the first certificate in the file")
    algorithm = _algorithm(key)
    if brought is not None:
        _keep(folder, chain)
    kept = [x509.load_pem_x509_certificates(path.read_bytes()) for path in sorted(folder.glob(KEPT))]
    signers = [x509.load_pem_x509_certificate(content["signer.pem"].encode()), *(one[0] for one in kept)]
    return Authority(
        anchors_pem="".join(dict.fromkeys([content["root.pem"], *(_pem(one[-1]) for one in kept)])),
        chain_pem="".join(map(_pem, chain)),  # c2pa would put a key that stands beside them into every file
        signer_key_pem=signer_key_pem,
        algorithm=algorithm,
        valid_from=chain[0].not_valid_before_utc,
        valid_until=chain[0].not_valid_after_utc,
        certificates=tuple((str(one.serial_number), one.fingerprint(hashes.SHA256()).hex()) for one in signers),
    )


def _keep(folder: Path, chain: list[x509.Certificate]) -> None:
    """Keep these certificates under the signer's fingerprint, whole or not at all: other processes read the folder."""
    path = folder / KEPT.replace("*", chain[0].fingerprint(hashes.SHA256()).hex())
    if path.exists():
        return
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".", delete=False) as draft:  # mode 0600
        draft.write("".join(map(_pem, chain)))
        draft.flush()
        os.fsync(draft.fileno())
    Path(draft.name).rename(path)


def _pem(one: x509.Certificate) -> str:
    return one.public_bytes(serialization.Encoding.PEM).decode()


def _public_pem(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _algorithm(key: PrivateKeyTypes) -> str:
    """C2PA 2.2, section 13.2: the signatures that a certificate may make, by its kind of key."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size in _OF_CURVE_BITS:
        return _OF_CURVE_BITS[key.key_size]
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise CertificateError("C2PA signs with EC P-256, P-384 or P-521, RSA or Ed25519; this key is of another kind")
