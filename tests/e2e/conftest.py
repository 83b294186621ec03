"""A browser that has signed in to the running stack, and what it needs to be watched."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.own_stack import Stack

WAIT_MS = 120_000
# Keeps every event that the page has applied, over all documents of the tab.
KEEP_EVENTS = """
document.addEventListener("tessera:event", ({ detail }) => {
  const kept = JSON.parse(sessionStorage.getItem("kept") ?? "[]");
  kept.push({ page: performance.timeOrigin, ...detail });
  sessionStorage.setItem("kept", JSON.stringify(kept));
});
"""


@pytest.fixture(scope="session")
def signed_in(live_stack: Stack, browser: Browser) -> Any:
    """The cookies of the owner, who came by the one-time link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(live_stack.manage("bootstrap", "--link-only").strip())  # a sign-in voids every earlier link
    page.wait_for_selector("#prompt")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser: Browser, live_stack: Stack, signed_in: Any) -> Iterator[Page]:
    """A desk-sized page, signed in, that fails the test on any script error or refused content."""
    context = browser.new_context(
        base_url=live_stack.url, storage_state=signed_in, viewport={"width": 1440, "height": 900}
    )
    context.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    context.add_init_script(KEEP_EVENTS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Security Policy" in message.text else None)
    yield page
    context.close()
    assert wrong == []
