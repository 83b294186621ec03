"""A walk on the real stack: places chosen on the map, frames as they come, the file in the gallery, signed."""

import io

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.slow]
NUM_FRAMES = 12


@pytest.fixture
def drift(page: Page) -> Page:
    """The page of the running studio, signed in."""
    page.goto("/")
    page.goto(f"{page.url}drift/")
    return page


def made(page: Page) -> str:
    """Wait for the end of the job on the page; the address of what it made."""
    page.wait_for_selector(".stage[data-status=succeeded] .button--open")
    address = page.get_attribute(".stage .button--open", "href")
    assert address is not None
    return address


def begin(page: Page, button: str) -> str:
    """Press a button that starts a job, and wait for its end; the address of what it made."""
    before = page.locator("[data-job]").get_attribute("data-job") if page.locator("[data-job]").count() else ""
    page.click(button)
    page.wait_for_selector(f'[data-job]:not([data-job="{before}"])')
    return made(page)


def walk(page: Page, file_format: str) -> str:
    page.fill("#num_frames", str(NUM_FRAMES))
    page.select_option("#file_format", file_format)
    return begin(page, ".walk__go .button--main")


def credentials_hold(page: Page, address: str) -> bool:
    report = page.request.get(f"{address}credentials").json()
    return bool(report["state"] == "valid" and report["is_ours"])


def test_two_points_of_the_map_become_a_walk(drift: Page) -> None:
    drift.check("#route-between", force=True)
    plane = drift.locator("[data-map]")
    side = drift.evaluate("document.querySelector('[data-map]').clientWidth")
    plane.click(position={"x": side * 0.2, "y": side * 0.3})
    drift.locator("[data-sets] label").nth(1).click()
    plane.click(position={"x": side * 0.8, "y": side * 0.7})
    expect(drift.locator("[name=to][value=map]")).to_be_checked()
    address = walk(drift, "webp")
    seen = drift.evaluate("JSON.parse(sessionStorage.getItem('kept')).filter(({ kind }) => kind === 'preview').length")
    assert seen > 1
    until(drift, "document.querySelector('.picture img')?.naturalWidth >= 512")
    assert credentials_hold(drift, address)
    answer = drift.request.get(f"{address}content?download=1")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.body())) as film:
        assert getattr(film, "n_frames", 1) == NUM_FRAMES


def test_words_lead_along_a_direction_as_a_film(drift: Page) -> None:
    drift.locator("label:has(#route-direction)").click()
    drift.locator("[data-end=from] label").first.click()
    drift.fill("#from_prompt", "a red apple")
    address = walk(drift, "mp4")
    until(drift, "document.querySelector('.picture video')?.readyState >= 2")
    assert drift.request.get(f"{address}content").headers["content-type"] == "video/mp4"
    assert credentials_hold(drift, address)


def test_a_place_is_drawn_and_walked_from(drift: Page) -> None:
    drift.locator("[data-map]").click(position={"x": 40, "y": 40})
    address = begin(drift, "text=Draw the place")
    drift.goto(address)
    drift.click("text=Walk from here")
    expect(drift.locator("[data-drift] [name=from][value=picture]")).to_be_checked()
    drift.locator("label:has(#route-random)").click()
    address = walk(drift, "gif")
    assert drift.request.get(f"{address}content").headers["content-type"] == "image/gif"
    assert credentials_hold(drift, address)
