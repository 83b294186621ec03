"""Pages of pictures: how a form asks for them, what their label says, how they go on, drafts."""

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import AsyncClient, Client

from genworkers.contract.events import Preview
from genworkers.contract.image import ImageRequest, Walk
from tests.factories import ArtifactFactory, JobFactory, MembershipFactory
from tests.webapp.api import fake_worker
from webapp.gallery.explanation import place_of
from webapp.gallery.models import Artifact
from webapp.gallery.recall import recalled
from webapp.jobs.models import Job
from webapp.workspaces.models import Membership

STUDIO = "/w/mosaics/"
APPLE = {"kind": "image", "prompt": "a red apple"}
TILE = "data:image/webp;base64,AAAA"


def install(nets_dir: Path, name: str, family: str, **fields: Any) -> None:
    """One more net, as its manifest."""
    facts: dict[str, Any] = {"num_parameters": 1, "sha256": "c" * 64, "config": {}, "files": {}}
    facts |= {"name": name, "kind": "image", "family": family, "title": name.title()}
    (nets_dir / name).mkdir()
    (nets_dir / name / "manifest.json").write_text(json.dumps(facts | fields))


def asked() -> ImageRequest:
    """The request of the newest job."""
    request = Job.objects.latest("created_at").parsed_request
    assert isinstance(request, ImageRequest)
    return request


def kept(membership: Membership, *, facts: dict[str, Any] | None = None, **fields: Any) -> Artifact:
    """A picture of this workspace, made with these fields of a request."""
    request = ImageRequest.model_validate(APPLE | {"seed": 7, "style": "flat"} | fields)
    mine: dict[str, Any] = {"workspace": membership.workspace, "created_by": membership.user}
    job = JobFactory.create(
        kind="image", prompt=request.prompt, request=request.model_dump(mode="json"), status="succeeded", **mine
    )
    made: Artifact = ArtifactFactory.create(job=job, facts=facts or {})
    return made


def page_of(client: Client, artifact: Artifact) -> str:
    return client.get(f"/artifacts/{artifact.id}/").content.decode()


@pytest.mark.parametrize(
    ("fields", "background"),
    [
        ({"image-background": "transparent", "image-background-picked": "#ff0000"}, "transparent"),
        ({"image-background": "colour", "image-background-picked": "#ff0000"}, "#ff0000"),
        ({"image-background": "#00ff00"}, "#00ff00"),
        ({}, "transparent"),
    ],
)
def test_a_colour_is_picked_without_a_script(
    ada: Client, membership: Membership, fields: dict[str, str], background: str
) -> None:
    ada.post(STUDIO, APPLE | fields)
    assert asked().background == background
    html = ada.get(STUDIO).content.decode()
    assert f'value="{background if background.startswith("#") else "#ffffff"}" aria-label="The colour"' in html


def test_a_colour_that_is_none_is_named_at_its_field(ada: Client, membership: Membership) -> None:
    response = ada.post(STUDIO, APPLE | {"image-background": "colour", "image-background-picked": "red"})
    assert response.status_code == 422
    assert "string_pattern_mismatch" in response.content.decode()


def test_the_start_picture_is_posted_kept_and_named_when_it_is_unknown(ada: Client, membership: Membership) -> None:
    start = kept(membership)
    ada.post(STUDIO, APPLE | {"image-start_image": str(start.id), "image-strength": "0.25"})
    assert (asked().start_image, asked().strength) == (str(start.id), 0.25)
    html = ada.get(STUDIO).content.decode()
    assert f'name="image-start_image" value="{start.id}" data-address="/artifacts/{start.id}/content"' in html
    unknown = uuid4()
    response = ada.post(STUDIO, APPLE | {"image-start_image": str(unknown)})
    html = response.content.decode()
    assert response.status_code in (404, 422)
    assert f'value="{unknown}" data-address=""' in html
    assert "input_unknown" in html


def test_a_start_picture_of_another_workspace_is_not_shown(ada: Client, membership: Membership) -> None:
    foreign = kept(MembershipFactory.create())
    html = ada.post(STUDIO, APPLE | {"image-start_image": str(foreign.id)}).content.decode()
    assert f"/artifacts/{foreign.id}/content" not in html


