"""The text mark as its finder sees it: fair coins, honest p-values, each context once, clear refusals."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from genworkers.marks.keys import MarkKey
from genworkers.marks.text_bits import (
    FREE_TOKENS,
    LANE_SHIFT,
    NUM_LANES,
    NUM_LAYERS,
    Coins,
    Contexts,
    Trail,
    Words,
)
from genworkers.marks.text_mark import (
    LAYER_WEIGHTS,
    TextMarkScore,
    detect,
    detect_any,
    standing,
)

KEY = MarkKey("one", bytes(range(32)))
OTHER = MarkKey("two", bytes(range(1, 33)))
NUM_CANDIDATES = 8


def marked_text(
    num_tokens: int, *, key: MarkKey = KEY, seed: int = 0, vocabulary: Sequence[int] = range(4000)
) -> list[int]:
    """Of eight candidates the one with the highest score is always taken: the strongest mark there can be."""
    chance = random.Random(seed)
    trail, ids = Trail(key, seed), list[int]()
    for _ in range(num_tokens):
        candidates = np.array([chance.choice(vocabulary) for _ in range(NUM_CANDIDATES)], np.uint32)
        best = 0
        if (place := trail.place) is not None:
            words = place.coins.words(np.array([place.context] * NUM_CANDIDATES, np.uint32), candidates)
            best = int((coins_of(words) @ LAYER_WEIGHTS).argmax())
        ids.append(int(candidates[best]))
        trail.add(ids[-1])
    return ids


def coins_of(words: Words) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(..., NUM_LAYERS), 0 or 1."""
    return (words[..., None] >> np.arange(NUM_LAYERS, dtype=np.uint32) & 1).astype(np.float64)


def plain_text(num_tokens: int, seed: int) -> list[int]:
    return [int(one) for one in np.random.default_rng(seed).integers(0, 4000, num_tokens)]


