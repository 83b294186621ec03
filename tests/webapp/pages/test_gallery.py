"""The wall and the page of one artifact, on results that went through the real door."""

import uuid

import pytest
from django.test import Client

from genworkers.contract.text import MAX_PROMPT_CHARS, TextRequest
from tests.factories import ArtifactFactory, JobFactory, MembershipFactory
from tests.webapp.gallery.drafts import REVIEW_VERDICT, draft_of, job_of
from webapp.gallery import services as gallery_services
from webapp.gallery import views
from webapp.gallery.models import Artifact
from webapp.gallery.recall import VERBS, recall_urls, recalled
from webapp.jobs.models import Job
from webapp.jobs.stage import stage_of
from webapp.provenance import services as provenance
from webapp.workspaces.models import Membership


@pytest.fixture(autouse=True)
def authority() -> None:
    provenance.ensure_authority()


def kept(membership: Membership, kind: str = "text", **changes: object) -> Artifact:
    job = job_of(kind, workspace=membership.workspace, created_by=membership.user)
    return gallery_services.store(draft_of(job, **changes))


def wall_of(membership: Membership) -> str:
    return f"/w/{membership.workspace.slug}/gallery/"


def test_the_wall_hangs_pictures_and_texts_of_this_workspace_alone(ada: Client, membership: Membership) -> None:
    text, picture = kept(membership), kept(membership, "image")
    foreign = kept(MembershipFactory.create())
    html = ada.get(wall_of(membership)).content.decode()
    assert f"/artifacts/{picture.id}/thumbnail" in html
    assert text.excerpt in html
    assert str(foreign.id) not in html


def test_the_wall_is_filtered_by_kind_and_by_words(ada: Client, membership: Membership) -> None:
    for kind, prompt in (("text", "a brave boat"), ("image", "a red apple")):
        job = JobFactory.create(kind=kind, prompt=prompt, status="succeeded", workspace=membership.workspace)
        ArtifactFactory.create(job=job, created_by=membership.user)
    assert len(ada.get(wall_of(membership)).context["page"]) == 2
    assert [each.kind for each in ada.get(wall_of(membership), {"kind": "image"}).context["page"]] == ["image"]
    found = ada.get(wall_of(membership), {"q": "BOAT brave"}).context["page"]
    assert [each.prompt for each in found] == ["a brave boat"]
    assert "Nothing fits" in ada.get(wall_of(membership), {"q": "zebra"}).content.decode()


def test_older_tiles_come_page_by_page_and_keep_the_filter(
    ada: Client, membership: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "NUM_PER_PAGE", 2)
    for _ in range(3):
        job = JobFactory.create(status="succeeded", workspace=membership.workspace)
        ArtifactFactory.create(job=job, created_by=membership.user)
    html = ada.get(wall_of(membership), {"kind": "text", "q": "boat"}).content.decode()
    assert "?kind=text&amp;q=boat&amp;page=2&amp;part=tiles" in html
    rest = ada.get(wall_of(membership), {"kind": "text", "q": "boat", "page": "2", "part": "tiles"}).content.decode()
    assert rest.count('class="tile ') == 1
    assert "Show older" not in rest


def test_an_empty_wall_offers_a_first_tile(ada: Client, membership: Membership) -> None:
    assert "Draw a red apple" in ada.get(wall_of(membership)).content.decode()


def test_the_label_states_every_fact(ada: Client, membership: Membership) -> None:
    artifact = kept(membership)
    html = ada.get(f"/artifacts/{artifact.id}/").content.decode()
    files = list(artifact.files.all())
    facts = [artifact.prompt, membership.user.username, "Llama Tessera Text", "Built with Llama", str(artifact.seed)]
    facts += [artifact.checkpoint_sha256, *(file.sha256 for file in files), "2.13.0", "not publicly trusted"]
    for fact in facts:
        assert fact in html
    assert "Signed, not marked, screened, released." in html
    assert "made by a test" in html


def test_the_label_says_what_it_cost_once_that_is_known(ada: Client, membership: Membership) -> None:
    artifact = kept(membership)
    address = f"/artifacts/{artifact.id}/"
    assert "Energy" not in ada.get(address).content.decode()
    Job.objects.filter(id=artifact.job_id).update(energy_j=12.4, energy_source="rapl")
    assert "<dt>Energy</dt><dd>12 J, measured by the processor&#x27;s counter</dd>" in ada.get(address).content.decode()


def test_a_picture_that_nothing_screened_says_so(ada: Client, membership: Membership) -> None:
    job = job_of("image", workspace=membership.workspace, created_by=membership.user)
    draft = draft_of(job)
    unscreened = [draft.verdicts[0], type(draft.verdicts[0])("allow", "none", "0", "output")]
    artifact = gallery_services.store(draft_of(job, verdicts=unscreened))
    html = ada.get(f"/artifacts/{artifact.id}/").content.decode()
    assert "Picture: not screened yet" in html
    assert "Signed, not marked, prompt screened, released." in html


