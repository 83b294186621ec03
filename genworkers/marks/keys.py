"""The secret of one workspace in one epoch, and the keys that are made from it: one per purpose."""

import hashlib
import hmac
from dataclasses import dataclass, field

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class MarkKey:
    """What writes and finds the marks of one workspace in one epoch.

    Args:
        key_id: names the secret in records; says nothing about it.
        secret: SECRET_BYTES bytes.

    Raises:
        ValueError: the secret has another length.
    """

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a secret of the wrong length."""
        if len(self.secret) != SECRET_BYTES:
            raise ValueError(f"a mark's secret has {SECRET_BYTES} bytes, got {len(self.secret)}")

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose: HMAC-SHA256 of its name under the secret (RFC 2104)."""
        return hmac.new(self.secret, purpose.encode(), hashlib.sha256).digest()
