"""One router with SSH on loopback: netmiko, scrapli, OpenSSH's client and paramiko as they come from their makers, and
what a hostile client gets.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netmiko
import paramiko
import pytest
import scrapli
from tests.daemon.routers import PYTHON, ikescope
from tests.daemon.test_beside import children, status
from tests.support.process import Process, wait_until
from tests.web.test_process import memory

from ikescope.crypto.ssh_keys import new_host_key
from ikescope.daemon.client import Client
from ikescope.planes import privileges

pytestmark = pytest.mark.netns

ADMIN, OPERATOR, LOOKER = ("admin", "a-secret-of-admin"), ("oper", "a-secret-of-oper"), ("look", "a-secret-of-look")
ENABLE = "a-secret-to-enable"
KEY = "a-key-that-no-other-process-holds"
SITE = f"""\
hostname R1
enable secret {ENABLE}
username {ADMIN[0]} privilege 15 secret {ADMIN[1]}
username {OPERATOR[0]} secret {OPERATOR[1]}
username {LOOKER[0]} privilege 2 secret {LOOKER[1]}
crypto ikev2 keyring KR
 peer R2
  address 127.9.30.2
  pre-shared-key {KEY}
crypto ikev2 profile default
 match identity remote address 127.9.30.2 255.255.255.255
 authentication remote pre-share
 authentication local pre-share
 keyring local KR
crypto ipsec profile default
 set ikev2-profile default
interface Tunnel0
 ip address 10.0.0.1 255.255.255.252
 tunnel source 127.9.30.1
 tunnel destination 127.9.30.2
 tunnel protection ipsec profile default
line vty 0 4
 login local
 transport input ssh
line vty 5
 exec-timeout 0 1
"""
FLEXVPN = """\
crypto ikev2 proposal P3
encryption aes-gcm-256
prf sha384
group 20
exit
crypto ikev2 policy POL3
proposal P3
exit
crypto ikev2 keyring KR3
peer R3
address 127.9.30.3
pre-shared-key another-key
exit
exit
crypto ikev2 profile PROF3
match identity remote address 127.9.30.3 255.255.255.255
authentication remote pre-share
authentication local pre-share
keyring local KR3
exit
crypto ipsec transform-set TS3 esp-gcm 256
mode transport
exit
crypto ipsec profile IPSEC3
set transform-set TS3
set ikev2-profile PROF3
exit
""".splitlines()


@dataclass
class Site:
    """The router: its process, its control socket, the port of its SSH."""

    process: Process
    control: Path
    file: Path
    port: int

    def ssh(self, who: tuple[str, str], source: str = "127.0.0.1", **more: Any) -> paramiko.SSHClient:
        """Somebody logged in, from an address of their own."""
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        sock = socket.create_connection(("127.0.0.1", self.port), 30, (source, 0))
        password = {} if "pkey" in more else {"password": who[1]}
        client.connect(
            "127.0.0.1", username=who[0], sock=sock, look_for_keys=False, allow_agent=False, **password, **more
        )
        return client

    def netmiko(self, who: tuple[str, str]) -> Any:
        """The same by netmiko."""
        return netmiko.ConnectHandler(
            device_type="cisco_ios",
            host="127.0.0.1",
            port=self.port,
            username=who[0],
            password=who[1],
            secret=ENABLE,
        )

    def ask(self, line: str) -> list[str]:
        """What a command gives at the local console."""
        with Client(self.control) as client:
            output: list[str] = client.command(line)["output"]
            return output

    def logged(self, pattern: str) -> None:
        """Wait until the log of the router holds a line."""
        wait_until(pattern, lambda: re.search(pattern, "\n".join(self.ask("show logging"))))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The router of this module."""
    directory = tmp_path_factory.mktemp("ssh")
    file = directory / "R1.cfg"
    file.write_text(SITE)
    options = ("--data-plane", "none", "--control", str(directory), "--ssh", "127.0.0.1:0", str(file))
    with Process(ikescope("run", *options), directory, "R1", env=PYTHON) as router:
        port = int(router.wait_for(r"SSH of R1: \S+:(\d+), host key SHA256:\S{43}$", 60.0)[1])
        router.wait_for(r"^R1 is ready: ", 60.0)
        yield Site(router, directory / "R1.sock", file, port)


