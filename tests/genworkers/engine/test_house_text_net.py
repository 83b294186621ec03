"""The committed text net: whole, named and marked as its data's licence asks, and able to tell a story."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from genworkers.checkpoints import CARD, MANIFEST, load_manifest, read_part
from genworkers.contract.text import TextRequest
from genworkers.engine.config import EngineConfig
from genworkers.engine.loading import Checkpoints
from genworkers.engine.text_engine import TextEngine

FOLDER = Path(__file__).resolve().parents[3] / "genworkers" / "weights" / "llama-tessera-text"

pytestmark = pytest.mark.skipif(not (FOLDER / MANIFEST).exists(), reason="the checkpoint is not installed")


@pytest.fixture(scope="module")
def engine() -> Iterator[TextEngine]:
    config = EngineConfig(num_threads=1, cache_bytes=32 * 2**20)
    with TextEngine(Checkpoints({FOLDER.name: FOLDER}.get, lambda _: {}, config), config) as engine:
        yield engine


def tell(engine: TextEngine, prompt: str, seed: int, max_tokens: int) -> str:
    request = TextRequest(prompt=prompt, max_tokens=max_tokens)
    ticket = engine.submit(request, seed=seed, deadline_s=120, user="ann")
    text = ""
    while not ticket.is_done:
        text += "".join(step.text for step in ticket.read(5.0))
    return text


def test_name_and_notice_follow_the_licence_of_its_data() -> None:
    manifest = load_manifest(FOLDER)
    card = (FOLDER / CARD).read_text()
    assert manifest.title.startswith("Llama")
    assert manifest.name.startswith("llama")
    assert manifest.notice == "Built with Llama"
    assert "Built with Llama" in card
    assert "instruct-stories" in card
    assert "by" in read_part(FOLDER, manifest, "attributions").decode()
    limits = json.loads((FOLDER / MANIFEST).read_text())["limits"]
    assert all(limit in card for limit in [*limits, *manifest.licences])


def test_every_part_is_the_one_its_manifest_names() -> None:
    manifest = load_manifest(FOLDER)
    for part in manifest.files:
        read_part(FOLDER, manifest, part)


def test_it_tells_a_story_in_sentences(engine: TextEngine) -> None:
    text = tell(engine, "Write a story about a brave little boat.", seed=1, max_tokens=80)
    sentences = re.findall(r"[A-Z][^.!?]{10,}[.!?]", text)
    assert len(sentences) >= 3
    words = re.findall(r"[a-z]+", text.lower())
    assert (
        sum(word in {"the", "a", "and", "to", "was", "he", "she", "it", "in", "of"} for word in words) > len(words) / 6
    )
    assert "\ufffd" not in text


def test_the_seed_decides_the_story(engine: TextEngine) -> None:
    prompt = "Write a story about the moon"
    assert tell(engine, prompt, 7, 24) == tell(engine, prompt, 7, 24)
    assert tell(engine, prompt, 7, 24) != tell(engine, prompt, 8, 24)


def test_company_does_not_change_a_story(engine: TextEngine) -> None:
    prompt = "Write a story about an old lighthouse."
    alone = tell(engine, prompt, 3, 32)
    crowd = [TextRequest(prompt="a cat " * n, max_tokens=20 + n) for n in range(1, 12)]
    tickets = [engine.submit(request, seed=n, deadline_s=120, user="crowd") for n, request in enumerate(crowd)]
    assert tell(engine, prompt, 3, 32) == alone
    for ticket in tickets:
        ticket.cancel()
