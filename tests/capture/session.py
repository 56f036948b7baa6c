"""A world's mail as packets, and its keys as Wireshark's tables."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from ikescope.capture import comment, frames, pcapng
from ikescope.capture.convert import comments
from ikescope.daemon.keyfile import KeyFiles
from ikescope.sim.world import EPOCH, Mail, World


def packet(mail: Mail) -> bytes:
    """The IP packet that a datagram of the world would be."""
    path = mail.path
    ends = str(path.local), path.local_port, str(path.remote), path.remote_port
    if mail.kind == "ike":
        return frames.ike_packet(*ends, mail.octets)
    if mail.kind == "esp-udp":
        return frames.udp_packet(*ends, mail.octets)
    return frames.ip_packet(ip_address(ends[0]), ip_address(ends[2]), frames.ESP, mail.octets)


def wire(world: World) -> bytes:
    """What passed between the routers, as pcapng with comments."""
    told = comments(world.records)
    blocks = [pcapng.section(), pcapng.interface("wire")]
    for mail in world.mail:
        octets = packet(mail)
        said = comment(pcapng.LINK_RAW, octets, told)
        blocks.append(pcapng.packet(0, int((EPOCH + mail.at) * 1e9), octets, comment=said))
    return b"".join(blocks)


def tables(world: World, directory: Path) -> Path:
    """R1's keys as `run --write-keys` writes them; the directory."""
    files = KeyFiles(directory)
    for item in world.stations["R1"].keys:
        files.add(item)
    files.close()
    return directory
