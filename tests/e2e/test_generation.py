"""The main job in a real Chromium on the real stack: ask, watch it come into being, find it again."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from genworkers.contract.events import FINAL_EVENT_KINDS
from tests.e2e.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.slow]
KEEP_SOCKET = """
const Real = WebSocket;
window.WebSocket = class extends Real { constructor(address) { super(address); window.socket = this; } };
"""


def ask(page: Page, kind: str, prompt: str, **fields: str) -> str:
    """Fill the prompt bar, run it with the keyboard, and return the new job's id."""
    page.goto("/")
    page.check(f"#kind-{kind}", force=True)
    if kind == "image":  # the bar restores what another test asked for last, and several pictures have no one button
        fields = {"num_images": "1"} | fields
    if fields:
        page.click(".bar__more")
    for name, value in fields.items():
        page.fill(f"#{kind}-{name}", value)
    page.fill("#prompt", prompt)
    before = page.locator("[data-job]").get_attribute("data-job") if page.locator("[data-job]").count() else None
    page.keyboard.press("Control+Enter")
    fresh = page.locator(f'[data-job]:not([data-job="{before}"])')
    job_id = fresh.get_attribute("data-job")
    assert job_id is not None
    return job_id


def log_of(page: Page, job_id: str) -> list[dict[str, Any]]:
    """Every event of the job's log, read from its start over the API's own stream."""
    text = page.request.get(f"/api/v1/jobs/{job_id}/events").text()
    seqs = re.findall(r"^id: ?(\d+)$", text, re.MULTILINE)
    kinds = re.findall(r'^data: ?.*?"kind": ?"(\w+)"', text, re.MULTILINE)
    return [{"seq": int(seq), "kind": kind} for seq, kind in zip(seqs, kinds, strict=True)]


def kept_events(page: Page) -> list[dict[str, Any]]:
    """What the pages of this tab have applied, in order, with the page that did."""
    events: list[dict[str, Any]] = page.evaluate("JSON.parse(sessionStorage.getItem('kept') ?? '[]')")
    return events


@pytest.mark.parametrize(("kind", "prompt"), [("text", "Write a story about a small boat."), ("image", "a red apple")])
def test_a_wish_becomes_an_artifact(page: Page, kind: str, prompt: str) -> None:
    fields = {"max_tokens": "60"} if kind == "text" else {"num_steps": "6"}
    job_id = ask(page, kind, prompt, **fields)
    page.wait_for_selector(".stage[data-status=succeeded] .button--open")
    if kind == "text":
        assert len(page.inner_text(".words").split()) > 10
    else:
        until(page, "document.querySelector('.picture img')?.naturalWidth >= 512")

    page.click("text=Gallery")
    tile = page.locator(f".tile--{kind}", has_text=prompt).first
    if kind == "image":
        until(page, "document.querySelector('.tile--image img')?.naturalWidth > 0")
    tile.click()
    label = page.locator(".exhibit__label")
    expect(label).to_contain_text(prompt)
    expect(label).to_contain_text("Signed")
    expect(label).to_contain_text("Signed, marked")
    page.click("text=Hashes and versions")
    expect(label).to_contain_text(job_id)

    page.click("text=Use all")
    expect(page.locator("#prompt")).to_have_value(prompt)
    assert page.input_value(f"#{kind}-seed") != ""


def test_a_reload_in_between_loses_and_repeats_nothing(page: Page) -> None:
    job_id = ask(page, "text", "Write a story about the sea.", max_tokens="200")
    until(page, "(sessionStorage.getItem('kept') ?? '').split('\"text\"').length > 3")
    before = kept_events(page)
    page.goto(f"/jobs/{job_id}/")
    page.wait_for_selector(".stage[data-status=succeeded] .button--open")
    everything = kept_events(page)
    log = log_of(page, job_id)
    assert log[-1]["kind"] in FINAL_EVENT_KINDS
    first_page = [event["seq"] for event in before]
    assert first_page == list(range(1, len(first_page) + 1))
    assert 0 < len(first_page) < len(log)
    second = [event for event in everything if event["page"] != before[0]["page"]]
    assert [{"seq": event["seq"], "kind": event["kind"]} for event in second] == log
    shown = page.inner_text(".words")
    page.reload()
    assert page.inner_text(".words").split() == shown.split()


def test_a_lost_connection_goes_on_after_the_last_event(page: Page) -> None:
    page.add_init_script(KEEP_SOCKET)
    job_id = ask(page, "text", "Write a story about a bear.", max_tokens="200")
    until(page, "(sessionStorage.getItem('kept') ?? '').split('\"text\"').length > 3")
    page.evaluate("window.socket.close(4000)")
    page.wait_for_selector(".stage[data-status=succeeded] .button--open")
    assert [{"seq": event["seq"], "kind": event["kind"]} for event in kept_events(page)] == log_of(page, job_id)


def test_escape_cancels_the_job_on_the_page(page: Page) -> None:
    ask(page, "text", "Write a very long story about a mountain.", max_tokens="1024")
    until(page, "document.querySelector('.words')?.textContent.length > 20")
    page.keyboard.press("Escape")
    page.wait_for_selector(".stage[data-status=cancelled]")
    expect(page.locator(".stage__outcome")).to_contain_text("This job was cancelled.")
