"""show crypto ikev2 sa | session | proposal | policy | profile."""

from __future__ import annotations

from ikescope.config.model import Identity, IdentityMatch, Policy, Profile, Proposal, RouterConfig
from ikescope.events import SelectorFact
from ikescope.ios import words
from ikescope.ios.show_words import address, endpoint
from ikescope.node.status import ChildSaStatus, IkeSaStatus, NodeStatus
from ikescope.wire.registry.identity import AuthMethod, IdType
from ikescope.wire.registry.transform import TransformType

_HEAD = "Tunnel-id Local                 Remote                fvrf/ivrf            Status "
_HEAD_V6 = "Tunnel-id    fvrf/ivrf              Status "


def ikev2_sa(status: NodeStatus, config: RouterConfig, detailed: bool = False) -> list[str]:
    """`show crypto ikev2 sa [detailed]`; nothing where there is no IKE SA."""
    if not status.ike:
        return []
    out = [" IPv4 Crypto IKEv2  SA ", ""]
    for one in status.ike:
        if one.local.version == 4:
            local, remote = endpoint(one.local, one.local_port), endpoint(one.remote, one.remote_port)
            out += [_HEAD, f"{one.id:<10}{local:<22}{remote:<22}{'none/none':<21}{one.state:<7}"]
            out += _body(one, config, detailed)
    out += [" IPv6 Crypto IKEv2  SA ", ""]
    for one in status.ike:
        if one.local.version == 6:
            out += [_HEAD_V6, f"{one.id:<11}{'none/none':<22}{one.state:<7}"]
            out += [
                f"Local  {endpoint(one.local, one.local_port)} ",
                f"Remote  {endpoint(one.remote, one.remote_port)} ",
            ]
            out += _body(one, config, detailed)
    return out


def _body(one: IkeSaStatus, config: RouterConfig, detailed: bool) -> list[str]:
    active = int(one.active)
    out = [f"      {suite(one)}", f"      Life/Active Time: {one.lifetime}/{active} sec"]
    if detailed:
        out += [f"      {line}" for line in _details(one)]
    return [*out, ""]


def suite(one: IkeSaStatus) -> str:
    """Encr: AES-CBC, keysize: 256, PRF: SHA512, Hash: SHA512, DH Grp:19, Auth sign: PSK, Auth verify: PSK."""
    encryption = "Unknown - 0" if one.encryption is None else words.transform(TransformType.ENCR, one.encryption)
    size = f", keysize: {one.key_length}" if one.key_length else ""
    prf = "Unknown - 0" if one.prf is None else words.transform(TransformType.PRF, one.prf)
    integrity = "None" if not one.integrity else words.transform(TransformType.INTEG, one.integrity)
    sign, verify = words.method(one.auth_local), words.method(one.auth_remote)
    return (
        f"Encr: {encryption}{size}, PRF: {prf}, Hash: {integrity}, DH Grp:{one.group or 0}, "
        f"Auth sign: {sign}, Auth verify: {verify}"
    )


def ikev2_session(status: NodeStatus, detailed: bool = False) -> list[str]:
    """`show crypto ikev2 session [detailed]`: each session's IKE SAs, and the Child SAs that stand under them."""
    out: list[str] = []
    for version, title in ((4, " IPv4 Crypto IKEv2 Session "), (6, " IPv6 Crypto IKEv2 Session ")):
        sessions: dict[int, list[IkeSaStatus]] = {}
        for one in status.ike:
            if one.local.version == version:
                sessions.setdefault(one.session, []).append(one)
        out += [title, ""]
        for number, sas in sessions.items():
            own = {sa.id for sa in sas}
            out += _session(number, sas, [child for child in status.children if child.ike in own], detailed)
    return out


def _session(number: int, sas: list[IkeSaStatus], children: list[ChildSaStatus], detailed: bool) -> list[str]:
    up = "UP-ACTIVE" if children else "UP-IDLE" if any(one.state == "READY" for one in sas) else "DOWN-NEGOTIATING"
    out = [f"Session-id:{number}, Status:{up}, IKE count:{len(sas)}, CHILD count:{len(children)}", ""]
    for one in sas:
        local, remote = endpoint(one.local, one.local_port), endpoint(one.remote, one.remote_port)
        out += [_HEAD, f"{one.id:<10}{local:<22}{remote:<22}{'none/none':<21}{one.state:<7}"]
        out += [f"      {suite(one)}", f"      Life/Active Time: {one.lifetime}/{int(one.active)} sec"]
        out += [f"      {line}" for line in _details(one)] if detailed else []
        for child in children:
            if child.ike == one.id:
                out += _child(child, detailed)
    return [*out, ""]


