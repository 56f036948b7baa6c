"""Two configurations compared: in IOS's form, and by what changes routers with the difference."""

from pathlib import Path

import msgspec
from hier_config import Platform, get_hconfig
from hypothesis import Phase, given, settings
from tests.ios.test_config_running import SEALER, bare, routers

from ikescope.config import model
from ikescope.ios.configuration import Editor, load
from ikescope.ios.differences import HEADER, SAME, differences
from ikescope.ios.running import configuration_lines, running_config

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def as_loaded(config: model.RouterConfig) -> tuple[str, model.RouterConfig]:
    """A router's lines and what they load to. At most one IPv4 address an interface: hier_config takes each further one
    for the address itself and says nothing of its removal.
    """
    plain = {
        table: {
            name: msgspec.structs.replace(
                item,
                addresses=(
                    *[address for address in item.addresses if address.version == 4][:1],
                    *[address for address in item.addresses if address.version == 6],
                ),
            )
            for name, item in getattr(config, table).items()
        }
        for table in ("interfaces", "tunnels")
    }
    text = "\n".join(configuration_lines(msgspec.structs.replace(config, **plain), sealer=SEALER))
    return text, load(text, opener=SEALER, generation=config.generation)


def alike(config: model.RouterConfig, other: model.RouterConfig) -> model.RouterConfig:
    """A router with the version of another, which no line changes, and with its smart defaults where one is edited: to
    text, one that is there again looks like one that was taken away.
    """
    for table in ("proposals", "policies", "transform_sets"):
        both = [getattr(each, table).get("default") for each in (config, other)]
        if any(item is not None and not item.smart_default for item in both):
            own = {name: item for name, item in getattr(config, table).items() if name != "default"}
            held = {} if both[1] is None else {"default": both[1]}
            config = msgspec.structs.replace(config, **{table: {**held, **own}})
    return msgspec.structs.replace(config, version=other.version, generation=other.generation)


@settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(routers(), routers())
def test_what_hier_config_computes_turns_one_router_into_the_other(
    one: model.RouterConfig, other: model.RouterConfig
) -> None:
    """Every line of the difference, `no` forms first among them, is taken, and in the end the routers are the same."""
    before, config = as_loaded(one)
    after, wanted = as_loaded(alike(other, one))
    changes = get_hconfig(Platform.CISCO_IOS, before).config_to_get_to(get_hconfig(Platform.CISCO_IOS, after))
    editor = Editor(config, opener=SEALER)
    for line in changes.all_children_sorted():
        text = line.cisco_style_text()
        told = editor.feed(text).text_lines
        assert not [each for each in told if "%" in each], (text, told)
    assert bare(editor.config) == bare(wanted)


@settings(max_examples=6, deadline=None)
@given(routers())
def test_whole_is_the_same_router(config: model.RouterConfig) -> None:
    """`show running-config all` says what is as it is by default, too, and loads to the same router."""
    shown = running_config(config, sealer=SEALER, whole=True)
    assert {line.strip() for line in running_config(config, sealer=SEALER)[3:]} <= {line.strip() for line in shown}
    again = load("\n".join(shown), opener=SEALER)
    named = {
        table: {
            name: msgspec.structs.replace(item, smart_default=False) for name, item in getattr(config, table).items()
        }
        for table in ("proposals", "policies", "transform_sets")
    }
    assert bare(again) == bare(msgspec.structs.replace(config, **named))


def test_the_form_is_that_of_ios() -> None:
    """Additions and removals stand within the lines that lead to them, those without a change are not named."""
    before = [
        "hostname R1",
        "interface Tunnel0",
        " ip mtu 1300",
        " shutdown",
        "!",
        "ip route 10.0.0.0 255.0.0.0 Tunnel0",
    ]
    after = ["hostname R1", "interface Tunnel0", " ip mtu 1400", " shutdown", "!", "interface Loopback1", " shutdown"]
    assert differences(before, after) == [
        HEADER,
        "interface Tunnel0",
        " +ip mtu 1400",
        " -ip mtu 1300",
        "+interface Loopback1",
        " +shutdown",
        "-ip route 10.0.0.0 255.0.0.0 Tunnel0",
    ]
    assert differences(after, [*after, "!", "end"]) == [HEADER, SAME]


def test_defaults_come_back() -> None:
    """`default crypto ...` undoes what was done to a smart default, removed ones too; a name alone brings one back."""
    editor = Editor(load(""))
    for line in (
        "crypto ikev2 proposal default",
        "group 19",
        "no crypto ikev2 policy default",
        "no crypto ipsec transform-set default",
        "crypto ipsec profile default",
        "set pfs group19",
    ):
        assert editor.feed(line).text_lines == (), line
    kinds = ("ikev2 proposal", "ikev2 policy", "ipsec transform-set", "ipsec profile")
    assert [editor.feed(f"default crypto {kind}").text_lines for kind in kinds] == [()] * 4
    assert bare(editor.config) == bare(load(""))
    for line in ("no crypto ipsec transform-set default", "crypto ipsec transform-set default", "end"):
        editor.feed(line)
    assert bare(editor.config) == bare(load(""))
    assert editor.feed("crypto ipsec transform-set OTHER").text_lines[0] == "% Incomplete command."


def test_the_examples_are_taken_away_line_by_line() -> None:
    """Every line of a running-config has its `no` form: without all of them nothing is configured any more."""
    config = load((EXAMPLES / "lab-R1-full.cfg").read_text())
    editor = Editor(config)
    lines = configuration_lines(config, secrets=True)
    for index, line in enumerate(lines):
        if line.strip() in ("!", "end", "") or line.startswith(("version", "no ")):
            continue
        opens = lines[index + 1].startswith(line[: len(line) - len(line.lstrip())] + " ")
        text = line.strip() if opens else line.strip().removeprefix("no ") if " no " in line else f"no {line.strip()}"
        if line.strip() == "no ip address":
            continue
        told = editor.feed(text).text_lines
        assert not [each for each in told if each.startswith("% Inv") or "^" in each], (text, told)
    for line in lines:
        if not line.startswith((" ", "!", "end", "version", "no ")):
            editor.feed(f"no {line}")
    left = [line for line in configuration_lines(editor.config) if line not in ("!", "end")]
    assert left == [f"version {config.version}", "hostname Router"]
