"""The exec mode over a router that only notes what it is asked."""

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import ip_address

import msgspec
from tests.daemon.routers import KEY, R1

from ikescope.config.model import RouterConfig
from ikescope.engine.commands import Clear, ClearChild, Intent, Probe, Rekey
from ikescope.events import Event, Record, Recorder, Stamp
from ikescope.events.router import CommandEntered, InterfaceUp, PrivilegeAsked
from ikescope.ios.archive import MemoryArchive
from ikescope.ios.commands import NAMES
from ikescope.ios.configuration import load
from ikescope.ios.exec import Reply, Session
from ikescope.ios.exec_acts import ACTS
from ikescope.ios.exec_changes import consequences
from ikescope.ios.exec_debug import DEBUGS
from ikescope.ios.exec_modes import MODES
from ikescope.ios.exec_ping import Echo, PingOrder
from ikescope.ios.exec_shows import SHOWS
from ikescope.ios.exec_store import STORES
from ikescope.node.status import ChildSaStatus, IkeSaStatus, NodeStatus

PEER = ip_address("10.99.0.2")


def ike_sa(number: int, state: str = "READY") -> IkeSaStatus:
    """An IKE SA with R2."""
    return IkeSaStatus(
        id=number,
        session=number,
        state=state,
        description="",
        local=ip_address("10.99.0.1"),
        local_port=500,
        remote=PEER,
        remote_port=500,
        initiator=True,
        encryption=12,
        key_length=256,
        prf=7,
        integrity=14,
        group=19,
        auth_local=2,
        auth_remote=2,
        lifetime=86400,
        active=8.0,
        rekey_in=60000.0,
        spi_local="01" * 8,
        spi_remote="02" * 8,
        local_id=None,
        remote_id=None,
        profile="default",
        local_request_id=2,
        remote_request_id=0,
        local_window=5,
        remote_window=5,
        dpd=None,
        nat_local=False,
        nat_remote=False,
        encapsulated=False,
        last_heard=0.0,
        children=(0x11,),
    )


def child_sa() -> ChildSaStatus:
    """The Child SA of IKE SA 1."""
    return ChildSaStatus(
        id=1,
        ike=1,
        tunnel="Tunnel0",
        index=0,
        state="INSTALLED",
        inbound=0x11,
        outbound=0x22,
        encryption=12,
        key_length=128,
        integrity=2,
        esn=False,
        group=None,
        transport=True,
        udp=False,
        local_address=ip_address("10.99.0.1"),
        local_port=500,
        remote_address=PEER,
        remote_port=500,
        local=(),
        remote=(),
        lifetime=3600,
        active=8.0,
        remaining=3592.0,
        kilobytes=4608000,
        replay_window=64,
    )


class Stub:
    """A router that notes what it is asked."""

    def __init__(self, ike: tuple[IkeSaStatus, ...] = (), children: tuple[ChildSaStatus, ...] = ()) -> None:
        self.config = load(R1, name="R1.cfg")
        self.asked: list[Intent] = []
        self.noted: list[Event] = []
        self.lines: list[str] = []
        self.reloaded: list[str] = []
        self.recorder = Recorder()
        self.archive = MemoryArchive()
        self.secret: str | None = None
        self.verify: Callable[[], None] = lambda: None
        self.pings: list[PingOrder] = []
        self.given_up = asyncio.Event()
        self._ike, self._children = ike, children

    def status(self) -> NodeStatus:
        """The SAs it was made with."""
        return NodeStatus(
            hostname="R1", uptime=1.0, wall=0.0, plane="none", ike=self._ike, children=self._children, tunnels=()
        )

    def request(self, intent: Intent) -> None:
        """Note it."""
        self.asked.append(intent)

    def configure(self, config: RouterConfig, lines: tuple[str, ...]) -> None:
        """Take it and note the lines."""
        self.config = config
        self.lines += lines

    def reload(self, text: str, name: str) -> list[str]:
        """Note it and take nothing over."""
        self.reloaded.append(text)
        return []

    def records(self) -> Iterable[Record]:
        """What the test put there."""
        return self.recorder

    def note(self, event: Event) -> None:
        """Note it."""
        self.noted.append(event)

    def enable_guarded(self) -> bool:
        """Whether the test wants one."""
        return self.secret is not None

    def verify_enable(self, password: str, answer: Callable[[bool], None]) -> None:
        """Keep the answer back until `verify` lets it go."""
        self.verify = lambda: answer(password == self.secret)

    def ping(self, order: PingOrder, each: Callable[[Echo], None], ended: Callable[[str], None]) -> Callable[[], None]:
        """Note it; the test says what becomes of it."""
        self.pings.append(order)
        self.each, self.ended = each, ended

        def give_up() -> None:
            self.given_up.set()
            ended("")

        return give_up


