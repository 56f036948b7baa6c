"""What is wrong, or worth knowing, in a timeline: `findings` says it, each cause once, the worst first."""

from ikescope.explain.findings.fill import fill
from ikescope.explain.findings.model import Evidence, Finding, Remedy, encode
from ikescope.explain.findings.table import EXPLAINS, RULES, Rule, findings, findings_of
from ikescope.explain.findings.text import tell

__all__ = [
    "EXPLAINS",
    "RULES",
    "Evidence",
    "Finding",
    "Remedy",
    "Rule",
    "encode",
    "fill",
    "findings",
    "findings_of",
    "tell",
]
