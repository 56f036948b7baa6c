"""The internal lines of an IKE SA's end and life: failures, states, retransmissions, INFORMATIONAL, CREATE_CHILD_SA.

CREATE_CHILD_SA's states and events are those that Cisco's documents name, as they are remembered: no transcript of one
was to be had, and their order is ours.
"""

from __future__ import annotations

from ikescope.events import life, message, negotiation
from ikescope.ios.catalogue_internal import (
    AUTH,
    CREATE,
    INFO,
    INIT,
    NULL,
    Weave,
    both,
    initiator,
    responder,
    sealed,
    states,
)
from ikescope.ios.words import Source

_EXIT = states("EXIT", "EV_ABORT", "EV_CHK_PENDING_ABORT", "EV_UPDATE_CAC_STATS")
_WAITS = {INIT: "I_WAIT_INIT", AUTH: "I_WAIT_AUTH", INFO: "INFO_I_WAIT", CREATE: "CHILD_I_WAIT"}
_FAILED: dict[int, tuple[int | str, ...]] = {
    INIT: ("INIT_DONE EV_FAIL", 2, *_EXIT),
    AUTH: ("AUTH_DONE EV_FAIL", 2, *_EXIT),
}
_UP = ("AUTH_DONE EV_OK", NULL, "AUTH_DONE EV_UPDATE_CAC_STATS")
_GONE = ("READY EV_RECV_DEL", NULL, "DELETE EV_FREE_SA")
_ACKED = ("DELETE EV_RECV_DEL_ACK", NULL, "DELETE EV_FREE_SA")


def _waiting() -> tuple[Weave, ...]:
    made = []
    for exchange, state in _WAITS.items():
        source: Source = "inferred" if exchange == CREATE else "seen"
        made += [
            both(message.Retransmitting, f"{state} EV_RE_XMT", exchange=exchange, source=source),
            both(
                message.RetransmissionsExhausted,
                *states(state, "EV_RE_XMT", "EV_RE_XMT_EXCEED"),
                1,
                *_FAILED.get(exchange, ()),
                exchange=exchange,
                source=source,
            ),
        ]
    return tuple(made)


#: A state of ours, and after it another: IOS's trace.
STATES: tuple[Weave, ...] = (
    both(life.StateChanged, "I_BLD_AUTH EV_GET_CONFIG_MODE", before="IKE_SA_INIT sent", after="IKE_AUTH sent"),
    both(life.StateChanged, *_UP, mid=1, before="IKE_SA_INIT answered", after="established"),
    both(life.StateChanged, *_UP, mid=1, before="IKE_AUTH sent", after="established"),
    both(life.StateChanged, "DELETE EV_DELETE", NULL, mid=1, before="established", after="deleting"),
    both(life.StateChanged, "DELETE EV_DELETE", NULL, mid=1, before="rekeyed", after="deleting", source="inferred"),
    both(life.StateChanged, *_GONE, mid=1, before="established", after="closed"),
    both(life.StateChanged, *_ACKED, mid=2, before="deleting", after="closed"),
    both(life.StateChanged, "READY EV_REKEY_IKESA", before="established", after="rekeying", source="inferred"),
    both(life.StateChanged, "CHILD_I_DONE EV_ACTIVATE_NEW_SA", before="rekeying", after="rekeyed", source="inferred"),
    both(
        life.StateChanged, "CHILD_R_DONE EV_ACTIVATE_NEW_SA", before="established", after="rekeyed", source="inferred"
    ),
    both(life.StateChanged, "READY EV_RECV_REKEY_DEL", NULL, before="rekeyed", after="closed", source="unsourced"),
)