def output(session: Session, *lines: str) -> str:
    """What the last of these lines printed."""
    reply = None
    for line in lines:
        reply = session.execute(line)
    assert reply is not None
    return "\n".join(reply.output)


def test_every_command_of_the_grammar_is_carried_out() -> None:
    """No command that the grammar admits is without an answer of its own."""
    own = {"configure terminal", "configure", "exit", "end", "ping", "clear logging", "undebug all", *MODES}
    own |= {*DEBUGS, *STORES}
    assert {*SHOWS, *ACTS, *own} == set(NAMES)


def test_every_show_prints_without_an_sa() -> None:
    """A router that has done nothing yet answers each show."""
    session = Session(Stub())
    for command in SHOWS:
        reply = session.execute(command)
        assert not reply.refused, (command, reply)


def test_clear_and_test_become_intents() -> None:
    """Operators' commands reach the engine as intents, narrowed to the peer that they name."""
    router = Stub((ike_sa(1), ike_sa(2, "IN-NEG")), (child_sa(),))
    session = Session(router)
    for line in (
        "clear crypto ikev2 sa",
        "clear crypto ikev2 sa remote 10.99.0.2 fast",
        "clear crypto sa",
        "clear crypto sa peer 10.99.0.2",
        "test crypto ikev2 rekey ike",
        "test crypto ikev2 rekey child",
        "test crypto ikev2 liveness",
    ):
        assert session.execute(line).output == (), line
    assert router.asked == [
        Clear(),
        Clear(remote=PEER, fast=True),
        ClearChild(),
        ClearChild(spi=0x11),
        Rekey(sa=1),
        Rekey(spi=0x11),
        Probe(sa=1),
    ]
    assert "no IKEv2 SA with 192.0.2.9" in output(session, "test crypto ikev2 liveness remote 192.0.2.9")


def test_prompts_follow_the_mode() -> None:
    """The prompt names hostname and mode; `end` leads back to exec, `exit` there ends the session."""
    session = Session(Stub())
    said = [
        session.execute(line).prompt
        for line in ("", "conf t", "crypto ikev2 profile default", "exit", "hostname R9", "end")
    ]
    assert said == ["R1#", "R1(config)#", "R1(config-ikev2-profile)#", "R1(config)#", "R9(config)#", "R9#"]
    assert not session.execute("end").ended
    assert session.execute("exit").ended


def test_unknown_lines_get_the_error_of_ios() -> None:
    """A line that is no command is refused in IOS's words and changes nothing; `?` is no error."""
    router = Stub()
    session = Session(router)
    for line, said in (
        ("frobnicate", "% Invalid input detected at '^' marker."),
        ("show", "% Incomplete command."),
        ("s", "% Incomplete command."),
    ):
        reply = session.execute(line)
        assert reply.refused, line
        assert said in "\n".join(reply.output), line
    assert not session.execute("show ?").refused
    assert session.execute("! a comment").output == ()
    assert router.asked == []


def test_debugging_is_of_the_session() -> None:
    """`debug` and `undebug` set this operator's level alone and `show debugging` says it."""
    router = Stub()
    one, two = Session(router), Session(router)
    assert output(one, "debug crypto ikev2 error") == "IKEv2 error debugging is on"
    assert (one.debug, two.renderer) == ({"error"}, None)
    assert output(one, "debug crypto ikev2") == "IKEv2 default debugging is on"
    assert one.renderer is not None and one.renderer.levels == {"default", "error"}
    assert "IKEv2 default debugging is on" in output(one, "show debugging")
    assert output(one, "undebug crypto ikev2") == "IKEv2 default debugging is off"
    assert "error debugging is on" in output(one, "show debugging")
    assert output(one, "u all") == "All possible debugging has been turned off"
    assert one.renderer is None
    for asked in ("internal", "packet", "packet hexdump"):
        assert output(one, f"debug crypto ikev2 {asked}") == f"IKEv2 {asked} debugging is on"
    assert output(one, "debug crypto ipsec") == "Crypto IPSEC debugging is on"
    assert one.debug == {"internal", "packet", "hexdump", "ipsec"}


def test_a_lifetime_acts_at_once_and_a_key_on_new_sas() -> None:
    """A changed lifetime needs nothing more; other crypto settings say that a clear brings them to standing SAs."""
    router = Stub((ike_sa(1),))
    session = Session(router)
    assert output(session, "conf t", "crypto ikev2 profile default", "lifetime 120") == ""
    assert router.config.profiles["default"].lifetime == 120
    assert "clear crypto ikev2 sa" in output(session, "dpd 30 5 periodic")
    assert output(session, "dpd 40 5 periodic") == "", "it is told once"
    assert output(session, "ip route 10.9.0.0 255.255.0.0 Tunnel0") == ""


