"""What `debug crypto ikev2 internal` adds to the lines of an event: the trace of IOS's state machine, and its remarks.

A weave says what stands between the default lines of one event: `"STATE EVENT"` is an SM Trace line, `"~text"` an
internal remark, `"@name"` remarks made from the event's facts, a number so many of the event's default lines. Their
order is that of the state machine that ASA and IOS share (transcripts 01 to 18); CREATE_CHILD_SA is inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ikescope.events import Event, Stamp, life, message, negotiation
from ikescope.ios.catalogue import Is, conditions_hold
from ikescope.ios.words import Source

INIT, AUTH, CREATE, INFO = 34, 35, 36, 37
NULL = "~Action: Action_Null"


@dataclass(frozen=True, slots=True)
class Weave:
    """The internal lines of one event under a condition, as `Row`'s; `message_id` is the trace's where the stamp has
    none.
    """

    event: type[Event]
    steps: tuple[int | str, ...]
    when: Mapping[str, Any] = field(default_factory=dict)
    stamp: Mapping[str, Any] = field(default_factory=dict)
    message_id: int = 0
    source: Source = "seen"

    def holds(self, event: Event, stamp: Stamp) -> bool:
        """Whether this weave is that event's."""
        return conditions_hold(event, self.when) and conditions_hold(stamp, self.stamp)


def both(event: type[Event], *steps: int | str, mid: int = 0, source: Source = "seen", **when: Any) -> Weave:
    """A weave for either role."""
    return Weave(event, steps, when, {}, mid, source)


def initiator(event: type[Event], *steps: int | str, mid: int = 0, source: Source = "seen", **when: Any) -> Weave:
    """A weave for who began the IKE SA."""
    return Weave(event, steps, when, {"initiator": True}, mid, source)


def responder(event: type[Event], *steps: int | str, mid: int = 0, source: Source = "seen", **when: Any) -> Weave:
    """A weave for who did not begin the IKE SA."""
    return Weave(event, steps, when, {"initiator": False}, mid, source)


def states(state: str, *events: str) -> tuple[str, ...]:
    """Trace lines of one state."""
    return tuple(f"{state} {event}" for event in events)


def sealed(state: str) -> tuple[str, ...]:
    """How a message is encrypted."""
    return (*states(state, "EV_ENCRYPT_MSG", "EV_NO_EVENT", "EV_OK_ENCRYPT_RESP"), NULL, f"{state} EV_TRYSEND")


_NAT = ("~Process NAT discovery notify", "~Processing nat detect src notify")
_NAT_WORDS: dict[tuple[bool, bool], tuple[str, ...]] = {
    (False, False): ("~Remote address matched", "~Processing nat detect dst notify", "~Local address matched"),
    (True, False): ("~Remote address matched", "~Processing nat detect dst notify", "~Local address not matched"),
    (False, True): ("~Remote address not matched", "~Processing nat detect dst notify", "~Local address matched"),
    (True, True): ("~Remote address not matched", "~Processing nat detect dst notify", "~Local address not matched"),
}
_NAT_RESULT: dict[tuple[bool, bool], tuple[str, ...]] = {
    (False, False): ("~No NAT found",),
    (True, False): ("~Host is located NAT inside",),
    (False, True): ("~Host is located NAT outside",),
    (True, True): ("~Host is located NAT inside", "~Host is located NAT outside"),
}


def _nat() -> tuple[Weave, ...]:
    made = []
    for (local, remote), words in _NAT_WORDS.items():
        found = (*_NAT, *words, *_NAT_RESULT[local, remote])
        facts: dict[str, Any] = {"local_behind": local, "remote_behind": remote}
        checked = ("I_PROC_INIT EV_DETECT_NAT", *found, "I_PROC_INIT EV_CHK_NAT_T")
        moved: tuple[int | str, ...] = (*checked, 9, "I_PROC_INIT EV_CHG_NAT_T_PORT", "I_PROC_INIT EV_CHK_CONFIG_MODE")
        made += [
            initiator(negotiation.NatChecked, *moved, floated=True, **facts),
            initiator(negotiation.NatChecked, *checked, 9, "I_PROC_INIT EV_CHK_CONFIG_MODE", **facts),
            responder(negotiation.NatChecked, "R_INIT EV_DETECT_NAT", *found, "R_INIT EV_CHK_CONFIG_MODE", **facts),
        ]
    return tuple(made)


