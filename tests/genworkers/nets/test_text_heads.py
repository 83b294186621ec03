"""The heads of the text screen: each row by itself, either input alone, and one batch overfits."""

import pytest
import torch
import torch.nn.functional as F

from genworkers.nets.text_heads import TextHeads, TextHeadsConfig, pooled

CONFIG = TextHeadsConfig(num_categories=3, state_width=4, num_buckets=64, bag_width=5, hidden_width=16, dropout=0.0)


@pytest.fixture
def heads() -> TextHeads:
    torch.manual_seed(0)
    return TextHeads(CONFIG).eval()


def test_a_row_does_not_depend_on_its_neighbours(heads: TextHeads) -> None:
    states = torch.randn(3, 8)
    buckets, begins = torch.tensor([1, 2, 3, 60, 5]), torch.tensor([0, 2, 4])
    together = heads(states, buckets, begins)
    alone = heads(states[1:2], buckets[2:4], torch.tensor([0]))
    torch.testing.assert_close(together[1:2], alone)


def test_a_text_without_n_grams_is_its_states_alone(heads: TextHeads) -> None:
    states = torch.randn(2, 8)
    none, begins = torch.empty(0, dtype=torch.long), torch.tensor([0, 0])
    assert torch.isfinite(heads(states, none, begins)).all()
    assert not torch.equal(heads(states, none, begins)[0], heads(states, none, begins)[1])


def test_pooling_takes_mean_and_maximum_whatever_the_scale() -> None:
    states = torch.randn(6, 4)
    assert pooled(states).shape == (8,)
    torch.testing.assert_close(pooled(states * 100), pooled(states), rtol=1e-2, atol=1e-2)
    assert not torch.allclose(pooled(states)[:4], pooled(states)[4:])


def test_one_batch_is_learnt(heads: TextHeads) -> None:
    torch.manual_seed(0)
    states, targets = torch.randn(8, 8), torch.randint(2, (8, 3)).float()
    buckets, begins = torch.randint(64, (40,)), torch.arange(0, 40, 5)
    optimiser = torch.optim.Adam(heads.train().parameters(), lr=0.02)
    for _ in range(200):
        loss = F.binary_cross_entropy_with_logits(heads(states, buckets, begins), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.02
