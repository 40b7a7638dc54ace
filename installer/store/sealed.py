"""The install's secrets: made and given values, its uid and key, in one sealed file."""

import json
import secrets as random
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from installer.core import redaction
from installer.core.canonical import keyed_digest
from installer.core.clock import Clock
from installer.core.secrets import SecretSource, SecretText
from installer.store import sealed_failures, sealed_process
from installer.store.sealed_file import NO_FILE, SealedFile, checksum
from installer.store.sealed_key import (
    CannotUnseal,
    Passphrase,
    Recipients,
    SealKey,
    check_new_passphrase,
)

SCHEMA = 1
FILE_NAME = "secrets.age"


@dataclass(frozen=True)
class SealedEntry:
    """One value with the time it was made or given (RFC 3339, UTC) and those before it."""

    value: SecretText
    at: str
    source: SecretSource
    previous: tuple[tuple[SecretText, str], ...] = ()


@dataclass
class _Contents:
    install_uid: str
    install_key: bytes
    entries: dict[str, SealedEntry] = field(default_factory=dict)
    recipients: tuple[str, ...] = ()


class SealedSecrets:
    """An opened sealed file. Values are registered for redaction as soon as they are known.

    ``put`` changes memory only; ``save`` or ``save_async`` writes. Nothing here ever overwrites
    a file that was not opened first.
    """

    def __init__(
        self, file: SealedFile, key: SealKey, contents: _Contents, on_disk: str, clock: Clock
    ) -> None:
        self._file = file
        self._key = key
        self._contents = contents
        # Versions that this object opened or wrote: only these it may replace.
        self._ours = {on_disk}
        self._clock = clock
        self._unsaved = on_disk == NO_FILE
        redaction.register(self._texts())

    # -- opening ------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, path: Path, key: SealKey, *, clock: Clock, journal_has_records: bool = False
    ) -> "SealedSecrets":
        """New contents in memory; the first ``save`` makes the file.

        Raises InstallError: SECRETS-MISSING when an install once stood here, PASSPHRASE-SHORT,
        and on saving SECRETS-CHANGED when a file is there.
        """
        file = SealedFile(path)
        if not file.exists() and (journal_has_records or file.left_traces()):
            raise sealed_failures.missing(file)
        if isinstance(key, Passphrase):
            check_new_passphrase(key)
        recipients = key.recipients if isinstance(key, Recipients) else ()
        contents = _Contents(str(uuid.uuid4()), random.token_bytes(32), {}, recipients)
        return cls(file, key, contents, NO_FILE, clock)

    @classmethod
    def open(
        cls, path: Path, key: SealKey, *, clock: Clock, journal_has_records: bool = False
    ) -> "SealedSecrets":
        """Blocks for about a second with a passphrase.

        Raises InstallError, each with its own code: SECRETS-ABSENT, SECRETS-MISSING (beside a
        journal with records, or where a sealed file was), SECRETS-WRONG-PASSPHRASE,
        SECRETS-WRONG-IDENTITY, SECRETS-NO-IDENTITY, SECRETS-NEED-PASSPHRASE, SECRETS-DAMAGED,
        SECRETS-NEWER, SECRETS-SLOW-MACHINE, SECRETS-UNREADABLE.
        """
        file, data = _read(path, journal_has_records)
        try:
            plain = key.unseal(data)
        except CannotUnseal as error:
            raise sealed_failures.cannot_open(file, data, key, error) from None
        return cls._opened(file, key, data, plain, clock)

    @classmethod
    async def open_async(
        cls, path: Path, key: SealKey, *, clock: Clock, journal_has_records: bool = False
    ) -> "SealedSecrets":
        """As ``open``, in a child process. Raises also SECRETS-TIMEOUT, SECRETS-NO-MEMORY."""
        file, data = _read(path, journal_has_records)
        try:
            plain = await sealed_process.unseal(key, data)
        except CannotUnseal as error:
            raise sealed_failures.cannot_open(file, data, key, error) from None
        return cls._opened(file, key, data, plain, clock)

    @classmethod
    def _opened(
        cls, file: SealedFile, key: SealKey, data: bytes, plain: bytes, clock: Clock
    ) -> "SealedSecrets":
        contents = _parsed(file, plain)
        opened = cls(file, key, contents, checksum(data), clock)
        if isinstance(key, Recipients):
            opened._seal_to(key.recipients or contents.recipients)
        return opened

    def _seal_to(self, recipients: tuple[str, ...]) -> None:
        """What is saved again is readable for those it was sealed to, or for others if named."""
        if isinstance(self._key, Recipients):
            self._key = replace(self._key, recipients=recipients)
        self._unsaved = self._unsaved or recipients != self._contents.recipients
        self._contents.recipients = recipients

    # -- reading ------------------------------------------------------------------------------

    @property
    def install_uid(self) -> str:
        return self._contents.install_uid

    @property
    def install_key(self) -> bytes:
        """32 bytes for keyed digests."""
        return self._contents.install_key

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._contents.entries)

    def entry(self, name: str) -> SealedEntry:
        """Raises KeyError for a name that is not there."""
        return self._contents.entries[name]

    def value(self, name: str) -> str:
        """The value in clear. Raises KeyError for a name that is not there."""
        return self.entry(name).value.reveal()

    def hmac(self, name: str) -> str:
        """``hmac:`` and 64 hex digits: stands for the value in plans, hashes and annotations.

        Equal values under two names differ. Raises KeyError for a name that is not there.
        """
        return f"hmac:{keyed_digest(self.install_key, [name, self.value(name)])}"

    def found_in(self, text: str) -> tuple[str, ...]:
        """Names of the secrets whose present or earlier value stands in the text."""
        return tuple(
            name
            for name, entry in sorted(self._contents.entries.items())
            for value in (entry.value, *(old for old, _ in entry.previous))
            if value.reveal() in text
        )

    def __repr__(self) -> str:
        return f"SealedSecrets({self._file.path}, {len(self.names)} secrets)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("secrets are not serialised")

    # -- writing ------------------------------------------------------------------------------

    def put(self, name: str, value: str, source: SecretSource) -> bool:
        """Sets a value, keeping the one before; False when it already was so."""
        entries = self._contents.entries
        before = entries.get(name)
        new = SecretText(value)
        if before is not None and before.value == new:
            return False
        redaction.register([value])
        kept = (*before.previous, (before.value, before.at)) if before else ()
        at = self._clock.now().isoformat(timespec="seconds")
        entries[name] = SealedEntry(new, at, source, kept)
        self._unsaved = True
        return True

    def save(self) -> None:
        """Seals and replaces the file if anything changed; blocks as ``open`` does.

        Raises InstallError SECRETS-CHANGED, SECRETS-NOT-WRITTEN.
        """
        if self._unsaved:
            self._written(self._key.seal(self._plain()))

    async def save_async(self) -> None:
        """As ``save``, in a child process. Raises also SECRETS-TIMEOUT, SECRETS-NO-MEMORY."""
        if self._unsaved:
            self._written(await sealed_process.seal(self._key, self._plain()))

    def _written(self, data: bytes) -> None:
        expected = set(self._ours)
        self._ours.add(checksum(data))  # also when the disk fails after it took its place
        self._file.replace(data, expected=expected)
        self._ours.discard(NO_FILE)
        self._unsaved = False

    def _plain(self) -> bytes:
        contents = self._contents
        payload: dict[str, Any] = {
            "schema": SCHEMA,
            "install_uid": contents.install_uid,
            "install_key": contents.install_key.hex(),
            "recipients": list(contents.recipients),
        }
        for source in SecretSource:
            payload[source.value] = {
                name: _entry_to_json(entry)
                for name, entry in sorted(contents.entries.items())
                if entry.source is source
            }
        return json.dumps(payload, indent=1, ensure_ascii=False).encode() + b"\n"

    def _texts(self) -> Iterable[str]:
        yield self.install_key.hex()
        if isinstance(self._key, Passphrase):
            yield self._key.text.reveal()
        else:
            yield from (identity.reveal() for identity in self._key.identities)
        for entry in self._contents.entries.values():
            yield entry.value.reveal()
            yield from (value.reveal() for value, _ in entry.previous)


