"""The bar of pictures in a real Chromium: what a net can do, the picture to start from, the editor, drafts."""

import io
import json
from base64 import b64encode
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from genworkers.contract.events import Preview
from genworkers.contract.image import ImageRequest
from tests.webapp.api import fake_worker
from tests.webapp.gallery.drafts import draft_of, job_of
from webapp.gallery import services as gallery_services
from webapp.gallery import uploads
from webapp.gallery.models import Artifact, Upload
from webapp.jobs.models import Job
from webapp.provenance import services as provenance
from webapp.workspaces.models import Membership

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
STUDIO = "/w/mosaics/"


@pytest.fixture(autouse=True)
def nets(nets_dir: Path) -> None:
    """Beside mosaic, a net for drafts."""
    facts: dict[str, Any] = {"num_parameters": 1, "sha256": "c" * 64, "config": {}, "files": {}}
    facts |= {"name": "spark", "kind": "image", "family": "spark", "title": "Spark"}
    (nets_dir / "spark").mkdir()
    (nets_dir / "spark" / "manifest.json").write_text(json.dumps(facts | {"styles": {"flat": "Flat", "bold": "Bold"}}))


@pytest.fixture
def picture(membership: Membership) -> Artifact:
    """A kept picture, 512 px."""
    provenance.ensure_authority()
    job = job_of("image", workspace=membership.workspace, created_by=membership.user, prompt="a red apple")
    return gallery_services.store(draft_of(job))


@pytest.fixture
def worker() -> Thread:
    """Once started, takes the first job and shows four plain tiles of it, as drafts are shown."""
    tile = io.BytesIO()
    Image.new("RGBA", (8, 8), "red").save(tile, "webp")
    image = f"data:image/webp;base64,{b64encode(tile.getvalue()).decode()}"
    script = [Preview(index=index, step=1, num_steps=1, num_decided=1, num_tiles=1, image=image) for index in range(4)]
    return Thread(target=lambda: fake_worker.work_now((script, fake_worker.succeed)))


