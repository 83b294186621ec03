"""The prompt bar: made from the contract, restores what was run, keeps what was typed, says what is wrong."""

import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from genworkers.contract.base import KINDS, MAX_SEED, Kind
from genworkers.contract.image import ImageRequest
from genworkers.contract.requests import API_ONLY_FIELDS
from genworkers.contract.text import TextRequest
from tests.factories import ApiKeyFactory, BlockedTermFactory, JobFactory, MembershipFactory
from webapp.jobs.models import Job
from webapp.jobs.services import REMOVED
from webapp.studio import parameters
from webapp.workspaces.models import Membership


def page_of(membership: Membership) -> str:
    return f"/w/{membership.workspace.slug}/"


def value_of(html: str, name: str) -> str:
    """What stands in an input of the form."""
    found = re.search(rf'<input id="{name}"[^>]* value="([^"]*)"', html)
    assert found is not None, f"no input {name}"
    return found[1]


def prompt_of(html: str) -> str:
    found = re.search(r'<textarea id="prompt".*?>\n(.*?)</textarea>', html, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_parameter_of_the_contract_is_on_the_page_with_its_range(ada: Client, membership: Membership) -> None:
    html = ada.get(page_of(membership)).content.decode()
    for kind in KINDS:
        assert not parameters.schema_of(kind).keys() & API_ONLY_FIELDS
        for name, schema in parameters.schema_of(kind).items():
            if name in ("kind", "adapter"):  # no net of these tests has an adapter
                continue
            assert f'name="{parameters.html_name(kind, name)}"' in html
            assert schema.get("title", "") in html
            if name not in (*parameters.APART, *parameters.IN_BAR, "style_mix"):
                assert parameters.allowed_of(kind)[name] in html


def test_a_range_names_both_ends_and_the_unit() -> None:
    assert parameters.allowed_of("text")["max_tokens"] == "1 to 8192 tokens"
    assert parameters.allowed_of("text")["top_p"] == "more than 0, at most 1"
    assert parameters.allowed_of("image")["size_px"] == "512 or 1024 px"


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_fields_post_the_defaults_of_the_contract(ada: Client, membership: Membership, kind: Kind) -> None:
    response = ada.post(page_of(membership), {"kind": kind, "prompt": "a boat"})
    job = Job.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/jobs/{job.id}/")
    request = parameters.REQUEST_OF_KIND[kind](prompt="a boat").model_dump(mode="json")
    first_style = {"style": "flat"} if kind == "image" else {}  # filled in at submit
    assert job.request | {"seed": None} == request | first_style


def test_every_field_reaches_the_request(ada: Client, membership: Membership) -> None:
    fields = {"text-seed": "9223372036854775807", "text-max_tokens": "8", "text-temperature": "0.5"}
    fields |= {"text-top_k": "3", "text-top_p": "0.25", "text-stop": "The End\r\n\r\nFin", "image-seed": "bad"}
    ada.post(page_of(membership), {"kind": "text", "prompt": "two\r\nlines"} | fields)
    request = Job.objects.get().parsed_request
    assert isinstance(request, TextRequest)
    assert (request.prompt, request.seed, request.max_tokens) == ("two\nlines", MAX_SEED, 8)
    assert (request.temperature, request.top_k, request.top_p, request.stop) == (0.5, 3, 0.25, ["The End", "Fin"])


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("text-temperature", "2.1", "Out of range: you gave 2.1; allowed: 0 to 2. <code>less_than_equal</code>"),
        ("text-seed", "9223372036854775808", "allowed: 0 to 2⁶³ − 1"),
        ("text-seed", "-1", "you gave -1"),
        ("text-max_tokens", "many", "This takes a whole number: you gave many; allowed: 1 to 8192 tokens"),
        ("text-temperature", "0,8", "Write a number with a point, like 0.8: you gave 0,8; allowed: 0 to 2."),
        ("text-top_p", "nan", "allowed: more than 0, at most 1"),
        ("text-num_texts", "9", "you gave 9; allowed: 1 to 8"),
        (
            "text-json_schema",
            '{"type": "object"',
            "This is not JSON: expecting &#x27;,&#x27; delimiter in line 1, column 18",
        ),
        ("text-json_schema", "[1, 2]", "A schema is a JSON object in braces; this is [1, 2]"),
        ("text-json_schema", "7" * 5000, "not JSON that can be read"),
        ("text-adapter", "poet", "There is no such adapter"),
        ("text-stop", "\n".join("abcdefghi"), "allowed: at most 8 texts of 1 to 100 characters"),
    ],
)
def test_a_bad_value_is_named_at_its_field_and_kept(
    ada: Client, membership: Membership, field: str, value: str, words: str
) -> None:
    response = ada.post(page_of(membership), {"kind": "text", "prompt": "a boat", field: value})
    html = response.content.decode()
    assert response.status_code == 422
    hint = re.search(rf'id="{field}-hint">(.*?)</p>', html, re.DOTALL)
    assert hint is not None
    assert words in hint[1]
    assert prompt_of(html) == "a boat"
    assert escape(value) in html
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "Nothing is written here yet"),
        ("  \n", "Write at least one visible character"),
        ("a\x00b", "control character U+0000"),
        ("x" * 501, "Too long: you gave 501 characters; allowed: 1 to 500 characters. <code>string_too_long</code>"),
    ],
)
def test_a_bad_prompt_is_named_under_the_prompt(ada: Client, membership: Membership, prompt: str, words: str) -> None:
    response = ada.post(page_of(membership), {"kind": "image", "prompt": prompt})
    found = re.search(r'id="prompt-error">.*?<span>(.*?)</span>', response.content.decode(), re.DOTALL)
    assert response.status_code == 422
    assert found is not None
    assert words in found[1]
    assert not Job.objects.exists()


