"""Libreswan out of .peers/: one pluto in a namespace over a kernel that only pretends, driven by its own whack."""

import re
import shutil
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.fakekernel import LIBRARY, EspKeys, environment, esp_keys
from tests.support.netns import Namespace
from tests.support.process import Process, wait_until
from tests.support.strongswan import in_peers

LIBEXEC = "/usr/libexec/ipsec"

CHILD = re.compile(r'#(\d+): "[^"]+" esp\.([0-9a-f]+)@\S+ esp\.([0-9a-f]+)@')
"""A state's line with its Child SA: its number, the peer's inbound SPI, its own."""
STATE = re.compile(r'#(\d+): "[^"]+":\d+ (?:STATE_V2_)?(\w+)')
IKE, ESP = "ESTABLISHED_IKE_SA", "ESTABLISHED_CHILD_SA"
"""Libreswan 5 writes the names of states without what Libreswan 4 puts in front."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of ipsec.conf(5) with a pre-shared key, which is never in the repr; `options` are further lines.

    An empty `local_id` or `remote_id` is the address; "@[text]" is a key-id.
    """

    local: str
    remote: str
    psk: str = field(repr=False)
    local_net: str
    remote_net: str
    ike: str = "aes256-sha2_512;dh19"
    esp: str = "aes_gcm128"
    name: str = "net"
    local_id: str = ""
    remote_id: str = ""
    options: tuple[str, ...] = ()

    def text(self) -> str:
        """The `conn` section."""
        lines = (
            "ikev2=insist",
            "authby=secret",
            f"left={self.local}",
            f"right={self.remote}",
            *([f"leftid={self.local_id}"] if self.local_id else []),
            *([f"rightid={self.remote_id}"] if self.remote_id else []),
            *([f"leftsubnet={self.local_net}", f"rightsubnet={self.remote_net}"] if self.local_net else []),
            f"ike={self.ike}",
            f"esp={self.esp}",
            "auto=add",
            *self.options,
        )
        return f"conn {self.name}\n" + "".join(f"    {line}\n" for line in lines)

    def secret(self) -> str:
        """The line of ipsec.secrets(5); for anyone where identities have names, which may be too long for it."""
        owners = "" if self.local_id or self.remote_id else f"{self.local} {self.remote} "
        return f'{owners}: PSK "{self.psk}"\n'


class Libreswan:
    """One pluto, up and ready to be driven; used as a context manager it is stopped at the end.

    It installs its ESP SAs nowhere: the control plane is real, no packet passes.
    """

    within = staticmethod(in_peers)
    """Makes the command line that runs a program of it."""
    library = LIBRARY
    """What is preloaded into it, as its programs see the path."""
    words: Mapping[str, str] = {"ike": "--rekey-ike", "child": "--rekey-ipsec"}
    """What whack is told to rekey."""

    def __init__(self, namespace: Namespace, *connections: Connection) -> None:
        """Start it with its connections loaded."""
        self.namespace = namespace
        # A short path: a control socket's path has room for 107 octets only.
        self.directory = Path(tempfile.mkdtemp(prefix="pluto-"))
        self._keys = self.directory / "esp-keys"
        self._configuration = self.directory / "ipsec.conf"
        self._configuration.write_text("config setup\n" + "".join(each.text() for each in connections))
        (self.directory / "ipsec.secrets").write_text("".join(each.secret() for each in connections))
        for name in ("nss", "ipsec.d"):
            (self.directory / name).mkdir()
        namespace.run(*self.within("/usr/bin/certutil", "-N", "-d", f"sql:{self.directory}/nss", "--empty-password"))
        self.process: Process = self._start()
        try:
            self.process.wait_for("listening for IKE messages|adding UDP interface", timeout=20.0)
            for connection in connections:
                self._load(connection.name)
            self._whack("--listen")
        except AssertionError:
            self.stop()
            raise

    def _start(self) -> Process:
        at = str(self.directory)
        words = ["--nofork", "--stderrlog", "--nhelpers", "0", "--config", str(self._configuration), "--rundir", at]
        words += ["--nssdir", f"{at}/nss", "--secretsfile", f"{at}/ipsec.secrets", "--ipsecdir", f"{at}/ipsec.d"]
        return self.namespace.start(
            *self.within("env", *(f"{name}={value}" for name, value in self._kernel().items())),
            *(f"{LIBEXEC}/pluto", *words),
            directory=self.directory,
            name="pluto",
        )

    def _kernel(self) -> Mapping[str, str]:
        """The environment that gives it a kernel to install its ESP SAs in."""
        return environment(self._keys, self.library)

    def _load(self, name: str) -> None:
        words = ["--config", str(self._configuration), "--ctlsocket", f"{self.directory}/pluto.ctl", name]
        self.namespace.run(*self.within(f"{LIBEXEC}/addconn", *words))

    def _whack(self, *words: str, timeout: float = 20.0) -> str:
        command = [f"{LIBEXEC}/whack", "--ctlsocket", f"{self.directory}/pluto.ctl", *words]
        return self.namespace.run(*self.within(*command), check=False, timeout=timeout).stdout

    def initiate(self, name: str = "net") -> None:
        """Let it bring a connection up; returns at once."""
        self._whack("--name", name, "--initiate", "--asynchronous")

    def rekey(self, what: str, name: str = "net") -> None:
        """Let it rekey a connection's "ike" SA or its "child"."""
        self._whack("--name", name, self.words[what], "--asynchronous")

    def terminate(self, name: str = "net") -> None:
        """Let it delete a connection's Child SA and, with the last of them, the IKE SA."""
        self._whack("--name", name, "--terminate")

    def delete(self, number: int) -> None:
        """Let it delete one SA, by the number of its state."""
        self._whack("--deletestate", str(number))

    def states(self, state: str) -> list[int]:
        """The numbers of its SAs in a state (`IKE`, `ESP`)."""
        return [int(number) for number, found in STATE.findall(self._whack("--showstates")) if found == state]

    def children(self) -> list[tuple[str, str]]:
        """The SPIs of its Child SAs as the peer has them: inbound there, outbound there (hex)."""
        return [(theirs.zfill(8), ours.zfill(8)) for _, theirs, ours in CHILD.findall(self._whack("--showstates"))]

    def esp_keys(self) -> set[EspKeys]:
        """Every ESP SA that it has installed so far."""
        return esp_keys(self._keys)

    def log(self) -> str:
        """Its log so far."""
        return self.process.stderr

    def wait_for_log(self, pattern: str, timeout: float = 15.0) -> None:
        """Wait for a line of its log; AssertionError with the end of it when it never comes."""
        self.process.wait_for(pattern, timeout)

    def kill(self) -> None:
        """End it as a power failure would: the peer hears nothing."""
        self.process.stop(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it (it deletes its SAs first) and remove its directory."""
        if self.process.returncode is None:
            self._whack("--shutdown")
            wait_until("pluto has ended", lambda: self.process.returncode is not None, 5.0)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
