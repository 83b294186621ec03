"""Documents as ids, in batches: one document a row with rows of similar length together, or several packed into a row.

In both no document ever sees another. Rows of similar length need no mask and waste almost nothing; packed rows are
all of one shape, which is what a GPU wants, and their mask is `genworkers.training.text_packing`'s.
"""

import random
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import torch
from torch import Tensor

from genworkers.codecs.text_bpe import TextCodec
from genworkers.training.text_data import Story
from genworkers.training.text_prompts import PASSAGE_TASKS, fixed_texts

IGNORED_TARGET = -100
PADDING = -1
PROMPT_MARGIN_TOKENS = 12
LENGTH_JITTER_TOKENS = 24
COMMON_DOCUMENTS_FRAC = 0.1
FIRST_USE_WEIGHT = 5.0
CONTEXTS_PER_PACKED_ROW = 2

Example = tuple[list[int], int]  # ids, how many of them are the prompt
Row = list[Example]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one training step reads.

    Args:
        inputs: (B, T) ids.
        targets: (B, T) ids, `IGNORED_TARGET` where nothing is learnt.
        weights: (B, T) how much each target counts.
        documents: (B, T) which document of its row a token belongs to, `PADDING` for none; None where every row
            holds one document from its first position on.
        positions: (B, T) each token's place in its document; None as for documents.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    documents: Tensor | None = None
    positions: Tensor | None = None

    @property
    def chosen(self) -> Tensor:
        """Flat positions (M,) of the targets that count."""
        return (self.targets.flatten() != IGNORED_TARGET).nonzero().squeeze(1)

    def to(self, device: str) -> "Batch":
        """The same on another device."""
        documents = None if self.documents is None else self.documents.to(device)
        positions = None if self.positions is None else self.positions.to(device)
        return Batch(self.inputs.to(device), self.targets.to(device), self.weights.to(device), documents, positions)


