"""The settings model: what is accepted, and in which words the rest is refused."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from installer.core.settings import (
    Settings,
    build_settings_model,
    documentation_gaps,
    nested_models,
    secret_references,
    settings_json_schema,
)
from installer.core.settings_problem import Finding, SettingsError, dotted, shown_value
from installer.core.settings_types import SecretReference, SettingsSection
from installer.core.settings_validation import check_settings, validate_settings
from tests.unit.core.settings_samples import MODEL, changed, valid_tree


def refusals(tree: object) -> dict[str, Finding]:
    """Dotted path to finding."""
    return {dotted(finding.path): finding for finding in check_settings(MODEL, tree).findings}


def only_refusal(tree: object, path: str) -> Finding:
    found = refusals(tree)
    assert list(found) == [path], found
    return found[path]


def test_a_valid_tree_is_accepted() -> None:
    settings = validate_settings(MODEL, valid_tree())
    assert settings.server.name == "example.org"
    assert settings.install_id == "example"
    assert settings.size_row.name == "100"
    assert settings.component("cache").model_dump()["memory_mb"] == 128


def test_a_valid_tree_comes_back_as_it_went_in() -> None:
    settings = validate_settings(MODEL, valid_tree())
    assert settings.to_tree(defaults=False) == valid_tree()
    assert validate_settings(MODEL, settings.to_tree()).to_tree() == settings.to_tree()


def test_names_that_were_left_out_follow_from_the_server_s() -> None:
    names = validate_settings(MODEL, changed("server.public_names.turn", "t.example.org")).names
    assert names.homeserver == "matrix.example.org"
    assert names.all() == (
        "matrix.example.org",
        "chat.example.org",
        "rtc.example.org",
        "t.example.org",
    )


@pytest.mark.parametrize(
    ("path", "value", "why", "suggestion"),
    [
        ("server.name", "Example.org", "small letters", "example.org"),
        ("server.name", "https://example.org/x", "a name only", "example.org"),
        ("server.name", "example.org:8448", "a name only", "example.org"),
        ("server.name", "example", "a full name", "example.example.org"),
        ("server.name", "münchen.example.org", "ASCII", "xn--mnchen-3ya.example.org"),
        ("server.name", "10.0.0.1", "an address", ""),
        ("server.name", "-x.example.org", "not a DNS name", ""),
        ("server.organisation", "Exa\u202emple", "U+202E", "remove it"),
        ("server.organisation", "Exa\ue000mple", "U+E000", "remove it"),
        ("server.organisation", "Exa\x07mple", "U+0007", "remove it"),
        ("server.organisation", " Example", "a space", "remove it"),
        ("server.organisation", 7, "text is needed", "put it in quotes"),
        ("server.admin_contact", "nobody", "not a mail address", "admin@example.org"),
        ("install.id", "Example", "pattern", "id: example"),
        ("install.id", "a" * 21, "at most 20", "id: example"),
        ("install.architecture", "arm64", "only amd64", "amd64"),
        ("install.ip_family", "dual", "only IPv4", "ipv4"),
        ("scale.row", "1m", "must be trial, 100, 1k, 5k, 10k or 20k", "did you mean 1k?"),
        ("load_balancer", "metalb", "must be metallb", "did you mean metallb?"),
        ("networks.pods", "fd00::/64", "IPv6 is not supported", ""),
        ("networks.pods", "10.244.1.0/16", "not the first address", "10.244.0.0/16"),
        ("networks.pods", "10.244.0.0", "length", "10.244.0.0/24"),
        ("networks.pools.0", "10.10.0.9-10.10.0.2", "not a range", "10.0.0.200-10.0.0.220"),
        ("hosts.0.address", "fe80::1", "IPv6 is not supported", ""),
        ("hosts.0.address", "10.10.0.300", "not an IPv4 address", "10.0.0.10"),
        ("hosts.0.roles.0", "controll", "must be control", "did you mean control?"),
        ("ssh.port", 70000, "less than or equal to 65535", "port: 22"),
        ("ssh.port", "22", "a whole number", "port: 22"),
        ("hosts.0.name", "App_1", "small letters", ""),
        ("hosts.0.address", 5, "not an IPv4 address", "10.0.0.10"),
        ("networks.pods", 5, "not an IPv4 network", "10.0.0.0/24"),
        ("networks.pods", "here", "not an IPv4 network", "10.0.0.0/24"),
        ("ssh.key_file", "keys/", "names a folder", "name a file"),
        (
            "source.registry",
            "r.example.org:99999",
            "not a number up to 65535",
            "r.example.org:5000",
        ),
        ("source.registry", "r_example.org", "not a registry's name", "registry."),
        ("source.registry", "r.example.org/Matrix", "not a registry's name", "registry."),
        ("proxy.http", "http://proxy:port", "not a URL", "https://host.example.org:8443"),
        ("secrets.recipients.0", "AGE-SECRET-KEY-1X", "the secret half", "make a new pair"),
        ("proxy.http", "ftp://proxy", "http://", ""),
        ("source.registry", "https://r.example.org", "host, port and path only", "registry."),
        ("components.cache.memory_mb", 1, "greater than or equal to 16", "memory_mb: 64"),
        ("components.cache.memory_mb", True, "a whole number", "memory_mb: 64"),
    ],
)
def test_a_wrong_value_is_refused_in_words(
    path: str, value: object, why: str, suggestion: str
) -> None:
    found = refusals(changed(path, value))
    place = dotted(tuple(int(p) if p.isdigit() else p for p in path.split(".")))
    assert place in found, found
    assert why in found[place].why
    assert suggestion in found[place].suggestion


@pytest.mark.parametrize(
    ("path", "key", "suggestion"),
    [
        ("", "srever", "did you mean server?"),
        ("", "public_names", "it stands at server.public_names"),
        ("server", "organization", "did you mean organisation?"),
        ("components", "cahce", "did you mean cache?"),
        ("components.cache", "memroy_mb", "did you mean memory_mb?"),
        ("hosts.0", "adress", "did you mean address?"),
        ("", "qqqqqq", ""),
    ],
)
def test_an_unknown_key_is_refused_with_its_likely_name(
    path: str, key: str, suggestion: str
) -> None:
    tree = changed(f"{path}.{key}" if path else key, "hunter2")
    found = check_settings(MODEL, tree).findings
    assert [(f.path[-1], f.why, f.suggestion, f.hide) for f in found] == [
        (key, "unknown key", suggestion, True)
    ]


def test_a_component_that_is_not_there_is_an_unknown_key() -> None:
    other = build_settings_model({})
    found = check_settings(other, valid_tree()).findings
    assert [(dotted(f.path), f.why) for f in found] == [("components.cache", "unknown key")]


def test_what_is_missing_is_named_with_an_example() -> None:
    finding = only_refusal(valid_tree(scale=None), "scale")
    assert finding.why == "needed, and not there"
    tree = valid_tree()
    del tree["server"]["name"]
    assert only_refusal(tree, "server.name").suggestion == "name: example.org"


@pytest.mark.parametrize("tree", [None, [], "text", 3, True])
def test_anything_but_a_mapping_is_refused(tree: object) -> None:
    assert [f.path for f in check_settings(MODEL, tree).findings] == [()]


def test_all_mistakes_come_at_once_those_between_sections_too() -> None:
    tree = valid_tree(load_balancer="existing", srever={})
    tree["server"]["name"] = "X"
    tree["hosts"][3]["address"] = "10.10.0.11"
    tree["components"]["cache"]["memory_mb"] = 0
    assert set(refusals(tree)) == {
        "server.name",
        "srever",
        "hosts[3].address",
        "components.cache.memory_mb",
        "networks.pools",
    }


def test_a_secret_in_a_section_hides_none_of_its_other_mistakes() -> None:
    tree = valid_tree(tls={"source": "own", "private_key": "hunter2", "zzzzzz": 1})
    assert set(refusals(tree)) == {"tls.private_key", "tls.zzzzzz", "tls.certificate_file"}


@pytest.mark.parametrize(
    "path",
    [
        "tls.private_key",
        "components.cache.password",
        "components.cache.mode",
        "components.cache.tokens.0",
        "components.cache.headers.accept",
        "proxy.password",
    ],
)
@pytest.mark.parametrize("literal", ["hunter2-canary", "Secret:x", "secret:", 8814412, ["hunter2"]])
def test_a_secret_itself_is_refused_and_never_repeated(path: str, literal: object) -> None:
    with pytest.raises(SettingsError) as caught:
        validate_settings(MODEL, changed(path, literal))
    told = f"{caught.value} {caught.value.report()} {caught.value.problems}"
    assert path.replace(".0", "[0]") in told
    for value in ("hunter2", "8814412"):
        assert value not in told


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("proxy.https", "http://me:hunter2@proxy.example.org:3128"),
        ("source.registry", "me:hunter2@registry.example.org"),
        ("secrets.recipients", ["AGE-SECRET-KEY-1HUNTER2"]),
        ("server.registration_secret", "hunter2"),
        ("ssh.password", "hunter2"),
        ("hunter", {"deep": "hunter2"}),
    ],
)
def test_a_secret_in_the_wrong_place_is_never_repeated(path: str, value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        validate_settings(MODEL, changed(path, value))
    told = f"{caught.value} {caught.value.report()} {caught.value.problems}".lower()
    assert "hunter2" not in told


def test_references_to_secrets_are_found_with_their_fields() -> None:
    tree = changed("components.cache.password", "secret:cache-password")
    tree["components"]["cache"] |= {"headers": {"x": "secret:header"}}
    tree["components"]["cache"]["tokens"] = ["secret:first", "secret:second"]
    tree["source"] = {"kind": "registry", "registry": "r.example.org", "registry_user": "me"}
    tree["source"]["registry_password"] = "secret:registry"
    assert secret_references(validate_settings(MODEL, tree)) == {
        "source.registry_password": "registry",
        "components.cache.tokens[0]": "first",
        "components.cache.tokens[1]": "second",
        "components.cache.headers.x": "header",
        "components.cache.password": "cache-password",
    }


def test_a_secret_reference_knows_its_name() -> None:
    assert SecretReference("secret:turn-shared").secret == "turn-shared"


@pytest.mark.parametrize("written", [1000, "1000", "1K", "1k", "1_000", "1,000"])
def test_a_row_may_be_written_as_a_number(written: object) -> None:
    assert validate_settings(MODEL, changed("scale.row", written)).size_row.name == "1k"


def test_the_size_is_known_however_it_is_given() -> None:
    for scale, people, row in (
        ({"row": "5k"}, 5000, "5k"),
        ({"concurrent_users": 101}, 101, "1k"),
        ({"concurrent_users": 1}, 1, "100"),
    ):
        settings = validate_settings(MODEL, valid_tree(scale=scale))
        assert (settings.concurrent_users, settings.size_row.name) == (people, row)
    trial = validate_settings(MODEL, valid_tree())
    trial = trial.model_copy(update={"scale": trial.scale.model_copy(update={"row": "trial"})})
    assert (trial.concurrent_users, trial.size_row.name) == (20, "trial")


def test_a_value_of_neither_kind_is_refused_at_its_field() -> None:
    assert set(refusals(changed("components.cache.limit", "x"))) == {"components.cache.limit"}


def test_joiners_of_scripts_that_need_them_are_kept() -> None:
    name = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    settings = validate_settings(MODEL, changed("server.organisation", name))
    assert settings.server.organisation == name
    assert (
        "U+000A" in only_refusal(changed("server.organisation", "a\nb"), "server.organisation").why
    )


def test_accounts_become_people_at_the_same_time() -> None:
    tree = valid_tree(scale={"accounts": 5001})
    settings = validate_settings(MODEL, tree)
    assert (settings.concurrent_users, settings.size_row.name) == (1001, "5k")
    tree["scale"]["accounts_per_concurrent_user"] = 10
    assert validate_settings(MODEL, tree).size_row.name == "1k"


def test_overrides_name_components_and_their_parts() -> None:
    tree = valid_tree(scale={"row": "100", "overrides": {"cache/proxy": {"cpu": 1}}})
    override = validate_settings(MODEL, tree).scale.overrides["cache/proxy"]
    assert (override.cpu, override.replicas, override.memory) == (1.0, None, None)
    tree["scale"]["overrides"] = {"cache/proxi": {"replicas": 2}}
    finding = only_refusal(tree, "scale.overrides.cache/proxi")
    assert finding.suggestion == "did you mean cache/proxy?"


def test_every_install_wide_field_has_a_description_and_an_example() -> None:
    assert documentation_gaps(MODEL) == []


def test_a_field_without_description_or_example_is_found() -> None:
    class Bare(SettingsSection):
        named: int = Field(default=1, description="x", examples=[1])
        bare: int = 1

    assert documentation_gaps(build_settings_model({"bare": Bare})) == ["components.bare.bare"]


def test_every_example_of_a_field_is_accepted_by_it() -> None:
    problems = []
    for name, field in _all_fields(MODEL):
        annotation: Any = field.annotation
        holder: Any = type(
            "Holder",
            (SettingsSection,),
            {"__annotations__": {"value": annotation}, "value": field},
        )
        for example in field.examples or []:
            try:
                holder.model_validate({field.alias or "value": example})
            except ValueError as error:
                problems.append(f"{name}: {error}")
    assert problems == []


def _all_fields(model: type[BaseModel], path: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, field in model.model_fields.items():
        if not (model is MODEL and name == "components"):
            found.append((f"{path}.{name}", field))
        for inner in nested_models(field.annotation):
            found += _all_fields(inner, f"{path}.{name}")
    return found


def test_a_component_that_would_swallow_unknown_keys_is_a_defect() -> None:
    class Loose(BaseModel):
        pass

    with pytest.raises(TypeError, match="unknown keys"):
        build_settings_model({"loose": Loose})


def test_a_component_with_a_field_that_must_be_given_must_be_there() -> None:
    class Needy(SettingsSection):
        """Needs something."""

        address: str = Field(description="x", examples=["y"])

    found = check_settings(build_settings_model({"needy": Needy}), valid_tree(components={}))
    assert [dotted(f.path) for f in found.findings] == ["components.needy"]


def test_an_unknown_component_is_a_key_error() -> None:
    settings = validate_settings(MODEL, valid_tree())
    assert settings.component("web-client").model_dump()["memory_mb"] == 64
    for name in ("nothing", "model_dump", "model_fields"):
        with pytest.raises(KeyError):
            settings.component(name)


def test_the_schema_describes_every_section() -> None:
    schema = settings_json_schema(MODEL)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Settings.model_fields)
    definitions = schema["$defs"]
    for entry in schema["properties"].values():
        # What repeats the section's own description is left to the section.
        section = definitions.get(entry.get("$ref", "").rpartition("/")[2], {})
        assert "description" in entry or "description" in section
    assert "web-client" in schema["$defs"]["ComponentSettings"]["properties"]
    password = schema["$defs"]["Cache"]["properties"]["password"]["anyOf"][0]
    assert password["pattern"].startswith("^secret:")


@pytest.mark.parametrize(
    ("value", "path", "shown"),
    [
        ("plain", ("server", "name"), "plain"),
        ("x" * 70, (), "x" * 60 + "..."),
        ("hunter2", ("registration_shared_secret",), "(not shown)"),
        ("a:b@c", ("proxy", "http"), "(not shown)"),
        ("a\nb\x1b", (), "a\\u000ab\\u001b"),
        ({"a": 1}, (), "a mapping"),
        (True, (), "true"),
        ([1, 2], (), "a list"),
        (None, (), "nothing"),
    ],
)
def test_values_are_shown_short_and_never_when_they_may_be_secret(
    value: object, path: tuple[str, ...], shown: str
) -> None:
    assert shown_value(value, path) == shown
