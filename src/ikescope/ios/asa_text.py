"""An ASA's text line by line: what each line is, and to whom it goes.

Lines that ASA shares with IOS are written as IOS writes them and handed on; a message that is spelled out is gathered;
what only ASA says is told as events. `asa.py` joins the three.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from ikescope.events import Event
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.router import CommandEntered
from ikescope.ios import asa_packets, asa_told
from ikescope.ios.asa_dump import HEADER, HEX, PAYLOAD, Packet
from ikescope.ios.asa_lines import ERRORS, PROMPTED, is_aside, is_foreign
from ikescope.ios.asa_old import Old
from ikescope.ios.asa_state import Sa, Sas, event_of
from ikescope.ios.asa_syslog import syslog
from ikescope.ios.debug_cut import clean
from ikescope.ios.debug_internal import change_of
from ikescope.ios.debug_read import Foreign, Unknown
from ikescope.ios.text_lines import LONGEST, PROMPT, behead, unglue
from ikescope.ios.words import exchange_number

_PREFIX = re.compile(r"(?:IKEv2|KEv2|Ev2|v2|2)?-(?P<kind>PROTO|PLAT)-\d{1,3}: ?")
_SA = re.compile(r"\s*\((?P<sa>\d{1,9})\): ?")
_SA_BARE = re.compile(r"\((?P<sa>\d{1,9})\) ")
_SA_AGAIN = re.compile(r"\(\d{1,9}\):")
_TRACE = re.compile(
    r"SM Trace->(?: SA:)?\s+I_SPI=(?P<i>[0-9A-Fa-f]{16})\s*R_SPI=(?P<r>[0-9A-Fa-f]{16}) \((?P<role>[IR])\) "
    r"MsgID = (?P<id>[0-9A-Fa-f]{1,8})\s+CurState:\s+(?P<state>\w{1,40})\s+Event:\s+(?P<event>\w{1,80})"
)
_TRACED = re.compile(rf"IKEv2-PROTO-\d{{1,3}}: \((?P<sa>\d{{1,9}})\): {_TRACE.pattern}\s?")
_PACKET = re.compile(
    r"(?P<way>Sending|Received) Packet \[(?:To|From) (?P<remote>\S{1,60})/(?:From|To) (?P<local>\S{1,60})/"
    r"VRF \S{1,20}\]"
)
_SPIS = re.compile(
    r"Initiator SPI : (?P<i>[0-9A-Fa-f]{16}) - Responder SPI : (?P<r>[0-9A-Fa-f]{16}) Message id: (?P<id>\d{1,10})"
)
_EXCHANGE = re.compile(r"IKEv2 (?P<exchange>[A-Z0-9_]{1,40}) Exchange (?P<way>REQUEST|RESPONSE)")
_PARSE = re.compile(r"Parse (?:[\w-]+ ){0,4}Payload: (?P<rest>.*)")
_DECRYPT = re.compile(r"(?:REAL )?Decrypted packet:.*")
_OCTETS = re.compile(r"(?:\(\d{1,9}\): )? {5}((?:[0-9a-f]{2} ){0,15}[0-9a-f]{2}) ?")
_QUOTE = re.compile(r"(?:[>|]\s?)+")
_MARKED = re.compile(r"[\x1b\x08\xa0]|&(?:gt|lt|amp|quot|nbsp|#)|</?[a-z]")
_DETAIL = re.compile(r"[A-Za-z#][\w #./-]{0,40}:|Auth (?:method|data)|Cert |CertReq |Encrypted ")
#: Lines without events that stand within a message which is being opened.
_WITHIN = re.compile(r"|decrypt queued|Asynchronous request queued|Decrypt \w+ status returned via ipc.*")
_PKT = re.compile(
    r"(?P<way>SENT|RECV) PKT \[(?P<exchange>\w{1,40})\] \[(?P<a>[^\]\s]{1,60})\]:(?P<aport>\d{1,5})->"
    r"\[(?P<b>[^\]\s]{1,60})\]:(?P<bport>\d{1,5}) InitSPI=0x(?P<i>[0-9A-Fa-f]{16}) RespSPI=0x(?P<r>[0-9A-Fa-f]{16}) "
    r"MID=(?P<id>[0-9A-Fa-f]{1,8})"
)
#: Long messages that a terminal breaks, and what they are when they are whole.
_BREAKS = re.compile(r"IKEv2-(?:PROTO|PLAT)-\d{1,3}: (?:\(\d{1,9}\): )?(?:SM Trace->|(?:SENT|RECV) PKT \[)")
_WHOLE = re.compile(r"MsgID = [0-9A-Fa-f]{1,8}\s+CurState: \w+\s+Event: EV_\w+|MID=[0-9A-Fa-f]{8}")
#: How the next words of such a message begin, where a page broke it between two.
_APART = re.compile(r"R_SPI=|MsgID|CurState:|Event:|\([IR]\)")
_BROKEN = 512
_ZERO = "0" * 16
_INIT = 34
FLUSH = "\0"
#: What is held of events and messages that IOS's reader has not come to yet, and of lines that it has not told of.
_OWN, _LINES = 4096, 1 << 16
_SHORT = 200


def _host(text: str) -> str:
    return f"[{text.lower()}]" if ":" in text else text


_DEBUG_SYSLOG = ("711001", "711002")


class Text:
    """The lines for IOS's reader, numbered from 1 (`fed` is the latest), and beside them, each with the number it
    follows, ASA's own events (`own`) and the messages that are spelled out (`packets`).
    """

    def __init__(self, year: int) -> None:
        self._year = year
        self.fed = 0
        self.own: deque[tuple[int, Event | Unknown, int, float | None, Sa | None]] = deque()
        self.packets: deque[tuple[int, Packet, Sa]] = deque()
        self._base = 0
        self._at: deque[tuple[int, float | None, Sa | None]] = deque()
        self._feed: deque[str] = deque()
        self._sas = Sas()
        self._packet: Packet | None = None
        self._packet_sa: Sa | None = None
        self._broken = ""
        self._offer = asa_packets.Offer(self._tell)
        self._number = 0
        self._time: float | None = None
        self._sent: tuple[Any, ...] = ()
        self._arrived: tuple[tuple[Any, ...], Event, Sa | None, int] | None = None
        self._told = asa_told.Teller(self._tell, self._sas)
        #: Texts that were found to tell nothing: the same few come again and again.
        self._asides: set[str] = set()
        self._old = Old()
        self._names = asa_packets.Facts(self._tell)

    def where(self, fed: int) -> tuple[int, float | None, Sa | None]:
        """Physical line, time and SA of one of the lines for IOS's reader; those before it are forgotten."""
        while self._base < fed - 1 and len(self._at) > 1:
            self._at.popleft()
            self._base += 1
        return self._at[0] if self._at else (self._number, self._time, None)

    def _tell(self, event: Event | Unknown, sa: Sa | None = None, *, line: int | None = None) -> None:
        """An event of the line at hand; it stands after what is fed already."""
        self.own.append((self.fed, event, self._number if line is None else line, self._time, sa))

    def _say(self, text: str, sa: Sa | None, *, bare: bool = False) -> None:
        """A line for IOS's reader."""
        if sa is not None and sa.number is not None and "spi_i" in sa.facts and "initiator" in sa.facts:
            self._introduce(sa)
        if bare:
            self._feed.append(text)
        elif sa is not None and sa.number is not None:
            self._feed.append(f"IKEv2:(SA ID = {sa.number}):{text}")
        else:
            self._feed.append(f"IKEv2:{text}")
        self._at.append((self._number, self._time, sa))
        if len(self._at) > _LINES:
            self._at.popleft()
            self._base += 1
        self.fed += 1

    def _introduce(self, sa: Sa) -> None:
        """Tell IOS's reader once whose SA this is, as a trace line would: not every level has those."""
        if not sa.once("role"):
            return
        role, spi_r = "I" if sa.initiator else "R", sa.facts.get("spi_r", _ZERO).upper()
        head = f"SM Trace-> SA: I_SPI={sa.facts['spi_i'].upper()} R_SPI={spi_r} ({role})"
        self._say(f"{head} MsgID = 0 CurState: IDLE Event: EV_NO_EVENT", sa)

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines for IOS's reader; the rest is told by the way."""
        for number, line in enumerate(lines, 1):
            self._number = self._told.at = number
            octets = _OCTETS.fullmatch(line) if self._packet is not None else None
            if octets is not None and self._packet is not None:
                # Most lines of a spelled out message are these, and nothing else is told by them.
                self._packet.detail(octets[1])
                continue
            traced = _TRACED.fullmatch(line)
            if traced is not None:
                self._traced(traced)
            else:
                self._pasted(line)
            if len(self.own) > _OWN:
                self._say(FLUSH, None, bare=True)
            while self._feed:
                yield self._feed.popleft()
        self._end()
        while self._feed:
            yield self._feed.popleft()

    def _pasted(self, line: str) -> None:
        """A line as it came: from a terminal, a page or a mail, with what they leave in it."""
        if line[:1] in ">|" and (quote := _QUOTE.match(line)):
            line = line[quote.end() :]
        for one in clean(line) if _MARKED.search(line, 0, LONGEST) else (line,):
            self._headed_line(one)

    def _headed_line(self, line: str) -> None:
        head = behead(line, self._year)
        self._time = head.wall if head.wall is not None else self._time
        self._line(head.tag, head.text)

    def _traced(self, found: re.Match[str]) -> None:
        """A line of the state machine, which nothing stands around: every other line is one at the highest level."""
        self._told.debugged = True
        begun, self._broken = self._broken, ""
        if begun:
            self._message_of(begun)
        self._offer.end("")
        self._finish()
        self._told.pause()
        self._trace(found, self._sas.named(int(found["sa"]), found["i"].lower()))

    def _line(self, tag: str, text: str) -> None:
        kind = tag.split("-")[0] if tag else ""
        if kind and tag.rpartition("-")[2] not in _DEBUG_SYSLOG:
            if not syslog(tag, text, self._told):
                self._tell(Foreign(self._number, text))
            return
        for piece in unglue(text):
            self._piece(piece)

    def _piece(self, piece: str) -> None:
        """One message; one that a terminal broke waits for its other half."""
        if self._broken:
            begun, self._broken = self._broken, ""
            if _PREFIX.match(piece) is None:
                apart = _APART.match(piece.lstrip()) is not None or begun.endswith(("CurState:", "Event:", "="))
                both = f"{begun.rstrip()} {piece.lstrip()}" if apart else begun + piece
                joined = both if _WHOLE.search(both) else ""
                if joined or len(begun) < _BROKEN:
                    self._broken = "" if joined else both
                    if joined:
                        self._message_of(joined)
                    return
            self._message_of(begun)
        if _BREAKS.search(piece) and not _WHOLE.search(piece):
            self._broken = piece
            return
        self._message_of(piece)

    def _message_of(self, piece: str) -> None:
        prefix = _PREFIX.match(piece)
        self._told.debugged = self._told.debugged or (prefix is not None and prefix["kind"] == "PROTO")
        if prefix is not None and not self._told.debugged:
            self._unmet()
        rest = piece[prefix.end() :] if prefix else piece
        if prefix is None and (prompt := PROMPT.match(rest.strip())):
            rest = rest.strip()[prompt.end() :]
            if PROMPTED.fullmatch(rest.strip()):
                self._tell(CommandEntered(command=rest.strip()))
                return
        numbered = _SA.match(rest) or (_SA_BARE.match(rest) if prefix else None)
        sa: Sa | None = None
        if numbered:
            rest = rest[numbered.end() :]
        # Each print call of ASA writes the SA's number again.
        rest = _SA_AGAIN.sub(" ", rest)
        if numbered:
            trace = _TRACE.match(rest)
            number = int(numbered["sa"])
            sa = self._sas.named(number, trace["i"].lower()) if trace else self._sas.of(number)
        kind, text = prefix["kind"] if prefix else "", rest.strip()
        later = self._old.later(kind, text)
        if later is None:
            self._message(kind, sa, text)
            return
        for kind, spi_i, text in later:
            self._message(kind, self._sas.by_spi(spi_i) if spi_i else sa, text)

    def _message(self, kind: str, sa: Sa | None, text: str) -> None:
        if not text:
            return
        if kind:
            self._offer.end(text)
        if parse := (_PARSE.match(text) if kind else None):
            if not PAYLOAD.search(parse["rest"]):
                return
            self._dumped(parse["rest"], sa)
            return
        if not kind and self._dumped(text, sa):
            return
        if kind and _WITHIN.fullmatch(text):
            return
        if kind and (header := HEADER.search(text)):
            self._header(header)
            return
        if kind:
            self._finish()
        if packet := _PACKET.match(text):
            self._begin(packet, sa)
        elif text.startswith("Building packet for encryption"):
            self._seal(sa)
        elif trace := _TRACE.match(text):
            self._trace(trace, sa)
        elif not self._other(kind, sa, text):
            self._tell((Foreign if is_foreign(text, prefixed=bool(kind)) else Unknown)(self._number, text))

    def _other(self, kind: str, sa: Sa | None, text: str) -> bool:
        """A line that is no part of a message; False where nobody knows it."""
        if self._offer.line(kind, sa or self._sas.last, text, self._number):
            return True
        if pkt := _PKT.match(text):
            self._platform(pkt, sa)
            return True
        if text in self._asides and not self._told.refusing:
            return True
        if self._told.line(kind, sa, text):
            return True
        if is_aside(text) or (not kind and HEX.match(text)):
            if len(self._asides) < _OWN:
                self._asides.add(text[:_SHORT])
            return True
        if kind != "PROTO":
            return False
        self._say(f": {text}" if text in ERRORS else text, sa)
        return True

    def _platform(self, found: re.Match[str], sa: Sa | None) -> None:
        """`SENT PKT`, `RECV PKT`: a message of its own only where `Sending Packet`, `Received Packet` is not there."""
        exchange = exchange_number(found["exchange"])
        spi_i, spi_r, number = found["i"].lower(), found["r"].lower(), int(found["id"], 16)
        key = (found["way"], spi_i, exchange, number)
        self._unmet()
        if key == self._sent:
            return
        sa = sa or self._sas.by_spi(spi_i) or self._sas.begin(spi_i)
        one, two = (f"{_host(found[name])}:{found[f'{name}port']}" for name in ("a", "b"))
        sent = found["way"] == "SENT"
        local, remote = (one, two) if sent else (two, one)
        sa.facts |= {"local": local, "peer": remote, "spi_i": spi_i, "message_id": number}
        if spi_r != _ZERO:
            sa.facts["spi_r"] = spi_r
        response = asa_packets.answers(sa, exchange, sent, spi_r == _ZERO)
        if exchange == _INIT and "initiator" not in sa.facts:
            sa.facts["initiator"] = sent is not response
        make = MessageSent if sent else MessageReceived
        event = event_of(make, exchange=exchange, response=response, local=local, remote=remote)
        self._arrived = (key, event, sa, self._number)
        if sent:
            self._unmet()

    def _unmet(self) -> None:
        """A packet of the platform's that no line of the protocol's followed."""
        found, self._arrived = self._arrived, None
        if found is not None:
            _, event, sa, line = found
            self._tell(event, sa, line=line)

    def _trace(self, trace: re.Match[str], sa: Sa | None) -> None:
        if sa is None:
            return
        # A responder's Delete is traced with (I): the role is that of the first word about it.
        initiator = sa.facts.setdefault("initiator", trace["role"] == "I")
        if trace["r"] != _ZERO:
            sa.facts["spi_r"] = trace["r"].lower()
        self._told.trace(sa, trace["state"], trace["event"])
        if trace["event"] in asa_told.SIGNS:
            return
        if change_of(trace["state"], trace["event"], initiator=initiator) is None:
            return
        self._say(
            f"SM Trace-> SA: I_SPI={trace['i']} R_SPI={trace['r']} ({'I' if initiator else 'R'}) MsgID = {trace['id']} "
            f"CurState: {trace['state']} Event: {trace['event']}",
            sa,
        )

    def _begin(self, found: re.Match[str], sa: Sa | None) -> None:
        way = "sent" if found["way"] == "Sending" else "received"
        whose = sa if sa is not None else self._sas.begin("")
        whose.facts |= {"local": found["local"].lower(), "peer": found["remote"].lower()}
        self._packet_sa = whose
        self._say(f"{found[0]} ", whose)
        self._packet = Packet(way, self.fed, whose.number, found["local"].lower(), found["remote"].lower())
        self.packets.append((self.fed, self._packet, whose))
        if len(self.packets) > _OWN:
            self.packets.popleft()

    def _seal(self, sa: Sa | None) -> None:
        self._packet = Packet("seal", self.fed, sa.number if sa else None)
        self._packet_sa = sa
        self._say("Building packet for encryption.  ", sa)

    def _header(self, found: re.Match[str]) -> None:
        packet = self._packet
        if packet is None or packet.way == "seal":
            return
        packet.length, packet.flags, packet.first = int(found["length"]), found["flags"], found["first"]

    def _dumped(self, text: str, sa: Sa | None) -> bool:
        """A line of the message at hand; False where it is none."""
        packet, whose = self._packet, self._packet_sa
        if packet is None or (sa is not None and sa is not whose):
            return bool(HEX.match(text))
        if spis := _SPIS.match(text):
            self._identified(packet, spis)
        elif exchange := _EXCHANGE.match(text):
            packet.exchange = exchange_number(exchange["exchange"])
            packet.response = exchange["way"] == "RESPONSE"
            self._headed(packet)
            self._say(f"IKEv2 {exchange['exchange']} Exchange {exchange['way']} ", whose, bare=True)
        elif header := HEADER.search(text):
            self._header(header)
        elif payload := PAYLOAD.search(text):
            packet.payload(payload)
        elif text.startswith("Payload contents"):
            pass
        elif _DECRYPT.match(text):
            packet.opened = packet.opened or text.startswith("REAL")
            packet.current = None
        elif HEX.match(text) or _DETAIL.match(text):
            packet.detail(text)
        else:
            return False
        return True

    def _identified(self, packet: Packet, found: re.Match[str]) -> None:
        packet.spi_i, packet.spi_r, packet.message_id = found["i"].lower(), found["r"].lower(), int(found["id"])
        sa = self._packet_sa
        if sa is not None and sa.number is not None:
            whose = self._sas.named(sa.number, packet.spi_i)
            if whose is not sa:
                whose.facts |= {name: sa.facts[name] for name in ("local", "peer") if name in sa.facts}
                self._packet_sa = whose
                self.packets[-1] = (*self.packets[-1][:2], whose)
            self._packet_sa_facts(packet)
        self._say(found[0], sa, bare=True)

    def _packet_sa_facts(self, packet: Packet) -> None:
        sa = self._packet_sa
        if sa is None:
            return
        sa.facts["spi_i"] = packet.spi_i
        if packet.spi_r != _ZERO:
            sa.facts["spi_r"] = packet.spi_r

    def _headed(self, packet: Packet) -> None:
        """Who asks in IKE_SA_INIT is the initiator."""
        sa = self._packet_sa
        if sa is None or packet.exchange is None:
            return
        key = ("SENT" if packet.way == "sent" else "RECV", packet.spi_i, packet.exchange, packet.message_id)
        if packet.way == "sent":
            self._sent = key
        elif self._arrived is not None and self._arrived[0] == key:
            self._arrived = None
        if packet.exchange == _INIT and packet.response is not None and "initiator" not in sa.facts:
            sa.facts["initiator"] = (packet.way == "sent") is not packet.response
        self._told.packet(sa, packet)

    def _finish(self) -> None:
        """The message at hand ends: its payloads as the default level names them, and what they tell."""
        packet, sa = self._packet, self._packet_sa
        self._packet = self._packet_sa = None
        if packet is None:
            return
        if packet.way == "seal" and sa is not None:
            sa.sealed = packet
        elif packet.way == "sent" and sa is not None and sa.sealed is not None and packet.of("ENCR") is not None:
            packet.inside, sa.sealed = sa.sealed.clear, None
        names = packet.names(packet.way == "received" and bool(packet.inside))
        if names:
            self._say("Payload contents: ", sa, bare=True)
            self._say(f" {' '.join(names)} ", sa, bare=True)
        if sa is not None:
            self._names.tell(packet, sa)

    def _end(self) -> None:
        broken, self._broken = self._broken, ""
        if broken:
            self._message_of(broken)
        self._offer.end("")
        self._finish()
        self._unmet()
        self._told.end()
