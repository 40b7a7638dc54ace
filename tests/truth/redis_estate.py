"""The rendered Redis estate of Synapse, running: servers, Sentinels and proxies."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from installer.core.objects import Manifest
from installer.core.secrets import make_secret
from manifests.registry import all_components, secret_declarations
from manifests.rendering import Renderer
from tests.truth.pod_network import PodNetwork, service_address
from tests.truth.pods import Pod, contents_of
from tests.truth.redis_client import Connection, RedisError
from tests.unit.manifests import samples

NAME = "redis-synapse"


def rendered(
    row: str, components: Mapping[str, Any] | None = None
) -> tuple[list[Manifest], dict[str, str]]:
    """Every object of an install of that size with made secrets, and those secrets."""
    settings = samples.settings(row, components=dict(components or {}))
    secrets = {d.name: make_secret(d) for d in secret_declarations(settings)}
    renderer = Renderer(settings, all_components(), install_uid="truth", key=b"k" * 32)
    renderer.waves(lambda name: f"hmac:{name}")
    waves = renderer.revealed(lambda name: secrets[name])
    return [manifest for objects in waves.values() for manifest in objects], secrets


class Estate:
    """Pods of one estate; a pod is made and lost as a StatefulSet's is, by its number."""

    def __init__(
        self,
        network: PodNetwork,
        folder: Path,
        row: str = "100",
        components: Mapping[str, Any] | None = None,
    ) -> None:
        manifests, self.secrets = rendered(row, components)
        self.network = network
        self._folder = folder
        self._contents = contents_of(manifests)
        by_name = {(m["kind"], m["metadata"]["name"]): m for m in manifests}
        self._servers = by_name[("StatefulSet", NAME)]
        self._proxy = by_name[("Deployment", f"{NAME}-proxy")]
        self._services = {
            f"REDIS_SYNAPSE_{number}_SERVICE_HOST": service_address(number + 1)
            for number in range(self.size)
            if ("Service", f"{NAME}-{number}") in by_name
        }
        self.password = self.secrets[f"{NAME}-password"]
        self.servers: dict[int, Pod] = {}
        self.proxies: list[Pod] = []

    def until(self, check: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
        """Waits for a condition, looking 20 times a second. Fails with ``what`` and all logs."""
        started = time.monotonic()
        pause = threading.Event()
        while not check():
            if time.monotonic() - started > timeout:
                raise AssertionError(f"after {timeout:.0f} s: {what}\n{self.logs()}")
            pause.wait(0.05)

    @property
    def size(self) -> int:
        return int(self._servers["spec"]["replicas"])

    def make_server(self, number: int) -> Pod:
        """A new pod with a new address, its containers started."""
        name = f"{NAME}-{number}"
        pod = Pod(
            self.network,
            self._servers,
            name,
            self._contents,
            self._folder,
            services=self._services,
            service=number + 1,
        )
        self.servers[number] = pod
        for container in pod.spec["containers"]:
            if container["name"] != "exporter":  # its program is not to be had here
                pod.start(container["name"])
        return pod

    def lose_server(self, number: int) -> None:
        """The pod's host is gone, without a goodbye."""
        self.servers.pop(number).close()

    def delete_server(self, number: int) -> None:
        """The pod is deleted in order, as in a rollout or a drain."""
        self.servers.pop(number).stop()

    def make_proxy(self) -> Pod:
        name = f"{NAME}-proxy-{len(self.proxies)}"
        pod = Pod(
            self.network,
            self._proxy,
            name,
            self._contents,
            self._folder,
            services=self._services,
        )
        self.proxies.append(pod)
        pod.start("haproxy")
        return pod

    def start(self) -> None:
        """Everything at once, as after an install or a power cut."""
        for number in range(self.size):
            self.make_server(number)
        for _ in range(self._proxy["spec"]["replicas"]):
            self.make_proxy()
        self.wait_whole()

    def mend(self) -> None:
        """Does what Kubernetes would: starts what is gone, and waits."""
        for number in range(self.size):
            pod = self.servers.get(number)
            if pod is None:
                self.make_server(number)
                continue
            self.network.set_link(pod.port, "up")
            for container in ("server", "sentinel"):
                if not pod.running(container):
                    pod.start(container)
        self.wait_whole()

    def wait_whole(self, timeout: float = 60.0) -> None:
        """Until every container is ready by its own probes and clients reach the one master."""
        for number, pod in list(self.servers.items()):
            ready = partial(pod.probe, "server", "readinessProbe")
            self.until(ready, f"server {number} is not ready", timeout)
        if self.size > 1:
            self.until(self.quorum, "no quorum", timeout)
        for proxy in range(len(self.proxies)):
            self.until(
                partial(self.leads_to_master, proxy), f"proxy {proxy} has no master", timeout
            )

    def leads_to_master(self, proxy: int) -> bool:
        """Whether the proxy says that it has a master, and new connections lead to the only one."""
        try:
            ready = self.health(self.proxies[proxy], "/master") == 200
            return ready and [self.reached(proxy)] == self.masters()
        except (OSError, RedisError):
            return False

    def quorum(self) -> bool:
        """Every Sentinel knows all others and both replicas."""
        for number in self.servers:
            try:
                with self.sentinel(number) as sentinel:
                    fields = sentinel.call("SENTINEL", "MASTER", NAME)
                    agreed = sentinel.call("SENTINEL", "CKQUORUM", NAME)
            except (OSError, RedisError):
                return False
            assert isinstance(fields, list)
            known = dict(zip(fields[::2], fields[1::2], strict=True))
            others = str(self.size - 1)
            if (known["num-other-sentinels"], known["num-slaves"]) != (others, others):
                return False
            if known["flags"] != "master" or not str(agreed).startswith("OK"):
                return False
        return True

    def health(self, proxy: Pod, path: str) -> int:
        """Status of the proxy's health listener; 0 when it does not answer."""
        try:
            with proxy.namespaces.connect("127.0.0.1", 8405, 2) as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                return int(connection.recv(64).split()[1])
        except (OSError, IndexError):
            return 0

    def metrics(self, proxy: Pod) -> str:
        """What the proxy tells Prometheus."""
        with proxy.namespaces.connect("127.0.0.1", 8405, 5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def server(self, number: int, timeout: float = 2.0) -> Connection:
        pod = self.servers[number]
        return Connection(self.network.hub.connect(pod.address, 6379, timeout), self.password)

    def sentinel(self, number: int) -> Connection:
        pod = self.servers[number]
        return Connection(
            self.network.hub.connect(pod.address, 26379, 2),
            self.secrets[f"{NAME}-sentinel-password"],
        )

    def client(
        self, proxy: int = 0, password: str | None = None, timeout: float = 2.0
    ) -> Connection:
        """A client that goes through a proxy."""
        connected = self.network.hub.connect(self.proxies[proxy].address, 6379, timeout)
        return Connection(connected, self.password if password is None else password)

    def masters(self) -> list[int]:
        """Which servers call themselves master."""
        found = []
        for number in list(self.servers):
            try:
                with self.server(number, timeout=0.5) as connection:
                    if connection.role() == "master":
                        found.append(number)
            except (OSError, RedisError):
                continue
        return found

    def master(self) -> int:
        (number,) = self.masters()
        return number

    def reached(self, proxy: int = 0) -> int:
        """The number of the server that a new connection through a proxy leads to."""
        with self.client(proxy) as connection:
            answer = connection.call("CONFIG", "GET", "replica-announce-ip")
        assert isinstance(answer, list)
        return int(str(answer[1]).rpartition(".")[2]) - 1

    def logs(self) -> str:
        parts = []
        for pod in (*self.servers.values(), *self.proxies):
            for container in pod.spec["containers"]:
                text = "\n".join(pod.log(container["name"]).splitlines()[-25:])
                parts.append(f"== {pod.name} {container['name']}\n{text}")
        return "\n".join(parts)

    def close(self) -> None:
        for pod in (*self.servers.values(), *self.proxies):
            pod.close()
        self.servers.clear()
        self.proxies.clear()
