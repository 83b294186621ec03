"""/v1/images: what a call asks of an image job, and how its pictures come back; only the worker is a fake."""

import asyncio
import io
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import AsyncClient, Client
from PIL import Image

from genworkers.contract.events import Preview
from genworkers.contract.image import ImageRequest
from tests.factories import BlockedTermFactory, MembershipFactory
from tests.webapp.api.callers import bearer, keyed
from tests.webapp.api.fake_worker import Ending, block, fail, work
from tests.webapp.gallery.drafts import draft_of
from tests.webapp.gallery.picture_files import SVG, file_of, half_red
from tests.webapp.provenance.samples import PICTURE, encoded
from webapp.api.openai import picture_forms, picture_links
from webapp.gallery import services as gallery
from webapp.gallery.models import Artifact, Upload
from webapp.gallery.uploads import input_bytes
from webapp.jobs import services
from webapp.jobs.models import Job
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db(transaction=True)

ASKED: dict[str, Any] = {"prompt": "a red apple", "model": "mosaic", "seed": 7}
GENERATIONS, EDITS, VARIATIONS = (f"/v1/images/{name}" for name in ("generations", "edits", "variations"))


@pytest.fixture
def owner() -> Membership:
    found: Membership = MembershipFactory.create()
    return found


class Caller:
    """Posts JSON, or a form where there are files, with a key of the owner."""

    def __init__(self, owner: Membership) -> None:
        self._client, self._headers = AsyncClient(), bearer(owner)

    async def draw(self, address: str = GENERATIONS, **fields: Any) -> Any:
        body = ASKED | fields
        headers: dict[str, str] = self._headers | body.pop("headers", {})
        if address == GENERATIONS:
            return await self._client.post(address, body, content_type="application/json", headers=headers)
        form = {name: value for name, value in body.items() if value is not None}
        return await self._client.post(address, form, headers=headers)


@pytest.fixture
def api(owner: Membership) -> Caller:
    return Caller(owner)


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    yield
    await sync_to_async(connections.close_all)()


