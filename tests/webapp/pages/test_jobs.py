"""The job page, the cancel button and the queue."""

import uuid
from typing import Any

import pytest
from django.test import Client

from tests.factories import JobFactory, MembershipFactory
from webapp.jobs.models import Job
from webapp.studio.templatetags import studio
from webapp.workspaces.models import Membership


def job_in(membership: Membership, **fields: object) -> Job:
    made: Job = JobFactory.create(workspace=membership.workspace, created_by=membership.user, **fields)
    return made


def test_an_open_job_is_followed_live(ada: Client, membership: Membership) -> None:
    job = job_in(membership)
    html = ada.get(f"/jobs/{job.id}/").content.decode()
    assert f'data-socket="/ws/jobs/{job.id}/"' in html
    assert " data-live" in html
    assert "data-cancel" in html


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("failed", "The engine stopped."),
        ("blocked", "The engine stopped."),
        ("held", "shown to reviewers alone"),
        ("cancelled", "This job was cancelled."),
        ("expired", "Try again when the queue is shorter."),
    ],
)
def test_an_ended_job_says_how_it_ended_and_offers_its_prompt(
    ada: Client, membership: Membership, status: str, words: str
) -> None:
    html = ada.get(f"/jobs/{job_in(membership, status=status).id}/").content.decode()
    assert words in html
    assert "Use this prompt again" in html
    assert " data-live" not in html


def test_the_stage_comes_alone_for_a_page_that_is_open(ada: Client, membership: Membership) -> None:
    html = ada.get(f"/jobs/{job_in(membership).id}/", {"part": "stage"}).content.decode()
    assert html.startswith("<section")
    assert "<html" not in html


def test_a_foreign_and_an_unknown_job_are_both_not_there(ada: Client) -> None:
    foreign = job_in(MembershipFactory.create())
    for job_id in (foreign.id, uuid.uuid4()):
        assert ada.get(f"/jobs/{job_id}/").status_code == 404
        assert ada.post(f"/jobs/{job_id}/cancel/").status_code == 404
    foreign.refresh_from_db()
    assert foreign.status == "queued"


def test_cancel_ends_a_waiting_job_and_a_second_one_is_told_so(ada: Client, membership: Membership) -> None:
    job = job_in(membership)
    assert ada.post(f"/jobs/{job.id}/cancel/")["Location"] == f"/jobs/{job.id}/"
    job.refresh_from_db()
    assert job.status == "cancelled"
    second = ada.post(f"/jobs/{job.id}/cancel/", headers={"HX-Request": "true"})
    assert second.status_code == 409
    assert "job_already_ended" in second.content.decode()


def test_a_viewer_may_watch_but_not_cancel(client: Client, membership: Membership) -> None:
    client.force_login(MembershipFactory.create(workspace=membership.workspace, role="viewer").user)
    job = job_in(membership)
    assert "data-cancel" not in client.get(f"/jobs/{job.id}/").content.decode()
    assert client.post(f"/jobs/{job.id}/cancel/").status_code == 403


def test_the_queue_shows_every_open_job_with_its_place(ada: Client, membership: Membership) -> None:
    first, second = job_in(membership, prompt="first wish"), job_in(membership, prompt="second wish")
    job_in(MembershipFactory.create(), prompt="foreign wish")
    html = ada.get(f"/w/{membership.workspace.slug}/queue/").content.decode()
    assert html.index(f"open-{first.id}") < html.index(f"open-{second.id}")
    assert "next" in html
    assert "number 2" in html
    assert "foreign wish" not in html


def test_the_refreshed_rows_bring_the_badge_along(ada: Client, membership: Membership) -> None:
    job_in(membership)
    html = ada.get(f"/w/{membership.workspace.slug}/queue/", {"part": "rows"}).content.decode()
    assert 'id="queue-badge" hx-swap-oob="true">1<' in html
    assert "<html" not in html


def test_an_empty_queue_says_so(ada: Client, membership: Membership) -> None:
    assert "Nothing waits" in ada.get(f"/w/{membership.workspace.slug}/queue/").content.decode()


def test_the_queue_tells_what_the_jobs_of_thirty_days_have_cost(
    ada: Client, membership: Membership, settings: Any
) -> None:
    address = f"/w/{membership.workspace.slug}/queue/"
    assert "In 30 days" not in ada.get(address).content.decode()
    settings.GRID_G_PER_KWH, settings.GRID_NAME = 500.0, "a grid"
    job = job_in(membership, status="succeeded", energy_j=7200.0, energy_source="estimate")
    html = ada.get(address).content.decode()
    assert "In 30 days: 2 Wh for 1 job, estimated." in html
    assert "That is 1 g of CO₂, at 500 g a kWh (a grid)." in html
    settings.GRID_G_PER_KWH = 0.0
    assert "CO₂" not in ada.get(address).content.decode()
    assert "2 Wh, estimated" in ada.get(f"/jobs/{job.id}/").content.decode()


@pytest.mark.parametrize(
    ("joules", "words"),
    [(0.0, "0 J"), (1.234, "1.2 J"), (12.6, "13 J"), (3599.0, "3,599 J"), (7200.0, "2 Wh"), (5e6, "1.4 kWh")],
)
def test_energy_is_said_in_a_unit_that_fits(joules: float, words: str) -> None:
    assert studio.energy(joules) == words
