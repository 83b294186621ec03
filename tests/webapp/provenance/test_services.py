"""What is signed can be proved, what was changed is found out, and no manifest tells what it should not."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import av
import c2pa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from pytest_django import Settings

from genworkers.codecs.animation import FileFormat, to_animation
from tests.factories import ArtifactFactory, ArtifactFileFactory
from tests.webapp.provenance.samples import FINGERPRINT, MARK, PICTURE, PNG, TEXT, WEBP, facts_of
from webapp.provenance import manifest, services


def test_a_picture_carries_credentials_that_hold() -> None:
    facts = facts_of()
    signed = services.sign(PNG, "image/png", facts=facts)
    assert signed.is_embedded
    assert signed.sidecar is None
    report = services.read(signed.data, "image/png")
    assert (report.state, report.is_ours, report.problems) == ("valid", True, [])
    assert report.issuer == signed.issuer
    assert report.issuer.startswith("Tessera studio ")
    assert report.signed_at == signed.signed_at
    assert report.manifest_label == signed.manifest_label
    assert report.certificate_sha256 == signed.certificate_sha256
    assert Image.open(io.BytesIO(signed.data)).tobytes() == PICTURE.tobytes()


def test_the_manifest_discloses_what_the_law_asks_and_no_more() -> None:
    facts = facts_of()
    report = services.read(services.sign(PNG, "image/png", facts=facts).data, "image/png")
    active = report.manifest["manifests"][report.manifest_label]
    disclosure = manifest.disclosure_of(active)
    assert disclosure["provider"] == "Tessera"
    assert disclosure["system"] == "mosaic"
    assert disclosure["version"] == "0.1.0"
    assert disclosure["created"] == facts.created_at.isoformat()
    assert disclosure["id"] == facts.artifact_id.urn
    created, marked = next(a for a in active["assertions"] if a["label"] == "c2pa.actions.v2")["data"]["actions"]
    assert (created["action"], marked["action"]) == ("c2pa.created", "c2pa.watermarked.bound")
    assert created["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert created["softwareAgent"] == marked["softwareAgent"] == {"name": "Tessera", "version": "0.1.0"}
    assert manifest.binding_of(active) == ("org.tessera.mark.picture.1", MARK.payload)
    assert "thumbnail" not in json.dumps(report.manifest)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "lossless WEBP", "opaque WEBP"])
def test_tools_without_c2pa_find_the_source_type(form: str) -> None:
    facts = facts_of()
    name = form.rpartition(" ")[2]
    picture = PICTURE.convert("RGB") if form in ("JPEG", "opaque WEBP") else PICTURE
    target = io.BytesIO()
    picture.save(target, name, **({"lossless": True} if form.startswith("lossless") else {}))
    with Image.open(io.BytesIO(target.getvalue())) as unsigned:
        before = unsigned.convert("RGBA").tobytes()
    data = services.sign(target.getvalue(), f"image/{name.lower()}", facts=facts).data
    signed = Image.open(io.BytesIO(data))
    assert signed.convert("RGBA").tobytes() == before
    # Pillow passes over the packet of a GIF, as whoever does not know it must.
    packet = (
        signed.info["xmp"].decode() if form != "GIF" else data[data.index(b"XMP DataXMP<?xpacket") :].decode("latin-1")
    )
    assert f'DigitalSourceType="{manifest.MADE_BY_NET}"' in packet
    assert facts.artifact_id.urn in packet


def test_a_film_and_paths_say_it_too() -> None:
    facts = facts_of()
    frames = [np.asarray(picture) for picture in (PICTURE, Image.new("RGBA", PICTURE.size, "#ff8000"))]
    film = to_animation(frames, "mp4", 4)
    signed = services.sign(film, "video/mp4", facts=facts).data
    assert bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<?xpacket" in signed
    with av.open(io.BytesIO(signed), "r") as opened:
        assert len(list(opened.decode(video=0))) == len(frames)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9v9z"/></svg>'
    root = ElementTree.fromstring(services.sign(svg, "image/svg+xml", facts=facts).data)
    (described,) = root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert described.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == manifest.MADE_BY_NET


def test_an_edit_names_what_was_changed_and_that_it_is_partly_a_persons() -> None:
    facts = replace(facts_of(), source_type=manifest.MADE_WITH_NET)
    start = services.Ingredient(PNG, "image/png", "start picture", "c2pa.edited")
    end = services.Ingredient(WEBP, "image/webp", "end picture", None)
    report = services.read(services.sign(PNG, "image/png", facts=facts, ingredients=[start, end]).data, "image/png")
    assert (report.state, report.is_ours, report.problems) == ("valid", True, [])
    active = report.manifest["manifests"][report.manifest_label]
    assert [one["relationship"] for one in active["ingredients"]] == ["parentOf", "inputTo"]
    actions = next(a for a in active["assertions"] if a["label"] == "c2pa.actions.v2")["data"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited", "c2pa.watermarked.bound"]
    assert actions[1]["digitalSourceType"] == manifest.MADE_WITH_NET
    with pytest.raises(ValueError, match="changed form of one other, got 2"):
        services.sign(PNG, "image/png", facts=facts, ingredients=[start, start])


def test_a_text_stays_as_it_is_and_its_sidecar_holds() -> None:
    facts = facts_of()
    signed = services.sign(TEXT, "text/plain; charset=utf-8", facts=facts)
    assert signed.data == TEXT
    assert not signed.is_embedded
    assert signed.sidecar
    report = services.read(TEXT, "text/plain", signed.sidecar)
    assert (report.state, report.is_ours, report.manifest_label) == ("valid", True, signed.manifest_label)
    for tampered in (TEXT + b"!", b"x" + TEXT[1:], TEXT[:-1]):
        broken = services.read(tampered, "text/plain", signed.sidecar)
        assert broken.state == "invalid"
        assert "assertion.dataHash.mismatch" in broken.problems[0]
    assert services.read(TEXT, "text/plain").state == "none"


def test_a_thumbnail_names_its_original() -> None:
    facts = facts_of()
    original = services.sign(PNG, "image/png", facts=facts)
    small = services.sign(
        WEBP, "image/webp", facts=facts, ingredients=[services.copy_of(original, "c2pa.resized", "image 1")]
    )
    report = services.read(small.data, "image/webp")
    assert (report.state, report.is_ours, report.problems) == ("valid", True, [])
    (ingredient,) = report.manifest["manifests"][report.manifest_label]["ingredients"]
    assert (ingredient["relationship"], ingredient["active_manifest"]) == ("parentOf", original.manifest_label)


@pytest.mark.parametrize(
    ("media_type", "file_format"), [("image/webp", "webp"), ("image/gif", "gif"), ("video/mp4", "mp4")]
)
def test_an_animation_carries_its_credentials(media_type: str, file_format: FileFormat) -> None:
    frames = [np.asarray(picture) for picture in (PICTURE, Image.new("RGBA", PICTURE.size, "#ff8000"))]
    data = to_animation(frames, file_format, 4)
    signed = services.sign(data, media_type, facts=facts_of())
    report = services.read(signed.data, media_type)
    assert (signed.is_embedded, report.state, report.is_ours, report.problems) == (True, "valid", True, [])
    changed = bytearray(signed.data)
    changed[-40] ^= 1
    assert services.read(bytes(changed), media_type).state != "valid"
    assert services.read(data, media_type).state == "none"


def test_an_svg_carries_its_credentials_and_says_that_it_was_put_into_another_format() -> None:
    facts = facts_of()
    original = services.sign(PNG, "image/png", facts=facts)
    svg = (
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9v9z"/></svg>'
    )
    signed = services.sign(
        svg, "image/svg+xml", facts=facts, ingredients=[services.copy_of(original, "c2pa.transcoded", "image 1")]
    )
    report = services.read(signed.data, "image/svg+xml")
    assert (signed.is_embedded, report.state, report.is_ours, report.problems) == (True, "valid", True, [])
    assert services.read(signed.data.replace(b"M0 0h9", b"M0 0h8"), "image/svg+xml").state == "invalid"


@pytest.mark.parametrize("position", [60, 400, 2000, -200, -20])
def test_one_changed_byte_is_found_out(position: int) -> None:
    facts = facts_of()
    tampered = bytearray(services.sign(PNG, "image/png", facts=facts).data)
    tampered[position] ^= 1
    report = services.read(bytes(tampered), "image/png")
    assert report.state != "valid"
    assert not report.is_ours
    assert report.problems or report.state == "none"


def test_a_file_without_credentials_has_none() -> None:
    report = services.read(PNG, "image/png")
    assert (report.state, report.is_ours, report.problems) == ("none", False, [])


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from(["image/png", "image/webp", "text/plain", "nonsense", ""]), st.booleans()
)
def test_no_bytes_break_the_reader(data: bytes, media_type: str, has_sidecar: bool) -> None:
    report = services.read(data, media_type, data if has_sidecar else None)
    assert report.state != "valid"
    assert not report.is_ours


def test_another_studio_is_valid_but_not_ours(settings: Settings, tmp_path: Path) -> None:
    facts = facts_of()
    shared = settings.AUTHORITY_DIR
    settings.AUTHORITY_DIR = tmp_path / "another"
    foreign = services.sign(PNG, "image/png", facts=facts)
    assert services.read(foreign.data, "image/png").is_ours
    settings.AUTHORITY_DIR = shared
    report = services.read(foreign.data, "image/png")
    assert (report.state, report.is_ours, report.certificate_sha256) == ("valid", False, "")
    assert report.issuer == foreign.issuer
    assert "signingCredential.untrusted" in report.problems[0]


def test_a_default_reader_of_anybody_says_valid_but_unknown() -> None:
    facts = facts_of()
    signed = services.sign(PNG, "image/png", facts=facts)
    reader = c2pa.Reader("image/png", io.BytesIO(signed.data), context=c2pa.Context())
    assert reader.get_validation_state() == "Valid"


def test_what_cannot_be_signed_is_said() -> None:
    facts = facts_of()
    with pytest.raises(ValueError, match="0 bytes"):
        services.sign(b"", "text/plain", facts=facts)
    with pytest.raises(ValueError, match="cannot sign 4 bytes of image/png"):
        services.sign(b"junk", "image/png", facts=facts)


def test_threads_sign_and_read_at_once() -> None:
    facts = facts_of()

    def sign_and_read(number: int) -> bool:
        data = TEXT + str(number).encode()
        text = services.sign(data, "text/plain", facts=replace(facts, title=f"text {number}"))
        image = services.sign(PNG, "image/png", facts=facts)
        return (
            services.read(data, "text/plain", text.sidecar).is_ours and services.read(image.data, "image/png").is_ours
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(sign_and_read, range(64)))


@pytest.mark.django_db
def test_records_say_who_signed_how_it_is_marked_and_what_it_looks_like() -> None:
    facts = facts_of()
    artifact = ArtifactFactory.create(mark=None, original=None)
    file = ArtifactFileFactory.create(artifact=artifact, credential=None)
    signed = services.sign(TEXT, "text/plain", facts=facts)
    services.record_credential(file.id, signed)
    services.record_mark(artifact.id, MARK)
    services.record_fingerprint(artifact.id, FINGERPRINT)
    assert file.credential.manifest_label == signed.manifest_label
    assert file.credential.certificate_sha256 == signed.certificate_sha256
    assert (artifact.mark.scheme, artifact.mark.payload) == (MARK.scheme, MARK.payload)
    assert {row.band for row in artifact.fingerprint.bands.all()} == set(FINGERPRINT.bands)
