"""A NAT box of the test world: what leaves from behind it has another address and port, what has no ports is lost."""

from __future__ import annotations

from ikescope.config.model import Address
from ikescope.engine.commands import Destination
from ikescope.sim.world import World

FIRST_PORT = 20_000


class Nat:
    """Stands before the router at `private` in a world; outside it is known as `public`.

    A mapping is made by what goes out, for each port behind the NAT, and lets anybody in. `static` ports are mapped to
    themselves from the start, as for a server behind a NAT. ESP without UDP does not pass: it has no ports.
    """

    def __init__(self, world: World, private: Address, public: Address, *, static: tuple[int, ...] = ()) -> None:
        self.private, self.public, self.static = private, public, static
        self._next = FIRST_PORT
        self._outside: dict[int, int] = {port: port for port in static}
        world.translations.append(self._translate)

    def rebind(self, *, public: Address | None = None) -> None:
        """The box forgets its mappings (reboot); with `public` it has another address from now on."""
        self._outside = {port: port for port in self.static}
        if public is not None:
            self.public = public

    def port(self, inside: int) -> int:
        """The port outside that stands for one behind the NAT; made if there is none."""
        if inside not in self._outside:
            self._outside[inside] = self._next
            self._next += 1
        return self._outside[inside]

    def _translate(self, kind: str, path: Destination) -> Destination | None:
        if path.local == self.private:
            if kind == "esp":
                return None
            return Destination(self.public, self.port(path.local_port), path.remote, path.remote_port)
        if path.remote == self.public:
            inside = next((one for one, outside in self._outside.items() if outside == path.remote_port), None)
            if inside is None or kind == "esp":
                return None
            return Destination(path.local, path.local_port, self.private, inside)
        return path