@pytest.mark.parametrize("prompt", ["קשת בענן", "🚀 to the moon", "żółw", "<script>alert(1)</script>"])
def test_any_script_and_any_sign_is_a_fine_prompt(ada: Client, membership: Membership, prompt: str) -> None:
    response = ada.post(page_of(membership), {"kind": "image", "prompt": prompt}, follow=True)
    assert Job.objects.get().prompt == prompt
    assert "<script>alert" not in response.content.decode()


def test_a_megabyte_is_refused_with_a_plain_word(ada: Client, membership: Membership) -> None:
    response = ada.post(page_of(membership), {"kind": "text", "prompt": "x" * 1_000_000}, headers={"HX-Request": "1"})
    assert response.status_code == 413
    assert "body_too_large" in response.content.decode()
    assert not Job.objects.exists()


@pytest.mark.parametrize("extra", [{"kind": "sound"}, {"text-colour": "red"}, {"text-net": "no-such-net"}])
def test_what_is_unknown_is_refused(ada: Client, membership: Membership, extra: dict[str, str]) -> None:
    response = ada.post(page_of(membership), {"kind": "text", "prompt": "a boat"} | extra)
    assert response.status_code == 422
    assert not Job.objects.exists()


def test_the_last_request_of_each_kind_comes_back_without_its_seed(ada: Client, membership: Membership) -> None:
    mine: dict[str, Any] = {"workspace": membership.workspace, "created_by": membership.user}
    text = TextRequest(prompt="a story", temperature=1.5, seed=5).model_dump(mode="json")
    image = ImageRequest(prompt="a cat", num_images=3, seed=6).model_dump(mode="json")
    JobFactory.create(prompt="a story", request=text, **mine)
    JobFactory.create(kind="image", prompt="a cat", request=image, **mine)
    html = ada.get(page_of(membership)).content.decode()
    assert prompt_of(html) == "a cat"
    assert 'data-draft-text="a story"' in html
    assert (value_of(html, "image-num_images"), value_of(html, "text-temperature")) == ("3", "1.5")
    assert (value_of(html, "image-seed"), value_of(html, "text-seed")) == ("", "")


def test_the_address_recalls_a_request(ada: Client, membership: Membership) -> None:
    html = ada.get(page_of(membership), {"kind": "image", "prompt": "an owl", "seed": "7", "guidance": "4.5"})
    text = html.content.decode()
    assert prompt_of(text) == "an owl"
    assert (value_of(text, "image-seed"), value_of(text, "image-guidance")) == ("7", "4.5")


def test_in_the_studio_the_answer_is_the_live_job(ada: Client, membership: Membership) -> None:
    page = f"http://testserver{page_of(membership)}?kind=text"
    headers = {"HX-Request": "true", "HX-Current-URL": page}
    html = ada.post(page_of(membership), {"kind": "text", "prompt": "a boat"}, headers=headers).content.decode()
    assert f'data-job="{Job.objects.get().id}"' in html
    assert 'hx-swap-oob="true"' in html