@dataclass(slots=True)
class Corpus:
    """Documents as ids, ready to be batched.

    Args:
        common_ids: tokens that stand in many documents or in every prompt of a kind.
    """

    codec: TextCodec
    stories: Sequence[Story]
    bodies: list[list[int]]
    context_tokens: int
    common_ids: AbstractSet[int]

    @classmethod
    def build(cls, codec: TextCodec, stories: Sequence[Story], context_tokens: int) -> "Corpus":
        """Encode every text once; prompts are encoded when they are drawn. Passages that do not fit are left out."""
        bodies = codec.encode_many([story.text for story in stories])
        kept = [
            index
            for index, story in enumerate(stories)
            if story.source not in PASSAGE_TASKS
            or len(bodies[index]) + len(codec.encode(story.prompts[-1])) + PROMPT_MARGIN_TOKENS < context_tokens
        ]
        bodies = [bodies[index] for index in kept]
        num_documents_with = Counter(token_id for body in bodies for token_id in set(body))
        limit = COMMON_DOCUMENTS_FRAC * len(bodies)
        common_ids = {token_id for token_id, count in num_documents_with.items() if count > limit}
        common_ids.update(token_id for ids in codec.encode_many(fixed_texts()) for token_id in ids)
        return cls(codec, [stories[index] for index in kept], bodies, context_tokens, common_ids)

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts, without prompts."""
        return sum(len(body) for body in self.bodies)

    @property
    def packed_row_tokens(self) -> int:
        """Length of a packed row; no document in it is longer than the context."""
        return CONTEXTS_PER_PACKED_ROW * self.context_tokens

    def example(self, index: int, rng: random.Random | None) -> Example:
        """Ids of one conversation and the length of its prompt, drawn with `rng`, the first one without."""
        prompts = self.stories[index].prompts
        head = self.codec.encode_prompt(prompts[0] if rng is None else rng.choice(prompts))
        return [*head, *self.bodies[index], self.codec.end_id][: self.context_tokens + 1], len(head)

    def epoch(self, seed: int, batch_tokens: int, *, is_packed: bool = False) -> Iterator[list[Row]]:
        """Every document once.

        Args:
            seed: decides the order and the prompts.
            batch_tokens: upper limit of rows times the longest row.
            is_packed: several documents a row, as many as fit whole into `packed_row_tokens`.
        """
        rng = random.Random(seed)
        examples = [self.example(index, rng) for index in range(len(self.stories))]
        if is_packed:
            rng.shuffle(examples)
            # Two contexts long and the longest first, 0.6 % of the house's rows is padding; one context long, 19 %.
            rows = pack(sorted(examples, key=lambda one: -len(one[0])), self.packed_row_tokens)
            rng.shuffle(rows)
            num_rows = max(1, batch_tokens // self.packed_row_tokens)
            batches = [rows[start : start + num_rows] for start in range(0, len(rows), num_rows)]
        else:
            batches = _of_similar_length(examples, batch_tokens, rng)
        rng.shuffle(batches)
        yield from batches


def pack(examples: Sequence[Example], row_tokens: int) -> list[Row]:
    """Put each document into the fullest row that still has room for it, in order.

    Args:
        examples: each of at most row_tokens + 1 ids; all but its last take room.
    """
    rows: list[Row] = []
    rooms: list[tuple[int, int]] = []  # tokens left, row; ascending
    for example in examples:
        needed = len(example[0]) - 1
        at = bisect_left(rooms, (needed, -1))
        if at < len(rooms):
            left, row = rooms.pop(at)
        else:
            left, row = row_tokens, len(rows)
            rows.append([])
        rows[row].append(example)
        insort(rooms, (left - needed, row))
    return rows


def first_uses(ids: Sequence[int], num_prompt: int, common_ids: AbstractSet[int]) -> list[int]:
    """Places in the answer where a token of the prompt that is not common is used for the first time."""
    wanted = set(ids[:num_prompt]) - common_ids
    places = []
    for place, token_id in enumerate(ids[num_prompt:]):
        if token_id in wanted:
            wanted.remove(token_id)
            places.append(place)
    return places


def to_batch(
    rows: Sequence[Row], pad_id: int, row_tokens: int = 0, common_ids: AbstractSet[int] | None = None
) -> Batch:
    """Lay rows out as tensors, padded on the right; prompts are not learnt.

    Args:
        row_tokens: T; 0 makes it as long as the longest row.
        common_ids: where given, the first use of any other token of the prompt counts `FIRST_USE_WEIGHT` times: such
            tokens are few, and on them depends whether the answer keeps to the prompt.
    """
    num_tokens = row_tokens or max(sum(len(ids) - 1 for ids, _ in row) for row in rows)
    inputs = torch.full((len(rows), num_tokens), pad_id)
    targets = torch.full((len(rows), num_tokens), IGNORED_TARGET)
    weights = torch.ones((len(rows), num_tokens))
    documents = torch.full((len(rows), num_tokens), PADDING)
    positions = torch.zeros((len(rows), num_tokens), dtype=torch.long)
    for place, row in enumerate(rows):
        start = 0
        for number, (ids, num_prompt) in enumerate(row):
            end = start + len(ids) - 1
            inputs[place, start:end] = torch.tensor(ids[:-1])
            targets[place, start + num_prompt - 1 : end] = torch.tensor(ids[num_prompt:])
            if common_ids is not None:
                answer = start + num_prompt - 1
                weights[place, [answer + at for at in first_uses(ids, num_prompt, common_ids)]] = FIRST_USE_WEIGHT
            documents[place, start:end] = number
            positions[place, start:end] = torch.arange(end - start)
            start = end
    if not row_tokens and all(len(row) == 1 for row in rows):
        return Batch(inputs, targets, weights)
    return Batch(inputs, targets, weights, documents, positions)


def padding_frac(batches: Sequence[Sequence[Row]], row_tokens: int = 0) -> float:
    """Share of the batches' positions that hold no token."""
    used, held = 0, 0
    for rows in batches:
        lengths = [sum(len(ids) - 1 for ids, _ in row) for row in rows]
        used += sum(lengths)
        held += len(rows) * (row_tokens or max(lengths))
    return 1 - used / held


def _of_similar_length(examples: Sequence[Example], batch_tokens: int, rng: random.Random) -> list[list[Row]]:
    order = sorted(
        range(len(examples)), key=lambda index: len(examples[index][0]) + rng.random() * LENGTH_JITTER_TOKENS
    )
    batches: list[list[Row]] = []
    longest = 0
    for index in order:
        longest = max(longest, len(examples[index][0]))
        if not batches or (len(batches[-1]) + 1) * longest > batch_tokens:
            batches.append([])
            longest = len(examples[index][0])
        batches[-1].append([examples[index]])
    return batches
