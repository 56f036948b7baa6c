"""strongSwan out of .peers/: one charon in a namespace, configured and driven from Python over its control socket."""

import re
import shutil
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.machine import PEERS
from tests.support.netns import Namespace
from tests.support.process import Process, wait_until
from tests.support.vici import Vici, ViciError

PLUGINS = (
    "random nonce openssl pem pkcs1 pubkey x509 constraints revocation sha1 sha2 hmac kdf gcm aes ctr ccm curve25519 "
    "chapoly mgf1 drbg aesni cmac xcbc kernel-libipsec kernel-netlink socket-default vici updown counters"
)
"""Named one by one: Debian's whole set holds plugins that want services."""

CONFIGURATION = """
charon {{
  load_modular = no
  load = {plugins}
  plugins {{
    vici {{
      socket = unix://{directory}/vici.sock
    }}
    kernel-libipsec {{
      allow_peer_ts = yes
    }}
  }}
  filelog {{
    file {{
      path = {directory}/charon.log
      default = 1
      ike = {level}
      cfg = 2
      chd = {level}
      flush_line = yes
      time_format = %H:%M:%S
      time_add_ms = yes
    }}
  }}
{settings}}}
"""

INTO_PEERS = """
cd "$1" && mount -t overlay overlay -o lowerdir=usr:/usr /usr && mount -t tmpfs tmpfs /run && cd / && shift && exec "$@"
"""
"""Charon's plugin folder (/usr/lib/ipsec) and its process id file (/run) are compiled in: each daemon sees the unpacked
packages at /usr and a /run of its own, in a mount namespace that ends with it."""


def in_peers(*command: str) -> list[str]:
    """The command line that runs `command` where .peers/root lies over /usr; its process id is that of `command`."""
    shell = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INTO_PEERS, "sh", str(PEERS / "root")]
    return [*shell, *command]


