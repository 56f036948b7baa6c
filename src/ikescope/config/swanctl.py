"""A swanctl.conf as the router that it describes: connections become profiles, children become tunnels.

strongSwan has no tunnel interfaces: those are made, one for each child. Where both ends' selectors are `dynamic[gre]`
it is a GRE tunnel, otherwise one in mode ipsec with an access-list of the child's selectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import PurePath
from typing import Any, TypeVar, cast

import msgspec

from ikescope.config import swanctl_words as words
from ikescope.config.check import check
from ikescope.config.model import (
    AccessEntry,
    AccessList,
    Address,
    Dpd,
    Finding,
    Fragmentation,
    Ignored,
    IpsecProfile,
    Keyring,
    Network,
    Policy,
    Profile,
    Proposal,
    RouterConfig,
    TransformSet,
    Tunnel,
    TunnelMode,
)
from ikescope.config.smart_defaults import empty
from ikescope.config.swanctl_keys import keyring
from ikescope.config.swanctl_text import Include, Section, Setting, SwanctlError, parse
from ikescope.config.swanctl_words import Part, WordError, Words
from ikescope.wire.registry import AuthMethod, KeyExchangeId

Ends = tuple[Address, Address]
"""Source and destination of a tunnel of another router."""
FOREVER = 10 * 365 * 86400
"""The lifetime where nothing ends: strongSwan has none without a rekey."""
_GRE = 47
_T = TypeVar("_T")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TAKEN = _names(
    "version local_addrs remote_addrs proposals encap dpd_delay fragmentation rekey_time reauth_time over_time "
    "childless"
)
IDLE = _names(
    "unique mobike local_port remote_port keyingtries dscp send_cert send_certreq pull dpd_timeout rand_time if_id_in "
    "if_id_out ocsp"
)
"""Of a connection: what changes nothing here and is named."""
BREAKING = _names("aggressive vips pools ppk_id ppk_required mediation mediated_by mediation_peer")
"""Of a connection: what another connection would come of."""
CHILD_TAKEN = _names(
    "local_ts remote_ts esp_proposals mode rekey_time life_time rekey_bytes life_bytes start_action replay_window "
    "dpd_action close_action"
)
CHILD_IDLE = _names(
    "updown hostaccess rand_time rand_bytes rand_packets rekey_packets life_packets "
    "inactivity reqid priority interface mark_in mark_out mark_in_sa set_mark_in set_mark_out if_id_in if_id_out label "
    "label_mode tfc_padding hw_offload copy_df copy_ecn copy_dscp policies policies_fwd_out ipcomp sha256_96 "
    "per_cpu_sas"
)
CHILD_BREAKING = frozenset(["ah_proposals"])
_MODES: dict[tuple[bool, bool], TunnelMode] = {
    (True, False): "gre ip",
    (True, True): "gre ipv6",
    (False, False): "ipsec ipv4",
    (False, True): "ipsec ipv6",
}
"""By whether it is GRE and whether it is IPv6."""
_DYNAMIC: tuple[Part, ...] = (Part(None),)
_CHILDLESS = words.one_of("allow", "never", "prefer", "force")
_CHOICES: dict[str, Callable[[str], str]] = {
    "unique": words.one_of("no", "never", "keep", "replace"),
    "start_action": words.one_of("none", "trap", "start", "trap|start"),
    "close_action": words.one_of("none", "trap", "start", "trap|start"),
    "dpd_action": words.one_of("none", "clear", "trap", "start", "restart"),
}
_AFTERWARDS = {"dpd_action": "a peer that fell silent", "close_action": "a peer that deleted the Child SA"}
"""What a rehearsal answers in one way, whatever is configured."""


def load(
    text: str, *, name: str = "<swanctl.conf>", include: Include | None = None, ends: Sequence[Ends] = ()
) -> RouterConfig:
    """Read a swanctl.conf; `findings` and `ignored` say what has no counterpart, with its line.

    `ends` are source and destination of the tunnels of other routers: they tell an address that the file leaves open.
    SwanctlError where a line cannot be read or a value is none.
    """
    root = parse(text, name, include)
    reader = _Reader(root, name, tuple(ends))
    reader.read()
    return reader.config()


@dataclass(slots=True)
class _Reader:
    root: Section
    name: str
    ends: tuple[Ends, ...]
    proposals: dict[str, Proposal] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    keyrings: dict[str, Keyring] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    sets: dict[str, TransformSet] = field(default_factory=dict)
    ipsec: dict[str, IpsecProfile] = field(default_factory=dict)
    lists: dict[str, AccessList] = field(default_factory=dict)
    tunnels: dict[str, Tunnel] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    idle: list[Ignored] = field(default_factory=list)
    fragmentation: bool = False

    def read(self) -> None:
        """All connections; other sections are named."""
        for section in self.root.sections.values():
            if section.name in ("pools", "authorities"):
                self.idle.append(Ignored(line=section.line, text=f"{section.name} {{ }}", near=True))
        connections = self.root.sections.get("connections", Section("connections"))
        if not connections.sections:
            raise SwanctlError(f"{self.name}: had no connection, wanted `connections {{ NAME {{ ... }} }}`")
        for section in connections.sections.values():
            self._connection(section)

    def config(self) -> RouterConfig:
        """The router, named after its file; after the directory of one that has the usual name."""
        bare = empty("17")
        made = msgspec.structs.replace(
            bare,
            hostname=_hostname(PurePath(self.name)),
            version="strongSwan",
            proposals=self.proposals,
            policies=self.policies,
            keyrings=self.keyrings,
            profiles=self.profiles,
            transform_sets=self.sets,
            ipsec_profiles=self.ipsec,
            access_lists=self.lists,
            tunnels=self.tunnels,
            fragmentation=Fragmentation() if self.fragmentation else None,
            ignored=tuple(self.idle),
            source=self.name,
        )
        findings = (*self.found, *check(made))
        return msgspec.structs.replace(made, findings=tuple(sorted(findings, key=lambda one: one.line)))

    def value(self, section: Section, key: str, read: Callable[[str], _T], default: _T) -> _T:
        """What a setting says, read by `read`; SwanctlError with its place for a value that is none."""
        setting = section.settings.get(key)
        if setting is None or not setting.value:
            return default
        try:
            return read(setting.value)
        except WordError as error:
            raise SwanctlError(f"{setting.source or self.name}:{setting.line}: {key}: {error}") from None

    def say(self, severity: Any, line: int, text: str, remedy: str = "") -> None:
        """One finding."""
        self.found.append(Finding(severity=severity, line=line, text=text, remedy=remedy))

    def _sort(self, section: Section, taken: frozenset[str], idle: frozenset[str], breaking: frozenset[str]) -> None:
        for key, setting in section.settings.items():
            if key in _CHOICES:
                self.value(section, key, _CHOICES[key], "")
            text = f"{section.name}: {key} = {setting.value}"
            if key in breaking:
                self.say("error", setting.line, f"{text} has no counterpart in ikescope", f"no {key}")
            elif key in idle:
                self.idle.append(Ignored(line=setting.line, text=text, near=True))
            elif key not in taken:
                wanted = ", ".join(sorted(taken | idle))
                raise SwanctlError(f"{setting.source}:{setting.line}: had {key}, wanted one of {wanted}")

    def _connection(self, section: Section) -> None:
        self._sort(section, TAKEN, IDLE, BREAKING)
        if self.value(section, "version", lambda text: text, "0") not in ("0", "2"):
            self.say("error", _line(section, "version"), f"connection {section.name} speaks IKEv1 only", "version = 2")
        source, destination = self._ends(section)
        local, remote = self._round(section, "local"), self._round(section, "remote")
        local_id = self.value(local, "id", words.identity, None)
        remote_id = self.value(remote, "id", words.identity, None)
        self._policy(section, source)
        self.fragmentation |= self.value(section, "fragmentation", _fragmentation, True)
        self.keyrings[section.name] = keyring(
            self.root, section, (local_id, source), (remote_id, destination), self.value
        )
        rekey = self.value(section, "rekey_time", words.seconds, 4 * 3600)
        over = self.value(section, "over_time", words.seconds, rekey // 10)
        delay = self.value(section, "dpd_delay", words.seconds, 0)
        self.profiles[section.name] = Profile(
            name=section.name,
            match_remote=(words.match(remote_id, _line(remote, "id")),),
            match_local=() if source is None else (source,),
            identity_local=local_id,
            auth_local=AuthMethod.SHARED_KEY_MIC,
            auth_remote=(AuthMethod.SHARED_KEY_MIC,),
            keyring=section.name,
            lifetime=rekey + over if rekey else FOREVER,
            dpd=Dpd(delay, 2, False) if delay else None,
            nat_force_encap=self.value(section, "encap", words.flag, False),
            config_exchange_request=False,
            childless=cast("Any", self.value(section, "childless", _CHILDLESS, "allow")),
            reauthentication=self.value(section, "reauth_time", words.seconds, 0) or None,
            refused_child="keep",
            line=section.line,
        )
        children = section.sections.get("children", Section("children", line=section.line))
        if not children.sections:
            self.say("error", section.line, f"connection {section.name} has no child", "children { NAME { ... } }")
        for child in children.sections.values():
            self._child(section, child, source, destination)

    def _ends(self, section: Section) -> tuple[Address | None, Address | None]:
        """Its addresses; where it leaves one open, the one that another router's tunnel says."""
        source = self.value(section, "local_addrs", words.address, None)
        destination = self.value(section, "remote_addrs", words.address, None)
        if source is not None and destination is not None:
            return source, destination
        fits = {
            (there, here)
            for here, there in self.ends
            if self._may_be(section, "local_addrs", source, there)
            and self._may_be(section, "remote_addrs", destination, here)
        }
        if len(fits) != 1:
            self._open(section, source, destination, fits)
            return source, destination
        (found,) = fits
        open_ = [key for key, value in (("local_addrs", source), ("remote_addrs", destination)) if value is None]
        told = ", ".join(f"{key} = {found[key == 'remote_addrs']}" for key in open_)
        self.say("note", section.line, f"connection {section.name} leaves open what the other end says: {told}")
        return found

    def _may_be(self, section: Section, key: str, known: Address | None, end: Address) -> bool:
        """Whether an address is one that `local_addrs` or `remote_addrs` admits."""
        if known is not None:
            return known == end
        admitted = self.value(section, key, words.within, None)
        return admitted is None or any(end in network for network in admitted)

    def _open(self, section: Section, source: Address | None, destination: Address | None, fits: set[Ends]) -> None:
        """Say which address stays open, and why: no other end tells it, or several do."""
        for key, known, at in (("local_addrs", source, 0), ("remote_addrs", destination, 1)):
            if known is not None or not self.ends:
                continue
            setting = section.settings.get(key)
            had = f"{key} = {setting.value}" if setting is not None and setting.value else f"no {key}"
            names = () if setting is None else words.names(setting.value)
            why = f" ({', '.join(names)}: no name is looked up here)" if names else ""
            several = sorted({str(one[at]) for one in fits})
            if len(several) > 1:
                rest = f"{', '.join(several)} all fit: rehearse them one at a time, or name one"
            else:
                rest = "no tunnel of the other files is its other end"
            text = f"connection {section.name}: {had} names no host{why}, and {rest}"
            self.say("error", _line(section, key), text, f"{key} = A.B.C.D")

    def _round(self, section: Section, side: str) -> Section:
        """`local` or `remote`: one round of authentication by a pre-shared key."""
        rounds = [one for name, one in section.sections.items() if name.partition("-")[0] == side]
        if not rounds:
            self.say(
                "error",
                section.line,
                f"connection {section.name} has no {side} authentication",
                f"{side} {{ auth = psk }}",
            )
            return Section(side, section.source, section.line)
        if len(rounds) > 1:
            self.say(
                "error",
                rounds[1].line,
                f"connection {section.name} authenticates in {len(rounds)} rounds: ikescope has one",
            )
        auth = rounds[0].settings.get("auth", Setting("pubkey", section.source, rounds[0].line))
        if auth.value != "psk":
            text = f"connection {section.name}: {side} auth = {auth.value}: ikescope has pre-shared keys only"
            self.say("error", auth.line, text, "auth = psk")
        return rounds[0]

    def _policy(self, section: Section, source: Address | None) -> None:
        names = []
        line = _line(section, "proposals")
        wanted = self.value(
            section, "proposals", lambda text: words.proposals(text, "ike"), words.proposals("default", "ike")
        )
        for number, one in enumerate(self._ours(wanted, line, section.name), 1):
            name = section.name if number == 1 else f"{section.name}-{number}"
            self.proposals[name] = Proposal(
                name=name, encryption=one.encryption, prf=one.prf, integrity=one.integrity, groups=one.groups, line=line
            )
            names.append(name)
        key = str(source or "any")
        before = self.policies.get(key)
        if before is None:
            local = () if source is None else (source,)
            self.policies[key] = Policy(name=key, proposals=tuple(names), match_local=local, line=line)
            return
        first = [self.proposals[name] for name in before.proposals]
        same = [msgspec.structs.replace(one, name="", line=0) for one in first]
        mine = [msgspec.structs.replace(self.proposals[name], name="", line=0) for name in names]
        if same != mine:
            text = f"connection {section.name}: another one at the same address has other proposals; both are taken"
            self.say("warning", line, text)
            self.policies[key] = msgspec.structs.replace(before, proposals=(*before.proposals, *names))
        else:
            for name in names:
                del self.proposals[name]

    def _ours(self, wanted: Sequence[Words], line: int, who: str) -> Iterator[Words]:
        """The proposals without the algorithms that ikescope has not, which are named."""
        some = False
        for one in wanted:
            if one.foreign:
                self.say("note", line, f"{who}: {', '.join(one.foreign)} left out: ikescope has no such algorithm")
            if one.encryption and (one.aead or one.integrity):
                some = True
                yield one
        if not some:
            self.say("error", line, f"{who}: no proposal is left that ikescope has", "aes256-sha256-ecp256")

    def _child(self, section: Section, child: Section, source: Address | None, destination: Address | None) -> None:
        self._sort(child, CHILD_TAKEN, CHILD_IDLE, CHILD_BREAKING)
        name = f"{section.name}/{child.name}"
        local = self.value(child, "local_ts", words.selectors, _DYNAMIC)
        remote = self.value(child, "remote_ts", words.selectors, _DYNAMIC)
        mode = self.value(child, "mode", _mode, "tunnel")
        gre = all(_is_gre(parts, end) for parts, end in ((local, source), (remote, destination)))
        if mode == "other" or (mode == "transport" and not gre):
            text = f"child {name}: mode = {child.settings['mode'].value}: ikescope has transport mode for GRE only"
            self.say("error", _line(child, "mode"), text, "mode = tunnel")
        if child.settings.get("start_action", Setting("none")).value == "none":
            text = (
                f"child {name}: start_action = none: rehearsed as if `swanctl --initiate --child {child.name}` followed"
            )
            self.say("note", _line(child, "start_action"), text)
        for key, what in _AFTERWARDS.items():
            if key in child.settings and child.settings[key].value != "trap":
                action = child.settings[key].value
                text = f"child {name}: {key} = {action}: after {what} the next packet begins anew, as with trap"
                self.say("note", _line(child, key), text)
        self._ipsec(section.name, child, name, transport=gre and mode == "transport")
        six = any(end is not None and end.version == 6 for end in (source, destination))
        acl = None
        if not gre:
            six = any(part.network is not None and part.network.version == 6 for part in (*local, *remote))
            acl = self._list(child, name, [_networks(local, source), _networks(remote, destination)])
        self.tunnels[name] = Tunnel(
            name=name,
            source=None if source is None else str(source),
            source_address=source,
            destination=destination,
            mode=_MODES[gre, six],
            ipsec_profile=name,
            policy_acl=acl,
            line=child.line,
        )

    def _list(self, child: Section, name: str, sides: list[list[tuple[Network, Part]] | None]) -> str | None:
        local, remote = sides
        line = _line(child, "local_ts")
        if local is None or remote is None:
            text = f"child {name}: `dynamic` is the address of this end, which the file does not say"
            self.say("error", line, text, "local_addrs = A.B.C.D, remote_addrs = A.B.C.D")
            return None
        entries = []
        for (ours, mine), (theirs, his) in product(local, remote):
            if mine.protocol and his.protocol and mine.protocol != his.protocol:
                continue
            entries.append(
                AccessEntry(
                    permit=True,
                    protocol=mine.protocol or his.protocol,
                    source=ours,
                    destination=theirs,
                    source_ports=mine.ports,
                    destination_ports=his.ports,
                    line=line,
                )
            )
        if (
            len(entries) == 1
            and entries[0].source.prefixlen == entries[0].destination.prefixlen == 0 == entries[0].protocol
        ):
            return None
        if len(entries) > 1:
            self.say(
                "note",
                line,
                f"child {name}: rehearsed as {len(entries)} Child SAs, one for each pair of selectors",
            )
        self.lists[name] = AccessList(name=name, entries=tuple(entries), line=line)
        return name

    def _ipsec(self, connection: str, child: Section, name: str, *, transport: bool) -> None:
        line = _line(child, "esp_proposals")
        wanted = self.value(
            child, "esp_proposals", lambda text: words.proposals(text, "esp"), words.proposals("default", "esp")
        )
        names: list[str] = []
        groups: dict[int, None] = {}
        for one in self._ours(wanted, line, f"child {name}"):
            groups.update(dict.fromkeys(one.groups))
            for choice, integrity, esn in product(one.encryption, one.integrity or (None,), one.esn or (False,)):
                key = f"{name}-{len(names) + 1}"
                self.sets[key] = TransformSet(
                    name=key,
                    encryption=choice,
                    integrity=integrity,
                    esn=esn,
                    transport=transport,
                    transport_require=transport,
                    line=line,
                )
                names.append(key)
        if len(groups) > 1:
            first, *others = (KeyExchangeId.of(group).name for group in groups)
            text = f"child {name}: rekeyed with {first}; {', '.join(others)} of esp_proposals left out at a rekey"
            self.say("note", line, text, "one key exchange in esp_proposals")
        rekey = self.value(child, "rekey_time", words.seconds, 3600)
        life = self.value(child, "life_time", words.seconds, rekey + rekey // 10)
        some = self.value(child, "rekey_bytes", words.octets, 0)
        most = self.value(child, "life_bytes", words.octets, some + some // 10)
        self.ipsec[name] = IpsecProfile(
            name=name,
            transform_sets=tuple(names),
            ikev2_profile=connection,
            pfs_group=next(iter(groups), None),
            lifetime_seconds=life or FOREVER,
            lifetime_kilobytes=most // 1024 or None,
            replay_window=self.value(child, "replay_window", words.number, 32),
            line=child.line,
        )


def _hostname(path: PurePath) -> str:
    name = path.parent.name if path.stem == "swanctl" and path.parent.name else path.stem
    return name if name not in ("", "-") else "strongswan"


def _line(section: Section, key: str) -> int:
    setting = section.settings.get(key)
    return section.line if setting is None else setting.line


def _fragmentation(text: str) -> bool:
    return text in ("accept", "force") or words.flag(text)


def _mode(text: str) -> str:
    if text not in ("tunnel", "transport", "transport_proxy", "beet", "pass", "drop"):
        raise WordError(f"had {text}, wanted tunnel or transport")
    return text if text in ("tunnel", "transport") else "other"


def _is_gre(parts: tuple[Part, ...], end: Address | None) -> bool:
    return all(
        one.protocol == _GRE
        and (one.network is None or (end is not None and one.network.num_addresses == 1 and end in one.network))
        for one in parts
    )


def _networks(parts: tuple[Part, ...], end: Address | None) -> list[tuple[Network, Part]] | None:
    """Each selector with its network; None where `dynamic` stands and the address is not known."""
    found: list[tuple[Network, Part]] = []
    for one in parts:
        if one.network is not None:
            found.append((one.network, one))
        elif end is None:
            return None
        else:
            found.append((words.host(end), one))
    return found