def _read(path: Path, journal_has_records: bool) -> tuple[SealedFile, bytes]:
    file = SealedFile(path)
    if file.exists():
        return file, file.read()
    if journal_has_records or file.left_traces():
        raise sealed_failures.missing(file)
    raise sealed_failures.absent(file)


def _entry_to_json(entry: SealedEntry) -> dict[str, Any]:
    return {
        "value": entry.value.reveal(),
        "made_at": entry.at,
        "previous": [{"value": value.reveal(), "made_at": at} for value, at in entry.previous],
    }


def _entry_from_json(source: SecretSource, data: Mapping[str, Any]) -> SealedEntry:
    previous = tuple((SecretText(old["value"]), str(old["made_at"])) for old in data["previous"])
    return SealedEntry(SecretText(data["value"]), str(data["made_at"]), source, previous)


def _parsed(file: SealedFile, plain: bytes) -> _Contents:
    try:
        payload = json.loads(plain)
        schema = payload["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise sealed_failures.newer(file, schema, SCHEMA)
        entries = {
            name: _entry_from_json(source, data)
            for source in SecretSource
            for name, data in payload[source.value].items()
        }
        key = bytes.fromhex(payload["install_key"])
        if len(key) != 32:
            raise ValueError("install key")
        recipients = tuple(str(text) for text in payload["recipients"])
        return _Contents(str(payload["install_uid"]), key, entries, recipients)
    except (ValueError, KeyError, TypeError, AttributeError):
        reason = "it opens, but does not hold what matrix-install writes"
        raise sealed_failures.damaged(file, reason) from None