def file_of(size: tuple[int, int]) -> FilePayload:
    """A picture as a browser sends it."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "png")
    return {"name": "red.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def pixels_of(upload: Upload) -> Image.Image:
    """An upload as it was kept."""
    return Image.open(io.BytesIO(uploads.bytes_of(upload)))


def newest() -> ImageRequest:
    """The request of the newest job."""
    request = Job.objects.latest("created_at").parsed_request
    assert isinstance(request, ImageRequest)
    return request


def run(page: Page, prompt: str) -> ImageRequest:
    """Fill in the prompt, run it, and return what was asked."""
    page.fill("#prompt", prompt)
    with page.expect_response(
        lambda response: response.request.method == "POST" and response.url.endswith(STUDIO)
    ) as answer:
        page.click(".bar .button--main")
    assert answer.value.ok, f"{answer.value.status} {answer.value.text()}"
    return newest()


def test_what_the_chosen_net_cannot_do_is_said_and_not_sent(page: Page) -> None:
    page.goto(f"{STUDIO}?kind=image&prompt=a+cat&negative_prompt=a+dog")
    page.click(".bar__more")
    page.select_option("#image-net", "spark")
    expect(page.locator("#image-negative_prompt")).to_be_disabled()
    expect(page.locator("#image-negative_prompt-hint")).to_contain_text("Not with Spark.")
    expect(page.locator("#image-preset-fine")).to_be_disabled()
    expect(page.locator("[data-start-add]")).to_be_disabled()
    assert page.locator("#image-style option").all_inner_texts() == ["Flat", "Bold"]
    assert page.locator("#image-style_mix option").all_inner_texts() == ["None", "Flat", "Bold"]
    request = run(page, "a cat")
    assert (request.net, request.style, request.negative_prompt) == ("spark", "flat", "")
    page.select_option("#image-net", "mosaic")
    expect(page.locator("#image-negative_prompt")).to_be_enabled()


def test_a_chosen_file_is_the_start_until_it_is_removed(page: Page) -> None:
    page.goto(f"{STUDIO}?kind=image")
    page.set_input_files("[data-start-file]", [file_of((300, 200))])
    expect(page.locator("[data-start]")).to_be_visible()
    request = run(page, "a cat")
    upload = Upload.objects.get()
    assert (request.start_image, request.mask, request.strength) == (str(upload.id), None, 0.6)
    page.reload()  # what was run comes back
    expect(page.locator("[data-start] img")).to_have_attribute("src", f"/uploads/{upload.id}/content")
    page.click("[data-start-remove]")
    expect(page.locator("[data-start]")).to_be_hidden()
    assert run(page, "a dog").start_image is None


def test_a_file_that_is_no_picture_is_refused_in_words_beside_the_button(page: Page) -> None:
    page.goto(f"{STUDIO}?kind=image")
    file: FilePayload = {"name": "red.png", "mimeType": "image/png", "buffer": b"<svg/>"}
    page.set_input_files("[data-start-file]", [file])
    expect(page.locator("[data-start-problem]")).to_contain_text("PNG")
    expect(page.locator("[data-start]")).to_be_hidden()


def test_a_rectangle_by_numbers_becomes_the_mask_of_the_same_picture(page: Page, picture: Artifact) -> None:
    page.goto(f"{STUDIO}?artifact={picture.id}&recall=edit")
    expect(page.locator("#editor")).to_be_visible()
    expect(page.locator("[data-editor-share]")).to_contain_text("Nothing is marked")
    page.click("[data-editor-apply]")
    expect(page.locator("[data-editor-problem]")).to_contain_text("Nothing is marked")
    page.click("[data-editor-do=box]")
    expect(page.locator("[data-editor-share]")).to_contain_text("25 %")
    page.click("[data-editor-apply]")
    expect(page.locator("#editor")).to_be_hidden()
    expect(page.locator("[data-start-words]")).to_have_text("Part of a picture")
    request = run(page, "a red apple with a worm")
    mask = Upload.objects.get()
    assert (request.start_image, request.mask, request.strength) == (str(picture.id), str(mask.id), 1.0)
    seen = pixels_of(mask)
    assert seen.size == (512, 512)
    assert seen.getpixel((256, 256)) == (255, 255, 255, 255)
    assert seen.getpixel((100, 256)) == (0, 0, 0, 255)


def test_a_stroke_can_be_painted_erased_and_undone(page: Page, picture: Artifact) -> None:
    page.goto(f"{STUDIO}?artifact={picture.id}&recall=edit")
    canvas = page.locator(".editor__canvas")
    expect(page.locator("[data-editor-share]")).to_contain_text("Nothing is marked")
    canvas.drag_to(canvas, source_position={"x": 60, "y": 100}, target_position={"x": 300, "y": 100})
    expect(page.locator("[data-editor-share]")).to_contain_text("About")
    painted = page.inner_text("[data-editor-share]")
    page.check("[name=editor-brush][value=erase]", force=True)
    page.locator("#editor-size").fill("40")
    canvas.drag_to(canvas, source_position={"x": 60, "y": 100}, target_position={"x": 300, "y": 100})
    expect(page.locator("[data-editor-share]")).to_contain_text("Nothing is marked")
    page.click("[data-editor-do=undo]")
    expect(page.locator("[data-editor-share]")).to_have_text(painted)


def test_zooming_out_makes_a_new_start_with_room_that_is_drawn_anew(page: Page, picture: Artifact) -> None:
    page.goto(f"{STUDIO}?artifact={picture.id}&recall=edit")
    expect(page.locator("[data-editor-share]")).to_contain_text("Nothing is marked")
    page.locator("#editor-zoom").fill("50")
    expect(page.locator("[data-editor-share]")).to_contain_text("75 %")
    page.click("[data-editor-apply]")
    expect(page.locator("#editor")).to_be_hidden()
    request = run(page, "an apple on a table")
    start, mask = (pixels_of(Upload.objects.get(id=str(each))) for each in (request.start_image, request.mask))
    assert start.size == mask.size == (512, 512)
    assert start.getpixel((40, 256))[3] == 0  # type: ignore[index]
    assert mask.getpixel((40, 256)) == (255, 255, 255, 255)
    assert mask.getpixel((256, 256)) == (0, 0, 0, 255)


@pytest.mark.parametrize("width", [360, 1440])
def test_the_editor_is_clean_and_fits(page: Page, picture: Artifact, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 760})
    page.goto(f"{STUDIO}?artifact={picture.id}&recall=edit")
    page.click("[data-editor-do=whole]")
    expect(page.locator("[data-editor-share]")).to_contain_text("100 %")
    assert page.evaluate("document.querySelector('#editor').scrollWidth") <= width
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_drafts_come_while_typing_and_one_of_them_starts_the_picture(page: Page, worker: Thread) -> None:
    page.goto(f"{STUDIO}?kind=image")
    worker.start()
    page.fill("#prompt", "a cat")
    expect(page.locator(".draft")).to_have_count(4)
    worker.join()
    expect(page.locator("#prompt")).to_be_focused()
    draft = Job.objects.get()
    assert (draft.is_draft, draft.request["net"], draft.request["num_images"]) == (True, "spark", 4)
    page.locator(".draft").nth(2).click()
    expect(page.locator(".draft").nth(2)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-start-words]")).to_have_text("From a draft")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    with page.expect_response(lambda response: response.request.method == "POST" and response.url.endswith(STUDIO)):
        page.click(".bar .button--main")
    assert newest().draft_seed == draft.request["seed"] + 2
    expect(page.locator(".draft").nth(2)).to_have_attribute("aria-pressed", "true")
    page.locator(".draft").nth(2).click()
    expect(page.locator("[data-start]")).to_be_hidden()
    page.locator(".draft").nth(0).click()
    page.uncheck("#drafts-on")
    page.locator("#prompt").press_sequentially(" and a dog")  # another prompt: that draft is not of it
    expect(page.locator("[data-start]")).to_be_hidden()
    page.reload()
    expect(page.locator("#drafts-on")).not_to_be_checked()


def test_a_text_has_no_drafts(page: Page) -> None:
    page.goto(f"{STUDIO}?kind=text")
    expect(page.locator("#drafts")).to_be_hidden()
    page.check("#kind-image", force=True)
    expect(page.locator("#drafts")).to_be_visible()


def test_a_word_shows_what_it_drew(page: Page, membership: Membership) -> None:
    provenance.ensure_authority()
    job = job_of("image", workspace=membership.workspace, created_by=membership.user)
    maps = bytes([255, 0, 0, 0]) + bytes([0, 0, 0, 255])
    told = {"words": ["red", "apple"], "grid": 2, "maps": b64encode(maps).decode()}
    artifact = gallery_services.store(draft_of(job, facts={"explanation": told}))
    page.goto(f"/artifacts/{artifact.id}/")
    veil = "(x) => { const c = document.querySelector('.exhibit__heat');"
    veil += " return c.getContext('2d').getImageData(c.width * x, c.height * x, 1, 1).data[3]; }"
    page.locator(".heat__word").nth(0).focus()
    expect(page.locator(".exhibit__heat.is-shown")).to_have_count(1)
    assert page.evaluate(veil, 0.1) < 40 < page.evaluate(veil, 0.9)
    page.locator(".heat__word").nth(1).click()
    expect(page.locator("[data-heat-place]")).to_have_text("mostly bottom right")
    assert page.evaluate(veil, 0.9) < 40 < page.evaluate(veil, 0.1)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
