"""A router's configuration as data, resolved from IOS lines but independent of them.

Every item carries `line`, its place in the file (0: a default or typed at the console).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal

import msgspec

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
InterfaceAddress = IPv4Interface | IPv6Interface


class Secret:
    """A pre-shared key: octets that print as their length and nothing else."""

    __slots__ = ("octets",)

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def __repr__(self) -> str:
        return f"<secret, {len(self.octets)} octets>"

    def __len__(self) -> int:
        return len(self.octets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(self.octets)


class TransformChoice(msgspec.Struct, frozen=True):
    """One algorithm by IANA number, with its key length in bits where it has one."""

    id: int
    key_length: int | None = None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """`crypto ikev2 proposal`: the choices of each transform type in order of preference.

    `integrity` is empty where every encryption is an AEAD; `prf` equals what stands on the wire.
    """

    name: str
    encryption: tuple[TransformChoice, ...]
    prf: tuple[int, ...]
    integrity: tuple[int, ...]
    groups: tuple[int, ...]
    smart_default: bool = False
    line: int = 0


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """`crypto ikev2 policy`: which proposals speak on which local addresses (empty: any)."""

    name: str
    proposals: tuple[str, ...]
    match_local: tuple[Address, ...] = ()
    match_fvrf: str = "global"
    smart_default: bool = False
    line: int = 0


class Identity(msgspec.Struct, frozen=True):
    """An identity of ours or to match: IANA ID type (RFC 7296 section 3.5) and its value as text."""

    type: int
    value: str


class IdentityMatch(msgspec.Struct, frozen=True, kw_only=True):
    """One `match identity remote` line: `any`, an address range, or a name (`domain`: its suffix only)."""

    kind: Literal["any", "address", "fqdn", "email", "key-id"]
    network: Network | None = None
    value: str = ""
    domain: bool = False
    line: int = 0


class KeyringPeer(msgspec.Struct, frozen=True, kw_only=True):
    """One `peer` block of a keyring."""

    name: str
    address: Network | None = None
    hostname: str | None = None
    identity: IdentityMatch | None = None
    local_key: Secret | None = None
    remote_key: Secret | None = None
    description: str = ""
    line: int = 0


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    """`crypto ikev2 keyring`."""

    name: str
    peers: tuple[KeyringPeer, ...]
    line: int = 0


class Dpd(msgspec.Struct, frozen=True):
    """`dpd INTERVAL RETRY on-demand|periodic`, in seconds."""

    interval: int
    retry: int
    on_demand: bool


Childless = Literal["never", "allow", "prefer", "force"]
"""`ikescope childless`, IKE_AUTH without a Child SA (RFC 6023): refused; taken from the peer; also begun where the peer
takes it; the only way.
"""

RefusedChild = Literal["delete", "keep"]
"""`ikescope refused-child`: what becomes of an IKE SA whose first Child SA the peer refused in IKE_AUTH."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`crypto ikev2 profile`. Authentication methods are IANA numbers (2: shared key)."""

    name: str
    match_remote: tuple[IdentityMatch, ...] = ()
    match_local: tuple[Address, ...] = ()
    match_fvrf: str = "global"
    ivrf: str | None = None
    """The VRF that its tunnels are in; None: what each says itself."""
    identity_local: Identity | None = None
    auth_local: int | None = None
    auth_remote: tuple[int, ...] = ()
    local_key: Secret | None = None
    remote_key: Secret | None = None
    keyring: str | None = None
    lifetime: int = 86400
    dpd: Dpd | None = None
    nat_keepalive: int | None = None
    nat_force_encap: bool = False
    initial_contact_force: bool = False
    config_exchange_request: bool = True
    childless: Childless = "never"
    reauthentication: int | None = None
    """Seconds after which the peers prove themselves anew (RFC 7296 section 2.8.3); None: never."""
    refused_child: RefusedChild = "delete"
    shutdown: bool = False
    description: str = ""
    line: int = 0


