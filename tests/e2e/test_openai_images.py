"""Pictures through the official `openai` package against the running stack: only base_url and api_key are ours."""

import io
import time
from base64 import b64decode
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from scripts.own_stack import Stack
from tests.processes import wait_for
from tests.webapp.gallery.picture_files import SVG, animated, file_of, rotated

pytestmark = [pytest.mark.stack, pytest.mark.slow]

NET = "mosaic"
# A prompt that leaves much open: of a plain one some nets know one picture only.
ASKED: dict[str, Any] = {"model": NET, "prompt": "a red apple", "quality": "low"}
EXTRA = {"seed": 11}


@pytest.fixture(scope="module")
def key(live_stack: Stack) -> str:
    made = live_stack.manage("create_api_key", "--workspace", "studio", "--name", "images", "--scopes", "read,generate")
    return made.split()[-1]


@pytest.fixture(scope="module")
def client(live_stack: Stack, key: str) -> OpenAI:
    return OpenAI(base_url=f"{live_stack.url}/v1", api_key=key, timeout=110, max_retries=0)


@pytest.fixture(scope="module")
def start(client: OpenAI) -> bytes:
    """A picture to work on, with a clear background."""
    answer = client.images.generate(**ASKED, background="transparent", extra_body=EXTRA)
    return b64decode(pictures_of(answer)[0].b64_json or "")


MARK_LEVELS = 8  # of 255: what two marks make of one picture


def pictures_of(answer: Any) -> list[Any]:
    assert answer.data is not None
    return list(answer.data)


def opened(data: str | bytes | None) -> Image.Image:
    return Image.open(io.BytesIO(b64decode(data) if isinstance(data, str) else data or b""))


def pixels_of(answer: Any) -> list[bytes]:
    return [opened(picture.b64_json).convert("RGBA").tobytes() for picture in pictures_of(answer)]


def file(data: bytes, name: str = "picture.png") -> tuple[str, bytes, str]:
    return name, data, "image/png"


def test_image_nets_are_models(client: OpenAI) -> None:
    assert NET in [model.id for model in client.models.list()]
    assert client.models.retrieve(NET).id == NET


def test_a_prompt_becomes_pictures(client: OpenAI) -> None:
    answer = client.images.generate(**ASKED, n=3, size="512x512", extra_body=EXTRA)
    assert [opened(picture.b64_json).size for picture in pictures_of(answer)] == [(512, 512)] * 3
    assert len(set(pixels_of(answer))) > 1
    assert (answer.size, answer.quality, answer.output_format, answer.background) == ("512x512", "low", "png", "opaque")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 3 * 64
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def are_alike(pictures: list[bytes], others: list[bytes]) -> bool:
    """Whether these are the same pictures but for their marks, each of which has a number of its own."""
    pairs = [[np.frombuffer(one, np.uint8).astype(int) for one in pair] for pair in zip(pictures, others, strict=True)]
    return all(int(abs(one - other).max()) <= MARK_LEVELS for one, other in pairs)


def test_the_same_seed_gives_the_same_picture(client: OpenAI) -> None:
    first, again = (client.images.generate(**ASKED, n=2, extra_body=EXTRA) for _ in range(2))
    other = client.images.generate(**ASKED, n=2, extra_body={"seed": 12_345})
    assert are_alike(pixels_of(first), pixels_of(again))
    assert not are_alike(pixels_of(first), pixels_of(other))


def test_transparency_formats_and_sizes_are_as_asked(client: OpenAI, start: bytes) -> None:
    assert opened(start).getchannel("A").getextrema() == (0, 255)
    jpeg = client.images.generate(**ASKED, output_format="jpeg", size="1024x1024", extra_body=EXTRA)
    image = opened(pictures_of(jpeg)[0].b64_json)
    assert (image.format, image.size) == ("JPEG", (1024, 1024))
    webp = client.images.generate(**ASKED, output_format="webp", background="transparent", extra_body=EXTRA)
    assert opened(pictures_of(webp)[0].b64_json).format == "WEBP"
    svg = client.images.generate(**ASKED, output_format="svg", background="transparent", extra_body=EXTRA)
    assert b"<svg" in b64decode(pictures_of(svg)[0].b64_json)[:400]


def test_a_url_can_be_fetched(client: OpenAI) -> None:
    answer = client.images.generate(**ASKED, response_format="url", extra_body=EXTRA)
    (picture,) = pictures_of(answer)
    fetched = httpx.get(picture.url).raise_for_status()
    assert fetched.headers["Content-Type"] == "image/png"
    assert opened(fetched.content).size == (512, 512)


