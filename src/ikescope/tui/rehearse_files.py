"""The configurations of a rehearsal: IOS or swanctl, told by content, and what is assumed where they are silent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.config.swanctl import Ends
from ikescope.config.swanctl import load as load_swanctl
from ikescope.config.swanctl_text import Include, is_swanctl
from ikescope.daemon.load import STANDARD_INPUT, Rejected, read_text
from ikescope.errors import LocalError
from ikescope.esp.paths import carried
from ikescope.ios.configuration import ConfigurationError
from ikescope.ios.configuration import load as load_ios
from ikescope.sim.rehearsal_keys import assumed, faults, shown
from ikescope.sim.rehearsal_pairs import located


class Loaded(msgspec.Struct, frozen=True):
    """The routers, each with a hostname of its own; a line for each thing assumed, and for each without counterpart."""

    configs: tuple[RouterConfig, ...]
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]


def load(names: Sequence[str], *, generation: str | None = None, lab_timers: bool = False) -> Loaded:
    """Read every file. Rejected, a line for each reason, where one cannot work; LocalError where one cannot be read."""
    texts = [(name, read_text(name)) for name in names]
    read: dict[int, RouterConfig] = {}
    later = [(number, name, text) for number, (name, text) in enumerate(texts) if is_swanctl(text)]
    for number, (name, text) in enumerate(texts):
        if not is_swanctl(text):
            read[number] = _ios(name, text, generation, lab_timers)
    # Twice: the first time for the addresses that they say, the second for those that others say of them.
    for _ in range(2):
        for number, name, text in later:
            others = tuple(end for at, config in read.items() if at != number for end in _ends(config))
            read[number] = load_swanctl(text, name=name, include=_include(name), ends=others)
    configs = _named([read[number] for number in range(len(texts))])
    wrong = tuple(
        f"{config.source}:{one.line}: error: {' '.join(one.text.split())}"
        + (f" (write: {one.remedy})" if one.remedy else "")
        for config in configs
        for one in faults(config)
    )
    if wrong:
        raise Rejected(wrong)
    configs, places = located(configs)
    configs, keys = assumed(configs)
    return Loaded(tuple(configs), (*places, *keys), tuple(_notes(configs)))


def _ios(name: str, text: str, generation: str | None, lab_timers: bool) -> RouterConfig:
    try:
        return load_ios(shown(text), name=name, generation=generation, lab_timers=lab_timers)
    except ConfigurationError as error:
        raise Rejected(error.problems) from error


def _ends(config: RouterConfig) -> list[Ends]:
    return [
        (tunnel.source_address, tunnel.destination)
        for tunnel in carried(config)
        if tunnel.source_address is not None and tunnel.destination is not None
    ]


def _named(configs: list[RouterConfig]) -> list[RouterConfig]:
    named: list[RouterConfig] = []
    for config in configs:
        if config.hostname in {one.hostname for one in named}:
            config = msgspec.structs.replace(config, hostname=f"{config.hostname}-{len(named) + 1}")
        named.append(config)
    return named


def _notes(configs: Sequence[RouterConfig]) -> list[str]:
    """What is rehearsed otherwise than written, or not at all."""
    told = []
    for config in configs:
        if not carried(config):
            told.append(f"{config.source}: had no protected tunnel: nothing of it is rehearsed")
        if config.version == "strongSwan":
            told += [f"{config.source}:{one.line}: {one.severity}: {one.text}" for one in config.findings]
            told += [f"{config.source}:{one.line}: not acted on: {one.text}" for one in config.ignored]
    return told


def _include(name: str) -> Include | None:
    """Files beside the one that includes them, and below; none for standard input."""
    if name == STANDARD_INPUT:
        return None
    home = Path(name).parent

    def include(pattern: str) -> list[tuple[str, str]]:
        if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts or not pattern:
            raise LocalError(f"{name}: had include {pattern}, wanted files in {home} or below")
        return [(str(one), read_text(str(one))) for one in sorted(home.glob(pattern)) if one.is_file()]

    return include
