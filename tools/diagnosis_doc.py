"""Writes docs/diagnosis.md: what each finding means and rests on, and how often the fault matrix finds it.

python -m tools.diagnosis_doc            the table, and the counts of a whole run of the matrix (a minute or more)
python -m tools.diagnosis_doc --table    the table alone; the counts stay as they are
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ikescope.explain.findings import EXPLAINS, RULES, Rule
from ikescope.sim.quick import quick_key_exchange

PATH = Path(__file__).parent.parent / "docs" / "diagnosis.md"
COUNTS = "## Precision and recall"


class Row(NamedTuple):
    """What the document says of an id: its meaning, what shows it to each end and to both, and what is proposed."""

    means: str
    initiator: str
    responder: str
    both: str
    remedy: str


SAME = "as the end that tells it"
TOLD: dict[str, Row] = {
    "http-url-cert": Row(
        "The peer names its certificate by a URL, and this end never said that it fetches one.",
        "its own log, where it is the end that refuses",
        "the words of the log",
        SAME,
        "`no crypto ikev2 http-url cert` at the end that sends the URL",
    ),
    "ike-proposal-mismatch": Row(
        "No proposal of one end has a common transform of every kind with one of the other's.",
        "NO_PROPOSAL_CHOSEN to IKE_SA_INIT: its own offer, never the other list; confidence likely, side peer",
        "both lists: the kinds of transform that part the nearest pair, with both values",
        "the responder's facts and the initiator's refusal as one",
        "the proposal lines that add what the other end has, at either end",
    ),
    "esp-proposal-mismatch": Row(
        "The same for the Child SA; the IKE SA was authenticated.",
        "NO_PROPOSAL_CHOSEN in IKE_AUTH: its own offer; may be `ts-mismatch` where the peer is an ASA",
        "both lists, as above",
        "the responder's facts",
        "the transform-set that the other end has, with the mode that is asked for",
    ),
    "wrong-dh-group-retry": Row(
        "The first key exchange method was not the wanted one: one round more, no harm.",
        "INVALID_KE_PAYLOAD and the request again",
        "its own INVALID_KE_PAYLOAD",
        SAME,
        "none is needed; the wanted group first spares the round",
    ),
    "psk-mismatch": Row(
        "The AUTH value does not verify with the pre-shared key here, or there is no key for the peer.",
        "AUTHENTICATION_FAILED and no reason: the same as `identity-mismatch` and `auth-method-mismatch`, and says so",
        "the key that it tried, its length, the identity; which slip of typing it is, where one of those would fit",
        "the facts of the end that checked",
        "one key at both ends; nobody can see which of the two is wrong: side unknown",
    ),
    "identity-mismatch": Row(
        "No IKEv2 profile matches the identity that the peer claims.",
        "where it is the end that finds none: the identity and each profile with its reason",
        "the same; an initiator that was refused has AUTHENTICATION_FAILED only",
        "what one end claims and the other wants",
        "`match identity remote` at the one, or `identity local` at the other",
    ),
    "auth-method-mismatch": Row(
        "The peer authenticates by another method than the profile wants.",
        "both methods, where it checks",
        "both methods, where it checks",
        "both methods",
        "`authentication remote` at the one, or `authentication local` at the other",
    ),
    "certificate-chain": Row(
        "The peer's certificate or signature does not verify: a chain that does not end in what is trusted here.",
        "the signature it could not verify",
        "the same",
        SAME,
        "the CA that is missing as a trustpoint here, or the whole chain from there",
    ),
    "ts-mismatch": Row(
        "The traffic selectors have nothing in common; an ASA calls that NO_PROPOSAL_CHOSEN.",
        "TS_UNACCEPTABLE and its own selectors",
        "what is proposed, what is configured, and the part that has nothing in common",
        "the responder's facts",
        "the access list that mirrors the other end's, on its tunnel or crypto map",
    ),
    "pfs-mismatch": Row(
        "The rekey of a Child SA fails for the key exchange alone: the first one came without, in IKE_AUTH.",
        "NO_PROPOSAL_CHOSEN to a rekey of what was accepted before; its own group or none",
        "both groups",
        "both groups",
        "`set pfs` alike at both ends",
    ),
    "no-response": Row(
        "Requests that nobody answers.",
        "the request, how often and where to; a lost request and a lost answer look the same",
        "nothing at all, or IKE_SA_INIT and no IKE_AUTH",
        "that the request never arrived, or was taken and not answered, or dropped and why",
        "the address and the route, then filters on UDP 500 and 4500",
    ),
    "response-lost": Row(
        "The peer answers and its answers do not arrive.",
        "the same as `no-response`",
        "the same request again and again, each answered",
        "the answer that left and did not arrive",
        "filters and routes of the way back",
    ),
    "port-4500-blocked": Row(
        "IKE_SA_INIT passes on UDP 500; IKE moved to UDP 4500, and nothing passes there.",
        "IKE_AUTH on 4500 without an answer, and why IKE moved",
        "no IKE_AUTH after the move to 4500",
        "that it left and did not arrive",
        "UDP 4500 through the filter, in both directions",
    ),
    "large-messages-lost": Row(
        "Small messages pass and large ones do not: IP fragments are dropped.",
        "an IKE_AUTH above 1280 octets, or smaller and smaller fragments, without an answer",
        "fragments that never became a message",
        "that the large message did not arrive",
        "`crypto ikev2 fragmentation` at both ends",
    ),
    "nat-one-sided": Row(
        "One end takes a NAT to be between them and the other does not, or nobody looked for the NAT that is there.",
        "a peer that claims a private address from a public one, without NAT detection",
        "the same",
        "what each made of the detection hashes",
        "`nat force-encap`, or a box that translates both directions alike",
    ),
    "nat-rebinding": Row(
        "The peer is heard from another address or port.",
        "the addresses before and after",
        "the same",
        SAME,
        "NAT keepalives, or a longer timeout in the NAT box",
    ),
    "peer-dead": Row(
        "A peer that was there fell silent: liveness checks or a rekey had no answer.",
        "what was asked, how often, how long",
        "the same",
        "whether the other end heard it",
        "nothing here before the peer and the way to it are looked at",
    ),
    "peer-deleted": Row(
        "The peer deleted the IKE SA; a warning where it does so right after it was made.",
        "the Delete",
        "the same",
        "the peer's own reason",
        "its log has the reason",
    ),
    "rekey-collision": Row(
        "Both ends began to rekey at once, and two Child SAs stayed for good, or none.",
        "both beginnings, and what is left two minutes later",
        "the same",
        SAME,
        "lifetimes that differ",
    ),
    "half-open-leak": Row(
        "An SA that one end alone holds, a negotiation that never ends, or a full table of half-open IKE SAs.",
        "ESP for an SPI that is gone; `already in negotiation`; peers turned away",
        "the same",
        "an IKE SA that stands here and ended there",
        "clear it, and liveness checks at the end that holds it",
    ),
    "replay-after-restart": Row(
        "Packets far below the replay window, most of all: the sender counts anew under the old keys.",
        "the drops, with the number and the window",
        "the same",
        SAME,
        "new SAs; no old ones after a restart",
    ),
    "mtu-hole": Row(
        "Small packets arrive, large ones do not.",
        "nothing that is sure",
        "nothing that is sure",
        "the counters of both ends: packets and octets that left and did not arrive",
        "`ip mtu` and `ip tcp adjust-mss` on the tunnel, or ICMP that may pass",
    ),
    "up-no-traffic": Row(
        "The Child SA stands and nothing comes back through it.",
        "packets out, none in",
        "the same",
        "which leg loses them, or that the peer's routes lead elsewhere",
        "ESP through the filter, or a route into the tunnel",
    ),
    "sa-strength": Row(
        "IKE is encrypted with a shorter key than the ESP that it protects.",
        "both key lengths",
        "the same",
        SAME,
        "a longer key in the IKE proposal of both ends",
    ),
    "profile-not-found-noise": Row(
        "`% IKEv2 profile not found` on a router whose IKE SA is up.",
        "the line, and the IKE SA that stands",
        "the same",
        SAME,
        "none is needed",
    ),
    "data-plane-refused": Row(
        "The kernel, or the host, refused what the router asked of it.",
        "what was asked and the reason",
        "the same",
        SAME,
        "what the host must allow",
    ),
    "exchange-refused": Row(
        "An error notify that no other row has a cause for.",
        "the notify",
        "the notify, and why it was sent",
        "both",
        "what the notify speaks of",
    ),
    "exchange-failed": Row(
        "A log says that an exchange failed, and no more.",
        "that line",
        "the same",
        SAME,
        "a debug of the other end",
    ),
}

HEAD = """# Diagnosis: what ikescope says is wrong

