"""The catalogue: every net and screen with its card, the audits, strangers' cards, and all of it in a real Chromium."""

import json
from html import unescape
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page
from pytest_django import Settings

from tests.factories import ArtifactFactory
from webapp.catalog.audits import AUDITS
from webapp.env import BASE_DIR
from webapp.workspaces.models import Membership

HOUSE = BASE_DIR / "genworkers" / "weights"
HOUSE_NETS = sorted(path.parent.name for path in HOUSE.glob("*/manifest.json"))
SCREENS = sorted(path.parent.name for path in HOUSE.glob("screens/*/manifest.json"))
HOSTILE = """\
# Stranger

<script>document.title = "taken"</script> <img src=x onerror="document.title = 'taken'">

[click](javascript:alert(1)) [out](https://elsewhere.example) ![spy](https://spy.example/pixel.png)

##### Deep

| | a | b | c | d | e | f |
|:-:|--:|---|---|---|---|---|
| a-name-that-goes-on-and-on | 1234567890 | 1234567890 | 1234567890 | 1234567890 | 1234567890 | 1234567890 |

``` evil" onclick="1
a line of code that is much longer than a phone is wide, and then some, and then some more
```
"""
DOCUMENT = """\
# Marks

**Question.** How surely is it found?

| attack | TPR at 1e-3 | TPR at 1e-6 | PSNR |
|---|---:|---:|---:|
| JPEG 50 | 0.99 | 0.97 | 42.0 |

## Limits

See [the screen](2026-11-21-text-screen.md) and [the code](../../genworkers/marks/image_mark.py).
"""


@pytest.fixture
def house(settings: Settings) -> None:
    """The nets that come with the code instead of the small ones of the other tests."""
    settings.NETS_DIR = HOUSE


@pytest.fixture
def stranger(nets_dir: Path, settings: Settings) -> str:
    """The name of an added net with a hostile card and an adapter."""
    folder = settings.ADDED_NETS_DIR / "stranger"
    folder.mkdir(parents=True)
    content = json.loads((nets_dir / "llama-tessera-text" / "manifest.json").read_text())
    facts = {
        "name": "stranger",
        "title": "<b>Stranger</b>",
        "notice": "Built with <script>",
        "licences": ["Apache-2.0, <i>theirs</i>"],
        "source": {"repository": "someone/net", "revision": "abc", "files": {"model.safetensors": "d" * 64}},
    }
    (folder / "manifest.json").write_text(json.dumps(content | facts))
    (folder / "card.md").write_text(HOSTILE)
    adapter = settings.ADAPTERS_DIR / "stranger" / "pirate"
    adapter.mkdir(parents=True)
    trained = {"name": "pirate", "title": "Pirate", "base": "stranger", "base_sha256": content["sha256"]}
    rest = {"rank": 2, "alpha": 4.0, "targets": [], "sha256": "d" * 64}
    (adapter / "adapter.json").write_text(json.dumps(trained | rest))
    return "stranger"


@pytest.fixture
def documents(tmp_path: Path, settings: Settings) -> None:
    """Two of the audits are there, the others are not."""
    settings.AUDITS_DIR = tmp_path / "documents"
    settings.AUDITS_DIR.mkdir()
    for one in AUDITS:
        if one.name in ("text-screen", "picture-marks"):
            (settings.AUDITS_DIR / one.file).write_text(DOCUMENT)


def page_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


@pytest.mark.parametrize("address", ["/nets/", "/nets/mosaic/", "/screens/text/", "/audits/", "/audits/text-screen/"])
def test_who_is_not_signed_in_is_sent_to_sign_in(client: Client, db: None, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={address}"


@pytest.mark.usefixtures("house")
def test_every_house_net_and_screen_is_listed_and_has_a_page_with_its_card(ada: Client) -> None:
    listed = page_of(ada, "/nets/")
    assert len(HOUSE_NETS) >= 5
    assert SCREENS == ["picture", "text"]
    for place, names in (("nets", HOUSE_NETS), ("screens", SCREENS)):
        for name in names:
            folder = HOUSE / name if place == "nets" else HOUSE / "screens" / name
            manifest = json.loads((folder / "manifest.json").read_text())
            assert f'href="/{place}/{name}/"' in listed
            page = page_of(ada, f"/{place}/{name}/")
            assert f"<h1>{manifest['title']}</h1>" in page
            assert f"{manifest['num_parameters']:,}" in page
            assert manifest["sha256"] in page
            assert 'class="document"' in page
            assert "style=" not in page
            assert "<img" not in page
            assert page.count("<h1") == 1
    assert "No card beside" not in listed
    thresholds = json.loads((HOUSE / "screens" / "text" / "manifest.json").read_text())["config"]["thresholds"]
    assert f"<td>{thresholds['sexual']['block_at']}</td>" in page_of(ada, "/screens/text/")


@pytest.mark.usefixtures("house")
def test_the_works_that_a_net_learned_from_are_named_where_its_licences_say_so(ada: Client) -> None:
    assert 'href="/nets/characters/attributions/"' in page_of(ada, "/nets/characters/")
    assert "Eliza Wyatt" in page_of(ada, "/nets/characters/attributions/")
    assert "attributions/" not in page_of(ada, "/nets/mosaic/")
    assert ada.get("/nets/mosaic/attributions/").status_code == 404


def test_the_card_of_a_stranger_is_words_and_nothing_else(ada: Client, stranger: str) -> None:
    page = page_of(ada, f"/nets/{stranger}/")
    assert "<h1>&lt;b&gt;Stranger&lt;/b&gt;</h1>" in page
    assert "&lt;script&gt;document.title" in page
    assert 'href="javascript' not in page
    assert "spy.example" not in page
    assert '<a href="https://elsewhere.example" rel="noreferrer nofollow">out</a>' in page
    for said in (
        "Added here",
        "repository: someone/net",
        "Pirate",
        "rank 2",
        "Apache-2.0, &lt;i&gt;theirs",
        "has not checked",
    ):
        assert said in page, said
    assert "added here" in page_of(ada, "/nets/")


def test_a_net_without_a_card_says_so(ada: Client) -> None:
    assert "<strong>No card</strong>" in page_of(ada, "/nets/mosaic/")
    assert "No card beside its weights" in page_of(ada, "/nets/")


def test_a_studio_without_nets_says_so(ada: Client, tmp_path: Path, settings: Settings) -> None:
    settings.NETS_DIR = settings.SCREENS_DIR = tmp_path / "nowhere"
    page = page_of(ada, "/nets/")
    for said in ("No net for texts", "No net for pictures", "No screen is installed"):
        assert said in page


@pytest.mark.parametrize(
    "address", ["/nets/unknown/", "/nets/unknown/attributions/", "/screens/unknown/", "/audits/unknown/", "/nets/../"]
)
def test_what_is_not_there_is_not_found(ada: Client, address: str) -> None:
    assert ada.get(address).status_code == 404


@pytest.mark.parametrize("name", ["with space & <b>", "audits", "screens", "100%", "naïve?x#y"])
def test_any_name_without_a_slash_has_a_page(ada: Client, nets_dir: Path, name: str) -> None:
    path = nets_dir / "mosaic" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name, "title": "Odd"}))
    address = page_of(ada, "/nets/").partition('">Odd</a>')[0].rpartition('href="')[2]
    assert "<h1>Odd</h1>" in page_of(ada, unescape(address))


