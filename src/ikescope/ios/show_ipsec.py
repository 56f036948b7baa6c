"""show crypto ipsec sa | profile | transform-set, show crypto engine connections active."""

from __future__ import annotations

from collections.abc import Sequence

from ikescope.config.model import Address, IpsecProfile, RouterConfig
from ikescope.ios import words
from ikescope.ios.show_words import Flow, Index, address, ident, kilobytes_left, source_interface
from ikescope.node.status import ChildSaStatus, Counters, NodeStatus, TunnelStatus
from ikescope.wire.registry.transform import EncryptionId, IntegrityId, TransformType

_UNKNOWN = "no SA has this SPI"
_IV = {EncryptionId.ENCR_AES_CBC: 16}
_ICV = {
    IntegrityId.AUTH_HMAC_SHA1_96: 12,
    IntegrityId.AUTH_HMAC_SHA2_256_128: 16,
    IntegrityId.AUTH_HMAC_SHA2_384_192: 24,
    IntegrityId.AUTH_HMAC_SHA2_512_256: 32,
}


#: Begin of an ESP drop's reason -> the counter of `show crypto ipsec sa detail` that it is in.
COUNTERS = {
    "no selector": "no sa",
    "no SA has this SPI": "invalid sa",
    "the SA reached its limit": "replay rollover",
    "transport mode": "encaps failed",
    "too large": "encaps failed",
    "ESP trailer": "decaps failed",
    "ESP padding": "decaps failed",
    "congestion": "decaps failed",
    "IP version": "invalid prot",
    "IPv6 is off": "invalid prot",
    "GRE": "invalid prot",
    "inner packet is no whole GRE": "invalid prot",
    "integrity": "verify failed",
    "inner packet does not match": "invalid identity",
    "too short": "invalid len",
    "IP header": "invalid len",
    "IPv4": "invalid len",
    "IPv6": "invalid len",
    "sequence number": "replay failed",
}


def ipsec_sa(
    status: NodeStatus,
    config: RouterConfig,
    interface: str | None = None,
    peer: Address | None = None,
    *,
    detail: bool = False,
) -> list[str]:
    """`show crypto ipsec sa [interface NAME | peer ADDRESS | detail]`: one block for each flow of each tunnel."""
    out: list[str] = []
    index = Index(status)
    for tunnel in status.tunnels:
        if interface not in (None, tunnel.name) or peer not in (None, tunnel.destination):
            continue
        tag = f"{tunnel.name}-head-0"
        out += [f"interface: {tunnel.name}", f"    Crypto map tag: {tag}, local addr {address(tunnel.source)}", ""]
        for pair, children in index.flows(tunnel):
            out += _flow(index, config, tunnel, pair, children, detail)
    return out


def _flow(
    index: Index,
    config: RouterConfig,
    tunnel: TunnelStatus,
    pair: Flow,
    children: Sequence[ChildSaStatus],
    detail: bool,
) -> list[str]:
    newest = children[0] if children else None
    port = newest.remote_port if newest else next((one.remote_port for one in index.ike_of(tunnel)), 500)
    outbound = newest.outbound if newest else 0
    group = newest.group if newest else None
    local = newest.local_address if newest else tunnel.source
    remote = newest.remote_address if newest else tunnel.destination
    local_ident, remote_ident = (ident(side[0]) if side else "(none)" for side in pair)
    idb = source_interface(config, tunnel.name)
    mtu = _plaintext_mtu(newest, tunnel.path_mtu) if newest else tunnel.path_mtu
    return [
        "   protected vrf: (none)",
        f"   local  ident (addr/mask/prot/port): {local_ident}",
        f"   remote ident (addr/mask/prot/port): {remote_ident}",
        f"   current_peer {address(remote)} port {port}",
        "     PERMIT, flags={origin_is_acl,}",
        *_packets(children, detail),
        "",
        f"     local crypto endpt.: {address(local)}, remote crypto endpt.: {address(remote)}",
        f"     plaintext mtu {mtu}, path mtu {tunnel.path_mtu}, ip mtu {tunnel.link_mtu}, ip mtu idb {idb}",
        f"     current outbound spi: 0x{outbound:X}({outbound})",
        f"     PFS (Y/N): {'N, DH group: none' if group is None else f'Y, DH group: group{group}'}",
        "",
        *_direction("inbound", children),
        *_direction("outbound", children),
    ]


