"""Every address of /v1, which speaks OpenAI's API: the `openai` package works with our base_url and api_key."""

from typing import Any, NoReturn

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Body, Router
from ninja.openapi.schema import OpenAPISchema

from webapp.api.application import StrictApi, mend_parameters
from webapp.api.auth import ApiRequest, BearerKey
from webapp.api.jobs import IdempotencyKey
from webapp.api.openai import embeddings, model_list, moderation_bodies, moderations, picture_forms, picture_links
from webapp.api.openai.answers import ChatCompletion, ChatForm, Completion, CompletionForm, Form
from webapp.api.openai.bodies import ChatBody, CompletionBody
from webapp.api.openai.embeddings import EmbeddingBody, EmbeddingList
from webapp.api.openai.envelope import ErrorEnvelope, error_response
from webapp.api.openai.generation import answer_to
from webapp.api.openai.model_list import Model, ModelList
from webapp.api.openai.moderations import ModerationList
from webapp.api.openai.picture_answers import PicturesResponse
from webapp.api.openai.picture_bodies import EditForm, ImageBody, VariationForm
from webapp.api.openai.picture_reply import PictureReply
from webapp.api.openai.picture_translation import PictureCall, generation_call
from webapp.api.openai.text_reply import TextReply
from webapp.api.openai.translation import Call, chat_call, completion_call
from webapp.errors import AppError

ERROR_REF = "#/components/schemas/ErrorEnvelope"
WORDS_OF_STATUS = {
    "400": "A value is wrong or cannot be served; or a rule of the workspace refuses the prompt (content_filter).",
    "401": "No valid API key.",
    "403": "The key lacks the scope, or the role in the workspace does not allow this.",
    "404": "There is no such model.",
    "409": "The job was cancelled.",
    "413": "The body is too large.",
    "429": "Too many jobs wait; `Retry-After` says when to try again.",
    "500": "The job failed.",
    "503": "A part is not ready; `Retry-After` says when to try again.",
    "504": "The job was not done before its deadline.",
}
ANSWER = {
    "headers": {
        "X-Tessera-Job": {"description": "the id of the job behind this answer", "schema": {"type": "string"}},
        "Location": {"description": "the job's address in /api/v1", "schema": {"type": "string"}},
        "X-Tessera-Ignored": {"description": "unknown fields, without effect", "schema": {"type": "string"}},
    },
    "description": "The answer; with `stream: true`, chunks as server-sent events, then `data: [DONE]`.",
}

PICTURES = ANSWER | {
    "description": "The pictures; with `stream: true`, previews and pictures as server-sent events, then "
    "`data: [DONE]`.",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}


class OpenAiApi(StrictApi):
    """/v1: every error in OpenAI's envelope."""

    def __init__(self, **options: Any) -> None:
        super().__init__(answer_to=error_response, **options)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Ninja's description with the envelope of every error."""
        schema = super().get_openapi_schema(**options)
        described = ErrorEnvelope.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= described.pop("$defs") | {"ErrorEnvelope": described}
        content = {"application/json": {"schema": {"$ref": ERROR_REF}}}
        for methods in schema["paths"].values():
            for operation in methods.values():
                mend_parameters(operation)
                statuses = WORDS_OF_STATUS if "requestBody" in operation else ("401", "403", "404", "503")
                for status in statuses:
                    operation["responses"][status] = {"description": WORDS_OF_STATUS[status], "content": content}
        return schema


api = OpenAiApi(
    title="Tessera, as OpenAI's API",
    version="1.0",
    description="Text and pictures for programs that speak OpenAI's API: give them this address as `base_url` and an "
    "API key of this studio as `api_key`. Each call that makes something is a job of the key's workspace; the header "
    "`X-Tessera-Job` names it. Closing the connection cancels the job, unless the call has an `Idempotency-Key`. "
    "Unknown fields are ignored and named in the header `X-Tessera-Ignored`; known ones that cannot be served are "
    "refused by name.",
    urls_namespace="openai",
)
router = Router(tags=["openai"])
READ = [BearerKey("read")]
GENERATE = [BearerKey("generate")]


@router.get("/models", auth=READ, response=ModelList, summary="List models")
def list_models(request: ApiRequest) -> ModelList:
    """The nets that can be asked."""
    return ModelList(data=model_list.models())


@router.get("/models/{path:model_id}", auth=READ, response=Model, summary="Get a model")
def get_model(request: ApiRequest, model_id: str) -> Model:
    """One net."""
    return model_list.model(model_id)


