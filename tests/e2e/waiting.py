"""Waiting for a condition from outside the page: its content policy forbids the eval that `wait_for_function` needs."""

import time

from playwright.sync_api import Page

WAIT_S = 120.0


def until(page: Page, condition: str) -> None:
    """Return once this JavaScript expression is true.

    Raises:
        AssertionError: it stayed false for WAIT_S.
    """
    deadline = time.monotonic() + WAIT_S
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"still false: {condition}"
        page.wait_for_timeout(50)
