"""Lists that follow from the components: rights, images; and components that are taken away."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import manifests
from manifests.derive.images import images
from manifests.derive.kinds import kind_of
from manifests.registry import all_components
from tests.unit.manifests.samples import digest, flat, renderer, settings

CORE = {"namespaces"}  # what every install has; all others can be taken away


def test_rights_cover_every_object() -> None:
    made = renderer(settings())
    found = flat(made.waves(digest))
    rights = made.rights()
    for manifest in found:
        kind = kind_of(manifest["apiVersion"], manifest["kind"])
        namespace = manifest["metadata"].get("namespace", "")
        (right,) = [
            r
            for r in rights
            if (r.group, r.resource, r.namespace) == (kind.group, kind.plural, namespace)
        ]
        assert {"get", "list", "watch", "create", "patch", "delete"} <= set(right.verbs)
    pods = {r.namespace for r in rights if r.resource == "pods"}
    assert pods == {"example-redis"}
    assert len(set(rights)) == len(rights)


def test_rights_do_not_need_a_rendering_before() -> None:
    assert renderer(settings()).rights()


def test_images_are_listed_once_each() -> None:
    listed = images(all_components(), "registry.example.org/m")
    names = [image.upstream for image in listed]
    assert "docker.io/valkey/valkey:9.1.1-alpine" in names
    assert len(set(names)) == len(names)
    assert all(i.reference == f"registry.example.org/m/{i.upstream}" for i in listed)
    for image in listed:
        assert image.image.source.startswith("https://")
        assert not image.image.floor or image.image.floor_reason


@pytest.mark.parametrize("name", sorted({c.name for c in all_components()} - CORE))
def test_without_its_folder_a_component_leaves_no_trace(name: str, tmp_path: Path) -> None:
    source = Path(manifests.__file__).parent
    copy = tmp_path / "manifests"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(copy / "components" / name.replace("-", "_"))
    program = f"""
from installer.core.settings_validation import check_settings, validate_settings
from manifests.registry import all_components, settings_model
from manifests.rendering import Renderer
from tests.unit.manifests.samples import tree
names = [c.name for c in all_components()]
assert {name!r} not in names and names, names
settings = validate_settings(settings_model(), tree())
waves = Renderer(settings, all_components(), install_uid="u", key=b"k").waves(str)
assert {name!r} not in str(waves), waves
unknown = check_settings(settings_model(), tree(components={{{name!r}: {{}}}}))
assert unknown.settings is None and unknown.findings
"""
    root = source.parent
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{tmp_path}:{root}", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
