"""The rows of `crypto ipsec ...`: transform-set, profile, lifetimes and replay windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ikescope.config.model import IpsecProfile, RouterConfig, SaDefaults, TransformChoice, TransformSet
from ikescope.config.smart_defaults import NAME
from ikescope.crypto.suites import GROUPS
from ikescope.ios.configuration_bench import Bench, Refused, flag, one, opener
from ikescope.ios.grammar import Args, Row
from ikescope.wire.registry import EncryptionId, IntegrityId

#: IOS's words for ESP encryption, their transform and key lengths (first the default); the last is ikescope's own.
ESP_ENCRYPTION: dict[str, tuple[int, tuple[int | None, ...]]] = {
    "esp-aes": (EncryptionId.ENCR_AES_CBC, (128, 192, 256)),
    "esp-gcm": (EncryptionId.ENCR_AES_GCM_16, (128, 192, 256)),
    "esp-null": (EncryptionId.ENCR_NULL, (None,)),
    "esp-chacha20-poly1305": (EncryptionId.ENCR_CHACHA20_POLY1305, (None,)),
}
ESP_INTEGRITY = {
    "esp-sha-hmac": int(IntegrityId.AUTH_HMAC_SHA1_96),
    "esp-sha256-hmac": int(IntegrityId.AUTH_HMAC_SHA2_256_128),
    "esp-sha384-hmac": int(IntegrityId.AUTH_HMAC_SHA2_384_192),
    "esp-sha512-hmac": int(IntegrityId.AUTH_HMAC_SHA2_512_256),
}
_HMAC = f"<integrity:={'|'.join(ESP_INTEGRITY)}>"
_SUITE = (
    f"{{<encryption:=esp-aes> [<bits:=128|192|256>] {_HMAC}|{_HMAC} <encryption:=esp-aes> [<bits:=128|192|256>]"
    f"|<encryption:=esp-gcm> [<bits:=128|192|256>]|<encryption:=esp-null> {_HMAC}|{_HMAC} <encryption:=esp-null>"
    f"|<encryption:=esp-chacha20-poly1305>}} [<esn:=esn>]"
)
PFS_GROUPS = {f"group{number}": number for number in sorted(GROUPS)}
REPLAY_WINDOWS = "64|128|256|512|1024"


def _suite(args: Args) -> dict[str, Any]:
    number, lengths = ESP_ENCRYPTION[args["encryption"]]
    return {
        "encryption": TransformChoice(number, int(args["bits"]) if "bits" in args else lengths[0]),
        "integrity": ESP_INTEGRITY[args["integrity"]] if "integrity" in args else None,
        "esn": "esn" in args,
    }


def _enter_transform_set(bench: Bench, args: Args) -> None:
    name = args["name"]
    if args.no:
        bench.drop("transform_sets", name)
        return
    known = bench.config.transform_sets.get(name)
    if "encryption" not in args:
        known = known or bench.standard("transform_sets", name)
        if known is None or name != NAME:
            raise Refused("% Incomplete command.")
        bench.put("transform_sets", known)
    elif known is None:
        bench.put("transform_sets", TransformSet(name=name, line=bench.line, **_suite(args)))
    else:
        bench.put("transform_sets", msgspec.structs.replace(known, smart_default=False, **_suite(args)))
    bench.enter("transform-set", name, f"crypto ipsec transform-set {name}")


def suite_text(item: TransformSet) -> str:
    """A transform-set's algorithms in IOS's words (`esp-aes 256 esp-sha256-hmac`)."""
    word, lengths = next((w, bits) for w, (number, bits) in ESP_ENCRYPTION.items() if number == item.encryption.id)
    words = [word]
    if item.encryption.key_length != lengths[0]:
        words.append(str(item.encryption.key_length))
    words.extend(word for word, number in ESP_INTEGRITY.items() if number == item.integrity)
    if item.esn:
        words.append("esn")
    return " ".join(words)


def _mode(bench: Bench, args: Args) -> None:
    transport = not args.no and args["mode"] == "transport"
    bench.change(transport=transport, transport_require=transport and "require" in args, smart_default=False)


def _show_mode(item: TransformSet) -> Iterable[str]:
    return [f"mode {'transport' if item.transport else 'tunnel'}{' require' if item.transport_require else ''}"]


TRANSFORM_SET_ROWS = (
    Row("transform-set", "mode {<mode:=tunnel>|<mode:=transport> [<require:=require>]}", _mode, _show_mode),
)


def _seconds(bench: Bench, args: Args) -> int:
    """The lifetime that a line says, in seconds or days."""
    if "days" in args:
        return int(args["days"]) * 86400
    bench.check_lifetime(args["seconds"], "seconds")
    return int(args["seconds"])


def _of_sa(attribute: str, convert: Callable[[Bench, Args], Any]) -> Callable[[Bench, Args], None]:
    """What a profile says of an attribute that `crypto ipsec security-association` says for all of them."""

    def run(bench: Bench, args: Args) -> None:
        common = getattr(bench.config.sa_defaults, attribute)
        value = common if args.no else convert(bench, args)
        said = {*bench.item.own, attribute} if value != common else {*bench.item.own} - {attribute}
        own = tuple(name for name in SaDefaults.__struct_fields__ if name in said)
        bench.change(**{attribute: value, "own": own})

    return run


def _of_all(attribute: str, convert: Callable[[Bench, Args], Any]) -> Callable[[Bench, Args], None]:
    """The same for every profile that does not say otherwise."""

    def run(bench: Bench, args: Args) -> None:
        value = getattr(SaDefaults(), attribute) if args.no else convert(bench, args)
        profiles = {
            name: item if attribute in item.own else msgspec.structs.replace(item, **{attribute: value})
            for name, item in bench.config.ipsec_profiles.items()
        }
        bench.set(
            ipsec_profiles=profiles, sa_defaults=msgspec.structs.replace(bench.config.sa_defaults, **{attribute: value})
        )

    return run


def _kilobytes(_: Bench, args: Args) -> int | None:
    return args.get("count")


def _window(_: Bench, args: Args) -> int:
    return int(args.get("size", 0))


def _idle(_: Bench, args: Args) -> int:
    seconds: int = args["seconds"]
    return seconds


def _transform_sets(bench: Bench, args: Args) -> None:
    bench.change(transform_sets=("default",) if args.no else tuple(dict.fromkeys(args["names"])))


def _pfs(bench: Bench, args: Args) -> None:
    if not args.no:
        bench.check_generation((args["group"],), "group")
    bench.change(pfs_group=None if args.no else PFS_GROUPS[args["group"]])


def _kilobytes_text(count: int | None) -> str:
    return f"lifetime kilobytes {'disable' if count is None else count}"


def _differs(attribute: str, default: Any, text: Callable[[Any], str]) -> Callable[[IpsecProfile], Iterable[str]]:
    def show(item: IpsecProfile) -> Iterable[str]:
        value = getattr(item, attribute)
        return (text(value),) if value != default or attribute in item.own else ()

    return show


def _said(attribute: str, text: Callable[[Any], str]) -> Callable[[RouterConfig], Iterable[str]]:
    """What the router says for all profiles, where it is not IOS's own default."""

    def show(config: RouterConfig) -> Iterable[str]:
        value = getattr(config.sa_defaults, attribute)
        return () if value == getattr(SaDefaults(), attribute) else (text(value),)

    return show