@router.post(
    "/chat/completions",
    auth=GENERATE,
    response=ChatCompletion,
    summary="Answer a conversation",
    openapi_extra={"responses": {200: ANSWER}},
)
async def create_chat_completion(
    request: ApiRequest, payload: Body[ChatBody], idempotency_key: IdempotencyKey = None
) -> HttpResponseBase:
    """What the net says next, in its own chat format."""
    return await _text_answer(request, chat_call(payload), ChatForm(), idempotency_key)


@router.post(
    "/completions",
    auth=GENERATE,
    response=Completion,
    summary="Continue a text",
    openapi_extra={"responses": {200: ANSWER}},
)
async def create_completion(
    request: ApiRequest, payload: Body[CompletionBody], idempotency_key: IdempotencyKey = None
) -> HttpResponseBase:
    """How the prompt goes on, as it stands."""
    return await _text_answer(request, completion_call(payload), CompletionForm(), idempotency_key)


async def _text_answer(request: ApiRequest, call: Call, form: Form, key: str | None) -> HttpResponseBase:
    def reply_to(job: dict[str, Any]) -> TextReply:
        return TextReply(call, form, job, is_kept=key is not None)

    return await answer_to(request.auth, call, reply_to, key=key)


@router.post(
    "/images/generations",
    auth=GENERATE,
    response=PicturesResponse,
    summary="Draw pictures",
    openapi_extra={"responses": {200: PICTURES}},
)
async def create_image(
    request: ApiRequest, payload: Body[ImageBody], idempotency_key: IdempotencyKey = None
) -> HttpResponseBase:
    """Pictures of what the prompt says."""
    return await _picture_answer(request, generation_call(payload), idempotency_key)


@router.post(
    "/images/edits",
    auth=GENERATE,
    response=PicturesResponse,
    summary="Draw a picture anew, or part of it",
    openapi_extra={"responses": {200: PICTURES}, "requestBody": picture_forms.described(EditForm, has_mask=True)},
)
async def create_image_edit(request: ApiRequest, idempotency_key: IdempotencyKey = None) -> HttpResponseBase:
    """Pictures that begin with the first image; with a mask, only what is transparent in it changes."""
    call = await sync_to_async(picture_forms.edit_of)(request, request.auth)
    return await _picture_answer(request, call, idempotency_key)


@router.post(
    "/images/variations",
    auth=GENERATE,
    response=PicturesResponse,
    summary="Vary a picture",
    openapi_extra={"responses": {200: PICTURES}, "requestBody": picture_forms.described(VariationForm, has_mask=False)},
)
async def create_image_variation(request: ApiRequest, idempotency_key: IdempotencyKey = None) -> HttpResponseBase:
    """Other pictures like this one."""
    call = await sync_to_async(picture_forms.variation_of)(request, request.auth)
    return await _picture_answer(request, call, idempotency_key)


@router.get(
    "/images/files/{token}",
    summary="Fetch a picture by its link",
    openapi_extra={"responses": {200: {"description": "The picture.", "content": {"image/*": BINARY}}}},
)
def get_linked_picture(request: HttpRequest, token: str) -> HttpResponseBase:
    """A picture that an answer with `response_format: url` has linked to, for an hour. The link is the key."""
    return picture_links.content_response(request, token)


async def _picture_answer(request: ApiRequest, call: PictureCall, key: str | None) -> HttpResponseBase:
    def reply_to(job: dict[str, Any]) -> PictureReply:
        return PictureReply(call, job, is_kept=key is not None)

    return await answer_to(request.auth, call, reply_to, key=key)


@router.post("/embeddings", auth=GENERATE, response=EmbeddingList, summary="Place texts in a space of meanings")
async def create_embeddings(request: ApiRequest, payload: Body[EmbeddingBody]) -> HttpResponseBase:
    """One vector of length 1 for each text: the nearer two are, the more alike their texts. Nothing is kept."""
    return await embeddings.answer_to(request.auth, payload)


@router.post(
    "/moderations",
    auth=GENERATE,
    response=ModerationList,
    summary="Screen texts and pictures",
    openapi_extra={"requestBody": moderation_bodies.described()},
)
async def create_moderation(request: ApiRequest) -> HttpResponseBase:
    """How likely each of OpenAI's categories is, as the screens of this studio see it. Nothing is kept."""
    return await moderations.answer_to(request.auth, request)


unknown = Router()


@unknown.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:rest}", include_in_schema=False)
def no_such_address(request: HttpRequest, rest: str) -> NoReturn:
    """Whatever no other address has taken."""
    raise AppError("not_found", 404, "There is no such address here. The addresses are listed at /v1/docs.")


api.add_router("", router)
api.add_router("", unknown)
