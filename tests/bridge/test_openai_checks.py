"""The official `openai` package asks the site in this process for moderation; Redis, Celery and the task are real."""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from openai import AsyncOpenAI
from PIL import Image

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.safety import Screening
from genworkers.tasks.screens import Screens
from tests.bridge.check_worker import serving
from tests.factories import MembershipFactory
from tests.webapp.api.callers import bearer
from tests.webapp.gallery.picture_files import file_of
from webapp.asgi import http_application
from webapp.safety.models import Verdict

pytestmark = pytest.mark.django_db(transaction=True)


class WordScreen:
    """Finds violence where the word is; speaks the interface of the real one."""

    def screen(self, texts: Sequence[str]) -> list[Screening]:
        """One screening a text."""
        return [
            Screening(screen="words", version="1", scores={"violence": 0.9 * ("violence" in text), "hate": 0.0})
            for text in texts
        ]


class RedScreen:
    """Finds weapons where it is red, as a share of the picture; keeps the sizes that it was shown."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def screen(self, pictures: Sequence[Pixels]) -> list[Screening]:
        """One screening a picture."""
        self.shapes += [pixels.shape for pixels in pictures]
        shares = [float((pixels[..., 0] > 200).mean()) for pixels in pictures]
        return [Screening(screen="red", version="2", scores={"weapons": share, "nudity": 0.0}) for share in shares]


@pytest.fixture
def red() -> RedScreen:
    return RedScreen()


@pytest.fixture
def worker(nets: Screens, red: RedScreen, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(replace(nets, texts=WordScreen(), pictures=red), monkeypatch):
        yield


@pytest.fixture
async def client(worker: None) -> AsyncIterator[AsyncOpenAI]:
    headers = await sync_to_async(lambda: bearer(MembershipFactory.create()))()
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(cast(Any, http_application)))
    key = headers["Authorization"].removeprefix("Bearer ")
    async with AsyncOpenAI(base_url="http://localhost/v1", api_key=key, max_retries=0, http_client=http_client) as made:
        yield made
    await sync_to_async(connections.close_all)()


def picture(image: Image.Image) -> Any:
    url = f"data:image/png;base64,{b64encode(file_of(image)).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


async def test_a_text_is_screened_under_the_packages_own_names(client: AsyncOpenAI) -> None:
    told = await client.moderations.create(input="this is violence")
    assert (told.id[:5], told.model) == ("modr-", "tessera-moderation")
    (result,) = told.results
    assert (result.flagged, result.categories.violence, result.categories.hate) == (True, True, False)
    assert result.category_scores.violence == pytest.approx(0.9)
    assert result.category_scores.self_harm_intent == 0
    assert result.category_applied_input_types.violence == ["text"]
    assert result.category_applied_input_types.self_harm_intent == []
    assert not await Verdict.objects.aexists()


async def test_each_text_of_a_list_has_a_result_of_its_own(client: AsyncOpenAI) -> None:
    texts = [f"number {number}" + " violence" * (number % 3 == 0) for number in range(50)]
    told = await client.moderations.create(input=texts, model="omni-moderation-latest")
    assert [result.flagged for result in told.results] == [number % 3 == 0 for number in range(50)]


async def test_texts_and_pictures_of_a_list_of_parts_are_one_result(client: AsyncOpenAI, red: RedScreen) -> None:
    wide = Image.new("RGB", (800, 400), "red")
    told = await client.moderations.create(
        input=[{"type": "text", "text": "peace"}, picture(wide), picture(Image.new("RGB", (20, 20), "blue"))]
    )
    (result,) = told.results
    assert red.shapes == [(128, 256, 4), (20, 20, 4)]
    assert result.category_applied_input_types.sexual == ["image"]
    assert result.category_applied_input_types.violence == ["text"]
    assert not result.flagged
    ours = (result.model_extra or {})["tessera_categories"]
    assert ours["weapons"] == {"flagged": True, "score": 1.0}
    assert (told.model_extra or {})["system_fingerprint"] == "red 2, words 1"


async def test_a_picture_alone_is_screened(client: AsyncOpenAI) -> None:
    (result,) = (await client.moderations.create(input=[picture(Image.new("RGB", (300, 300), "red"))])).results
    assert result.category_applied_input_types.violence == []
    assert (result.model_extra or {})["tessera_categories"]["weapons"]["score"] == 1.0