def test_only_what_a_standing_sa_was_negotiated_with_wants_a_clear() -> None:
    """A further peer, another profile and a line number concern no SA that stands; its own key and proposals do."""
    router = Stub((ike_sa(1),))
    session = Session(router)
    quiet = ("conf t", "crypto ikev2 keyring KR", "peer THIRD", "address 203.0.113.9", "pre-shared-key another")
    for line in (*quiet, "crypto ikev2 profile P2", "dpd 30 5 periodic", "crypto ikev2 proposal P9", "group 19"):
        assert not [told for told in session.execute(line).output if "clear crypto" in told], line
    router.config = load("!\n" + R1, name="R1.cfg")
    assert consequences(load(R1), router.config, router.status()) == []
    for lines in (
        ("crypto ikev2 keyring KR", "peer OTHER", "pre-shared-key new"),
        ("crypto ikev2 proposal default", "group 21"),
    ):
        assert "clear crypto ikev2 sa" in output(Session(router), "conf t", *lines), lines


def test_a_refused_line_of_configuration_changes_nothing() -> None:
    """A value out of range gets IOS's caret, and the router runs what it ran."""
    router = Stub()
    session = Session(router)
    before = router.config
    for line in ("conf t", "crypto ikev2 profile default"):
        session.execute(line)
    assert session.execute("lifetime 5").refused
    assert session.execute("lifetime nonsense").refused
    assert router.config is before


def test_two_operators_cannot_undo_each_other() -> None:
    """Each line of either acts on what runs; where the other removed what one was configuring, it acts on nothing."""
    router = Stub()
    one, two = Session(router), Session(router)
    for session in (one, two):
        session.execute("configure terminal")
    one.execute("crypto ikev2 nat keepalive 30")
    assert not two.execute("crypto ikev2 window 7").refused
    assert (router.config.nat_keepalive, router.config.window) == (30, 7)
    for line in ("crypto ikev2 keyring SHARED", "peer P"):
        two.execute(line)
    one.execute("no crypto ikev2 keyring SHARED")
    reply = two.execute("address 192.0.2.77")
    assert reply.refused
    assert "Another session removed what is configured here" in reply.output[0]
    assert reply.prompt == "R1(config)#"
    assert "SHARED" not in router.config.keyrings


def test_no_key_is_noted_or_shown() -> None:
    """A typed key, abbreviated or misplaced, stands in no event, no output and no show."""
    router = Stub()
    session = Session(router)
    shown: list[str] = []
    for line in (
        f"pre-shared-key {KEY}",
        "conf t",
        f"pre-sh {KEY}",
        "crypto ikev2 keyring KR",
        "peer OTHER",
        f"pre-shared-key local {KEY}1",
        f"pre 0 {KEY}2",
        f"no pre {KEY}",
        "crypto ikev2 profile default",
        f"auth loc pre key {KEY}3",
        f"authentication remote pre-share k {KEY}4",
        "do show running-config",
        "end",
        "show running-config",
    ):
        shown += session.execute(line).output
    told = msgspec.json.encode([shown, [event.command for event in router.noted if isinstance(event, CommandEntered)]])
    assert KEY.encode() not in told
    assert not any(KEY in line for line in router.lines)
    assert router.config.profiles["default"].remote_key is not None, "the line acted all the same"


def test_show_logging_begins_after_clear_logging() -> None:
    """The log is what the flight recorder holds, from the last `clear logging` of this session on."""
    router = Stub()
    session = Session(router)
    router.recorder.add(Record(Stamp(seq=1, mono=0.0, wall=0.0, router="R1"), InterfaceUp(interface="Tunnel0")))
    assert "Interface Tunnel0, changed state to up" in output(session, "show logging")
    assert "changed state" not in output(session, "clear logging", "show logging")


def test_a_level_has_its_commands_and_no_others() -> None:
    """Level 1 sees the status, a level below 15 every show, 15 does everything; what is not theirs is no command."""
    router = Stub()
    for level, prompt, denied, allowed in (
        (1, "R1>", "show running-config", "show crypto session"),
        (7, "R1#", "debug crypto ikev2", "show running-config"),
    ):
        session = Session(router, level=level)
        assert session.prompt == prompt
        assert output(session, denied).endswith("% Invalid input detected at '^' marker.\n")
        assert not session.execute(allowed).refused
        for line in ("configure terminal", "clear crypto ikev2 sa", "test crypto ikev2 rekey ike"):
            assert session.execute(line).refused, line
        assert session.complete("conf") == "conf"
        assert "debug" not in output(session, "?")
    assert router.asked == []


