"""The rules of the house: what imports what, what stays pure, how long a thing may be, what no tracked file holds."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "ikescope"
TESTS = ROOT / "tests"

PURE = (
    *("errors", "wire", "crypto", "config", "events", "policy", "engine", "esp"),
    *("node", "sim", "timeline", "ios", "capture", "explain", "views"),
)
"""From the ground up: each imports only from those before it, and none touches the world outside."""
WITH_IO = ("planes", "daemon", "web", "ssh", "tui", "demo", "bench", "cli")
LAYERS = [*PURE, *WITH_IO]
ANYWHERE = {"__init__", "__main__"}
"""Modules at the top that are no layer: the package itself, and the entry that calls cli."""

IMPURE = {
    *("socket", "asyncio", "select", "selectors", "subprocess", "threading", "multiprocessing", "os"),
    *("time", "random", "secrets"),
}
"""Modules that hold a clock, chance, or a way out. Time and randomness are arguments of the pure group."""

HEAVY = {
    *("cryptography", "asyncio", "rich"),
    *("numpy", "pyroute2", "scapy", "textual", "asyncssh", "starlette", "uvicorn"),
}
"""What `ikescope --help` has no use for."""

LINES, FUNCTION_LINES = 500, 50
TABLE_FILES: dict[str, str] = {}
"""A file over 500 lines that is one table -> why it is not two things."""

REGISTRY_HOSTS = (
    r"pypi\.org|pythonhosted\.org|deb\.debian\.org|archive\.ubuntu\.com|registry\.npmjs"
    r"|--(?:extra-)?index-url|--find-links"
)
MACHINE_PATHS = r"(?<![\w.])/(?:home|Users)/[a-z]\w*/|/root/\.|(?<![\w./])/work/"


@cache
def parsed(path: Path) -> ast.Module:
    """The tree of a file; a SyntaxError names the file."""
    return ast.parse(path.read_bytes(), str(path))


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """What `ast.walk` gives of a whole tree, walked once."""
    return tuple(ast.walk(tree))


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    """Every module of the package: its layer, its path, its tree."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).parts[0].removesuffix(".py"), path, parsed(path)


def imported(tree: ast.Module, path: Path) -> Iterator[tuple[int, str]]:
    """Every absolute dotted name that a module imports, with its line; a relative import is resolved first."""
    package = ["ikescope", *path.relative_to(SOURCE).parts[:-1]]
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