Generated by `python -m tools.diagnosis_doc`.

`ikescope read`, `watch`, the page and `rehearse` all take their findings from one function, `findings(timeline,
router)` of `ikescope.explain.findings`: rules as data over a timeline, whatever it was made of. A finding has

- `id`, stable, and `severity`: `error` (exit status 1), `warning`, or `note`, which is never a fault;
- `side`, who must change, as the viewpoint sees it: `local`, `peer`, `path`, or `unknown` where either end may;
- `confidence`: `certain` where the records hold what was compared, `likely` and `possible` where they do not;
- `evidence`: each record or message, with file and line (of a capture: the packet);
- `remedy`: the exact lines for a side, IOS, ASA where the text is an ASA's or an FTD's, or swanctl where the peer sent
  strongSwan's vendor ID; names that no log holds stand in angle brackets, and `fill(remedy, configuration)` puts a
  configuration's own there;
- `instead`: ids that look the same from this viewpoint.

One root cause is one finding: what follows from it in the same attempt is not told beside it, repeats are counted, and
an attempt that failed before another came up leaves a note. `ikescope read --as json` ends with one object a finding,
`"type": "finding"`.

"""


def head() -> str:
    """The document up to the counts."""
    return HEAD + "\n".join([*_table(), "", *_consequences(), "", ""])


def _table() -> Iterator[str]:
    yield "## The findings"
    for rule in RULES:
        yield from ("", *_rule(rule))


def _rule(rule: Rule) -> Iterator[str]:
    row = TOLD[rule.id]
    yield f"### `{rule.id}`"
    yield ""
    yield f"{rule.title}: {rule.severity}, {rule.section}. {row.means}"
    yield ""
    yield f"- seen by the initiator: {row.initiator}"
    yield f"- seen by the responder: {row.responder}"
    yield f"- with both: {row.both}"
    yield f"- remedy: {row.remedy}"


def _consequences() -> Iterator[str]:
    yield "## What explains what"
    yield ""
    yield "| root cause | not told beside it |"
    yield "|---|---|"
    for rule in RULES:
        if explained := EXPLAINS.get(rule.id):
            yield f"| `{rule.id}` | {', '.join(f'`{one}`' for one in sorted(explained))} |"


def counts() -> str:
    """The counts of a whole run of the fault matrix."""
    from tests.support.faults import FAULTS, HEALTHY, UNSTAGED
    from tests.support.matrix import SOURCES, every, score

    with quick_key_exchange():
        found = score(every({**FAULTS, **HEALTHY}))
    out = [COUNTS, "", _COUNTED.format(faults=len(FAULTS), healthy=len(HEALTHY)), "", *_COLUMNS]
    total = Counter[str]()
    for id in sorted(found):
        one = found[id]
        row = Counter({"false": sum(one.false.values())})
        for source in SOURCES:
            row += Counter({f"due {source}": one.due[source], f"found {source}": one.said[source]})
        if id in NOT_IN_TEXT and not row["found debug"]:
            row["due debug"] = 0
        total += row
        out.append(_line(f"`{id}`", row))
    out.append(_line("all", total))
    out += ["", *_absent()]
    if UNSTAGED:
        out += ["", "Not staged there:", "", *(f"- `{id}`: {why}" for id, why in UNSTAGED.items())]
    return "\n".join(out) + "\n"


_COUNTED = """{faults} faults and {healthy} healthy sessions of the test world
(`tests/explain/test_fault_matrix.py`): the faulty end as initiator and as responder, IOS generations 15, 17 and 26, the
records or the debug text of R1 alone, of R2 alone and of both. Due: this end could tell it from full records. Found: it
is said. False: it is said where it was not the fault, nor looks like it from there. A debug text at the default level
holds no ESP counters, no drops and no sizes: what rests on those is not in this text, and not due from it."""
_COLUMNS = (
    "| finding | records: found of due | debug: found of due | false | precision |",
    "|---|---|---|---|---|",
)


NOT_IN_TEXT = {
    "data-plane-refused": "the level has no line of the data plane's refusal; `debug crypto ipsec` has",
    "half-open-leak": "ESP for an SPI that is gone is syslog, `%CRYPTO-4-RECVD_PKT_INV_SPI`: found where that is there",
    "large-messages-lost": "no line has a message's size; level internal spells packets out with their length",
    "mtu-hole": "packets and octets of ESP are in `show crypto ipsec sa`, in no debug",
    "nat-one-sided": "that the peer sent no detection is no line; where both find otherwise, both texts tell",
    "replay-after-restart": "dropped ESP is syslog, `%CRYPTO-4-PKT_REPLAY_ERR`: found where the text has it",
    "sa-strength": "the level prints ciphers without key lengths; an ASA's `is not strong enough` line has both",
    "up-no-traffic": "packets and octets of ESP are in `show crypto ipsec sa`, in no debug",
}
"""What a debug at the default level cannot hold, and where it is instead."""


def _absent() -> Iterator[str]:
    yield "Not in a debug text of the default level:"
    yield ""
    yield from (f"- `{id}`: {why}" for id, why in NOT_IN_TEXT.items())


def _line(name: str, row: Counter[str]) -> str:
    said = row["found records"] + row["found debug"]
    precision = f"{100 * said / (said + row['false']):.1f} %" if said + row["false"] else "-"
    debug = _recall(row["found debug"], row["due debug"])
    if not row["found debug"] and name.strip("`") in NOT_IN_TEXT:
        debug = "not in this text"
    cells = [_recall(row["found records"], row["due records"]), debug]
    return f"| {name} | {' | '.join(cells)} | {row['false']} | {precision} |"


def _recall(found: int, due: int) -> str:
    return f"{found} of {due} ({100 * found / due:.1f} %)" if due else "-"


def main(argv: Sequence[str]) -> int:
    """Write the document; with `--table` its counts stay as they are."""
    _, mark, kept = PATH.read_text().partition(COUNTS) if PATH.exists() else ("", "", "")
    tail = mark + kept if argv == ["--table"] and mark else counts()
    PATH.write_text(head() + tail)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
