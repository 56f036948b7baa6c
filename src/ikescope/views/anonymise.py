"""Records and configurations without what says whose they are: what people can post.

Names, addresses, identities and SPIs are replaced, the same by the same wherever they stand, in texts and in octets
(`aliases`, `anonymise_octets`); keys are in no record. Times, sizes, algorithms, interface names and vendor IDs stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from ikescope.events import UNSET, AttributeFact, IdentityFact, Record
from ikescope.events.message import DatagramEvent, FragmentReceived, FragmentSent, MessageDropped, MessageSent
from ikescope.ios.commands import EXEC_ROWS
from ikescope.ios.configuration_foreign import redact
from ikescope.ios.configuration_rows import ROWS
from ikescope.ios.exec_changes import without_secrets
from ikescope.views.aliases import IPV4, IPV6, Aliases
from ikescope.views.anonymise_octets import Ends, Octets

#: Facts that are names of somebody's, and what stands for them.
NAMES = {
    "router": "router",
    "keyring": "keyring",
    "block": "peer",
    "keyring_block": "peer",
    "profile": "profile",
    "policy": "policy",
    "proposals": "proposal",
    "tunnel": "tunnel",
    "tunnels": "tunnel",
    "interface": "interface",
    "name": "name",
    "source": "source",
    "ours": "proposal",
}
#: How our sentences speak of what the configuration names, and words that follow the keyword without being a name.
_SPOKEN = re.compile(
    r"\b(profile|keyring|policy|proposal|hostname|access-list|transform-set|block) '?([^\s(),;:'\"]+)"
    r"|\b(crypto map) ([^\s(),;:'\"]+)"
    r"|\b(ours) \(([^)\s]+)\)|\b(proposal) \d+ with (\S+)|\b(but) (\S+) stands before"
)
_FOLLOWING = frozenset(
    """a an and as at by does equals for from had has here holds in is it matches names no not of or that the there this
    to was whose with which wanted""".split()  # noqa: SIM905  # a list of words reads best as words
)
SPIS = frozenset(
    (
        *("spi", "spis", "spi_i", "spi_r", "spi_a", "spi_b", "inbound", "outbound", "rekeys", "unknown"),
        *("kept", "closed", "old_spi_i", "old_spi_r", "new_spi_i", "new_spi_r"),
        *("old_inbound", "old_outbound", "new_inbound", "new_outbound"),
    )
)
LINES = frozenset(("command", "lines", "text"))
"""Facts that are words of IOS: what is no keyword in them is a name."""
HEXADECIMAL = re.compile(r"(?:0x)?(?:[0-9A-Fa-f]{16}|[0-9A-Fa-f]{8})")
_CONSOLE = re.compile(r"console(?: \d+)?|web|ssh")
_PATH = re.compile(r'File "[^"]*?(ikescope/[^"]*)?"')
_BYTES = re.compile(r"""b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*\"""")
_KEYWORD = re.compile(r"[A-Za-z][\w.+-]*")
_VALUE = re.compile(r"<\w+:(=?)([^>]*)>")
_NUMBER = re.compile(r"[\d,/:.-]*\d")


def vocabulary() -> frozenset[str]:
    """Every keyword of the grammar, configuration and exec; a value's choices are keywords too."""
    found = {"no", "do", "end", "exit", "default", "<removed>", "building", "current", "ip", "ipv6"}
    for row in (*EXEC_ROWS, *(row for rows in ROWS.values() for row in rows)):
        for syntax in (row.syntax, row.undo or ""):
            choices = " ".join(spec for literal, spec in _VALUE.findall(syntax) if literal)
            found.update(_KEYWORD.findall(_VALUE.sub(" ", syntax)) + _KEYWORD.findall(choices))
    return frozenset(word.lower() for word in found)