def typing_only(tree: ast.Module) -> set[int]:
    """The lines under `if TYPE_CHECKING:`."""
    return {
        line
        for node in nodes(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def tracked() -> list[Path]:
    """Every file that git keeps or would keep; without git, every file that a clone would have."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / name for name in done.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def where(path: Path, line: int) -> str:
    """A place as an editor takes it."""
    return f"{path.relative_to(ROOT)}:{line}"


def test_a_package_imports_only_from_those_above_it() -> None:
    """The layers hold: wire knows nothing of crypto, the engine nothing of the daemon, also not for types alone."""
    faults = []
    for layer, path, tree in modules():
        if layer in ANYWHERE:
            continue
        allowed = set(LAYERS[: LAYERS.index(layer) + 1]) | {"__version__"}
        for line, name in imported(tree, path):
            first, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if first == "ikescope" and target and target not in allowed:
                faults.append(f"{where(path, line)}: {layer} imports {name}")
    assert faults == []


def test_every_module_belongs_to_a_layer() -> None:
    """A new package or module at the top takes its place in the order before it is used."""
    strangers = {str(path.relative_to(ROOT)) for layer, path, _ in modules() if layer not in {*LAYERS, *ANYWHERE}}
    assert strangers == set()


def test_the_pure_group_touches_nothing_outside() -> None:
    """No socket, clock, chance, file descriptor, process or print below the line between pure and I/O."""
    faults = []
    for layer, path, tree in modules():
        if layer not in PURE:
            continue
        for line, name in imported(tree, path):
            if name.partition(".")[0] in IMPURE:
                faults.append(f"{where(path, line)}: imports {name}")
        for node in nodes(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("print", "input", "open")
            ):
                faults.append(f"{where(path, node.lineno)}: calls {node.func.id}")
    assert faults == []


WALLS = {"engine/exchange.py", "daemon/control.py", "cli.py"}
"""Behind them a defect of ours ends what was being done, and not the router: docs/architecture.md says why."""


def test_a_broad_except_stands_only_where_the_design_puts_it() -> None:
    """`except Exception` is for three walls, of engine, console and command line; a bare except for nobody."""
    faults = []
    for _, path, tree in modules():
        for node in nodes(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type else "everything"
            wall = any(path.as_posix().endswith(f"ikescope/{one}") for one in WALLS)
            if caught in ("everything", "BaseException") or (caught == "Exception" and not wall):
                faults.append(f"{where(path, node.lineno)}: except {caught}")
    assert faults == []


def test_files_are_short() -> None:
    """A file of 500 lines or more is two things, unless it is one table and says so here."""
    long = {
        str(path.relative_to(ROOT)): count
        for root in (SOURCE, TESTS, ROOT / "tools")
        for path in root.rglob("*.py")
        if (count := len(path.read_bytes().splitlines())) >= LINES
    }
    assert {name: count for name, count in long.items() if name not in TABLE_FILES} == {}
    assert set(TABLE_FILES) <= set(long), "an exception that is no longer one"


def test_functions_are_short() -> None:
    """A function of 50 lines or more is two things."""
    long = []
    for root in (SOURCE, TESTS, ROOT / "tools"):
        for path in sorted(root.rglob("*.py")):
            for node in nodes(parsed(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    count = (node.end_lineno or node.lineno) - node.lineno + 1
                    if count >= FUNCTION_LINES:
                        long.append(
                            f"{where(path, node.lineno)}: {node.name}: had {count} lines, wanted under {FUNCTION_LINES}"
                        )
    assert long == []


def test_every_test_states_its_rule() -> None:
    """Each test has a docstring of one sentence."""
    mute = [
        where(path, node.lineno)
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in nodes(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert mute == []


def test_no_test_is_switched_off() -> None:
    """No skip and no xfail: what a machine lacks is told by tests/support/machine.py alone."""
    switches = {"skip", "skipif", "xfail", "importorskip"}
    faults = [
        where(path, node.lineno)
        for path in sorted(TESTS.rglob("*.py"))
        for node in nodes(parsed(path))
        if isinstance(node, ast.Attribute)
        and node.attr in switches
        and ast.unparse(node.value) in ("pytest", "pytest.mark", "mark")
    ]
    assert faults == []


def test_no_tracked_file_names_a_registry_or_a_machine() -> None:
    """No package registry's address and no path of anyone's machine stands in a tracked file."""
    pattern = re.compile(f"{REGISTRY_HOSTS}|{MACHINE_PATHS}")
    faults = []
    for path in tracked():
        if path == Path(__file__):
            continue
        text = path.read_bytes()
        if b"\0" in text[:1024]:
            continue
        for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
            if match := pattern.search(line):
                faults.append(f"{where(path, number)}: {match[0]}")
    assert faults == []


def locked(name: str) -> dict[str, set[str]]:
    """A lock as package -> its version pins; every pin must carry hashes."""
    pins: dict[str, set[str]] = {}
    blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text())
    for block in blocks:
        if match := re.match(r"([a-z0-9-]+)==(\S+)", block):
            assert "--hash=sha256:" in block, f"{name}: {match[1]} has no hash"
            pins.setdefault(match[1], set()).add(match[2])
        else:
            assert block.startswith("#"), f"{name}: neither a pin nor a comment: {block[:60]}"
    return pins


def test_locks_pin_what_the_project_declares() -> None:
    """The run lock holds every dependency and the router extra, the development lock all of that and the dev extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    run, development = locked("requirements.lock"), locked("requirements-dev.lock")

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=!~\[ ;]", requirement)[0].lower() for requirement in requirements}

    assert names([*project["dependencies"], *extras["router"]]) <= run.keys()
    assert names(extras["dev"]) <= development.keys()
    assert run.items() <= development.items()
    assert {"setuptools", "wheel"} <= run.keys(), "the project is built without an isolated download"


def test_the_command_line_starts_light() -> None:
    """Importing the command line loads no cryptography, no event loop and no terminal kit: `--help` is quick."""
    program = "import sys, ikescope.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "src", capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & HEAVY == set()
