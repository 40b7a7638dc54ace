"""An install's directory with its settings read and its secrets open."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from installer.core.clock import Clock
from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import SecretDeclaration, SecretForm, SecretSource, SecretText
from installer.core.settings import Settings, secret_references
from installer.engine.journal import Journal
from installer.store.directory import InstallDirectory
from installer.store.given import read_given
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
    _refuse_other_identity(directory, loaded.settings)
    tree = loaded.settings.to_tree(defaults=False)
    _make_absolute(tree, loaded.folder.absolute())
    save_settings(directory.settings, tree, before=loaded.document)


def _refuse_other_identity(directory: InstallDirectory, new: Settings) -> None:
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


def seal_key(settings: Settings, unlocking: str) -> SealKey:
    """The key of the sealed file out of what the operator gave: a passphrase, or age identities,
    one a line or as OpenSSH files one after the other. Raises InstallError."""
    if settings.secrets.seal == "passphrase":
        return checked_passphrase(unlocking)
    recipients = recipients_key(settings.secrets.recipients)
    return Recipients(recipients.recipients, (SecretText(unlocking),))


def unlocking_text(key: SealKey) -> str:
    """The inverse of :func:`seal_key`: what an engine is told over its socket."""
    if isinstance(key, Passphrase):
        return key.text.reveal()
    return "\n".join(identity.reveal() for identity in key.identities)


async def open_workspace(directory: InstallDirectory, key: SealKey, clock: Clock) -> Workspace:
    """Opens what is there. Raises InstallError, see ``SealedSecrets.open``."""
    settings = read_settings(directory.settings).settings
    sealed = await SealedSecrets.open_async(
        directory.secrets, key, clock=clock, journal_has_records=has_records(directory)
    )
    return Workspace(directory, settings, sealed)


async def prepare_secrets(
    directory: InstallDirectory,
    settings: Settings,
    key: SealKey,
    clock: Clock,
    given: Sequence[str] = (),
) -> Workspace:
    """Opens or creates the sealed file, takes given secrets, makes missing ones, seals once.

    ``given`` are the ``--secret`` options. Raises InstallError, all missing secrets at once.
    """
    declared = declarations(settings)
    values = read_given(given, {d.name: d for d in declared})
    if directory.secrets.exists():
        workspace = await open_workspace(directory, key, clock)
    else:
        sealed = SealedSecrets.create(
            directory.secrets, key, clock=clock, journal_has_records=has_records(directory)
        )
        workspace = Workspace(directory, settings, sealed)
    await gather_async(declared, workspace.sealed, values)
    return workspace


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


def journal_state(directory: InstallDirectory, clock: Clock) -> tuple[Journal, object]:
    """The directory's journal opened to look at, and its folded state."""
    journal, state, _ = Journal.open(directory.root, clock)
    return journal, state