#: Keywords whose word or words that follow are nobody's business.
_FREE_TEXT = re.compile(r"(?i)^(\s*(?:no\s+)?(?:description|remark|banner)\b)\s.*$")
#: Keywords before a name, and what stands for it.
_NAMED = {
    "hostname": "router",
    "keyring": "keyring",
    "peer": "peer",
    "proposal": "proposal",
    "policy": "policy",
    "profile": "profile",
    "ikev2-profile": "profile",
    "transform-set": "transform-set",
    "access-list": "access-list",
}


class Anonymiser:
    """One anonymised whole: `meet` every record and configuration line of it, then ask for them in any order."""

    def __init__(self) -> None:
        self.aliases = Aliases()
        self._octets = Octets(self.aliases)
        self._words = vocabulary()
        self._settled = False

    # What there is.

    def meet(self, record: Record) -> None:
        """Whatever of a record is to be replaced."""
        self._meet_struct(record.stamp)
        self._meet_struct(record.event)
        event = record.event
        octets, opened = getattr(event, "octets", UNSET), getattr(event, "opened", UNSET)
        if isinstance(octets, bytes):
            self._octets.meet(octets)
        if isinstance(opened, bytes) and isinstance(event, DatagramEvent) and isinstance(event.opened_first, int):
            self._octets.meet_opened(event.opened_first, opened)

    def meet_line(self, line: str) -> None:
        """A line of a configuration, or of a console."""
        before = ""
        for word in _without_free_text(line).split():
            if self._is_name(word):
                self.aliases.meet_name(word, _NAMED.get(before, "name"))
            self.aliases.meet_text(word)
            before = word.lower()

    def _is_name(self, word: str) -> bool:
        return word.lower() not in self._words and not _NUMBER.fullmatch(word) and not _is_address(word)

    def _meet_struct(self, value: msgspec.Struct) -> None:
        if isinstance(value, IdentityFact):
            self.aliases.meet_identity(value.type, value.value)
            return
        for name in value.__struct_fields__:
            self._meet_value(name, getattr(value, name))

    def _meet_value(self, name: str, value: Any) -> None:
        if isinstance(value, str):
            self._meet_text(name, value)
        elif isinstance(value, tuple | list):
            for one in value:
                self._meet_value(name, one)
        elif isinstance(value, msgspec.Struct):
            self._meet_struct(value)

    def _meet_text(self, name: str, value: str) -> None:
        if name in SPIS:
            if HEXADECIMAL.fullmatch(value):
                self.aliases.meet_spi(value.removeprefix("0x"))
        elif name in LINES:
            self.meet_line(value)
        else:
            if name in NAMES and (" " not in value or name == "source") and not _is_address(value):
                self.aliases.meet_name(value, NAMES[name])
            self.aliases.meet_text(value)
            for found in _SPOKEN.finditer(value):
                kind, spoken = (one for one in found.groups() if one is not None)
                if spoken not in _FOLLOWING and not _is_address(spoken):
                    self.aliases.meet_name(spoken, _NAMED.get(kind, "name"))

    # What stands for it.

    def settle(self) -> None:
        """All was met."""
        self.aliases.settle()
        self._settled = True

    def record(self, record: Record) -> Record:
        """A record with everything in it replaced."""
        event = self._struct(record.event)
        if isinstance(record.event, DatagramEvent | FragmentSent | FragmentReceived | MessageDropped):
            event = self._datagram(record.event, event)
        return Record(self._struct(record.stamp), event)

    def line(self, line: str) -> str:
        """A line of a configuration: keywords, numbers and replacements, nothing else; keys removed."""
        text = _without_free_text(line)
        indent = text[: len(text) - len(text.lstrip())]
        return indent + " ".join(self._word(word) for word in text.split())

    def _word(self, word: str) -> str:
        if word.lower() in self._words or (_NUMBER.fullmatch(word) and not _is_address(word)):
            return word
        return self.aliases.name(word)

    def text(self, text: str) -> str:
        """Any text."""
        return self.aliases.text(text)

    def _datagram(self, old: Any, new: Any) -> Any:
        """The octets of a message, written anew where that is possible, left out where it is not."""
        changes: dict[str, Any] = {}
        if isinstance(old.octets, bytes):
            ends = _ends(old)
            octets = None if ends is None else self._octets.message(old.octets, ends)
            changes["octets"] = UNSET if octets is None else octets
        if isinstance(old, DatagramEvent) and isinstance(old.opened, bytes):
            opened = self._octets.opened(old.opened_first, old.opened) if isinstance(old.opened_first, int) else None
            changes["opened"] = UNSET if opened is None else opened
        if isinstance(old, DatagramEvent) and old.dumped is not UNSET:
            changes["dumped"] = UNSET
        return replace(new, **changes)

    def _struct(self, value: Any) -> Any:
        if isinstance(value, IdentityFact):
            return IdentityFact(value.type, self.aliases.identity(value.type, value.value))
        if isinstance(value, AttributeFact):
            return replace(value, value="x" * len(value.value) if isinstance(value.value, str) else value.value)
        changes = {}
        for name in value.__struct_fields__:
            old = getattr(value, name)
            new = self._value(name, old)
            if new is not old:
                changes[name] = new
        return replace(value, **changes) if changes else value

    def _value(self, name: str, value: Any) -> Any:
        if type(value) is str:
            return SPECIAL.get(name, Anonymiser._plain)(self, name, value)
        if isinstance(value, tuple):
            return tuple(self._value(name, one) for one in value)
        return self._struct(value) if isinstance(value, msgspec.Struct) else value

    def _plain(self, name: str, value: str) -> str:
        if name in SPIS:
            bare = value.removeprefix("0x")
            return self.aliases.spi(bare) if HEXADECIMAL.fullmatch(value) else self.text(value)
        if name in LINES:
            return self.line(value)
        return self.aliases.name(value) if name in NAMES else self.text(value)

    def _data(self, _: str, value: str) -> str:
        """Notify data in hexadecimal: a key exchange method's number may stay."""
        return value if len(value) <= 4 else "0" * len(value)

    def _who(self, _: str, value: str) -> str:
        return value if _CONSOLE.fullmatch(value) else "operator"

    def _traceback(self, _: str, value: str) -> str:
        bare = _PATH.sub(lambda found: f'File "{found[1] or "elsewhere"}"', value)
        return self.text(_BYTES.sub("b'...'", bare))