def _ends(selector: SelectorFact) -> str:
    return f"{selector.start.upper()}/{selector.start_port} - {selector.end.upper()}/{selector.end_port}"


def _child(child: ChildSaStatus, detailed: bool) -> list[str]:
    pairs = [(_ends(local), _ends(remote)) for local in child.local for remote in child.remote]
    spis = f"          ESP spi in/out: 0x{child.inbound:X}/0x{child.outbound:X}  "
    if not detailed:
        head = [
            f"{'Child sa: ' if at == 0 else ' ' * 10}local selector  {local}\n          remote selector {remote}"
            for at, (local, remote) in enumerate(pairs)
        ]
        return [*"\n".join(head).split("\n"), spis]
    size = f", keysize: {child.key_length}" if child.key_length else ""
    integrity = "None" if child.integrity is None else words.transform(TransformType.INTEG, child.integrity)
    return [
        "Child sa:",
        "          local selector       ->      remote selector",
        *(f"          {local}    ->    {remote}" for local, remote in pairs),
        spis,
        "          AH spi in/out: 0x0/0x0  ",
        "          CPI in/out: 0x0/0x0  ",
        f"          Encr: {words.transform(TransformType.ENCR, child.encryption)}{size}, esp_hmac: {integrity}",
        f"          ah_hmac: None, comp: IPCOMP_NONE, mode {'transport' if child.transport else 'tunnel'}",
    ]


def _details(one: IkeSaStatus) -> list[str]:
    interval, retry = (one.dpd.interval, one.dpd.retry) if one.dpd is not None else (0, 0)
    local, remote = one.local_request_id, one.remote_request_id
    return [
        f"CE id: {1000 + one.id}, Session-id: {one.session}",
        f"Local spi: {one.spi_local.upper()}       Remote spi: {one.spi_remote.upper()}",
        f"Status Description: {one.description}",
        f"Local id: {_identity(one.local_id)}",
        f"Remote id: {_identity(one.remote_id)}",
        f"Local req msg id:  {local:<15}Remote req msg id:  {remote:<10}",
        f"Local next msg id: {local:<15}Remote next msg id: {remote:<10}",
        f"Local req queued:  {local:<15}Remote req queued:  {remote:<10}",
        f"Local window:      {one.local_window:<15}Remote window:      {one.remote_window:<10}",
        f"DPD configured for {interval} seconds, retry {retry}",
        *_fragmentation(one),
        "Dynamic Route Update: disabled",
        "Extended Authentication not configured.",
        _nat(one),
        "Cisco Trust Security SGT is disabled",
        f"Initiator of SA : {'Yes' if one.initiator else 'No'}",
    ]


def _fragmentation(one: IkeSaStatus) -> list[str]:
    if one.fragment_octets is None:
        return ["Fragmentation not  configured."]
    return ["IETF Std Fragmentation  enabled.", f"IETF Std Fragmentation MTU in use: {one.fragment_octets} bytes."]


def _identity(item: Identity | None) -> str:
    return "" if item is None else words.identity(item)


def _nat(one: IkeSaStatus) -> str:
    sides = [word for there, word in ((one.nat_local, "inside"), (one.nat_remote, "outside")) if there]
    if sides:
        return f"NAT-T is detected {' and '.join(sides)}"
    return "NAT-T is forced  " if one.encapsulated else "NAT-T is not detected  "


def ikev2_proposal(config: RouterConfig, name: str | None = None) -> list[str]:
    """`show crypto ikev2 proposal [NAME]`."""
    return [line for item in config.proposals.values() if name in (None, item.name) for line in _proposal(item)]