def test_an_older_start_picture_does_not_join_another_prompt(ada: Client, membership: Membership) -> None:
    start = kept(membership)
    ada.post(STUDIO, APPLE | {"image-start_image": str(start.id)})
    html = ada.get(STUDIO, {"kind": "image", "prompt": "a rocket"}).content.decode()
    assert 'name="image-start_image" value=""' in html


def test_the_styles_stand_by_net(ada: Client, membership: Membership, nets_dir: Path) -> None:
    install(nets_dir, "characters", "mosaic", styles={"pixel": "Pixel art"})
    html = ada.get(STUDIO).content.decode()
    assert html.count('<optgroup label="For Characters"><option value="pixel">Pixel art</option></optgroup>') == 2
    assert "not installed" not in html


def test_recall_verbs_of_a_picture_begin_with_it(membership: Membership, nets_dir: Path) -> None:
    artifact = kept(membership, draft_seed=5, num_images=4)
    begun = {
        "kind": "image",
        "prompt": "a red apple",
        "net": "mosaic",
        "style": "flat",
        "start_image": str(artifact.id),
    }
    assert recalled(artifact, "start") == begun
    assert recalled(artifact, "edit") == begun | {"editor": "yes"}
    again = recalled(artifact, "all")
    assert (again["draft_seed"], again["num_images"], again["seed"]) == ("5", "1", "7")
    install(nets_dir, "spark", "spark", styles={"bold": "Bold"})
    drawn_by_spark = kept(membership, net="spark", style="bold")
    assert recalled(drawn_by_spark, "start") | {"start_image": ""} == begun | {"style": "", "start_image": ""}


def test_vary_asks_at_once_for_four_others(ada: Client, membership: Membership) -> None:
    artifact = kept(membership)
    html = page_of(ada, artifact)
    form = html.partition('aria-label="Go on from this picture"')[2].partition("</form>")[0]
    names = [part.partition('"')[0] for part in form.split('type="hidden" name="')[1:]]
    values = [part.partition('"')[0] for part in form.split('value="')[1:]]
    posted = {name: value for name, value in zip(names, values, strict=True) if name != "csrfmiddlewaretoken"}
    ada.post(STUDIO, posted)
    assert (asked().start_image, asked().strength, asked().num_images) == (str(artifact.id), 0.5, 4)
    assert asked().seed is not None


def test_a_viewer_is_offered_no_verbs(client: Client, membership: Membership) -> None:
    viewer = MembershipFactory.create(workspace=membership.workspace, role="viewer")
    client.force_login(viewer.user)
    assert "Go on from this picture" not in page_of(client, kept(membership))


def test_the_label_says_what_a_picture_was_made_from_and_what_of_it(ada: Client, membership: Membership) -> None:
    start = kept(membership)
    child = kept(membership, start_image=str(start.id), mask=str(uuid4()))
    assert f'href="/artifacts/{child.id}/"' in page_of(ada, start)
    html = page_of(ada, child)
    assert "part of a picture of this workspace" in html
    assert f'href="/artifacts/{start.id}/"' in html
    assert "the draft with seed 5" in page_of(ada, kept(membership, draft_seed=5))
    assert "a picture that is not here any more" in page_of(ada, kept(membership, start_image=str(uuid4())))


def test_the_label_says_how_unusual_a_picture_is(ada: Client, membership: Membership) -> None:
    facts = {"unlikeness": {"net": "drift", "percentile_frac": 0.834}}
    assert "More unusual than 83 %" in page_of(ada, kept(membership, facts=facts))
    assert "More unusual than" not in page_of(ada, kept(membership))


def test_the_words_say_where_they_drew(ada: Client, membership: Membership) -> None:
    maps = bytes([255, 0, 0, 0]) + bytes([7, 7, 7, 7])
    told = {"words": ["red", "<b>"], "grid": 2, "maps": b64encode(maps).decode()}
    html = page_of(ada, kept(membership, facts={"explanation": told}))
    assert 'red<span class="sr">: mostly top left</span>' in html
    assert '&lt;b&gt;<span class="sr">: all over</span>' in html
    assert "<canvas" not in page_of(ada, kept(membership)).partition("exhibit__work")[2].partition("<aside")[0]


