"""The rows of `crypto ikev2 keyring`, and how addresses, identities and keys are written wherever they stand."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from ikescope.config.model import IdentityMatch, Keyring, KeyringPeer, Network, Secret
from ikescope.ios.configuration_bench import Bench, Refused, one, text_line
from ikescope.ios.grammar import Args, Row
from ikescope.ios.sealing import SealedKey, Unreadable, sealed_text

REMOVED = b"<removed>"


def network_of(args: Args) -> Network:
    """The network of `<address:ipv4> [<mask:mask>]` or `<prefix:prefix6>`; 0.0.0.0 alone is any address."""
    if "prefix" in args:
        return IPv6Network(args["prefix"].network)
    if "six" in args:
        return IPv6Network((args["six"], 128))
    standard = 0 if int(args["address"]) == 0 else 32
    return IPv4Network((args["address"], args.get("mask", standard)), strict=False)


ADDRESS_SYNTAX = "{<address:ipv4> [<mask:mask>]|<prefix:prefix6>|<six:ipv6>}"


def network_text(network: Network) -> str:
    """A network as IOS prints it: address and mask, or an IPv6 prefix."""
    return f"{network.network_address} {network.netmask}" if network.version == 4 else str(network)


def identity_match(args: Args, line: int = 0) -> IdentityMatch:
    """The identity of a line's values, `line` its line."""
    if "any" in args:
        return IdentityMatch(kind="any", line=line)
    if "name" not in args:
        return IdentityMatch(kind="address", network=network_of(args), line=line)
    return IdentityMatch(kind=args["kind"], value=args["name"], domain="domain" in args, line=line)


NAMES_SYNTAX = "{<kind:=fqdn|email> [<domain:=domain>] <name:word>|<kind:=key-id> <name:word>}"


def identity_match_text(match: IdentityMatch) -> str:
    """What follows `match identity remote` or a peer's `identity`."""
    if match.kind == "any":
        return "any"
    if match.kind == "address":
        return "address" if match.network is None else f"address {network_text(match.network)}"
    return f"{match.kind} {'domain ' if match.domain else ''}{match.value}"


def key_of(bench: Bench, args: Args) -> Secret | None:
    """The key of `{hex <hex:hex>|[<kind:=0|6>] <key:key>}`; what a redacted configuration prints is none."""
    if "hex" in args:
        return Secret(args["hex"])
    if args.get("encoding") == "6":
        try:
            return bench.opener.open(args["key"])
        except Unreadable as error:
            raise Refused(str(error), "key") from error
    octets = args["key"].encode()
    return None if octets == REMOVED else Secret(octets)


KEY_SYNTAX = "{hex <hex:hex>|<encoding:=0|6> <key:key>|<key:key>}"
_PLAIN = frozenset(range(0x21, 0x7F)) - {ord("?")}
_KEYWORDS = ("local", "remote", "0", "6", "hex", REMOVED.decode())


def key_text(secret: Secret) -> str:
    """A key as configuration holds it, in hexadecimal where it could be read as something else."""
    if isinstance(secret, SealedKey):
        return sealed_text(secret)
    if secret.octets.startswith(REMOVED):
        return REMOVED.decode()
    if secret.octets and _PLAIN.issuperset(secret.octets):
        text = secret.octets.decode()
        if not any(word.startswith(text.lower()) for word in _KEYWORDS):
            return text
    return f"hex {secret.octets.hex()}"


def _pre_shared_key(bench: Bench, args: Args) -> None:
    key = None if args.no else key_of(bench, args)
    side = args.get("side")
    bench.change(**{name: key for name in ("local_key", "remote_key") if side is None or name.startswith(side)})


def _show_keys(peer: KeyringPeer) -> Iterable[str]:
    if peer.local_key is not None and peer.local_key == peer.remote_key:
        yield f"pre-shared-key {key_text(peer.local_key)}"
        return
    for word, key in (("local", peer.local_key), ("remote", peer.remote_key)):
        if key is not None:
            yield f"pre-shared-key {word} {key_text(key)}"


PEER_ROWS = (
    text_line("peer", "description", "description"),
    one(
        "peer",
        "hostname <name:word>",
        "hostname",
        convert=lambda args: args["name"],
        text=lambda name: f"hostname {name}",
    ),
    one(
        "peer",
        f"address {ADDRESS_SYNTAX}",
        "address",
        convert=network_of,
        text=lambda network: f"address {_peer_address(network)}",
    ),
    one(
        "peer",
        f"identity {{address {ADDRESS_SYNTAX}|{NAMES_SYNTAX[1:-1]}}}",
        "identity",
        convert=identity_match,
        text=lambda match: f"identity {identity_match_text(match)}",
    ),
    Row(
        "peer",
        f"pre-shared-key [<side:=local|remote>] {KEY_SYNTAX}",
        _pre_shared_key,
        _show_keys,
        "pre-shared-key [<side:=local|remote>] [<_:line>]",
    ),
)


def _peer_address(network: Network) -> str:
    single = network.version == 4 and network.prefixlen == 32
    return str(network.network_address) if single else network_text(network)


def _enter_peer(bench: Bench, args: Args) -> None:
    ring: Keyring = bench.config.keyrings[bench.path[0].name]
    others = tuple(peer for peer in ring.peers if peer.name != args["name"])
    if args.no:
        bench.put("keyrings", Keyring(name=ring.name, peers=others, line=ring.line))
        return
    if len(others) == len(ring.peers):
        new = KeyringPeer(name=args["name"], line=bench.line)
        bench.put("keyrings", Keyring(name=ring.name, peers=(*ring.peers, new), line=ring.line))
    bench.enter("peer", args["name"], f"{bench.path[0].header} peer {args['name']}")


KEYRING_ROWS = (Row("keyring", "peer <name:word>", _enter_peer, lambda peer: [f"peer {peer.name}"], "=", opens="peer"),)
