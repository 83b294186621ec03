"""The live client in a real Chromium against a socket that misbehaves: repeats, gaps, losses, trimmed logs."""

import json
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, WebSocketRoute, expect

from genworkers.contract.text import TextRequest
from tests.factories import JobFactory
from webapp.jobs.models import Job
from webapp.workspaces.models import Membership

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
WAIT_MS = 20_000
Open = Callable[[Job], list[WebSocketRoute]]


@pytest.fixture
def watch(page: Page) -> Open:
    """Opens the page of a job; returns the sockets that the page has opened, oldest first."""
    sockets: list[WebSocketRoute] = []

    def keep(socket: WebSocketRoute) -> None:
        sockets.append(socket)

    def opened(job: Job) -> list[WebSocketRoute]:
        page.route_web_socket("**/ws/jobs/**", keep)
        page.goto(f"/jobs/{job.id}/")
        wait_for(page, lambda: len(sockets) == 1)
        return sockets

    return opened


def wait_for(page: Page, condition: Callable[[], bool]) -> None:
    for _ in range(WAIT_MS // 50):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came true")


def job_of(membership: Membership, **fields: Any) -> Job:
    made: Job = JobFactory.create(workspace=membership.workspace, created_by=membership.user, **fields)
    return made


def say(socket: WebSocketRoute, seq: int, **event: Any) -> None:
    """One event of the log, as the server sends it."""
    socket.send(json.dumps({"type": "event", "seq": seq, "event": event}))


def write(socket: WebSocketRoute, *pieces: str, after: int = 0) -> None:
    """`started`, unless the log is beyond it, then one text event per piece."""
    if after == 0:
        say(socket, 1, kind="started", attempt=1, num_steps=100, seed=7)
    for place, piece in enumerate(pieces):
        say(socket, max(after, 1) + 1 + place, kind="text", text=piece, num_tokens=place + 1)


def test_a_repeat_is_shown_once(page: Page, membership: Membership, watch: Open) -> None:
    socket = watch(job_of(membership))[0]
    write(socket, "Once ", "upon ")
    write(socket, "Once ", "upon ")
    say(socket, 4, kind="text", text="a time", num_tokens=3)
    expect(page.locator(".words")).to_have_text("Once upon a time")


def test_several_texts_grow_each_in_its_place(page: Page, membership: Membership, watch: Open) -> None:
    request = TextRequest(prompt="a boat", num_texts=2, max_tokens=10, seed=7).model_dump(mode="json")
    socket = watch(job_of(membership, request=request))[0]
    say(socket, 1, kind="started", attempt=1, num_steps=20, seed=7)
    say(socket, 2, kind="text", index=0, text="Once ", num_tokens=1)
    say(socket, 3, kind="text", index=1, text="There ", num_tokens=2)
    say(socket, 4, kind="text", index=0, text="upon", num_tokens=10, finish_reason="length")
    say(socket, 5, kind="text", index=1, text="was", num_tokens=3, finish_reason="stop")
    expect(page.locator(".words")).to_have_text(["Once upon", "There was"])
    expect(page.locator(".text__end")).to_have_text(["Cut at 10 tokens", "Ended by itself"])
    expect(page.locator(".course")).to_have_attribute("aria-valuenow", "13")
    say(socket, 6, kind="queued", attempt=1, reason="worker_lost")
    expect(page.locator(".words")).to_have_text(["", ""])


def test_a_gap_is_asked_for_again(page: Page, membership: Membership, watch: Open) -> None:
    sockets = watch(job_of(membership))
    write(sockets[0], "Once ", "upon ")
    say(sockets[0], 6, kind="text", text="LATE", num_tokens=5)
    wait_for(page, lambda: len(sockets) == 2)
    assert sockets[1].url.endswith("?after=3")
    write(sockets[1], "a ", "time ", "there", after=3)
    expect(page.locator(".words")).to_have_text("Once upon a time there")


def test_a_lost_connection_goes_on_where_it_broke(page: Page, membership: Membership, watch: Open) -> None:
    sockets = watch(job_of(membership))
    write(sockets[0], "Once ")
    expect(page.locator(".words")).to_contain_text("Once")
    sockets[0].close(code=1011)
    expect(page.locator(".stage__wait")).to_contain_text("Connection lost")
    wait_for(page, lambda: len(sockets) == 2)
    assert sockets[1].url.endswith("?after=2")
    write(sockets[1], "upon", after=2)
    expect(page.locator(".words")).to_have_text("Once upon")


def test_a_log_that_is_away_is_asked_again_later(page: Page, membership: Membership, watch: Open) -> None:
    sockets = watch(job_of(membership))
    write(sockets[0], "Once ")
    sockets[0].send(json.dumps({"type": "unavailable"}))
    expect(page.locator(".stage__wait")).to_contain_text("Connection lost")
    wait_for(page, lambda: len(sockets) == 2)
    assert sockets[1].url.endswith("?after=2")


def test_a_socket_that_fell_silent_is_replaced(page: Page, membership: Membership, watch: Open) -> None:
    page.clock.install()
    sockets = watch(job_of(membership))
    write(sockets[0], "Once ")
    expect(page.locator(".words")).to_contain_text("Once")
    page.clock.fast_forward(13_000)
    page.clock.run_for(2_000)
    wait_for(page, lambda: len(sockets) == 2)
    assert sockets[1].url.endswith("?after=2")


@pytest.mark.parametrize(("code", "text"), [(4404, "not here any more"), (4401, "Sign in again")])
def test_a_final_refusal_is_said_and_not_retried(
    page: Page, membership: Membership, watch: Open, code: int, text: str
) -> None:
    sockets = watch(job_of(membership))
    sockets[0].close(code=code)
    expect(page.locator("#live")).to_contain_text(text)
    page.wait_for_timeout(1500)
    assert len(sockets) == 1


def test_a_trimmed_log_is_replaced_by_the_page_of_the_job(page: Page, membership: Membership, watch: Open) -> None:
    job = job_of(membership, status="running")
    sockets = watch(job)
    sockets[0].send(json.dumps({"type": "offset_lost", "seq": 40, "snapshot": {}}))
    wait_for(page, lambda: len(sockets) == 2)
    assert sockets[1].url.endswith("?after=40")
    write(sockets[1], "and so on", after=40)
    expect(page.locator(".words")).to_have_text("and so on")
    expect(page.locator(".state")).to_have_text("In progress")


def test_another_attempt_starts_from_nothing(page: Page, membership: Membership, watch: Open) -> None:
    socket = watch(job_of(membership))[0]
    write(socket, "First ", "try")
    say(socket, 4, kind="queued", attempt=1, reason="worker_lost")
    expect(page.locator(".state")).to_have_text("Waiting")
    say(socket, 5, kind="started", attempt=2, num_steps=100, seed=7)
    say(socket, 6, kind="text", text="Second", num_tokens=1)
    expect(page.locator(".words")).to_have_text("Second")


def test_a_heartbeat_says_what_is_waited_for(page: Page, membership: Membership, watch: Open) -> None:
    socket = watch(job_of(membership))[0]
    socket.send(json.dumps({"type": "heartbeat", "seq": 0, "status": "queued", "position": 3, "eta_s": 40.0}))
    expect(page.locator(".stage__wait")).to_have_text("Number 3 in the queue, about 40 s left")


def test_tiles_fill_in_and_the_kept_picture_takes_their_place(page: Page, membership: Membership, watch: Open) -> None:
    socket = watch(job_of(membership, kind="image", prompt="a red apple"))[0]
    picture = Image.new("RGBA", (64, 64))
    picture.paste((255, 0, 0, 255), (0, 0, 32, 64))
    file = BytesIO()
    picture.save(file, "png")
    say(socket, 1, kind="started", attempt=1, num_steps=4, seed=7)
    image = f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
    say(socket, 2, kind="preview", index=0, step=2, num_steps=4, num_decided=128, num_tiles=256, image=image)
    red_of = """(x) => { const c = document.querySelector('.picture canvas');
        return [...c.getContext('2d').getImageData(c.width * x, c.height * 0.47, 1, 1).data].slice(0, 3).join(); }"""
    wait_for(page, lambda: page.evaluate(red_of, 0.22) == "255,0,0")
    assert page.evaluate(red_of, 0.72) != "255,0,0"
    assert page.locator(".course i.is-set").count() == 2
    say(socket, 3, kind="stored", artifact_id="01935f5e-0000-7000-8000-000000000000", index=0)
    expect(page.locator(".picture a")).to_have_attribute("href", "/artifacts/01935f5e-0000-7000-8000-000000000000/")


@pytest.mark.parametrize("ending", ["succeeded", "failed", "cancelled", "expired", "blocked", "held"])
def test_every_ending_is_shown_as_the_server_tells_it(
    page: Page, membership: Membership, watch: Open, ending: str
) -> None:
    job = job_of(membership, status="running")
    sockets = watch(job)
    ended: Job = JobFactory.build(status=ending, workspace=membership.workspace, created_by=membership.user)
    fields = {"status": ending, "finished_at": ended.finished_at, "error_message": ended.error_message}
    Job.objects.filter(id=job.id).update(error_code=ended.error_code, **fields)
    write(sockets[0], "words on the way")
    say(sockets[0], 3, kind=ending, **{"failed": {"code": "x", "message": "x"}}.get(ending, {}))
    expect(page.locator(f".stage[data-status={ending}]")).to_be_visible()
    expect(page.locator(".stage__foot")).to_contain_text("Use this prompt again")
    expect(page.locator("[data-cancel]")).to_have_count(0)
    expect(page.locator(".words")).to_have_count(1 if ending == "succeeded" else 0)
    page.wait_for_timeout(700)
    assert len(sockets) == 1
