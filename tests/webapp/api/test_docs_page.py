"""The page that explains the API, in a real browser that reaches this studio and nothing else."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_page_works_offline(page: Page, live_server: Any) -> None:
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("requestfailed", lambda request: trouble.append(request.url))
    page.goto(f"{live_server.url}/api/v1/docs")
    expect(page.get_by_text("/api/v1/jobs/{job_id}/events")).to_be_visible()
    page.get_by_text("Create a job").click()
    expect(page.get_by_text("brave little boat").first).to_be_visible()
    assert trouble == []
