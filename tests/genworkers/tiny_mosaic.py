"""A mosaic of tiny untrained nets, quick enough for every test that needs a real one."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from genworkers.codecs.wordpiece import WordPiece
from genworkers.engine.mosaic import Mosaic, Sampling
from genworkers.nets.encoder import EncoderConfig, TextEncoder
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import MaskedTransformer, MosaicConfig

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "apple", "cat", "a"]
TOKENIZER_CONFIG = TokenizerConfig(levels=(4, 3), widths=(8, 16, 16), detail_width=8)
MOSAIC_CONFIG = MosaicConfig(num_codes=12, num_styles=2, caption_tokens=8, caption_width=16, width=16, num_layers=1)


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


def tiny_mosaic(folder: Path, lanes: int = 1) -> Mosaic:
    """The same weights every time."""
    torch.manual_seed(0)
    return Mosaic(
        FsqTokenizer(TOKENIZER_CONFIG),
        tiny_transformer(),
        TextEncoder(EncoderConfig(vocab_size=len(WORDS), width=16, num_layers=1, num_heads=2, hidden_width=16)),
        WordPiece(write_wordpiece(folder)),
        styles=("flat", "round"),
        sampling=Sampling(),
        lanes=lanes,
        device=torch.device("cpu"),
    )