def test_on_another_page_the_answer_leads_to_the_job(ada: Client, membership: Membership) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/accounts/"}
    response = ada.post(page_of(membership), {"kind": "text", "prompt": "a boat"}, headers=headers)
    assert response["HX-Redirect"] == f"/jobs/{Job.objects.get().id}/"


def test_a_viewer_sees_why_there_is_no_prompt_bar(client: Client, membership: Membership) -> None:
    viewer = MembershipFactory.create(workspace=membership.workspace, role="viewer")
    client.force_login(viewer.user)
    assert "You may look around here" in client.get(page_of(membership)).content.decode()
    assert client.post(page_of(membership), {"kind": "text", "prompt": "a boat"}).status_code == 403


def test_a_stranger_finds_no_such_workspace(ada: Client) -> None:
    other = MembershipFactory.create()
    assert ada.get(page_of(other)).status_code == 404
    assert ada.post(page_of(other), {"kind": "text", "prompt": "a boat"}).status_code == 404


def test_the_notice_of_a_net_stands_in_the_bar_and_in_the_footer(ada: Client, membership: Membership) -> None:
    assert ada.get(page_of(membership)).content.decode().count("Built with Llama") >= 2


def test_a_schema_is_typed_as_json_and_comes_back_as_json(ada: Client, membership: Membership) -> None:
    ada.post(page_of(membership), {"kind": "text", "prompt": "a boat", "text-json_schema": '{"type":\r\n "object"}'})
    request = Job.objects.get().parsed_request
    assert isinstance(request, TextRequest)
    assert request.json_schema == {"type": "object"}
    html = unescape(ada.get(page_of(membership)).content.decode())
    assert '{\n  "type": "object"\n}</textarea>' in html


def test_the_adapters_of_each_net_can_be_chosen_where_there_are_some(
    ada: Client, membership: Membership, settings: Settings
) -> None:
    assert "text-adapter" not in ada.get(page_of(membership)).content.decode()
    folder = Path(settings.ADAPTERS_DIR) / "llama-tessera-text" / "poet"
    folder.mkdir(parents=True)
    facts: dict[str, Any] = {"name": "poet", "title": "A poet", "base": "llama-tessera-text", "base_sha256": "c" * 64}
    facts |= {"rank": 4, "alpha": 8.0, "targets": [], "sha256": "d" * 64}
    (folder / "adapter.json").write_text(json.dumps(facts))
    html = ada.get(page_of(membership)).content.decode()
    assert '<optgroup label="For Llama Tessera Text"><option value="poet">A poet</option></optgroup>' in html
    ada.post(page_of(membership), {"kind": "text", "prompt": "a boat", "text-adapter": "poet"})
    assert Job.objects.get().request["adapter"] == "poet"


def test_what_a_key_asked_for_does_not_come_back_into_the_bar(ada: Client, membership: Membership) -> None:
    key = ApiKeyFactory.create(workspace=membership.workspace, user=membership.user)
    JobFactory.create(workspace=membership.workspace, created_by=membership.user, api_key=key, prompt="by a machine")
    assert prompt_of(ada.get(page_of(membership)).content.decode()) == ""


def test_a_form_without_its_token_is_refused(membership: Membership) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(membership.user)
    assert client.post(page_of(membership), {"kind": "text", "prompt": "a boat"}).status_code == 403


def test_a_prompt_that_a_term_refuses_stays_in_the_bar_and_nowhere_else(ada: Client, membership: Membership) -> None:
    BlockedTermFactory.create(workspace=membership.workspace, term="troll")
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page_of(membership)}"}
    posted = {"kind": "text", "prompt": "a troll at sea"}
    answer = ada.post(page_of(membership), posted, headers=headers).content.decode()
    assert "What was written is not kept." in answer
    assert prompt_of(answer) == "a troll at sea"
    job = Job.objects.get()
    for address in (page_of(membership), f"{page_of(membership)}?job={job.id}"):
        html = ada.get(address).content.decode()
        assert prompt_of(html) == ""
        assert "a troll at sea" not in html
    assert job.prompt == REMOVED