def _packets(children: Sequence[ChildSaStatus], detail: bool) -> list[str]:
    sent = sum(one.sent.packets - one.cleared_out[0] for one in children)
    received = sum(one.received.packets - one.cleared_in[0] for one in children)
    send_errors = sum(one.sent.dropped for one in children)
    errors = sum(one.received.dropped for one in children)
    return [
        f"    #pkts encaps: {sent}, #pkts encrypt: {sent}, #pkts digest: {sent}",
        f"    #pkts decaps: {received}, #pkts decrypt: {received}, #pkts verify: {received}",
        "    #pkts compressed: 0, #pkts decompressed: 0",
        "    #pkts not compressed: 0, #pkts compr. failed: 0",
        "    #pkts not decompressed: 0, #pkts decompress failed: 0",
        *(_errors(children) if detail else [f"    #send errors {send_errors}, #recv errors {errors}"]),
    ]


def _errors(children: Sequence[ChildSaStatus]) -> list[str]:
    """What was discarded, by IOS's names; what fits none of them is an internal error."""
    many = dict.fromkeys((*COUNTERS.values(), "internal err"), 0)
    # What came from a peer to no SA at all stands with each of its Child SAs: it counts once.
    reasons = {
        (reason, count if reason == _UNKNOWN else child.id): count
        for child in children
        for reason, count in child.drops
    }
    for (reason, _), count in reasons.items():
        many[next((name for begin, name in COUNTERS.items() if reason.startswith(begin)), "internal err")] += count
    return [
        f"    #pkts no sa (send) {many['no sa']}, #pkts invalid sa (rcv) {many['invalid sa']}",
        f"    #pkts encaps failed (send) {many['encaps failed']}, #pkts decaps failed (rcv) {many['decaps failed']}",
        f"    #pkts invalid prot (recv) {many['invalid prot']}, #pkts verify failed: {many['verify failed']}",
        f"    #pkts invalid identity (recv) {many['invalid identity']}, #pkts invalid len (rcv) {many['invalid len']}",
        f"    #pkts replay rollover (send): {many['replay rollover']}, #pkts replay rollover (rcv) 0",
        f"    ##pkts replay failed (rcv): {many['replay failed']}",
        "    #pkts tagged (send): 0, #pkts untagged (rcv): 0",
        "    #pkts not tagged (send): 0, #pkts not untagged (rcv): 0",
        f"    #pkts internal err (send): 0, #pkts internal err (recv) {many['internal err']}",
    ]


def _direction(way: str, children: Sequence[ChildSaStatus]) -> list[str]:
    out = [f"     {way} esp sas:"]
    for child in children:
        out += _esp(child, inbound=way == "inbound")
    return [*out, "", f"     {way} ah sas:", "", f"     {way} pcp sas:", ""]


def _esp(child: ChildSaStatus, *, inbound: bool) -> list[str]:
    spi = child.inbound if inbound else child.outbound
    counters: Counters = child.received if inbound else child.sent
    number = child.id * 2 - (1 if inbound else 0)
    mode = ("Transport" if child.transport else "Tunnel") + (" UDP-Encaps" if child.udp else "")
    left = kilobytes_left(child, counters.octets)
    seconds = int(child.remaining)
    timing = f"(k/sec): ({left}/{seconds})" if left is not None else f"(sec): {seconds}"
    replay = f"Y  replay window size: {child.replay_window}" if child.replay_window else "N"
    return [
        f"      spi: 0x{spi:X}({spi})",
        f"        transform: {words.transform_set(child.encryption, child.key_length, child.integrity)} ,",
        f"        in use settings ={{{mode}, {'ESN, ' if child.esn else ''}}}",
        f"        conn id: {number}, flow_id: SW:{number}, sibling_flags 80000000, crypto map: {child.tunnel}-head-0",
        f"        sa timing: remaining key lifetime {timing}",
        *(["        Kilobyte Volume Rekey has been disabled"] if left is None else []),
        f"        IV size: {_IV.get(EncryptionId.of(child.encryption), 8)} bytes",
        f"        replay detection support: {replay}",
        "        Status: ACTIVE(ACTIVE)",
    ]


