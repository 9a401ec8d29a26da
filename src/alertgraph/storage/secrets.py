"""Secrets at rest: everything personal or secret is sealed with the tenant's data key, which the master key wraps.

Destroying a tenant's data key makes all of it unreadable, also in the log, where hashes cover the ciphertext.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import struct
from collections import OrderedDict

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from alertgraph.core.errors import DependencyError, InputError, NotFoundError
from alertgraph.core.ids import TenantId
from alertgraph.storage.database import DEPENDENCY, Database

MASTER_KEY_BYTES = 32
_DATA_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = 1
_HEADER = struct.Struct(">BI")  # version, number of the data key
_REMEMBERED_COUNT_MAX = 4096

_NEWEST_KEY = "SELECT key_id, wrapped FROM data_key WHERE tenant_id = $1 ORDER BY key_id DESC LIMIT 1"
_KEY = "SELECT wrapped FROM data_key WHERE tenant_id = $1 AND key_id = $2"


class MasterKey:
    """The one secret that the installation keeps outside its database.

    Args:
        raw: 32 random bytes.

    Attributes:
        action_key: Signs what buttons and links in messages may do.
        predictor_token: What processes of the installation show when they ask the learning process.
    """

    def __init__(self, raw: bytes) -> None:
        if len(raw) != MASTER_KEY_BYTES:
            raise InputError(f"The master key is {MASTER_KEY_BYTES} bytes; this has {len(raw)}.", "masterKey")
        self._wrapping_key = _derived(raw, b"alertgraph data key wrapping 1")
        self._pepper = _derived(raw, b"alertgraph API key pepper 1")
        self.check_value = _derived(raw, b"alertgraph master key check 1")
        self.action_key = _derived(raw, b"alertgraph action token 1")
        self.predictor_token = _derived(raw, b"alertgraph predictor token 1").hex()
        self._learning_key = _derived(raw, b"alertgraph learning salt 1")
        self._calendar_key = _derived(raw, b"alertgraph calendar feed 1")
        self._signing_key = _derived(raw, b"alertgraph audit signing 1")

    @classmethod
    def parse(cls, text: str) -> MasterKey:
        """Return the key that base64 text holds.

        Raises:
            InputError: It is no base64, or not of 32 bytes.
        """
        try:
            raw = base64.b64decode(
                text.strip(), altchars=b"-_" if "-" in text or "_" in text else None, validate=True
            )
        except (binascii.Error, ValueError) as error:
            raise InputError("The master key is not base64.", "masterKey") from error
        return cls(raw)

    def digest(self, secret: str) -> bytes:
        """Return the form in which an API key's secret, which is random, is kept: HMAC-SHA-256 with a pepper."""
        return hmac.digest(self._pepper, secret.encode(), "sha256")

    def sign_calendar(self, claim: bytes) -> bytes:
        """Return the signature of a calendar feed's address: HMAC-SHA-256 with a key of its own."""
        return hmac.new(self._calendar_key, claim, hashlib.sha256).digest()

    def signing_key(self, generation: int) -> SigningKey:
        """Return the key that signs checkpoints of logs; a rotation goes to the next generation, from 1 on."""
        return SigningKey(generation, _derived(self._signing_key, b"generation %d" % generation))

    def learning_salt(self, tenant_id: TenantId) -> bytes:
        """Return what a tenant's names are hashed with where something is learnt of them: the same for good."""
        return hmac.digest(self._learning_key, tenant_id.bytes, "sha256")

    def new_data_key(self) -> bytes:
        """Return a fresh data key, wrapped."""
        return aes_key_wrap(self._wrapping_key, os.urandom(_DATA_KEY_BYTES))

    def unwrapped(self, wrapped: bytes) -> bytes | None:
        """Return the data key that `new_data_key` wrapped; None where another master key did."""
        try:
            return aes_key_unwrap(self._wrapping_key, wrapped)
        except InvalidUnwrap:
            return None


class SigningKey:
    """An Ed25519 key; its private half is kept nowhere, since the master key gives it again.

    Attributes:
        generation: Which of the installation's keys.
        public_key: 32 bytes.
    """

    def __init__(self, generation: int, seed: bytes) -> None:
        self.generation = generation
        self._private_key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._private_key.public_key().public_bytes_raw()

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text: 64 bytes."""
        return self._private_key.sign(text)


def is_signature(public_key: bytes, signature: bytes, text: bytes) -> bool:
    """Say whether a key signed a text: fulfils `core.checkpoint.Verify`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


