"""AES-256-GCM: the `Cipher` port, and master keys that wrap what is kept in a database."""

import base64
import binascii
import os

from pipelines_persistence.errors import ConfigurationError

KEY_BYTES = 32

_NONCE_BYTES = 12
_MAKE_ONE = 'python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"'


class AesGcm:
    """See `Cipher`. What it seals is a random nonce of 96 bits, then the ciphertext with its tag of 128 bits."""

    def __init__(self) -> None:
        """Load the library."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM
        self._invalid = InvalidTag

    def seal(self, secret: bytes, plain: bytes, context: bytes) -> bytes:
        """See `Cipher`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead(secret).encrypt(nonce, plain, context)

    def open(self, secret: bytes, sealed: bytes, context: bytes) -> bytes:
        """See `Cipher`."""
        try:
            return self._aead(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
        except (self._invalid, ValueError) as error:
            raise ValueError("it was changed, belongs elsewhere, or was sealed with another key") from error


class MasterKeys:
    """Keys that wrap other keys. The first one wraps, all of them unwrap: so a new one is put before the old ones.

    The keys are in no repr and no error.
    """

    def __init__(self, text: str | None) -> None:
        """Take the keys as `PIPELINES_MASTER_KEY` gives them: each 32 bytes in Base64, separated by commas.

        Without one, only what needs none can be done.

        Raises:
            ConfigurationError: a key is malformed.
        """
        self._keys = [_key(part.strip()) for part in (text or "").split(",") if part.strip()]

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Return some bytes encrypted, such that they can only be unwrapped in their context.

        Raises:
            ConfigurationError: there is no master key.
        """
        return AesGcm().seal(self._required()[0], plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the bytes that were wrapped.

        Raises:
            ConfigurationError: there is no master key, or none of them is the one that wrapped.
        """
        cipher = AesGcm()
        for key in self._required():
            try:
                return cipher.open(key, wrapped, context)
            except ValueError:
                continue
        raise ConfigurationError(
            "PIPELINES_MASTER_KEY does not open the key of a subject: personal data was sealed under another master key; "
            "add that one behind the present one, with a comma (or the row in subject_keys was changed: restore it)"
        )

    def is_current(self, wrapped: bytes, context: bytes) -> bool:
        """Tell whether the first master key wrapped some bytes.

        Raises:
            ConfigurationError: there is no master key.
        """
        try:
            AesGcm().open(self._required()[0], wrapped, context)
        except ValueError:
            return False
        return True

    def _required(self) -> list[bytes]:
        if not self._keys:
            raise ConfigurationError(
                "personal data needs a master key, and PIPELINES_MASTER_KEY is not set: make one with\n"
                f"    {_MAKE_ONE}\nand keep it safe, apart from the database and its backups: without it, personal "
                "data cannot be read any more"
            )
        return self._keys


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"PIPELINES_MASTER_KEY is no list of keys, each {KEY_BYTES} bytes in Base64, separated by commas: make one "
            f"with\n    {_MAKE_ONE}"
        )
    return key
