"""What only looks, and what is refused, leaves nothing behind."""

import json
import stat
from pathlib import Path

import pytest
import yaml

from installer.session import Inputs, Rehearsal, Session
from tests.e2e.product import EXAMPLES, Product

pytestmark = pytest.mark.timeout(240)


def test_a_plan_before_an_install_writes_nothing_at_all(product: Product) -> None:
    words = ("--rehearse", "--rehearse-speed", "10000", "--answers", str(product.answers))
    ran = product.run(*words, "--plan", view="", environment={"TMPDIR": str(product.folder / "t")})
    assert "Install example on a simulated cluster" in ran.out
    assert "new: 1 config map" in ran.out
    assert str(product.directory) in ran.out.replace("\n  ", "")
    assert not product.directory.exists()
    assert list((product.folder / "t").iterdir()) == []


def test_a_plan_of_an_install_changes_nothing(installed: Product) -> None:
    before = files_of(installed.directory)
    ran = installed.run("--plan", view="")
    assert "nothing to change" in ran.out
    assert ran.writes == ()
    after = files_of(installed.directory)
    assert {name for name in after if after[name] != before.get(name)} <= {"target.json"}
    assert set(before) == set(after)


def test_bad_settings_are_all_told_at_once_and_nothing_is_written(product: Product) -> None:
    product.settings["server"]["name"] = "Not A Name"
    product.settings["scale"] = {"row": "101"}
    product.settings["netwroks"] = product.settings.pop("networks")
    product.write_settings()
    ran = product.install(view="", code=3)
    assert "SETTINGS-INVALID" in ran.err
    for part in ("server.name", "scale.row", "netwroks", "did you mean"):
        assert part in ran.err
    assert f"{product.answers.name}:" in ran.err.replace("\n", "")
    assert "nothing was done or written" in ran.err
    assert not product.directory.exists()


def test_objects_are_rendered_as_numbered_yaml_the_same_each_time(product: Product) -> None:
    one, two = product.folder / "one", product.folder / "two"
    told = product.run("--answers", str(product.answers), "--render", str(one), view="")
    product.run("--answers", str(product.answers), "--render", str(two), view="")
    assert files_of(one) == files_of(two) != {}
    paths = [Path(line) for line in told.out.splitlines()]
    assert sorted(paths) == sorted(path for path in one.rglob("*") if path.is_file())
    folders = [path.parent.name for path in paths]
    assert folders == sorted(folders)
    assert folders[0].startswith("01-")
    text = "".join(path.read_text() for path in paths)
    assert "<secret redis-synapse-password>" in text
    for path in paths:
        found = yaml.safe_load(path.read_text())
        assert found["kind"]
        cluster_wide = path.relative_to(one).parts[0] == "cluster-admin"
        assert cluster_wide == ("namespace" not in found["metadata"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    refused = product.run("--answers", str(product.answers), "--render", str(one), view="", code=4)
    assert "RENDER-NOT-EMPTY" in refused.err


def test_secrets_are_rendered_only_on_request_into_private_files(installed: Product) -> None:
    shown, secret = installed.folder / "shown", installed.folder / "secret"
    installed.run("--render", str(shown), view="")
    assert installed.sealed().in_files([shown]) == []
    installed.spared.append(secret)
    installed.run("--render", str(secret), "--render-secrets", view="")
    assert {leak.name for leak in installed.sealed().in_files([secret])} >= {
        "redis-synapse-password"
    }
    for path in secret.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert {p.relative_to(shown) for p in shown.rglob("*")} == {
        p.relative_to(secret) for p in secret.rglob("*")
    }


def test_there_are_no_secrets_to_render_before_an_install(product: Product) -> None:
    words = ("--answers", str(product.answers), "--render", str(product.folder / "r"))
    ran = product.run(*words, "--render-secrets", view="", code=4)
    assert "RENDER-NO-SECRETS" in ran.err
    assert not (product.folder / "r").exists()


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_renders(tmp_path: Path, example: Path) -> None:
    inputs = Inputs(example, tmp_path / "install", rehearsal=Rehearsal())
    written = Session.open(inputs).render(tmp_path / "out", with_secrets=False)
    assert len(written) > 10
    assert not (tmp_path / "install").exists()


def test_words_that_cannot_be_meant(product: Product) -> None:
    assert product.run("--plan", "--resume", view="", code=2).out == ""
    assert "NO-INSTALL" in product.run("--resume", view="", code=2).err
    ran = product.run("--rehearse-fault", "list", view="")
    assert {"node-lost", "webhook-down"} <= {line.split()[0] for line in ran.out.splitlines()}
    assert json.loads(product.run("--schema", view="").out)["type"] == "object"
    nobody = product.run("--answers", str(product.answers), "--rehearse", view="", code=2)
    assert "NOBODY-TO-ASK" in nobody.err
    assert "--yes" in nobody.err
    unknown = product.install("--rehearse-fault", "moon", view="", code=2)
    assert "FAULT-UNKNOWN" in unknown.err
    assert "moon" in unknown.err
    assert "node-lost" in unknown.err
    assert not product.directory.exists()


def files_of(folder: Path) -> dict[str, bytes]:
    """Contents by name, without what the simulated cluster keeps for itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != "rehearsal"
    }
