"""Exec commands about what is kept: `write memory`, `copy`, `configure replace`, and the shows that compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ikescope.config.model import RouterConfig
from ikescope.errors import LocalError
from ikescope.ios.archive import STARTUP_OCTETS, Archive
from ikescope.ios.configuration import ConfigurationError, load
from ikescope.ios.differences import SAME, differences
from ikescope.ios.exec_question import Question
from ikescope.ios.running import configuration_lines, shown_line
from ikescope.ios.sealing import Opener, Sealer

Arguments = dict[str, Any]

_DESTINATION = "Destination filename [startup-config]? "
_STARTUP_NAMES = ("startup-config", "nvram:startup-config", "nvram:/startup-config")
_SURE = """\
This will apply all necessary additions and deletions
to replace the current running configuration with the
contents of the specified configuration file, which is
assumed to be a complete configuration, not a partial
configuration. Enter Y if you are sure you want to proceed. ? [no]: """


class _Router(Protocol):
    @property
    def config(self) -> RouterConfig: ...

    @property
    def archive(self) -> Archive: ...

    def reload(self, text: str, name: str) -> list[str]: ...


class Seeing(Protocol):
    """What the shows need of the session that asks for them."""

    @property
    def router(self) -> _Router:
        """The router."""

    @property
    def keys(self) -> Sealer | None:
        """What seals the keys that this operator may see; None: none."""


class Keeping(Seeing, Protocol):
    """What the other commands need of the session that gives them."""

    def ask(self, question: Question) -> list[str]:
        """Let the next line answer a question."""


def _refused(*lines: str) -> list[str]:
    return [*(f"% {line}" for line in lines), ""]


def _save(session: Keeping) -> list[str]:
    """`write memory`: the running configuration, its keys sealed, once it is known to load again."""
    archive = session.router.archive
    if archive.sealer is None:
        return _refused("startup-config was not written: without a key file (run --key-file FILE) keys cannot be kept")
    config = session.router.config
    lines = configuration_lines(config, sealer=archive.sealer)
    text = "\n".join(lines) + "\n"
    lost = _not_kept(archive)
    try:
        again = load(text, name=archive.name, generation=config.generation, lab_timers=True, opener=archive.sealer)
        if configuration_lines(again, sealer=archive.sealer) != lines:
            raise LocalError("it would not load to what runs, a defect of ikescope; please report it")
        archive.save(text)
    except LocalError as error:
        return ["Building configuration...", *_refused(f"startup-config was not written: {error}")]
    left = f"! {lost} of its lines, on which ikescope does not act, stand in {archive.name}.previous alone"
    return ["Building configuration...", "[OK]", *([left] if lost else [])]


def _not_kept(archive: Archive) -> int:
    """Lines of the startup configuration that a running configuration has no place for."""
    try:
        return len(load(archive.startup(), lab_timers=True, opener=archive.sealer).ignored)
    except LocalError:
        return 0


def _copy(session: Keeping, _: Arguments) -> list[str]:
    def answer(text: str) -> list[str]:
        name = text.strip().lower() or _STARTUP_NAMES[0]
        if name not in _STARTUP_NAMES:
            return _refused(f"Error opening {text.strip()} (ikescope keeps startup-config and no other file)")
        return _save(session)

    return session.ask(Question(_DESTINATION, answer))


def _replace(session: Keeping, arguments: Arguments) -> list[str]:
    def answer(text: str) -> list[str]:
        sure = text.strip().lower()
        return _go_back(session, "list" in arguments) if sure and "yes".startswith(sure) else []

    if "force" in arguments:
        return _go_back(session, "list" in arguments)
    *before, question = _SURE.split("\n")
    return [*before, *session.ask(Question(question, answer))]


def _go_back(session: Keeping, listed: bool) -> list[str]:
    router = session.router
    try:
        text = router.archive.startup()
        wanted = _loaded(session, text)
        changes = _compare(session, router.config, wanted)
        if changes[1:] == [SAME]:
            return ["Total number of passes: 0", "Rollback Done", ""]
        told = router.reload(text, router.archive.name)
    except ConfigurationError as error:
        return _refused(*error.problems, "nothing was changed")
    except LocalError as error:
        return _refused(str(error))
    shown = ["!List of Rollback Commands:", *changes[1:], "end", ""] if listed else []
    left = [line.replace("%", "!", 1) for line in told]
    return [*shown, *left, "Total number of passes: 1", "Rollback Done", ""]


def _loaded(session: Seeing, text: str) -> RouterConfig:
    archive = session.router.archive
    opener: Opener | None = archive.sealer
    generation = session.router.config.generation
    return load(text, name=archive.name, generation=generation, lab_timers=True, opener=opener)


def _compare(session: Seeing, before: RouterConfig, after: RouterConfig) -> list[str]:
    return differences(*(configuration_lines(each, sealer=session.keys) for each in (before, after)))


def show_differences(session: Seeing, arguments: Arguments) -> list[str]:
    """`show archive config differences [FIRST [SECOND]]`: what makes the second of the first; startup and running."""
    return _between(session, arguments.get("first", "startup-config"), arguments.get("second", "running-config"))


def _between(session: Seeing, first: str, second: str) -> list[str]:
    try:
        both = [_named(session, name) for name in (first, second)]
    except ConfigurationError as error:
        return _refused(*error.problems)
    except LocalError as error:
        return _refused(str(error))
    return [*_compare(session, *both), ""]


def _named(session: Seeing, name: str) -> RouterConfig:
    if name.endswith("running-config"):
        return session.router.config
    return _loaded(session, session.router.archive.startup())


def startup_config(session: Seeing, _: Arguments) -> list[str]:
    """`show startup-config`: the file as it is, but keys that stand in it in clear."""
    try:
        text = session.router.archive.startup()
    except LocalError as error:
        return _refused(str(error))
    return [
        f"Using {len(text.encode())} out of {STARTUP_OCTETS} bytes",
        *(shown_line(line, session.keys) for line in text.splitlines()),
    ]


def _words(*lines: str) -> Callable[[Keeping, Arguments], list[str]]:
    return lambda session, _: _refused(*(line.format(name=session.router.archive.name) for line in lines))


#: By the name of the command in `commands.EXEC_ROWS`.
STORES: dict[str, Callable[[Keeping, Arguments], list[str]]] = {
    "write memory": lambda session, _: _save(session),
    "copy running-config startup-config": _copy,
    "configure replace": _replace,
    "configure replace file": _words(
        "ikescope has no file system of its own: `configure replace nvram:startup-config` goes back to {name};"
        " `ikescope reload FILE` on the host takes another file"
    ),
    "copy": _words(
        "ikescope has no file system of its own: `copy running-config startup-config` keeps what runs in {name};"
        " `configure replace nvram:startup-config` goes back to it"
    ),
    "erase": _words("ikescope erases nothing: the startup configuration is the host's file {name}; remove it there"),
    "reload": _words(
        "ikescope does not start itself again: its service or its operator on the host does;"
        " `configure replace nvram:startup-config` goes back to {name} and drops no SA that it keeps"
    ),
}
