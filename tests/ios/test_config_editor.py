"""`configure terminal`: lines typed one by one, IOS's prompts, errors and reminders."""

import pytest

from ikescope.config.model import RouterConfig
from ikescope.config.smart_defaults import empty
from ikescope.ios.commands import ExecCommand
from ikescope.ios.configuration import Editor, load

BASE = (
    "hostname R1\ncrypto ikev2 keyring KR\n peer R2\n  address 192.0.2.2\n  pre-shared-key k\n"
    "crypto ikev2 profile default\n match identity remote any\n authentication local pre-share\n"
    " authentication remote pre-share\n keyring local KR\ncrypto ipsec profile default\n set ikev2-profile default\n"
    "interface GigabitEthernet1\n ip address 192.0.2.1 255.255.255.0\n"
    "interface Tunnel0\n ip address 10.0.0.1 255.255.255.252\n tunnel source GigabitEthernet1\n"
    " tunnel destination 192.0.2.2\n tunnel protection ipsec profile default\n"
)


@pytest.fixture
def router() -> RouterConfig:
    """A router with one tunnel."""
    return load(BASE)


def test_a_typed_line_gives_a_new_configuration(router: RouterConfig) -> None:
    """A lifetime typed in the profile's mode is in the new configuration; the old one is untouched."""
    editor = Editor(router)
    assert editor.prompt_suffix == "(config)#"
    assert editor.feed("crypto ikev2 profile default").prompt_suffix == "(config-ikev2-profile)#"
    reply = editor.feed(" lifetime 120")
    assert (reply.text_lines, reply.prompt_suffix) == ((), "(config-ikev2-profile)#")
    assert editor.config.profiles["default"].lifetime == 120
    assert router.profiles["default"].lifetime == 86400
    assert editor.feed("exit").prompt_suffix == "(config)#"
    last = editor.feed("end")
    assert (last.prompt_suffix, last.configuring) == ("#", False)


PROMPTS = [
    (["crypto ikev2 proposal P"], "(config-ikev2-proposal)#"),
    (["crypto ikev2 policy P"], "(config-ikev2-policy)#"),
    (["crypto ikev2 keyring P"], "(config-ikev2-keyring)#"),
    (["crypto ikev2 keyring P", "peer X"], "(config-ikev2-keyring-peer)#"),
    (["crypto ikev2 keyring P", "peer X", "peer Y"], "(config-ikev2-keyring-peer)#"),
    (["crypto ikev2 profile P"], "(config-ikev2-profile)#"),
    (["crypto ipsec transform-set T esp-gcm 256"], "(cfg-crypto-trans)#"),
    (["crypto ipsec profile P"], "(ipsec-profile)#"),
    (["interface Tunnel 5"], "(config-if)#"),
    (["interface lo0"], "(config-if)#"),
    (["ip access-list extended A"], "(config-ext-nacl)#"),
    (["interface lo0", "hostname R9"], "(config)#"),
    (["interface lo0", "crypto ikev2 profile P"], "(config-ikev2-profile)#"),
    (["crypto ikev2 keyring P", "peer X", "exit"], "(config-ikev2-keyring)#"),
    (["crypto ikev2 keyring P", "peer X", "exit", "exit"], "(config)#"),
    (["exit"], "#"),
]


@pytest.mark.parametrize(("lines", "prompt"), PROMPTS)
def test_prompts_are_those_of_ios(lines: list[str], prompt: str) -> None:
    """Each command goes into the mode that IOS goes into; a global one leaves any mode."""
    editor = Editor(empty())
    assert [editor.feed(line) for line in lines][-1].prompt_suffix == prompt


ERRORS = [
    ([], "lifetime 120", (" " * len("R1(config)#") + "^", "% Invalid input detected at '^' marker.", "")),
    ([], "crypto ikev2 profil", ("% Incomplete command.", "")),
    ([], "crypto ikev2 p", ('% Ambiguous command:  "crypto ikev2 p"',)),
    (
        ["crypto ikev2 profile default"],
        "lifetime 90000",
        (" " * (len("R1(config-ikev2-profile)#") + 9) + "^", "% Invalid input detected at '^' marker.", ""),
    ),
    (
        ["crypto ikev2 profile default"],
        "lifetime 60",
        (
            " " * (len("R1(config-ikev2-profile)#") + 9) + "^",
            "% had 60, wanted 120 or more (10-119 need --lab-timers)",
            "",
        ),
    ),
    (["crypto ikev2 profile default"], "match identity", ("% Incomplete command.", "")),
    (
        ["interface Tunnel0"],
        "tunnel mode gre multipoint",
        (
            " " * (len("R1(config-if)#") + 16) + "^",
            "% Invalid input detected at '^' marker.",
            "",
            "% a tunnel has one peer (no NHRP, no DMVPN); possible: tunnel mode gre ip | tunnel mode ipsec ipv4, one "
            "interface for each peer",
            "",
        ),
    ),
    (
        ["interface Tunnel0"],
        "ip nhrp network-id 1",
        ("% ip nhrp network-id 1: accepted, without effect on ikescope: no NHRP: a tunnel has one peer",),
    ),
    (
        ["interface Tunnel0"],
        "ip unnumbered lo7",
        ("% Loopback7 has no address here; possible: ip address A.B.C.D MASK", ""),
    ),
]


