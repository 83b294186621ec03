"""What drawing one text's tokens takes: how, from which seed, what was seen, what a schema allows, whose mark."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from genworkers.codecs.grammar import Grammar, GrammarState
from genworkers.codecs.json_schema import SchemaError
from genworkers.codecs.text_bpe import TextCodec
from genworkers.contract.events import TokenLogprob
from genworkers.contract.text import TextRequest, token_text
from genworkers.engine.errors import EngineError
from genworkers.engine.sequence import TextSequence
from genworkers.marks.keys import MarkKey
from genworkers.marks.text_bits import Trail
from genworkers.sampling.logits import Choice, DrawError, Row, Sampling, choose_tokens, uniform_at
from genworkers.sampling.penalties import SeenTokens


@dataclass(slots=True)
class Drawing:
    """The state that one text's draws carry from token to token.

    Args:
        seed: with the position it decides each draw.
        seen: tokens so far; None where no penalty asks for them.
        grammar: None where the text is free.
        trail: by whose coins the next tokens are drawn; None where the text is not marked.
    """

    codec: TextCodec
    sampling: Sampling
    seed: int
    seen: SeenTokens | None
    grammar: GrammarState | None
    trail: Trail | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a schema lets nothing follow but the end."""
        return self.grammar is not None and self.grammar.is_finished

    def row(self, position: int, num_left: int) -> Row:
        """For the draw of the text's token number `position`, from 0, while `num_left` more may be written.

        Raises:
            SchemaError: the schema became too complex to follow.
        """
        mask = None if self.grammar is None else self.grammar.mask(num_left)
        place = None if self.trail is None else self.trail.place
        return Row(self.sampling, uniform_at(self.seed, position), self.seen, mask, place)

    def accept(self, token_id: int) -> None:
        """Go on by a token that was drawn.

        Raises:
            SchemaError: the schema became too complex to follow.
        """
        if self.seen is not None:
            self.seen.add(token_id)
        if self.trail is not None:
            self.trail.add(token_id)
        if self.grammar is not None:
            self.grammar.accept(token_id)

    def logprob(self, choice: Choice) -> TokenLogprob | None:
        """What is reported of a choice, if the request asks for it."""
        if choice.logprob is None:
            return None
        return TokenLogprob(
            token=self._name(choice.token_id),
            logprob=choice.logprob,
            top=[(self._name(token_id), logprob) for token_id, logprob in choice.top],
        )

    def _name(self, token_id: int) -> str:
        return token_text(self.codec.bytes_of(token_id))


def drawing_for(
    request: TextRequest, seed: int, ids: Sequence[int], codec: TextCodec, mark_key: MarkKey | None = None
) -> Drawing:
    """How a request's tokens are drawn.

    Args:
        ids: its prompt as the net reads it.
        mark_key: marks the text; None leaves it unmarked.

    Raises:
        EngineError: `logit_bias_unknown` or `schema_unsupported`.
    """
    bias = {int(token_id): value for token_id, value in request.logit_bias.items()}
    unknown = sorted(token_id for token_id in bias if token_id >= codec.vocab_size)
    if unknown:
        raise EngineError(
            "logit_bias_unknown",
            f"logit_bias names the token {unknown[0]}; this net has the tokens 0 to {codec.vocab_size - 1}.",
        )
    sampling = Sampling(
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        min_p=request.min_p,
        repetition_penalty=request.repetition_penalty,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        logit_bias=bias,
        num_logprobs=request.num_logprobs,
    )
    grammar = None
    if request.json_schema is not None:
        try:
            grammar = Grammar.compile(request.json_schema, codec).start()
        except SchemaError as error:
            raise _schema_error(error) from error
    seen = SeenTokens(ids) if sampling.has_penalties else None
    return Drawing(codec, sampling, seed, seen, grammar, None if mark_key is None else Trail(mark_key, seed))


def draw_tokens(logits: Tensor, sequences: Sequence[TextSequence[Drawing]]) -> list[Choice | EngineError]:
    """The next token of each sequence, or why it has none.

    Args:
        logits: (B, V) float32 on the CPU.
        sequences: B of them.
    """
    rows: list[Row] = []
    failures: dict[int, EngineError] = {}
    for at, sequence in enumerate(sequences):
        try:
            rows.append(sequence.draw.row(sequence.num_tokens, sequence.most_tokens - len(sequence.ids)))
        except SchemaError as error:
            failures[at] = _schema_error(error)
            rows.append(Row(Sampling(temperature=0.0), 0.0))
    choices = choose_tokens(logits, rows)
    return [failures.get(at) or _told(choice) for at, choice in enumerate(choices)]


def accept(sequence: TextSequence[Drawing], choice: Choice) -> EngineError | None:
    """Write a drawn token down; the error that ends the sequence, if following its schema became too complex."""
    drawing = sequence.draw
    try:
        drawing.accept(choice.token_id)
    except SchemaError as error:
        return _schema_error(error)
    if drawing.trail is not None:
        sequence.mark_strength = drawing.trail.strength
    sequence.accept(choice.token_id, drawing.logprob(choice))
    if sequence.finish_reason is None and drawing.is_complete:
        sequence.end("stop")
    return None


def _told(choice: Choice | DrawError) -> Choice | EngineError:
    if isinstance(choice, Choice):
        return choice
    if choice.reason == "no_token_allowed":
        return EngineError("no_token_allowed", "The logit bias leaves no token that may be written. Forbid fewer.")
    return EngineError(
        "broken_logits", "The net computed something that is not a number. Choose another net or adapter."
    )


def _schema_error(error: SchemaError) -> EngineError:
    return EngineError("schema_unsupported", f"The JSON schema cannot be followed: {error}.")