_IDENTIFY = ("EV_CHK_IF_PEER_CERT_NEEDS_TO_BE_FETCHED_FOR_PROF_SEL", "EV_GET_POLICY_BY_PEERID")
_ARRIVED = (
    "~Received valid parameteres in process id",
    *states("R_WAIT_AUTH", *_IDENTIFY),
)

OPENING: tuple[Weave, ...] = (
    responder(message.MessageReceived, 9, "@parse", "IDLE EV_RECV_INIT", exchange=INIT, response=False, repeat=0),
    responder(
        life.SaInserted,
        1,
        "IDLE EV_CHK_REDIRECT",
        "~Redirect check is not needed, skipping it",
        *states("IDLE", "EV_CHK_CAC", "EV_CHK_COOKIE", "EV_CHK4_COOKIE_NOTIFY"),
        "R_INIT EV_VERIFY_MSG",
        1,
        "R_INIT EV_INSERT_SA",
        1,
        "R_INIT EV_GET_IKE_POLICY",
    ),
    responder(message.MessageProcessing, "R_INIT EV_PROC_MSG", 1, exchange=INIT),
    *_nat(),
    responder(
        negotiation.KeyExchangeComputed,
        "R_BLD_INIT EV_SET_POLICY",
        "~Setting configured policies",
        *states("R_BLD_INIT", "EV_CHK_AUTH4PKI", "EV_PKI_SESH_OPEN"),
        "~Opening a PKI session",
        "R_BLD_INIT EV_GEN_DH_KEY",
        3,
        *states("R_BLD_INIT", "EV_NO_EVENT", "EV_OK_RECD_DH_PUBKEY_RESP"),
        NULL,
        part="public",
        exchange=INIT,
    ),
    responder(
        negotiation.KeyExchangeComputed,
        "R_BLD_INIT EV_GEN_DH_SECRET",
        3,
        *states("R_BLD_INIT", "EV_NO_EVENT", "EV_OK_RECD_DH_SECRET_RESP"),
        NULL,
        part="secret",
        exchange=INIT,
    ),
    responder(
        negotiation.KeysDerived,
        "R_BLD_INIT EV_GEN_SKEYID",
        "~Generate skeyid",
        2,
        "R_BLD_INIT EV_GET_CONFIG_MODE",
        rekey=False,
    ),
    responder(message.MessageBuilding, 1, "R_BLD_INIT EV_BLD_MSG", 1, exchange=INIT),
    both(
        message.MessageSent,
        "@construct",
        9,
        "INIT_DONE EV_DONE",
        exchange=INIT,
        response=True,
        payloads=Is.ANSWER,
        repeat=0,
    ),
    both(message.MessageSent, 9, exchange=INIT, response=True),
    both(negotiation.ExchangeCompleted, 1, "INIT_DONE EV_CHK4_ROLE", exchange=INIT),
    responder(negotiation.AuthWaiting, "INIT_DONE EV_START_TMR", 1, "R_WAIT_AUTH EV_NO_EVENT"),
    both(
        negotiation.ProposalRefused,
        "~Failed to verify the proposed policies",
        9,
        "R_INIT EV_NO_PROP_CHOSEN",
        protocol=1,
    ),
    both(
        negotiation.ProposalRefused,
        2,
        "~Failed to verify the proposed policies",
        1,
        "R_VERIFY_AUTH EV_NO_PROP_CHOSEN",
        mid=1,
        protocol=3,
    ),
    both(
        message.RequestRefused,
        1,
        "~Construct Notify Payload: NO_PROPOSAL_CHOSEN",
        *states("R_INIT", "EV_ENCRYPT_MSG", "EV_TRYSEND"),
        notify=14,
        exchange=INIT,
    ),
    initiator(
        negotiation.KeyExchangeComputed,
        "IDLE EV_INIT_SA",
        *states("I_BLD_INIT", "EV_GET_IKE_POLICY", "EV_SET_POLICY"),
        "~Setting configured policies",
        *states("I_BLD_INIT", "EV_CHK_AUTH4PKI", "EV_GEN_DH_KEY"),
        3,
        *states("I_BLD_INIT", "EV_NO_EVENT", "EV_OK_RECD_DH_PUBKEY_RESP"),
        NULL,
        "I_BLD_INIT EV_GET_CONFIG_MODE",
        part="public",
        exchange=INIT,
    ),
    initiator(message.MessageBuilding, 1, "I_BLD_INIT EV_BLD_MSG", 1, exchange=INIT),
    initiator(message.MessageSent, "@construct", 9, exchange=INIT, response=False, repeat=0),
    initiator(message.MessageSent, 9, "I_WAIT_INIT EV_NO_EVENT", exchange=INIT, response=False),
    initiator(life.SaInserted, "I_BLD_INIT EV_INSERT_SA", 1, "I_WAIT_INIT EV_NO_EVENT"),
    initiator(
        message.MessageReceived,
        9,
        "@parse",
        "I_WAIT_INIT EV_RECV_INIT",
        "~Processing IKE_SA_INIT message",
        exchange=INIT,
        response=True,
    ),
    initiator(
        message.MessageProcessing,
        "I_PROC_INIT EV_CHK4_NOTIFY",
        1,
        "I_PROC_INIT EV_VERIFY_MSG",
        1,
        "I_PROC_INIT EV_PROC_MSG",
        exchange=INIT,
    ),
    initiator(
        negotiation.KeyExchangeComputed,
        "INIT_DONE EV_GEN_DH_SECRET",
        3,
        *states("INIT_DONE", "EV_NO_EVENT", "EV_OK_RECD_DH_SECRET_RESP"),
        NULL,
        part="secret",
        exchange=INIT,
    ),
    initiator(
        negotiation.KeysDerived, "INIT_DONE EV_GEN_SKEYID", "~Generate skeyid", 2, "INIT_DONE EV_DONE", rekey=False
    ),
)

