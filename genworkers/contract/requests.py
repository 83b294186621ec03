"""A request of any kind."""

from typing import Annotated, TypeAlias

from pydantic import Field, TypeAdapter

from genworkers.contract.image import ImageRequest
from genworkers.contract.text import TextRequest

# Not shown among the parameters of the studio's form: asked for through the API, or by a page of its own.
API_ONLY_FIELDS = frozenset(
    {"history", "format", "is_truncatable", "logit_bias", "num_logprobs"}
    | {"start_image", "mask", "draft_seed", "is_draft", "map_point", "walk"}
)

GenerationRequest: TypeAlias = Annotated[TextRequest | ImageRequest, Field(discriminator="kind")]
GENERATION_REQUEST: TypeAdapter[TextRequest | ImageRequest] = TypeAdapter(GenerationRequest)
