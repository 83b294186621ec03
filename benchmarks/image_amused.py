"""`diffusers`' AmusedPipeline with random weights at the size of our mosaic: what `bench_image_amused.py` runs against.

It is the same kind of net: a masked Transformer over the codes of a VQ autoencoder, steered by a text encoder.
"""

import torch
from diffusers import AmusedPipeline, AmusedScheduler, UVit2DModel, VQModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedTokenizerFast

from benchmarks.text_nets import tokenizer_of
from genworkers.nets.encoder import EncoderConfig
from genworkers.nets.fsq_tokenizer import TokenizerConfig
from genworkers.nets.masked_transformer import MosaicConfig

CAPTION_TOKENS = 24
# 8 px of codes to 128 px, as our decoder: four doublings. The widths make it about as large as ours.
DECODER_WIDTHS = (32, 64, 128, 128, 192)


class Amused:
    """The pipeline, and how many parameters each of its parts has."""

    def __init__(self, mosaic: MosaicConfig, tokenizer: TokenizerConfig, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        text = EncoderConfig()
        parts = {
            "transformer": _transformer(mosaic, tokenizer, text.width),
            "vqvae": _autoencoder(tokenizer),
            "text_encoder": CLIPTextModelWithProjection(
                CLIPTextConfig(
                    vocab_size=text.vocab_size,
                    hidden_size=text.width,
                    intermediate_size=text.hidden_width,
                    projection_dim=text.width,
                    num_hidden_layers=text.num_layers,
                    num_attention_heads=text.num_heads,
                    max_position_embeddings=CAPTION_TOKENS,
                )
            ),
        }
        self.num_parameters = {
            name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()
        }
        scheduler = AmusedScheduler(mask_token_id=mosaic.num_codes)
        self._pipeline = AmusedPipeline(
            tokenizer=_padding_tokenizer(text.vocab_size),
            scheduler=scheduler,
            **{name: part.to(dtype).eval() for name, part in parts.items()},
        )
        self._pipeline.set_progress_bar_config(disable=True)

    def draw(self, prompt: str, num_images: int, num_steps: int, seed: int) -> list[object]:
        """Guided pictures of 128 px, as PIL images."""
        drawn: list[object] = self._pipeline(
            prompt,
            negative_prompt="",
            num_images_per_prompt=num_images,
            num_inference_steps=num_steps,
            guidance_scale=2.0,
            generator=torch.Generator().manual_seed(seed),
        ).images
        return drawn


def _transformer(mosaic: MosaicConfig, tokenizer: TokenizerConfig, text_width: int) -> UVit2DModel:
    return UVit2DModel(
        hidden_size=mosaic.width,
        cond_embed_dim=text_width,
        micro_cond_encode_dim=mosaic.width,
        micro_cond_embed_dim=5 * mosaic.width,
        encoder_hidden_size=text_width,
        vocab_size=mosaic.num_codes + 1,
        codebook_size=mosaic.num_codes,
        in_channels=mosaic.width,
        block_out_channels=mosaic.width,
        num_res_blocks=1,
        block_num_heads=mosaic.num_heads,
        # Its two convolutional blocks hold attention too: with them it has as many layers as ours.
        num_hidden_layers=mosaic.num_layers - 2,
        num_attention_heads=mosaic.num_heads,
        intermediate_size=4 * mosaic.width,
        sample_size=tokenizer.grid,
    )


def _autoencoder(tokenizer: TokenizerConfig) -> VQModel:
    return VQModel(
        block_out_channels=DECODER_WIDTHS,
        down_block_types=("DownEncoderBlock2D",) * len(DECODER_WIDTHS),
        up_block_types=("UpDecoderBlock2D",) * len(DECODER_WIDTHS),
        layers_per_block=1,
        latent_channels=64,
        num_vq_embeddings=tokenizer.num_codes,
        sample_size=tokenizer.decoded_px,
        mid_block_add_attention=False,
        lookup_from_codebook=True,
        force_upcast=False,
    )


def _padding_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    tokenizer = tokenizer_of(vocab_size)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.model_max_length = CAPTION_TOKENS
    return tokenizer
