"""Diffie-Hellman: published values, refusal of unfit public values, repeatability."""

from __future__ import annotations

import builtins
import random as seeded
from collections.abc import Callable
from typing import Any

import pytest

from ikescope.crypto import modp
from ikescope.crypto.key_exchange import KeyExchangeError, from_private, generate
from ikescope.crypto.suites import GROUPS
from ikescope.errors import LocalError

from .published import load, names, octets

_PUBLISHED = load("key_exchange")["vectors"]
_WYCHEPROOF = load("wycheproof_key_exchange")["vectors"]
_OCTETS = {2: 128, 5: 192, 14: 256, 15: 384, 16: 512, 17: 768, 18: 1024, 19: 64, 20: 96, 21: 132, 31: 32, 32: 56}


@pytest.mark.parametrize("vector", _PUBLISHED, ids=names(_PUBLISHED))
def test_published_exchanges(vector: dict[str, Any]) -> None:
    """Both sides have the published public values and the published secret."""
    ##= rfc7296#section-3.4 type=test
    ##% The length of the Diffie-Hellman public value for MODP groups MUST be equal to the length of the prime
    ##% modulus over which the exponentiation was performed, prepending zero bits to the value if necessary.
    initiator = from_private(vector["group"], octets(vector["private_i"]))
    responder = from_private(vector["group"], octets(vector["private_r"]))
    assert initiator.public == octets(vector["public_i"])
    assert responder.public == octets(vector["public_r"])
    assert initiator.shared_secret(responder.public) == octets(vector["shared"])
    assert responder.shared_secret(initiator.public) == octets(vector["shared"])


@pytest.mark.parametrize("vector", _WYCHEPROOF, ids=names(_WYCHEPROOF))
def test_wycheproof(vector: dict[str, Any]) -> None:
    """What is invalid or gives a zero secret is refused with INVALID_SYNTAX; everything else gives the known secret."""
    private = octets(vector["private"])
    side = from_private(vector["group"], private)
    public, shared = octets(vector["public"]), octets(vector["shared"])
    compressed = len(public) != len(side.public)
    zero = vector["group"] in (31, 32) and not any(shared)
    if vector["result"] == "invalid" or compressed or zero:
        with pytest.raises(KeyExchangeError) as refused:
            side.shared_secret(public)
        assert refused.value.notify == 7
    else:
        assert side.shared_secret(public) == shared


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_two_sides_agree_and_repeat(group: int) -> None:
    """A side is a function of its randomness, has the group's length, and two sides agree on a secret."""
    one = generate(group, seeded.Random(1).randbytes)
    other = generate(group, seeded.Random(2).randbytes)
    assert one.shared_secret(other.public) == other.shared_secret(one.public)
    assert one.public == generate(group, seeded.Random(1).randbytes).public != other.public
    assert len(one.public) == _OCTETS[group]


@pytest.mark.parametrize("group", sorted(GROUPS))
@pytest.mark.parametrize("change", [-1, 1])
def test_a_public_value_of_another_length_is_refused(group: int, change: int) -> None:
    """KE data of the wrong length is INVALID_SYNTAX, and the refusal says had and wanted."""
    side = generate(group, seeded.Random(1).randbytes)
    wrong = (side.public + b"\0")[: len(side.public) + change]
    with pytest.raises(KeyExchangeError, match=rf"had {len(wrong)}, wanted {_OCTETS[group]}") as refused:
        side.shared_secret(wrong)
    assert refused.value.facts == {"group": group, "had": len(wrong), "wanted": _OCTETS[group]}


@pytest.mark.parametrize("group", sorted(modp.GROUPS))
@pytest.mark.parametrize(
    "unfit",
    [lambda p: 0, lambda p: 1, lambda p: p - 1, lambda p: p, lambda p: p + 1],
    ids=["0", "1", "p-1", "p", "p+1"],
)
def test_modp_refuses_what_gives_the_secret_away(group: int, unfit: Callable[[int], int]) -> None:
    """Only 1 < y < p-1 is a public value (RFC 6989 section 2.1)."""
    side = generate(group, seeded.Random(1).randbytes)
    value = unfit(modp.prime(group)).to_bytes(_OCTETS[group], "big")
    with pytest.raises(KeyExchangeError):
        side.shared_secret(value)


@pytest.mark.parametrize("group", [19, 20, 21])
def test_ecp_refuses_points_off_the_curve(group: int) -> None:
    """A point with one bit changed, the zero point and coordinates beyond the prime are refused."""
    side = generate(group, seeded.Random(1).randbytes)
    changed = side.public[:-1] + bytes((side.public[-1] ^ 1,))
    for public in (changed, bytes(len(changed)), b"\xff" * len(changed)):
        with pytest.raises(KeyExchangeError, match="not on the curve"):
            side.shared_secret(public)


def test_modp_without_openssl_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cryptography package no longer has finite-field DH, plain exponentiation gives the same octets."""
    vector = next(vector for vector in _PUBLISHED if vector["group"] == 14)
    original = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.endswith("asymmetric") and arguments[2] and "dh" in arguments[2]:
            raise ImportError(name)
        return original(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    side = from_private(14, octets(vector["private_i"]))
    assert side.public == octets(vector["public_i"])
    assert side.shared_secret(octets(vector["public_r"])) == octets(vector["shared"])


@pytest.mark.filterwarnings("error")
def test_modp_warns_nobody() -> None:
    """The deprecation of finite-field DH is dealt with in one place and reaches no user."""
    side = generate(14, seeded.Random(1).randbytes)
    side.shared_secret(side.public)


def test_private_values_are_long_enough() -> None:
    """A MODP private value has 256 bits or more and its top bit set, whatever the randomness gives."""
    for group in modp.GROUPS.values():
        asked: list[int] = []

        def zeros(count: int, asked: list[int] = asked) -> bytes:
            asked.append(count)
            return bytes(count)

        side = generate(group.number, zeros)
        assert asked == [group.exponent_bits // 8] and group.exponent_bits >= 256
        assert side.public == modp.power(group.number, 2, 1 << (group.exponent_bits - 1)).to_bytes(group.octets, "big")


def test_a_side_prints_no_private_value() -> None:
    """The repr of a side says its group and the length of its public value."""
    assert repr(generate(19, bytes)) == "EcpKeyExchange(group=19, public=64 octets)"


def test_an_unsupported_group_is_the_callers_mistake() -> None:
    """A group without a row is a local error that names those that have one."""
    with pytest.raises(LocalError, match="22 is not supported"):
        generate(22, bytes)
