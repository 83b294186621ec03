"""How workers apply a workspace's policy to what nets say of prompts, given pictures and results."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from django.conf import settings

from genworkers.codecs.image_bytes import Pixels, to_png
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract.events import JOB_EVENT, Preview
from genworkers.contract.safety import Category, Screening
from genworkers.engine.image_engine import ImageResult, ImageStep
from genworkers.engine.sequence import TextStep
from genworkers.engine.ticket import Ticket
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.screening.text_screen import TextScreen, load_text_screen
from genworkers.tasks import engines, screens
from genworkers.tasks.image import generate_image
from genworkers.tasks.judging import Judge
from genworkers.tasks.text import GrowingText, generate_text
from tests.bridge.fake_engine import FakeEngine, saying
from tests.factories import BlockedTermFactory, JobFactory
from tests.steady_policy import STEADY
from webapp.api.models import IdempotencyRecord
from webapp.gallery import uploads
from webapp.gallery.models import Artifact
from webapp.gallery.pictures import CleanPicture
from webapp.jobs import services
from webapp.jobs.models import Job
from webapp.safety import policy, selectors
from webapp.safety.models import PolicyVersion, Verdict
from webapp.safety.selectors import PolicyInForce
from webapp.workspaces import audit
from webapp.workspaces.models import AuditEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("steady_policy")]

RED, BLUE = np.full((512, 512, 4), (200, 0, 0, 255), np.uint8), np.full((512, 512, 4), (0, 0, 200, 255), np.uint8)


class WordNet:
    """A text net that finds a category where its word stands: `scores={"fight": ("violence", 0.95)}`."""

    def __init__(self, scores: dict[str, tuple[Category, float]]) -> None:
        self._scores = scores
        self.asked: list[str] = []

    def screen(self, texts: Sequence[str]) -> list[Screening]:
        self.asked += texts
        return [
            Screening(
                screen="word net",
                version="1",
                scores={category: score for word, (category, score) in self._scores.items() if word in text},
            )
            for text in texts
        ]


class RedNet:
    """A picture net that takes red for one category."""

    def __init__(self, category: Category, score: float) -> None:
        self._category, self._score = category, score
        self.asked: list[Pixels] = []

    def screen(self, pictures: Sequence[Pixels]) -> list[Screening]:
        self.asked += pictures
        return [
            Screening(
                screen="red net",
                version="1",
                scores={self._category: self._score if pixels[0, 0, 0] > 100 else 0.0},
            )
            for pixels in pictures
        ]


Install = Callable[..., None]


@pytest.fixture
def nets(monkeypatch: pytest.MonkeyPatch) -> Install:
    real = screens.loaded()

    def install(*, text: WordNet | None = None, picture: RedNet | None = None) -> None:
        has = replace(real, texts=text or real.texts, pictures=picture or real.pictures)
        monkeypatch.setattr(screens, "loaded", lambda: has)

    return install


def run(job: Job, engine: FakeEngine[Any], monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(engines, "text_engine", lambda: engine)
    monkeypatch.setattr(engines, "image_engine", lambda: engine)
    (generate_text if job.kind == "text" else generate_image).apply(args=(str(job.id),))
    job.refresh_from_db()
    return job


def tell(words: str) -> FakeEngine[Any]:
    return FakeEngine(saying([TextStep(words, 4, "stop")]))


def test_workers_keep_no_more_of_the_encoder_than_the_screen_runs() -> None:
    texts = screens.loaded().texts
    assert isinstance(texts, TextScreen)
    assert len(texts._encoder.layers) == texts.num_encoder_layers == 3
    folder = minilm_folder()
    encoder, wordpiece = load_minilm(folder).to(torch.bfloat16), WordPiece(folder / "tokenizer.json")
    whole = load_text_screen(settings.SCREENS_DIR / "text", encoder, wordpiece)
    assert texts.screen(["a fox on a boat"]) == whole.screen(["a fox on a boat"])


def test_a_prompt_that_the_net_blocks_never_reaches_the_engine(nets: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nets(text=WordNet({"hunt them": ("hate/threatening", 0.97)}))
    engine = tell("Once.")
    job = run(JobFactory.create(prompt="hunt them all"), engine, monkeypatch)
    assert (job.status, job.error_code) == (Job.Status.BLOCKED, "prompt_blocked")
    assert "hate with threats" in job.error_message
    assert engine.requests == []
    verdict = Verdict.objects.get(job=job, screen="word net")
    assert (verdict.stage, verdict.action, verdict.matched) == ("prompt", "block", ["hate/threatening"])
    assert (verdict.scores, verdict.policy_number) == ({"hate/threatening": 0.97}, 0)
    assert job.prompt == "hunt them all"


def test_of_a_prompt_about_minors_only_a_hash_stays(
    nets: Install, monkeypatch: pytest.MonkeyPatch, redis_client: Any
) -> None:
    nets(text=WordNet({"unspeakable": ("sexual/minors", 0.3)}))
    job = JobFactory.create(prompt="an unspeakable wish")
    job.request |= {"history": [{"role": "user", "content": "unspeakable before"}], "stop": ["unspeakable end"]}
    job.save()
    IdempotencyRecord.objects.create(
        user=job.created_by, workspace=job.workspace, key="k", job=job, created_at=job.created_at,
        body={"prompt": job.prompt, "request": job.request, "id": str(job.id)},
    )  # fmt: skip
    job = run(job, tell("Once."), monkeypatch)
    assert (job.status, job.error_code) == (Job.Status.BLOCKED, "prompt_blocked")
    assert "Nothing of it was kept but a hash" in job.error_message
    kept = [str(row) for table in (Job, Verdict, IdempotencyRecord, AuditEntry) for row in table.objects.values()]
    assert kept
    assert not any("unspeakable" in row for row in kept)
    assert not any(b"unspeakable" in str(redis_client.dump(key)).encode() for key in redis_client.keys("tessera:*"))
    assert job.parsed_request.prompt == services.REMOVED
    entry = AuditEntry.objects.get(act="words_removed")
    assert entry.details["content_sha256"] == Verdict.objects.get(job=job, screen="word net").content_sha256 != ""
    assert audit.verify(job.workspace_id).broken_at is None


def test_a_result_about_minors_is_not_stored_either(nets: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nets(text=WordNet({"unspeakable": ("sexual/minors", 0.9)}))
    job = run(JobFactory.create(), tell("An unspeakable thing."), monkeypatch)
    assert (job.status, job.error_code) == (Job.Status.BLOCKED, "output_blocked")
    assert not Artifact.objects.exists()
    assert job.prompt == services.REMOVED


def test_a_blocked_term_beside_it_does_not_keep_the_words(nets: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nets(text=WordNet({"unspeakable": ("sexual/minors", 0.9)}))
    for prompt, words in (("an unspeakable troll", "Once."), ("a tale", "An unspeakable troll.")):
        job = JobFactory.create(prompt=prompt)
        BlockedTermFactory.create(workspace=job.workspace, term="troll")
        job = run(job, tell(words), monkeypatch)
        assert (job.status, job.prompt) == (Job.Status.BLOCKED, services.REMOVED)
        assert "Nothing of it was kept but a hash" in job.error_message
        assert AuditEntry.objects.filter(workspace=job.workspace, act="words_removed").exists()


def test_what_a_term_alone_blocks_keeps_the_prompt(nets: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nets(text=WordNet({}))
    job = JobFactory.create(prompt="a tale")
    BlockedTermFactory.create(workspace=job.workspace, term="troll")
    job = run(job, tell("A troll."), monkeypatch)
    assert (job.status, job.error_code, job.prompt) == (Job.Status.BLOCKED, "output_blocked", "a tale")


def test_self_harm_is_held_and_the_person_sees_the_note(nets: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nets(text=WordNet({"hurt myself": ("self-harm", 0.9)}))
    job = run(JobFactory.create(prompt="I want to hurt myself"), tell("Once."), monkeypatch)
    assert job.status == Job.Status.HELD
    assert selectors.note_for(job.id) == policy.SUPPORT_NOTE


def test_a_mild_score_goes_on_with_the_note_and_no_score_has_none(
    nets: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets(text=WordNet({"sad": ("self-harm", 0.4)}))
    job = run(JobFactory.create(prompt="a sad boat"), tell("Once."), monkeypatch)
    assert job.status == Job.Status.SUCCEEDED
    assert selectors.note_for(job.id)
    assert Artifact.objects.get(job=job).verdicts.get(screen="word net", stage="prompt").action == "flag"
    other = run(JobFactory.create(prompt="a glad boat"), tell("Once."), monkeypatch)
    assert selectors.note_for(other.id) == ""


def test_a_job_that_failed_after_its_prompt_still_has_the_note(nets: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nets(text=WordNet({"sad": ("self-harm", 0.4)}))
    job = JobFactory.create(prompt="a sad boat")
    for _ in range(2):  # tried again, and said once
        run(job, FakeEngine(lambda ticket: ticket.finish("deadline")), monkeypatch)
        Job.objects.filter(id=job.id).update(status="queued", finished_at=None)
    assert selectors.note_for(job.id)
    assert Verdict.objects.filter(job=job, screen="word net").count() == 1


def test_the_policy_of_the_workspace_decides_and_is_named_in_the_verdict(
    nets: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets(text=WordNet({"fight": ("violence", 0.7)}))
    job = JobFactory.create(prompt="a fight")
    other = JobFactory.create(prompt="a fight")
    thresholds = STEADY.model_dump(mode="json")
    thresholds["prompt"]["violence"] = {"flag_at": None, "review_at": 0.7, "block_at": None}
    PolicyVersion.objects.create(workspace=job.workspace, number=1, thresholds=thresholds, created_by=job.created_by)
    assert run(job, tell("Once."), monkeypatch).status == Job.Status.HELD
    assert run(other, tell("Once."), monkeypatch).status == Job.Status.SUCCEEDED
    assert Verdict.objects.filter(job=job, screen="word net").first().policy_number == 1  # type: ignore[union-attr]
    assert Verdict.objects.filter(job=other, screen="word net").first().policy_number == 0  # type: ignore[union-attr]


def test_a_long_text_is_looked_at_while_it_grows(
    nets: Install, monkeypatch: pytest.MonkeyPatch, redis_client: Any
) -> None:
    net = WordNet({"gore": ("violence/graphic", 0.9)})
    nets(text=net)
    steps = [TextStep("gore " * 100, 100, None), TextStep("more of it", 104, "stop")]
    job = run(JobFactory.create(), FakeEngine(saying(steps)), monkeypatch)
    assert job.status == Job.Status.HELD
    assert redis_client.xlen(f"tessera:job:{job.id}:log") == 1
    assert len(net.asked) == 2  # the prompt, and the whole, which came in one flush, once


def test_a_short_text_is_looked_at_before_it_is_shown(
    nets: Install, monkeypatch: pytest.MonkeyPatch, redis_client: Any
) -> None:
    nets(text=WordNet({"gore": ("violence/graphic", 0.9)}))
    job = run(JobFactory.create(), tell("All gore."), monkeypatch)
    assert job.status == Job.Status.HELD
    assert redis_client.xlen(f"tessera:job:{job.id}:log") == 1  # that it started


def test_what_is_shown_runs_hardly_ahead_of_what_the_net_has_seen(nets: Install) -> None:
    net = WordNet({})
    nets(text=net)
    judge = Judge({}, PolicyInForce(0, STEADY, None))
    ticket: Ticket[TextStep] = Ticket(deadline_s=60)
    text = GrowingText(0, 7, ticket, is_shown=True)
    for number in range(1, 700):
        ticket.put(TextStep("ab ", number, "stop" if number == 699 else None))
        assert text.grow(0.0, judge) is not None
        seen = len(net.asked[-1]) if net.asked else 0
        assert len(text.text) - seen < max(50, min(seen, 400))
    assert [len(asked) for asked in net.asked] == [51, 102, 204, 408, 810, 1212, 1614, 2016, 2097]
    text.verdicts(judge)
    assert len(net.asked) == 9  # the end was looked at already


def test_a_text_has_the_verdicts_of_rules_and_net_with_the_hash_of_its_words(
    nets: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets(text=WordNet({}))
    job = run(JobFactory.create(), tell("The end."), monkeypatch)
    found = Verdict.objects.filter(artifact__job=job, stage="output")
    assert {verdict.screen for verdict in found} == {"rules", "word net"}
    assert {verdict.content_sha256 for verdict in found} == {screens.sha256_of("The end.")}


@pytest.mark.parametrize(("score", "status"), [(0.6, Job.Status.SUCCEEDED), (0.85, Job.Status.HELD)])
def test_a_picture_is_judged_by_its_pixels(
    score: float, status: str, nets: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets(picture=RedNet("nudity", score))
    job = JobFactory.create(kind="image", prompt="two balls")
    engine: FakeEngine[Any] = FakeEngine(saying([ImageResult(0, 7, RED), ImageResult(1, 8, BLUE)]))
    assert run(job, engine, monkeypatch).status == status
    red, blue = Artifact.objects.filter(job=job).order_by("index")
    assert red.verdicts.get(stage="output").matched == ["nudity"]
    assert blue.status == Artifact.Status.KEPT
    assert blue.verdicts.get(stage="output").matched == []
    assert red.verdicts.get(stage="output").content_sha256 == screens.sha256_of([RED])


@pytest.mark.parametrize("num_frames", [1, 8, 9, 17, 64])
def test_of_a_walk_first_and_last_and_as_many_as_may_be_are_looked_at(num_frames: int, nets: Install) -> None:
    net = RedNet("weapons", 0.9)
    nets(picture=net)
    judge = Judge({}, PolicyInForce(0, STEADY, None))
    frames = [np.full((2, 2, 4), place, np.uint8) for place in range(num_frames)]
    judge.pictures(frames, "output")
    seen = [int(pixels[0, 0, 0]) for pixels in net.asked]
    assert (seen[0], seen[-1], len(seen)) == (0, num_frames - 1, min(num_frames, 8))
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("action", ["review", "block"])
def test_a_start_picture_is_screened_too(action: str, nets: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nets(picture=RedNet("weapons", 0.9))
    job = JobFactory.create(kind="image", prompt="a ball")
    upload = uploads.keep_clean(job.workspace, job.created_by, CleanPicture(to_png(RED), 512, 512))
    job.request |= {"start_image": str(upload.id), "strength": 0.5}
    job.save()
    thresholds = STEADY.model_dump(mode="json")
    thresholds["input"]["weapons"] = {"flag_at": None, "review_at": None, "block_at": None, f"{action}_at": 0.8}
    PolicyVersion.objects.create(workspace=job.workspace, number=1, thresholds=thresholds, created_by=job.created_by)
    engine: FakeEngine[Any] = FakeEngine(saying([ImageResult(0, 7, BLUE)]))
    job = run(job, engine, monkeypatch)
    if action == "block":
        assert (job.status, job.error_code) == (Job.Status.BLOCKED, "input_blocked")
        assert "a given picture: weapons" in job.error_message
        assert engine.requests == []
    else:
        assert job.status == Job.Status.HELD
        assert Artifact.objects.get(job=job).verdicts.get(stage="input").matched == ["weapons"]


def test_a_preview_that_would_be_held_hides_those_after_it_and_decides_nothing(
    nets: Install, monkeypatch: pytest.MonkeyPatch, redis_client: Any
) -> None:
    nets(picture=RedNet("nudity", 0.9))
    steps = [ImageStep(0, 1, 4, 16, 64, BLUE), ImageStep(0, 2, 4, 32, 64, RED), ImageStep(0, 3, 4, 48, 64, BLUE)]
    others = [ImageStep(1, step, 4, 16 * step, 64, BLUE) for step in range(1, 4)]
    items = [*steps, *others, ImageResult(0, 7, BLUE), ImageResult(1, 8, BLUE)]
    job = run(JobFactory.create(kind="image", prompt="two balls"), FakeEngine(saying(items)), monkeypatch)
    assert job.status == Job.Status.SUCCEEDED
    assert not Verdict.objects.filter(job=job, stage="output").exclude(action="allow").exists()
    entries = redis_client.xrange(f"tessera:job:{job.id}:log")
    events = [JOB_EVENT.validate_json(fields[b"event"]) for _, fields in entries]
    shown = [(event.index, event.step) for event in events if isinstance(event, Preview)]
    assert shown == [(0, 1), (1, 1), (1, 2), (1, 3)]


def test_a_draft_that_would_be_held_is_not_shown(
    nets: Install, monkeypatch: pytest.MonkeyPatch, redis_client: Any
) -> None:
    nets(picture=RedNet("nudity", 0.9))
    job = JobFactory.create(kind="image", prompt="two balls", is_draft=True)
    job.request |= {"is_draft": True}
    job.save()
    engine: FakeEngine[Any] = FakeEngine(saying([ImageResult(0, 7, RED), ImageResult(1, 8, BLUE)]))
    assert run(job, engine, monkeypatch).status == Job.Status.SUCCEEDED
    entries = redis_client.xrange(f"tessera:job:{job.id}:log")
    previews = [fields[b"event"] for _, fields in entries if b'"preview"' in fields[b"event"]]
    assert len(previews) == 1
    assert b'"index":1' in previews[0]
