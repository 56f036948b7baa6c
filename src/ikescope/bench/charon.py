"""strongSwan's charon as responder, out of the folder that `make peers` unpacks."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ikescope.bench import place
from ikescope.errors import LocalError

PLUGINS = (
    "random nonce openssl pem pkcs1 sha1 sha2 hmac kdf gcm aes curve25519 kernel-libipsec kernel-netlink "
    "socket-default vici"
)
"""What a pre-shared-key responder with userland ESP needs, and nothing that costs more."""

STRONGSWAN_CONF = """charon {{
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
      default = 0
    }}
  }}
}}
"""

SWANCTL_CONF = """connections {{
  bench {{
    version = 2
    mobike = no
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = {ike}
    local {{
      auth = psk
    }}
    remote {{
      auth = psk
    }}
    children {{
      bench {{
        local_ts = 10.2.0.0/16
        remote_ts = 10.1.0.0/16
        esp_proposals = {esp}
      }}
    }}
  }}
}}
secrets {{
  ike-bench {{
    secret = "bench-key"
  }}
}}
"""

INTO_PEERS = (
    'mount -t overlay overlay -o lowerdir="$1"/usr:/usr /usr && mount -t tmpfs tmpfs /run && shift && exec "$@"'
)


def inside(root: Path, *command: str) -> list[str]:
    """A command that sees the unpacked packages at /usr, in a mount namespace of its own."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", INTO_PEERS, "sh", str(root), *command]


@contextmanager
def charon(
    peers: Path, directory: Path, ike: str, esp: str, local: str, remote: str, *, remotes: str = ""
) -> Iterator[int]:
    """A charon at `local` that answers `remote`, or `remotes`; gives its process id. LocalError where there is none."""
    root = (peers / "root").resolve()
    if not (root / "usr/lib/ipsec/charon").exists():
        raise LocalError(f"no strongSwan in {peers}: `make peers` unpacks it there (--peers DIR names another place)")
    if os.geteuid() != 0:
        raise LocalError("bench --against strongswan needs root")
    (directory / "strongswan.conf").write_text(STRONGSWAN_CONF.format(plugins=PLUGINS, directory=directory))
    (directory / "swanctl.conf").write_text(
        SWANCTL_CONF.format(local=local, remote=remotes or remote, ike=ike, esp=esp)
    )
    environment = {**os.environ, "STRONGSWAN_CONF": str(directory / "strongswan.conf"), "SWANCTL_DIR": str(directory)}
    process = place.start(local, remote, inside(root, "/usr/lib/ipsec/charon"), environment)
    try:
        _wait(directory / "vici.sock", process)
        load = inside(root, "/usr/sbin/swanctl", "--load-all", "--noprompt", "--uri", f"unix://{directory}/vici.sock")
        loaded = subprocess.run(load, env=environment, capture_output=True, text=True, check=False)
        if loaded.returncode:
            raise LocalError(f"bench: strongSwan refused its configuration: {loaded.stderr.strip().splitlines()[-1:]}")
        yield process.pid
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _wait(socket: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(200):
        if socket.exists():
            return
        if process.poll() is not None:
            raise LocalError(f"bench: strongSwan ended at its start with status {process.returncode}")
        time.sleep(0.05)
    raise LocalError("bench: strongSwan does not answer on its control socket")
