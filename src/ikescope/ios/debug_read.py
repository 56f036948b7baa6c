"""IOS debug text read back into events, by the same catalogue that renders them.

A group's principal line makes the event, its companions are absorbed; a group of which only a part is there still
gives its event. What the text does not hold is UNSET in the event. A line that no row knows comes out as `Unknown`, one
of another feature or of the console as `Foreign`. Lines of level internal tell of SPIs, roles and states and part no
group; a packet spelled out gives its payloads. What a page or a terminal did to the lines is undone where that makes
them known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ikescope.events import Event, Record
from ikescope.events.life import SessionUp
from ikescope.ios.catalogue import Facts
from ikescope.ios.debug_automaton import AUTOMATON, IPSEC_KIND, NONE_KIND, Node, Symbol
from ikescope.ios.debug_between import Between
from ikescope.ios.debug_cut import NOTHING, Before, clean, head_of, is_start, shown
from ikescope.ios.debug_group import Foreign, Group, Open, Prefix, Told, Unknown
from ikescope.ios.debug_group import step as _step
from ikescope.ios.debug_internal import NAT_FOUND, TRACE
from ikescope.ios.debug_known import is_foreign, syslog_event
from ikescope.ios.debug_lines import SYSLOG, WRAPS, is_stamped, joined, parts_of
from ikescope.ios.debug_order import ordered
from ikescope.ios.debug_packet import DETAIL, HEAD, payload_at
from ikescope.ios.debug_signs import Place
from ikescope.ios.text_lines import LONGEST, PROMPT

__all__ = ["Foreign", "Reader", "Unknown", "read"]

_PREFIX = re.compile(
    r"(?P<kind>-ERROR|-INTERNAL|-PAK)?:"
    r"(?:\((?:SESSION ID = ?(?P<session>\d{1,18}), ?)?SA ID = ?(?P<sa>\d{1,18})\)\s?:)?"
)
_PLAIN = re.compile(r"[\x20-\x7e]*")
_HEADS = 1 << 12


def read(
    lines: Iterable[str], *, router: str = "", year: int = 1970, source: str | None = None, whole: bool = False
) -> Iterator[Record | Unknown]:
    """Records and unknown lines in the order of the text; `year` is that of time stamps, which IOS does not print.

    A record's wall time is that of its group's first line, 0 where the text has no time stamps; monotonic time counts
    from the first stamp. SPIs, addresses and role are those of the latest packet of the same session and SA. `router`
    is its name where no syslog head names a host. `whole` lines are taken as they are: nobody broke or glued them.
    """
    return Reader(router, year, source, whole=whole).run(lines)


_PARTS = ("Initiator SPI :", "IKEv2 ", "Num. transforms:")
"""How lines of a packet begin that a page may have broken."""
_UNTRIED = Node((), None, None)


class Reader:
    """The way of one text; `router` may be named while it goes."""

    def __init__(self, router: str, year: int, source: str | None, *, whole: bool = False) -> None:
        self._year, self._whole = year, whole
        self._told = Told(router, source)
        self._open = Open(self._told)
        self._prefixes: dict[str, Prefix] = {}
        self._default = Prefix(AUTOMATON.symbols(""), "")
        self._messages: dict[str, tuple[Prefix, Symbol, str]] = {}
        self._between = Between(self._open, self._told, whole=whole)
        self._heads: dict[str, Before | None] = {}
        self._tail = ""
        self._tail_at = 0
        self._tail_told = False
        self._part: Unknown | None = None
        self._held: list[Unknown] = []
        self._console = False
        self._up: dict[str, int] = {}
        self._plain = AUTOMATON.symbols(NONE_KIND)

    def name(self, router: str) -> None:
        """Whose text it is, from here on."""
        self._told.router = router

    def run(self, lines: Iterable[str]) -> Iterator[Record | Unknown]:
        """All of a text."""
        ready, between, common = self._open.ready, self._between, self._common
        numbered: Iterable[tuple[int, str]] = enumerate(lines, 1)
        if not self._whole:
            numbered = self._between.looked(ordered(joined(numbered)))
        for number, text in numbered:
            if self._held or between.headed is not None or not common(number, text):
                self._line(number, text)
            while ready:
                yield ready.popleft()
        self._release()
        self._between.end()
        self._open.end()
        yield from ready

    def _common(self, number: int, text: str) -> bool:
        """A line of the common form, whose head, prefix and text are known: most of a debug."""
        head, mark, rest = text.partition("IKEv2")
        group = self._open.at_hand
        message = self._messages.get(rest)
        if message is None:
            if not mark or rest[:1] not in (":", "-"):
                return group is not None and group.size is None and self._plainly(group, text)
            message = self._learnt(rest)
            if message is None:
                return False
        before = self._heads.get(head)
        if before is None and (before := self._head(head)) is None:
            return False
        known, symbol, body = message
        self._tail, self._tail_at, self._tail_told = text, number, not symbol.wild
        self._console = False
        if group is not None and group.host == before.host and (group.sa == known.sa or known.sa is None):
            after = group.node.next.get(symbol, _UNTRIED)
            if after is _UNTRIED:
                after = AUTOMATON.further(group.node, symbol)
            if group.session == known.session or known.session is None:
                if after is None:
                    return self._apart(number, text, body, known, symbol, before)
                group.node = after
                group.bodies.append(body)
                return True
        return self._grouped(number, text, body, known, symbol, before)

    def _plainly(self, group: Group, text: str) -> bool:
        """A line without prefix that goes on with the group at hand, or nothing at all."""
        symbol = self._plain.get(text) or AUTOMATON.symbol(NONE_KIND, text)
        after = group.node.next.get(symbol, _UNTRIED)
        if after is _UNTRIED:
            after = AUTOMATON.further(group.node, symbol)
        if after is None or not symbol.places or (group.node.payloads and not text.strip()):
            return not text
        group.node = after
        group.bodies.append(text.strip())
        return True

    def _learnt(self, rest: str) -> tuple[Prefix, Symbol, str] | None:
        """What stands behind `IKEv2` in a message of the common form; None where it is of another."""
        start, colon, body = rest.partition("):")
        known = self._prefixes.get(start) if colon else None
        if known is None:
            if rest[1:2] == "(" or rest[:1] == "-":
                return None
            known, body = self._default, rest[1:]
        symbol = known.symbols.get(body) or AUTOMATON.symbol(known.kind, body)
        if symbol.special or not symbol.places:
            return None
        if len(self._messages) >= _HEADS:
            self._messages.clear()
        found = self._messages[rest] = known, symbol, body
        return found

    # --- physical lines

    def _line(self, number: int, text: str) -> None:
        """A physical line: whole, glued of several, or a part of one that was broken."""
        if self._whole:
            if not self._message(number, text, NOTHING, sure=True):
                self._strange(number, text)
            return
        if len(text) > LONGEST:
            text = text[:LONGEST]
        if _PLAIN.fullmatch(text) and "&" not in text and "<" not in text:
            self._piece(number, text)
            return
        for piece in clean(text.rstrip("\r\n\0")):
            self._piece(number, piece)

    def _piece(self, number: int, text: str) -> None:
        text = text.rstrip()
        if self._taken(number, text):
            return
        if self._continued(number, text):
            return
        parts = parts_of(text)
        if len(parts) > 1:
            self._release()
            for part in parts:
                if not self._taken(number, part):
                    self._unknown(number, part)
            return
        self._unknown(number, text)

    def _taken(self, number: int, text: str) -> bool:
        """Whether a physical line is a message, or a message's line, by itself."""
        head, mark, rest = text.partition("IKEv2")
        if self._between.headed is not None:
            if not mark and self._between.headed.detail(text.strip()):
                return True
            self._between.over()
        if mark and rest[:1] in (":", "-"):
            before = self._head(head)
            return before is not None and self._message(number, text, before)
        return self._message(number, text, None)

    def _head(self, head: str) -> Before | None:
        if head in self._heads:
            return self._heads[head]
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        found = self._heads[head] = head_of(head, self._year)
        return found

    def _continued(self, number: int, text: str) -> bool:
        """Whether a line that begins nothing makes the line before it known, or goes on with it."""
        if not self._tail or number - self._tail_at > WRAPS or is_start(text) or not text.strip():
            return False
        ways = (f"{self._tail.rstrip()} {text.strip()}", self._tail + text)
        both = max(ways, key=self._known)
        if self._known(both):
            held, self._held = self._held, []
            at = held[0].number if held else self._tail_at
            group = self._open.at_hand
            if group is not None and group.wild and group.line == at:
                group.wild = False
                self._tail_told = False
            if held or not self._tail_told:
                self._taken(at, both)
            self._tail, self._tail_at = both, at
            return True
        if self._held and len(self._held) < WRAPS:
            self._held.append(Unknown(number, text))
            self._tail = f"{self._tail} {text.strip()}"
            return True
        return False

    def _known(self, text: str) -> int:
        """How well a message is known: 2 where it tells something, 1 where it is but known, 0 where nobody knows it."""
        head, mark, rest = text.partition("IKEv2")
        found = _PREFIX.match(rest) if mark and self._head(head) is not None else None
        body = rest[found.end() :].strip() if found is not None else ""
        if found is None or not body or len(parts_of(text)) > 1:
            return 0
        symbol = AUTOMATON.symbol(found["kind"] or "", body)
        if _special(body) or (symbol.places and not symbol.wild):
            return 2
        return int(symbol.known)

    def _unknown(self, number: int, text: str) -> None:
        """A line that nobody knows by itself: perhaps with the ones after it."""
        head, mark, rest = text.partition("IKEv2")
        ours = mark and _PREFIX.match(rest) is not None and (self._head(head) is not None)
        if ours or (self._half(text) and not is_foreign(text)):
            self._release()
            self._console = False
            self._held = [Unknown(number, text)]
            self._tail, self._tail_at = text, number
            return
        self._strange(number, text)

    def _half(self, text: str) -> bool:
        """Whether a line is a head and the beginning of a prefix that was cut."""
        at = text.rfind("IKEv2")
        return at >= 0 and text[at + 5 : at + 6] in ("", ":", "-") and self._head(text[:at]) is not None

    def _release(self) -> None:
        """Lines that stay unknown."""
        if self._held:
            self._open.close()
        part, self._part = self._part, None
        for one in self._held if part is None else [part, *self._held]:
            self._open.put(Unknown(one.number, shown(one.text)))
        self._held = []
        self._tail = ""

    def _strange(self, number: int, text: str) -> None:
        """A line without IKEv2's prefix that no group wants."""
        self._release()
        if not text.strip():
            return
        if self._open.at_hand is not None and text.strip().startswith(_PARTS) and not self._whole:
            self._part = Unknown(number, text)
            return
        prompt = PROMPT.match(text.strip())
        if prompt is not None:
            self._open.close()
            self._console = True
        # A stamp and a mnemonic, or a name with a colon, are another feature's.
        foreign = prompt is not None or is_foreign(text) or (self._console and not is_start(text)) or is_stamped(text)
        if foreign:
            self._open.put(Foreign(number, shown(text)))
            self._console = True
        elif DETAIL.match(text.strip()) is None and payload_at(text.strip()) is None:
            self._open.close()
            self._open.put(Unknown(number, text if self._whole else shown(text)))

    # --- messages

    def _message(self, number: int, text: str, before: Before | None, *, sure: bool = False) -> bool:
        """A whole message, or a line of one; False where it is none that is known."""
        if sure:
            head, mark, rest = text.partition("IKEv2")
            before = NOTHING if mark and not head and rest[:1] in (":", "-") else None
        if before is None:
            return self._bare(number, text)
        _, _, rest = text.partition("IKEv2")
        found = _PREFIX.match(rest)
        if found is None:
            return False
        kind = found["kind"] or ""
        session, sa = (int(found[name]) if found[name] else None for name in ("session", "sa"))
        raw = rest[found.end() :]
        body = raw.strip()
        prefix = Prefix(AUTOMATON.symbols(kind), kind, session, sa)
        symbol = AUTOMATON.symbol(kind, raw)
        if symbol.special and self._between.speaks(Place(number, text, before, session, sa), body):
            self._said(number, text)
            self._tail_told = True
            return True
        if not symbol.known and (body or kind != "-ERROR"):
            return False
        if sa is not None:
            if len(self._prefixes) >= _HEADS:
                self._prefixes.clear()
            self._prefixes[rest[: found.end()].removesuffix("):")] = prefix
        self._said(number, text)
        self._tail_told = bool(symbol.places) and not symbol.wild
        return self._grouped(number, text, body, prefix, symbol, before)

    def _said(self, number: int, text: str) -> None:
        """A message of ours was whole."""
        self._release()
        self._console = False
        self._tail, self._tail_at = text, number

    def _grouped(self, number: int, text: str, body: str, prefix: Prefix, symbol: Symbol, before: Before) -> bool:
        """A message into the group at hand, one that is parked, or one of its own."""
        session, sa = prefix.session, prefix.sa
        group = self._open.at_hand
        if group is not None and group.may_be(before.host, session, sa) and _step(group, symbol, body, session, sa):
            return True
        return self._apart(number, text, body, prefix, symbol, before)

    def _apart(self, number: int, text: str, body: str, prefix: Prefix, symbol: Symbol, before: Before) -> bool:
        """A message that is none of the group at hand."""
        session, sa, host = prefix.session, prefix.sa, before.host
        if self._open.several and self._open.resumed(symbol, body, host, session, sa):
            return True
        if not symbol.places:
            if self._between.signs is not None:
                self._between.remark(Place(number, text, before, session, sa), body)
            return symbol.known
        whose = self._told.speaks(prefix, host)
        initiator = whose.facts.get("initiator") if whose.facts else None
        node = symbol.roots.get(initiator) or AUTOMATON.begin(symbol, initiator)
        if node is not None:
            wild = symbol.wild and not symbol.remark
            known = None if session is None else whose
            self._open.begin(Group(node, [body], before.wall, number, host, session, sa, text, wild, known))
        return True

    def _bare(self, number: int, text: str) -> bool:
        """A line without IKEv2's prefix: one of the group at hand, or of `debug crypto ipsec`, or syslog that tells."""
        body = text.strip()
        group = self._open.at_hand
        part = self._part
        if part is not None and group is not None and body:
            self._part = None
            if self._into(group, f"{part.text.strip()} {body}") or self._into(group, part.text.strip() + body):
                return True
            self._part = part
        if group is not None and not self._held:
            if group.size is not None and self._spelled(group, body):
                return True
            if self._into(group, body):
                return True
        if not body:
            return True
        return self._other(number, text, body)

    def _into(self, group: Group, body: str) -> bool:
        """Whether a line without prefix is the group's: its next one, or more of the one before."""
        symbol = AUTOMATON.symbol(NONE_KIND, body)
        after = AUTOMATON.further(group.node, symbol) if symbol.places else None
        if after is not None and not (group.node.payloads and not body):
            group.node = after
            group.bodies.append(body)
            return True
        if not body:
            return False
        last = group.bodies[-1]
        if group.node.payloads and last.count("(") > last.count(")"):
            group.bodies[-1] = last + body
            return True
        if group.node.payloads and symbol.payloads:
            group.bodies[-1] = f"{group.bodies[-1]} {body}".strip()
            return True
        own = self._tail.rstrip().endswith(last.partition("\n")[0].strip())
        if group.node.more and own and not is_start(body) and not PROMPT.match(body):
            group.bodies[-1] = f"{group.bodies[-1]}\n{body}"
            return True
        return False

    def _other(self, number: int, text: str, body: str) -> bool:
        before: Before | None = NOTHING
        at = text.find(IPSEC_KIND)
        if at >= 0:
            before = NOTHING if not text[:at].strip() else self._head(text[:at])
            symbol = AUTOMATON.symbol(IPSEC_KIND, text[at:].strip())
            if before is not None and symbol.places:
                self._release()
                self._tail = ""
                prefix = Prefix(AUTOMATON.symbols(IPSEC_KIND), IPSEC_KIND)
                return self._grouped(number, text, text[at:].strip(), prefix, symbol, before)
        mark = SYSLOG.search(text[:400])
        if mark is not None and (head := self._head(text[: mark.start()])) is not None:
            found = syslog_event(text[mark.end() :])
            if found is not None:
                self._release()
                self._tail = ""
                self._syslog(number, text, head, *found)
                return True
        return False

    def _syslog(self, number: int, text: str, before: Before, event: Event, peer: str) -> None:
        """An event of syslog; a session that the debug tells of is not told again."""
        self._open.close()
        if isinstance(event, SessionUp) and self._told.is_up(before.host, peer):
            return
        stamp: Facts = {"peer": peer} if peer else {}
        self._between.put(Place(number, text, before, None, None), event, stamp)

    def _spelled(self, group: Group, body: str) -> bool:
        """Whether a line is part of a packet that is spelled out; its payloads' names are kept."""
        name = payload_at(body)
        if name is not None:
            group.payloads.append(name)
        return name is not None or DETAIL.match(body) is not None


def _special(body: str) -> bool:
    return TRACE.fullmatch(body) is not None or HEAD.fullmatch(body) is not None or body in NAT_FOUND
