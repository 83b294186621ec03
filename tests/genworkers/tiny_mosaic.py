"""A mosaic of tiny untrained nets, quick enough for every test that needs a real one."""

from dataclasses import asdict, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from genworkers.checkpoints import CheckpointFacts, save
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract.manifests import NetManifest
from genworkers.engine.canvas import Canvas
from genworkers.engine.mosaic import MosaicPainter, Sampling
from genworkers.engine.prompt_reader import PromptReader
from genworkers.nets.encoder import EncoderConfig, TextEncoder
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import MaskedTransformer, MosaicConfig

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "apple", "cat", "a"]
TOKENIZER_CONFIG = TokenizerConfig(levels=(4, 3), widths=(8, 16, 16), detail_width=8)
STYLES = ("flat", "round")
MOSAIC_CONFIG = MosaicConfig(num_codes=12, num_styles=2, caption_tokens=8, caption_width=16, width=16, num_layers=1)
SAMPLING = Sampling(max_redraws=0)  # untrained nets draw little that can be seen


def write_wordpiece(folder: Path) -> Path:
    """A tokenizer.json that knows eight words."""
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def tiny_transformer() -> MaskedTransformer:
    """Untrained, with a head that is not all zero, so that logits differ."""
    net = MaskedTransformer(MOSAIC_CONFIG)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def tiny_reader(folder: Path) -> PromptReader:
    """A text encoder of one layer over eight words."""
    torch.manual_seed(1)
    config = EncoderConfig(vocab_size=len(WORDS), width=16, num_layers=1, num_heads=2, hidden_width=16)
    return PromptReader(TextEncoder(config), WordPiece(write_wordpiece(folder)), torch.device("cpu"))


def tiny_canvas(soft_styles: frozenset[str] = frozenset()) -> Canvas:
    """A tokenizer of twelve codes."""
    torch.manual_seed(2)
    return Canvas(FsqTokenizer(TOKENIZER_CONFIG), soft_styles=soft_styles, device=torch.device("cpu"))


def tiny_mosaic(folder: Path, lanes: int = 1) -> MosaicPainter:
    """The same weights every time."""
    torch.manual_seed(0)
    return MosaicPainter(
        tiny_transformer(),
        tiny_canvas(),
        tiny_reader(folder),
        styles=STYLES,
        sampling=SAMPLING,
        lanes=lanes,
    )


def write_mosaic(folder: Path) -> NetManifest:
    """A mosaic checkpoint that reads states of the real text encoder."""
    torch.manual_seed(0)
    config = replace(MOSAIC_CONFIG, caption_width=384)
    transformer = MaskedTransformer(config)
    torch.manual_seed(2)
    tokenizer = FsqTokenizer(TOKENIZER_CONFIG)
    facts = CheckpointFacts(
        name=folder.name,
        kind="image",
        family="mosaic",
        title="Mosaic",
        config={"tokenizer": asdict(TOKENIZER_CONFIG), "transformer": asdict(config), "sampling": asdict(SAMPLING)},
        styles={style: style.title() for style in STYLES},
    )
    weights = {"tokenizer": tokenizer.state_dict(), "transformer": transformer.state_dict()}
    return save(folder, facts, weights=weights, other_parts={}, card="")
