"""The page Drift: what its form means, what it says of bad input, whom it lets in, and the map's file."""

import hashlib
import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from genworkers.contract.image import ImageRequest, Walk
from tests.factories import ArtifactFactory, ArtifactFileFactory, JobFactory, MembershipFactory
from tests.webapp.provenance.samples import WEBP
from webapp.jobs.models import Job
from webapp.provenance import services as provenance
from webapp.workspaces.models import Membership

MAP = WEBP
LABELS = [["apple", "car"], ["cat", "fish"]]
WALK = {"do": "walk", "route": "between", "from_prompt": "a red apple", "to_prompt": "a blue car", "is_loop": "on"}


@pytest.fixture
def drift_net(nets_dir: Path) -> Path:
    """The folder of a drift net as the site sees it: manifest and map."""
    folder = nets_dir / "drift"
    folder.mkdir()
    (folder / "map.webp").write_bytes(MAP)
    entry = {"path": "map.webp", "sha256": hashlib.sha256(MAP).hexdigest(), "num_bytes": len(MAP)}
    write_manifest(folder, files={"map": entry})
    return folder


def write_manifest(folder: Path, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "name": "drift",
        "kind": "image",
        "family": "drift",
        "title": "Drift",
        "num_parameters": 1,
        "sha256": "e" * 64,
        "config": {"map_labels": LABELS},
        "files": {},
        "styles": {"flat": "Flat", "round": "Round"},
        "directions": {"redder": "Redder", "rounder": "Rounder"},
    }
    (folder / "manifest.json").write_text(json.dumps(facts | changes))


@pytest.fixture
def address(drift_net: Path, membership: Membership) -> str:
    """Where the page is, with its net installed."""
    return f"/w/{membership.workspace.slug}/drift/"


def picture_of(membership: Membership, media_type: str = "image/png", **facts: Any) -> Any:
    """A kept picture of the workspace."""
    job = JobFactory.create(
        workspace=membership.workspace, created_by=membership.user, kind="image", status="succeeded", prompt="a fox"
    )
    artifact = ArtifactFactory.create(job=job, original=None, **facts)
    ArtifactFileFactory.create(artifact=artifact, media_type=media_type)
    return artifact


def asked(client: Client, address: str, **fields: str) -> ImageRequest:
    """What became of a form that was taken."""
    response = client.post(address, fields)
    assert response.status_code == 303, unescape(response.content.decode())
    request = Job.objects.get(status="queued").parsed_request
    assert isinstance(request, ImageRequest)
    return request


def refused(client: Client, address: str, **fields: str) -> str:
    """What the page says of a form that was not taken."""
    response = client.post(address, fields)
    assert response.status_code == 422
    assert not Job.objects.filter(status="queued").exists()
    return unescape(response.content.decode())


def test_without_a_net_to_walk_in_the_page_says_how_to_get_one(ada: Client, membership: Membership) -> None:
    address = f"/w/{membership.workspace.slug}/drift/"
    html = ada.get(address).content.decode()
    assert "none is installed" in html
    assert "train_drift" in html
    assert f'href="{address}"' not in html
    assert ada.post(address, WALK).status_code == 404


def test_the_way_there_is_shown_where_a_net_can_walk(ada: Client, address: str) -> None:
    assert f'href="{address}"' in ada.get("/accounts/").content.decode()


def test_strangers_find_no_such_page(ada: Client, address: str) -> None:
    other = MembershipFactory.create()
    assert ada.get(f"/w/{other.workspace.slug}/drift/").status_code == 404
    assert Client().get(address).status_code == 302


def test_a_viewer_may_look_and_not_walk(client: Client, address: str, membership: Membership) -> None:
    viewer = MembershipFactory.create(workspace=membership.workspace, role="viewer")
    client.force_login(viewer.user)
    html = client.get(address).content.decode()
    assert "can start a walk" in html
    assert 'name="do"' not in html
    assert client.post(address, WALK).status_code == 403


def test_a_walk_from_words_to_words(ada: Client, address: str) -> None:
    request = asked(ada, address, **WALK, num_frames="16", fps="8", file_format="gif", style="round", seed="3")
    assert (request.net, request.prompt, request.style, request.seed) == ("drift", "a red apple", "round", 3)
    assert request.walk == Walk(
        route="between", to_prompt="a blue car", num_frames=16, fps=8, file_format="gif", is_loop=True
    )