@pytest.mark.parametrize("name", ["a/b", "", "..", ".hidden"])
def test_a_name_that_would_break_addresses_is_no_name(ada: Client, nets_dir: Path, name: str) -> None:
    path = nets_dir / "mosaic" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))
    assert "Mosaic</a>" not in page_of(ada, "/nets/")


@pytest.mark.usefixtures("documents")
def test_audits_are_listed_whether_or_not_their_documents_are_there(ada: Client) -> None:
    listed = page_of(ada, "/audits/")
    assert listed.count("not part of this installation") == 2
    for one in AUDITS:
        assert one.title in listed
        assert (f'href="/audits/{one.name}/"' in listed) is one.is_there
        assert ada.get(f"/audits/{one.name}/").status_code == (200 if one.is_there else 404)


@pytest.mark.usefixtures("documents")
def test_cards_and_audits_lead_to_each_other(ada: Client) -> None:
    assert 'href="/audits/text-screen/"' in page_of(ada, "/screens/text/")
    assert "None here" in page_of(ada, "/screens/picture/")
    assert 'href="/audits/picture-marks/"' in page_of(ada, "/nets/mosaic/")
    audit = page_of(ada, "/audits/picture-marks/")
    assert 'href="/nets/mosaic/"' in audit
    assert '<a href="/audits/text-screen/">the screen</a>' in audit
    assert "the code" in audit
    assert "image_mark.py" not in audit
    assert 'href="/screens/text/"' in page_of(ada, "/audits/text-screen/")


def test_every_audit_that_came_with_the_code_can_be_read(ada: Client) -> None:
    for one in AUDITS:
        if one.is_there:
            page = page_of(ada, f"/audits/{one.name}/")
            assert page.count("<h1") == 1
            assert "style=" not in page
            assert "longer than what is shown" not in page


def test_the_footer_and_a_works_label_lead_here(ada: Client, membership: Membership, nets_dir: Path) -> None:
    artifact = ArtifactFactory.create(owner=membership, job__kind="image", net="mosaic")
    page = page_of(ada, f"/artifacts/{artifact.id}/")
    assert '<a href="/nets/">Nets</a>' in page
    assert '<a href="/nets/mosaic/">Mosaic</a>' in page
    (nets_dir / "mosaic" / "manifest.json").unlink()
    assert "/nets/mosaic/" not in page_of(ada, f"/artifacts/{artifact.id}/")


def test_the_images_of_docker_carry_the_documents() -> None:
    kept = (BASE_DIR / ".dockerignore").read_text().splitlines()
    assert "!docs/experiments/*.md" in kept


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("documents")
@pytest.mark.parametrize("ground", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_axe_finds_nothing_and_only_boxes_scroll_sideways(
    page: Page, stranger: str, settings: Settings, width: int, ground: str
) -> None:
    settings.NETS_DIR = HOUSE
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if ground == "dark" else "light", reduced_motion="reduce")
    nets = [f"/nets/{name}/" for name in (*HOUSE_NETS, stranger)]
    screens = [f"/screens/{name}/" for name in SCREENS]
    rest = ["/nets/", "/nets/characters/attributions/", "/audits/", "/audits/picture-marks/"]
    for address in (*nets, *screens, *rest):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        results = Axe().run(page)
        assert results.violations_count == 0, f"{address}: {results.generate_report()}"


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_wide_table_scrolls_by_keyboard_and_a_script_in_a_card_does_not_run(page: Page, stranger: str) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"/nets/{stranger}/")
    assert "taken" not in page.title()
    box = page.get_by_role("group", name="Table, box 1")
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    assert page.locator("h1").count() == 1
