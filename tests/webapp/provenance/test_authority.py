"""The studio's certificates are made once, by whoever comes first, and are for this user's eyes only."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pytest_django import Settings

from tests.webapp.provenance.samples import PNG, facts_of
from webapp.provenance import authority, services

MAKE = "import sys, pathlib; from webapp.provenance import authority; authority.make_once(pathlib.Path(sys.argv[1]))"


def test_the_chain_is_what_c2pa_wants(tmp_path: Path) -> None:
    ours = authority.load(tmp_path / "authority")
    signer, issuing = x509.load_pem_x509_certificates(ours.chain_pem.encode())
    root = x509.load_pem_x509_certificate(ours.anchors_pem.encode())
    signer.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    constraints = [
        certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        for certificate in (root, issuing, signer)
    ]
    assert [(value.ca, value.path_length) for value in constraints] == [(True, 1), (True, 0), (False, None)]
    assert signer.not_valid_after_utc < issuing.not_valid_after_utc < root.not_valid_after_utc
    assert ours.certificates == ((str(signer.serial_number), signer.fingerprint(hashes.SHA256()).hex()),)


def test_only_the_owner_can_read_the_keys(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "authority"
    ours = authority.load(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.iterdir()} == set(authority.FILES)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert "PRIVATE" not in repr(ours)


def test_processes_that_start_together_agree_on_one_authority(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    processes = [subprocess.Popen([sys.executable, "-c", MAKE, str(folder)]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    assert [path.name for path in tmp_path.iterdir() if "authority" in path.name] == ["authority"]
    before = (folder / "root.pem").read_bytes()
    authority.make_once(folder)
    assert (folder / "root.pem").read_bytes() == before
    assert authority.load(folder).anchors_pem.encode() == before


def test_a_lost_key_is_named_and_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    authority.make_once(folder)
    (folder / "signer.key").unlink()
    with pytest.raises(FileNotFoundError, match=r"signer\.key"):
        authority.load(folder)
    assert not (folder / "signer.key").exists()


def test_a_place_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "authority").write_text("in the way")
    with pytest.raises(OSError, match="authority"):
        authority.make_once(tmp_path / "authority")
    assert [path.name for path in tmp_path.iterdir() if "authority" in path.name] == ["authority"]


def brought(folder: Path, *, key: bytes | None = None) -> tuple[Path, Path]:
    """A chain file and a key file as a certificate authority would hand them out."""
    authority.make_once(folder)
    (folder / "chain.pem").write_bytes((folder / "signer.pem").read_bytes() + (folder / "issuing.pem").read_bytes())
    (folder / "chain.key").write_bytes(key or (folder / "signer.key").read_bytes())
    return folder / "chain.pem", folder / "chain.key"


def test_a_certificate_that_was_brought_signs_and_what_the_old_one_signed_stays_ours(
    settings: Settings, tmp_path: Path
) -> None:
    before = services.sign(PNG, "image/png", facts=facts_of())
    settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE = brought(tmp_path / "elsewhere")
    after = services.sign(PNG, "image/png", facts=facts_of())
    assert after.issuer != before.issuer
    for signed in (before, after):
        report = services.read(signed.data, "image/png")
        assert (report.state, report.is_ours, report.problems) == ("valid", True, [])
        assert report.certificate_sha256 == signed.certificate_sha256
    assert before.certificate_sha256 != after.certificate_sha256


def test_what_a_renewed_certificate_signed_before_stays_ours(settings: Settings, tmp_path: Path) -> None:
    settings.AUTHORITY_DIR = tmp_path / "authority"
    old, new = brought(tmp_path / "old"), brought(tmp_path / "new")
    signed_files = []
    for settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE in (old, new, (None, None)):
        authority.load.cache_clear()  # as in a new process
        signed_files.append(services.sign(PNG, "image/png", facts=facts_of()))
    before, after, _ = signed_files
    for signed in signed_files:
        report = services.read(signed.data, "image/png")
        assert (report.state, report.is_ours, report.problems) == ("valid", True, [])
        assert report.certificate_sha256 == signed.certificate_sha256
    kept = list(settings.AUTHORITY_DIR.glob(authority.KEPT))
    assert {path.name for path in kept} == {f"brought-{signed.certificate_sha256}.pem" for signed in (before, after)}
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_a_key_beside_the_certificates_stays_out_of_what_is_signed(settings: Settings, tmp_path: Path) -> None:
    chain, key_file = brought(tmp_path / "elsewhere")
    chain.write_bytes(chain.read_bytes() + key_file.read_bytes())  # some authorities hand out both in one file
    settings.AUTHORITY_DIR = tmp_path / "authority"
    settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE = chain, key_file
    signed = services.sign(PNG, "image/png", facts=facts_of())
    assert services.read(signed.data, "image/png").is_ours
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers().private_value.to_bytes(32, "big") not in signed.data
    (kept,) = settings.AUTHORITY_DIR.glob(authority.KEPT)
    assert b"PRIVATE" not in kept.read_bytes()


def test_what_cannot_sign_is_not_kept(tmp_path: Path) -> None:
    chain, key = brought(tmp_path / "elsewhere", key=authority.key_pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(authority.CertificateError):
        authority.load(tmp_path / "authority", chain, key)
    assert {path.name for path in (tmp_path / "authority").iterdir()} == set(authority.FILES)


def test_who_else_signs_under_the_same_authority_is_not_us(settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE = brought(elsewhere)
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    issuing_key = serialization.load_pem_private_key((elsewhere / "issuing.key").read_bytes(), None)
    assert isinstance(issuing_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate((elsewhere / "issuing.pem").read_bytes())
    issuer_name = issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    theirs = authority.certificate("Neighbour", key, str(issuer_name), issuing_key, years=1, path_length=None)
    chain = theirs.public_bytes(serialization.Encoding.PEM) + (elsewhere / "issuing.pem").read_bytes()
    (neighbour / "chain.pem").write_bytes(chain)
    (neighbour / "chain.key").write_bytes(authority.key_pem(key))
    ours = settings.AUTHORITY_DIR, settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE
    settings.AUTHORITY_DIR = neighbour / "authority"
    settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE = neighbour / "chain.pem", neighbour / "chain.key"
    foreign = services.sign(PNG, "image/png", facts=facts_of())
    settings.AUTHORITY_DIR, settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE = ours
    report = services.read(foreign.data, "image/png")
    assert (report.state, report.is_ours) == ("valid", False)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    other = authority.key_pem(ec.generate_private_key(ec.SECP256R1()))
    chain, key = brought(tmp_path / "elsewhere", key=other)
    with pytest.raises(authority.CertificateError, match="not that of the first certificate"):
        authority.load(tmp_path / "authority", chain, key)
    key.write_text("no key")
    with pytest.raises(authority.CertificateError, match="cannot be read"):
        authority.load(tmp_path / "another", chain, key)