def run(client: paramiko.SSHClient, line: str) -> tuple[str, int]:
    """Output and exit status of a command."""
    _, output, _ = client.exec_command(line)
    return output.read().decode(), output.channel.recv_exit_status()


def test_netmiko_configures_a_tunnel_and_saves_it(site: Site) -> None:
    """Netmiko's cisco_ios as it is: connect, enable, shows, a whole FlexVPN site, a mistake, save."""
    with site.netmiko(OPERATOR) as router:
        assert router.find_prompt() == "R1>" and not router.check_enable_mode()
        router.enable()
        assert router.find_prompt() == "R1#"
        assert "ikescope, Version" in router.send_command("show version")
        with pytest.raises(netmiko.exceptions.ConfigInvalidException, match="Invalid input detected at"):
            router.send_config_set(["crypto ikev2 proposall P"], error_pattern="% Invalid input")
        router.send_config_set(FLEXVPN)
        running = router.send_command("show running-config")
        assert " set ikev2-profile PROF3" in running and "pre-shared-key 6 ikescope" in running
        assert "another-key" not in running
        assert "[OK]" in router.save_config()
    assert " set ikev2-profile PROF3" in site.file.read_text()


def test_every_show_by_netmiko_is_what_the_console_shows(site: Site) -> None:
    """A show read through an SSH terminal of 511 columns is the local console's, line for line."""
    shows = [
        *("show crypto ikev2 proposal", "show crypto ikev2 policy", "show crypto ikev2 profile", "show running-config"),
        *("show crypto ipsec profile", "show crypto ipsec transform-set", "show crypto session", "show access-lists"),
        *("show crypto ikev2 sa", "show crypto ipsec sa", "show ip interface brief", "show crypto ikev2 stats"),
    ]
    with site.netmiko(ADMIN) as router:
        for show in shows:
            assert plain(router.send_command(show).split("\n")) == plain(site.ask(show)), show


def plain(lines: list[str]) -> str:
    """Lines without blanks at their ends and empty ones at the end."""
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def test_scrapli_does_the_same(site: Site) -> None:
    """Scrapli's cisco_iosxe, whichever of its generations is installed: enable, paging off, configure, a mistake."""
    proposal = ["crypto ikev2 proposal SCRAPLI", "encryption aes-cbc-256", "integrity sha512", "group 19"]
    if hasattr(scrapli, "Cli"):
        session = scrapli.Cli(
            "127.0.0.1",
            port=site.port,
            definition_file_or_name="cisco_iosxe",
            auth_options=scrapli.AuthOptions(
                username=OPERATOR[0], password=OPERATOR[1], lookups=[scrapli.LookupKeyValue("enable", ENABLE)]
            ),
            transport_options=scrapli.TransportSsh2Options(),
            session_options=scrapli.SessionOptions(operation_timeout_s=60),
        )
        with session as router:
            assert not router.send_inputs(proposal, requested_mode="configuration").failed
            assert router.send_input("crypto ikev2 proposall P", requested_mode="configuration").failed
            shown = router.send_input("show crypto ikev2 proposal SCRAPLI", requested_mode="privileged_exec").result
            assert not router.send_input("write memory").failed
    else:
        driver = __import__("scrapli.driver.core", fromlist=["IOSXEDriver"]).IOSXEDriver
        with driver(
            host="127.0.0.1",
            port=site.port,
            auth_username=OPERATOR[0],
            auth_password=OPERATOR[1],
            auth_secondary=ENABLE,
            auth_strict_key=False,
            transport="paramiko",
        ) as router:
            assert not router.send_configs(proposal).failed
            assert router.send_config("crypto ikev2 proposall P").failed
            shown = router.send_command("show crypto ikev2 proposal SCRAPLI").result
    assert "AES-CBC-256" in shown and "DH_GROUP_256_ECP" in shown


