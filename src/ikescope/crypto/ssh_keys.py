"""Public keys of SSH users: their blobs, and what they signed to log in (RFC 4252 section 7, RFC 4253 section 6.6)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

RSA_BITS = 2048
"""A shorter RSA key is nobody's."""
_USERAUTH_REQUEST = 50
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "rsa-sha2-256": hashes.SHA256(),
    "rsa-sha2-512": hashes.SHA512(),
    "ecdsa-sha2-nistp256": hashes.SHA256(),
    "ecdsa-sha2-nistp384": hashes.SHA384(),
    "ecdsa-sha2-nistp521": hashes.SHA512(),
}


def blob_of(data: str) -> bytes | None:
    """The blob of a key as a configuration holds it, base64; None where it is no whole key."""
    try:
        blob = base64.b64decode(data, validate=True)
        _key_of(blob)
    except (binascii.Error, ValueError, UnsupportedAlgorithm, struct.error):
        return None
    return blob


def md5_of(blob: bytes) -> str:
    """What `key-hash` of IOS holds of a key."""
    return hashlib.md5(blob, usedforsecurity=False).hexdigest()


def signed_login(request: bytes, signature: bytes, user: str, blob: bytes) -> bytes | None:
    """The session identifier of a login request that is signed with the key; None where it is not, or asks for
    something else.
    """
    try:
        session, rest = _string(request)
        if rest[:1] != bytes((_USERAUTH_REQUEST,)):
            return None
        name, rest = _string(rest[1:])
        service, rest = _string(rest)
        method, rest = _string(rest)
        algorithm, named = _string(rest[1:])
        key, left = _string(named)
        wanted = (user.encode(), b"ssh-connection", b"publickey", b"\1", blob, b"")
        if (name, service, method, rest[:1], key, left) != wanted:
            return None
        return session if _verifies(blob, algorithm.decode("ascii"), request, signature) else None
    except (ValueError, struct.error, UnsupportedAlgorithm):
        return None


def new_host_key() -> bytes:
    """An Ed25519 key in OpenSSH's format."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def fingerprint(host_key: bytes) -> str:
    """`SHA256:...` of a host key, as `ssh` prints it; ValueError where it is no private key without a passphrase."""
    try:
        public = load_ssh_private_key(host_key, None).public_key()
    except (UnsupportedAlgorithm, TypeError) as error:
        raise ValueError(str(error)) from error
    blob = base64.b64decode(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _string(octets: bytes) -> tuple[bytes, bytes]:
    """A string of RFC 4251 section 5 and what follows it."""
    (length,) = struct.unpack_from(">I", octets)
    if len(octets) < 4 + length:
        raise ValueError(f"had {len(octets) - 4} octets, wanted {length}")
    return octets[4 : 4 + length], octets[4 + length :]


def _key_of(blob: bytes) -> Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey:
    kind = _string(blob)[0]
    key = load_ssh_public_key(kind + b" " + base64.b64encode(blob))
    if isinstance(key, RSAPublicKey) and key.key_size >= RSA_BITS:
        return key
    if isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        return key
    raise ValueError("wanted an Ed25519, ECDSA or RSA key of 2048 bits or more")


def _verifies(blob: bytes, algorithm: str, text: bytes, signature: bytes) -> bool:
    key = _key_of(blob)
    kind, rest = _string(signature)
    value, left = _string(rest)
    if kind.decode("ascii") != algorithm or left:
        return False
    try:
        match key:
            case Ed25519PublicKey():
                key.verify(value, text)
            case EllipticCurvePublicKey():
                r, tail = _string(value)
                s, _ = _string(tail)
                pair = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
                key.verify(pair, text, ECDSA(_HASHES[algorithm]))
            case RSAPublicKey():
                key.verify(value, text, PKCS1v15(), _HASHES[algorithm])
    except (InvalidSignature, KeyError):
        return False
    return True
