"""From settings to Kubernetes objects, in waves. Pure: no far end, no clock, no secret but by view.

The planned form has a keyed digest wherever a secret stands, and holds every label, hash and
checksum; the revealed form is the same objects with the secrets' values in place.
"""

import base64
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from installer.core.objects import Manifest, ObjectRef, ObjectWave
from installer.core.settings import Settings, secret_references
from installer.core.settings_problem import Finding
from manifests import assembly
from manifests.assembly import Chosen, Unfit
from manifests.component import Component, Right
from manifests.config import render_config, resolve
from manifests.context import SecretView
from manifests.contributions import Contribution, NamespaceDemand, PriorityDemand
from manifests.derive import demand, disruption, images, network, order, patches, rights, rollout
from manifests.derive.identity import stamp, stamp_pods
from manifests.derive.podtemplates import (
    complete_pods,
    is_workload,
    pod_set_of,
    pod_template,
    resources,
)
from manifests.derive.safety import broken_rules
from manifests.install_facts import install_facts
from manifests.templating import Templates

DERIVED = (NamespaceDemand, PriorityDemand)  # what the renderer itself contributes


class Renderer:
    """Renders the chosen components of one install.

    ``settings`` is the whole tree; of ``components`` those that the settings choose are taken.
    ``key`` is the per-install key of all hashes. Raises Unfit when components and settings do not
    go together.
    """

    def __init__(
        self, settings: Settings, components: Sequence[Component], *, install_uid: str, key: bytes
    ) -> None:
        self.install = install_facts(settings)
        self._uid = install_uid
        self._key = key
        picked = assembly.choose(components, self.install, settings.component)
        self.chosen = assembly.assemble(picked, self.install, settings.component)
        self._templates = {item.name: Templates(item.component.folder) for item in self.chosen}
        self._levels = {
            self.install.namespace(ns.suffix): ns.pod_security
            for item in self.chosen
            for ns in item.component.namespaces
            if item.declaration.objects
        }
        self._given = set(secret_references(settings).values())
        self._planned: tuple[ObjectWave, ...] | None = None

    def waves(self, digests: SecretView) -> tuple[ObjectWave, ...]:
        """The planned form. ``digests`` gives the text that stands for each secret."""
        rendered = self._render(digests)
        for objects in rendered.values():
            rollout.mark_configuration(objects, self._key)
            for manifest in objects:
                rollout.mark_content(manifest, self._key)
        waves = order.waves(
            [(c.component, rendered[c.name], c.declaration.gates) for c in self.chosen]
        )
        self._planned = waves
        return waves

    def revealed(self, values: SecretView) -> Mapping[str, tuple[Manifest, ...]]:
        """By wave id: the objects of the last :meth:`waves` with secrets' values in place."""
        if self._planned is None:
            raise RuntimeError("revealed() comes after waves()")
        rendered = self._render(values)
        real = {ObjectRef.of(m): m for objects in rendered.values() for m in objects}
        return {
            wave.id: tuple(_with_marks(real[ObjectRef.of(m)], m) for m in wave.objects)
            for wave in self._planned
        }

    def rights(self) -> tuple[Right, ...]:
        """What the installer must be allowed to do."""
        waves = self._planned or self.waves(lambda name: f"<secret {name}>")
        return rights.rights(waves, [item.component for item in self.chosen])

    def changed_by_operator(self) -> tuple[str, ...]:
        """Lines for the plan: the parts of the settings that change what we would do."""
        lines = []
        for item in self.chosen:
            lines += [
                f"{item.name}: your patch of {name}" for name in item.context.settings.patches
            ]
            extra = getattr(item.context.settings, "extra", {})
            lines += [f"{item.name}: your setting {name}" for name in extra]
        return tuple(lines)

    def _render(self, secrets: SecretView) -> dict[str, list[Manifest]]:
        used: dict[str, str] = {}
        declared = {s.name for item in self.chosen for s in item.declaration.secrets}
        declared |= self._given

        def view(name: str) -> str:
            if name not in declared:
                raise KeyError(f"no component declares the secret {name}")
            used[name] = secrets(name)
            return used[name]

        rendered: dict[str, list[Manifest]] = {}
        late = [item for item in self.chosen if set(DERIVED) & set(item.component.accepts)]
        for item in self.chosen:
            if item not in late:
                rendered[item.name] = self._component(item, view)
        for item in late:
            received = (*item.context.received, *self._demands(item.name, rendered))
            context = replace(item.context, received=received)
            again = Chosen(item.component, context, item.component.declare(context))
            rendered[item.name] = self._component(again, view)
        self._enforce(rendered, tuple(used.values()))
        for objects in rendered.values():
            for manifest in objects:
                _encode_secret(manifest)
        return rendered

    def _component(self, item: Chosen, secrets: SecretView) -> list[Manifest]:
        templates = self._templates[item.name]
        found: list[Manifest] = []
        for file in item.declaration.objects:
            config = {
                name: render_config(part, item.component.folder, templates, secrets)
                for name, part in file.config.items()
            }
            values = {
                **resolve(file.values, secrets),
                "config": config,
                "image": self._image_of(item.component),
                "resources": resources,
            }
            found += templates.objects(file.template, values)
        found += network.policies(self.chosen, item.name)
        found += disruption.budgets(item.declaration.pods)
        for manifest in found:
            stamp(manifest, item.component, self.install.id, self._uid)
            if is_workload(manifest):
                pods = pod_set_of(manifest, item.declaration.pods)
                stamp_pods(manifest, pods)
                complete_pods(
                    manifest,
                    pods,
                    priority_class=self._class_name(pods.priority),
                    registry_login=self.install.registry_login is not None,
                )
        found, findings = patches.apply_patches(item.name, found, item.context.settings.patches)
        if findings:
            raise Unfit(findings)
        return sorted(found, key=order.sort_key)

    def _image_of(self, component: Component) -> Any:
        def image(name: str) -> str:
            return images.reference(component.image(name), self.install.registry)

        return image

    def _class_name(self, priority: str) -> str:
        return f"{self.install.id}-{priority}"

    def _demands(
        self, to: str, rendered: Mapping[str, Sequence[Manifest]]
    ) -> tuple[Contribution, ...]:
        """Namespaces with what was rendered into each, and the priorities that pods use."""
        sums = demand.by_namespace([m for objects in rendered.values() for m in objects])
        demands: dict[str, NamespaceDemand] = {}
        for item in self.chosen:
            for ns in item.component.namespaces if item.declaration.objects else ():
                name = self.install.namespace(ns.suffix)
                earlier = demands[name].components if name in demands else ()
                demands[name] = NamespaceDemand(
                    to, name, ns.title, ns.pod_security, (*earlier, item.name), **sums.get(name, {})
                )
        used = {p.priority for item in self.chosen for p in item.declaration.pods}
        classes = [PriorityDemand(to, p.value, self._class_name(p)) for p in sorted(used)]
        return (*(demands[name] for name in sorted(demands)), *classes)

    def _enforce(
        self, rendered: Mapping[str, Sequence[Manifest]], secret_texts: Sequence[str]
    ) -> None:
        findings = []
        for item in self.chosen:
            broken = broken_rules(
                item.component,
                rendered[item.name],
                pod_security=self._levels,
                secret_texts=secret_texts,
            )
            for manifest, why in broken:
                name = patches.patch_name(manifest)
                findings.append(Finding(("components", item.name, "patches", name), why))
        refs = [ObjectRef.of(m) for objects in rendered.values() for m in objects]
        findings += [
            Finding(("components",), f"{ref} is made twice")
            for ref in sorted({ref for ref in refs if refs.count(ref) > 1})
        ]
        if findings:
            raise Unfit(findings)


def _encode_secret(manifest: Manifest) -> None:
    """``stringData`` is for people; server-side apply keeps no record of it, so ``data`` it is."""
    if manifest["kind"] == "Secret":
        plain = manifest.pop("stringData", {})
        data = manifest.setdefault("data", {})
        data.update({k: base64.b64encode(v.encode()).decode() for k, v in plain.items()})


def readable_secret(manifest: Manifest) -> Manifest:
    """A Secret with its texts in plain, for people to read; other kinds as they are."""
    if manifest["kind"] != "Secret":
        return manifest
    shown = deepcopy(manifest)
    data = shown.pop("data", {})
    shown["stringData"] = {k: base64.b64decode(v).decode() for k, v in data.items()}
    return shown


def _with_marks(real: Manifest, planned: Manifest) -> Manifest:
    """The real object with the annotations of the planned one, on it and on its pods."""
    real["metadata"]["annotations"] = dict(planned["metadata"]["annotations"])
    if is_workload(real):
        marks = pod_template(planned)["metadata"].get("annotations")
        if marks:
            pod_template(real)["metadata"]["annotations"] = dict(marks)
    return real