def test_a_walk_from_a_picture_to_a_point(ada: Client, address: str, membership: Membership) -> None:
    fox = picture_of(membership)
    fields = {"from": "picture", "from_picture": str(fox.id), "to": "map", "to_right": "12.5", "to_down": "99"}
    request = asked(ada, address, do="walk", route="between", **fields)
    assert request.start_image == str(fox.id)
    assert request.prompt == "a fox"
    assert request.walk is not None
    assert request.walk.end_point == [0.125, 0.99]
    assert not request.walk.is_loop


def test_a_walk_along_a_direction_from_a_point(ada: Client, address: str) -> None:
    fields = {"from": "map", "from_right": "90", "from_down": "10", "direction": "rounder", "distance": "-3.5"}
    request = asked(ada, address, do="walk", route="direction", **fields, to_prompt="is not read")
    assert request.map_point == [0.9, 0.1]
    assert request.prompt == "near car"
    assert request.walk is not None
    assert (request.walk.direction, request.walk.distance, request.walk.to_prompt) == ("rounder", -3.5, "")


def test_a_random_walk_on_a_colour(ada: Client, address: str) -> None:
    colour = {"background": "colour", "background-picked": "#336699"}
    request = asked(ada, address, do="walk", route="random", from_prompt="a cat", **colour)
    assert request.background == "#336699"
    assert request.walk is not None
    assert request.walk.route == "random"


def test_the_chosen_place_is_drawn(ada: Client, address: str) -> None:
    request = asked(ada, address, do="picture", from_right="20", from_down="70", from_prompt="", route="between")
    assert request.walk is None
    assert request.map_point == [0.2, 0.7]
    assert request.prompt == "near cat"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"from_prompt": ""}, ["Nothing is written here yet; allowed: 1 to 500 characters", "from_prompt-error"]),
        ({"to_prompt": " "}, ["Nothing is written here yet.", "to_prompt-error"]),
        ({"num_frames": "500"}, ["Out of range: you gave 500; allowed: 2 to 120", "num_frames-error"]),
        ({"num_frames": "many"}, ["This takes a whole number: you gave many", 'value="many"']),
        ({"fps": "0"}, ["you gave 0; allowed: 1 to 30"]),
        ({"file_format": "avi"}, ["There is no such choice: you gave avi", "file_format-error"]),
        ({"seed": "-1"}, ["you gave -1", "seed-error"]),
        ({"style": "baroque"}, ["There is no such style", "one of flat, round"]),
        ({"route": "direction", "direction": "happier"}, ["There is no such direction", "one of redder, rounder"]),
        ({"from": "map", "from_right": "140"}, ["Out of range: you gave 140; allowed: 0 to 100"]),
        ({"to": "map", "to_down": "far"}, ["Write a number", "you gave far", "to_down-error"]),
        ({"from": "picture"}, ["Choose a picture.", "from_picture-error"]),
        ({"to": "picture"}, ["Choose a picture.", "to_picture-error"]),
        ({"route": "sideways"}, ["There is no such choice: you gave sideways"]),
        ({"background": "red"}, ["background-error"]),
    ],
)
def test_bad_input_is_named_at_its_field_and_kept(
    ada: Client, address: str, fields: dict[str, str], said: list[str]
) -> None:
    html = refused(ada, address, **(WALK | fields))
    assert all(words in html for words in said), html
    if "from_prompt" not in fields:
        assert 'value="a red apple"' in html


def test_a_picture_of_others_is_as_unknown_as_none(ada: Client, address: str) -> None:
    theirs = picture_of(MembershipFactory.create())
    for id_ in (str(theirs.id), "0" * 8 + "-0000-4000-8000-" + "0" * 12, "no-id"):
        html = refused(ada, address, **(WALK | {"from": "picture", "from_picture": id_}))
        assert "from_picture-error" in html
        assert "a fox" not in html


def test_only_still_pictures_of_the_workspace_can_be_chosen(ada: Client, address: str, membership: Membership) -> None:
    still, moving = picture_of(membership), picture_of(membership, "image/webp")
    html = ada.get(address).content.decode()
    assert f'value="{still.id}"' in html
    assert f'value="{moving.id}"' not in html


def test_a_picture_in_the_address_is_where_the_walk_begins(ada: Client, address: str, membership: Membership) -> None:
    fox = picture_of(membership)
    html = ada.get(f"{address}?start={fox.id}").content.decode()
    assert f'name="from_picture" value="{fox.id}" checked' in html
    assert 'name="from" value="picture" checked' in html
    for wrong in ("nonsense", picture_of(MembershipFactory.create()).id):
        assert 'name="from" value="words" checked' in ada.get(f"{address}?start={wrong}").content.decode()