def test_a_command_has_an_exit_status(site: Site) -> None:
    """`ssh host COMMAND` prints the output alone: status 0, and 1 for a line that is not taken; several lines too."""
    with site.ssh(ADMIN) as client:
        text, code = run(client, "show privilege")
        assert (text, code) == ("Current privilege level is 15\n", 0)
        text, code = run(client, "show nonsense")
        assert "% Invalid input detected at '^' marker." in text and code == 1
        text, code = run(client, "configure terminal\nhostname R9\ndo show running-config | include hostname\nend")
        assert "hostname R9" in text and code == 0
        assert run(client, "configure terminal\nhostname R1\nend")[1] == 0


@pytest.mark.parametrize("program", [name for name in ("ssh",) if shutil.which(name)])
def test_openssh_comes_in_by_a_key(site: Site, tmp_path: Path, program: str) -> None:
    """A key of `ip ssh pubkey-chain` logs in; lines on standard input are carried out with their echo; no sftp, no
    forwarding.
    """
    key = tmp_path / "id"
    key.write_bytes(new_host_key())
    key.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], capture_output=True, text=True, check=True).stdout
    data = public.split()[1]
    with site.netmiko(ADMIN) as router:
        router.send_config_set(
            ["ip ssh pubkey-chain", f"username {OPERATOR[0]}", "key-string", data[:40], data[40:], "exit", "exit"]
        )
    plain = ("-p", str(site.port), "-i", str(key), *(f"-o{option}" for option in _OPTIONS), f"{OPERATOR[0]}@127.0.0.1")

    def ssh(*before: str, command: str = "", typed: str = "") -> subprocess.CompletedProcess[str]:
        argv = [program, *before, *plain, *([command] if command else [])]
        return subprocess.run(argv, input=typed, capture_output=True, text=True, check=False, timeout=60)

    done = ssh(command="show privilege")
    assert (done.stdout, done.returncode) == ("Current privilege level is 1\n", 0)
    done = ssh("-T", typed=f"show privilege\nenable\n{ENABLE}\nshow privilege\n")
    assert done.returncode == 0 and ENABLE not in done.stdout
    assert "R1>show privilege\nCurrent privilege level is 1\n" in done.stdout
    assert "R1#show privilege\nCurrent privilege level is 15\n" in done.stdout
    assert ssh("-s", command="sftp").returncode == 255
    assert ssh("-W", "127.0.0.1:500").returncode == 255


