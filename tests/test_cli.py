"""The command line: exit statuses, one line an error, no traceback and no key in any output."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.daemon.routers import KEY, PYTHON, R1, ikescope

from ikescope import cli
from ikescope.errors import LocalError
from ikescope.events import Record, Stamp, encode
from ikescope.events.router import RouterStarted


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run ikescope to its end with `text` as its standard input."""
    return subprocess.run(
        ikescope(*arguments),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **PYTHON},
        timeout=20,
    )


@pytest.fixture
def good(tmp_path: Path) -> str:
    """A configuration without a fault."""
    (tmp_path / "R1.cfg").write_text(R1)
    return str(tmp_path / "R1.cfg")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "missing.cfg"], "ikescope: missing.cfg: No such file or directory"),
        (["run", "missing.cfg"], "ikescope: missing.cfg: No such file or directory"),
        (["read", "missing.jsonl"], "ikescope: missing.jsonl: No such file or directory"),
        (["check", "/"], "ikescope: /: Is a directory"),
        (["check", sys.executable], f"ikescope: {sys.executable} is not a text"),
        (["run", "--interface", "x", "R1.cfg"], "ikescope: --interface x: wanted NAME=DEVICE, such as "),
        (["console", "/nowhere/R9.sock"], "ikescope: no router /nowhere/R9.sock here: no socket at /nowhere/R9.sock;"),
        (["read", "-"], "ikescope: pasted text: empty; wanted "),
    ],
)
def test_what_cannot_be_read_is_one_line_and_status_2(arguments: list[str], said: str) -> None:
    """Wrong usage and unreadable input: exit status 2, one line on standard error, nothing else."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(said)


def test_wrong_usage_is_status_2() -> None:
    """An unknown command or option gets argparse's usage and status 2; what is not built is no command."""
    for arguments in ([], ["frobnicate"], ["run"], ["run", "--data-plane", "magic", "x"], ["watch"], ["rehearse", "x"]):
        assert run(*arguments).returncode == 2, arguments


def test_check_tells_good_from_bad(good: str, tmp_path: Path) -> None:
    """A clean file is 0; a line that cannot act, or a finding of error severity, is 1, with file, line and remedy."""
    done = run("check", good)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == f"{good}: R1: no errors; tunnels: Tunnel0"

    refused = tmp_path / "refused.cfg"
    refused.write_text(R1.replace("keyring local KR", "keyring local KR\n lifetime 5"))
    done = run("check", str(refused))
    assert done.returncode == 1
    assert f"{refused}:13: error: crypto ikev2 profile default: lifetime" in done.stdout

    broken = tmp_path / "broken.cfg"
    broken.write_text(R1.replace("keyring local KR", "keyring local NOBODY"))
    done = run("check", str(broken))
    assert done.returncode == 1
    assert "NOBODY is not configured" in done.stdout
    assert run("check", good, str(broken)).returncode == 1
    assert run("check", "-", text=R1).returncode == 0
    for output in (done.stdout, run("check", "--verbose", str(broken)).stdout):
        assert KEY not in output


def test_lines_not_acted_on_are_counted_or_listed(good: str, tmp_path: Path) -> None:
    """Foreign lines are a number, all of them with --verbose; a tunnel's line without effect is named."""
    file = tmp_path / "whole.cfg"
    file.write_text(
        R1.replace(" tunnel source", " ip tcp adjust-mss 1360\n tunnel source") + "router bgp 65000\nline con 0\n"
    )
    done = run("check", str(file))
    assert "not acted on: ip tcp adjust-mss 1360" in done.stdout
    assert f"{file}: 2 lines not acted on (`ikescope check --verbose {file}` lists them)" in done.stdout
    assert "not acted on: router bgp 65000" in run("check", "--verbose", str(file)).stdout


@pytest.mark.parametrize("change", [("keyring local KR", "keyring local NOBODY"), ("keyring local KR", "lifetime 5")])
def test_run_refuses_a_configuration_with_errors(tmp_path: Path, change: tuple[str, str]) -> None:
    """A router whose configuration cannot work is not started: its errors by line, exit status 1."""
    file = tmp_path / "R1.cfg"
    file.write_text(R1.replace(*change))
    done = run("run", str(file))
    assert done.returncode == 1
    assert f"{file}:" in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr + done.stdout


