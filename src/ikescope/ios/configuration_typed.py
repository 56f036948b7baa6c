"""Lines typed in `configure terminal` that are another part's of a router: taken, without effect, with their blocks.

As a file's are: a tool that pushes a whole configuration goes on, and what is a mistake in our own part stays one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ikescope.ios.configuration_foreign import FOREIGN_HEADS, OF_LOGINS, OUTSIDE_INTERFACES, plain, redact

WITHOUT_EFFECT = "accepted, without effect on ikescope"

#: Words that begin lines of ours too: what follows them decides.
_SHARED = {
    "line": "aux con console tty",
    "logging": "discriminator event facility history host on origin-id queue-limit rate-limit source-interface "
    "synchronous trap userinfo",
    "ip": "arp as-path bgp-community bootp cef classless community-list dhcp domain domain-lookup domain-name finger "
    "flow forward-protocol ftp gratuitous-arps host http icmp multicast name-server nat nbar pim prefix-list "
    "radius rcmd routing scp sla source-route subnet-zero tacacs tcp telnet tftp",
    "ipv6": "cef dhcp general-prefix host icmp multicast nat nd prefix-list router unicast-routing",
}
_FOLLOWING = {head: frozenset(words.split()) for head, words in _SHARED.items()}
_OURS = frozenset(("enable", "hostname", "key", "username", "version", "vrf", *_FOLLOWING))

_WORDS_OF_LINES = """
absolute-timeout access-class accounting activation-character authorization autocommand databits escape-character exec
flowcontrol history ipv6 location logging monitor motd-banner notify parity password refuse-message rotary session-limit
session-timeout speed stopbits vacant-message
"""
_OF_LINES = frozenset(_WORDS_OF_LINES.split())

#: What opens a mode, by the line's beginning, and IOS's prompt of it.
_OPENERS = {
    "line": "line",
    "router": "router",
    "ipv6 router": "rtr",
    "class-map": "cmap",
    "policy-map": "pmap",
    "route-map": "route-map",
    "ip access-list standard": "std-nacl",
    "ip sla": "ip-sla",
    "archive": "archive",
    "control-plane": "cp",
    "aaa group": "sg",
    "tacacs server": "server-tacacs",
    "radius server": "radius-server",
    "event manager applet": "applet",
    "flow": "flow",
    "redundancy": "red",
    "time-range": "time-range",
    "track": "track",
    "vlan": "vlan",
    "call-home": "call-home",
    "object-group": "network-group",
    "parameter-map": "profile",
    "zone": "sec-zone",
}
_DHCP_POOL = re.compile(r"ip dhcp pool \S")
_BANNER = re.compile(r"banner (?:\S+ )?(\^.|\S)(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A block of another part that lines are typed in: its prompt; or a banner's text, up to the sign that ends it."""

    prompt: str
    until: str = ""


def is_foreign(text: str) -> bool:
    """Whether a global line is another part's, by its first words."""
    words = plain(text).split()
    if not words:
        return False
    if words[0] in _FOLLOWING:
        return len(words) > 1 and words[1] in _FOLLOWING[words[0]]
    return words[0] in FOREIGN_HEADS - _OURS


def opened(text: str) -> Elsewhere | None:
    """The block that such a line opens; None for one that stands alone."""
    found = _BANNER.match(text.strip())
    if found is not None:
        return None if found[1] in found[2] else Elsewhere("", found[1])
    if text.split()[0].lower() in ("no", "default"):
        return None
    words = plain(text)
    if _DHCP_POOL.match(words):
        return Elsewhere("(dhcp-config)#")
    prompt = next((name for head, name in _OPENERS.items() if words.startswith(f"{head} ") or words == head), None)
    return None if prompt is None else Elsewhere(f"(config-{prompt})#")


def stands_outside(mode: str, words: str) -> bool:
    """Whether such a line never belongs to an item of this mode: it is a global one, wherever it is typed."""
    if mode in OF_LOGINS:
        return mode == "vty" and words.split()[0] not in _OF_LINES
    return mode not in ("interface", "tunnel") or words.split()[0] in OUTSIDE_INTERFACES


def is_of_lines(mode: str, text: str) -> bool:
    """Whether it says something of a `line vty` that nothing here hangs on."""
    return mode == "vty" and plain(text).partition(" ")[0] in _OF_LINES


def taken(text: str) -> list[str]:
    """What is answered to it."""
    return [f"% {redact(' '.join(text.split()))}: {WITHOUT_EFFECT}"]
