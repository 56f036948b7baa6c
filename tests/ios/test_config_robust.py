"""Whatever stands in a file or is typed: a router, or the one error that says why not."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ikescope.config.model import RouterConfig
from ikescope.config.smart_defaults import empty
from ikescope.ios.configuration import ConfigurationError, Editor, load
from ikescope.ios.running import running_config

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LINES = [line for name in ("R1.cfg", "lab-R1-full.cfg") for line in (EXAMPLES / name).read_text().split("\n") if line]
MORE = [
    " match address local interface Loopback0",
    " ip unnumbered Loopback0",
    " tunnel source Serial0/0:1",
    " permit tcp any gt 65535 any lt 0",
    " permit udp any range 9 3 any",
    " set security-association replay disable",
    " mode transport require",
    " identity local key-id k",
    "crypto ipsec security-association lifetime seconds 900",
    "crypto ipsec transform-set default esp-gcm",
    "no crypto ikev2 keyring KR",
    "no crypto ikev2 profile default",
    "no interface Tunnel0",
    "default interface Tunnel1",
    " exit",
    "exit",
    "banner exec #",
    "\t quit",
    "?",
    "do show version",
]

lines = st.sampled_from([*LINES, *MORE])
mangled = st.builds(
    lambda line, cut, no, margin: " " * margin + ("no " if no else "") + line.strip()[: cut or None],
    lines,
    st.integers(0, 30),
    st.booleans(),
    st.integers(0, 2),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(lines | mangled | st.text(max_size=20), max_size=25))
def test_any_lines_load_or_are_refused(text: list[str]) -> None:
    """Lines in any order, cut and negated, are a router whose running-config loads, or a ConfigurationError."""
    try:
        config = load("\n".join(text))
    except ConfigurationError as error:
        assert all(problem.startswith("<config>:") and "\n" not in problem for problem in error.problems)
        return
    assert isinstance(load("\n".join(running_config(config))), RouterConfig)


def test_what_waits_for_an_item_that_is_gone_is_forgotten() -> None:
    """A line whose interface is looked up at the end has no effect on a profile or tunnel removed meanwhile."""
    config = load(
        "crypto ikev2 profile P\n match address local interface Loopback0\ninterface Tunnel0\n"
        " ip unnumbered Loopback0\n"
        "interface Loopback0\n ip address 10.0.0.1 255.255.255.255\nno crypto ikev2 profile P\nno interface Tunnel0\n"
    )
    assert (config.profiles, config.tunnels) == ({}, {})


@settings(max_examples=150, deadline=None)
@given(st.lists(lines | mangled | st.text(max_size=20), max_size=25))
def test_any_typed_lines_are_answered(text: list[str]) -> None:
    """A console takes any lines whatever: each has an answer and a prompt."""
    editor = Editor(empty())
    for line in "\n".join(text).splitlines():
        reply = editor.feed(line)
        assert reply.prompt_suffix.endswith("#")
        assert all("\n" not in said for said in reply.text_lines)