def inheriting(config: RouterConfig) -> dict[str, IpsecProfile]:
    """The profiles with what they have of the router's own values as it is by default: no line of theirs says it."""
    plain, common = SaDefaults(), config.sa_defaults
    found = {}
    for name, item in config.ipsec_profiles.items():
        names = [each for each in SaDefaults.__struct_fields__ if each not in item.own]
        same = {each: getattr(plain, each) for each in names if getattr(item, each) == getattr(common, each)}
        found[name] = msgspec.structs.replace(item, **same)
    return found


_LIFE = "set security-association lifetime"
_REPLAY = "replay {window-size <size:=" + REPLAY_WINDOWS + ">|disable}"

IPSEC_PROFILE_ROWS = (
    Row(
        "ipsec-profile",
        f"{_LIFE} seconds <seconds:120-2592000/10>",
        _of_sa("lifetime_seconds", _seconds),
        _differs("lifetime_seconds", 3600, lambda value: f"{_LIFE} seconds {value}"),
        default=f"{_LIFE} seconds 3600",
    ),
    Row("ipsec-profile", f"{_LIFE} days <days:1-30>", _of_sa("lifetime_seconds", _seconds)),
    Row(
        "ipsec-profile",
        f"{_LIFE} kilobytes {{<count:2560-4294967295>|disable}}",
        _of_sa("lifetime_kilobytes", _kilobytes),
        _differs("lifetime_kilobytes", 4608000, lambda value: f"set security-association {_kilobytes_text(value)}"),
        default=f"set security-association {_kilobytes_text(4608000)}",
    ),
    Row(
        "ipsec-profile",
        f"set security-association {_REPLAY}",
        _of_sa("replay_window", _window),
        _differs("replay_window", 64, lambda value: f"set security-association {replay_text(value)}"),
        default="set security-association replay window-size 64",
    ),
    Row(
        "ipsec-profile",
        "set security-association idle-time <seconds:60-86400>",
        _of_sa("idle_time", _idle),
        _differs("idle_time", None, lambda value: f"set security-association idle-time {value}"),
    ),
    Row(
        "ipsec-profile",
        "set transform-set <names:word>+",
        _transform_sets,
        _differs("transform_sets", ("default",), lambda names: f"set transform-set {' '.join(names)}"),
        default="set transform-set default",
    ),
    Row(
        "ipsec-profile",
        f"set pfs <group:={'|'.join(PFS_GROUPS)}>",
        _pfs,
        _differs("pfs_group", None, lambda number: f"set pfs group{number}"),
    ),
    one(
        "ipsec-profile",
        "set ikev2-profile <name:word>",
        "ikev2_profile",
        convert=lambda args: args["name"],
        text=lambda name: f"set ikev2-profile {name}",
    ),
    flag("ipsec-profile", "responder-only", "responder_only"),
    flag("ipsec-profile", "set security-association level per-host", "per_host"),
    one(
        "ipsec-profile",
        "ikescope per-resource-sas <count:2-64>",
        "per_resource_sas",
        convert=lambda args: args["count"],
        text=lambda count: f"ikescope per-resource-sas {count}",
    ),
)


