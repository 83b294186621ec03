"""A time-stamping authority, here OpenSSL's behind a small server, says when a file was signed."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pytest_django import Settings

from tests.webapp.provenance.samples import PNG, facts_of
from webapp.errors import AppError
from webapp.provenance import services

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")]

CONFIG = """[ tsa ]
default_tsa = house
[ house ]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/chain.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def certificates(folder: Path) -> None:
    """A root, and under it a certificate that may time-stamp; its key and OpenSSL's settings."""
    root_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    root = built("House time root", root_key, "House time root", root_key, is_authority=True)
    tsa = built("House time", key, "House time root", root_key, is_authority=False)
    pem = serialization.Encoding.PEM
    (folder / "tsa.pem").write_bytes(tsa.public_bytes(pem))
    (folder / "chain.pem").write_bytes(root.public_bytes(pem))
    (folder / "tsa.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))


def built(
    subject: str, key: rsa.RSAPrivateKey, issuer: str, issuer_key: rsa.RSAPrivateKey, *, is_authority: bool
) -> x509.Certificate:
    names = [
        x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "House"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        for name in (subject, issuer)
    ]
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
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(purpose, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """The address of a running authority, and what it was asked."""
    certificates(tmp_path)
    asked: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(query)
            (tmp_path / "query").write_bytes(query)
            command = ["openssl", "ts", "-reply", "-config", str(tmp_path / "tsa.cnf"), "-queryfile"]
            reply = subprocess.run([*command, str(tmp_path / "query")], capture_output=True, check=True).stdout
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    server.shutdown()
    server.server_close()


def test_the_time_is_the_authoritys(authority: tuple[str, list[bytes]], settings: Settings) -> None:
    settings.TIMESTAMP_URL, asked = authority
    signed = services.sign(PNG, "image/png", facts=facts_of())
    report = services.read(signed.data, "image/png")
    assert asked
    assert (report.state, report.is_ours) == ("valid", True), report.problems
    active = report.manifest["manifests"][report.manifest_label]
    assert active["signature_info"]["time"]
    assert report.signed_at is not None
    assert abs((report.signed_at - datetime.now(UTC)).total_seconds()) < 60


def test_an_authority_that_is_away_stops_nothing_silently(settings: Settings) -> None:
    settings.TIMESTAMP_URL = "http://127.0.0.1:9/"
    with pytest.raises(AppError) as refused:
        services.sign(PNG, "image/png", facts=facts_of())
    assert (refused.value.code, refused.value.http_status) == ("timestamp_unavailable", 503)
