"""Files with keys, whoever wrote them, as one ring: Wireshark's tables, daemons' logs, and a plain form of our own.

The plain form is a line for each secret: both SPIs of the SA in hexadecimal (16 digits each for an IKE SA, initiator's
first; 8 each for a Child SA with a key exchange of its own, those of the exchange's initiator and responder), one of
`dh-secret`, `dh-private` (either side's), `sk-d`, `sk-ai`, `sk-ar`, `sk-ei`, `sk-er`, `sk-pi`, `sk-pr`, and the octets
in hexadecimal. The same as JSON, one object a line: `{"spi_i": "...", "spi_r": "...", "dh-secret": "..."}`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import msgspec

from ikescope.capture import keys
from ikescope.errors import LocalError

SK_NAMES = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")
DH_KINDS = ("dh-secret", "dh-private")
_PLAIN = re.compile(
    r"(?P<i>[0-9a-f]{8}|[0-9a-f]{16})\s+(?P<r>[0-9a-f]{8}|[0-9a-f]{16})\s+(?P<kind>[a-z-]+)\s+(?P<data>\S+)$", re.I
)
_IKE_ROW = re.compile(r'[0-9a-f]{16},[0-9a-f]{16},[0-9a-f]*,[0-9a-f]*,"', re.I)
_ESP_ROW = re.compile(r'"(?:IPv[46]|Any)",', re.I)
WANTED = (
    "wanted lines of ikev2_decryption_table or esp_sa, a strongSwan log at level 4, a Libreswan log with private keys, "
    "or lines such as `SPI_I SPI_R dh-secret HEX`"
)


class IkeSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of an IKE SA as far as a file tells them, empty what it does not; SPIs in lower-case hexadecimal, or empty.

    `encryption` is (IANA number, key length in bits) and `integrity` an IANA number where the file names them. Prints
    no key. `where` is file:line.
    """

    spi_i: str = ""
    spi_r: str = ""
    encryption: tuple[int, int | None] | None = None
    integrity: int | None = None
    sk_d: bytes = b""
    sk_ai: bytes = b""
    sk_ar: bytes = b""
    sk_ei: bytes = b""
    sk_er: bytes = b""
    sk_pi: bytes = b""
    sk_pr: bytes = b""
    where: str = ""

    def __repr__(self) -> str:
        return f"<keys of an IKE SA, {self.where}>"


class EspSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of one ESP SA; SPI and destination empty where the file does not tell them. Prints no key."""

    key: bytes
    integrity_key: bytes = b""
    spi: str = ""
    destination: str = ""
    encryption: int | None = None
    integrity: int | None = None
    where: str = ""

    def __repr__(self) -> str:
        return f"<keys of an ESP SA, {self.where}>"


class DhSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The shared secret of a key exchange, or (`private`) one side's private value. Prints no key."""

    spi_i: str
    spi_r: str
    data: bytes
    private: bool = False
    where: str = ""

    def __repr__(self) -> str:
        return f"<{'private value' if self.private else 'secret'} of a key exchange, {self.where}>"


class KeyRing:
    """All keys that were given."""

    def __init__(self) -> None:
        self.ike: list[IkeSecrets] = []
        self.esp: list[EspSecrets] = []
        self.dh: list[DhSecret] = []
        self.names: list[str] = []

    def __len__(self) -> int:
        return len(self.ike) + len(self.esp) + len(self.dh)

    def __repr__(self) -> str:
        return f"<{len(self.ike)} IKE SAs, {len(self.esp)} ESP SAs, {len(self.dh)} key exchanges>"

    def add(self, text: str, name: str) -> KeyRing:
        """Take all keys of a file; the ring itself. LocalError where a line is half a key, or there is none."""
        before = len(self)
        file = _File(self, name)
        for number, line in enumerate(text.splitlines(), start=1):
            file.line(line, number)
        file.end()
        if len(self) == before:
            raise LocalError(f"{name}: no keys in {len(text.splitlines())} lines; {WANTED}")
        self.names.append(name)
        return self


class _File:
    """One file being read, a line at a time."""

    def __init__(self, ring: KeyRing, name: str) -> None:
        self.ring, self.name = ring, name
        self._dumps = _Dumps(ring, name)
        self._plain: dict[tuple[str, str], IkeSecrets] = {}

    def line(self, line: str, number: int) -> None:
        where, text = f"{self.name}:{number}", line.strip()
        if _IKE_ROW.match(text):
            self.ring.ike.append(_ike_row(text, where))
        elif _ESP_ROW.match(text):
            self.ring.esp.append(_esp_row(text, where))
        elif text.startswith("{"):
            self._json(text, where)
        elif (found := _PLAIN.match(text)) is not None and (found["kind"].lower() in _KINDS):
            self._take(found["i"].lower(), found["r"].lower(), found["kind"].lower(), found["data"], where)
        else:
            self._dumps.line(line, where)

    def end(self) -> None:
        self._dumps.end()
        self.ring.ike += self._plain.values()

    def _json(self, text: str, where: str) -> None:
        try:
            row = json.loads(text)
        except ValueError as error:
            raise LocalError(f"{where}: not a line of JSON: {error}") from None
        ends = str(row.get("spi_i", "")).lower(), str(row.get("spi_r", "")).lower()
        for kind in _KINDS:
            if isinstance(row.get(kind), str):
                self._take(*ends, kind, row[kind], where)

    def _take(self, spi_i: str, spi_r: str, kind: str, digits: str, where: str) -> None:
        data = _octets(digits, where)
        if kind in DH_KINDS:
            secret = DhSecret(spi_i=spi_i, spi_r=spi_r, data=data, private=kind == "dh-private", where=where)
            self.ring.dh.append(secret)
            return
        before = self._plain.get((spi_i, spi_r)) or IkeSecrets(spi_i=spi_i, spi_r=spi_r, where=where)
        self._plain[spi_i, spi_r] = msgspec.structs.replace(before, **{kind.replace("-", "_"): data})


