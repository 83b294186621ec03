"""The studio's certificates are made once, by whoever comes first, and are for this user's eyes only."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from webapp.provenance import authority

MAKE = "import sys, pathlib; from webapp.provenance import authority; authority.make_once(pathlib.Path(sys.argv[1]))"


def test_the_chain_is_what_c2pa_wants(tmp_path: Path) -> None:
    ours = authority.load(tmp_path / "authority")
    signer, issuing = x509.load_pem_x509_certificates(ours.chain_pem.encode())
    root = x509.load_pem_x509_certificate(ours.root_pem.encode())
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
    assert ours.signer_sha256 == signer.fingerprint(hashes.SHA256()).hex()


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
    assert authority.load(folder).root_pem.encode() == before


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
