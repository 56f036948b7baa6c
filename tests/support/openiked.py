"""OpenIKED out of .peers/: one iked in a namespace over a kernel that only pretends, driven by its own ikectl."""

import re
import shutil
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.support.fakekernel import EspKeys, environment, esp_keys
from tests.support.machine import PEERS
from tests.support.netns import Namespace
from tests.support.process import Process, wait_until

INTO_PEERS = """
cd "$1" && mount -t overlay overlay -o lowerdir=usr:/usr /usr && mount -t tmpfs tmpfs /run && cd / && shift
mkdir -p /run/iked /run/etc/upper /run/etc/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc
cp -a "$1" /etc/iked && shift
echo "_iked:x:977:977::/run/iked:/usr/sbin/nologin" >>/etc/passwd
echo "_iked:x:977:" >>/etc/group
exec "$@"
"""
"""iked's folders (/etc/iked, /run) and the user that it becomes are compiled in: it sees a /usr, a /run and an /etc of
its own, in a mount namespace that ends with it."""

SA = re.compile(r"^iked_sas: \S+ rspi 0x([0-9a-f]+) ispi 0x([0-9a-f]+) .* (\w+) [ir] ", re.MULTILINE)
CHILD = re.compile(r"^ *sa_childsas: \S+ ESP 0x([0-9a-f]+) (in|out) .* \((\w*)\)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of iked.conf(5) with a pre-shared key, which is never in the repr; lifetimes in seconds.

    An empty `remote_id` is the address; `more_nets` are further local networks, towards the same remote one. Debian's
    OpenIKED has one ESP suite that works: AES-CBC with HMAC-SHA1.
    """

    local: str
    remote: str
    psk: str = field(repr=False)
    local_net: str
    remote_net: str
    active: bool = False
    ike: str = "auth hmac-sha2-256 enc aes-256 prf hmac-sha2-256 group curve25519"
    esp: str = "auth hmac-sha1 enc aes-128 noesn"
    ike_lifetime: int = 10800
    lifetime: int = 10800
    remote_id: str = ""
    more_nets: tuple[str, ...] = ()
    settings: tuple[str, ...] = ("set nomobike",)

    def text(self) -> str:
        """The file."""
        flows = " ".join(f"from {net} to {self.remote_net}" for net in (self.local_net, *self.more_nets))
        return (
            "\n".join(self.settings)
            + f'\nikev2 "peer" {"active" if self.active else "passive"} esp'
            + f" {flows} local {self.local} peer {self.remote}"
            + f" ikesa {self.ike} childsa {self.esp} srcid {self.local} dstid {self.remote_id or self.remote}"
            + f' ikelifetime {self.ike_lifetime} lifetime {self.lifetime} psk "{self.psk}"\n'
        )


class OpenIked:
    """One iked, up; used as a context manager it is stopped at the end.

    It installs its ESP SAs nowhere: the control plane is real, no packet passes.
    """

    def __init__(self, namespace: Namespace, policy: Policy) -> None:
        """Start it with its policy: an active one begins at once."""
        self.namespace = namespace
        self.directory = Path(tempfile.mkdtemp(prefix="iked-"))
        self._keys = self.directory / "esp-keys"
        _folders(self.directory / "etc")
        configuration = self.directory / "iked.conf"
        configuration.write_text(policy.text())
        configuration.chmod(0o600)
        shell = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INTO_PEERS, "sh", str(PEERS / "root")]
        self.process: Process = namespace.start(
            *(*shell, str(self.directory / "etc"), "env"),
            *(f"{name}={value}" for name, value in environment(self._keys).items()),
            *("/usr/sbin/iked", "-d", "-v", "-v", "-f", str(configuration)),
            directory=self.directory,
            name="iked",
        )
        try:
            wait_until("iked answers", lambda: "iked_sas" in self.show() or self._ready(), 15.0)
        except AssertionError as error:
            account = self.process.account()
            self.stop()
            raise AssertionError(f"{error}\n{account}") from None

    def _ready(self) -> bool:
        assert self.process.returncode is None, self.process.account()
        return "config_getpolicy" in self.log() or "ikev2_dispatch" in self.log() or "config_getsocket" in self.log()

    def _control(self, *words: str) -> str:
        # Its control socket lies in the /run that it alone has.
        inside = ["nsenter", "--mount", "--target", str(self.process.pid)]
        return self.namespace.run(*inside, "/usr/sbin/ikectl", *words, check=False).stdout

    def show(self) -> str:
        """`ikectl show sa`."""
        return self._control("show", "sa")

    def delete(self) -> None:
        """Let it delete every SA."""
        self._control("reset", "sa")

    def ike(self) -> list[tuple[str, str]]:
        """The SPIs (initiator's, responder's; hex) of the IKE SAs that stand."""
        found = SA.findall(self.show())
        return [(spi_i.zfill(16), spi_r.zfill(16)) for spi_r, spi_i, state in found if state == "ESTABLISHED"]

    def children(self) -> list[tuple[str, str]]:
        """The SPIs of its Child SAs as the peer has them: inbound there, outbound there (hex)."""
        found = [(spi, way) for spi, way, flags in CHILD.findall(self.show()) if "L" in flags]
        theirs = [spi.zfill(8) for spi, way in found if way == "out"]
        ours = [spi.zfill(8) for spi, way in found if way == "in"]
        return list(zip(theirs, ours, strict=False))

    def esp_keys(self) -> set[EspKeys]:
        """Every ESP SA that it has installed so far."""
        return esp_keys(self._keys)

    def log(self) -> str:
        """Its log so far."""
        return self.process.stdout + self.process.stderr

    def wait_for_log(self, pattern: str, timeout: float = 15.0) -> None:
        """Wait for a line of its log; AssertionError with the end of it when it never comes."""
        self.process.wait_for(pattern, timeout)

    def kill(self) -> None:
        """End it as a power failure would: the peer hears nothing."""
        self.process.stop(signal.SIGKILL)
        wait_until("its other processes have ended", lambda: not self._others(), 5.0)

    def _others(self) -> list[int]:
        return [pid for pid in self.namespace.pids() if Path(f"/proc/{pid}/comm").read_text() == "iked\n"]

    def stop(self) -> None:
        """Stop it and remove its directory."""
        self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _folders(etc: Path) -> None:
    """What iked wants to find in /etc/iked, its own key (which nothing here uses) with it."""
    for name in ("ca", "certs", "crls", "private", "pubkeys/ipv4", "pubkeys/fqdn", "pubkeys/ufqdn"):
        (etc / name).mkdir(parents=True)
    key = generate_private_key(SECP256R1())
    private = etc / "private" / "local.key"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    private.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (etc / "local.pub").write_bytes(public)
