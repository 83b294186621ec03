"""Image jobs between site and engine: what a request names by id arrives as pixels, drafts keep nothing, walks are one
file, previews keep to their budget."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genworkers.codecs.image_bytes import from_bytes, to_png
from genworkers.contract.events import JOB_EVENT, Preview
from genworkers.contract.image import Explanation, ImageRequest, PictureFacts, Unlikeness
from genworkers.engine.image_engine import ImageItem, ImageResult, ImageStep, WalkResult
from genworkers.engine.ticket import Ticket
from genworkers.tasks import engines
from genworkers.tasks.image import PREVIEW_BUDGET_BYTES, generate_image
from tests.bridge.fake_engine import FakeEngine, saying
from tests.factories import JobFactory, MembershipFactory
from webapp.gallery import selectors as gallery
from webapp.gallery import uploads
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db(transaction=True)

SMALL, LARGE = np.zeros((64, 64, 4), np.uint8), np.full((512, 512, 4), 200, np.uint8)
PICTURE: list[ImageItem] = [ImageStep(0, 1, 1, 64, 64, SMALL), ImageResult(0, 7, LARGE)]


class Studio:
    """One job of a member, a fake engine, and what the watchers heard."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, redis_client: Any) -> None:
        self.member = MembershipFactory.create()
        self._monkeypatch = monkeypatch
        self._redis = redis_client

    def upload(self, pixels: np.ndarray[Any, Any]) -> str:
        return str(uploads.keep(self.member.workspace, self.member.user, to_png(pixels)).id)

    def run(self, engine: FakeEngine[ImageItem], **asked: Any) -> Job:
        self._monkeypatch.setattr(engines, "image_engine", lambda: engine)
        job: Job = JobFactory.create(
            kind="image", prompt="a red apple", workspace=self.member.workspace, created_by=self.member.user
        )
        job.request = ImageRequest.model_validate(
            {"prompt": job.prompt, "style": "flat", "seed": 7} | asked
        ).model_dump(mode="json")
        job.save()
        generate_image.apply(args=(str(job.id),))
        job.refresh_from_db()
        return job

    def previews_of(self, job: Job) -> list[Preview]:
        entries = self._redis.xrange(f"tessera:job:{job.id}:log")
        events = [JOB_EVENT.validate_json(fields[b"event"]) for _, fields in entries]
        return [event for event in events if isinstance(event, Preview)]


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch, redis_client: Any) -> Studio:
    return Studio(monkeypatch, redis_client)


def test_start_picture_and_mask_reach_the_engine_as_pixels(studio: Studio) -> None:
    start = np.zeros((40, 60, 4), np.uint8)
    start[:, :30] = (255, 0, 0, 255)
    mask = np.zeros((40, 60, 4), np.uint8)
    mask[..., 3] = 255
    mask[:, 50:] = 255  # white
    mask[30:, :10, 3] = 0  # transparent
    engine = FakeEngine(saying(PICTURE))
    job = studio.run(engine, start_image=studio.upload(start), mask=studio.upload(mask))
    assert job.status == Job.Status.SUCCEEDED
    [inputs] = engine.inputs
    assert inputs is not None
    assert inputs.start is not None
    np.testing.assert_array_equal(inputs.start[:, :30], start[:, :30])
    expected = np.zeros((40, 60), bool)
    expected[:, 50:] = expected[30:, :10] = True
    assert inputs.mask is not None
    np.testing.assert_array_equal(inputs.mask, expected)


def test_a_start_picture_that_is_gone_fails_the_job_by_name(studio: Studio) -> None:
    job = studio.run(FakeEngine(saying(PICTURE)), start_image="00000000-0000-4000-8000-000000000000")
    assert (job.status, job.error_code) == (Job.Status.FAILED, "input_unknown")
    assert not Artifact.objects.exists()


def test_a_draft_is_drawn_again_and_becomes_the_start(studio: Studio) -> None:
    engine = FakeEngine(saying(PICTURE))
    assert studio.run(engine, draft_seed=99, style_mix="").status == Job.Status.SUCCEEDED
    draft, picture = engine.requests
    assert isinstance(draft, ImageRequest)
    assert (draft.net, draft.prompt, draft.style, draft.is_draft) == ("spark", "a red apple", "flat", True)
    assert isinstance(picture, ImageRequest)
    assert picture.net == "mosaic"
    assert engine.inputs[1] is not None
    assert engine.inputs[1].start is LARGE


