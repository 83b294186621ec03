"""Every page in a real Chromium: errors beside their fields, a phone's width, both grounds, keyboard, axe."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.slow]
WIDTHS_PX = (360, 1440)


def addresses(page: Page) -> list[str]:
    """Every page there is: the fixed ones, and one of each thing that exists."""
    page.goto("/")
    studio = page.url
    found = [studio, f"{studio}gallery/", f"{studio}queue/", "/accounts/", "/accounts/password/change/", "/nowhere/"]
    found += [f"{studio}review/", f"{studio}policy/", f"{studio}audit/"]
    found += ["/nets/", "/nets/mosaic/", "/screens/text/", "/audits/", "/verify/"]
    page.goto(f"{studio}gallery/")
    for kind in ("text", "image"):
        tile = page.locator(f".tile--{kind}").first
        if tile.count():
            found.append(str(tile.get_attribute("href")))
    page.goto(f"{studio}queue/")
    job = page.locator("[id^=ended-]").first
    if job.count():
        found.append(str(job.get_attribute("href")))
    return found


def test_bad_input_is_named_at_its_field_and_kept(page: Page) -> None:
    page.goto("/")
    page.check("#kind-text", force=True)
    page.fill("#prompt", "A story about rain")
    page.click(".bar__more")
    page.fill("#text-temperature", "9")
    page.fill("#text-seed", str(2**63))
    page.click(".bar .button--main")
    expect(page.locator("#text-temperature-hint")).to_contain_text("you gave 9; allowed: 0 to 2")
    expect(page.locator("#text-seed-hint")).to_contain_text(f"you gave {2**63}")
    expect(page.locator("#text-seed")).to_be_focused()
    assert page.input_value("#prompt") == "A story about rain"
    assert page.input_value("#text-temperature") == "9"
    assert page.get_attribute("#text-temperature", "aria-invalid") == "true"


def test_a_megabyte_gets_a_plain_word_and_stays(page: Page) -> None:
    page.goto("/")
    page.evaluate("document.querySelector('#prompt').value = 'x'.repeat(1_000_000)")
    page.click(".bar .button--main")
    expect(page.locator("#notice")).to_contain_text("That is too much")
    assert len(page.input_value("#prompt")) == 1_000_000


def test_each_kind_keeps_its_own_draft(page: Page) -> None:
    page.goto("/")
    page.check("#kind-text", force=True)
    page.fill("#prompt", "a story in the making")
    page.check("#kind-image", force=True)
    page.fill("#prompt", "a picture in the making")
    page.check("#kind-text", force=True)
    expect(page.locator("#prompt")).to_have_value("a story in the making")
    expect(page.locator("#text-temperature")).to_be_hidden()
    page.click(".bar__more")
    expect(page.locator("#text-temperature")).to_be_visible()
    expect(page.locator("#image-guidance")).to_be_hidden()


def test_the_chosen_ground_stays(page: Page) -> None:
    page.goto("/")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("[data-ground-toggle]")
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert after != before
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after


def test_the_question_mark_shows_the_keys_and_the_slash_goes_to_the_prompt(page: Page) -> None:
    page.goto("/")
    page.locator("h1").first.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#prompt")).to_be_focused()


@pytest.mark.parametrize("width", WIDTHS_PX)
def test_no_page_scrolls_sideways(page: Page, width: int) -> None:
    found = addresses(page)
    page.set_viewport_size({"width": width, "height": 800})
    for address in found:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


@pytest.mark.parametrize("ground", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS_PX)
def test_axe_finds_nothing(page: Page, ground: str, width: int) -> None:
    found = addresses(page)
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if ground == "dark" else "light", reduced_motion="reduce")
    for address in found:
        page.goto(address)
        if page.locator(".bar__more").count():
            page.click(".bar__more")
        results = Axe().run(page)
        assert results.violations_count == 0, f"{address}: {results.generate_report()}"


def test_the_sign_in_page_is_clean_too(page: Page) -> None:
    page.context.clear_cookies()
    for ground in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if ground == "dark" else "light")
        page.goto("/accounts/login/")
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