@pytest.mark.parametrize(("before", "line", "wanted"), ERRORS, ids=[line for _, line, _ in ERRORS])
def test_errors_are_in_words_of_ios_and_change_nothing(
    router: RouterConfig, before: list[str], line: str, wanted: tuple[str, ...]
) -> None:
    """A line that is not understood is answered as IOS answers, the caret under its place; nothing changes."""
    editor = Editor(router)
    for earlier in before:
        editor.feed(earlier)
    held, prompt = editor.config, editor.prompt_suffix
    reply = editor.feed(line)
    assert reply.text_lines == wanted
    assert (editor.config, editor.prompt_suffix) == (held, prompt)


def test_reminders_of_ios() -> None:
    """A new profile, policy or proposal is answered with what it must have; a complete one with nothing."""
    editor = Editor(load(BASE))
    assert editor.feed("crypto ikev2 profile NEW").text_lines == (
        "IKEv2 profile MUST have:",
        "   1. A local and a remote authentication method.",
        "   2. A match identity or a match certificate or match any statement.",
    )
    assert editor.feed("crypto ikev2 policy NEW").text_lines == (
        "IKEv2 policy MUST have atleast one complete proposal attached",
    )
    assert editor.feed("crypto ikev2 proposal NEW").text_lines[0].startswith("IKEv2 proposal MUST either have a set of")
    assert editor.feed("crypto ikev2 profile default").text_lines == ()
    assert editor.feed("crypto ikev2 proposal default").text_lines == ()


def severities(config: RouterConfig) -> list[str]:
    """What the check of a configuration found."""
    return [finding.severity for finding in config.findings]


def test_findings_follow_the_typed_lines(router: RouterConfig) -> None:
    """The findings of the new configuration are those of a check of it."""
    editor = Editor(router)
    assert severities(editor.config) == []
    editor.feed("interface Tunnel0")
    editor.feed("tunnel protection ipsec profile NONE")
    assert severities(editor.config) == ["error"]
    editor.feed("tunnel protection ipsec profile default")
    assert severities(editor.config) == []


def test_tunnel_source_follows_the_interface(router: RouterConfig) -> None:
    """A new address on the source interface is the tunnel's new source address."""
    editor = Editor(router)
    editor.feed("interface gi1")
    editor.feed("ip address 192.0.2.9 255.255.255.0")
    assert str(editor.config.tunnels["Tunnel0"].source_address) == "192.0.2.9"
    editor.feed("no ip address")
    assert editor.config.tunnels["Tunnel0"].source_address is None


def test_lab_timers_at_the_console(router: RouterConfig) -> None:
    """With lab timers a short lifetime is taken, and a finding warns of it."""
    editor = Editor(router, lab_timers=True)
    editor.feed("crypto ikev2 profile default")
    assert editor.feed("lifetime 20").text_lines == ()
    assert [finding.severity for finding in editor.config.findings] == ["warning"]


def test_do_is_handed_out_for_execution(router: RouterConfig) -> None:
    """`do` gives the exec command to whoever executes, in any mode, and its errors to the console."""
    editor = Editor(router)
    editor.feed("interface Tunnel0")
    reply = editor.feed("do show crypto ikev2 sa detailed")
    assert reply.execute == ExecCommand("show crypto ikev2 sa", {"detailed": "detailed"})
    assert reply.prompt_suffix == "(config-if)#"
    bad = editor.feed("do show nothing")
    assert bad.execute is None
    assert bad.text_lines == (" " * len("R1(config-if)#do show ") + "^", "% Invalid input detected at '^' marker.", "")


