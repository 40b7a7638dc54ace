"""Runs rendered pods with real programs: what a kubelet does, as far as these tests need it.

Volumes are laid out with the modes and groups that the manifest asks for, the root is read-only,
and each container's own command runs under the manifest's user, without privileges.
"""

import base64
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from installer.core.objects import Manifest
from tests.truth.pod_network import Namespaces, PodNetwork, die_with_parent


class Pod:
    """One pod of a workload. Containers are started by hand; nothing restarts by itself.

    ``services`` are the variables with Services' addresses that a kubelet would set; ``service``
    is the number of the Service that stands for this pod alone.
    """

    def __init__(
        self,
        network: PodNetwork,
        workload: Manifest,
        name: str,
        contents: Mapping[tuple[str, str], Mapping[str, bytes]],
        folder: Path,
        *,
        services: Mapping[str, str],
        service: int | None = None,
    ) -> None:
        self.name = name
        self.spec: dict[str, Any] = workload["spec"]["template"]["spec"]
        self._contents = contents
        self._folder = folder / name
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self.namespaces = Namespaces()
        self.address, self.port = network.plug(self.namespaces, service)
        self._services = services if self.spec["enableServiceLinks"] else {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lay_out_volumes()

    def container(self, name: str) -> dict[str, Any]:
        return next(c for c in self.spec["containers"] if c["name"] == name)

    def _lay_out_volumes(self) -> None:
        group = self.spec["securityContext"]["fsGroup"]
        places: dict[str, Path] = {}
        for volume in self.spec["volumes"]:
            place = self._folder / volume["name"]
            place.mkdir()
            os.chown(place, 0, group)
            os.chmod(place, 0o2777)
            for kind, key in (("secret", "secretName"), ("configMap", "name")):
                if kind in volume:
                    self._fill(
                        place, self._contents[(kind, volume[kind][key])], volume[kind], group
                    )
            places[volume["name"]] = place
        nothing = self._folder / "resolv.conf"
        nothing.write_text("# There is no name server: nothing may need one.\n")
        script = ["set -e", f"mount --bind {nothing} /etc/resolv.conf", "mount -t tmpfs tmpfs /srv"]
        mounts = {
            mount["mountPath"]: places[mount["name"]]
            for container in self.spec["containers"]
            for mount in container.get("volumeMounts", ())
        }
        for path, place in mounts.items():
            script.append(f"mkdir -p {path} && mount --bind {place} {path}")
        script += ["chmod 0755 /srv", "mount -o remount,bind,ro /"]
        self.namespaces.run("sh", "-c", "\n".join(script))

    @staticmethod
    def _fill(
        place: Path, files: Mapping[str, bytes], source: Mapping[str, Any], group: int
    ) -> None:
        for name, content in files.items():
            file = place / name
            file.write_bytes(content)
            os.chown(file, 0, group)
            os.chmod(file, source["defaultMode"])

    def _environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        values = {"PATH": os.environ["PATH"], "LC_ALL": "C", **self._services}
        for variable in container.get("env", ()):
            if "valueFrom" in variable:
                assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
                values[variable["name"]] = self.name
            else:
                text = variable["value"]
                for known, value in values.items():
                    text = text.replace(f"$({known})", value)
                values[variable["name"]] = text
        return values

    def _command(self, words: Sequence[str]) -> list[str]:
        context = self.spec["securityContext"]
        user = f"--reuid={context['runAsUser']}"
        group = f"--regid={context['runAsGroup']}"
        groups = f"--groups={context['fsGroup']}"
        dropped = ("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
        return self.namespaces.command("setpriv", user, group, groups, *dropped, *words)

    def start(self, name: str) -> None:
        """Starts one container; its output goes to a file beside its volumes."""
        container = self.container(name)
        with open(self._folder / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                self._command(container["command"]),
                env=self._environment(container),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def log(self, name: str) -> str:
        file = self._folder / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def running(self, name: str) -> bool:
        return name in self._running and self._running[name].poll() is None

    def signal(self, name: str, signal_name: str) -> None:
        """Sends a signal to the container's program itself."""
        self.namespaces.run("sh", "-c", f"kill -{signal_name} {self._inner_pid(name)}")
        if signal_name == "CONT":
            # nsenter stops itself when its child is stopped, and is not woken with it.
            self._running[name].send_signal(signal.SIGCONT)

    def _inner_pid(self, name: str) -> int:
        """The program's PID inside: the one descendant of nsenter, which forked it."""
        outer = self._running[name].pid
        child = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0]
        line = next(
            line
            for line in Path(f"/proc/{child}/status").read_text().splitlines()
            if line.startswith("NSpid:")
        )
        return int(line.split()[-1])

    def kill(self, name: str) -> None:
        """SIGKILL, as a crash or the OOM killer would."""
        self.signal(name, "KILL")
        self._running.pop(name).wait(10)

    def exec(self, name: str, command: Sequence[str], timeout: float = 30.0) -> int:
        """Runs a command in a container, as a probe or hook; its exit status."""
        done = subprocess.run(
            self._command(command),
            env=self._environment(self.container(name)),
            capture_output=True,
            timeout=timeout,
        )
        return done.returncode

    def probe(self, name: str, kind: str) -> bool:
        """Whether the container's own exec probe passes."""
        command = self.container(name)[kind]["exec"]["command"]
        return self.exec(name, command) == 0

    def stop(self) -> None:
        """The orderly end, of all containers side by side: its hook first, then SIGTERM."""
        with ThreadPoolExecutor() as together:
            list(together.map(self._stop_container, list(self._running)))
        self.close()

    def _stop_container(self, name: str) -> None:
        hook = self.container(name).get("lifecycle", {}).get("preStop")
        if hook:
            self.exec(name, hook["exec"]["command"], timeout=60)
        if self.running(name):
            self.signal(name, "TERM")
        self._running[name].wait(30)

    def close(self) -> None:
        """The end of a host: everything is gone at once."""
        self.namespaces.close()
        for process in self._running.values():
            process.wait(10)
        self._running.clear()


def contents_of(manifests: Sequence[Manifest]) -> dict[tuple[str, str], dict[str, bytes]]:
    """The files of every Secret and ConfigMap, by kind as a volume names it, and name."""
    found: dict[tuple[str, str], dict[str, bytes]] = {}
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        data = manifest.get("data", {})
        if manifest["kind"] == "Secret":
            found[("secret", name)] = {k: base64.b64decode(v) for k, v in data.items()}
        elif manifest["kind"] == "ConfigMap":
            found[("configMap", name)] = {k: v.encode() for k, v in data.items()}
    return found
