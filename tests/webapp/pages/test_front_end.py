"""What the pages are made of: events, icons and files that exist, nothing inline, nothing from elsewhere."""

import re
from pathlib import Path
from typing import get_args

import pytest
from django.conf import settings
from django.test import Client

from genworkers.contract.events import JobEvent
from webapp.workspaces.models import Membership

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "js").glob("*.js"))
STYLES = sorted((ROOT / "static" / "css").glob("*.css"))


def test_the_browser_handles_exactly_the_event_kinds_of_the_contract() -> None:
    script = (ROOT / "static" / "js" / "job.js").read_text()
    block = script.partition("const handlers = {")[2].partition("\n};")[0]
    handled = set(re.findall(r"^  (\w+)\(", block, re.MULTILINE))
    union = get_args(get_args(JobEvent)[0])
    assert handled == {event.model_fields["kind"].default for event in union}


def test_the_browser_has_a_word_for_every_state_of_a_job() -> None:
    script = (ROOT / "static" / "js" / "job.js").read_text()
    words = script.partition("const STATE_WORDS = {")[2].partition("};")[0]
    page = (ROOT / "templates" / "jobs" / "_state_word.html").read_text()
    for state, word in re.findall(r'(\w+): "([^"]+)"', words):
        assert f'status == "{state}" %}}{word}' in page


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_nothing_is_inline(template: Path) -> None:
    html = template.read_text()
    assert not re.search(r"\sstyle=|\son\w+=|hx-on|<style", html)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", html))


def test_nothing_comes_from_elsewhere() -> None:
    for path in [*TEMPLATES, *SCRIPTS, *STYLES]:
        assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", path.read_text()), path.name


def test_every_icon_and_every_static_file_exists() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static" / "img" / "icons.svg").read_text()))
    for template in TEMPLATES:
        html = template.read_text()
        assert set(re.findall(r'{% icon "([\w-]+)" %}', html)) <= sprite, template.name
        for name in re.findall(r"{% static '([^']+)' %}", html):
            assert (ROOT / "static" / name).exists(), name


def test_colours_stand_in_the_tokens_alone() -> None:
    for path in STYLES:
        if path.name != "tokens.css":
            strange = set(re.findall(r"#[0-9a-fA-F]{3,8}\b", path.read_text()))
            assert strange == set(), f"{path.name}: {strange}"


def test_every_answer_forbids_foreign_content(client: Client, membership: Membership) -> None:
    client.force_login(membership.user)
    for address in ("/accounts/login/", f"/w/{membership.workspace.slug}/", "/nowhere/"):
        assert "default-src 'self'" in client.get(address)["Content-Security-Policy"]


def test_every_page_has_one_place_where_an_error_is_shown(client: Client, membership: Membership) -> None:
    assert client.get("/verify/").content.decode().count('id="notice"') == 1
    client.force_login(membership.user)
    inside = [f"/w/mosaics/{page}" for page in ("", "gallery/", "queue/", "review/", "policy/", "audit/")]
    for address in (*inside, "/verify/", "/accounts/", "/nets/", "/audits/"):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.content.decode().count('id="notice"') == 1, address


def test_an_unknown_address_gets_a_page_of_ours(client: Client, db: None) -> None:
    response = client.get("/nowhere/")
    assert response.status_code == 404
    assert "There is no such page here" in response.content.decode()