SPECIAL: dict[str, Callable[[Anonymiser, str, str], str]] = {
    "data": Anonymiser._data,
    "who": Anonymiser._who,
    "traceback": Anonymiser._traceback,
    "file": lambda *_: "recording",
    "version": lambda _, __, value: value,
    "suite": lambda _, __, value: value,
}


def _is_address(word: str) -> bool:
    return bool(IPV4.fullmatch(word) or IPV6.fullmatch(word) or ("/" in word and IPV4.match(word)))


def _without_free_text(line: str) -> str:
    """A line without keys and without what somebody wrote for people."""
    return redact(without_secrets(_FREE_TEXT.sub(r"\1 <removed>", line)))


def _ends(event: Any) -> Ends | None:
    """Source and destination of a datagram as it was sent."""
    ends = []
    for text in (event.local, event.remote):
        if not isinstance(text, str) or not text.rpartition(":")[2].isdigit():
            return None
        host, _, port = text.rpartition(":")
        ends.append((host.strip("[]"), int(port)))
    sent = isinstance(event, MessageSent | FragmentSent)
    return (ends[0], ends[1]) if sent else (ends[1], ends[0])


def anonymised(records: Iterable[Record]) -> list[Record]:
    """Records that say everything but whose they are."""
    known, whole = Anonymiser(), list(records)
    for record in whole:
        known.meet(record)
    known.settle()
    return [known.record(record) for record in whole]


def configuration(known: Anonymiser, lines: Iterable[str]) -> Iterator[str]:
    """The lines of a configuration by a settled anonymiser; one that begins with no keyword of ours is left out."""
    for line in lines:
        words = line.split()
        if not words or words[0].startswith("!"):
            yield "!" if words else ""
        elif words[0].lower() in known._words:
            yield known.line(line)
        else:
            yield "! a line that ikescope does not act on"