def _plaintext_mtu(child: ChildSaStatus, path_mtu: int) -> int:
    """What is left of the path MTU for the protected packet: outer header, UDP, ESP header, IV, ICV, padding."""
    iv = _IV.get(EncryptionId.of(child.encryption), 8)
    icv = 16 if child.integrity is None else _ICV.get(IntegrityId.of(child.integrity), 16)
    outer = 40 if child.local_address.version == 6 else 20
    room = path_mtu - outer - (8 if child.udp else 0) - 8 - iv - icv
    block = 16 if child.encryption == EncryptionId.ENCR_AES_CBC else 4
    return room - room % block - 2


def _cipher(encryption: int | None, key_length: int | None) -> str:
    """AES256, AES-GCM256: as a crypto engine names a cipher."""
    if encryption is None:
        return ""
    return words.transform(TransformType.ENCR, encryption).replace("AES-CBC", "AES") + str(key_length or "")


def _hash(integrity: int | None) -> str:
    return words.transform(TransformType.INTEG, integrity) if integrity else ""


def connections(status: NodeStatus) -> list[str]:
    """`show crypto engine connections active`: ESP SAs as `show crypto ipsec sa` numbers them, IKE SAs."""
    out = ["Crypto Engine Connections", ""]
    out.append(f"{'ID':>4}  {'Type':<7} {'Algorithm':<20} {'Encrypt':>8} {'Decrypt':>8} {'LastSeqN':>8} IP-Address")
    for child in status.children:
        name = "+".join(filter(None, (_cipher(child.encryption, child.key_length), _hash(child.integrity))))
        for number, way, count in ((2 * child.id - 1, "in", child.received), (2 * child.id, "out", child.sent)):
            sent, received = (0, count.packets) if way == "in" else (count.packets, 0)
            where = address(child.local_address)
            out.append(f"{number:>4}  {'IPsec':<7} {name:<20} {sent:>8} {received:>8} {count.packets:>8} {where}")
    for one in status.ike:
        name = "+".join(filter(None, (_hash(one.integrity), _cipher(one.encryption, one.key_length))))
        out.append(f"{1000 + one.id:>4}  {'IKEv2':<7} {name:<20} {0:>8} {0:>8} {0:>8} {address(one.local)}")
    return [*out, ""]


def ipsec_profile(config: RouterConfig) -> list[str]:
    """`show crypto ipsec profile`."""
    return [line for item in config.ipsec_profiles.values() for line in _profile(item, config)]


def _profile(item: IpsecProfile, config: RouterConfig) -> list[str]:
    volume = "disabled" if item.lifetime_kilobytes is None else f"{item.lifetime_kilobytes} kilobytes"
    pfs = "N" if item.pfs_group is None else f"Y\n\tDH group:  group{item.pfs_group}"
    head = [f"IPSEC profile {item.name}"]
    if item.ikev2_profile:
        head.append(f"\tIKEv2 Profile: {item.ikev2_profile}")
    sets = [
        f"\t\t{name}:  {{ {words.configured_set(config.transform_sets[name])}  }} , "
        for name in item.transform_sets
        if name in config.transform_sets
    ]
    return [
        *head,
        f"\tSecurity association lifetime: {volume}/{item.lifetime_seconds} seconds",
        "\tDualstack (Y/N): N",
        f"\tResponder-Only (Y/N): {'Y' if item.responder_only else 'N'}",
        *f"\tPFS (Y/N): {pfs}".split("\n"),
        "\tMixed-mode : Disabled",
        "\tTransform sets={ ",
        *sets,
        "\t}",
        "",
    ]


def transform_sets(config: RouterConfig) -> list[str]:
    """`show crypto ipsec transform-set`."""
    out: list[str] = []
    for item in config.transform_sets.values():
        mode = "Transport" if item.transport else "Tunnel"
        out += [
            f"Transform set {item.name}: {{ {words.configured_set(item)}  }} ",
            f"   will negotiate = {{ {mode},  }}, ",
            "   ",
        ]
    return out
