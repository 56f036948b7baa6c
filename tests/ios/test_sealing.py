"""Keys sealed under a router's key file: read by it alone, and never taken for IOS's own."""

import pytest

from ikescope.config.model import Secret
from ikescope.crypto.sealing import seal, unseal
from ikescope.ios.configuration import ConfigurationError, load
from ikescope.ios.running import running_config
from ikescope.ios.sealing import Sealer, Unopened, Unreadable, is_ours

OURS = Sealer(bytes(range(64)))
KEYRING = "crypto ikev2 keyring KR\n peer R2\n  pre-shared-key {}\n"


def refusal(key: str, sealer: Sealer | None) -> str:
    """What a configuration with that key is refused with."""
    with pytest.raises(ConfigurationError) as refused:
        load(KEYRING.format(key), opener=sealer)
    return refused.value.problems[0]


def test_aes_siv_is_that_of_the_rfc() -> None:
    """RFC 5297 appendix A.1's example with the two halves of its key: the tag stands first, then the text."""
    key = bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    data = bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")
    text = bytes.fromhex("112233445566778899aabbccddee")
    sealed = seal(key, text, data)
    assert sealed.hex() == "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"
    assert unseal(key, sealed, data) == text
    assert unseal(key, sealed, b"another purpose") is None


def test_a_sealed_key_is_read_by_its_router() -> None:
    """The token loads as the key, in a keyring and in a profile, and says nothing of it."""
    config = load(KEYRING.format("hex 00ff10") + "crypto ikev2 profile P\n authentication local pre-share key s3cret\n")
    lines = "\n".join(running_config(config, sealer=OURS))
    assert f"pre-shared-key 6 ikescope.1.{OURS.name}." in lines and "s3cret" not in lines and "00ff10" not in lines
    again = load(lines, opener=OURS)
    assert again.keyrings["KR"].peers[0].local_key == Secret(bytes.fromhex("00ff10"))
    assert again.profiles["P"].local_key == Secret(b"s3cret")
    assert repr(OURS) == f"<sealer {OURS.name}>"


def test_what_cannot_be_read_is_refused_with_a_reason_and_a_remedy() -> None:
    """IOS's own token, another router's, a changed one, a torn one and no key file: each says which, and what to do."""
    token = OURS.seal(Secret(b"s3cret"))
    other = Sealer(bytes(64))
    changed = token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]
    said = {
        "encrypted by IOS (type 6)": refusal("6 UPLBFPdWJGXYgJYCLKQcCJJSIUBCdNFKMbAAB", OURS),
        f"under the key file {OURS.name}, this router's is {other.name}": refusal(f"6 {token}", other),
        "was changed since": refusal(f"6 {changed}", OURS),
        "was cut short": refusal(f"6 {token[:32]}", OURS),
        "which is not here: run with that file (--key-file FILE)": refusal(f"6 {token}", None),
        "no sealed key": refusal("6 not-a-token", OURS),
    }
    for words, line in said.items():
        assert words in line and "write it in clear: pre-shared-key 0 KEY" in line
        assert token not in line and line.startswith(
            "<config>:3: crypto ikev2 keyring KR peer R2: pre-shared-key <removed>: "
        )


def test_who_only_looks_needs_no_key_file() -> None:
    """A check takes a sealed key for some key and knows whose it is; IOS's own stays refused."""
    looks = Unopened()
    token = OURS.seal(Secret(b"s3cret"))
    assert load(KEYRING.format(f"6 {token}"), opener=looks).keyrings["KR"].peers[0].local_key is not None
    assert looks.names == [OURS.name] and is_ours(token) and not is_ours("UPLBFPdWJGXYg")
    with pytest.raises(Unreadable):
        looks.open("UPLBFPdWJGXYg")
