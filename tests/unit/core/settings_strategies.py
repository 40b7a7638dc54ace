"""Settings that are valid, of every kind that the install-wide model allows."""

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

RECIPIENTS = (
    "age1z3u8fvts4d58s0v4xfscrsgtty7dnpd7tzd2lg3utdwaklttd30sxu60wj",
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kurtqj4ksa2mz9w",
)
STANDING = ("control", "app", "db", "storage", "call")

labels = st.from_regex(r"[a-z]([a-z0-9-]{0,9}[a-z0-9])?", fullmatch=True)
domains = st.builds("{}.example.org".format, labels)
words = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"]),
    min_size=1,
    max_size=20,
).filter(lambda text: text == text.strip() and text)
secrets = st.builds("secret:{}".format, labels)


@st.composite
def servers(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(domains)
    server: dict[str, Any] = {
        "name": name,
        "organisation": draw(words),
        "admin_contact": f"{draw(labels)}@{draw(domains)}",
    }
    if draw(st.booleans()):
        part = draw(st.sampled_from(["homeserver", "web_client", "calls", "turn"]))
        server["public_names"] = {part: f"x-{part.replace('_', '-')}.{name}"}
    return server


scales = st.one_of(
    st.builds(lambda row: {"row": row}, st.sampled_from(["100", "1k", "5k", "10k", "20k"])),
    st.builds(lambda people: {"concurrent_users": people}, st.integers(1, 20_000)),
    st.builds(
        lambda accounts, ratio: {"accounts": accounts, "accounts_per_concurrent_user": ratio},
        st.integers(1, 20_000),
        st.sampled_from([1, 2.5, 5, 20]),
    ),
)


@st.composite
def places(draw: st.DrawFn) -> dict[str, Any]:
    """Hosts or a cluster, with networks and load balancer that go with them."""
    balancer = draw(st.sampled_from(["metallb", "existing", "nodeport", "host"]))
    on_hosts = draw(st.booleans())
    networks: dict[str, Any] = {"nodes": ["10.20.0.0/16"]}
    tree: dict[str, Any] = {"load_balancer": balancer, "networks": networks}
    if balancer == "metallb":
        networks["pools"] = draw(st.sampled_from([["10.20.9.0/28"], ["10.20.9.1-10.20.9.9"]]))
        if draw(st.booleans()):
            networks["virtual_addresses"] = {"edge": "10.20.9.2"}
    if not on_hosts:
        tree["cluster"] = {"kubeconfig": "~/.kube/x.yaml"}
        return tree
    control = draw(st.sampled_from([1, 3, 5]))
    counts = {role: draw(st.integers(1, 4)) for role in STANDING[1:]}
    tree["hosts"] = [
        {"name": f"{role}-{number}", "address": f"10.20.{block}.{number + 1}", "roles": [role]}
        for block, (role, count) in enumerate({"control": control, **counts}.items())
        for number in range(count)
    ]
    if control > 1:
        networks.setdefault("virtual_addresses", {})["api"] = "10.20.8.1"
    return tree


tls = st.one_of(
    st.just({"source": "internal-ca"}),
    st.builds(
        lambda key: {"source": "own", "certificate_file": "tls/chain.pem", "private_key": key},
        secrets,
    ),
    st.just({"source": "acme", "acme_server": "https://ca.example.org/directory"}),
)
sources = st.one_of(
    st.just({"kind": "online"}),
    st.builds(
        lambda secret: {
            "kind": "registry",
            "registry": "registry.example.org:5000/matrix",
            "registry_user": "matrix",
            "registry_password": secret,
        },
        secrets,
    ),
    st.just({"kind": "bundle", "bundle_file": "/srv/bundle.tar"}),
)
seals = st.one_of(
    st.just({"seal": "passphrase"}),
    st.builds(
        lambda count: {"seal": "recipients", "recipients": list(RECIPIENTS[:count])},
        st.integers(1, 2),
    ),
)


@st.composite
def settings_trees(draw: st.DrawFn) -> dict[str, Any]:
    """Whole trees without components' settings: everything that a file can say install-wide."""
    tree: dict[str, Any] = {"version": 1, "server": draw(servers()), "scale": draw(scales)}
    tree |= draw(places())
    optional = {
        "install": st.builds(lambda name: {"id": name}, labels),
        "tls": tls,
        "source": sources,
        "secrets": seals,
        "storage_classes": st.builds(lambda name: {"default": name, "database": name}, labels),
        "trust": st.just({"ca_files": ["tls/ca.pem"]}),
    }
    for name, strategy in optional.items():
        if draw(st.booleans()):
            tree[name] = draw(strategy)
    # What st.just gives is one object for all examples, and a test may change its tree.
    return deepcopy(tree)
