"""Which process the kernel gives a datagram to: IKE to the router, ESP to the worker that its SPI names.

Port 4500 is a SO_REUSEPORT group whose first socket is the router's, each further one a worker's; raw ESP sockets get a
copy of every packet each, and a filter leaves a worker its own. Both programs are classic BPF (linux/filter.h): a table
of instructions that the kernel checks when it is attached.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Literal

Instruction = tuple[int, int, int, int]
"""Code, offset where it holds, offset where it does not (of jumps), operand."""

ESP_OCTETS = 8
"""SPI and sequence number: what is shorter is no ESP."""

_LD_LEN, _LD_ABS, _LD_IND, _LDX_IHL = 0x80, 0x20, 0x40, 0xB1
_ADD, _SUB_X, _MOD = 0x04, 0x1C, 0x94
_JEQ, _JGE = 0x15, 0x35
_RET, _RET_A = 0x06, 0x16
_WHOLE, _NOTHING = 0x40000, 0

_SO_ATTACH_FILTER, _SO_LOCK_FILTER, _SO_ATTACH_REUSEPORT_CBPF = 26, 44, 51


def worker_of(spi: int, workers: int) -> int:
    """The worker that packets with this SPI come to."""
    return spi % workers


def port_program(workers: int) -> tuple[Instruction, ...]:
    """For the group of port 4500, on what follows the UDP header: 0 for the router, 1 + SPI modulo workers for ESP.

    ##= rfc3948#section-2.2
    ##% The Non-ESP Marker is 4 zero-valued bytes aligning with the SPI field
    ##% of an ESP packet.
    """
    return (
        (_LD_LEN, 0, 0, 0),
        (_JGE, 0, 5, ESP_OCTETS),
        (_LD_ABS, 0, 0, 0),
        (_JEQ, 3, 0, 0),
        (_MOD, 0, 0, workers),
        (_ADD, 0, 0, 1),
        (_RET_A, 0, 0, 0),
        (_RET, 0, 0, 0),
    )


def raw_program(worker: int, workers: int, version: Literal[4, 6]) -> tuple[Instruction, ...]:
    """For a worker's raw ESP socket: whole packets of its SPIs; the first worker also takes those too short for one.

    An IPv4 raw socket's filter sees the IP header before ESP, an IPv6 one's does not.
    """
    before: tuple[Instruction, ...] = ((_LDX_IHL, 0, 0, 0), (_LD_LEN, 0, 0, 0), (_SUB_X, 0, 0, 0))
    spi = _LD_IND if version == 4 else _LD_ABS
    return (
        *(before if version == 4 else ((_LD_LEN, 0, 0, 0),)),
        (_JGE, 1, 0, 4),
        (_RET, 0, 0, _NOTHING if worker else _WHOLE),
        (spi, 0, 0, 0),
        (_MOD, 0, 0, workers),
        (_JEQ, 0, 1, worker),
        (_RET, 0, 0, _WHOLE),
        (_RET, 0, 0, _NOTHING),
    )


def _attach(one: socket.socket, option: int, program: Sequence[Instruction]) -> None:
    octets = b"".join(struct.pack("=HBBI", *each) for each in program)
    held = ctypes.create_string_buffer(octets, len(octets))
    one.setsockopt(socket.SOL_SOCKET, option, struct.pack("@HP", len(program), ctypes.addressof(held)))


def in_group(udp: socket.socket) -> None:
    """Before it is bound: let others of this user be bound to the same address and port, in the order of binding."""
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def steer_port(udp: socket.socket, workers: int) -> None:
    """Steer the group of a bound socket; OSError where the kernel does not. Those not bound yet may follow."""
    _attach(udp, _SO_ATTACH_REUSEPORT_CBPF, port_program(workers))


def steer_raw(raw: socket.socket, worker: int, workers: int) -> None:
    """Leave a worker's raw ESP socket only what is its own; OSError where the kernel does not."""
    version: Literal[4, 6] = 4 if raw.family == socket.AF_INET else 6
    _attach(raw, _SO_ATTACH_FILTER, raw_program(worker, workers, version))


def attach_filter(raw: socket.socket, program: Sequence[Instruction]) -> None:
    """Leave a socket only what a program passes; OSError where the kernel does not."""
    _attach(raw, _SO_ATTACH_FILTER, program)


def lock(one: socket.socket) -> None:
    """Nobody who holds the socket attaches another program to it, or to its group, from now on."""
    one.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