class PostgresVault:
    """Seals texts with the data keys that the database holds, wrapped: fulfils `services.ports.Vault`."""

    def __init__(self, database: Database, master_key: MasterKey) -> None:
        self._database = database
        self._master_key = master_key
        self._newest: dict[TenantId, int] = {}
        self._ciphers: OrderedDict[tuple[TenantId, int], AESGCM] = OrderedDict()

    async def check(self) -> None:
        """Return where the master key is the one that this database was set up with; the first one is remembered.

        Raises:
            DependencyError: It is another one, or the store is away.
        """
        async with self._database.connection() as connection:
            is_right = await connection.fetchval("SELECT check_master_key($1)", self._master_key.check_value)
        if not is_right:
            raise DependencyError(
                DEPENDENCY,
                retryable=False,
                message="The master key is not the one this database was set up with: "
                "give CRITICAL_ALERT_MASTER_KEY the key that was made then.",
            )

    async def seal(self, tenant_id: TenantId, purpose: str, plaintext: str) -> str:
        """Return ciphertext in base64, bound to the tenant and the purpose.

        Raises:
            NotFoundError: The tenant has no data key: it does not exist any more.
            DependencyError: The store is away.
        """
        key_id = self._newest.get(tenant_id)
        if key_id is None:
            key_id = await self._load_newest(tenant_id)
        cipher = await self._cipher(tenant_id, key_id)
        if cipher is None:
            raise NotFoundError("The tenant's data key was destroyed.")
        nonce = os.urandom(_NONCE_BYTES)
        sealed = cipher.encrypt(nonce, plaintext.encode(), _bound_to(tenant_id, purpose))
        return base64.b64encode(_HEADER.pack(_VERSION, key_id) + nonce + sealed).decode("ascii")

    async def open(self, tenant_id: TenantId, purpose: str, sealed: str) -> str | None:
        """Return the plaintext; None where its key was destroyed or the text was moved or changed."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            version, key_id = _HEADER.unpack_from(raw)
        except (binascii.Error, ValueError, struct.error):
            return None
        if version != _VERSION or key_id >= 1 << 31:
            return None
        cipher = await self._cipher(tenant_id, key_id)
        if cipher is None:
            return None
        nonce, ciphertext = raw[_HEADER.size : _HEADER.size + _NONCE_BYTES], raw[_HEADER.size + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, _bound_to(tenant_id, purpose)).decode()
        except (InvalidTag, ValueError):
            return None

    def forget(self, tenant_id: TenantId) -> None:
        """Drop the tenant's data keys from memory: they were destroyed or replaced."""
        self._newest.pop(tenant_id, None)
        for slot in [slot for slot in self._ciphers if slot[0] == tenant_id]:
            del self._ciphers[slot]

    async def _load_newest(self, tenant_id: TenantId) -> int:
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            row = await connection.fetchrow(_NEWEST_KEY, tenant_id)
        if row is None:
            raise NotFoundError("The tenant has no data key.")
        self._remember(tenant_id, row["key_id"], row["wrapped"])
        self._newest[tenant_id] = row["key_id"]
        return int(row["key_id"])

    async def _cipher(self, tenant_id: TenantId, key_id: int) -> AESGCM | None:
        cipher = self._ciphers.get((tenant_id, key_id))
        if cipher is not None:
            self._ciphers.move_to_end((tenant_id, key_id))
            return cipher
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            wrapped = await connection.fetchval(_KEY, tenant_id, key_id)
        return self._remember(tenant_id, key_id, wrapped) if wrapped is not None else None

    def _remember(self, tenant_id: TenantId, key_id: int, wrapped: bytes) -> AESGCM | None:
        data_key = self._master_key.unwrapped(wrapped)
        if data_key is None:
            return None
        cipher = self._ciphers[tenant_id, key_id] = AESGCM(data_key)
        if len(self._ciphers) > _REMEMBERED_COUNT_MAX:
            (oldest, _), _ = self._ciphers.popitem(last=False)
            self._newest.pop(oldest, None)
        return cipher


def _derived(raw: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(raw)


def _bound_to(tenant_id: TenantId, purpose: str) -> bytes:
    return f"{tenant_id}|{purpose}".encode()
