"""Added nets compute what the transformers package computes: logits, cached and not, and greedy text."""

from pathlib import Path

import pytest
import torch

from genworkers.importing.add_net import add_net
from genworkers.nets.native_decoder import NativePagedDecoder
from genworkers.nets.paged_decoder import Piece
from genworkers.text_checkpoints import TextCheckpoint, load_decoder, open_text_checkpoint
from tests.genworkers.importing.foreign import VARIANTS, VOCAB_SIZE, make_model, save_tokenizer

pytestmark = pytest.mark.slow

PROMPT_TOKENS = 40
WRITTEN_TOKENS = 64


def add(source: Path) -> TextCheckpoint:
    """The checkpoint of a foreign folder, in the house's format."""
    if not (source / "tokenizer.json").exists():
        save_tokenizer("gpt2", source)
    return open_text_checkpoint(add_net(source, source.parent / "nets", "tiny").folder)


@pytest.mark.parametrize("kind", VARIANTS)
@torch.inference_mode()
def test_logits_and_greedy_text_equal_those_of_transformers(kind: str, tmp_path: Path) -> None:
    model = make_model(VARIANTS[kind])
    model.save_pretrained(tmp_path / "source")
    checkpoint = add(tmp_path / "source")
    net = load_decoder(checkpoint)
    rows = torch.randint(VOCAB_SIZE, (2, PROMPT_TOKENS), generator=torch.Generator().manual_seed(1))
    expected = model(rows).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(net(rows), expected, atol=1e-4, rtol=0)

    greedy = model.generate(
        rows[:1], max_new_tokens=WRITTEN_TOKENS, min_new_tokens=WRITTEN_TOKENS, do_sample=False, pad_token_id=0
    )[0]
    whole = model(greedy[None]).logits[0]
    served = NativePagedDecoder(
        checkpoint.config, checkpoint.tensors(), num_blocks=8, block_tokens=16, precision="float32", num_threads=1
    )
    blocks = list(range(8))
    ids = rows[0].tolist()
    logits = served.read([Piece(ids, 0, blocks)])[0]
    for position in range(PROMPT_TOKENS, PROMPT_TOKENS + WRITTEN_TOKENS):
        torch.testing.assert_close(logits, whole[position - 1], atol=1e-4, rtol=0)
        logits[1] = float("-inf")  # the end token, which the reference may not write either
        ids.append(int(logits.argmax()))
        logits = served.read([Piece(ids[-1:], position, blocks)])[0]
    assert ids == greedy.tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_stay_in_the_dtype_that_they_came_in(dtype: torch.dtype, tmp_path: Path) -> None:
    model = make_model(VARIANTS["qwen3"])
    (model.bfloat16 if dtype == torch.bfloat16 else model.half)()
    model.save_pretrained(tmp_path / "source")
    stored = dict(add(tmp_path / "source").tensors())
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    theirs = model.state_dict()
    assert torch.equal(stored["embed.weight"], theirs["model.embed_tokens.weight"])
    gate_up = torch.cat([theirs[f"model.layers.1.mlp.{part}_proj.weight"] for part in ("gate", "up")])
    assert torch.equal(stored["blocks.1.mlp.gate_up.weight"], gate_up)


def test_a_checkpoint_in_several_files_is_the_same_net(tmp_path: Path) -> None:
    model = make_model(VARIANTS["qwen2"])
    model.save_pretrained(tmp_path / "source", max_shard_size="100KB")
    assert len(list((tmp_path / "source").glob("model-*.safetensors"))) > 2
    model.save_pretrained(tmp_path / "whole")
    sharded, whole = dict(add(tmp_path / "source").tensors()), dict(add_whole(tmp_path).tensors())
    assert sharded.keys() == whole.keys()
    assert all(torch.equal(sharded[name], whole[name]) for name in whole)


def add_whole(tmp_path: Path) -> TextCheckpoint:
    """The same net from one file."""
    save_tokenizer("gpt2", tmp_path / "whole")
    return open_text_checkpoint(add_net(tmp_path / "whole", tmp_path / "nets", "whole").folder)