HELP = [
    ("crypto ikev2 profile default", "lifetime ?", ("  <120-86400>  number",)),
    ("crypto ikev2 profile default", "nat ?", ("  force-encap", "  keepalive")),
    ("crypto ikev2 profile default", "authentication local pre-share ?", ("  key   Pre-shared key", "  <cr>")),
    ("crypto ikev2 profile default", "d?", ("description  do  dpd",)),
    ("crypto ikev2 profile default", "zz?", ("% Unrecognized command",)),
    ("crypto ikev2 proposal default", "integrity ?", ("  md5", "  sha1", "  sha256", "  sha384", "  sha512")),
    (
        "interface Tunnel0",
        "tunnel mode ipsec ?",
        ("  dual-overlay", "  ipv4", "  ipv6          Internet Protocol version 6"),
    ),
]


@pytest.mark.parametrize(("mode", "line", "wanted"), HELP, ids=[line for _, line, _ in HELP])
def test_question_mark(router: RouterConfig, mode: str, line: str, wanted: tuple[str, ...]) -> None:
    """`?` lists what may follow with its help, or the words that continue the last one, from the mode one is in."""
    editor = Editor(router)
    editor.feed(mode)
    words = tuple(text.rstrip() for text in editor.feed(line).text_lines)
    ipv4 = tuple(text.split("  Internet")[0] if text.startswith("  ipv4") else text for text in words)
    assert ipv4 == wanted


def test_help_of_an_empty_line_is_that_of_the_mode(router: RouterConfig) -> None:
    """`?` alone lists the commands of the mode, and those of every mode, not the global ones."""
    editor = Editor(router)
    editor.feed("crypto ikev2 policy default")
    listed = [text.split()[0] for text in editor.feed("?").text_lines]
    assert listed == ["do", "end", "exit", "match", "no", "proposal"]


def test_tab_completes_one_word(router: RouterConfig) -> None:
    """Tab completes a word that only one keyword continues, and leaves others."""
    editor = Editor(router)
    assert editor.complete("cry") == "crypto "
    assert editor.complete("crypto ikev2 pro") == "crypto ikev2 pro"
    assert editor.complete("crypto ikev2 prof") == "crypto ikev2 profile "
    assert editor.complete("crypto ") == "crypto "
    assert editor.complete("nothing he") == "nothing he"


def test_typed_configuration_equals_the_loaded_one(router: RouterConfig) -> None:
    """Typing a file line by line gives the router that loading it gives, lines aside."""
    editor = Editor(empty())
    for line in BASE.splitlines():
        assert not any("Invalid" in text for text in editor.feed(line).text_lines)
    assert editor.config.tunnels["Tunnel0"].source_address == router.tunnels["Tunnel0"].source_address
    assert editor.config.keyrings["KR"].peers[0].local_key == router.keyrings["KR"].peers[0].local_key
    assert editor.config.findings == router.findings


def test_lines_of_other_parts_are_taken_with_their_blocks() -> None:
    """What a tool types of ntp, snmp, vty and routing goes by without effect; a mistake in our own part stays one."""
    editor = Editor(load("hostname R1\n", name="R1.cfg"))
    before = editor.config
    for line, suffix, said in (
        ("line console 0", "(config-line)#", "% line console 0: accepted, without effect on ikescope"),
        ("exec-timeout 0 0", "(config-line)#", ""),
        ("logging synchronous", "(config-line)#", ""),
        ("router bgp 65000", "(config-router)#", "% router bgp 65000: accepted, without effect on ikescope"),
        ("neighbor 10.0.0.1 remote-as 65001", "(config-router)#", ""),
        ("banner motd #", "(config)#", "% banner motd #: accepted, without effect on ikescope"),
        ("crypto ikev2 window 7", "(config)#", ""),
        ("#", "(config)#", ""),
        ("snmp-server community hush RO", "(config)#", "% snmp-server community <removed>: accepted,"),
        ("router ospf 1", "(config-router)#", "% router ospf 1:"),
        ("line vty 0 4", "(config-line)#", ""),
        ("logging synchronous", "(config-line)#", "% logging synchronous: accepted"),
        ("exec-timout 5", "(config-line)#", "^"),
        ("ntp server 10.0.0.1", "(config)#", "% ntp server 10.0.0.1: accepted"),
        ("username bob privilege 99", "(config)#", "^"),
        ("frobnicate", "(config)#", "^"),
    ):
        reply = editor.feed(line)
        assert reply.prompt_suffix == suffix, line
        assert "\n".join(reply.text_lines).strip().startswith(said), (line, reply)
        assert bool(reply.text_lines) == bool(said), (line, reply)
    assert editor.config.window == before.window
