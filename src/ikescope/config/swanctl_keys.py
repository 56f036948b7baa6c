"""The secrets of a swanctl.conf as the keyring of a connection: which key is for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from ikescope.config import swanctl_words as words
from ikescope.config.model import Address, Identity, Keyring, KeyringPeer, Network, Secret
from ikescope.config.swanctl_text import Section
from ikescope.wire.registry import IdType

REMOVED = frozenset({"<removed>", "<secret>", "********"})
"""What stands in a file that was made ready to be shown."""
End = tuple[Identity | None, Address | None]
"""Who an end says it is and where it is, as far as the file says."""
Value = Callable[..., Any]


def keyring(root: Section, connection: Section, local: End, remote: End, value: Value) -> Keyring:
    """The keys that serve a connection, the closest first: for both ends, for the peer, for anybody."""
    secrets = root.sections.get("secrets", Section("secrets"))
    ranked: list[tuple[int, KeyringPeer]] = []
    for section in secrets.sections.values():
        if section.name.partition("-")[0] != "ike":
            continue
        owners = [
            value(section, key, words.identity, None)
            for key in section.settings
            if key == "id" or key.startswith(("id-", "id_"))
        ]
        said = section.settings.get("secret")
        if said is not None and said.value.strip() in REMOVED:
            continue
        key: Secret | None = value(section, "secret", words.secret, None)
        if key is not None:
            ranked += _blocks(section, [one for one in owners if one is not None], key, local, remote)
    ranked.sort(key=lambda one: one[0])
    return Keyring(name=connection.name, peers=tuple(block for _, block in ranked), line=connection.line)


def _blocks(
    section: Section, owners: list[Identity], key: Secret, local: End, remote: End
) -> Iterator[tuple[int, KeyringPeer]]:
    """Closest first, as strongSwan counts which of both ends owns a secret; one that nobody owns serves everybody."""
    mine = any(_is(one, local) for one in owners)
    anybody = _anybody(remote[1])
    there = None if remote[1] is None else words.host(remote[1])
    if any(_is(one, remote) for one in owners):
        known = next(one for one in owners if _is(one, remote))
        yield 0 if mine else 1, _block(section, key, there or anybody, known)
        return
    if remote[0] is None:
        for number, one in enumerate(owners):
            if not _is(one, local):
                network = words.host(ip_address(one.value)) if _is_address(one) else None
                yield 2, _block(section, key, network, one, f"{section.name}-{number}")
    if mine or not owners:
        yield 3 if mine else 4, _block(section, key, anybody, None)


def _block(
    section: Section, key: Secret, network: Network | None, owner: Identity | None, name: str = ""
) -> KeyringPeer:
    return KeyringPeer(
        name=name or section.name,
        address=network,
        identity=None if owner is None else words.match(owner, section.line),
        local_key=key,
        remote_key=key,
        line=section.line,
    )


def _is_address(one: Identity) -> bool:
    return one.type in (IdType.ID_IPV4_ADDR, IdType.ID_IPV6_ADDR)


def _is(owner: Identity, end: End) -> bool:
    identity, address = end
    if identity is not None:
        return owner.type == identity.type and owner.value.lower() == identity.value.lower()
    return address is not None and _is_address(owner) and owner.value == str(address)


def _anybody(address: Address | None) -> Network:
    return IPv6Network("::/0") if address is not None and address.version == 6 else IPv4Network("0.0.0.0/0")