_KINDS = (*DH_KINDS, *(name.replace("_", "-") for name in SK_NAMES))


def _octets(digits: str, where: str) -> bytes:
    try:
        return bytes.fromhex(digits.removeprefix("0x").replace(":", ""))
    except ValueError:
        raise LocalError(f"{where}: not hexadecimal: {len(digits)} characters, wanted pairs of digits") from None


def _cells(text: str, count: int, table: str, where: str) -> list[str]:
    cells = next(iter(csv.reader([text])))
    if len(cells) != count:
        raise LocalError(f"{where}: row of {table}: had {len(cells)} cells, wanted {count}")
    return cells


_IKE_NAMES = {name: row for row, name in keys.IKE_ENCRYPTION.items()}
_IKE_MACS = {name: number for number, name in keys.IKE_INTEGRITY.items()}
_ESP_NAMES = {name: number for number, name in keys.ESP_ENCRYPTION.items()}
_ESP_MACS = {name: number for number, name in keys.ESP_INTEGRITY.items()}


def _ike_row(text: str, where: str) -> IkeSecrets:
    spi_i, spi_r, sk_ei, sk_er, encryption, sk_ai, sk_ar, integrity = _cells(text, 8, "ikev2_decryption_table", where)
    if encryption not in _IKE_NAMES or integrity not in _IKE_MACS:
        raise LocalError(f"{where}: row of ikev2_decryption_table: no cipher of that name: {encryption}, {integrity}")
    return IkeSecrets(
        spi_i=spi_i.lower(),
        spi_r=spi_r.lower(),
        encryption=_IKE_NAMES[encryption],
        integrity=_IKE_MACS[integrity],
        sk_ei=_octets(sk_ei, where),
        sk_er=_octets(sk_er, where),
        sk_ai=_octets(sk_ai, where),
        sk_ar=_octets(sk_ar, where),
        where=where,
    )


def _esp_row(text: str, where: str) -> EspSecrets:
    _, _, destination, spi, encryption, key, integrity, mac_key = _cells(text, 8, "esp_sa", where)
    if encryption not in _ESP_NAMES or integrity not in _ESP_MACS:
        raise LocalError(f"{where}: row of esp_sa: no cipher of that name: {encryption}, {integrity}")
    return EspSecrets(
        key=_octets(key, where),
        integrity_key=_octets(mac_key, where),
        spi=_spi(spi),
        destination=_address(destination),
        encryption=_ESP_NAMES[encryption],
        integrity=_ESP_MACS[integrity],
        where=where,
    )


def _spi(cell: str) -> str:
    try:
        return f"{int(cell, 16):08x}"
    except ValueError:
        return ""


def _address(cell: str) -> str:
    try:
        return str(ip_address(cell))
    except ValueError:
        return ""


# --- dumps of octets in the logs of daemons

_ROW = re.compile(
    r"(?:^|[|\]]|\s)\s*(?:\d+:\s)?\s*(?P<octets>[0-9A-Fa-f]{2}(?:  ?[0-9A-Fa-f]{2}){0,31})(?:\s{2,}.*)?\s*$"
)
_STRONGSWAN = re.compile(r"(?:\]|\s|^)\s*(?P<name>[\w' -]+?) => (?P<count>\d+) bytes @ ")
_LIBRESWAN = re.compile(r"(?:\||:|^)\s*(?P<name>[\w' -]+?)(?:-key@\S+.*|\s*[:(].*)?$")

#: What a dump is called -> the key of an IKE SA that it is.
_SK_DUMPS: dict[str, str] = {
    **{f"{name.capitalize()} secret".lower(): name for name in SK_NAMES},
    **{name.lower(): name for name in SK_NAMES},
    **{f"{name}_k": name for name in ("sk_ei", "sk_er")},
    **{f"chunk_{name}": name for name in SK_NAMES},
}
_DH_DUMPS = frozenset({"shared diffie hellman secret", "dh secret", "ke secret", "dh shared secret", "shared secret"})
_SALTS = {"initiator salt": "sk_ei", "responder salt": "sk_er"}
_ESP_DUMPS = {
    "encryption initiator key": ("i", "key"),
    "integrity initiator key": ("i", "integrity_key"),
    "encryption responder key": ("r", "key"),
    "integrity responder key": ("r", "integrity_key"),
}
_KEYMAT_DUMPS = frozenset({"our keymat", "peer keymat"})
#: The key whose dump begins those of another IKE SA, and the names of those that make one whole.
_NEEDED = ("sk_ei", "sk_er")


