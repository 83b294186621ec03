"""The text encoder against the reference implementation, with the published weights."""

import pytest
import torch

from genworkers.codecs.wordpiece import WordPiece
from genworkers.nets.encoder import TextEncoder, load_minilm, minilm_folder, sentence_embedding

transformers = pytest.importorskip("transformers", reason="the reference implementation is not installed")
TEXTS = ["red apple", "A very small cat sits on a red, round mat.", "火箭 🚀", "x" * 300]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_minilm(minilm_folder())


@pytest.fixture(scope="module")
def wordpiece() -> WordPiece:
    return WordPiece(minilm_folder() / "tokenizer.json")


def test_states_equal_the_reference(encoder: TextEncoder, wordpiece: WordPiece) -> None:
    reference = transformers.BertModel.from_pretrained(str(minilm_folder()), add_pooling_layer=False).eval()
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(str(minilm_folder()))
    theirs = their_tokenizer(TEXTS, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.inference_mode():
        expected = reference(**theirs, output_hidden_states=True).hidden_states
        for num_layers, layer in ((None, -1), (3, 3)):
            ours = encoder.encode(wordpiece.encode_batch(TEXTS), num_layers)
            for row, states in enumerate(ours):
                assert len(states) == int(theirs["attention_mask"][row].sum())
                torch.testing.assert_close(states, expected[layer][row, : len(states)], atol=1e-5, rtol=0)


def test_states_do_not_depend_on_company(encoder: TextEncoder, wordpiece: WordPiece) -> None:
    with torch.inference_mode():
        alone = encoder.encode([wordpiece.encode(TEXTS[0])])[0]
        together = encoder.encode(wordpiece.encode_batch(TEXTS))[0]
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


def test_near_words_have_near_embeddings(encoder: TextEncoder, wordpiece: WordPiece) -> None:
    with torch.inference_mode():
        states = encoder.encode(wordpiece.encode_batch(["kitten", "cat", "tractor"]))
    kitten, cat, tractor = (sentence_embedding(s) for s in states)
    assert kitten @ cat > kitten @ tractor + 0.3


def test_a_lone_surrogate_is_readable(wordpiece: WordPiece) -> None:
    assert len(wordpiece.encode("a \ud800 b")) >= 2