TRUST: tuple[Weave, ...] = (
    # The initiator.
    initiator(
        negotiation.AuthGenerated,
        "I_BLD_AUTH EV_CHK_EAP",
        1,
        "I_BLD_AUTH EV_GEN_AUTH",
        4,
        "I_BLD_AUTH EV_CHK_AUTH_TYPE",
        2,
        "I_BLD_AUTH EV_OK_AUTH_GEN",
    ),
    initiator(message.MessageBuilding, "I_BLD_AUTH EV_SEND_AUTH", exchange=AUTH),
    initiator(message.MessageSealing, "@construct", 9, *sealed("I_BLD_AUTH"), exchange=AUTH),
    initiator(
        message.MessageSent, 9, "I_BLD_AUTH EV_CHK_EAP_POST_ASYNC", "I_WAIT_AUTH EV_NO_EVENT", exchange=AUTH, repeat=0
    ),
    initiator(message.MessageSent, 9, "I_WAIT_AUTH EV_NO_EVENT", exchange=AUTH, response=False),
    initiator(message.MessageReceived, 9, "@parse", "I_WAIT_AUTH EV_RECV_AUTH", NULL, exchange=AUTH),
    initiator(
        message.MessageProcessing,
        "I_PROC_AUTH EV_CHK4_NOTIFY",
        exchange=AUTH,
        mid=1,
    ),
    initiator(negotiation.PeerIdentified, *states("I_PROC_AUTH", "EV_PROC_MSG", *_IDENTIFY), mid=1),
    initiator(negotiation.PolicyVerified, "I_PROC_AUTH EV_VERIFY_POLICY_BY_PEERID", mid=1),
    initiator(
        negotiation.AuthVerified,
        "I_PROC_AUTH EV_CHK_AUTH_TYPE",
        2,
        "I_PROC_AUTH EV_GET_PRESHR_KEY",
        1,
        "I_PROC_AUTH EV_VERIFY_AUTH",
        5,
        "I_PROC_AUTH EV_CHK_EAP",
        1,
        *states("I_PROC_AUTH", "EV_NOTIFY_AUTH_DONE", "EV_CHK_CONFIG_MODE", "EV_CHK4_IC"),
        mid=1,
    ),
    initiator(
        negotiation.SelectorsChosen,
        1,
        *states("I_PROC_AUTH", "EV_CHK_IKE_ONLY", "EV_PROC_SA_TS"),
        exchange=AUTH,
        mid=1,
    ),
    # The responder.
    responder(message.MessageReceived, "@request", 9, "@parse", "R_WAIT_AUTH EV_RECV_AUTH", exchange=AUTH, repeat=0),
    responder(
        negotiation.AuthArrived,
        1,
        "R_WAIT_AUTH EV_CHK_NAT_T",
        9,
        *states("R_WAIT_AUTH", "EV_CHG_NAT_T_PORT", "EV_PROC_ID"),
        *_ARRIVED,
        mid=1,
        floated=True,
    ),
    responder(
        negotiation.AuthArrived,
        1,
        "R_WAIT_AUTH EV_CHK_NAT_T",
        9,
        "R_WAIT_AUTH EV_PROC_ID",
        *_ARRIVED,
        mid=1,
    ),
    responder(negotiation.ProfileMatched, 1, "R_WAIT_AUTH EV_SET_POLICY", "~Setting configured policies", mid=1),
    responder(
        negotiation.PolicyVerified,
        "R_WAIT_AUTH EV_VERIFY_POLICY_BY_PEERID",
        2,
        *states("R_WAIT_AUTH", "EV_CHK_AUTH4EAP", "EV_CHK_POLREQEAP"),
        mid=1,
    ),
    responder(
        negotiation.AuthVerified,
        "R_VERIFY_AUTH EV_CHK_AUTH_TYPE",
        2,
        "R_VERIFY_AUTH EV_GET_PRESHR_KEY",
        1,
        "R_VERIFY_AUTH EV_VERIFY_AUTH",
        5,
        "R_VERIFY_AUTH EV_CHK4_IC",
        mid=1,
    ),
    responder(
        negotiation.AuthRefused,
        "R_VERIFY_AUTH EV_CHK_AUTH_TYPE",
        2,
        "R_VERIFY_AUTH EV_GET_PRESHR_KEY",
        1,
        "R_VERIFY_AUTH EV_VERIFY_AUTH",
        4,
        "~Computed authentication value for peer differs from what peer sent",
        1,
        "R_VERIFY_AUTH EV_AUTH_FAIL",
        mid=1,
        wanted=Is.MISSING,
    ),
    responder(negotiation.AuthRefused, "R_VERIFY_AUTH EV_CHK_AUTH_TYPE", 3, "R_VERIFY_AUTH EV_AUTH_FAIL", mid=1),
    responder(
        message.MessageProcessing,
        "R_VERIFY_AUTH EV_CHK_REDIRECT",
        "~Redirect check is not needed, skipping it",
        *states("R_VERIFY_AUTH", "EV_NOTIFY_AUTH_DONE", "EV_CHK_CONFIG_MODE", "EV_GET_CONFIG_MODE", "EV_PROC_SA_TS"),
        exchange=AUTH,
        mid=1,
    ),
    responder(
        negotiation.SelectorsChosen,
        *states("R_VERIFY_AUTH", "EV_NO_EVENT", "EV_OK_RECD_IPSEC_RESP"),
        exchange=AUTH,
        mid=1,
    ),
    responder(
        negotiation.AuthGenerated,
        "R_BLD_AUTH EV_MY_AUTH_METHOD",
        2,
        "R_BLD_AUTH EV_GET_PRESHR_KEY",
        1,
        "R_BLD_AUTH EV_GEN_AUTH",
        4,
        "R_BLD_AUTH EV_CHK4_SIGN",
        2,
        "R_BLD_AUTH EV_OK_AUTH_GEN",
        mid=1,
    ),
    responder(message.MessageBuilding, "R_BLD_AUTH EV_SEND_AUTH", exchange=AUTH, mid=1),
    responder(
        message.MessageSealing,
        "@construct",
        9,
        *sealed("R_VERIFY_AUTH"),
        exchange=AUTH,
        payloads=("NOTIFY(AUTHENTICATION_FAILED)",),
    ),
    responder(message.MessageSealing, "@construct", 9, *sealed("R_BLD_AUTH"), exchange=AUTH),
    responder(message.MessageSent, 9, "R_BLD_AUTH EV_CHK_AUTH_FAIL", exchange=AUTH, inner=Is.ANSWER, repeat=0),
)