def png(image: Image.Image, name: str = "a.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, file_of(image), content_type="image/png")


def preview(step: int, num_steps: int = 12, index: int = 0) -> Preview:
    small = b64encode(encoded(PICTURE.resize((64, 64)), "WEBP")).decode()
    return Preview(
        index=index,
        step=step,
        num_steps=num_steps,
        num_decided=step * 5,
        num_tiles=64,
        image=f"data:image/webp;base64,{small}",
    )


def keep(num_pictures: int = 1) -> Ending:
    """End well, with so many pictures kept."""

    def end(claim: services.Claim) -> None:
        drafts = [draft_of(claim.job, index=index, seed=7 + index) for index in range(num_pictures)]
        assert services.complete(claim, drafts)

    return end


async def told(asking: Any, working: Any) -> Any:
    """The answer to a call while a worker works; a stream's is its list of (event, data)."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        answering = group.create_task(answer(asking))
        group.create_task(working)
    return answering.result()


async def answer(asking: Any) -> Any:
    response = await asking
    if not response.streaming:
        return response
    text = b"".join([part async for part in response.streaming_content]).decode()
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [event_of(block) for block in blocks]


def event_of(block: str) -> tuple[str, Any]:
    *names, data = block.split("\n")
    found = data.removeprefix("data: ")
    return "".join(names).removeprefix("event: "), found if found == "[DONE]" else json.loads(found)


def refused(response: Any) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


async def test_pictures_come_whole_with_their_facts_and_counts(api: Caller) -> None:
    response = await told(api.draw(n=2), work(([preview(6), preview(12)], keep(2))))
    body = response.json()
    job = await Job.objects.aget()
    assert (response.status_code, response["X-Tessera-Job"]) == (200, str(job.id))
    assert [Image.open(io.BytesIO(b64decode(one["b64_json"]))).size for one in body["data"]] == [(512, 512)] * 2
    assert [one["seed"] for one in body["data"]] == [7, 8]
    assert {one["artifact"] for one in body["data"]} == {str(one.id) async for one in Artifact.objects.all()}
    del body["data"]
    assert body == {
        "created": int(job.created_at.timestamp()),
        "background": "opaque",
        "output_format": "png",
        "quality": "medium",
        "size": "512x512",
        "usage": {
            "input_tokens": 3,
            "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
            "output_tokens": 128,
            "total_tokens": 131,
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, {"preset": "standard", "size_px": 512, "background": "#ffffff", "num_images": 1, "net": "mosaic"}),
        ({"quality": "low", "size": "1024x1024"}, {"preset": "draft", "size_px": 1024}),
        ({"quality": "hd", "background": "transparent"}, {"preset": "fine", "background": "transparent"}),
        ({"background": "#ffcc00", "quality": "auto", "size": "auto"}, {"background": "#ffcc00", "size_px": 512}),
        ({"model": None, "n": None, "seed": 3, "style": "flat"}, {"net": "mosaic", "seed": 3, "style": "flat"}),
        (
            {"negative_prompt": "leaves", "num_steps": 8, "guidance": 3.0},
            {"negative_prompt": "leaves", "num_steps": 8, "guidance": 3.0},
        ),
    ],
)
async def test_openais_words_become_ours(api: Caller, fields: dict[str, Any], asked: dict[str, Any]) -> None:
    await told(api.draw(**fields), work(([], keep())))
    request = (await Job.objects.aget()).request
    assert {name: request[name] for name in asked} == asked


@pytest.mark.slow
@pytest.mark.parametrize(("output_format", "wanted"), [("webp", "WEBP"), ("jpeg", "JPEG")])
async def test_other_formats_come_as_they_are_asked_for(api: Caller, output_format: str, wanted: str) -> None:
    response = await told(api.draw(output_format=output_format), work(([], keep())))
    (one,) = response.json()["data"]
    assert Image.open(io.BytesIO(b64decode(one["b64_json"]))).format == wanted
    assert response.json()["output_format"] == output_format


async def test_a_url_can_be_fetched_without_a_key_for_an_hour(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    response = await told(api.draw(response_format="url", output_format="webp"), work(([], keep())))
    (one,) = response.json()["data"]
    assert "b64_json" not in one
    address = urlsplit(one["url"]).path
    fetched = await AsyncClient().get(address)
    assert (fetched.status_code, fetched["Content-Type"]) == (200, "image/webp")
    assert (await AsyncClient().get(address[:-1] + ("A" if address[-1] != "A" else "B"))).status_code == 404
    monkeypatch.setattr(picture_links, "VALID_FOR", timedelta(seconds=-1))
    assert (await AsyncClient().get(address)).status_code == 404
    monkeypatch.undo()
    await Artifact.objects.aupdate(status=Artifact.Status.HELD)
    assert (await AsyncClient().get(address)).status_code == 404


async def test_a_stream_sends_as_many_previews_as_asked_then_the_picture(api: Caller) -> None:
    script = [preview(step) for step in range(1, 13)]
    events = await told(api.draw(stream=True, partial_images=2), work((script, keep())))
    assert [name for name, _ in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed", ""]
    *partials, completed, done = [data for _, data in events]
    assert done == "[DONE]"
    assert [one["partial_image_index"] for one in partials] == [0, 1]
    for one in (*partials, completed):
        image = Image.open(io.BytesIO(b64decode(one["b64_json"])))
        assert (image.format, image.size) == ("PNG", (512, 512))
        assert (one["output_format"], one["size"], one["quality"], one["background"]) == (
            *("png", "512x512", "medium", "opaque"),
        )
    assert completed["usage"]["output_tokens"] == 64


@pytest.mark.slow
@pytest.mark.parametrize("num_partials", [0, 3])
async def test_a_quick_picture_comes_with_fewer_previews(api: Caller, num_partials: int) -> None:
    script = [preview(6), preview(12)]
    events = await told(api.draw(stream=True, partial_images=num_partials), work((script, keep())))
    assert [name for name, _ in events].count("image_generation.partial_image") == min(num_partials, 1)


async def test_an_edit_begins_with_the_first_picture(api: Caller, owner: Membership) -> None:
    images = [png(half_red()), png(half_red(50))]
    response = await told(api.draw(EDITS, **{"image[]": images}, n="2", stream=""), work(([], keep(2))))
    job = await Job.objects.aget()
    assert (job.request["num_images"], job.request["seed"], job.request["strength"], job.request["mask"]) == (
        *(2, 7, 0.6, None),
    )
    assert response["X-Tessera-Ignored"] == "image[1]"
    start = await Upload.objects.aget()
    assert job.request["start_image"] == str(start.id)
    assert start.width_px == 60


async def test_a_masks_transparent_part_is_drawn_anew_whatever_its_colours(api: Caller, owner: Membership) -> None:
    mask = Image.new("RGBA", (60, 40), "white")
    mask.paste((255, 255, 255, 0), (0, 0, 30, 40))
    asking = api.draw(EDITS, image=png(half_red()), mask=png(mask), stream="true", partial_images="0")
    events = await told(asking, work(([], keep())))
    assert [name for name, _ in events] == ["image_edit.completed", ""]
    job = await Job.objects.aget()
    assert job.request["strength"] == 1.0
    kept = Image.open(io.BytesIO(await sync_to_async(input_bytes)(owner.workspace_id, job.request["mask"])))
    assert (kept.getpixel((10, 10)), kept.getpixel((50, 10))) == ((0, 0, 0, 0), (0, 0, 0, 255))


@pytest.mark.slow
async def test_the_same_form_with_the_same_key_is_the_same_job(api: Caller) -> None:
    key = {"Idempotency-Key": "order-17"}
    first = await told(api.draw(EDITS, image=png(half_red()), headers=key), work(([], keep())))
    again = await api.draw(EDITS, image=png(half_red()), headers=key)
    assert again.json() == first.json()
    assert await Job.objects.acount() == 1


@pytest.mark.slow
async def test_a_picture_made_here_is_varied_with_its_own_words(api: Caller, owner: Membership) -> None:
    first = await told(api.draw(style="flat", prompt="a green hat"), work(([], keep())))
    data = b64decode(first.json()["data"][0]["b64_json"])
    own = SimpleUploadedFile("a.png", data, content_type="image/png")
    await told(api.draw(VARIATIONS, image=own, prompt=None, model=None), work(([], keep())))
    request = (await Job.objects.alatest("created_at")).request
    assert (request["prompt"], request["style"], request["strength"]) == ("a green hat", "flat", 0.5)
    await told(api.draw(VARIATIONS, image=png(half_red()), prompt=None), work(([], keep())))
    request = (await Job.objects.alatest("created_at")).request
    assert (request["prompt"], request["guidance"]) == ("a picture", 0.0)


async def test_rules_are_told_as_content_filter(api: Caller, owner: Membership) -> None:
    await sync_to_async(BlockedTermFactory.create)(workspace=owner.workspace, term="forbidden fruit")
    assert refused(await api.draw(prompt="a forbidden fruit")) == (400, "content_filter", None)
    assert refused(await told(api.draw(), work(([], block)))) == (400, "content_filter", None)
    assert refused(await told(api.draw(stream=True), work(([], block)))) == (400, "content_filter", None)


async def test_a_failed_job_is_an_error(api: Caller) -> None:
    ended = fail("out_of_memory", "Ask for fewer pictures.")
    assert refused(await told(api.draw(), work(([], ended)))) == (500, "out_of_memory", None)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"size": "256x256"}, "invalid_request", "size"),
        ({"size": "1536x1024"}, "invalid_request", "size"),
        ({"n": 9}, "invalid_request", "n"),
        ({"n": 0}, "invalid_request", "n"),
        ({"prompt": ""}, "invalid_request", "prompt"),
        ({"prompt": " \u200b"}, "invalid_request", "prompt"),
        ({"prompt": "x" * 501}, "invalid_request", "prompt"),
        ({"partial_images": 4, "stream": True}, "invalid_request", "partial_images"),
        ({"quality": "best"}, "invalid_request", "quality"),
        ({"output_format": "gif"}, "invalid_request", "output_format"),
        ({"output_format": "jpeg", "background": "transparent"}, "invalid_request", "output_format"),
        ({"output_format": "svg", "stream": True}, "invalid_request", "output_format"),
        ({"response_format": "url", "stream": True}, "invalid_request", "response_format"),
        ({"output_compression": 50}, "unsupported_parameter", "output_compression"),
        ({"style": "vivid"}, "style_unknown", "style"),
        ({"model": "dall-e-3"}, "model_not_found", "model"),
        ({"model": "llama-tessera-text"}, "model_not_found", "model"),
    ],
)
async def test_what_cannot_be_drawn_is_refused_by_name(
    api: Caller, fields: dict[str, Any], code: str, param: str
) -> None:
    response = await api.draw(**fields)
    assert refused(response)[1:] == (code, param)
    assert response.status_code == (404 if code == "model_not_found" else 400)


async def test_unknown_fields_are_named_and_labels_are_silent(api: Caller) -> None:
    asking = api.draw(user="me", foo=1, output_compression=100, moderation="auto")
    assert (await told(asking, work(([], keep()))))["X-Tessera-Ignored"] == "foo"


@pytest.mark.slow
async def test_bad_files_are_refused_by_name_and_nothing_is_kept(api: Caller) -> None:
    svg = SimpleUploadedFile("a.png", SVG, content_type="image/png")
    opaque, small = png(Image.new("RGBA", (60, 40), "white")), png(Image.new("RGBA", (30, 20)))
    for fields, wanted in (
        ({}, (400, "picture_missing", "image")),
        ({"image": svg}, (400, "picture_unreadable", "image")),
        ({"image": png(half_red()), "mask": svg}, (400, "picture_unreadable", "mask")),
        ({"image": png(half_red()), "mask": opaque}, (400, "mask_is_opaque", "mask")),
        ({"image": png(half_red()), "mask": small}, (400, "mask_size_differs", "mask")),
        ({"image": png(half_red()), "n": "many"}, (400, "invalid_request", "n")),
        ({"image": png(half_red()), "strength": "2"}, (400, "invalid_request", "strength")),
        ({"image": png(half_red()), "prompt": None}, (400, "invalid_request", "prompt")),
    ):
        assert refused(await api.draw(EDITS, **fields)) == wanted
        assert not await Upload.objects.aexists()
    assert not await Job.objects.aexists()


@pytest.mark.slow
def test_a_form_must_be_a_form_and_not_too_large(owner: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    client = keyed(owner)
    told_json = client.post(EDITS, ASKED, content_type="application/json").json()["error"]
    assert (told_json["param"], told_json["problems"][0]["allowed"]) == ("body", "multipart/form-data")
    monkeypatch.setattr(picture_forms, "MAX_FORM_BYTES", 100)
    assert refused(client.post(EDITS, ASKED | {"image": png(half_red())})) == (413, "body_too_large", None)
    broken = client.generic("POST", EDITS, b"no form", content_type="multipart/form-data")
    assert broken.status_code == 400


def test_who_may_not_draw_may_not_upload_either(owner: Membership) -> None:
    viewer = MembershipFactory.create(workspace=owner.workspace, role="viewer")
    assert refused(keyed(viewer).post(EDITS, ASKED | {"image": png(half_red())}))[:2] == (403, "forbidden")
    assert refused(keyed(owner, "read").post(GENERATIONS, ASKED, content_type="application/json"))[0] == 403
    assert refused(Client().post(GENERATIONS, ASKED, content_type="application/json"))[0] == 401
    assert not Upload.objects.exists()


def test_a_copy_of_a_walk_or_of_anothers_picture_brings_no_words(owner: Membership) -> None:
    stranger: Membership = MembershipFactory.create()
    job = Job.objects.create(
        workspace=stranger.workspace,
        created_by=stranger.user,
        kind="image",
        prompt="secret",
        request=ImageRequest(prompt="secret", seed=1).model_dump(mode="json"),
        deadline_at="2030-01-01T00:00:00Z",
    )
    draft = draft_of(job)
    gallery.store(draft)
    assert picture_forms.made_here(stranger.workspace, draft.original.data)["prompt"] == "secret"
    assert picture_forms.made_here(owner.workspace, draft.original.data) == {}