def test_what_was_asked_for_last_comes_back(ada: Client, address: str) -> None:
    asked(ada, address, **(WALK | {"to": "map", "to_right": "12.5", "num_frames": "9", "file_format": "mp4"}))
    html = ada.get(address).content.decode()
    for part in ('value="a red apple"', 'value="12.5"', 'value="9"', 'value="mp4" selected', "data-live"):
        assert part in html


def test_a_script_gets_the_form_and_the_job_or_the_form_with_its_problems(ada: Client, address: str) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{address}?start=1"}
    html = ada.post(address, WALK, headers=headers).content.decode()
    assert f'data-job="{Job.objects.get().id}"' in html
    assert 'hx-swap-oob="true"' in html
    assert "<html" not in html
    response = ada.post(address, WALK | {"fps": "99"}, headers=headers)
    assert response.status_code == 422
    assert response.content.decode().lstrip().startswith("<form")


def test_the_map_is_served_to_members_and_kept_by_their_browsers(ada: Client, drift_net: Path) -> None:
    response = ada.get("/nets/drift/map")
    report = provenance.read(response.content, "image/webp")
    assert (report.state, report.is_ours) == ("valid", True)
    assert response["Content-Type"] == "image/webp"
    assert "max-age" in response["Cache-Control"]
    again = ada.get("/nets/drift/map", headers={"If-None-Match": response["ETag"]})
    assert again.status_code == 304
    assert Client().get("/nets/drift/map").status_code == 302


def test_a_map_that_is_no_picture_is_not_there(ada: Client, drift_net: Path) -> None:
    (drift_net / "map.webp").write_bytes(b"RIFF....WEBPVP8 a picture")
    assert ada.get("/nets/drift/map").status_code == 404


@pytest.mark.parametrize("path", ["../secret.webp", "/etc/passwd", "manifest.json", "gone.webp", "", "inside.webp"])
def test_nothing_but_the_map_leaves_the_folder(ada: Client, drift_net: Path, path: str) -> None:
    (drift_net.parent / "secret.webp").write_bytes(b"secret")
    (drift_net / "inside.webp").symlink_to(drift_net.parent / "secret.webp")
    write_manifest(drift_net, files={"map": {"path": path, "sha256": "0" * 64, "num_bytes": 6}})
    assert ada.get("/nets/drift/map").status_code == 404


@pytest.mark.parametrize("net", ["mosaic", "nothing", "..", "drift%2F..%2Fmosaic"])
def test_a_net_without_a_map_has_none(ada: Client, drift_net: Path, net: str) -> None:
    assert ada.get(f"/nets/{net}/map").status_code == 404


@pytest.mark.slow
def test_the_arrow_keys_and_the_pointer_choose_a_point(page: Page, address: str) -> None:
    page.goto(address)
    plane = page.locator("[data-map]")
    plane.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert (page.input_value("#from_right"), page.input_value("#from_down")) == ("51", "42")
    expect(page.locator("[data-where]")).to_have_text("Start: 51 right, 42 down, near car")
    expect(page.locator("[name=from][value=map]")).to_be_checked()
    page.check("[name=sets][value=to]", force=True)
    plane.click(position={"x": 1, "y": 1})
    assert float(page.input_value("#to_right")) < 2
    expect(page.locator("[name=to][value=map]")).to_be_checked()
    expect(page.locator("[data-way]")).to_have_attribute(
        "d",
        "M51,42 L0.2,0.2".replace("0.2,0.2", ",".join([page.input_value("#to_right"), page.input_value("#to_down")])),
    )


@pytest.mark.slow
def test_a_walk_is_asked_for_without_leaving_the_page(page: Page, address: str) -> None:
    page.goto(address)
    page.fill("#from_prompt", "a red apple")
    page.fill("#to_prompt", "a blue car")
    page.fill("#num_frames", "1000")
    page.press("#to_prompt", "Enter")
    expect(page.locator("#num_frames-error")).to_contain_text("you gave 1000; allowed: 2 to 120")
    expect(page.locator("#num_frames")).to_be_focused()
    page.fill("#num_frames", "10")
    page.press("#num_frames", "Control+Enter")
    expect(page.locator(".drift .stage")).to_contain_text("a red apple")
    assert page.input_value("#to_prompt") == "a blue car"
