"""From the settings tree to what components may know of the install."""

from installer.core.settings import Settings
from installer.core.settings_sections import Override, Source
from manifests.context import InstallFacts, PartOverride, RegistryLogin

_MEBIBYTES = {"Mi": 1, "Gi": 1024}


def install_facts(settings: Settings) -> InstallFacts:
    """Raises InstallError SIZE-ABOVE-LARGEST."""
    return InstallFacts(
        id=settings.install_id,
        row=settings.size_row,
        registry=settings.source.registry or "",
        registry_login=_login(settings.source),
        cluster_domain=settings.networks.cluster_domain,
        overrides={name: _part(own) for name, own in settings.scale.overrides.items()},
    )


def _login(source: Source) -> RegistryLogin | None:
    if source.registry is None or source.registry_user is None or source.registry_password is None:
        return None
    server = source.registry.partition("/")[0]
    return RegistryLogin(server, source.registry_user, source.registry_password.secret)


def _part(own: Override) -> PartOverride:
    memory = None
    if own.memory is not None:
        memory = int(own.memory[:-2]) * _MEBIBYTES[own.memory[-2:]] / 1024
    return PartOverride(own.replicas, own.cpu, memory)