@dataclass(frozen=True, slots=True)
class Child:
    """A Child SA of a connection; `options` are further swanctl.conf settings of a child.

    A time of "0" turns a rekey off. kernel-libipsec carries tunnel mode only, always in UDP.
    """

    name: str = "net"
    local_ts: tuple[str, ...] = ("dynamic",)
    remote_ts: tuple[str, ...] = ("dynamic",)
    esp_proposals: tuple[str, ...] = ("aes128gcm16",)
    mode: str = "tunnel"
    rekey_time: str = "0"
    options: Mapping[str, Any] = field(default_factory=dict)

    def tree(self) -> dict[str, Any]:
        """What the control socket takes for this child."""
        return {
            "mode": self.mode,
            "local_ts": self.local_ts,
            "remote_ts": self.remote_ts,
            "esp_proposals": self.esp_proposals,
            "rekey_time": self.rekey_time,
            **self.options,
        }


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection with pre-shared keys: the IKE SA, its identities, its children.

    An empty `local_id` is the address, `remote_id` may be %any. `options` are further swanctl.conf settings of a
    connection. The key is never in the repr.
    """

    local: str
    remote: str
    psk: str = field(repr=False)
    children: tuple[Child, ...]
    name: str = "peer"
    proposals: tuple[str, ...] = ("aes256-sha512-ecp256",)
    local_id: str = ""
    remote_id: str = "%any"
    rekey_time: str = "0"
    options: Mapping[str, Any] = field(default_factory=dict)

    def tree(self) -> dict[str, Any]:
        """What the control socket takes for this connection, without its key."""
        return {
            self.name: {
                "version": "2",
                "local_addrs": [self.local],
                "remote_addrs": [self.remote],
                "proposals": self.proposals,
                "rekey_time": self.rekey_time,
                "reauth_time": "0",
                "mobike": "no",
                **self.options,
                "local": {"auth": "psk", "id": self.local_id or self.local},
                "remote": {"auth": "psk", "id": self.remote_id},
                "children": {child.name: child.tree() for child in self.children},
            }
        }

    def secret(self) -> dict[str, Any]:
        """The key as the control socket takes it: for `remote_id`, or for anyone where that is %any."""
        owners = {} if self.remote_id == "%any" else {"owners": [self.remote_id]}
        return {"id": f"psk-{self.name}", "type": "IKE", "data": self.psk, **owners}


class Strongswan:
    """One charon, running. `directory` holds its log and its control socket and goes when it stops."""

    within = staticmethod(in_peers)
    """Makes the command line that runs a program of it."""
    plugins = PLUGINS

    def __init__(self, namespace: Namespace, *, log_keys: bool = False, settings: str = "") -> None:
        """Start it and wait until it answers. `log_keys` makes its log print every key (for key tables);
        `settings` are further lines of the charon section of strongswan.conf.
        """
        # A short path of our own: a socket's path has room for 107 octets only.
        self.directory = Path(tempfile.mkdtemp(prefix="charon-"))
        self.namespace = namespace
        configuration = self.directory / "strongswan.conf"
        configuration.write_text(
            CONFIGURATION.format(
                plugins=self.plugins, directory=self.directory, level=4 if log_keys else 2, settings=settings
            )
        )
        self.process: Process = namespace.start(
            *self.within("/usr/lib/ipsec/charon"),
            directory=self.directory,
            name="charon",
            env={"STRONGSWAN_CONF": str(configuration)},
        )
        try:
            wait_until("charon answers on its control socket", self._answers)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}; {self.process.name}: {self.process.returncode}") from None

    @property
    def _socket(self) -> Path:
        return self.directory / "vici.sock"

    def _answers(self) -> bool:
        if self.process.returncode is not None:
            raise AssertionError(f"charon ended: {self.process.account()}")
        try:
            return bool(self.request("version"))
        except (OSError, ViciError):
            return False

    def request(self, command: str, tree: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Any command of the control socket; ViciError with charon's reason when it fails."""
        with Vici(str(self._socket)) as vici:
            return vici.request(command, tree)

    def load(self, *connections: Connection) -> None:
        """Load connections and their keys beside what is loaded already; the same name is replaced."""
        for connection in connections:
            self.request("load-shared", connection.secret())
            self.request("load-conn", connection.tree())

    def load_file(self, path: Path) -> None:
        """Load a swanctl.conf by strongSwan's own swanctl; CalledProcessError with its reason when it refuses."""
        words = ["--load-all", "--noprompt", "--file", str(path), "--uri", f"unix://{self._socket}"]
        env = {"STRONGSWAN_CONF": str(self.directory / "strongswan.conf")}
        self.namespace.run(*self.within("/usr/sbin/swanctl", *words), env=env)

    def unload(self, name: str = "peer") -> None:
        """Forget a connection and its key; its SAs stay."""
        self.request("unload-conn", {"name": name})
        self.request("unload-shared", {"id": f"psk-{name}"})

    def initiate(self, child: str = "net", *, timeout: float = 15.0) -> None:
        """Bring a child up, and its IKE SA; ViciError when it does not come."""
        self.request("initiate", {"child": child, "timeout": int(timeout * 1000)})

    def rekey(self, *, ike: str = "", child: str = "") -> None:
        """Start the rekey of an IKE SA or a Child SA, by connection or child name; see `sas` for when it is done."""
        self.request("rekey", {"ike": ike} if ike else {"child": child})

    def terminate(self, *, ike: str = "", child: str = "", timeout: float = 10.0) -> None:
        """Delete an IKE SA or a Child SA by name and wait for the peer's answer."""
        self.request("terminate", {**({"ike": ike} if ike else {"child": child}), "timeout": int(timeout * 1000)})

    def sas(self) -> list[dict[str, Any]]:
        """The IKE SAs as list-sas tells them, each with its connection's `name`; `child-sas` by unique name."""
        with Vici(str(self._socket)) as vici:
            return [{"name": name, **sa} for event in vici.stream("list-sas", "list-sa") for name, sa in event.items()]

    def children(self, state: str = "INSTALLED") -> list[dict[str, Any]]:
        """The Child SAs in a state, of all IKE SAs; SPIs in `spi-in` and `spi-out` (hex)."""
        return [child for sa in self.sas() for child in sa.get("child-sas", {}).values() if child["state"] == state]

    def established(self) -> list[dict[str, Any]]:
        """The IKE SAs that stand; SPIs in `initiator-spi` and `responder-spi` (hex)."""
        return [sa for sa in self.sas() if sa["state"] == "ESTABLISHED"]

    def log(self) -> str:
        """Charon's log so far."""
        path = self.directory / "charon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_log(self, pattern: str, timeout: float = 15.0) -> re.Match[str]:
        """The first match of `pattern` (multi-line) in the log; AssertionError with its end when it never comes."""
        try:
            wait_until(f"{pattern!r} in charon's log", lambda: re.search(pattern, self.log(), re.MULTILINE), timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-3000:]}") from None
        match = re.search(pattern, self.log(), re.MULTILINE)
        assert match is not None
        return match

    def kill(self) -> None:
        """End it as a power failure would: the peer hears nothing."""
        self.process.stop(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it (it deletes its SAs first) and remove its directory."""
        self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
