"""The image engine on tiny nets: results, company, cancellation, deadlines, memory, death."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from genworkers.checkpoints import CheckpointError, CheckpointFacts, save
from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.image import ImageRequest
from genworkers.engine.errors import EngineError
from genworkers.engine.image_engine import ImageEngine, ImageItem, ImageResult, ImageStep
from genworkers.engine.image_loading import load_image_engine
from genworkers.engine.mosaic import MosaicPainter, MosaicPicture
from genworkers.engine.painter import Inputs
from genworkers.engine.ticket import Ticket
from genworkers.nets.fsq_tokenizer import FsqTokenizer
from tests.genworkers.tiny_mosaic import TOKENIZER_CONFIG, tiny_mosaic, tiny_transformer


@pytest.fixture
def mosaic(tmp_path: Path) -> MosaicPainter:
    return tiny_mosaic(tmp_path)


@pytest.fixture
def engine(mosaic: MosaicPainter) -> Iterator[ImageEngine]:
    engine = ImageEngine({"mosaic": mosaic})
    engine.start()
    yield engine
    engine.close()


def read_all(ticket: Ticket[ImageItem]) -> list[ImageItem]:
    items: list[ImageItem] = []
    end = time.monotonic() + 20
    while True:
        assert time.monotonic() < end, "the ticket never ended"
        items += ticket.read(1.0)
        if ticket.is_done:
            return items


def results(items: list[ImageItem]) -> dict[int, ImageResult]:
    return {item.index: item for item in items if isinstance(item, ImageResult)}


def test_every_step_has_a_preview_and_every_picture_a_result(engine: ImageEngine) -> None:
    request = ImageRequest(prompt="red apple", num_images=2, num_steps=5)
    ticket = engine.submit(request, seed=7, deadline_s=20)
    items = read_all(ticket)
    assert ticket.finish_reason == "done"
    for index in range(2):
        steps = [item for item in items if isinstance(item, ImageStep) and item.index == index]
        assert [step.step for step in steps] == [1, 2, 3, 4, 5]
        decided = [step.num_decided for step in steps]
        assert decided == sorted(set(decided))
        assert decided[-1] == steps[-1].num_tiles == 64
        previews = [step.preview for step in steps if step.preview is not None]
        assert steps[0].preview is not None
        assert steps[-1].preview is not None
        assert len(previews) >= 4
        assert all(preview.shape == (64, 64, 4) and preview.dtype == np.uint8 for preview in previews)
        assert results(items)[index].seed == 7 + index
        assert results(items)[index].pixels.shape == (512, 512, 4)


def test_undecided_tiles_are_transparent(mosaic: MosaicPainter) -> None:
    [picture] = mosaic.begin(ImageRequest(prompt="cat", num_steps=8), 1, Inputs())
    mosaic.advance([picture])
    alpha = mosaic.preview(picture)[..., 3].reshape(8, 8, 8, 8).max((1, 3))
    assert not alpha.flatten()[picture.is_masked.numpy()].any()


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_picture_is_the_same_alone_and_in_company(tmp_path: Path, lanes: int) -> None:
    request = ImageRequest(prompt="red apple", num_images=1, num_steps=6)
    other = ImageRequest(prompt="cat", style="round", num_images=3, num_steps=9)
    found = []
    for company in (False, True):
        engine = ImageEngine({"mosaic": tiny_mosaic(tmp_path, lanes)})
        engine.start()
        others = [engine.submit(other, seed=3, deadline_s=20)] if company else []
        mine = engine.submit(request, seed=12, deadline_s=20)
        found.append(results(read_all(mine))[0].pixels)
        for ticket in others:
            read_all(ticket)
        engine.close()
    np.testing.assert_array_equal(found[0], found[1])


def test_picture_two_is_drawn_alone_by_the_next_seed(engine: ImageEngine) -> None:
    together = read_all(engine.submit(ImageRequest(prompt="cat", num_images=2), seed=40, deadline_s=20))
    alone = read_all(engine.submit(ImageRequest(prompt="cat", num_images=1), seed=41, deadline_s=20))
    np.testing.assert_array_equal(results(together)[1].pixels, results(alone)[0].pixels)


def test_the_last_seed_wraps_round(engine: ImageEngine) -> None:
    items = read_all(engine.submit(ImageRequest(prompt="cat", num_images=2), seed=2**63 - 1, deadline_s=20))
    assert [result.seed for result in results(items).values()] == [2**63 - 1, 0]


class SlowMosaic:
    """The real mosaic, with a gate before every step so that a test decides when it happens."""

    def __init__(self, mosaic: MosaicPainter) -> None:
        self.mosaic = mosaic
        self.gate = threading.Semaphore(0)
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self.mosaic, name)

    def advance(self, pictures: list[MosaicPicture]) -> None:
        assert self.gate.acquire(timeout=20)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.mosaic.advance(pictures)


@pytest.fixture
def slow(mosaic: MosaicPainter) -> SlowMosaic:
    return SlowMosaic(mosaic)


@pytest.fixture
def slow_engine(slow: SlowMosaic) -> Iterator[ImageEngine]:
    engine = ImageEngine({"mosaic": slow})  # type: ignore[dict-item]
    engine.start()
    yield engine
    slow.gate.release(1000)
    engine.close()


def test_cancel_ends_between_steps_and_the_next_job_runs(slow: SlowMosaic, slow_engine: ImageEngine) -> None:
    first = slow_engine.submit(ImageRequest(prompt="cat"), seed=1, deadline_s=20)
    slow.gate.release()
    assert len(first.read(10)) == 1
    first.cancel()
    first.cancel()
    slow.gate.release(1)
    items = read_all(first)
    assert first.finish_reason == "cancelled"
    assert not results(items)
    slow.gate.release(1000)
    assert results(read_all(slow_engine.submit(ImageRequest(prompt="cat"), seed=1, deadline_s=20)))


def test_a_deadline_ends_the_job(slow: SlowMosaic, slow_engine: ImageEngine) -> None:
    ticket = slow_engine.submit(ImageRequest(prompt="cat"), seed=1, deadline_s=0.05)
    time.sleep(0.1)
    slow.gate.release(1)
    assert not results(read_all(ticket))
    assert ticket.finish_reason == "deadline"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")]
)
def test_out_of_memory_fails_one_job_and_the_next_runs(
    slow: SlowMosaic, slow_engine: ImageEngine, error: Exception
) -> None:
    slow.error = error
    ticket = slow_engine.submit(ImageRequest(prompt="cat"), seed=1, deadline_s=20)
    slow.gate.release(1000)
    with pytest.raises(EngineError, match="fewer pictures") as caught:
        read_all(ticket)
    assert caught.value.code == "out_of_memory"
    assert results(read_all(slow_engine.submit(ImageRequest(prompt="cat"), seed=1, deadline_s=20)))


def test_memory_that_runs_out_over_a_finished_picture_fails_its_job_alone(
    slow: SlowMosaic, slow_engine: ImageEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    develop = slow.mosaic.develop
    failing: list[int] = []

    def develop_or_fail(picture: MosaicPicture) -> list[Pixels] | None:
        if picture.seed in failing:
            raise MemoryError
        return develop(picture)

    monkeypatch.setattr(slow.mosaic, "develop", develop_or_fail)
    failing.append(1)
    tickets = [slow_engine.submit(ImageRequest(prompt="cat"), seed=seed, deadline_s=20) for seed in (1, 2)]
    slow.gate.release(1000)
    with pytest.raises(EngineError) as caught:
        read_all(tickets[0])
    assert caught.value.code == "out_of_memory"
    assert len(results(read_all(tickets[1]))) == 1


def test_a_job_over_the_memory_budget_fails_alone_with_numbers_and_advice(mosaic: MosaicPainter) -> None:
    engine = ImageEngine({"mosaic": mosaic}, num_threads=2, memory_bytes=80 * 2**20)
    engine.start()
    large = ImageRequest(prompt="cat", num_images=8, size_px=1024)
    with pytest.raises(
        EngineError, match=r"8 pictures of 1024 px .* 96 MB .* 80 MB\. Ask for at most 4 at 1024"
    ) as caught:
        engine.submit(large, seed=1, deadline_s=20)
    assert (caught.value.code, caught.value.may_retry) == ("out_of_memory", False)
    assert len(results(read_all(engine.submit(ImageRequest(prompt="cat", num_steps=4), seed=1, deadline_s=20)))) == 1
    engine.close()


def test_jobs_that_fit_one_at_a_time_wait_for_each_other(slow: SlowMosaic) -> None:
    engine = ImageEngine({"mosaic": slow}, memory_bytes=12 * 2**20)  # type: ignore[dict-item]
    engine.start()
    request = ImageRequest(prompt="cat", num_steps=4)  # 9 MiB each
    tickets = [engine.submit(request, seed=seed, deadline_s=20) for seed in range(3)]
    slow.gate.release(2)
    assert len(tickets[0].read(10)) >= 1
    assert not tickets[1].read(0.2)
    tickets[1].cancel()
    slow.gate.release(1000)
    for ticket in tickets:
        read_all(ticket)
    assert [ticket.finish_reason for ticket in tickets] == ["done", "cancelled", "done"]
    engine.close()


def test_a_dead_engine_fails_every_waiter_and_every_later_caller(slow: SlowMosaic, slow_engine: ImageEngine) -> None:
    slow.error = ArithmeticError("broken")
    tickets = [slow_engine.submit(ImageRequest(prompt="cat"), seed=i, deadline_s=20) for i in range(3)]
    slow.gate.release(1000)
    for ticket in tickets:
        with pytest.raises(EngineError, match="ArithmeticError"):
            read_all(ticket)
    assert not slow_engine.is_alive
    with pytest.raises(EngineError, match="ArithmeticError"):
        slow_engine.submit(ImageRequest(prompt="cat"), seed=9, deadline_s=20)


def test_closing_fails_waiters_who_may_retry(slow: SlowMosaic, slow_engine: ImageEngine) -> None:
    ticket = slow_engine.submit(ImageRequest(prompt="cat"), seed=1, deadline_s=20)
    slow.gate.release(2)
    slow_engine.close()
    with pytest.raises(EngineError, match="shut down") as caught:
        read_all(ticket)
    assert caught.value.may_retry


def test_an_engine_that_was_not_started_says_so(mosaic: MosaicPainter) -> None:
    with pytest.raises(EngineError, match="not been started"):
        ImageEngine({"mosaic": mosaic}).submit(ImageRequest(prompt="cat"), seed=1, deadline_s=1)


def test_an_unknown_style_names_the_known_ones(engine: ImageEngine) -> None:
    with pytest.raises(EngineError, match="flat, round"):
        engine.submit(ImageRequest(prompt="cat", style="oil"), seed=1, deadline_s=1)


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    facts = CheckpointFacts(
        name="mosaic",
        kind="image",
        family="mosaic",
        title="Mosaic",
        config={"tokenizer": {"levels": [4, 3], "colour": 1}, "transformer": {"num_codes": 12}, "sampling": {}},
        styles={"flat": "Flat"},
    )
    weights = {
        "tokenizer": FsqTokenizer(TOKENIZER_CONFIG).state_dict(),
        "transformer": tiny_transformer().state_dict(),
    }
    save(tmp_path / "mosaic", facts, weights=weights, other_parts={}, card="")
    with pytest.raises(CheckpointError, match="config"):
        load_image_engine({"mosaic": tmp_path / "mosaic"})
