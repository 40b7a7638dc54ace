"""An install's directory with its settings read and its secrets open."""

import secrets as random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from installer.core.clock import Clock
from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import (
    SecretDeclaration,
    SecretForm,
    SecretSource,
    SecretText,
    make_secret,
)
from installer.core.settings import Settings, secret_references
from installer.store.directory import InstallDirectory
from installer.store.given import read_given, require_given
from installer.store.sealed import SealedSecrets
from installer.store.sealed_gather import gather_async
from installer.store.sealed_key import (
    Passphrase,
    Recipients,
    SealKey,
    checked_passphrase,
    recipients_key,
)
from installer.store.settings_file import LoadedSettings, load_settings, save_settings
from manifests import registry
from manifests.rendering import Renderer


@dataclass(frozen=True)
class Workspace:
    """What every action on an install starts from."""

    directory: InstallDirectory
    settings: Settings
    sealed: SealedSecrets

    def renderer(self) -> Renderer:
        return Renderer(
            self.settings,
            registry.all_components(),
            install_uid=self.sealed.install_uid,
            key=self.sealed.install_key,
        )


def read_settings(path: Path) -> LoadedSettings[Settings]:
    """Settings with the components' own rules applied. Raises SettingsError, InstallError."""
    return load_settings(path, registry.settings_model(), check=registry.check)


def adopt_settings(directory: InstallDirectory, loaded: LoadedSettings[Settings]) -> None:
    """Puts the settings into the directory, comments and all.

    File names in them stay relative to where they were written, so they are made absolute. Raises
    InstallError IDENTITY-FIXED when the install that stands here has another id or server name.
    """
    if directory.settings.is_file() and directory.settings.samefile(loaded.path):
        return
    refuse_other_identity(directory, loaded.settings)
    tree = loaded.settings.to_tree(defaults=False)
    _make_absolute(tree, loaded.folder.absolute())
    save_settings(directory.settings, tree, before=loaded.document)


def refuse_other_identity(directory: InstallDirectory, new: Settings) -> None:
    """Raises InstallError IDENTITY-FIXED when an install of another name stands here."""
    if not (directory.settings.is_file() and has_records(directory)):
        return
    old = read_settings(directory.settings).settings
    for what, before, after in (
        ("server name", old.server.name, new.server.name),
        ("install id", old.install_id, new.install_id),
    ):
        if before != after:
            raise InstallError(
                code="IDENTITY-FIXED",
                title=f"The {what} of an install can never change",
                cause=f"{directory.root} holds the install of {before}, the settings say {after}.",
                remedy="Choose another directory with --dir for another server, or mend the name.",
                exit_code=ExitCode.REFUSED,
            )


_FILE_FIELDS = (
    ("cluster", "kubeconfig"),
    ("tls", "certificate_file"),
    ("source", "bundle_file"),
    ("ssh", "key_file"),
    ("trust", "ca_files"),
)


def _make_absolute(tree: dict[str, object], folder: Path) -> None:
    for section, field in _FILE_FIELDS:
        part = tree.get(section)
        if isinstance(part, dict) and part.get(field):
            names = part[field]
            part[field] = (
                [_absolute(name, folder) for name in names]
                if isinstance(names, list)
                else _absolute(names, folder)
            )


def _absolute(name: str, folder: Path) -> str:
    return name if name.startswith("~") else str(folder / name)


def has_records(directory: InstallDirectory) -> bool:
    """Whether a run was ever recorded here."""
    return directory.journal.is_dir() and any(directory.journal.iterdir())


def with_recipients(settings: Settings, key: SealKey) -> SealKey:
    """Identities open what is sealed; the settings say to whom it is sealed anew. A rehearsal's
    identity brings its own recipient."""
    if isinstance(key, Passphrase) or key.recipients:
        return key
    return Recipients(recipients_key(settings.secrets.recipients).recipients, key.identities)


_PASSPHRASE, _IDENTITIES = "passphrase", "identities"
_BETWEEN = "\0"  # in no passphrase and no identity


def unlocking_text(key: SealKey) -> str:
    """What an engine is told over its socket, so that it can make the same key."""
    if isinstance(key, Passphrase):
        return _BETWEEN.join((_PASSPHRASE, key.text.reveal()))
    return _BETWEEN.join((_IDENTITIES, *(identity.reveal() for identity in key.identities)))


