"""Was it made here? Files of ours, whole, stripped, edited and copied; strangers' files; and files that lie."""

import hashlib
import io
import secrets
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pytest_django import Settings

from genworkers.codecs import animation, image_bytes
from genworkers.marks import fingerprint, image_mark
from genworkers.marks.keys import MarkKey
from tests.factories import WorkspaceFactory
from tests.webapp.gallery.drafts import draft_of, job_of
from tests.webapp.provenance.samples import STORY, encoded, facts_of
from webapp.errors import AppError
from webapp.gallery import services as gallery
from webapp.gallery.models import Artifact
from webapp.provenance import mark_keys, services, verification, words
from webapp.provenance.services import FingerprintFacts, MarkFacts, SignedFile
from webapp.provenance.verification import Answer, verify

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def drawing(seed: int = 0) -> Image.Image:
    """Something like a sticker: flat shapes on white."""
    generator = np.random.default_rng(seed)
    picture = Image.new("RGBA", (512, 512), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y, size = generator.integers(0, 400, 3)
        pen.ellipse((x, y, x + 40 + size // 2, y + 40 + size // 2), fill=tuple(generator.integers(0, 255, 3)))
    return picture


def kept(seed: int = 0) -> tuple[Artifact, bytes]:
    """A picture as a worker keeps it: marked, signed, on record."""
    job = job_of("image", workspace=WorkspaceFactory.create())
    key = MarkKey(*mark_keys.key_in_use(job.workspace_id))
    payload = secrets.randbelow(image_mark.NUM_PAYLOADS)
    pixels = image_mark.embed(np.asarray(drawing(seed)), key, payload)
    mark = MarkFacts("picture.1", key.key_id, f"{payload:09x}")
    value = fingerprint.of_picture(pixels)
    prints = FingerprintFacts(value.hex(), tuple(fingerprint.bands(value)))
    artifact_id = uuid.uuid4()
    signed = services.sign(image_bytes.to_png(pixels), "image/png", facts=facts_of(artifact_id, job.id, mark))
    draft = draft_of(job, artifact_id=artifact_id, original=signed, thumbnail=None, mark=mark, fingerprint=prints)
    return gallery.store(draft), signed.data


def saved_anew(data: bytes, form: str = "JPEG", quality: int = 80) -> bytes:
    """The same picture as another program writes it: without a word about itself."""
    target = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(target, form, quality=quality)
    return target.getvalue()


def test_ours_intact() -> None:
    artifact, data = kept()
    found = verify(data)
    assert (found.answer, found.mark_state) == (Answer.OURS, "found")
    assert found.match is not None
    assert (found.match.artifact, found.match.by) == (artifact, "bytes")
    assert found.likeness == 1.0
    assert found.made is not None
    assert found.made.artifact_id == artifact.id.urn
    assert "public trust list" in words.credentials(found).meaning
    assert not found.is_publicly_trusted


def test_no_byte_of_ours_can_be_changed_unnoticed() -> None:
    artifact, data = kept()
    padding = data.index(b"cpadY") + 100  # inside the credentials, where C2PA signs nothing
    for place in (padding, len(data) // 2, len(data) - 30):
        changed = bytearray(data)
        changed[place] ^= 1
        found = verify(bytes(changed))
        assert found.answer == Answer.OURS_CHANGED
        assert found.match is not None
        assert found.match.artifact == artifact
    assert services.read(data[:padding] + b"\1" + data[padding + 1 :], "image/png").state == "valid"


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG", "GIF"])
def test_ours_stripped_and_saved_anew_is_found_by_its_mark(form: str) -> None:
    kept(1)
    artifact, data = kept()
    found = verify(saved_anew(data, form))
    assert (found.answer, found.credentials.state) == (Answer.OURS_STRIPPED, "none")
    assert found.match is not None
    assert (found.match.artifact, found.match.by) == (artifact, "mark")
    assert found.mark is not None
    assert found.mark.p_value <= 1e-6


@pytest.mark.parametrize("form", ["MPO", "TIFF"])
def test_a_picture_put_behind_ours_does_not_hide_the_mark(form: str) -> None:
    artifact, data = kept()
    target = io.BytesIO()
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.save(target, form, save_all=True, append_images=[Image.new("RGB", (80, 60), "red")])
    found = verify(target.getvalue())
    assert (found.answer, found.problem) == (Answer.OURS_STRIPPED, "")
    assert found.match is not None
    assert (found.match.artifact, found.match.by) == (artifact, "mark")


def test_of_a_picture_that_was_drawn_over_another_both_marks_are_told() -> None:
    artifact, data = kept()
    older = image_mark.embed(np.asarray(drawing()), MarkKey(*mark_keys.key_in_use(WorkspaceFactory.create().id)), 42)
    key = MarkKey(*mark_keys.key_in_use(artifact.workspace_id))
    twice = image_mark.embed(older, key, int(artifact.mark.payload, 16))
    found = verify(encoded(Image.fromarray(twice), "PNG"))
    assert (found.mark_state, found.num_others) == ("found", 1)
    assert "1 more of this studio's marks" in words.mark(found).meaning
    assert "more of" not in words.mark(verify(data)).meaning


def test_ours_cropped_is_found_by_its_mark() -> None:
    artifact, data = kept()
    picture = Image.open(io.BytesIO(data)).crop((60, 40, 480, 500))
    found = verify(encoded(picture, "PNG"))
    assert found.answer == Answer.OURS_STRIPPED
    assert found.match is not None
    assert (found.match.artifact, found.match.by) == (artifact, "mark")


def test_ours_edited_with_its_old_credentials_does_not_pass_as_whole() -> None:
    artifact, data = kept()
    tampered = data.replace(b"IDAT", b"IDAT", 1)
    place = tampered.rindex(b"IEND") - 4
    tampered = tampered[:place] + b"\0\0\0\4tEXta\0bc\x8b\xd0\x4c\x9b" + tampered[place:]
    found = verify(tampered)
    assert (found.answer, found.credentials.state) == (Answer.OURS_CHANGED, "invalid")
    assert "dataHash.mismatch" in found.credentials.problems[0]
    assert found.match is not None
    assert found.match.artifact == artifact


def test_a_mark_that_was_lost_still_leaves_the_likeness() -> None:
    artifact, data = kept()
    small = Image.open(io.BytesIO(data)).convert("RGB").resize((60, 60))
    found = verify(encoded(small, "JPEG"))
    assert found.answer == Answer.ALIKE
    assert found.match is not None
    assert (found.match.artifact, found.match.by) == (artifact, "likeness")


def test_a_strangers_file_is_theirs(settings: Settings, tmp_path: Path) -> None:
    foreign = signed_by_a_stranger(encoded(drawing(3), "PNG"), settings, tmp_path, "image/png")
    found = verify(foreign)
    assert (found.answer, found.mark, found.match) == (Answer.OTHERS, None, None)
    assert "cannot vouch" in words.credentials(found).meaning
    changed = bytearray(foreign)
    changed[-2000] ^= 1
    assert verify(bytes(changed)).answer == Answer.BROKEN


def signed_by_a_stranger(data: bytes, settings: Settings, folder: Path, media_type: str = "image/jpeg") -> bytes:
    """The same with whole credentials of another authority."""
    ours = settings.AUTHORITY_DIR
    settings.AUTHORITY_DIR = folder / "another"
    foreign = services.sign(data, media_type, facts=facts_of())
    settings.AUTHORITY_DIR = ours
    return foreign.data


def test_ours_saved_and_signed_anew_by_somebody_else_is_still_ours(settings: Settings, tmp_path: Path) -> None:
    artifact, data = kept()
    found = verify(signed_by_a_stranger(saved_anew(data), settings, tmp_path))
    assert (found.answer, found.credentials.state, found.credentials.is_ours) == (Answer.OURS_STRIPPED, "valid", False)
    assert found.match is not None
    assert (found.match.artifact, found.match.by) == (artifact, "mark")
    assert "signed anew by somebody else" in words.answer(found).title
    assert "removed" not in words.answer(found).title


def test_a_copy_without_the_mark_that_was_signed_anew_is_told_as_a_copy(settings: Settings, tmp_path: Path) -> None:
    artifact, data = kept()
    small = encoded(Image.open(io.BytesIO(data)).convert("RGB").resize((60, 60)), "JPEG")
    found = verify(signed_by_a_stranger(small, settings, tmp_path))
    assert (found.answer, found.mark, found.credentials.state) == (Answer.ALIKE, None, "valid")
    assert found.match is not None
    assert (found.match.artifact, found.match.by) == (artifact, "likeness")
    said = words.answer(found)
    assert "signed anew by somebody else" in said.meaning
    assert "No credentials" not in said.meaning


def test_our_credentials_on_a_strangers_picture_prove_nothing() -> None:
    _, data = kept()
    start = data.index(b"caBX") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    stranger = encoded(drawing(5), "PNG")
    found = verify(stranger[:33] + chunk + stranger[33:])
    assert (found.answer, found.mark, found.match) == (Answer.BROKEN, None, None)


def test_an_unmarked_file_is_unknown_with_the_rate_stated() -> None:
    kept()
    found = verify(encoded(drawing(7), "PNG"))
    assert (found.answer, found.mark_state) == (Answer.UNKNOWN, "not_found")
    assert "at most once in 1,000,000" in words.mark(found).meaning


def test_another_workspaces_key_finds_it_as_well_and_nobody_is_named() -> None:
    _, first = kept()
    artifact, second = kept(2)
    assert Artifact.objects.values("workspace").distinct().count() == 2
    found = verify(saved_anew(second))
    assert found.match is not None
    assert found.match.artifact == artifact
    said = repr(found) + repr(words.answer(found)) + repr(words.registry(found)) + repr(found.made)
    for secret in (artifact.prompt, artifact.created_by.username, artifact.workspace.slug):
        assert secret not in said
    assert verify(first).answer == Answer.OURS


@pytest.mark.parametrize(
    ("file_format", "media_type"), [("webp", "image/webp"), ("gif", "image/gif"), ("mp4", "video/mp4")]
)
def test_a_walk_is_found_by_its_frames(file_format: animation.FileFormat, media_type: str) -> None:
    workspace = WorkspaceFactory.create()
    key = MarkKey(*mark_keys.key_in_use(workspace.id))
    frames = [image_mark.embed(np.asarray(drawing(seed)), key, 77) for seed in range(4)]
    found = verify(animation.to_animation(frames, file_format, 4))
    assert (found.media_type, found.answer) == (media_type, Answer.OURS_STRIPPED)
    assert found.mark is not None
    assert found.mark.key_id == key.key_id


def kept_text(text: str) -> tuple[Artifact, SignedFile]:
    """A text as a worker keeps it, with its credentials beside it."""
    job = job_of("text", workspace=WorkspaceFactory.create())
    artifact_id = uuid.uuid4()
    mark = MarkFacts("text.1", "0123456789ab")
    value = fingerprint.of_text(text)
    prints = FingerprintFacts(value.hex(), tuple(fingerprint.bands(value)))
    signed = services.sign(text.encode(), "text/plain", facts=facts_of(artifact_id, job.id, mark))
    draft = draft_of(job, artifact_id=artifact_id, original=signed, mark=mark, fingerprint=prints)
    return gallery.store(draft), signed


def test_a_text_is_known_by_its_bytes_and_by_its_likeness() -> None:
    artifact, signed = kept_text(STORY)
    whole = verify(STORY.encode())
    assert whole.answer == Answer.OURS
    assert whole.match is not None
    assert (whole.match.artifact, whole.match.by) == (artifact, "bytes")
    assert verify(STORY.encode(), signed.sidecar).credentials.is_ours
    copied = verify(STORY.replace("owl", "bat").encode())
    assert copied.answer == Answer.ALIKE
    assert copied.match is not None
    assert (copied.match.artifact, copied.match.by) == (artifact, "likeness")
    others = " ".join(f"Train {number} waits for people." for number in range(30))
    assert verify(others.encode()).answer == Answer.UNKNOWN
    edited = verify((STORY + " The end.").encode(), signed.sidecar)
    assert edited.answer == Answer.OURS_CHANGED


def words_of_story(num: int) -> str:
    return " ".join(STORY.split()[:num])


@pytest.mark.parametrize("text", ["Yes", "\U0001f6f6", words_of_story(39)])
def test_short_words_that_somebody_got_are_not_told_to_be_ours(text: str) -> None:
    kept_text(text)
    found = verify(text.encode())
    assert (found.answer, found.match, found.likeness) == (Answer.TOO_SHORT, None, None)
    assert words.registry(found).title == "Too short to tell"
    never_written = verify(b"Never written here.")
    assert words.registry(never_written) == words.registry(found)
    assert never_written.answer == found.answer


def test_a_text_that_is_long_enough_to_be_equal_may_still_be_too_short_to_be_alike() -> None:
    artifact, _ = kept_text(words_of_story(99))
    equal = verify(words_of_story(99).encode())
    assert equal.answer == Answer.OURS
    assert equal.match is not None
    assert equal.match.artifact == artifact
    assert verify(words_of_story(98).encode()).answer == Answer.TOO_SHORT


def test_a_short_text_is_known_by_its_own_credentials_and_as_no_other() -> None:
    kept_text("Yes")
    artifact, signed = kept_text("Yes")
    found = verify(b"Yes", signed.sidecar)
    assert found.answer == Answer.OURS
    assert found.match is not None
    assert found.match.artifact == artifact
    assert verify(b"No", signed.sidecar).answer == Answer.BROKEN


def test_how_far_it_was_changed_is_said_in_words() -> None:
    _, data = kept()
    assert "still looks much like the original" in words.registry(verify(saved_anew(data))).meaning
    cut = Image.open(io.BytesIO(data)).crop((60, 40, 480, 500))
    assert "cut or changed a lot" in words.registry(verify(encoded(cut, "PNG"))).meaning
    assert "%" not in words.registry(verify(data)).meaning


@pytest.mark.parametrize(
    ("data", "media_type", "said"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 300, "image/png", "picture"),
        (b"\xff\xd8\xff\xe0" + b"junk" * 50, "image/jpeg", "damaged"),
        (b"\0\0\0\x20ftypisom" + b"junk" * 50, "video/mp4", "damaged"),
        (bytes(range(256)) * 4, "application/octet-stream", "can be looked for in"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml", "can be looked for in"),
        (b"\0\0\0\x18ftypheic" + b"junk" * 50, "image/heic", "can be looked for in"),
    ],
)
def test_what_cannot_be_read_is_said_and_not_guessed(data: bytes, media_type: str, said: str) -> None:
    found = verify(data)
    assert (found.media_type, found.answer, found.mark_state) == (media_type, Answer.UNKNOWN, "not_looked_for")
    assert said in found.problem


def test_the_formats_that_are_named_are_those_that_are_looked_at() -> None:
    said = verify(bytes(range(256))).problem.lower()
    for media_type in verification.MEDIUM_OF:
        assert media_type.partition("/")[2].replace("plain", "plain text") in said


def test_a_text_that_shows_svg_is_looked_at_as_a_text() -> None:
    about_svg = f"This draws a boat: <svg><path d='M0 0h9v9z'/></svg>. {STORY}"
    svg = f"<svg><title>{STORY}</title></svg>"
    for text in (about_svg, svg):
        artifact, _ = kept_text(text)
        found = verify(text.replace("owl", "bat").encode(), is_text=True)
        assert (found.media_type, found.answer, found.problem) == ("text/plain", Answer.ALIKE, "")
        assert found.match is not None
        assert found.match.artifact == artifact
    assert verify(about_svg.encode()).media_type == "text/plain"
    assert verify(svg.encode()).media_type == "image/svg+xml"


def test_a_bomb_is_not_decoded() -> None:
    row = Image.new("1", (12_000, 12_000))
    found = verify(encoded(row, "PNG"))
    assert "12000 x 12000 px" in found.problem
    assert found.answer == Answer.UNKNOWN


def test_a_long_text_is_looked_at_as_far_as_all_keys_can_be_tried_on_it_in_time(
    settings: Settings,
) -> None:
    """As a whole, 200,000 characters under 400 keys would take more than the time that one file may take."""
    settings.NETS_DIR = settings.BASE_DIR / "genworkers" / "weights"
    workspace = WorkspaceFactory.create()
    for epoch in range(400):
        mark_keys.rotate(workspace.id, after_epoch=epoch)
    chance = np.random.default_rng(0)
    text = " ".join(str(number) for number in chance.integers(0, 100_000, 40_000)).encode()
    assert len(text) > 200_000
    found = verify(text)
    assert (found.problem, found.mark_state, found.is_whole) == ("", "not_found", False)
    assert "Only its beginning was looked at" in words.mark(found).meaning
    found = verify(text[:12_000])
    assert (found.mark_state, found.is_whole) == ("not_found", True)
    assert "Only" not in words.mark(found).meaning


def test_a_megabyte_of_text_is_looked_at_in_bounded_time() -> None:
    found = verify(b"All work and no play makes Jack a dull boy. " * 24_000)
    assert (found.answer, found.problem) == (Answer.UNKNOWN, "")


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "file_missing"), (b"x" * (verification.MAX_BYTES + 1), "file_too_large")]
)
def test_nothing_and_too_much_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(AppError) as refused:
        verify(data)
    assert refused.value.code == code
    assert refused.value.problems[0]["allowed"] == "1 to 20,000,000 bytes"


def test_nothing_is_kept() -> None:
    _, data = kept()
    before = Artifact.objects.count()
    digest = hashlib.sha256(saved_anew(data)).hexdigest()
    found = verify(saved_anew(data))
    assert found.sha256 == digest
    assert Artifact.objects.count() == before


def test_a_signature_whose_certificate_has_expired_since_is_not_called_whole(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    monkeypatch.setattr("webapp.provenance.authority.SIGNER_YEARS", 3 / 86_400 / 365)
    settings.AUTHORITY_DIR = tmp_path / "short"
    signed = services.sign(encoded(drawing(), "PNG"), "image/png", facts=facts_of())
    assert services.read(signed.data, "image/png").is_ours
    time.sleep(4)
    report = services.read(signed.data, "image/png")
    assert not report.is_ours
    assert report.problems
    with pytest.raises(AppError) as refused:
        services.sign(encoded(drawing(), "PNG"), "image/png", facts=facts_of())
    assert refused.value.code == "certificate_not_valid"
    assert "set the clock" in refused.value.message
