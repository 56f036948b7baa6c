"""Linux VRFs of the kernel plane: a device and a routing table each, by numbers of our own; and who is in them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from ikescope.config.model import Network
from ikescope.errors import LocalError
from ikescope.planes import kernel_host
from ikescope.planes.host import BLACKHOLE_METRIC, MAIN_TABLE, PROTOCOL
from ikescope.planes.kernel_spd import first_of
from ikescope.planes.links import DeviceChange, RouteChange


class KernelVrfs:
    """The VRFs that one router has made, each with the number of its table."""

    def __init__(self) -> None:
        self._tables: dict[str, int] = {}

    def _free(self, slot: int) -> int:
        number = first_of(slot)
        while number in self._tables.values():
            number += 1
        return number

    def add(self, name: str, slot: int) -> None:
        """Make one; LocalError where the host refuses it, and then nothing of it is left."""
        table = self._free(slot)
        kernel_host.add_vrf(name, table, slot)
        self._tables[name] = table

    def remove(self, name: str) -> None:
        """It goes, with its table; nothing where there is none."""
        table = self._tables.pop(name, None)
        if table is not None:
            kernel_host.remove_device(name)
            kernel_host.flush_tables(lambda number: number == table)

    def clear(self) -> None:
        """All of them go."""
        for name in [*self._tables]:
            with suppress(LocalError):
                self.remove(name)

    def enslave(self, device: DeviceChange) -> None:
        """Put a device, still down, where it belongs."""
        if device.vrf is not None:
            kernel_host.enslave(device.name, device.vrf)

    def way(self, route: RouteChange) -> tuple[Network, str, int, int]:
        """Prefix, device, metric and table of a route."""
        table = MAIN_TABLE if route.vrf is None else self._tables[route.vrf]
        return route.prefix, route.device, route.metric, table

    def lines(self, names: Iterable[str]) -> list[str]:
        """How iproute2 would make them."""
        found = []
        for table, name in enumerate(names, first_of(0)):
            found.append(f"ip link add {name} type vrf table {table}")
            for family in ("-4", "-6"):
                tail = f"metric {BLACKHOLE_METRIC} proto {PROTOCOL}"
                found.append(f"ip {family} route add unreachable default table {table} {tail}")
            found.append(f"ip link set dev {name} up")
        return found