def replay_text(size: int) -> str:
    """`replay window-size N`, or `replay disable` for 0."""
    return f"replay window-size {size}" if size else "replay disable"


def _df_bit(bench: Bench, args: Args) -> None:
    bench.set(df_bit="copy" if args.no else args["df"])


def _make_profile(bench: Bench, args: Args) -> IpsecProfile:
    return IpsecProfile(
        name=args["name"],
        transform_sets=("default",),
        line=bench.line,
        **msgspec.structs.asdict(bench.config.sa_defaults),
    )


#: The table of a smart default by what `default crypto ...` calls it.
_SMART = {
    "proposal": "proposals",
    "policy": "policies",
    "transform-set": "transform_sets",
    "profile": "ipsec_profiles",
}


def _restore(bench: Bench, args: Args) -> None:
    """`default crypto ...`: the smart default of that kind as it was before anybody touched it."""
    table = _SMART[args["what"]]
    bench.put(table, bench.standard(table, NAME))


_GLOBAL = "crypto ipsec security-association"

GLOBAL_ROWS = (
    Row(
        "global",
        f"{_GLOBAL} lifetime seconds <seconds:120-2592000/10>",
        _of_all("lifetime_seconds", _seconds),
        _said("lifetime_seconds", lambda value: f"{_GLOBAL} lifetime seconds {value}"),
        default=f"{_GLOBAL} lifetime seconds 3600",
    ),
    Row("global", f"{_GLOBAL} lifetime days <days:1-30>", _of_all("lifetime_seconds", _seconds)),
    Row(
        "global",
        f"{_GLOBAL} lifetime kilobytes {{<count:2560-4294967295>|disable}}",
        _of_all("lifetime_kilobytes", _kilobytes),
        _said("lifetime_kilobytes", lambda value: f"{_GLOBAL} {_kilobytes_text(value)}"),
        default=f"{_GLOBAL} {_kilobytes_text(4608000)}",
    ),
    Row(
        "global",
        f"{_GLOBAL} {_REPLAY}",
        _of_all("replay_window", _window),
        _said("replay_window", lambda value: f"{_GLOBAL} {replay_text(value)}"),
        default=f"{_GLOBAL} {replay_text(64)}",
    ),
    Row(
        "global",
        f"{_GLOBAL} idle-time <seconds:60-86400>",
        _of_all("idle_time", _idle),
        _said("idle_time", lambda value: f"{_GLOBAL} idle-time {value}"),
    ),
    Row(
        "global",
        "crypto ipsec df-bit {<df:=copy>|<df:=set>|<df:=clear>}",
        _df_bit,
        lambda config: () if config.df_bit == "copy" else (f"crypto ipsec df-bit {config.df_bit}",),
        default="crypto ipsec df-bit copy",
    ),
    Row(
        "global",
        f"crypto ipsec transform-set <name:word> [{_SUITE}]",
        _enter_transform_set,
        lambda item: [f"crypto ipsec transform-set {item.name} {suite_text(item)} "],
        "crypto ipsec transform-set <name:word> [<_:line>]",
        opens="transform-set",
    ),
    Row("global", "default crypto ikev2 {<what:=proposal|policy>}", _restore, None, None),
    Row("global", "default crypto ipsec {<what:=transform-set|profile>}", _restore, None, None),
    opener(
        "ipsec-profile",
        "crypto ipsec profile <name:word>",
        "ipsec_profiles",
        _make_profile,
        title="crypto ipsec profile",
    ),
)


def missing_defaults(config: RouterConfig) -> Iterable[str]:
    """The `no` lines for smart defaults that were taken away."""
    for table, title in (
        ("proposals", "crypto ikev2 proposal"),
        ("policies", "crypto ikev2 policy"),
        ("transform_sets", "crypto ipsec transform-set"),
        ("ipsec_profiles", "crypto ipsec profile"),
    ):
        if "default" not in getattr(config, table):
            yield f"no {title} default"