ENDING: tuple[Weave, ...] = (
    *STATES,
    *_waiting(),
    both(negotiation.ExchangeFailed, "INIT_DONE EV_FAIL", 2, *_EXIT, exchange=INIT),
    both(
        negotiation.ExchangeFailed,
        "R_WAIT_AUTH EV_WAIT4_AUTH_TMO",
        1,
        "AUTH_DONE EV_FAIL",
        2,
        *_EXIT,
        exchange=AUTH,
        why="the IKE_AUTH request did not come in time",
    ),
    both(negotiation.ExchangeFailed, "AUTH_DONE EV_FAIL", 2, *_EXIT, mid=1, exchange=AUTH),
    both(negotiation.ExchangeFailed, "EXIT EV_ABORT", mid=1, exchange=CREATE, source="inferred"),
    both(life.IkeSaCreated, "AUTH_DONE EV_INSERT_IKE", mid=1),
    both(life.SessionUp, 2, *states("AUTH_DONE", "EV_REGISTER_SESSION", "EV_NO_EVENT"), mid=1),
    initiator(
        life.ChildSaCreated,
        *states("AUTH_DONE", "EV_RECD_REGISTER_SESSION_RESP", "EV_PKI_SESH_CLOSE"),
        "~Closing the PKI session",
        "AUTH_DONE EV_GEN_LOAD_IPSEC",
        1,
        "AUTH_DONE EV_START_ACCT",
        "~Accounting not required",
        mid=1,
        exchange=AUTH,
    ),
    responder(
        life.ChildSaCreated,
        *states("AUTH_DONE", "EV_RECD_REGISTER_SESSION_RESP", "EV_PKI_SESH_CLOSE"),
        "~Closing the PKI session",
        "AUTH_DONE EV_GEN_LOAD_IPSEC",
        1,
        "AUTH_DONE EV_START_ACCT",
        mid=1,
        exchange=AUTH,
    ),
    initiator(
        life.DuplicateChecked,
        "AUTH_DONE EV_CHECK_DUPE",
        2,
        "AUTH_DONE EV_CHK4_ROLE",
        *states("READY", "EV_CHK_IKE_ONLY", "EV_I_OK"),
        "~Deleting negotiation context for my message ID: 0x1",
        mid=1,
    ),
    responder(
        life.DuplicateChecked,
        "AUTH_DONE EV_CHECK_DUPE",
        2,
        "AUTH_DONE EV_CHK4_ROLE",
        "READY EV_R_OK",
        1,
        "READY EV_NO_EVENT",
        mid=1,
    ),
    # INFORMATIONAL: our Delete, and the peer's.
    both(life.DeleteQueued, 1, "READY EV_DELETE", NULL, mid=1),
    both(life.DeleteSent, "INFO_I_BLD_INFO EV_SND_SA_DEL", mid=1),
    both(message.MessageSealing, "@construct", 9, *sealed("INFO_I_BLD_INFO"), exchange=INFO, response=False),
    both(message.MessageSealing, 9, *sealed("INFO_R"), exchange=INFO, response=True),
    both(message.MessageSent, 9, "INFO_I_BLD_INFO EV_CHK_INFO_TYPE", exchange=INFO, response=False),
    both(message.MessageSent, 9, "INFO_R EV_CHK_INFO_TYPE", exchange=INFO, response=True),
    both(
        life.SaChecked,
        "INFO_I_BLD_INFO EV_CHK4_ACTIVE_SA",
        1,
        *states("INFO_I_BLD_INFO", "EV_STOP_ACCT", "EV_TERM_CONN"),
        1,
        "~Successfully removed child SAs",
        "INFO_I_WAIT EV_NO_EVENT",
        mid=2,
        active=0,
        by="local",
    ),
    both(
        life.SaChecked,
        "INFO_R EV_CHK4_ACTIVE_SA",
        1,
        *states("INFO_R", "EV_STOP_ACCT", "EV_IPSEC_DEL"),
        1,
        "INFO_R EV_START_DEL_NEG_TMR",
        NULL,
        "EXIT EV_CHK_PENDING",
        "EXIT EV_NO_EVENT",
        mid=2,
        active=0,
        by="peer",
    ),
    both(message.MessageReceived, 9, "@parse", "INFO_I_WAIT EV_RECV_INFO_ACK", exchange=INFO, response=True),
    both(
        message.MessageReceived,
        "@request",
        9,
        "@parse",
        "READY EV_RECV_INFO_REQ",
        NULL,
        "INFO_R EV_RECV_INFO_REQ",
        exchange=INFO,
        response=False,
    ),
    both(life.AckProcessed, 1, "INFO_I_WAIT EV_CHK_INFO_TYPE", mid=2),
    both(life.DeleteReceived, "INFO_R EV_RECV_DEL", mid=2),
    # CREATE_CHILD_SA.
    both(
        life.RekeyStarted,
        "CHILD_I_INIT EV_INIT_CREATE_CHILD",
        1,
        "CHILD_I_INIT EV_REKEY_IKESA",
        kind="ike",
        source="inferred",
    ),
    both(life.RekeyStarted, "CHILD_I_INIT EV_INIT_CREATE_CHILD", 1, "CHILD_I_INIT EV_REKEY_IPSEC", source="inferred"),
    both(life.ChildStarted, "CHILD_I_INIT EV_INIT_CREATE_CHILD", source="inferred"),
    both(
        life.RekeyReceived,
        *states("CHILD_R_INIT", "EV_RECV_CREATE_CHILD", "EV_VERIFY_MSG", "EV_CHK_CC_TYPE"),
        source="inferred",
    ),
    both(message.MessageBuilding, "CHILD_I_IPSEC EV_BLD_MSG", exchange=CREATE, response=False, source="inferred"),
    both(message.MessageBuilding, "CHILD_R_BLD_MSG EV_BLD_MSG", exchange=CREATE, response=True, source="inferred"),
    both(
        message.MessageSealing,
        "@construct",
        9,
        *sealed("CHILD_I_IPSEC"),
        exchange=CREATE,
        response=False,
        source="inferred",
    ),
    both(
        message.MessageSealing,
        "@construct",
        9,
        *sealed("CHILD_R_BLD_MSG"),
        exchange=CREATE,
        response=True,
        source="inferred",
    ),
    both(message.MessageSent, 9, "CHILD_I_WAIT EV_NO_EVENT", exchange=CREATE, response=False, source="inferred"),
    both(message.MessageSent, 9, "CHILD_R_WAIT EV_NO_EVENT", exchange=CREATE, response=True, source="inferred"),
    both(
        message.MessageReceived,
        9,
        "@parse",
        "CHILD_I_WAIT EV_RECV_CREATE_CHILD",
        exchange=CREATE,
        response=True,
        source="inferred",
    ),
    both(
        message.MessageReceived,
        "@request",
        9,
        "@parse",
        "READY EV_RECV_CREATE_CHILD",
        NULL,
        exchange=CREATE,
        response=False,
        source="inferred",
    ),
    both(message.MessageProcessing, "CHILD_I_PROC EV_VERIFY_MSG", exchange=CREATE, response=True, source="inferred"),
    both(message.MessageProcessing, "CHILD_R_IPSEC EV_VERIFY_MSG", exchange=CREATE, response=False, source="inferred"),
    both(negotiation.KeysDerived, "CHILD_I_IKE EV_GEN_SKEYID", "~Generate skeyid", rekey=True, source="inferred"),
    both(life.IkeSaRekeyed, 1, "CHILD_I_DONE EV_UPDATE_CAC_STATS", initiator=True, source="inferred"),
    both(life.IkeSaRekeyed, 1, "CHILD_R_DONE EV_UPDATE_CAC_STATS", initiator=False, source="inferred"),
    both(life.ChildSaCreated, "CHILD_I_PROC EV_OK_RECD_LOAD_IPSEC", exchange=CREATE, initiator=True, source="inferred"),
    both(
        life.ChildSaCreated, "CHILD_R_DONE EV_OK_RECD_LOAD_IPSEC", exchange=CREATE, initiator=False, source="inferred"
    ),
)
