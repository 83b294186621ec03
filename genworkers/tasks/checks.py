"""Questions of the site that somebody waits for: vectors of texts, and what the screens say. Nothing is kept."""

import base64
import traceback
from collections.abc import Sequence
from uuid import UUID

import structlog
import torch
from celery import shared_task
from torch import Tensor

from genworkers.codecs import image_bytes
from genworkers.contract.checks import ENCODER_MAX_TOKENS, Answer, Broken, Embed, Embedded, Moderate, Moderated, TooLong
from genworkers.contract.names import CHECK_TASK
from genworkers.nets.encoder import TextEncoder, sentence_embedding
from genworkers.tasks import screens
from webapp.jobs import questions

log = structlog.get_logger(__name__)

# Padding of a batch is work as well: texts of about one length go together, few enough that none waits for long.
BATCH_TEXTS = 8


@shared_task(name=CHECK_TASK, acks_late=False)  # asked again by the caller, never by the broker
def check(question_id: str) -> None:
    """Answer one question, unless whoever asked it has left."""
    question = questions.take(UUID(question_id))
    if question is None:
        return
    try:
        said: Answer = _embedded(question) if isinstance(question, Embed) else _moderated(question)
    except Exception as error:  # noqa: BLE001 (the task boundary)
        # Told without its words and variables: what was asked must not end up in a log.
        trace = "".join(traceback.format_tb(error.__traceback__))
        log.error("check_broke", question=question.kind, error=type(error).__name__, trace=trace)
        said = Broken()
    questions.answer(UUID(question_id), said)


def _embedded(question: Embed) -> Embedded | TooLong:
    has = screens.embedder()
    token_ids = has.wordpiece.encode_batch(question.texts)
    for index, ids in enumerate(token_ids):
        if len(ids) > ENCODER_MAX_TOKENS:
            if not question.is_truncatable:
                return TooLong(index=index)
            del ids[ENCODER_MAX_TOKENS - 1 : -1]  # [SEP] stays the last
    vectors = embeddings(has.encoder, token_ids)
    return Embedded(
        vectors=[base64.b64encode(vector.numpy().astype("<f4").tobytes()).decode() for vector in vectors],
        num_tokens=[len(ids) for ids in token_ids],
    )


@torch.inference_mode()
def embeddings(encoder: TextEncoder, token_ids: Sequence[list[int]]) -> list[Tensor]:
    """The sentence embedding of each text, (D,) in the order given."""
    order = sorted(range(len(token_ids)), key=lambda index: len(token_ids[index]))
    vectors: dict[int, Tensor] = {}
    for start in range(0, len(order), BATCH_TEXTS):
        batch = order[start : start + BATCH_TEXTS]
        states = encoder.encode([token_ids[index] for index in batch])
        vectors |= {index: sentence_embedding(its).cpu() for index, its in zip(batch, states, strict=True)}
    return [vectors[index] for index in range(len(token_ids))]


def _moderated(question: Moderate) -> Moderated:
    has = screens.loaded()
    pictures = [image_bytes.from_bytes(base64.b64decode(picture)) for picture in question.pictures]
    return Moderated(
        texts=has.texts.screen(question.texts),
        pictures=has.pictures.screen(pictures),
    )