def _proposal(item: Proposal) -> list[str]:
    encryption = " ".join(words.encryption(one.id, one.key_length) for one in item.encryption)
    integrity = " ".join(words.transform(TransformType.INTEG, one) for one in item.integrity) or "none"
    return [
        f" IKEv2 proposal: {item.name} ",
        f"     Encryption : {encryption}",
        f"     Integrity  : {integrity}",
        f"     PRF        : {' '.join(words.transform(TransformType.PRF, one) for one in item.prf)}",
        f"     DH Group   : {' '.join(words.group(one) for one in item.groups)}",
    ]


def ikev2_policy(config: RouterConfig, name: str | None = None) -> list[str]:
    """`show crypto ikev2 policy [NAME]`."""
    return [line for item in config.policies.values() if name in (None, item.name) for line in _policy(item)]


def _policy(item: Policy) -> list[str]:
    fvrf = " Match fvrf : any" if item.smart_default else f" Match fvrf  : {item.match_fvrf}"
    local = [f"      Match address local : {address(one)} " for one in item.match_local]
    return [
        f" IKEv2 policy : {item.name} ",
        f"     {fvrf} ",
        *(local or ["      Match address local : any "]),
        *(f"      Proposal    : {proposal} " for proposal in item.proposals),
        "",
    ]


_METHODS = {
    AuthMethod.SHARED_KEY_MIC: "pre-share",
    AuthMethod.RSA_DIGITAL_SIGNATURE: "rsa-sig",
    AuthMethod.ECDSA_SHA256_P256: "ecdsa-sig",
}
_ID_WORDS = {
    IdType.ID_IPV4_ADDR: "address",
    IdType.ID_IPV6_ADDR: "address",
    IdType.ID_FQDN: "fqdn",
    IdType.ID_RFC822_ADDR: "email",
    IdType.ID_KEY_ID: "key-id",
}


def ikev2_profile(config: RouterConfig, name: str | None = None) -> list[str]:
    """`show crypto ikev2 profile [NAME]`."""
    return [line for item in config.profiles.values() if name in (None, item.name) for line in _profile(item)]


def _profile(item: Profile) -> list[str]:
    identity = item.identity_local
    own = "none" if identity is None else f"{_ID_WORDS.get(IdType.of(identity.type), 'none')} {identity.value}"
    local = ", ".join(address(one) for one in item.match_local) or "none"
    dpd = item.dpd
    kind = "" if dpd is None else "on-demand" if dpd.on_demand else "periodic"
    return [
        f"IKEv2 profile: {item.name}",
        f" Shutdown : {'Yes' if item.shutdown else 'No'}",
        " Match criteria: ",
        f"  Fvrf: {item.match_fvrf}",
        f"  Local address/interface: {local}",
        "  Identities: " + ("" if item.match_remote else "none"),
        *(f"   {_match(one)}" for one in item.match_remote),
        "  Certificate maps: none",
        f" Local identity: {own}",
        " Remote identity: none",
        f" Local authentication method: {_method(item.auth_local)}",
        f" Remote authentication method(s): {' '.join(_method(one) for one in item.auth_remote) or 'none'}",
        " EAP options: none",
        f" Keyring: {item.keyring or 'none'}",
        " Trustpoint(s): none",
        f" Lifetime: {item.lifetime} seconds",
        f" DPD: {'disabled' if dpd is None else f'interval {dpd.interval}, retry-interval {dpd.retry}, {kind}'}",
        f" NAT-keepalive: {'disabled' if item.nat_keepalive is None else f'{item.nat_keepalive} seconds'}",
        " Ivrf: none",
        " Virtual-template: none",
        " mode auto: none",
        " AAA AnyConnect EAP authentication mlist: none",
        " AAA EAP authentication mlist: none",
        " AAA authentication mlist: none",
        " AAA Accounting: none",
        " AAA group authorization: none",
        " AAA user authorization: none",
        "",
    ]


def _method(number: int | None) -> str:
    return "none" if number is None else _METHODS.get(AuthMethod.of(number)) or AuthMethod.of(number).label


def _match(item: IdentityMatch) -> str:
    if item.kind == "any":
        return "any "
    if item.network is not None:
        return f"address {address(item.network.network_address)} {item.network.netmask}"
    return f"{item.kind} {'domain ' if item.domain else ''}{item.value}"