class TransformSet(msgspec.Struct, frozen=True, kw_only=True):
    """`crypto ipsec transform-set`: one ESP suite; `integrity` None for an AEAD."""

    name: str
    encryption: TransformChoice
    integrity: int | None
    esn: bool = False
    transport: bool = False
    transport_require: bool = False
    smart_default: bool = False
    line: int = 0


class IpsecProfile(msgspec.Struct, frozen=True, kw_only=True):
    """`crypto ipsec profile`. `pfs_group` None: no PFS. `lifetime_kilobytes` None: no limit by traffic."""

    name: str
    transform_sets: tuple[str, ...]
    ikev2_profile: str | None = None
    pfs_group: int | None = None
    lifetime_seconds: int = 3600
    lifetime_kilobytes: int | None = 4608000
    replay_window: int = 64
    idle_time: int | None = None
    responder_only: bool = False
    per_host: bool = False
    """Each Child SA is for one pair of addresses."""
    per_resource_sas: int | None = None
    """So many Child SAs alike for each pair of selectors (RFC 9611); None: one, and nothing is said of it."""
    own: tuple[str, ...] = ()
    """The attributes of SaDefaults that this profile says by itself, in their order."""
    line: int = 0


class SaDefaults(msgspec.Struct, frozen=True):
    """`crypto ipsec security-association ...`: what holds for each profile that does not say otherwise."""

    lifetime_seconds: int = 3600
    lifetime_kilobytes: int | None = 4608000
    replay_window: int = 64
    idle_time: int | None = None


class AccessEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an extended access-list; IP protocol 0 is any, ports are inclusive ranges."""

    permit: bool
    protocol: int
    source: Network
    destination: Network
    source_ports: tuple[int, int] = (0, 65535)
    destination_ports: tuple[int, int] = (0, 65535)
    sequence: int = 0
    line: int = 0


class AccessList(msgspec.Struct, frozen=True, kw_only=True):
    """`ip access-list extended` or its numbered form."""

    name: str
    entries: tuple[AccessEntry, ...]
    line: int = 0


DfBit = Literal["copy", "set", "clear"]

TunnelMode = Literal[
    "gre ip",
    "gre ipv6",
    "ipsec ipv4",
    "ipsec ipv6",
    "ipsec ipv4 v6-overlay",
    "ipsec ipv6 v4-overlay",
    "ipsec dual-overlay",
]
"""What follows `tunnel mode`; an overlay is what an IPsec tunnel carries where that is not what carries it."""


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """`interface TunnelN`. `source` is an interface name or an address; `source_address` what it resolves to, None
    where the file does not say (the daemon looks at the host's own device then).
    """

    name: str
    addresses: tuple[InterfaceAddress, ...] = ()
    source: str | None = None
    source_address: Address | None = None
    destination: Address | None = None
    mode: TunnelMode = "gre ip"
    ipsec_profile: str | None = None
    policy_acl: str | None = None
    mtu: int | None = None
    shutdown: bool = False
    ipv6_enable: bool = False
    vrf: str | None = None
    """The routing table of what is inside; None: the global one."""
    unnumbered: str | None = None
    """The interface whose IPv4 address is this one's too (`addresses` holds it); None: it has its own."""
    unnumbered6: str | None = None
    """The same for IPv6."""
    description: str = ""
    line: int = 0


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A physical or Loopback interface; a physical one is matched to a device, never configured."""

    name: str
    addresses: tuple[InterfaceAddress, ...] = ()
    loopback: bool = False
    shutdown: bool = False
    dhcp: bool = False
    vrf: str | None = None
    description: str = ""
    line: int = 0


class Vrf(msgspec.Struct, frozen=True, kw_only=True):
    """`vrf definition`, or `ip vrf` (`old`): a routing table beside the global one, for what is inside tunnels."""

    name: str
    rd: str = ""
    families: tuple[Literal["ipv4", "ipv6"], ...] = ()
    old: bool = False
    description: str = ""
    line: int = 0


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`ip route`: through an interface, to a next hop, or both."""

    prefix: Network
    interface: str | None = None
    next_hop: Address | None = None
    distance: int = 1
    vrf: str | None = None
    line: int = 0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of a configuration found: severity, line, what is there and what to write instead."""

    severity: Literal["error", "warning", "note"]
    line: int
    text: str
    remedy: str = ""


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """A line not acted on. `near`: it stands in a tunnel or crypto section and has no effect on us (named);
    otherwise it belongs to another part of a router (counted).
    """

    line: int
    text: str
    near: bool
    reason: str = ""
    """Why it has no effect, where a table says so."""


class Fragmentation(msgspec.Struct, frozen=True):
    """`crypto ikev2 fragmentation [mtu]`; `mtu` None: 576 octets over IPv4, 1280 over IPv6."""

    mtu: int | None = None


class LoginSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What `secret` keeps of a password: IOS's type (5, 8 or 9: a hash; 0: the password itself, where no key file was
    at hand) and its text.
    """

    kind: int
    text: Secret


class UserKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of `ip ssh pubkey-chain`: its blob in base64, or only the blob's MD5 in hexadecimal."""

    data: str = ""
    md5: str = ""
    algorithm: str = ""
    comment: str = ""
    line: int = 0


class User(msgspec.Struct, frozen=True, kw_only=True):
    """`username`: who may log in. `privilege` None: the line's."""

    name: str
    privilege: int | None = None
    secret: LoginSecret | None = None
    keys: tuple[UserKey, ...] = ()
    line: int = 0


class VtyLines(msgspec.Struct, frozen=True, kw_only=True):
    """`line vty FIRST LAST`: what holds for those who come by SSH. `exec_timeout` in seconds, 0: never."""

    name: str
    exec_timeout: int = 600
    privilege: int | None = None
    length: int | None = None
    width: int | None = None
    login_local: bool = False
    transport: tuple[str, ...] = ()
    line: int = 0


class SshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`ip ssh`: seconds that a login may take, attempts beyond the first, how many may be at it at a time."""

    time_out: int = 120
    retries: int = 3
    startups: int = 128
    version: int = 0


DEBUGGING = 7
"""The least urgent severity of a message (RFC 5424 section 6.2.1)."""


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """`logging`: up to which severity (0 to 7) a message is shown by `show logging`, told to the console and told to
    those who came by SSH and typed `terminal monitor`; None: none is.
    """

    buffered: int | None = DEBUGGING
    console: int | None = DEBUGGING
    monitor: int | None = DEBUGGING


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One whole router. Tables keep the order of the file; the smart defaults stand in them under `default`."""

    hostname: str = "Router"
    version: str = ""
    generation: Literal["15", "17", "26"] = "17"
    proposals: dict[str, Proposal]
    policies: dict[str, Policy]
    keyrings: dict[str, Keyring] = {}
    profiles: dict[str, Profile] = {}
    transform_sets: dict[str, TransformSet]
    ipsec_profiles: dict[str, IpsecProfile] = {}
    sa_defaults: SaDefaults = SaDefaults()
    access_lists: dict[str, AccessList] = {}
    vrfs: dict[str, Vrf] = {}
    interfaces: dict[str, Interface] = {}
    tunnels: dict[str, Tunnel] = {}
    routes: tuple[Route, ...] = ()
    dpd: Dpd | None = None
    nat_keepalive: int | None = None
    df_bit: DfBit = "copy"
    window: int = 5
    fragmentation: Fragmentation | None = None
    cookie_challenge: int | None = None
    max_sa: int | None = None
    max_negotiating_in: int = 40
    max_negotiating_out: int = 400
    users: dict[str, User] = {}
    enable_secret: LoginSecret | None = None
    ssh: SshSettings = SshSettings()
    vty: dict[str, VtyLines] = {}
    logging: Logging = Logging()
    cisco_parsers: bool = False
    """`ikescope compatibility cisco-parsers`: `show version` has the lines that parsers of Cisco's look for, too."""
    findings: tuple[Finding, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    source: str = ""
