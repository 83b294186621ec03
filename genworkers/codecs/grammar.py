"""Text that must be JSON and fit a schema: which tokens may come next. The grammar itself is llguidance's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genworkers.codecs.text_bpe import TextCodec


class SchemaError(ValueError):
    """A schema that cannot be followed; the message names the part and says why."""


class Grammar:
    """A compiled schema; `start` as many texts from it as needed, also from several threads."""

    @classmethod
    def compile(cls, schema: dict[str, Any], codec: TextCodec) -> "Grammar":
        """Prepare a schema for a tokenizer; takes milliseconds, the first schema of a tokenizer longer.

        Args:
            schema: JSON schema; {} allows any JSON object.

        Raises:
            SchemaError: the schema is not valid, uses what is not supported, allows nothing, or is too complex.
        """

    def start(self) -> "GrammarState":
        """A text that is still empty."""


class GrammarState:
    """One text on its way through a grammar."""

    @property
    def is_finished(self) -> bool:
        """Whether the JSON value is complete: only end tokens may follow."""

    def mask(self) -> NDArray[np.bool_]:
        """(codec.vocab_size,), True for each token that may come next; at least one is.

        Raises:
            SchemaError: following the schema became too complex here.
        """

    def accept(self, token_id: int) -> None:
        """Go on by a token that the mask allows, an end token included.

        Raises:
            SchemaError: the token is not allowed here.
        """
