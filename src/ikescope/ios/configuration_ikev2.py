"""The rows of `crypto ikev2 ...`: proposal, policy, keyring, profile and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ikescope.config.check import (
    POLICY_REMINDER,
    PROFILE_REMINDER,
    PROPOSAL_REMINDER,
    profile_is_complete,
    proposal_is_complete,
)
from ikescope.config.model import (
    Address,
    Dpd,
    Fragmentation,
    Identity,
    IdentityMatch,
    Keyring,
    Policy,
    Profile,
    Proposal,
    RouterConfig,
    TransformChoice,
)
from ikescope.config.smart_defaults import NAME, POLICY
from ikescope.crypto.suites import GROUPS
from ikescope.ios.configuration_bench import Bench, Refused, flag, one, opener, several, text_line
from ikescope.ios.configuration_keyring import (
    ADDRESS_SYNTAX,
    KEY_SYNTAX,
    KEYRING_ROWS,
    NAMES_SYNTAX,
    PEER_ROWS,
    identity_match,
    identity_match_text,
    key_of,
    key_text,
)
from ikescope.ios.grammar import Args, Row
from ikescope.wire.registry import AuthMethod, EncryptionId, IdType, IntegrityId, PrfId

__all__ = ["GLOBAL_ROWS", "KEYRING_ROWS", "PEER_ROWS", "POLICY_ROWS", "PROFILE_ROWS", "PROPOSAL_ROWS"]

#: IOS's words for IKE encryption; the last is ikescope's own.
ENCRYPTION = {
    **{f"aes-cbc-{bits}": TransformChoice(EncryptionId.ENCR_AES_CBC, bits) for bits in (128, 192, 256)},
    **{f"aes-gcm-{bits}": TransformChoice(EncryptionId.ENCR_AES_GCM_16, bits) for bits in (128, 192, 256)},
    "chacha20-poly1305": TransformChoice(EncryptionId.ENCR_CHACHA20_POLY1305),
}
NAME_TYPES = {"fqdn": IdType.ID_FQDN, "email": IdType.ID_RFC822_ADDR, "key-id": IdType.ID_KEY_ID}
INTEGRITY = {
    "md5": int(IntegrityId.AUTH_HMAC_MD5_96),
    "sha1": int(IntegrityId.AUTH_HMAC_SHA1_96),
    "sha256": int(IntegrityId.AUTH_HMAC_SHA2_256_128),
    "sha384": int(IntegrityId.AUTH_HMAC_SHA2_384_192),
    "sha512": int(IntegrityId.AUTH_HMAC_SHA2_512_256),
}
PRF = {
    "md5": int(PrfId.PRF_HMAC_MD5),
    "sha1": int(PrfId.PRF_HMAC_SHA1),
    "sha256": int(PrfId.PRF_HMAC_SHA2_256),
    "sha384": int(PrfId.PRF_HMAC_SHA2_384),
    "sha512": int(PrfId.PRF_HMAC_SHA2_512),
}
PRF_OF_INTEGRITY = {INTEGRITY[word]: PRF[word] for word in INTEGRITY}


def _words(table: dict[str, Any]) -> str:
    return "|".join(table)


def _spelled(table: dict[str, Any], values: Iterable[Any]) -> str:
    return " ".join(word for value in values for word, known in table.items() if known == value)


def _set_algorithms(attribute: str, table: dict[str, Any]) -> Callable[[Bench, Args], None]:
    def run(bench: Bench, args: Args) -> None:
        if not args.no:
            bench.check_generation(args["names"], "names")
        chosen = () if args.no else tuple(dict.fromkeys(table[word] for word in args["names"]))
        old: Proposal = bench.item
        fields: dict[str, Any] = {attribute: chosen, "smart_default": False}
        if attribute == "integrity" and old.prf == _derived(old.integrity):
            fields["prf"] = _derived(chosen)
        if attribute == "prf" and args.no:
            fields["prf"] = _derived(old.integrity)
        bench.change(**fields)

    return run


def _derived(integrity: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(PRF_OF_INTEGRITY[number] for number in integrity)


def _show_list(word: str, attribute: str, table: dict[str, Any]) -> Callable[[Proposal], Iterable[str]]:
    def show(item: Proposal) -> Iterable[str]:
        values = getattr(item, attribute)
        if not values and item.name == NAME:  # or the smart default's would be there again
            yield f"no {word}"
        elif values and not (attribute == "prf" and values == _derived(item.integrity)):
            yield f"{word} {_spelled(table, values)}"

    return show


def _algorithms(word: str, attribute: str, table: dict[str, Any]) -> Row:
    run = _set_algorithms(attribute, table)
    return Row("proposal", f"{word} <names:={_words(table)}>+", run, _show_list(word, attribute, table))


_GROUP_WORDS = {str(number): number for number in sorted(GROUPS)}

PROPOSAL_ROWS = (
    _algorithms("encryption", "encryption", ENCRYPTION),
    _algorithms("integrity", "integrity", INTEGRITY),
    _algorithms("prf", "prf", PRF),
    _algorithms("group", "groups", _GROUP_WORDS),
)


def _match_fvrf(mode: str, standard: str = "global") -> Row:
    row = one(
        mode,
        "match fvrf any",
        "match_fvrf",
        default=standard,
        convert=lambda _: "any",
        text=lambda value: f"match fvrf {value}",
    )
    return replace(row, default="")


def _local_text(address: Address) -> str:
    return f"match address local {address}"


def _show_policy_fvrf(policy: Policy) -> Iterable[str]:
    """What differs from what the line that opens the policy gives: `any` for the smart default, else `global`."""
    if policy.name == NAME:
        return () if policy.match_fvrf == POLICY.match_fvrf else ("no match fvrf any",)
    return () if policy.match_fvrf == "global" else (f"match fvrf {policy.match_fvrf}",)


def _show_policy_proposals(policy: Policy) -> Iterable[str]:
    there = POLICY.proposals if policy.name == NAME else ()
    if policy.proposals[: len(there)] != there:
        yield from (f"no proposal {name}" for name in there)
    yield from (f"proposal {name}" for name in policy.proposals)


POLICY_ROWS = (
    replace(_match_fvrf("policy"), show=_show_policy_fvrf),
    several(
        "policy",
        "match address local <addresses:address>+",
        "match_local",
        convert=lambda args: args["addresses"],
        text=_local_text,
    ),
    replace(
        several(
            "policy",
            "proposal <names:word>+",
            "proposals",
            convert=lambda args: args["names"],
            text=lambda name: f"proposal {name}",
        ),
        show=_show_policy_proposals,
    ),
)


_MATCH_LOCAL = several(
    "profile",
    "match address local <addresses:address>+",
    "match_local",
    convert=lambda args: args["addresses"],
    text=_local_text,
)


def _match_address_local(bench: Bench, args: Args) -> None:
    if "interface" not in args:
        assert _MATCH_LOCAL.run is not None
        _MATCH_LOCAL.run(bench, args)
        return
    scope, name = bench.path[-1], args["interface"]

    def resolve(later: Bench) -> None:
        if not later.holds(scope):
            return
        address = later.interface_address(name)
        if address is None:
            raise Refused(f"{name} has no address here; possible: match address local A.B.C.D")
        later.path = [scope]
        held = later.item.match_local
        later.change(match_local=tuple(a for a in held if a != address) if args.no else (*held, address))

    bench.waiting.append((bench.line, f"{scope.header}: match address local interface {name}", resolve))


def _match_remote(bench: Bench, args: Args) -> None:
    held: tuple[IdentityMatch, ...] = bench.item.match_remote
    new = identity_match(args, bench.line)
    kept = tuple(match for match in held if identity_match_text(match) != identity_match_text(new))
    bench.change(match_remote=kept if args.no else (*kept, new) if len(kept) == len(held) else held)


def _show_match_remote(profile: Profile) -> Iterable[str]:
    return [f"match identity remote {identity_match_text(match)}" for match in profile.match_remote]


def _identity_local(args: Args) -> Identity:
    if "address" in args:
        kind = IdType.ID_IPV4_ADDR if args["address"].version == 4 else IdType.ID_IPV6_ADDR
        return Identity(kind, str(args["address"]))
    return Identity(NAME_TYPES[args["kind"]], args["name"])


def _identity_local_text(identity: Identity) -> str:
    word = next((word for word, kind in NAME_TYPES.items() if kind == identity.type), "address")
    return f"identity local {word} {identity.value}"


def _authentication(side: str) -> Callable[[Bench, Args], None]:
    def run(bench: Bench, args: Args) -> None:
        given = not args.no
        key = key_of(bench, args) if given and ("key" in args or "hex" in args) else None
        method: Any = int(AuthMethod.SHARED_KEY_MIC) if given else None
        if side == "remote":
            method = (method,) if given else ()
        bench.change(**{f"auth_{side}": method, f"{side}_key": key})

    return run


def _show_authentication(side: str) -> Callable[[Profile], Iterable[str]]:
    def show(profile: Profile) -> Iterable[str]:
        key = getattr(profile, f"{side}_key")
        if getattr(profile, f"auth_{side}"):
            yield f"authentication {side} pre-share" + (f" key {key_text(key)}" if key else "")

    return show


def _lifetime(bench: Bench, args: Args) -> None:
    if not args.no:
        bench.check_lifetime(args["seconds"], "seconds")
    bench.change(lifetime=86400 if args.no else args["seconds"])


def _show_lifetime(profile: Profile) -> Iterable[str]:
    return () if profile.lifetime == 86400 else (f"lifetime {profile.lifetime}",)


_DPD = "<interval:10-3600> <retry:2-60> <when:=on-demand|periodic>"


def _dpd(args: Args) -> Dpd:
    return Dpd(args["interval"], args["retry"], args["when"] == "on-demand")


def _dpd_text(dpd: Dpd) -> str:
    return f"dpd {dpd.interval} {dpd.retry} {'on-demand' if dpd.on_demand else 'periodic'}"


def _config_exchange(bench: Bench, args: Args) -> None:
    bench.change(config_exchange_request=not args.no)


PROFILE_ROWS = (
    text_line("profile", "description", "description"),
    _match_fvrf("profile"),
    one(
        "profile",
        "ivrf <name:word>",
        "ivrf",
        convert=lambda args: args["name"],
        text=lambda name: f"ivrf {name}",
    ),
    Row(
        "profile",
        "match address local {<addresses:address>+|interface <interface:interface>}",
        _match_address_local,
        _MATCH_LOCAL.show,
        "=",
    ),
    Row(
        "profile",
        f"match identity remote {{<any:=any>|address {ADDRESS_SYNTAX}|{NAMES_SYNTAX[1:-1]}}}",
        _match_remote,
        _show_match_remote,
        "=",
    ),
    one(
        "profile",
        "identity local {address <address:address>|<kind:=fqdn|email|key-id> <name:word>}",
        "identity_local",
        convert=_identity_local,
        text=_identity_local_text,
    ),
    *(
        Row(
            "profile",
            f"authentication {side} pre-share [key {KEY_SYNTAX}]",
            _authentication(side),
            _show_authentication(side),
            f"authentication {side} [<_:line>]",
        )
        for side in ("remote", "local")
    ),
    one(
        "profile",
        "keyring local <name:word>",
        "keyring",
        convert=lambda args: args["name"],
        text=lambda name: f"keyring local {name}",
    ),
    Row("profile", "lifetime <seconds:120-86400/10>", _lifetime, _show_lifetime, default="lifetime 86400"),
    one("profile", f"dpd {_DPD}", "dpd", convert=_dpd, text=_dpd_text),
    one(
        "profile",
        "nat keepalive <seconds:5-3600>",
        "nat_keepalive",
        convert=lambda args: args["seconds"],
        text=lambda seconds: f"nat keepalive {seconds}",
    ),
    flag("profile", "nat force-encap", "nat_force_encap"),
    one(
        "profile",
        "ikescope childless <mode:=never|allow|prefer|force>",
        "childless",
        default="never",
        convert=lambda args: args["mode"],
        text=lambda mode: f"ikescope childless {mode}",
    ),
    one(
        "profile",
        "ikescope reauthentication <seconds:120-86400/10>",
        "reauthentication",
        convert=lambda args: args["seconds"],
        text=lambda seconds: f"ikescope reauthentication {seconds}",
    ),
    one(
        "profile",
        "ikescope refused-child <what:=delete|keep>",
        "refused_child",
        default="delete",
        convert=lambda args: args["what"],
        text=lambda what: f"ikescope refused-child {what}",
    ),
    flag("profile", "initial-contact force", "initial_contact_force"),
    Row(
        "profile",
        "config-exchange request",
        _config_exchange,
        lambda profile: () if profile.config_exchange_request else ("no config-exchange request",),
        "=",
        default="config-exchange request",
    ),
    flag("profile", "shutdown", "shutdown"),
)


def _router(
    syntax: str, attribute: str, convert: Callable[[Args], Any], text: Callable[[Any], str], default: Any = None
) -> Row:
    def run(bench: Bench, args: Args) -> None:
        bench.set(**{attribute: default if args.no else convert(args)})

    def show(config: RouterConfig) -> Iterable[str]:
        value = getattr(config, attribute)
        return () if value == default else (text(value),)

    return Row("global", syntax, run, show, default=text(default) if default else "")


def _limit(bench: Bench, args: Args) -> None:
    both = "direction" not in args
    if both or args["direction"] == "incoming":
        bench.set(max_negotiating_in=40 if args.no else args["count"])
    if both or args["direction"] == "outgoing":
        bench.set(max_negotiating_out=400 if args.no else args["count"])


def _show_limit(config: RouterConfig) -> Iterable[str]:
    if config.max_negotiating_in != 40:
        yield f"crypto ikev2 limit max-in-negotation-sa {config.max_negotiating_in} incoming"
    if config.max_negotiating_out != 400:
        yield f"crypto ikev2 limit max-in-negotation-sa {config.max_negotiating_out} outgoing"


GLOBAL_ROWS = (
    opener(
        "proposal",
        "crypto ikev2 proposal <name:word>",
        "proposals",
        lambda bench, args: Proposal(
            name=args["name"], encryption=(), prf=(), integrity=(), groups=(), line=bench.line
        ),
        title="crypto ikev2 proposal",
        reminder=lambda item: "" if proposal_is_complete(item) else PROPOSAL_REMINDER,
    ),
    opener(
        "policy",
        "crypto ikev2 policy <name:word>",
        "policies",
        lambda bench, args: Policy(name=args["name"], proposals=(), line=bench.line),
        title="crypto ikev2 policy",
        reminder=lambda item: "" if item.proposals else POLICY_REMINDER,
    ),
    opener(
        "keyring",
        "crypto ikev2 keyring <name:word>",
        "keyrings",
        lambda bench, args: Keyring(name=args["name"], peers=(), line=bench.line),
        title="crypto ikev2 keyring",
    ),
    opener(
        "profile",
        "crypto ikev2 profile <name:word>",
        "profiles",
        lambda bench, args: Profile(name=args["name"], line=bench.line),
        title="crypto ikev2 profile",
        reminder=lambda item: "" if profile_is_complete(item) else PROFILE_REMINDER,
    ),
    _router(f"crypto ikev2 dpd {_DPD}", "dpd", _dpd, lambda dpd: f"crypto ikev2 {_dpd_text(dpd)}"),
    _router(
        "crypto ikev2 nat keepalive <seconds:5-3600>",
        "nat_keepalive",
        lambda args: args["seconds"],
        lambda seconds: f"crypto ikev2 nat keepalive {seconds}",
    ),
    _router(
        "crypto ikev2 fragmentation [mtu <octets:68-1500>]",
        "fragmentation",
        lambda args: Fragmentation(args.get("octets")),
        lambda one: "crypto ikev2 fragmentation" + ("" if one.mtu is None else f" mtu {one.mtu}"),
    ),
    _router(
        "crypto ikev2 window <size:1-200>",
        "window",
        lambda args: args["size"],
        lambda size: f"crypto ikev2 window {size}",
        5,
    ),
    _router(
        "crypto ikev2 cookie-challenge <count:0-1000>",
        "cookie_challenge",
        lambda args: args["count"],
        lambda count: f"crypto ikev2 cookie-challenge {count}",
    ),
    _router(
        "crypto ikev2 limit max-sa <count:1-9999>",
        "max_sa",
        lambda args: args["count"],
        lambda count: f"crypto ikev2 limit max-sa {count}",
    ),
    Row(
        "global",
        "crypto ikev2 limit max-in-negotation-sa <count:1-9999> [<direction:=incoming|outgoing>]",
        _limit,
        _show_limit,
        "crypto ikev2 limit max-in-negotation-sa [<count:1-9999>] [<direction:=incoming|outgoing>]",
    ),
)