def test_a_foreign_an_unknown_and_a_held_artifact_are_not_there(client: Client, membership: Membership) -> None:
    editor = MembershipFactory.create(workspace=membership.workspace, role="editor")
    client.force_login(editor.user)
    held = kept(membership, is_held=True, verdicts=[*draft_of(job_of()).verdicts, REVIEW_VERDICT])
    foreign = kept(MembershipFactory.create())
    for artifact_id in (held.id, foreign.id, uuid.uuid4()):
        assert client.get(f"/artifacts/{artifact_id}/").status_code == 404
    client.force_login(membership.user)
    assert "Held for review" in client.get(f"/artifacts/{held.id}/").content.decode()


def test_recall_verbs_fill_what_they_say(db: None) -> None:
    artifact = ArtifactFactory.create()
    filled = {verb: recalled(artifact, verb) for verb in VERBS}
    assert filled["prompt"] == {"kind": "text", "prompt": artifact.prompt}
    assert filled["seed"] == {"kind": "text", "seed": "7"}
    assert filled["all"]["seed"] == "7"
    assert "seed" not in filled["remix"]
    assert filled["remix"]["temperature"] == "0.8"


def test_one_of_several_texts_is_made_again_alone_and_without_its_conversation(db: None) -> None:
    artifact = ArtifactFactory.create(index=1, seed=8)
    artifact.request |= {"num_texts": 4, "history": [{"role": "user", "content": "x"}], "json_schema": {"a": None}}
    again, remix = recalled(artifact, "all"), recalled(artifact, "remix")
    assert (again["num_texts"], again["seed"], remix["num_texts"]) == ("1", "8", "4")
    assert again["json_schema"] == '{"a": null}'
    assert "history" not in again


def test_the_longest_prompt_comes_back_by_a_short_address(ada: Client, membership: Membership) -> None:
    prompt = "\U0001f6a3" * MAX_PROMPT_CHARS
    job = JobFactory.create(
        prompt=prompt, status="succeeded", workspace=membership.workspace, created_by=membership.user
    )
    urls = [stage_of(job, membership.user).prompt_url, recall_urls(gallery_services.store(draft_of(job)))["all"]]
    for url in urls:
        assert len(url) < 200
        assert f">\n{prompt}</textarea>" in ada.get(url).content.decode()


@pytest.mark.parametrize("asked", ["artifact=7", f"artifact={uuid.UUID(int=0)}&recall=all", "job=x", "job="])
def test_an_address_that_recalls_nothing_leaves_the_bar_as_it_was(
    ada: Client, membership: Membership, asked: str
) -> None:
    assert ada.get(f"/w/{membership.workspace.slug}/?{asked}").status_code == 200


def test_nobody_recalls_what_they_may_not_see(ada: Client, membership: Membership) -> None:
    foreign = ArtifactFactory.create(job=JobFactory.create(prompt="a secret", status="succeeded"))
    for asked in (f"artifact={foreign.id}&recall=prompt", f"job={foreign.job_id}"):
        assert "a secret" not in ada.get(f"/w/{membership.workspace.slug}/?{asked}").content.decode()


def test_the_label_says_how_a_text_ends_what_came_before_it_and_what_else_was_asked_for(
    ada: Client, membership: Membership
) -> None:
    artifact = kept(membership, finish_reason="length", num_tokens=60)
    other = ArtifactFactory.create(job=artifact.job, index=1, created_by=membership.user, excerpt="Quite another.")
    said = [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": "good evening"}]
    artifact.request |= {"history": said, "adapter": "poet", "min_p": 0.05, "logit_bias": {"5": 1.5}}
    artifact.save()
    html = ada.get(f"/artifacts/{artifact.id}/").content.decode()
    for words in (
        "Cut at 60 tokens",
        "hello there",
        "good evening",
        "poet",
        "<dt>Min p",
        "<dt>Logit bias",
        other.excerpt,
    ):
        assert words in html
    assert f'href="/artifacts/{other.id}/"' in html
    assert "<dt>Presence penalty" not in html


def test_several_texts_of_a_job_have_their_places_while_they_grow_and_stand_side_by_side_after(
    ada: Client, membership: Membership
) -> None:
    request = TextRequest(prompt="a boat", num_texts=3, seed=7).model_dump(mode="json")
    job = JobFactory.create(
        status="running", request=request, workspace=membership.workspace, created_by=membership.user
    )
    html = ada.get(f"/jobs/{job.id}/").content.decode()
    assert html.count('<div class="words" dir="auto"></div>') == 3
    assert 'aria-label="Text 3"' in html
    for index, reason in enumerate(("stop", "length")):  # the third wrote nothing
        gallery_services.store(draft_of(job, index=index, finish_reason=reason, num_tokens=9))
    type(job).objects.filter(id=job.id).update(status="succeeded", finished_at=job.started_at)
    html = ada.get(f"/jobs/{job.id}/").content.decode()
    assert (html.count('class="words"'), html.count("Open text")) == (2, 2)
    assert html.index("Ended by itself") < html.index("Cut at 9 tokens")


def test_a_finished_job_shows_its_text_and_leads_to_it(ada: Client, membership: Membership) -> None:
    artifact = kept(membership)
    type(artifact.job).objects.filter(id=artifact.job_id).update(status="succeeded", finished_at=artifact.created_at)
    html = ada.get(f"/jobs/{artifact.job_id}/").content.decode()
    assert artifact.excerpt in html
    assert f'href="/artifacts/{artifact.id}/"' in html
