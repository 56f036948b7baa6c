"""pcap and pcapng both ways, and key tables for Wireshark."""

from ikescope.capture.convert import from_records, to_records
from ikescope.capture.inner import annotated, comment
from ikescope.capture.keys import EspKeys, IkeKeys, esp_line, ike_line
from ikescope.capture.reader import Packet, is_capture, packets

__all__ = [
    "EspKeys",
    "IkeKeys",
    "Packet",
    "annotated",
    "comment",
    "esp_line",
    "from_records",
    "ike_line",
    "is_capture",
    "packets",
    "to_records",
]
