"""RFC 7296 section 3.4 and 1.2: public values of full length, and keys that belong to names."""

from __future__ import annotations

import pytest
from msgspec import structs
from tests.support.world import Side, pair

from ikescope.crypto.key_exchange import from_private
from ikescope.events.negotiation import AuthRefused
from ikescope.ios.configuration import load

MODP = {2: 128, 5: 192, 14: 256, 15: 384, 16: 512}
"""Group -> octets of its prime."""


@pytest.mark.parametrize(("group", "octets"), MODP.items())
def test_a_small_public_value_is_filled_up_with_zeros(group: int, octets: int) -> None:
    """2 to the 9th is sent, and agreed on, in as many octets as the prime has."""
    ##= rfc7296#section-3.4 type=test
    ##% The length of the Diffie-Hellman public value for MODP groups MUST be equal to the length of the prime modulus
    ##% over which the exponentiation was performed, prepending zero bits to the value if necessary.
    one, other = from_private(group, b"\x09"), from_private(group, b"\x03")
    assert one.public == (2**9).to_bytes(octets, "big")
    assert one.shared_secret(other.public) == other.shared_secret(one.public) == (2**27).to_bytes(octets, "big")


KEYRING = """hostname R2
crypto ikev2 keyring K
 peer ONE
  identity fqdn one.example
  pre-shared-key key-of-one
 peer TWO
  identity fqdn two.example
  pre-shared-key key-of-two
"""


@pytest.mark.parametrize(("name", "key", "taken"), [("one", "one", True), ("two", "two", True), ("one", "two", False)])
def test_who_uses_the_key_of_another_name_is_refused(name: str, key: str, taken: bool) -> None:
    """Two names with a key each: I is taken with the key of the name that it gives, refused with the other's."""
    ##= rfc7296#section-1.2 type=test
    ##% If either side uses a shared secret for authentication, the names in the ID payload MUST correspond to the key
    ##% used to generate the AUTH payload.
    one = pair(Side(identity=f"fqdn {name}.example", key=f"key-of-{key}"), Side())
    core = one.core("R2")
    core.config = structs.replace(core.config, keyrings=load(KEYRING, name="R2.cfg").keyrings)
    one.ping("R1")
    one.world.run(3)
    assert len(one.children("R2")) == taken
    assert len(one.events("R2", AuthRefused)) == (not taken)
