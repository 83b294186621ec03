"""The batched sampler: order and meaning of its settings, no row touched by another, errors that stay in their row."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.sampling.logits import Choice, DrawError, Row, Sampling, choose_token, choose_tokens, uniform_at
from genworkers.sampling.penalties import SeenTokens

uniforms = st.floats(0, 1, exclude_max=True)
# Whole numbers among them: equal logits are where orders and borders go wrong.
logit = st.one_of(st.floats(-20, 20, width=32), st.integers(-2, 2).map(float))
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1e-9, 0.3, 0.8, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 2, 5, 50, 2000]),
    top_p=st.sampled_from([1e-9, 0.3, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.1, 1.0]),
    repetition_penalty=st.sampled_from([0.7, 1.0, 1.3]),
    presence_penalty=st.sampled_from([0.0, 0.5]),
    frequency_penalty=st.sampled_from([-0.2, 0.0, 0.5]),
    logit_bias=st.dictionaries(st.integers(0, 2), st.floats(-100, 100, width=16), max_size=2),
    num_logprobs=st.sampled_from([None, 0, 3]),
)


@st.composite
def batches(draw: st.DrawFn, vocab_size: int | None = None) -> tuple[torch.Tensor, list[Row]]:
    """Logits (B, V) and a row of settings for each."""
    V = vocab_size or draw(st.integers(3, 40))
    B = draw(st.integers(1, 6))
    noise = np.random.default_rng(draw(st.integers(0, 1000))).normal(size=(B, V)).astype(np.float32) * 4
    logits = noise.round(draw(st.sampled_from([0, 1, 7])))
    logits[:, : min(V, 20)] = [draw(st.lists(logit, min_size=min(V, 20), max_size=min(V, 20))) for _ in range(B)]
    rows = []
    for _ in range(B):
        seen = SeenTokens(draw(st.lists(st.integers(0, V - 1), max_size=5)))
        for token_id in draw(st.lists(st.integers(0, V - 1), max_size=5)):
            seen.add(token_id)
        mask = draw(st.none() | st.lists(st.booleans(), min_size=1, max_size=V).map(lambda bits: np.array(bits)))
        rows.append(Row(draw(samplings), draw(uniforms), seen, mask))
    return torch.from_numpy(logits), rows


def tokens_of(choices: Sequence[Choice | DrawError]) -> list[int | None]:
    """Their ids; None for an error."""
    return [None if isinstance(choice, DrawError) else choice.token_id for choice in choices]


def by_the_book(logits: list[float], row: Row, prompt: list[int], written: list[int]) -> int | None:
    """What the documentation says, one token after the other, in plain Python."""
    s, V = row.sampling, len(logits)
    allowed = [row.mask is None or (i < len(row.mask) and row.mask[i]) for i in range(V)]
    x = [np.float32(v if may else -math.inf) for v, may in zip(logits, allowed, strict=True)]
    x = [v + np.float32(s.logit_bias.get(i, 0)) for i, v in enumerate(x)]
    for i in {*prompt, *written}:
        x[i] = x[i] / np.float32(s.repetition_penalty) if x[i] > 0 else x[i] * np.float32(s.repetition_penalty)
        x[i] -= np.float32(s.frequency_penalty) * np.float32(written.count(i))
        x[i] -= np.float32(s.presence_penalty) * np.float32(i in written)
    order = sorted((i for i in range(V) if x[i] > -math.inf), key=lambda i: (-x[i], i))
    if not order:
        return None
    if s.temperature == 0:
        return order[0]
    order = order[: s.top_k or V]
    weight = {i: float(np.exp((float(x[i]) - float(x[order[0]])) / s.temperature)) for i in order}
    order = [i for i in order if weight[i] >= s.min_p]
    total, so_far = sum(weight[i] for i in order), 0.0
    head: list[int] = []
    for i in order:
        if head and so_far >= s.top_p * total:
            break
        head.append(i)
        so_far += weight[i]
    if s.top_p == 1 and not 0 < s.top_k < V:
        head = sorted(head)  # nothing is cut, so nothing is sorted: the draw goes by id
    target, so_far = row.uniform * so_far, 0.0
    for i in head:
        so_far += weight[i]
        if so_far > target:
            return i
    return head[-1]


@given(st.lists(logit, min_size=3, max_size=30), samplings, uniforms, st.data())
def test_a_token_is_chosen_as_the_documentation_says(
    logits: list[float], sampling: Sampling, uniform: float, data: st.DataObject
) -> None:
    ids = st.integers(0, len(logits) - 1)
    prompt, written = data.draw(st.lists(ids, max_size=6)), data.draw(st.lists(ids, max_size=6))
    mask = data.draw(st.none() | st.lists(st.booleans(), min_size=1, max_size=len(logits)).map(np.array))
    seen = SeenTokens(prompt)
    for token_id in written:
        seen.add(token_id)
    row = Row(sampling, uniform, seen, mask)
    assert tokens_of(choose_tokens(torch.tensor([logits]), [row])) == [by_the_book(logits, row, prompt, written)]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from([None, 3001]), st.randoms(use_true_random=False))
def test_a_row_gets_the_same_alone_and_in_any_company(
    data: st.DataObject, vocab_size: int | None, order: object
) -> None:
    logits, rows = data.draw(batches(vocab_size))
    together = choose_tokens(logits, rows)
    for index, row in enumerate(rows):
        (alone,) = choose_tokens(logits[index : index + 1].clone(), [row])
        assert repr(alone) == repr(together[index])  # log-probabilities to the last bit
    shuffled = list(range(len(rows)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    moved = choose_tokens(logits[shuffled], [rows[i] for i in shuffled])
    assert [repr(choice) for choice in moved] == [repr(together[i]) for i in shuffled]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_logits_are_not_modified_and_rows_of_a_wider_tensor_are_fine(data: st.DataObject) -> None:
    logits, rows = data.draw(batches())
    padded = torch.nn.functional.pad(logits, (0, 7), value=99.0)
    before = padded.clone()
    choices = choose_tokens(padded[:, :-7], rows)
    assert torch.equal(padded, before)
    assert [repr(choice) for choice in choices] == [repr(choice) for choice in choose_tokens(logits, rows)]


def draws(logits: torch.Tensor, sampling: Sampling, num_draws: int) -> Counter[int]:
    """How often each token is drawn from one distribution."""
    rows = [Row(sampling, uniform_at(7, position)) for position in range(num_draws)]
    return Counter(
        choice.token_id for choice in choose_tokens(logits.repeat(num_draws, 1), rows) if isinstance(choice, Choice)
    )


def test_draws_follow_the_distribution_with_and_without_truncation() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    for sampling in (Sampling(), Sampling(top_k=3), Sampling(top_p=0.85), Sampling(min_p=0.4)):
        kept = [0.1, 0.2, 0.3, 0.4] if sampling == Sampling() else [0, 0.2, 0.3, 0.4]
        drawn = draws(logits, sampling, 4000)
        assert [drawn[i] / 4000 for i in range(4)] == pytest.approx([p / sum(kept) for p in kept], abs=0.03)


def test_long_rows_follow_the_distribution() -> None:
    logits = torch.zeros(2000)
    logits[[3, 1000, 1999]] = torch.tensor([10.0, 11.0, 10.0])
    drawn = draws(logits, Sampling(), 3000)
    shares = logits.softmax(0)[[3, 1000, 1999]].tolist()
    assert [drawn[i] / 3000 for i in (3, 1000, 1999)] == pytest.approx(shares, abs=0.03)
    assert len(drawn) > 20


def test_flat_long_rows_keep_more_than_the_first_guess_at_a_head() -> None:
    logits = torch.zeros(3000)
    drawn = draws(logits, Sampling(top_p=0.5), 300)
    assert max(drawn) < 1500  # half of them, of equals the lower ids
    assert max(drawn) > 1400


@pytest.mark.parametrize("temperature", [0.0, 1e-9, 1e-30, 5e-324])
def test_a_temperature_near_zero_takes_the_likeliest(temperature: float) -> None:
    for top_k in (0, 2):
        assert choose_token(torch.tensor([1.0, 15.0, 14.9]), Sampling(temperature, top_k), 0.99) == 1


def test_of_equal_logits_the_lower_ids_are_kept() -> None:
    logits = torch.zeros(50)
    assert choose_token(logits, Sampling(0.0), 0.99) == 0
    assert choose_token(logits, Sampling(top_k=3), 0.999) == 2
    assert choose_token(torch.tensor([-0.0, 0.0]), Sampling(0.0), 0.99) == 0


def test_a_tiny_top_p_or_the_whole_min_p_keeps_one() -> None:
    logits = torch.tensor([1.0, 2.0, 1.9])
    for sampling in (Sampling(top_p=1e-12), Sampling(min_p=1.0), Sampling(top_k=2, top_p=1e-12)):
        assert choose_token(logits, sampling, 0.999) == 1


def test_logprobs_are_those_of_the_net_itself() -> None:
    logits = torch.tensor([[0.5, 2.0, -1.0, 1.0]])
    mask = np.array([True, False, True])
    sampling = Sampling(0.1, logit_bias={2: 50.0}, num_logprobs=2)
    (choice,) = choose_tokens(logits, [Row(sampling, 0.5, mask=mask)])
    expected = logits[0].log_softmax(0).tolist()
    assert isinstance(choice, Choice)
    assert choice.token_id == 2
    assert choice.logprob == pytest.approx(expected[2])
    assert [token_id for token_id, _ in choice.top] == [1, 3]
    assert [logprob for _, logprob in choice.top] == pytest.approx([expected[1], expected[3]])


def test_logprobs_are_reported_only_where_asked_and_top_never_exceeds_the_vocabulary() -> None:
    logits = torch.tensor([[0.5, 2.0], [0.5, 2.0], [0.5, 2.0]])
    choices = choose_tokens(logits, [Row(Sampling(0.0, num_logprobs=n), 0.5) for n in (None, 0, 20)])
    assert [(c.logprob is None, len(c.top)) for c in choices if isinstance(c, Choice)] == [
        (True, 0),
        (False, 0),
        (False, 2),
    ]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.0), Sampling(top_k=1, num_logprobs=1)])
def test_a_broken_row_harms_no_other(sampling: Sampling) -> None:
    logits = torch.tensor([[1.0, 2.0], [1.0, math.nan], [math.inf, 0.0], [-math.inf, -math.inf], [-math.inf, 0.0]])
    choices = choose_tokens(logits, [Row(sampling, 0.9) for _ in range(5)])
    assert tokens_of(choices) == [1, None, None, None, 1]
    reasons = [choice.reason for choice in choices if isinstance(choice, DrawError)]
    assert reasons == ["broken_logits", "broken_logits", "no_token_allowed"]


def test_a_mask_that_forbids_everything_is_an_error_of_its_row() -> None:
    rows = [Row(Sampling(), 0.5, mask=np.zeros(3, np.bool_)), Row(Sampling(), 0.5)]
    first, second = choose_tokens(torch.zeros(2, 3), rows)
    assert isinstance(first, DrawError)
    assert isinstance(second, Choice)


def test_one_sequence_raises_its_error() -> None:
    with pytest.raises(DrawError, match="NaN"):
        choose_token(torch.tensor([1.0, math.nan]), Sampling(), 0.5)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2000))
def test_uniform_is_a_function_of_seed_and_position(seed: int, position: int) -> None:
    value = uniform_at(seed, position)
    assert 0 <= value < 1
    assert value == uniform_at(seed, position)
    assert value != uniform_at(seed, position + 1)
    assert value != uniform_at(seed ^ 1, position)


def test_uniforms_of_neighbouring_seeds_and_positions_are_spread_evenly_and_unrelated() -> None:
    table = np.array([[uniform_at(seed, position) for position in range(64)] for seed in range(64)])
    counts, _ = np.histogram(table, bins=16, range=(0, 1))
    assert ((counts - 256) ** 2 / 256).sum() < 45  # chi-square with 15 degrees of freedom: above once in 10,000
    related = np.corrcoef(table) - np.eye(64)
    assert abs(related).max() < 0.6
    assert abs(related.mean()) < 0.01


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": math.inf},
        {"presence_penalty": math.nan},
        {"frequency_penalty": math.inf},
        {"logit_bias": {-1: 1.0}},
        {"logit_bias": {1: math.nan}},
        {"num_logprobs": -1},
    ],
)
def test_values_out_of_range_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]