def seal_key(unlocking: str) -> SealKey:
    """The inverse of :func:`unlocking_text`, enough to open. Raises InstallError."""
    kind, *texts = unlocking.split(_BETWEEN)
    if kind == _IDENTITIES:
        return Recipients(identities=tuple(SecretText(text) for text in texts))
    return checked_passphrase(_BETWEEN.join(texts))


async def open_workspace(
    directory: InstallDirectory, key: SealKey, clock: Clock, settings: Settings | None = None
) -> Workspace:
    """Opens what is there. Raises InstallError, see ``SealedSecrets.open``."""
    sealed = await SealedSecrets.open_async(
        directory.secrets, key, clock=clock, journal_has_records=has_records(directory)
    )
    return Workspace(directory, settings or read_settings(directory.settings).settings, sealed)


def given_values(settings: Settings, options: Sequence[str]) -> dict[str, SecretText]:
    """The values of ``--secret`` options. Raises InstallError GIVEN-SECRET-REFUSED."""
    return read_given(options, {d.name: d for d in declarations(settings)})


def require_all_given(settings: Settings, values: Mapping[str, SecretText]) -> None:
    """Raises InstallError GIVEN-SECRETS-MISSING, all of them at once."""
    require_given(declarations(settings), values)


async def prepare_secrets(
    directory: InstallDirectory,
    settings: Settings,
    key: SealKey,
    clock: Clock,
    values: Mapping[str, SecretText],
    *,
    rehearsal: bool = False,
) -> Workspace:
    """Opens or creates the sealed file, takes given values, makes missing ones, seals once.

    In a ``rehearsal`` a value that was given is never sealed: a made one stands in for it.
    """
    if directory.secrets.exists():
        workspace = await open_workspace(directory, key, clock, settings)
    else:
        sealed = SealedSecrets.create(
            directory.secrets, key, clock=clock, journal_has_records=has_records(directory)
        )
        workspace = Workspace(directory, settings, sealed)
    declared = declarations(settings)
    if rehearsal:
        values = _stand_ins(declared, values, workspace.sealed)
    await gather_async(declared, workspace.sealed, values)
    return workspace


def _stand_ins(
    declared: Iterable[SecretDeclaration], given: Mapping[str, SecretText], sealed: SealedSecrets
) -> dict[str, SecretText]:
    """Values for what must be given and has none yet. What can be made is made, as ever.

    The simulated cluster keeps its objects in plain files, which nobody guards as they would the
    real secret; and nothing there needs it.
    """
    return {
        item.name: SecretText(_stand_in(item))
        for item in declared
        if item.source is SecretSource.GIVEN
        and item.name in given
        and item.name not in sealed.names
    }


def _stand_in(declaration: SecretDeclaration) -> str:
    if declaration.form is SecretForm.FREE:
        return random.token_urlsafe(24)
    return make_secret(declaration)


def momentary(directory: InstallDirectory, settings: Settings, clock: Clock) -> Workspace:
    """Secrets that are made for a look and never written; given ones have a stand-in."""
    key = Passphrase(SecretText(random.token_urlsafe(16)))
    sealed = SealedSecrets.create(directory.secrets, key, clock=clock)
    for declaration in declarations(settings):
        sealed.put(declaration.name, _stand_in(declaration), declaration.source)
    return Workspace(directory, settings, sealed)


def declarations(settings: Settings) -> tuple[SecretDeclaration, ...]:
    """Secrets of the chosen components and those that the settings refer to by name."""
    declared = registry.secret_declarations(settings)
    known = {d.name for d in declared}
    references = secret_references(settings)
    return (*declared, *_referred(references.items(), known))


def _referred(
    references: Iterable[tuple[str, str]], known: set[str]
) -> Iterable[SecretDeclaration]:
    fields: dict[str, list[str]] = {}
    for field, name in references:
        if name not in known:
            fields.setdefault(name, []).append(field)
    for name, used_by in fields.items():
        yield SecretDeclaration(
            name=name,
            purpose=f"named by {', '.join(used_by)} in the settings",
            reader="the parts that this setting belongs to",
            rotation="give the new value with --secret; a new plan shows what restarts",
            form=SecretForm.FREE,
            source=SecretSource.GIVEN,
        )
