"""PersistentVolumeClaims: provisioned, bound, grown, and protected while in use."""

from collections.abc import Iterable

from installer.rehearsal.kube.controllers.cluster import Cluster, is_going
from installer.rehearsal.kube.problems import Json
from installer.rehearsal.kube.quantity import amount
from installer.rehearsal.kube.store import Change, Key

CLAIMS = "persistentvolumeclaims."
VOLUMES = "persistentvolumes."
CLASSES = "storageclasses.storage.k8s.io"
PROTECTION = "kubernetes.io/pvc-protection"
SELECTED = "volume.kubernetes.io/selected-node"
PROVISION_SECONDS = 2.0


class Claims:
    """Binds claims to volumes it makes up."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._started: set[str] = set()

    def keys_for(self, change: Change) -> Iterable[Key]:
        """The claim; the claims of a pod that went; all when a class appears."""
        resource, namespace, _ = change.key
        if resource == CLAIMS:
            yield change.key
            if change.after is None and change.before is not None:
                self._release(change.before.obj)
        elif resource == "pods." and change.after is None and change.before is not None:
            for name in claims_of(change.before.obj):
                yield (CLAIMS, namespace, name)
        elif resource == CLASSES:
            for claim in self._cluster.items(CLAIMS):
                yield (CLAIMS, claim["metadata"]["namespace"], claim["metadata"]["name"])

    def reconcile(self, key: Key) -> float | None:
        """Bring one claim nearer to Bound, or let it go."""
        claim = self._cluster.get(key)
        if claim is None:
            return None
        if is_going(claim):
            if not self._used(key):
                self._cluster.forget_finalizer(key, PROTECTION)
            return None
        if claim["spec"].get("volumeName"):
            self._grow(key, claim)
            return None
        return self._provision(key, claim)

    def _provision(self, key: Key, claim: Json) -> float | None:
        name = claim["spec"].get("storageClassName", "")
        storage = self._cluster.get((CLASSES, "", name)) if name else None
        if storage is None:
            text = (
                f'storageclass.storage.k8s.io "{name}" not found'
                if name
                else "no persistent volumes available for this claim and no storage class is set"
            )
            reason = "ProvisioningFailed" if name else "FailedBinding"
            self._cluster.event(claim, "Warning" if name else "Normal", reason, text)
            return None
        waits = storage.get("volumeBindingMode") == "WaitForFirstConsumer"
        if waits and SELECTED not in (claim["metadata"].get("annotations") or {}):
            text = "waiting for first consumer to be created before binding"
            self._cluster.event(claim, "Normal", "WaitForFirstConsumer", text)
            return None
        uid = claim["metadata"]["uid"]
        if uid not in self._started:
            self._started.add(uid)
            return PROVISION_SECONDS
        self._bind(key, claim, storage)
        return None

    def _bind(self, key: Key, claim: Json, storage: Json) -> None:
        metadata = claim["metadata"]
        name = f"pvc-{metadata['uid']}"
        size = claim["spec"]["resources"]["requests"]["storage"]
        reference = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        }
        spec = {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": size},
            "claimRef": reference,
            "csi": {"driver": storage["provisioner"], "volumeHandle": name},
            "persistentVolumeReclaimPolicy": storage["reclaimPolicy"],
            "storageClassName": storage["metadata"]["name"],
            "volumeMode": claim["spec"]["volumeMode"],
        }
        self._cluster.create(VOLUMES.rstrip("."), "", {"metadata": {"name": name}, "spec": spec})
        self._cluster.set_status((VOLUMES, "", name), {"phase": "Bound"})
        annotations = {
            **(metadata.get("annotations") or {}),
            "pv.kubernetes.io/bind-completed": "yes",
            "pv.kubernetes.io/bound-by-controller": "yes",
            "volume.kubernetes.io/storage-provisioner": storage["provisioner"],
        }
        status = {
            "phase": "Bound",
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": size},
        }
        bound = {
            **claim,
            "metadata": {**metadata, "annotations": annotations},
            "spec": {**claim["spec"], "volumeName": name},
            "status": status,
        }
        self._cluster.put(key, bound)

    def _grow(self, key: Key, claim: Json) -> None:
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        has = ((claim.get("status") or {}).get("capacity") or {}).get("storage", "0")
        if amount(wanted) > amount(has):
            self._cluster.set_status(key, {**claim["status"], "capacity": {"storage": wanted}})

    def _used(self, key: Key) -> bool:
        return any(
            key[2] in claims_of(pod)
            for pod in self._cluster.items("pods.", key[1])
            if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        )

    def _release(self, claim: Json) -> None:
        place = (VOLUMES, "", claim["spec"].get("volumeName", ""))
        volume = self._cluster.get(place)
        if volume is None:
            return
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            self._cluster.store.remove(place)
        else:
            self._cluster.set_status(place, {"phase": "Released"})


def claims_of(pod: Json) -> list[str]:
    """The names of the claims that a pod mounts."""
    return [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or []
        if "persistentVolumeClaim" in volume
    ]
