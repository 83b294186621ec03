"""What a text net is asked to write when it is measured, and a plain way to let it write: no engine, fixed seeds."""

from collections.abc import Sequence

from genworkers.codecs.text_bpe import TextCodec
from genworkers.nets.decoder import Decoder
from genworkers.nets.paged_decoder import Piece
from genworkers.nets.torch_paged_decoder import TorchPagedDecoder
from genworkers.sampling.logits import Sampling, choose_token, uniform_at

NUM_PLACES = 12
BLOCK_TOKENS = 16

SUBJECTS = (
    "a brave little boat",
    "a cat who cannot sleep",
    "a red balloon",
    "an old lighthouse",
    "a lost map",
    "the moon",
    "a baker and her bread",
    "a robot",
    "a snowman",
    "a whale",
    "a haunted house",
    "a broken clock",
    "two brothers and a kite",
    "a dragon",
    "a quiet river",
    "a clever fox",
    "a grandmother's garden",
    "a train",
    "a violin",
    "a desert island",
    "a spider",
    "a wooden bridge",
    "a birthday cake",
    "an owl",
)

PASSAGES = (
    "Mira found a small grey kitten under the bridge. It was wet and cold, so she wrapped it in her scarf and carried "
    "it home. Her father said that they could not keep it, but he warmed some milk. In the evening the kitten fell "
    "asleep on his shoes. The next morning he bought a basket and asked Mira what its name should be.",
    "The miller's wheel had stopped. All summer there had been no rain, and the stream was only a line of stones. "
    "The people of the village carried water from the far lake, one bucket at a time. When the first clouds came, "
    "nobody cheered. They stood in the street, looked up and waited until the rain ran down their faces.",
    "Tom was afraid of the dark hall in his grandmother's house. One night the lamp went out and he had to walk "
    "through it alone. He held his hand against the wall and counted his steps. At the end he heard soft music. His "
    "grandmother was playing the piano in the dark, and she told him that she did so whenever she was afraid.",
    "Two sisters owned one bicycle. On Mondays Ana rode it to school and Lena walked, on Tuesdays they changed. One "
    "Wednesday they quarrelled about whose turn it was, and in the quarrel the bicycle fell into the canal. They "
    "pulled it out together, covered in mud, and after that they rode it both at once, one on the seat and one behind.",
)

SAMPLE_PROMPTS = (
    *(f"Write a story about {subject}." for subject in SUBJECTS[:4]),
    "Write a story about two friends who find a map.",
    "Write a story about the moon",
    "Write a story with the words lantern, river and whale.",
    "Use the words violin, snow and baker in a story.",
    "Write a scene about a storm at sea.",
    "Write a scene about two brothers in a kitchen.",
    "Describe an old lighthouse.",
    "Write a short description of a quiet forest.",
    *(f"Summarise:\n{passage}" for passage in PASSAGES),
    *(f"Rephrase:\n{passage}" for passage in PASSAGES),
)


def write(net: Decoder, codec: TextCodec, prompt: str, *, seed: int, max_tokens: int, sampling: Sampling) -> str:
    """One answer; see `write_many`."""
    return write_many(net, codec, [prompt], seed=seed, max_tokens=max_tokens, sampling=sampling)[0]


def write_many(
    net: Decoder, codec: TextCodec, prompts: Sequence[str], *, seed: int, max_tokens: int, sampling: Sampling
) -> list[str]:
    """The answer to each prompt, each drawn with the same seed, a few at a time.

    Raises:
        ValueError: a prompt does not fit into the context.
    """
    num_blocks = -(-net.config.context_tokens // BLOCK_TOKENS)  # of one answer
    decoder = TorchPagedDecoder(net.config, net.state_dict(), num_blocks=NUM_PLACES * num_blocks, dtype=net.dtype)
    free = [range(place * num_blocks, (place + 1) * num_blocks) for place in range(NUM_PLACES)]
    waiting = list(range(len(prompts)))[::-1]
    ids = [codec.encode_prompt(prompt) for prompt in prompts]
    starts = [len(own) for own in ids]
    num_read = [0] * len(prompts)
    places: dict[int, range] = {}  # prompt to its blocks
    while waiting or places:
        while free and waiting:
            places[waiting.pop()] = free.pop()
        running = list(places)
        rows = decoder.read([Piece(ids[one][num_read[one] :], num_read[one], places[one]) for one in running])
        for one, logits in zip(running, rows, strict=True):
            num_read[one] = len(ids[one])
            num_written = len(ids[one]) - starts[one]
            is_full = num_written >= max_tokens or len(ids[one]) >= net.config.context_tokens
            token = codec.end_id if is_full else choose_token(logits, sampling, uniform_at(seed, num_written))
            if token == codec.end_id:
                free.append(places.pop(one))
            else:
                ids[one].append(token)
    return [codec.decode(own[start:]) for own, start in zip(ids, starts, strict=True)]
