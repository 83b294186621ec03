"""Made in the running studio, then asked about by a stranger: whole, stripped, edited, foreign and unmarked."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect

from scripts.own_stack import Stack
from tests.e2e.test_generation import ask

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.slow]


@pytest.fixture
def stranger(browser: Browser, live_stack: Stack) -> Iterator[Page]:
    """A page of somebody who has never signed in."""
    context = browser.new_context(base_url=live_stack.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    yield page
    context.close()


def bytes_of(page: Page, job_id: str) -> bytes:
    """The original of a job's first artifact, as its maker downloads it."""
    artifact = page.request.get(f"/api/v1/artifacts?job={job_id}").json()["items"][0]
    body: bytes = page.request.get(artifact["urls"]["content"]).body()
    return body


def look(page: Page, folder: Path, name: str, data: bytes) -> str:
    """What the page says of a file."""
    path = folder / name
    path.write_bytes(data)
    page.goto("/verify/")
    page.set_input_files("#id_file", str(path))
    expect(page.locator("[data-file-name]")).to_have_text(name)
    page.click("text=Look at it")
    page.wait_for_selector(".verdict")
    return page.inner_text("#verdict")


def saved_anew(data: bytes) -> bytes:
    target = io.BytesIO()
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    Image.alpha_composite(ground, picture).convert("RGB").save(target, "JPEG", quality=75)
    return target.getvalue()


def test_a_picture_of_the_studio_is_known_whole_stripped_and_edited(page: Page, stranger: Page, tmp_path: Path) -> None:
    job_id = ask(page, "image", "a red apple", num_steps="6")
    page.wait_for_selector(".stage[data-status=succeeded] .button--open")
    data = bytes_of(page, job_id)
    whole = look(stranger, tmp_path, "whole.png", data)
    assert "Made by this studio, unchanged" in whole
    assert "Signed by this studio" in whole
    assert "not on a public trust list" in whole
    assert "a red apple" not in whole

    stripped = look(stranger, tmp_path, "saved-anew.jpg", saved_anew(data))
    assert "its credentials removed" in stripped
    assert "Found" in stripped
    assert "the number in its mark" in stripped

    edited = bytearray(data)
    edited[-100] ^= 1
    assert "changed afterwards" in look(stranger, tmp_path, "edited.png", bytes(edited))

    other = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(other).ellipse((50, 50, 250, 250), fill="green")
    target = io.BytesIO()
    other.save(target, "PNG")
    assert "Nothing is known about it" in look(stranger, tmp_path, "mine.png", target.getvalue())


def test_a_text_of_the_studio_is_known_by_its_words(page: Page, stranger: Page) -> None:
    job_id = ask(page, "text", "Write a story about a lighthouse and a small boat.", max_tokens="400")
    page.wait_for_selector(".stage[data-status=succeeded] .button--open")
    text = bytes_of(page, job_id).decode()
    stranger.goto("/verify/")
    stranger.fill("#id_text", text)
    stranger.click("text=Look at it")
    stranger.wait_for_selector(".verdict")
    assert "Made by this studio, unchanged" in stranger.inner_text("#verdict")

    words = text.split()
    stranger.fill("#id_text", " ".join(["A friend sent me this:", *words[: len(words) * 9 // 10]]))
    stranger.click("text=Look at it")
    expect(stranger.locator("#verdict")).not_to_contain_text("unchanged")
    said = stranger.inner_text("#verdict")
    assert "credentials removed" in said or "Looks like something made here" in said