def exact_tail(num_tokens: int, deviation: float) -> float:
    """P(score >= deviation) of fair coins, from the product of their characteristic functions."""
    weights = np.rint(LAYER_WEIGHTS * 29).astype(int)  # linspace(10, 1, 30) in 29ths
    assert weights / 29 == pytest.approx(LAYER_WEIGHTS)
    num_values = int(num_tokens * weights.sum()) + 1
    size = 1 << (num_values - 1).bit_length()
    angles = np.arange(size // 2 + 1) * 2 * np.pi / size
    cosines = np.prod(np.cos(angles[:, None] * weights / 2), axis=1) ** num_tokens
    masses = np.fft.irfft(np.exp(-0.5j * angles * (num_values - 1)) * cosines, size)[:num_values]
    return float(masses[math.ceil((num_values - 1) / 2 + deviation * 29 - 1e-6) :].sum())


def test_coins_are_fair_and_independent_across_layers_contexts_and_candidates() -> None:
    contexts = np.array([[n // 9, n % 9, 7] for n in range(400)], np.uint32)
    words = Coins(KEY).words(contexts.repeat(50, axis=0), np.tile(np.arange(50, dtype=np.uint32), 400))
    coins = coins_of(words)
    assert abs(coins.mean(axis=0) - 0.5).max() < 5 * 0.5 / math.sqrt(20_000)
    related = (coins - 0.5).T @ (coins - 0.5) / len(coins) * 4 - np.eye(NUM_LAYERS)
    assert abs(related).max() < 5 / math.sqrt(20_000)
    of_context = coins.reshape(400, 50, NUM_LAYERS)
    assert abs(of_context[:-1] - of_context[1:]).mean() == pytest.approx(0.5, abs=0.005)
    assert abs(of_context[:, :-1] - of_context[:, 1:]).mean() == pytest.approx(0.5, abs=0.005)


def test_coins_depend_on_key_lane_context_its_order_and_candidate_alone() -> None:
    places = [(1, 2, 3), (2, 1, 3), (1 | 1 << LANE_SHIFT, 2, 3)]
    candidates = np.array([5, 6, 2**LANE_SHIFT - 1], np.uint32)

    def words(key: MarkKey, context: tuple[int, ...]) -> list[int]:
        return [int(one) for one in Coins(key).words(np.array([context] * 3, np.uint32), candidates)]

    together = [words(key, context) for key in (KEY, OTHER) for context in places]
    assert len({word for one in together for word in one}) == 18
    coins = Coins(KEY)
    contexts = np.array(places, np.uint32)
    for _ in range(2):
        assert coins.words(contexts, candidates[:1].repeat(3)).tolist() == [one[0] for one in together[:3]]


def test_the_function_is_aes_over_four_little_endian_numbers() -> None:
    key = KEY.derived("text")[:16]
    words = Coins(KEY).words(np.array([[1, 2, 3], [0xFFFFFFFF, 258, 0]], np.uint32), np.array([4, 5], np.uint32))
    for block, word in zip(
        ("01000000020000000300000004000000", "ffffffff020100000000000005000000"), words, strict=True
    ):
        secret = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(bytes.fromhex(block))
        assert int(word) == int.from_bytes(secret[:4], "little")


def test_a_context_is_given_once_and_not_among_the_first_tokens() -> None:
    contexts = Contexts()
    given = []
    for token_id in [*range(100, 100 + FREE_TOKENS), 1, 2, 3, 1, 2, 3, 4]:
        given.append(contexts.current)
        contexts.add(token_id)
    last = 99 + FREE_TOKENS
    assert given[:FREE_TOKENS] == [None] * FREE_TOKENS
    assert given[FREE_TOKENS:] == [
        (last - 2, last - 1, last),
        (last - 1, last, 1),
        (last, 1, 2),
        (1, 2, 3),
        (2, 3, 1),
        (3, 1, 2),
        None,
    ]
    assert contexts.current == (2, 3, 4)


def test_a_marked_text_is_found_and_only_under_its_key() -> None:
    ids = marked_text(60)
    found = detect(ids, KEY)
    assert found.num_scored == 60 - FREE_TOKENS
    assert found.p_value < 1e-12
    assert detect(ids, OTHER).p_value > 1e-3
    assert detect(plain_text(60, 1), KEY).p_value > 1e-3


def test_p_values_of_texts_without_the_mark_are_uniform() -> None:
    p_values = np.array([detect(plain_text(80, seed), KEY).p_value for seed in range(1000)])
    for level in (0.01, 0.1, 0.5, 0.9):
        assert (p_values <= level).mean() == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 1000))


@pytest.mark.slow
@pytest.mark.parametrize("num_tokens", [1, 2, 5, 20, 200])
@pytest.mark.parametrize("z", [2.0, 2.33, 3.72, 4.75, 6.0])
def test_the_reported_tail_is_never_below_the_exact_one(num_tokens: int, z: float) -> None:
    spread = math.sqrt(num_tokens * float(LAYER_WEIGHTS @ LAYER_WEIGHTS) / 4)
    if z * spread > num_tokens * LAYER_WEIGHTS.sum() / 2:
        return  # higher than all heads
    exact, reported = exact_tail(num_tokens, z * spread), math.erfc(z / math.sqrt(2)) / 2
    assert exact <= reported * (1 + 1e-6) + 1e-15
    if num_tokens >= 200 and z < 5:
        assert exact > 0.98 * reported


def test_a_sentence_that_is_repeated_counts_once() -> None:
    sentence = plain_text(20, 3)
    once, often = detect(sentence, KEY), detect(sentence * 30, KEY)
    assert often.num_scored == len(sentence)  # its own and the joints
    assert once.num_scored == len(sentence) - FREE_TOKENS
    assert often.p_value > 1e-4


def test_every_seed_is_found_and_neighbours_have_different_coins() -> None:
    places = [Trail(KEY, seed) for seed in range(NUM_LANES)]
    for trail in places:
        for token_id in range(FREE_TOKENS):
            trail.add(token_id)
    assert len({trail.place.context for trail in places if trail.place is not None}) == NUM_LANES
    for seed in (1, 2**63 - 1):
        assert detect(marked_text(60, seed=seed), KEY).p_value <= 1e-4


def test_a_mark_survives_edits_of_one_token_in_ten() -> None:
    chance = random.Random(0)
    ids = [chance.randrange(4000) if chance.random() < 0.1 else token_id for token_id in marked_text(150)]
    del ids[30:35]
    assert detect(ids, KEY).p_value <= 1e-4


def test_texts_too_short_for_a_context_say_nothing() -> None:
    for num_tokens in (0, 1, FREE_TOKENS):
        assert detect(plain_text(num_tokens, 0), KEY) == TextMarkScore(0, 1.0)
    assert detect(plain_text(FREE_TOKENS + 1, 0), KEY).num_scored == 1


def test_trying_many_keys_costs_what_it_gains_by_chance() -> None:
    ids = marked_text(40, key=OTHER)
    keys = [KEY, OTHER, *(MarkKey(str(n), bytes([n] * 32)) for n in range(8))]
    found = detect_any(ids, keys)
    assert found is not None
    assert found[0] is OTHER
    assert found[1].p_value == pytest.approx(detect(ids, OTHER).p_value * 10)
    assert detect_any(ids, []) is None
    lucky = sum(
        detect_any(plain_text(40, seed), keys)[1].p_value <= 0.1  # type: ignore[index]
        for seed in range(100)
    )
    assert lucky <= 25  # 10 are expected


@pytest.mark.parametrize("wrong", [-1, 2**LANE_SHIFT])
def test_token_ids_outside_the_range_are_refused_with_the_range(wrong: int) -> None:
    with pytest.raises(ValueError, match=r"token ids must be 0\.\.268435455"):
        detect([1, 2, 3, wrong], KEY)


def test_the_record_says_what_a_mark_can_be_worth() -> None:
    assert [standing(strength) for strength in (0.0, 0.01, 1.0, 3.4, 3.5, 9.0)] == [
        "not_drawn",
        "not_drawn",
        "weak",
        "weak",
        "marked",
        "marked",
    ]


def test_strength_is_the_room_of_all_places_over_the_root_of_their_number() -> None:
    trail = Trail(KEY, 0)
    for token_id in range(FREE_TOKENS):
        trail.add(token_id)
    assert trail.strength == 0
    for token_id, room in ((100, 0.5), (101, 0.0), (102, 0.7), (103, 0.8)):
        assert trail.place is not None
        trail.place.room = room
        trail.add(token_id)
    assert trail.strength == pytest.approx(2.0 / math.sqrt(4))


def test_a_score_tells_neither_coins_nor_key() -> None:
    assert TextMarkScore.__slots__ == ("num_scored", "p_value")