def test_enable_asks_for_the_secret() -> None:
    """`enable` takes a password three times, in no event and no history; `disable` goes back; `exit` ends there too."""
    router = Stub()
    router.secret = KEY
    session = Session(router, level=1, remote=True)
    later: list[Reply] = []
    session.later = later.append
    assert (session.execute("enable").prompt, session.execute("").waiting) == ("Password: ", True)
    for _ in range(2):
        router.verify()
        assert later[-1].secret
        session.execute("wrong")
    router.verify()
    assert (later[-1].output, later[-1].prompt) == (("% Bad secrets", ""), "R1>")
    session.execute("enable")
    assert session.execute(KEY).waiting
    assert session.interrupt() == Reply((), "R1>")
    router.verify()
    assert session.level == 1, "it was given up"
    session.execute("enable")
    session.execute(KEY)
    router.verify()
    assert later[-1] == Reply((), "R1#")
    asked = [event for event in router.noted if isinstance(event, PrivilegeAsked)]
    assert [(event.privilege, event.granted) for event in asked] == [(15, False), (15, True)]
    assert output(session, "show privilege") == "Current privilege level is 15"
    assert KEY not in output(session, "show history") + repr(router.noted)
    assert session.execute("disable").prompt == "R1>"
    assert session.execute("exit").ended
    router.secret = None
    assert "% No password set" in output(Session(router, level=1, remote=True), "enable")


def test_ping_speaks_as_ios_does() -> None:
    """The order, a mark as each echo comes, the rate at the end; Ctrl-C ends it with what it has."""
    router = Stub()
    session = Session(router)
    told: list[str] = []
    later: list[Reply] = []
    session.tell, session.later = told.append, later.append
    assert session.execute("ping 10.99.0.2 source Tunnel0 repeat 3 size 200").waiting
    assert router.pings[0].source == ip_address("172.16.0.1")
    for echo in (Echo("."), Echo("!", 1.2), Echo("!", 3.9)):
        router.each(echo)
    router.ended("")
    assert "".join(told) == (
        "Type escape sequence to abort.\n"
        "Sending 3, 200-byte ICMP Echos to 10.99.0.2, timeout is 2 seconds:\n"
        "Packet sent with a source address of 172.16.0.1 \n"
        ".!!"
    )
    assert later[-1].output == ("Success rate is 66 percent (2/3), round-trip min/avg/max = 1/3/4 ms",)
    session.execute("ping ipv6 2001:db8::1")
    assert "Echos to 2001:DB8::1, timeout" in told[-1]
    assert session.interrupt() is None
    assert later[-1].output == ("Success rate is 0 percent (0/0)",)
    assert "% Invalid source interface" in output(session, "ping ipv6 2001:db8::1 source Tunnel0")


def test_pipes_and_the_terminal() -> None:
    """`| count` counts, `| ?` lists what may follow; `terminal` says what the drawing needs, once."""
    session = Session(Stub())
    assert output(session, "show running-config | count ^crypto") == "Number of lines which match regexp = 3"
    assert "  count " in output(session, "show clock | ?")
    assert output(session, "show clock | frob").splitlines()[0] == " " * (len("R1#show clock | ")) + "^"
    reply = session.execute("term len 0")
    assert (reply.length, reply.width) == (0, None)
    assert session.execute("show terminal").length is None
    assert session.execute("show version ?", typed=True).refused
    assert session.execute("terminal no monitor").output == ()
    session.execute("debug crypto ikev2")
    assert session.renderer is None


def test_logging_says_what_is_shown_and_told() -> None:
    """`logging` sets the severity for buffer, console and monitor; running-config prints what is not the default."""
    router = Stub()
    session = Session(router)
    router.recorder.add(Record(Stamp(seq=1, mono=0.0, wall=0.0, router="R1"), InterfaceUp(interface="Tunnel0")))
    assert "changed state" in output(session, "show logging")
    output(session, "conf t", "logging buffered 8192 critical", "no logging console", "logging monitor 5", "end")
    shown = output(session, "show logging")
    assert "changed state" not in shown
    assert "Console logging: disabled" in shown
    kept = output(session, "show running-config | include logging").splitlines()
    assert kept == ["logging buffered critical", "no logging console", "logging monitor notifications"]


def test_do_is_helped_as_exec_is() -> None:
    """Behind `do` in the configuration mode `?` and Tab know the exec commands; `configure` alone asks where from."""
    session = Session(Stub())
    assert session.execute("configure").prompt.startswith("Configuring from terminal")
    assert session.execute("").prompt == "R1(config)#"
    assert "  ipsec " in output(session, "do show crypto ?")
    assert session.complete("do show runn") == "do show running-config "
    assert "do" in output(session, "do?")
