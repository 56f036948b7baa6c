"""Numbers of the IKE header and the payload chain (IANA "IKEv2 Parameters")."""

from __future__ import annotations

from ikescope.wire.openenum import OpenEnum


class ExchangeType(OpenEnum, prefix="EXCHANGE"):
    """IKEv2 Exchange Types (RFC 7296 section 3.1)."""

    IKE_SA_INIT = 34
    IKE_AUTH = 35
    CREATE_CHILD_SA = 36
    INFORMATIONAL = 37
    IKE_SESSION_RESUME = 38
    GSA_AUTH = 39
    GSA_REGISTRATION = 40
    GSA_REKEY = 41
    GSA_INBAND_REKEY = 42
    IKE_INTERMEDIATE = 43
    IKE_FOLLOWUP_KE = 44


class PayloadType(OpenEnum, prefix="PAYLOAD"):
    """IKEv2 Payload Types (RFC 7296 section 3.2)."""

    NO_NEXT = 0
    SA = 33
    KE = 34
    IDI = 35
    IDR = 36
    CERT = 37
    CERTREQ = 38
    AUTH = 39
    NONCE = 40
    NOTIFY = 41
    DELETE = 42
    VENDOR = 43
    TSI = 44
    TSR = 45
    SK = 46
    CP = 47
    EAP = 48
    GSPM = 49
    IDG = 50
    GSA = 51
    KD = 52
    SKF = 53
    PS = 54

    @property
    def short(self) -> str:
        """The name IOS prints under `Payload contents:`; the label where IOS has none."""
        return IOS_PAYLOAD_NAMES.get(self, self._name_)


#: What IOS and ASA print where their name is not the registry's.
IOS_PAYLOAD_NAMES: dict[PayloadType, str] = {
    PayloadType.IDI: "IDi",
    PayloadType.IDR: "IDr",
    PayloadType.NONCE: "N",
    PayloadType.VENDOR: "VID",
    PayloadType.TSI: "TSi",
    PayloadType.TSR: "TSr",
    PayloadType.SK: "ENCR",
    PayloadType.CP: "CFG",
}


class ProtocolId(OpenEnum, prefix="PROTOCOL"):
    """IKEv2 Security Protocol Identifiers (RFC 7296 section 3.3.1); 0 stands for "none" in a Notify."""

    NONE = 0
    IKE = 1
    AH = 2
    ESP = 3
    FC_ESP_HEADER = 4
    FC_CT_AUTHENTICATION = 5
    GIKE_UPDATE = 6
