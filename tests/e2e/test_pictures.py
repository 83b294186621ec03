"""Pictures in a real Chromium on the real stack: start from a file, draw a part anew, vary, download, drafts."""

import io
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageDraw, ImageStat
from playwright.sync_api import FilePayload, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.slow]
DONE = ".stage[data-status=succeeded]"


def red_ball() -> FilePayload:
    """A file as somebody might have it: a red ball on nothing."""
    picture = Image.new("RGBA", (512, 512))
    ImageDraw.Draw(picture).ellipse((96, 96, 416, 416), fill=(220, 40, 40, 255))
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return {"name": "ball.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def draw(page: Page, prompt: str) -> None:
    """Run the prompt in the studio and wait for the end."""
    before = page.locator("[data-job]").get_attribute("data-job") if page.locator("[data-job]").count() else None
    page.fill("#prompt", prompt)
    page.click(".bar .button--main")
    page.wait_for_selector(f'[data-job]:not([data-job="{before}"])')
    page.wait_for_selector(DONE)


def test_a_part_of_a_file_is_drawn_anew_and_the_rest_stays(page: Page) -> None:
    page.goto("/")
    page.check("#kind-image", force=True)
    page.set_input_files("[data-start-file]", [red_ball()])
    expect(page.locator("[data-start]")).to_be_visible()
    page.click("[data-start-edit]")
    page.locator("#editor-left").fill("50")
    page.locator("#editor-top").fill("0")
    page.locator("#editor-height").fill("100")
    page.click("[data-editor-do=box]")
    page.click("[data-editor-apply]")
    expect(page.locator("#editor")).to_be_hidden()
    draw(page, "a red apple")
    page.click(f"{DONE} .button--open")
    expect(page.locator(".exhibit__label")).to_contain_text("part of an uploaded picture")
    content = page.request.get(page.locator(".exhibit__frame img").get_attribute("src") or "").body()
    kept = Image.open(io.BytesIO(content)).convert("RGBA").crop((140, 246, 160, 266))
    means = ImageStat.Stat(kept).mean  # every pixel bears the mark
    assert means == pytest.approx([220, 40, 40, 255], abs=1)


def test_a_picture_is_explained_varied_and_downloaded_in_other_formats(page: Page) -> None:
    page.goto("/")
    page.check("#kind-image", force=True)
    if page.locator("[data-start-remove]").is_visible():
        page.click("[data-start-remove]")
    draw(page, "a red apple")
    page.click(f"{DONE} .button--open")
    expect(page.locator(".heat__word").last).to_have_text(re.compile("^apple:"))
    page.locator(".heat__word").last.click()
    expect(page.locator(".exhibit__heat.is-shown")).to_have_count(1)
    for format_name, media_type in (("webp", "image/webp"), ("jpeg", "image/jpeg"), ("svg", "image/svg+xml")):
        address = page.locator(f'.menu a[href*="format={format_name}"]').get_attribute("href") or ""
        answer = page.request.get(address)
        assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.click("text=Vary")
    page.wait_for_selector(DONE)
    expect(page.locator(".picture.is-kept")).to_have_count(4)


def test_a_draft_becomes_the_start_of_a_picture(page: Page) -> None:
    page.goto("/")
    page.check("#kind-image", force=True)
    page.fill("#prompt", "a red apple")
    page.locator(".draft").nth(1).click()
    expect(page.locator("[data-start-words]")).to_have_text("From a draft")
    draw(page, "a red apple")
    page.locator(".picture.is-kept a").first.click()
    expect(page.locator(".exhibit__label")).to_contain_text("the draft with seed")