@pytest.mark.parametrize(
    "told", [{}, {"words": ["a"], "grid": 2, "maps": "AAAA"}, {"words": ["a"], "grid": 2, "maps": "?"}]
)
def test_facts_that_explain_nothing_do_no_harm(ada: Client, membership: Membership, told: dict[str, Any]) -> None:
    assert "heat__word" not in page_of(ada, kept(membership, facts={"explanation": told}))


@pytest.mark.parametrize(
    ("spot", "words"),
    [
        ((0, 1), "mostly top"),
        ((2, 2), "mostly bottom right"),
        ((1, 1), "mostly in the middle"),
        ((1, 0), "mostly left"),
    ],
)
def test_a_place_is_named_by_its_ninth(spot: tuple[int, int], words: str) -> None:
    values = bytearray(9)
    values[spot[0] * 3 + spot[1]] = 255
    assert place_of(bytes(values), 3) == words


def test_a_walk_is_shown_as_what_it_is(ada: Client, membership: Membership) -> None:
    film = kept(membership, net="drift", walk=Walk(route="random", file_format="mp4"))
    html = page_of(ada, film)
    assert f'<video src="/artifacts/{film.id}/content"' in html
    assert "Walk of 32 pictures" in html
    assert "Other formats" not in html
    assert "Use as start" not in html
    moving = kept(membership, net="drift", walk=Walk(route="random"))
    assert f'<img src="/artifacts/{moving.id}/content"' in page_of(ada, moving)
    assert f'<video src="/artifacts/{film.id}/content"' in ada.get(f"/jobs/{film.job_id}/").content.decode()


def test_without_a_net_for_drafts_there_is_no_strip(ada: Client, membership: Membership, nets_dir: Path) -> None:
    assert 'id="drafts"' not in ada.get(STUDIO).content.decode()
    assert ada.post(f"{STUDIO}drafts/", {"prompt": "a cat"}).status_code == 404
    install(nets_dir, "spark", "spark")
    assert 'id="drafts"' in ada.get(STUDIO).content.decode()


@pytest.mark.parametrize("data", [{}, {"prompt": " "}, {"prompt": "x" * 501}])
def test_drafts_of_no_prompt_are_refused(ada: Client, membership: Membership, nets_dir: Path, data: Any) -> None:
    install(nets_dir, "spark", "spark")
    assert ada.post(f"{STUDIO}drafts/", data, headers={"HX-Request": "true"}).status_code == 422
    assert not Job.objects.exists()


def test_drafts_are_for_members(client: Client, membership: Membership, nets_dir: Path) -> None:
    install(nets_dir, "spark", "spark")
    assert client.post(f"{STUDIO}drafts/", {"prompt": "a cat"}).status_code == 401
    client.force_login(MembershipFactory.create().user)
    assert client.post(f"{STUDIO}drafts/", {"prompt": "a cat"}).status_code == 404


@pytest.mark.django_db(transaction=True)
async def test_four_drafts_come_with_their_seeds_and_give_up_the_older_ones(
    membership: Membership, nets_dir: Path
) -> None:
    install(nets_dir, "spark", "spark", styles={"bold": "Bold"})
    client = AsyncClient()
    await client.aforce_login(membership.user)
    older = await asyncio.to_thread(_draft_job, membership)
    previews = [Preview(index=index, step=1, num_steps=1, num_decided=1, num_tiles=1, image=TILE) for index in range(4)]
    fields = {"prompt": "a cat", "image-style": "flat"}
    response, _ = await asyncio.gather(
        client.post(f"{STUDIO}drafts/", fields), fake_worker.work((previews, fake_worker.succeed))
    )
    html = response.content.decode()
    job = await Job.objects.exclude(id=older.id).aget()
    assert [f'data-draft="{job.request["seed"] + index}"' in html for index in range(4)] == [True] * 4
    assert html.count(TILE) == 4
    assert (job.is_draft, job.request["net"], job.request["style"]) == (True, "spark", "bold")
    await older.arefresh_from_db()
    assert older.cancel_requested_at is not None


def _draft_job(membership: Membership) -> Job:
    mine: dict[str, Any] = {"workspace": membership.workspace, "created_by": membership.user}
    made: Job = JobFactory.create(kind="image", is_draft=True, status="running", **mine)
    return made