def test_run_says_in_a_line_what_the_host_does_not_have(good: str, tmp_path: Path) -> None:
    """A foreign address, an unusable directory: one line and status 2."""
    control = ("--control", str(tmp_path))
    for options, said in (
        (("--data-plane", "none", *control), "UDP port 500 on 10.99.0.1 cannot be had: no device of this host holds"),
        (
            ("--data-plane", "none", "--control", "/proc/x/R1.sock"),
            "directory /proc/x: No such file or directory; choose another place for",
        ),
    ):
        done = run("run", *options, good)
        assert done.returncode == 2
        assert done.stderr.startswith(f"ikescope: {said}"), done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*.sock")), "what was taken before the refusal is given back"


@pytest.mark.netns
def test_run_without_privilege_says_so(good: str, tmp_path: Path) -> None:
    """Port 500 without the capability for it is one line and status 2."""
    file = tmp_path / "local.cfg"
    file.write_text(R1.replace("tunnel source 10.99.0.1", "tunnel source 127.0.0.1"))
    argv = ["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"]
    argv += ikescope("run", "--data-plane", "none", "--control", str(tmp_path), str(file))
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *argv],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **PYTHON},
        timeout=20,
    )
    assert done.returncode == 2
    assert done.stderr == "ikescope: UDP port 500 on 127.0.0.1 needs CAP_NET_BIND_SERVICE (run as root)\n"


def test_a_recording_is_read_back(tmp_path: Path) -> None:
    """`read` takes our own recording, writes where it is told, and --strict refuses a foreign line of a text."""
    stamp = Stamp(seq=0, mono=0.0, wall=0.0, router="R1")
    line = encode(Record(stamp, RouterStarted(version="0", tunnels=("Tunnel0",), plane="none"))) + b"\n"
    (tmp_path / "r.jsonl").write_bytes(line)
    done = run("read", "--as", "json", str(tmp_path / "r.jsonl"), "--output", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert b"router.started" in (tmp_path / "out").read_bytes()
    text = "IKEv2:(SESSION ID = 1,SA ID = 1):Checking NAT discovery\nthe cat sat on the keyboard\n"
    done = run("read", "--strict", "-", text=text)
    assert done.returncode == 1
    assert done.stderr == "ikescope: pasted text:2: not understood: the cat sat on the keyboard\n"


def test_a_defect_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error that nobody foresaw shows its type and asks to report it; the traceback only on demand."""
    monkeypatch.delenv("IKESCOPE_DEBUG", raising=False)
    monkeypatch.setattr("ikescope.tui.check.main", lambda args: 1 // 0)
    assert cli.main(["check", "x"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ikescope: a defect of ikescope: ZeroDivisionError: ")
    assert len(said.splitlines()) == 1
    with pytest.raises(ZeroDivisionError):
        cli.main(["--debug", "check", "x"])


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (LocalError("no"), 2)])
def test_an_interrupt_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, status: int
) -> None:
    """Ctrl-C ends with 130 and silence, a refusal with its own status and line."""

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("ikescope.tui.check.main", fail)
    assert cli.main(["check", "x"]) == status
    assert capsys.readouterr().err == ("ikescope: no\n" if status == 2 else "")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`ikescope check ... | head -1` writes nothing on standard error."""
    file = tmp_path / "many.cfg"
    file.write_text(R1 + "router bgp 1\n" * 20000)
    command = '"$@" | head -1'
    done = subprocess.run(
        ["sh", "-c", command, "sh", *ikescope("check", "--verbose", str(file))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **PYTHON},
        timeout=20,
    )
    assert done.stderr == ""


@pytest.mark.netns
def test_ctrl_c_ends_a_router_cleanly(tmp_path: Path) -> None:
    """SIGINT ends `run` as SIGTERM does: exit 0, control socket gone, nothing on standard error but its lines."""
    file = tmp_path / "R1.cfg"
    file.write_text(R1.replace("tunnel source 10.99.0.1", "tunnel source 127.0.0.1"))
    argv = ikescope("run", "--data-plane", "none", "--control", str(tmp_path), str(file))
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *argv],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **PYTHON},
        # A test run in the background ignores SIGINT, and so would the router.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        try:
            ready = process.stderr.readline()
            assert ready.startswith(f"R1 is ready: tunnels Tunnel0; plane none; control {tmp_path / 'R1.sock'}")
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
    assert not (tmp_path / "R1.sock").exists()