def test_a_draft_shows_its_pictures_and_keeps_nothing(studio: Studio) -> None:
    finished = np.full((128, 128, 4), 90, np.uint8)
    items: list[ImageItem] = []
    for index in range(4):
        items += [ImageStep(index, 1, 1, 1, 1, SMALL), ImageResult(index, 7 + index, finished)]
    job = studio.run(FakeEngine(saying(items)), net="spark", is_draft=True, num_images=4)
    assert job.status == Job.Status.SUCCEEDED
    previews = studio.previews_of(job)
    assert [(preview.index, preview.step, preview.num_steps) for preview in previews] == [(i, 1, 1) for i in range(4)]
    assert all(preview.image.startswith("data:image/webp;base64,") for preview in previews)
    assert not Artifact.objects.exists()


@pytest.mark.parametrize(("file_format", "media_type"), [("webp", "image/webp"), ("mp4", "video/mp4")])
def test_a_walk_is_one_artifact(studio: Studio, nets_dir: Path, file_format: str, media_type: str) -> None:
    (nets_dir / "drift").mkdir()
    facts = {"num_parameters": 1, "sha256": "c" * 64, "config": {}, "files": {}, "styles": {"flat": "Flat"}}
    manifest = {"name": "drift", "kind": "image", "family": "drift", "title": "Drift"} | facts
    (nets_dir / "drift" / "manifest.json").write_text(json.dumps(manifest))
    frames = [np.full((512, 512, 4), 60 * number, np.uint8) for number in range(1, 4)]
    items: list[ImageItem] = [ImageStep(0, 1, 1, 1, 1, SMALL), WalkResult(7, frames)]
    walk = {"to_prompt": "a pear", "num_frames": 3, "file_format": file_format}
    job = studio.run(FakeEngine(saying(items)), net="drift", walk=walk)
    assert job.status == Job.Status.SUCCEEDED
    artifact = Artifact.objects.get(job=job)
    original = gallery.file_of(artifact, ArtifactFile.Role.ORIGINAL)
    assert original is not None
    assert original.media_type == media_type
    thumbnail = gallery.open_file(artifact, ArtifactFile.Role.THUMBNAIL).read()
    assert from_bytes(thumbnail).shape == (256, 256, 4)


def test_facts_of_a_picture_are_kept(studio: Studio) -> None:
    explanation = Explanation(words=["apple"], grid=2, maps="AAECAw==")
    unlikeness = Unlikeness(net="drift", percentile_frac=0.25)
    job = studio.run(FakeEngine(saying([ImageResult(0, 7, LARGE, explanation, unlikeness)])))
    facts = PictureFacts.model_validate(Artifact.objects.get(job=job).facts)
    assert (facts.explanation, facts.unlikeness) == (explanation, unlikeness)


def test_previews_keep_to_their_budget_and_the_last_ones_always_come(studio: Studio) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    items: list[ImageItem] = [
        ImageStep(index, step, 32, 2 * step, 64, noise) for step in range(1, 33) for index in range(8)
    ]
    items += [ImageResult(index, 7 + index, LARGE) for index in range(8)]
    job = studio.run(FakeEngine(saying(items)), num_images=8, num_steps=32)
    previews = studio.previews_of(job)
    assert sum(len(preview.image) for preview in previews if preview.step < 32) <= PREVIEW_BUDGET_BYTES
    assert len(previews) < 8 * 32
    assert {preview.index for preview in previews if preview.step == 32} == set(range(8))


def test_steps_without_a_preview_still_move_the_progress(studio: Studio) -> None:
    def script(ticket: Ticket[ImageItem]) -> None:
        ticket.put(ImageStep(0, 3, 12, 20, 64, None))
        ticket.put(ImageResult(0, 7, LARGE))
        ticket.finish("done")

    job = studio.run(FakeEngine(script))
    assert job.status == Job.Status.SUCCEEDED
    assert not studio.previews_of(job)