def test_a_stream_shows_previews_then_the_picture_of_the_whole_answer(client: OpenAI) -> None:
    whole = client.images.generate(**ASKED | {"quality": "high"}, extra_body=EXTRA)
    events = list(
        client.images.generate(**ASKED | {"quality": "high"}, stream=True, partial_images=2, extra_body=EXTRA)
    )
    *partials, last = events
    assert last.type == "image_generation.completed"
    assert [event.type for event in partials] == ["image_generation.partial_image"] * len(partials)
    assert 1 <= len(partials) <= 2
    assert [opened(event.b64_json).size for event in partials] == [(512, 512)] * len(partials)
    assert are_alike([opened(last.b64_json).convert("RGBA").tobytes()], pixels_of(whole))
    assert last.usage.output_tokens == 64


def test_a_mask_changes_what_is_transparent_and_nothing_else(client: OpenAI, start: bytes) -> None:
    mask = Image.new("RGBA", (512, 512), "white")
    mask.paste((0, 0, 0, 0), (256, 0, 512, 512))
    answer = client.images.edit(
        model=NET,
        image=file(start),
        mask=file(file_of(mask)),
        prompt="a green leaf",
        background="transparent",
        extra_body={"seed": "5"},
    )
    edited, before = opened(pictures_of(answer)[0].b64_json).convert("RGBA"), opened(start).convert("RGBA")
    left, right = (0, 0, 200, 512), (312, 0, 512, 512)
    assert difference(edited.crop(left), before.crop(left)) < 0.5 * difference(edited.crop(right), before.crop(right))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of premultiplied pixels, 0 to 255."""
    a, b = (image.convert("RGBa").tobytes() for image in (one, other))
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


def test_edits_take_several_pictures_stream_and_know_photographs(client: OpenAI, start: bytes) -> None:
    answer = client.images.edit(model=NET, image=[file(start), file(rotated())], prompt="a blue apple", n=2)
    assert len(pictures_of(answer)) == 2
    events = list(client.images.edit(model=NET, image=file(rotated()), prompt="a blue apple", stream=True))
    assert [event.type for event in events] == ["image_edit.completed"]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI itself has retired this address
def test_a_variation_is_like_the_picture_and_not_the_same(client: OpenAI, start: bytes) -> None:
    answer = client.images.create_variation(model=NET, image=file(start), n=2, size="512x512")
    varied = pixels_of(answer)
    assert len(varied) == 2
    assert opened(start).convert("RGBA").tobytes() not in varied


def test_errors_are_the_packages_own(client: OpenAI, start: bytes) -> None:
    for asked, param in (({"size": "256x256"}, "size"), ({"n": 9}, "n"), ({"prompt": ""}, "prompt")):
        with pytest.raises(openai.BadRequestError) as wrong:
            client.images.generate(**ASKED | asked)
        assert wrong.value.param == param
    with pytest.raises(openai.NotFoundError) as missing:
        client.images.generate(model="gpt-image-2", prompt="a red apple")
    assert missing.value.code == "model_not_found"
    small = file_of(Image.new("RGBA", (16, 16)))
    for data, mask, code in (
        (SVG, None, "picture_unreadable"),
        (start[:2000], None, "picture_unreadable"),
        (animated("GIF"), None, "picture_animated"),
        (start, small, "mask_size_differs"),
        (start, start[:2000], "picture_unreadable"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.images.edit(
                model=NET, image=file(data), mask=file(mask) if mask else openai.omit, prompt="a blue apple"
            )
        assert refused.value.code == code
    with pytest.raises(openai.APIStatusError) as large:
        client.images.edit(model=NET, image=file(file_of(Image.new("L", (20_000, 20_000)))), prompt="a blue apple")
    assert (large.value.status_code, large.value.code) == (413, "picture_too_large")


def test_closing_a_stream_cancels_its_job(client: OpenAI, live_stack: Stack, key: str) -> None:
    asked = ASKED | {"quality": "high", "prompt": "a picture that nobody waits for", "n": 8, "size": "1024x1024"}
    with client.images.generate(**asked, stream=True, partial_images=3) as stream:
        next(iter(stream))
    headers = {"Authorization": f"Bearer {key}"}

    def status() -> str:
        items = httpx.get(f"{live_stack.url}/api/v1/jobs?limit=1", headers=headers).raise_for_status().json()["items"]
        assert items[0]["prompt"] == asked["prompt"]
        return str(items[0]["status"])

    wait_for(lambda: status() not in ("queued", "running"), timeout_s=30)
    assert status() == "cancelled"


def test_an_idempotency_key_finds_the_same_pictures_again(client: OpenAI, start: bytes) -> None:
    key = {"Idempotency-Key": f"order-{time.time_ns()}"}
    edit: dict[str, Any] = {"model": NET, "image": file(start), "prompt": "a blue apple", "extra_headers": key}
    first, again = (client.images.edit(**edit) for _ in range(2))
    assert [picture.b64_json for picture in pictures_of(first)] == [picture.b64_json for picture in pictures_of(again)]


async def test_the_asynchronous_client_works(live_stack: Stack, key: str) -> None:
    async with AsyncOpenAI(base_url=f"{live_stack.url}/v1", api_key=key, timeout=100, max_retries=0) as client:
        answer = await client.images.generate(**ASKED)
        assert len(pictures_of(answer)) == 1
