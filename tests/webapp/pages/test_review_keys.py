"""The queue of reviews by keyboard in a real Chromium; and axe, a phone's width and both grounds for its pages."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.factories import MembershipFactory
from tests.webapp.review.held_results import hold, net_said, rule_said
from webapp.gallery.models import Artifact
from webapp.review import services
from webapp.safety import agreement
from webapp.safety.models import Decision
from webapp.workspaces.models import AuditEntry, Membership

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
REVIEW = "/w/mosaics/review/"


@pytest.fixture(autouse=True)
def no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "is_sampled", lambda workspace, number, key: False)


@pytest.fixture
def held(membership: Membership) -> list[Artifact]:
    """Three results that wait: a text, a picture, and another text."""
    author = MembershipFactory.create(workspace=membership.workspace, role="editor", user__username="Bea").user
    return [
        hold(membership.workspace, author, net_said("violence", 0.93)),
        hold(membership.workspace, author, net_said("nudity", 0.84), kind="image"),
        hold(membership.workspace, author, rule_said("troll")),
    ]


def until(page: Page, condition: Callable[[], Any]) -> None:
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came true")


def status(artifact: Artifact) -> str:
    return Artifact.objects.values_list("status", flat=True).get(id=artifact.id)


def test_a_reviewer_needs_no_mouse(page: Page, held: list[Artifact]) -> None:
    page.goto(REVIEW)
    title = page.locator("#item-title")
    expect(title).to_have_text("Violence")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Show what is covered")
    page.keyboard.press("Escape")

    page.keyboard.press("j")
    expect(title).to_have_text("Nudity")
    page.keyboard.press("k")
    expect(title).to_have_text("Violence")
    expect(title).to_be_focused()

    expect(page.locator("#review-content")).not_to_contain_text("fight at sea")
    page.keyboard.press("r")
    expect(page.locator("#review-content")).to_contain_text("a fight at sea")
    expect(page.locator("#review-content")).to_contain_text("brave little boat")
    page.keyboard.press("r")
    expect(page.locator("[data-shown].is-covered")).to_have_count(1)
    assert AuditEntry.objects.get().subject == f"artifact {held[0].id}"

    page.keyboard.press("x")  # without a reason: to its field
    expect(page.locator("#reason")).to_be_focused()
    expect(page.locator("#reason-error")).to_be_visible()
    page.keyboard.type("Too grim, just so.")  # j, k, r, a, x and u are letters here
    page.keyboard.press("Control+Enter")
    expect(page.locator("#undo")).to_contain_text("Rejected: violence")
    expect(title).to_have_text("Nudity")
    assert status(held[0]) == "held"

    page.keyboard.press("u")
    expect(page.locator("#undo")).to_be_hidden()
    expect(title).to_have_text("Violence")
    assert status(held[0]) == "held"

    page.keyboard.press("a")
    expect(page.locator("#undo")).to_contain_text("Released: violence")
    expect(title).to_have_text("Nudity")
    expect(page.locator(f"#row-held-{held[0].id}")).to_have_class("is-pending")
    page.keyboard.press("a")  # the next decision sends the one before
    until(page, lambda: status(held[0]) == "kept")
    expect(title).to_have_text("A term on the list")
    expect(page.locator("[data-row]:not(.is-pending)")).to_have_count(1)

    page.goto("/w/mosaics/gallery/")  # leaving sends at once what was still to be sent
    until(page, lambda: status(held[1]) == "kept")
    page.reload()
    expect(page.locator(".tile")).to_have_count(2)
    assert [entry.act for entry in AuditEntry.objects.all()] == ["looked", "released", "released"]


def test_the_last_one_can_be_taken_back_too_and_then_the_queue_is_empty(page: Page, held: list[Artifact]) -> None:
    page.goto(f"{REVIEW}?kind=image")
    expect(page.locator("[data-row]")).to_have_count(1)
    page.locator("#reason").fill("Too grim.")
    page.locator("#item-title").focus()
    page.keyboard.press("x")
    expect(page.locator("#undo")).to_contain_text("Rejected: nudity")
    expect(page.locator("[data-item]")).to_have_count(0)
    page.keyboard.press("a")  # there is nothing to decide any more
    page.keyboard.press("u")
    expect(page.locator("#item-title")).to_have_text("Nudity")
    assert status(held[1]) == "held"
    page.locator("#reason").fill("Too grim.")
    page.locator("#item-title").focus()
    page.keyboard.press("x")
    until(page, lambda: status(held[1]) == "rejected")
    expect(page.locator("#review")).to_contain_text("Nothing waits for you here")
    expect(page.locator("#undo")).to_be_hidden()


def test_who_comes_second_is_told_who_decided(page: Page, held: list[Artifact], membership: Membership) -> None:
    cy = MembershipFactory.create(workspace=membership.workspace, role="reviewer", user__username="Cy").user
    page.goto(REVIEW)
    expect(page.locator("#item-title")).to_have_text("Violence")
    services.decide(
        cy, membership.workspace, held[0].id,
        task=Decision.Task.HELD, outcome=Decision.Outcome.REJECTED, reason="Too grim.",
    )  # fmt: skip
    page.keyboard.press("a")
    page.keyboard.press("j")
    expect(page.locator("#notice")).to_contain_text("Cy rejected this")
    expect(page.locator("[data-row]")).to_have_count(2)
    assert status(held[0]) == "rejected"


@pytest.mark.parametrize("ground", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_axe_finds_nothing_and_no_page_scrolls_sideways(
    page: Page, held: list[Artifact], membership: Membership, width: int, ground: str
) -> None:
    author = held[2].created_by
    services.decide(
        membership.user, membership.workspace, held[2].id,
        task=Decision.Task.HELD, outcome=Decision.Outcome.REJECTED, reason="Too grim.",
    )  # fmt: skip
    services.appeal(author, held[2].id, "It is a fable.")
    own = hold(membership.workspace, membership.user)
    other = MembershipFactory.create(workspace=membership.workspace, role="reviewer").user
    services.decide(
        other, membership.workspace, own.id,
        task=Decision.Task.HELD, outcome=Decision.Outcome.REJECTED, reason="Not this one.",
    )  # fmt: skip
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if ground == "dark" else "light", reduced_motion="reduce")
    for address in (
        REVIEW,
        f"{REVIEW}held/{held[1].id}/",
        f"{REVIEW}?task=appeal",
        "/w/mosaics/policy/",
        "/w/mosaics/audit/?check=1",
        f"/jobs/{own.job_id}/",
    ):
        page.goto(address)
        while page.locator("details:not([open]) > summary").count():
            page.locator("details:not([open]) > summary").first.click()
        if page.locator("[data-reveal]").count():
            page.keyboard.press("r")
            page.locator("[data-shown]").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        results = Axe().run(page)
        assert results.violations_count == 0, f"{address}: {results.generate_report()}"
