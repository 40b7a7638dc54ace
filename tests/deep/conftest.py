"""The long tests stand on the same clusters as those of tests/cluster."""

from tests.cluster.conftest import control_plane, fragile, private_control_plane, wire

__all__ = ["control_plane", "fragile", "private_control_plane", "wire"]
