"""The prompt bar as a page shows it: what is restored, what was recalled, what was typed and what is wrong with it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from genworkers.contract.base import KINDS, Kind
from genworkers.contract.manifests import NetManifest
from webapp.accounts.models import User
from webapp.catalog import selectors as catalog
from webapp.errors import AppError
from webapp.jobs import selectors as jobs
from webapp.jobs import services as jobs_services
from webapp.studio import parameters, start_picture
from webapp.studio.parameters import FieldError, Parameter
from webapp.studio.start_picture import Start
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import may_generate

NUM_LOOKED_BACK = 10
WORDS_OF_CODE = dict.fromkeys(
    ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "int_parsing_size"), "Out of range"
) | {
    "missing": "Nothing is written here yet",
    "string_too_short": "Nothing is written here yet",
    "string_too_long": "Too long",
    "too_long": "Too many lines",
    "int_parsing": "This takes a whole number",
    "int_from_float": "This takes a whole number",
    "int_type": "This takes a whole number",
    "float_parsing": "Write a number with a point, like 0.8",
    "float_type": "Write a number with a point, like 0.8",
    "finite_number": "Write a number with a point, like 0.8",
    "literal_error": "There is no such choice",
    "string_unicode": "This has signs that cannot be stored",
}


@dataclass(frozen=True)
class KindForm:
    """The fields of one kind: `in_bar` by name, the others in order; `start` is what a picture begins with."""

    kind: Kind
    prompt: str
    placeholder: str
    max_prompt_chars: int
    net: Parameter
    nets: Sequence[NetManifest]
    in_bar: Mapping[str, Parameter]
    parameters: Sequence[Parameter]
    notices: Sequence[str]
    start: Start

    @property
    def abilities(self) -> str:
        """JSON for the page: net name to its title and what it can do."""
        return json.dumps({net.name: {"title": net.title, "can": sorted(net.abilities)} for net in self.nets})


@dataclass(frozen=True)
class PromptBar:
    """Everything the template reads."""

    may_generate: bool
    kind: Kind
    forms: Sequence[KindForm]
    is_open: bool = False
    opens_editor: bool = False
    error: AppError | None = None
    prompt_error: FieldError | None = None
    num_problems: int = 0

    @property
    def chosen(self) -> KindForm:
        """The form of the chosen kind."""
        return next(form for form in self.forms if form.kind == self.kind)

    @property
    def picture(self) -> KindForm:
        """The form of pictures, which has a row of its own."""
        return next(form for form in self.forms if form.kind == "image")

    @property
    def prompt(self) -> str:
        """What stands in the prompt."""
        return self.chosen.prompt


def restored(user: User, workspace: Workspace, recalled: Mapping[str, Any]) -> PromptBar:
    """The bar of a page just opened: the last request that the person made here, under what the address recalls."""
    latest = jobs.jobs_of(workspace).filter(created_by=user, api_key=None)
    newest = latest.first()
    kind = _kind(recalled.get("kind", newest.kind if newest else "text"))
    forms = []
    for each in KINDS:
        requests = (job.request for job in latest.filter(kind=each)[:NUM_LOOKED_BACK])
        # What the drift page asked for was not written here.
        last: dict[str, Any] = next((one for one in requests if not one.get("walk") and not one.get("map_point")), {})
        values = {name: parameters.written(value) for name, value in last.items()}
        for name in ("seed", "draft_seed", *(parameters.HIDDEN if recalled.keys() - {"kind"} else ())):
            values.pop(name, None)
        if each == kind:
            fields = parameters.schema_of(each) | parameters.hidden_schema_of(each)
            values |= {name: str(recalled[name]) for name in fields if name in recalled}
        if values.get("prompt") == jobs_services.REMOVED:
            del values["prompt"]
        start = start_picture.still_there(values, workspace)
        forms.append(_form(each, values, {}, start))
    return PromptBar(may_generate(user, workspace.id), kind, forms, opens_editor="editor" in recalled)


def accepted(posted: QueryDict, workspace: Workspace) -> PromptBar:
    """The bar after a request that was taken: just as it was typed, ready for the next."""
    forms = [_typed_form(kind, posted, {}, workspace) for kind in KINDS]
    return PromptBar(True, _kind(posted.get("kind")), forms)


def refused(posted: QueryDict, error: AppError, workspace: Workspace) -> PromptBar:
    """The bar after a request that was not taken: all that was typed, each problem at its field."""
    kind = _kind(posted.get("kind"))
    problems: dict[str, FieldError] = {}
    for problem in error.problems:
        problems.setdefault(problem["field"].split(".")[0], _field_error(problem, posted))
    fields = parameters.schema_of(kind) | parameters.hidden_schema_of(kind)
    strange = "; ".join(f"{field}: {problem.text}" for field, problem in problems.items() if field not in fields)
    in_bar = (*parameters.APART, *parameters.IN_BAR, *parameters.HIDDEN)
    in_more = [name for name in problems if name in fields and name not in in_bar]
    return PromptBar(
        may_generate=True,
        kind=kind,
        forms=[_typed_form(each, posted, problems if each == kind else {}, workspace) for each in KINDS],
        is_open=bool(in_more),
        error=AppError(error.code, error.http_status, strange or error.message) if strange or not problems else None,
        prompt_error=problems.get("prompt"),
        num_problems=len(in_more),
    )


def _typed_form(kind: Kind, posted: QueryDict, problems: Mapping[str, FieldError], workspace: Workspace) -> KindForm:
    fields = parameters.schema_of(kind) | parameters.hidden_schema_of(kind)
    texts = {name: str(value) for name, value in posted.items()}
    values = {
        name: parameters.posted_text(kind, name, schema, texts) for name, schema in fields.items() if name != "kind"
    }
    error = next((problems[name] for name in parameters.HIDDEN if name in problems), None)
    return _form(kind, values, problems, start_picture.as_given(values, workspace, error))


def _kind(text: str | None) -> Kind:
    return next((kind for kind in KINDS if kind == text), "text")


def _field_error(problem: Mapping[str, Any], posted: QueryDict) -> FieldError:
    """What is wrong in a sentence, with the value that was given and the allowed range; the code apart from it."""
    field, message, value, allowed, code = (
        str(problem[name]) for name in ("field", "message", "value", "allowed", "code")
    )
    if field == "prompt" and code == "string_too_long":
        num_chars = len(posted.get("prompt", "").replace("\r\n", "\n"))
        value = f"{num_chars:,} characters"
    words = WORDS_OF_CODE.get(code)
    if code == "dict_type":
        text = parameters.why_not_json(posted.get(parameters.html_name("text", field), ""))
    elif words is None:
        text = message[:1].upper() + message[1:].removesuffix(".")
    else:
        text = f"{words}: you gave {value}" if value else words
    return FieldError(f"{text}; allowed: {allowed}." if allowed else f"{text}.", code)


def _form(kind: Kind, values: Mapping[str, str], problems: Mapping[str, FieldError], start: Start) -> KindForm:
    schemas = parameters.schema_of(kind)
    nets = [net for net in catalog.nets() if net.kind == kind]
    choices_of = _installed(nets)
    made = {
        name: _parameter(kind, name, schemas[name], values, problems, choices_of)
        for name in schemas
        if name != "adapter" or len(choices_of["adapter"]) > 1 or values.get("adapter")
    }
    prompt = schemas["prompt"]
    return KindForm(
        kind=kind,
        prompt=values.get("prompt", ""),
        placeholder=prompt["examples"][0],
        max_prompt_chars=prompt["maxLength"],
        net=made["net"],
        nets=nets,
        in_bar={name: made[name] for name in parameters.IN_BAR if name in made},
        parameters=[field for name, field in made.items() if name not in (*parameters.APART, *parameters.IN_BAR)],
        notices=[f"{net.title}: {net.notice}" for net in nets if net.notice],
        start=start,
    )


def _installed(nets: Sequence[NetManifest]) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """What is there to choose from, by field and by group: nets, styles, and the adapters of each net."""
    adapters = {"": [("", "None")]}
    for net in nets:
        names = [(adapter.name, adapter.title or adapter.name) for adapter in catalog.adapters_of(net.name)]
        if names:
            adapters[f"For {net.title}"] = names
    styles = {f"For {net.title}": list(net.styles.items()) for net in nets if net.styles}
    return {
        "net": {"": [(net.name, _net_title(net)) for net in nets]},
        "style": {"": [("", "The net's first style")]} | styles,
        "style_mix": {"": [("", "None")]} | styles,
        "adapter": adapters,
    }


def _net_title(net: NetManifest) -> str:
    return f"{net.title}, {net.context_tokens:,} tokens" if net.context_tokens else net.title


def _parameter(
    kind: Kind,
    name: str,
    schema: Mapping[str, Any],
    values: Mapping[str, str],
    problems: Mapping[str, FieldError],
    choices_of: Mapping[str, dict[str, list[tuple[str, str]]]],
) -> Parameter:
    value = values.get(name, parameters.written(schema.get("default")))
    choices = choices_of.get(name) or {"": [(str(choice), str(choice)) for choice in schema.get("enum", [])]}
    if name in choices_of and all(value not in dict(group) for group in choices.values()):
        choices = choices | {"": [*choices[""], (value, f"{value} (not installed)")]}
    is_choice = any(choices.values())
    return Parameter(
        name=name,
        html_name=parameters.html_name(kind, name),
        title=schema.get("title", name),
        description=schema.get("description", ""),
        allowed="" if is_choice and name in choices_of else parameters.allowed_of(kind)[name],
        control="select" if is_choice else parameters.control_of(schema),
        value=value,
        choices=choices,
        ability=parameters.ABILITY_OF_FIELD.get(name, ""),
        least=schema.get("minimum"),
        most=schema.get("maximum"),
        error=problems.get(name),
    )