class _Dumps:
    """The dumps of a log, gathered into keys: those of one IKE SA stand together, without its SPIs."""

    def __init__(self, ring: KeyRing, name: str) -> None:
        self._ring = ring
        self._name = self._where = ""
        self._wanted = 0
        self._octets = b""
        self._ike: dict[str, bytes] = {}
        self._salts: dict[str, bytes] = {}
        self._esp: dict[str, dict[str, bytes]] = {"i": {}, "r": {}}

    def line(self, line: str, where: str) -> None:
        """Take a line of the log."""
        if self._name and (row := _row(line)) is not None:
            self._octets += row
            return
        self.close()
        named = _STRONGSWAN.search(line)
        if named is not None and (name := " ".join(named["name"].split()[-4:]).lower()):
            self._begin(name, int(named["count"]), where)
        elif (named := _LIBRESWAN.search(line[line.find("| ") + 1 :])) is not None:
            self._begin(" ".join(named["name"].split()).lower(), 0, where)

    def _begin(self, name: str, count: int, where: str) -> None:
        known = next((one for one in _KNOWN if name == one or name.endswith(f" {one}")), "")
        self._name, self._wanted, self._octets, self._where = known, count, b"", where

    def close(self) -> None:
        """A dump is over."""
        name, octets = self._name, self._octets
        self._name = ""
        if not name or not octets or (self._wanted and len(octets) != self._wanted):
            return
        for kinds, take in _TAKERS:
            if name in kinds:
                take(self, name, octets)
                return

    def end(self) -> None:
        """The log is over."""
        self.close()
        self._flush_ike()
        for half in self._esp.values():
            self._flush_esp(half)

    def _take_sk(self, name: str, octets: bytes) -> None:
        key = _SK_DUMPS[name]
        if key in self._ike:
            self._flush_ike()
        self._ike[key] = octets

    def _take_salt(self, name: str, octets: bytes) -> None:
        self._salts[_SALTS[name]] = octets

    def _flush_ike(self) -> None:
        found = {name: octets + self._salts.get(name, b"") for name, octets in self._ike.items()}
        if any(found.get(name) for name in ("sk_d", *_NEEDED)):
            self._ring.ike.append(msgspec.structs.replace(IkeSecrets(where=self._where), **found))
        self._ike, self._salts = {}, {}

    def _take_dh(self, name: str, octets: bytes) -> None:
        self._ring.dh.append(DhSecret(spi_i="", spi_r="", data=octets, where=self._where))

    def _take_esp(self, name: str, octets: bytes) -> None:
        end, part = _ESP_DUMPS[name]
        if part in self._esp[end]:
            self._flush_esp(self._esp[end])
        self._esp[end][part] = octets

    def _flush_esp(self, half: dict[str, bytes]) -> None:
        if "key" in half:
            self._ring.esp.append(msgspec.structs.replace(EspSecrets(key=b"", where=self._where), **half))
        half.clear()

    def _take_keymat(self, name: str, octets: bytes) -> None:
        self._ring.esp.append(EspSecrets(key=octets, where=self._where))


_TAKERS: tuple[tuple[frozenset[str] | dict[str, object], Callable[[_Dumps, str, bytes], None]], ...] = (
    (frozenset(_SK_DUMPS), _Dumps._take_sk),
    (_DH_DUMPS, _Dumps._take_dh),
    (frozenset(_SALTS), _Dumps._take_salt),
    (frozenset(_ESP_DUMPS), _Dumps._take_esp),
    (_KEYMAT_DUMPS, _Dumps._take_keymat),
)
_KNOWN = tuple(name for kinds, _ in _TAKERS for name in sorted(kinds, key=len, reverse=True))


def _row(line: str) -> bytes | None:
    """The octets of a row of a dump; None for any other line."""
    found = _ROW.search(line)
    return None if found is None else bytes.fromhex("".join(found["octets"].split()))


def pre_shared_keys(text: str, name: str) -> list[tuple[str, bytes]]:
    """The keys of a PSK file with the identity that each is for, empty for any: one a line, `KEY` or `ID KEY`.

    Lines end without their blanks; `0x` before an even number of hexadecimal digits means octets. LocalError for none.
    """
    found = list(_psks(text))
    if not found:
        raise LocalError(f"{name}: no pre-shared key; wanted one a line, `KEY` or `ID KEY`")
    return found


def _psks(text: str) -> Iterator[tuple[str, bytes]]:
    for line in text.splitlines():
        words = line.strip().split(None, 1)
        if words:
            yield (words[0] if len(words) > 1 else ""), _psk(words[-1])


def _psk(word: str) -> bytes:
    digits = word.removeprefix("0x")
    if digits != word and len(digits) % 2 == 0 and re.fullmatch(r"[0-9a-fA-F]+", digits):
        return bytes.fromhex(digits)
    return word.encode()
