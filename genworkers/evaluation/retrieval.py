"""Whether a picture shows what its caption says: is its own caption the nearest of 100?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

NUM_CANDIDATES = 100


@dataclass(frozen=True)
class Retrieval:
    """Share of pictures whose own caption is the nearest, or among the five nearest, of `num_candidates`."""

    at_1: float
    at_5: float
    num_pictures: int
    num_candidates: int


def retrieve_captions(
    picture_vectors: Tensor, caption_vectors: Tensor, own: Sequence[int], *, seed: int = 0, among: int = NUM_CANDIDATES
) -> Retrieval:
    """Set each picture's own caption among others drawn at random, and look which is nearest; a tie is a miss.

    Args:
        picture_vectors: (n, D) unit vectors.
        caption_vectors: (m, D) unit vectors of different concepts.
        own: for each picture the place of its own caption.
        among: how many candidates with its own one; all captions where there are fewer.
    """
    random = np.random.default_rng(seed)
    similarity = (picture_vectors @ caption_vectors.T).numpy()
    num_captions = len(caption_vectors)
    among = min(among, num_captions)
    ranks = []
    for row, place in enumerate(own):
        others = random.permutation(num_captions - 1)[: among - 1]
        others += others >= place
        ranks.append(int((similarity[row, others] >= similarity[row, place]).sum()))
    found = np.array(ranks)
    return Retrieval(float((found < 1).mean()), float((found < 5).mean()), len(found), among)