_OPTIONS = (
    *("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "IdentitiesOnly=yes"),
    "PreferredAuthentications=publickey",
)


def test_a_level_is_what_the_router_gave(site: Site) -> None:
    """Level 2 sees every show and changes nothing; level 1 gets no more with a wrong enable secret."""
    with site.ssh(LOOKER) as client:
        assert run(client, "show crypto ikev2 sa")[1] == 0
        assert {run(client, line)[1] for line in ("configure terminal", "clear crypto sa", "debug crypto ikev2")} == {1}
        assert "<removed>" in (shown := run(client, "show running-config")[0]) or "Invalid" in shown
    with site.ssh(OPERATOR) as client:
        assert run(client, "configure terminal")[1] == 1
        text, _ = run(client, "enable\nwrong\nwrong\nwrong\nshow privilege")
        assert "% Bad secrets" in text and "level is 1\n" in text
        assert "wrong" not in "\n".join(site.ask("show logging"))


def test_any_octets_on_the_channel_leave_a_prompt(site: Site) -> None:
    """Controls but Ctrl-D, halves of escapes, NUL, a line of 10,000 letters, bad UTF-8: the prompt comes back."""
    octets = bytes(range(256)).replace(b"\4", b"")
    with site.ssh(ADMIN) as client:
        shell = client.invoke_shell(width=80, height=24)
        shell.settimeout(60)
        shell.sendall(b"term len 0\r" + octets * 8 + b"\x1b[" + b"9" * 300 + b"x" * 10_000 + b"\xc3\x03")
        shell.resize_pty(0, 0)
        shell.sendall(b"\r\x1a\r\0\n\rshow clock | count UTC\r")
        read_until(shell, rb"Number of lines which match regexp")


def test_who_monitors_is_told_above_the_line_that_is_typed(site: Site) -> None:
    """After `terminal monitor` somebody else's login is a line of its own, and what was typed stands below it again."""
    with site.ssh(ADMIN) as client, site.ssh(OPERATOR) as other:
        shell = client.invoke_shell()
        shell.settimeout(60)
        shell.sendall(b"terminal monitor\rshow ver")
        read_until(shell, rb"R1#show ver$")
        other.close()
        told = read_until(
            shell, rb"%SYS-6-LOGOUT: User oper has exited tty session \d+\(127.0.0.1\)\r\n(?s:.*)R1#show ver$"
        )
        assert b"R1#show ver\r\n" not in told.replace(b"\r\x1b[K", b"")


def read_until(shell: paramiko.Channel, pattern: bytes) -> bytes:
    """What a shell printed, up to what ends with the pattern."""
    seen = b""
    while not re.search(pattern, seen):
        more = shell.recv(65536)
        assert more, seen[-300:]
        seen += more
    return seen


def test_an_idle_session_ends(site: Site) -> None:
    """A vty line with `exec-timeout 0 1` ends the session when nothing was typed for a second; the login is told."""
    clients = [site.ssh(ADMIN) for _ in range(2)]
    shells = [clients[at // 4].invoke_shell() for at in range(6)]
    try:
        for shell in shells:
            shell.settimeout(60)
            assert shell.recv(100)
        assert shells[5].recv(100) == b"" and shells[5].recv_exit_status() == 0
        assert not shells[0].closed
    finally:
        for client in clients:
            client.close()
    site.logged(r"%SEC_LOGIN-5-LOGIN_SUCCESS: Login Success \[user: admin\] \[Source: 127.0.0.1\]")
    site.logged(r"%SYS-6-LOGOUT: User admin has exited tty session \d+\(127.0.0.1\)")


def test_a_burst_of_strangers_keeps_nobody_out(site: Site) -> None:
    """300 connections that say nothing, and wrong passwords from eight addresses: the router answers its console, and
    somebody from elsewhere logs in; of one address ten stay.
    """
    half = [socket.create_connection(("127.0.0.1", site.port), 60, ("127.0.2.1", 0)) for _ in range(300)]
    try:
        refused: list[str] = []
        guessers = [
            threading.Thread(target=_guess, args=(site, f"127.0.3.{number}", refused)) for number in range(1, 9)
        ]
        for guesser in guessers:
            guesser.start()
        with site.ssh(ADMIN, "127.0.4.1") as client:
            assert run(client, "show privilege")[1] == 0
        for guesser in guessers:
            guesser.join()
        assert refused == ["AuthenticationException"] * 24
        assert site.ask("show clock")
        for one in half:
            one.settimeout(60)
        assert sum(_stays(one) for one in half) <= 10
    finally:
        for one in half:
            one.close()
    site.logged(r"%SEC_LOGIN-4-LOGIN_FAILED: Login failed \[user: admin\] \[Source: 127.0.3.\d\]")
    assert "a wrong one" not in "\n".join(site.ask("show logging"))


def _guess(site: Site, source: str, refused: list[str]) -> None:
    for _ in range(3):
        try:
            site.ssh((ADMIN[0], "a wrong one"), source).close()
        except paramiko.SSHException as error:
            refused.append(type(error).__name__)


def _stays(connected: socket.socket) -> bool:
    """Whether the server greets it: who is refused hears nothing."""
    try:
        return connected.recv(100) != b""
    except ConnectionError:
        return False


def test_the_process_of_ssh_holds_no_secret_of_the_router(site: Site) -> None:
    """It is nobody, without a capability and with a filter of system calls; the pre-shared key, which the
    operators of this module saw sealed, is not in its memory. When it is killed the router goes on.
    """
    pid = children(site.process)["ikescope.ssh"]
    assert {status(pid, name) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert set(status(pid, "Uid").split()) == {str(privileges.NOBODY)} and status(pid, "NoNewPrivs") == "1"
    assert status(pid, "Seccomp") in ("2", "0")
    assert KEY.encode() not in memory(pid)
    os.kill(pid, signal.SIGKILL)
    site.process.wait_for("the SSH ended; the router goes on without it")
    wait_until("the console answers", lambda: site.ask("show clock"))
