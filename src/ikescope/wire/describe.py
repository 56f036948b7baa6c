"""Payloads in the words IOS and ASA print under `Payload contents:`."""

from __future__ import annotations

from collections.abc import Iterable

from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import NotifyType

#: Notifies that IOS names in its own way (seen in IOS-XE 16.7 and ASA debugs); all others carry the registry's name.
IOS_NOTIFY_NAMES: dict[NotifyType, str] = {
    NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED: "ESP_TFC_NO_SUPPORT",
    NotifyType.NON_FIRST_FRAGMENTS_ALSO: "NON_FIRST_FRAGS",
}


def notify_name(notify_type: NotifyType) -> str:
    """The name IOS prints for a notify type."""
    return IOS_NOTIFY_NAMES.get(notify_type, notify_type.label)


def payload_name(payload: Payload) -> str:
    """One word of IOS's `Payload contents:` line, such as SA, N, VID or NOTIFY(COOKIE)."""
    if isinstance(payload, NotifyPayload):
        return f"NOTIFY({notify_name(payload.notify_type)})"
    return payload.kind.short


def payload_names(payloads: Iterable[Payload]) -> tuple[str, ...]:
    """The words of IOS's `Payload contents:` line, in the order of the payloads."""
    return tuple([payload_name(payload) for payload in payloads])
