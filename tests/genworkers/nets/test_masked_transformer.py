"""The masked Transformer: it can learn, and it reads captions, style and neighbours."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.nets.masked_transformer import Captions, MaskedTransformer, pack_captions
from tests.genworkers.tiny_mosaic import MOSAIC_CONFIG, tiny_transformer


def captions_of(batch: int) -> Captions:
    generator = torch.Generator().manual_seed(2)
    states = [torch.randn(3 + row, MOSAIC_CONFIG.caption_width, generator=generator) for row in range(batch)]
    return pack_captions(states, [0] * batch, MOSAIC_CONFIG.caption_tokens)


def test_one_batch_overfits() -> None:
    torch.manual_seed(0)
    net = MaskedTransformer(MOSAIC_CONFIG)
    target = torch.randint(MOSAIC_CONFIG.num_codes, (4, 64))
    hidden, captions = torch.full_like(target, net.mask_code), captions_of(4)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-2)
    for _ in range(60):
        loss = F.cross_entropy(net(hidden, captions).flatten(0, 1), target.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3


def logits_of(net: MaskedTransformer, codes: Tensor, captions: Captions) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = net(codes, captions)
    return logits


def test_logits_of_the_asked_tiles_are_those_of_all() -> None:
    torch.manual_seed(0)
    net = tiny_transformer()
    codes, is_asked = torch.full((2, 64), net.mask_code), torch.rand(2, 64) < 0.5
    with torch.inference_mode():
        torch.testing.assert_close(net.logits_at(codes, captions_of(2), is_asked), net(codes, captions_of(2))[is_asked])


def test_caption_style_and_neighbours_all_count() -> None:
    torch.manual_seed(0)
    net = tiny_transformer()
    codes = torch.full((1, 64), net.mask_code)
    states = torch.randn(3, MOSAIC_CONFIG.caption_width)
    plain = logits_of(net, codes, pack_captions([states], [0], MOSAIC_CONFIG.caption_tokens))
    assert not torch.equal(plain, logits_of(net, codes, pack_captions([states], [1], MOSAIC_CONFIG.caption_tokens)))
    assert not torch.equal(plain, logits_of(net, codes, pack_captions([-states], [0], MOSAIC_CONFIG.caption_tokens)))
    codes[0, 5] = 1
    assert not torch.equal(
        plain[:, 60], logits_of(net, codes, pack_captions([states], [0], MOSAIC_CONFIG.caption_tokens))[:, 60]
    )


def test_padding_and_an_empty_caption_carry_no_words() -> None:
    torch.manual_seed(0)
    net = tiny_transformer()
    codes = torch.full((1, 64), net.mask_code)
    captions = pack_captions([torch.randn(0, MOSAIC_CONFIG.caption_width)], [0], MOSAIC_CONFIG.caption_tokens)
    noisy = Captions(
        torch.randn_like(captions.states), captions.is_token, torch.randn_like(captions.sentence), captions.style
    )
    torch.testing.assert_close(logits_of(net, codes, captions), logits_of(net, codes, noisy))


def test_a_long_caption_is_cut() -> None:
    captions = pack_captions([torch.ones(99, MOSAIC_CONFIG.caption_width)], [0], MOSAIC_CONFIG.caption_tokens)
    assert captions.states.shape == (1, MOSAIC_CONFIG.caption_tokens, MOSAIC_CONFIG.caption_width)
    assert bool(captions.is_token.all())


def test_style_weights_mix_what_style_numbers_name() -> None:
    torch.manual_seed(0)
    net = tiny_transformer()
    codes = torch.full((1, 64), net.mask_code)
    numbered = pack_captions([torch.randn(3, MOSAIC_CONFIG.caption_width)], [1], MOSAIC_CONFIG.caption_tokens)
    weighted = replace(numbered, style=torch.tensor([[0.0, 1.0]]))
    mixed = replace(numbered, style=torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(logits_of(net, codes, weighted), logits_of(net, codes, numbered))
    assert not torch.allclose(logits_of(net, codes, mixed), logits_of(net, codes, numbered))


def test_explaining_changes_no_logit_and_shares_add_up_to_at_most_one() -> None:
    torch.manual_seed(0)
    net = tiny_transformer()
    codes = torch.full((2, 64), net.mask_code)
    with torch.inference_mode():
        logits, heed = net.explain(codes, captions_of(2))
    torch.testing.assert_close(logits, logits_of(net, codes, captions_of(2)))
    assert heed.shape == (2, 64, MOSAIC_CONFIG.caption_tokens)
    assert float(heed.min()) > 0.0
    assert float(heed.sum(-1).max()) < 1.0
