"""The tournament: nobody is favoured over all keys, one key favours heads, rows do not see each other."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genworkers.marks.keys import MarkKey
from genworkers.marks.text_bits import NUM_LAYERS, Coins, Place, Trail, Words
from genworkers.sampling.draws import Weights
from genworkers.sampling.logits import Choice, Row, Sampling, choose_tokens, uniform_at
from genworkers.sampling.tournament import MOST_CANDIDATES, mark, tournament
from tests.genworkers.sampling.test_logits import batches

COINS = Coins(MarkKey("one", bytes(range(32))))
OTHER = Coins(MarkKey("two", bytes(range(1, 33))))

places = st.builds(Place, st.sampled_from([COINS, OTHER]), st.tuples(*[st.integers(0, 9)] * 3))


def under_random_coins(p: list[float], num_keys: int, seed: int = 0) -> tuple[Weights, Words]:
    """(num_keys, K) each."""
    words = np.random.default_rng(seed).integers(0, 2**32, (num_keys, len(p)), dtype=np.uint32)
    row_of = np.arange(num_keys).repeat(len(p))
    starts = np.arange(0, words.size, len(p))
    return tournament(np.tile(p, num_keys), row_of, starts, words.ravel()).reshape(words.shape), words


def by_the_book(p: list[float], words: list[int]) -> list[float]:
    """Layer for layer, in plain Python."""
    for layer in range(NUM_LAYERS):
        g = [word >> layer & 1 for word in words]
        share = sum(coin * one for coin, one in zip(g, p, strict=True))
        p = [one * (1 + coin - share) for coin, one in zip(g, p, strict=True)]
    return p


@pytest.mark.slow
@pytest.mark.parametrize(
    "p", [[0.5, 0.5], [0.9, 0.1], [0.98, 0.02], [0.4, 0.3, 0.2, 0.1], [0.05] * 20, [0.6, *[0.4 / 39] * 39]]
)
def test_over_all_keys_probabilities_are_what_they_were(p: list[float]) -> None:
    num_keys = 20_000
    marked, _ = under_random_coins(p, num_keys)
    error = marked.std(axis=0) / math.sqrt(num_keys)
    assert (abs(marked.mean(axis=0) - p) < 5 * error + 1e-9).all()
    assert marked.sum(axis=1) == pytest.approx(1)


def test_one_key_decides_most_draws() -> None:
    marked, _ = under_random_coins([0.25] * 4, 1000)
    assert (marked.max(axis=1) > 0.95).mean() > 0.7


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12), st.integers(0, 10_000))
def test_layers_are_those_of_the_paper(weights: list[int], seed: int) -> None:
    p = [one / sum(weights) for one in weights]
    marked, words = under_random_coins(p, 3, seed)
    for row in range(3):
        assert marked[row].tolist() == pytest.approx(by_the_book(p, words[row].tolist()), abs=1e-12)


def test_a_row_without_a_place_and_one_without_a_choice_are_left_alone() -> None:
    weights: Weights = np.array([[1.0, 0.7, 0.1], [1.0, 0.0, 0.0], [1.0, 0.9, 0.8]])
    before = weights.copy()
    mark(np.arange(9).reshape(3, 3), weights, [None, Place(COINS, (1, 2, 3)), Place(COINS, (1, 2, 3))])
    assert weights[:2].tolist() == before[:2].tolist()
    assert weights[2].tolist() != before[2].tolist()
    assert weights[2].sum() == pytest.approx(2.7)


def test_each_place_is_told_how_often_two_draws_would_differ() -> None:
    weights = np.array([[6.0, 3.0, 1.0], [1.0, 1.0, 0.0], [2.0, 0.0, 0.0], [1.0, 1e-200, 0.0]])
    places = [Place(COINS, (n, 2, 3)) for n in range(4)]
    mark(np.arange(12).reshape(4, 3), weights, places)
    assert [place.room for place in places] == pytest.approx([1 - 0.36 - 0.09 - 0.01, 0.5, 0.0, 0.0])


def test_behind_many_candidates_nothing_changes() -> None:
    weights = np.ones((1, MOST_CANDIDATES + 40))
    mark(np.arange(weights.shape[1])[None], weights, [Place(COINS, (1, 2, 3))])
    assert (weights[0, MOST_CANDIDATES:] == 1).all()
    assert weights.sum() == pytest.approx(MOST_CANDIDATES + 40)
    assert weights[0, :MOST_CANDIDATES].max() > 20


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([None, 3001]))
def test_marked_and_unmarked_rows_get_the_same_alone_and_in_any_company(
    data: st.DataObject, vocab_size: int | None
) -> None:
    logits, rows = data.draw(batches(vocab_size))
    for row in rows:
        row.place = data.draw(st.none() | places)
    together = choose_tokens(logits, rows)
    for index, row in enumerate(rows):
        assert repr(choose_tokens(logits[[index]], [row])[0]) == repr(together[index])
    order = data.draw(st.permutations(range(len(rows))))
    moved = choose_tokens(logits[order], [rows[i] for i in order])
    assert [repr(choice) for choice in moved] == [repr(together[i]) for i in order]


@pytest.mark.parametrize("num_rows", [1, 2, 7, 33])
def test_weights_are_the_same_to_the_bit_in_any_company(num_rows: int) -> None:
    rng = np.random.default_rng(0)
    weights = -np.sort(-(rng.exponential(size=(num_rows, 60)) ** 3), axis=1)
    for row, num in enumerate(rng.integers(1, 60, num_rows)):
        weights[row, num:] = 0
    ids = rng.integers(0, 4000, weights.shape)
    own = [Place((COINS, OTHER)[row % 2], (row, 1, 2)) if row % 3 != 1 else None for row in range(num_rows)]
    together = weights.copy()
    mark(ids, together, own)
    for row in range(num_rows):
        num = int((weights[row] > 0).sum())
        alone = weights[row : row + 1, :num].copy()
        mark(ids[row : row + 1, :num], alone, [own[row]])
        assert alone.tobytes() == together[row, :num].tobytes()


SAMPLINGS = {
    "top-k": Sampling(top_k=20),
    "top-k and top-p": Sampling(0.8, 50, 0.95),
    "min-p": Sampling(top_k=40, min_p=0.05),
    "all": Sampling(),
    "all, top-p": Sampling(top_p=0.9),
    "bias": Sampling(top_k=20, logit_bias={3: 2.0, 5: -100.0}),
}


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS.keys())
def test_every_way_to_draw_is_marked_and_over_contexts_undistorted(sampling: Sampling) -> None:
    num_draws = 4000
    logits = torch.randn(300, generator=torch.Generator().manual_seed(0)) * 2
    uniforms = np.random.default_rng(0).random(num_draws).tolist()

    def drawn(coins: Coins | None) -> list[int]:
        own = [None if coins is None else Place(coins, (n, 0, 0)) for n in range(num_draws)]
        rows = [Row(sampling, uniform, place=place) for uniform, place in zip(uniforms, own, strict=True)]
        choices = choose_tokens(logits.repeat(num_draws, 1), rows)
        return [choice.token_id for choice in choices if isinstance(choice, Choice)]

    plain, marked = drawn(None), drawn(COINS)
    counts = np.array([np.bincount(one, minlength=300) for one in (plain, marked)])
    often = counts.sum(axis=0) >= 40
    chi = ((counts[0] - counts[1]) ** 2 / counts.sum(axis=0).clip(1))[often].sum()
    assert chi < often.sum() + 5 * math.sqrt(2 * often.sum())
    assert not counts[1][counts[0].sum() and (counts[0] == 0) & (counts[1] > 30)].any()
    contexts = np.array([[n, 0, 0] for n in range(num_draws)], np.uint32)
    heads = [COINS.words(contexts, np.array(one, np.uint32)) & 1 for one in (plain, marked)]
    assert heads[0].mean() == pytest.approx(0.5, abs=0.04)
    assert heads[1].mean() > 0.6


@pytest.mark.slow
def test_whole_texts_are_as_likely_with_the_mark_as_without() -> None:
    num_texts, num_tokens = 1000, 50
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32) * 3)
    logprobs = table.log_softmax(dim=1).numpy()  # of a token after the one before it

    def nats_of_texts(keys: list[MarkKey] | None) -> NDArray[np.float64]:
        trails = [Trail(key, n) for n, key in enumerate(keys or [])]
        seeds = range(len(trails) and num_texts, (len(trails) and num_texts) + num_texts)
        last, nats = np.zeros(num_texts, np.int64), np.zeros(num_texts)
        for position in range(num_tokens):
            places = [trail.place for trail in trails] or [None] * num_texts
            rows = [
                Row(Sampling(0.8, 20, 0.95), uniform_at(seed, position), place=place)
                for seed, place in zip(seeds, places, strict=True)
            ]
            choices = choose_tokens(table[torch.from_numpy(last)], rows)
            drawn = np.array([choice.token_id for choice in choices if isinstance(choice, Choice)])
            nats -= logprobs[last, drawn] / num_tokens
            last = drawn
            for trail, token_id in zip(trails, drawn.tolist(), strict=False):
                trail.add(token_id)
        return nats

    plain = nats_of_texts(None)
    marked = nats_of_texts([MarkKey(str(n), n.to_bytes(32, "little")) for n in range(num_texts)])
    error = math.sqrt((plain.var() + marked.var()) / num_texts)
    assert error < 0.01
    assert abs(plain.mean() - marked.mean()) < 4 * error


def test_a_grammar_bounds_what_is_marked() -> None:
    mask = np.zeros(300, np.bool_)
    mask[[4, 9]] = True
    rows = [Row(Sampling(), 0.5, mask=mask, place=Place(COINS, (n, 1, 2))) for n in range(200)]
    chosen = [one.token_id for one in choose_tokens(torch.zeros(200, 300), rows) if isinstance(one, Choice)]
    assert set(chosen) == {4, 9}
    only = np.zeros(300, np.bool_)
    only[7] = True
    (one,) = choose_tokens(torch.zeros(1, 300), [Row(Sampling(), 0.9, mask=only, place=Place(COINS, (1, 2, 3)))])
    assert one == Choice(7)


def test_the_likeliest_token_is_taken_whatever_the_key() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.9]])
    for sampling in (Sampling(0.0), Sampling(top_k=1)):
        for n in range(20):
            assert choose_tokens(logits, [Row(sampling, 0.99, place=Place(COINS, (n, 1, 2)))]) == [Choice(1)]
