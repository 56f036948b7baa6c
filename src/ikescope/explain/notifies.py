"""What each notify means, and of errors why it is sent and what to look at: one table."""

from __future__ import annotations

from typing import NamedTuple

from ikescope.wire.registry import NotifyType

N = NotifyType


class NotifyFact(NamedTuple):
    """A notify in words: `means` completes its name; `causes` and `check` are empty where it reports no error."""

    means: str
    section: str
    causes: str = ""
    check: str = ""


NOTIFIES: dict[NotifyType, NotifyFact] = {
    # Errors.
    N.UNSUPPORTED_CRITICAL_PAYLOAD: NotifyFact(
        "a payload marked critical is not understood", "RFC 7296 section 2.5", "an extension that one end lacks"
    ),
    N.INVALID_IKE_SPI: NotifyFact(
        "no IKE SA has these SPIs",
        "RFC 7296 section 2.21.4",
        "the sender restarted or gave the IKE SA up",
        "whether it restarted",
    ),
    N.INVALID_MAJOR_VERSION: NotifyFact(
        "another major version of IKE is spoken", "RFC 7296 section 2.5", "IKEv1 at one end", "the version at both ends"
    ),
    N.INVALID_SYNTAX: NotifyFact(
        "a message is malformed, or outside what is expected",
        "RFC 7296 section 2.21.2",
        "a defect, or a message changed on the way",
        "a capture of that message",
    ),
    N.INVALID_MESSAGE_ID: NotifyFact("a message ID is outside the window", "RFC 7296 section 2.3"),
    N.INVALID_SPI: NotifyFact(
        "an ESP packet has an SPI that is not held",
        "RFC 7296 section 1.5",
        "one end lost the Child SA",
        "the Child SAs at both ends",
    ),
    N.NO_PROPOSAL_CHOSEN: NotifyFact(
        "no proposal is acceptable as a whole",
        "RFC 7296 section 2.7",
        "one kind of transform has nothing in common",
        "the proposals of both ends, kind by kind",
    ),
    N.INVALID_KE_PAYLOAD: NotifyFact(
        "KE is for another group than the one that is chosen", "RFC 7296 section 1.3", "the guess was another group"
    ),
    N.AUTHENTICATION_FAILED: NotifyFact(
        "the sender does not accept who the other end is",
        "RFC 7296 section 2.21.2",
        "other keys, another identity, no profile for it",
        "key and identity at both ends",
    ),
    N.SINGLE_PAIR_REQUIRED: NotifyFact("one pair of addresses a Child SA", "RFC 7296 section 2.9"),
    N.NO_ADDITIONAL_SAS: NotifyFact(
        "the sender makes no more Child SAs in this IKE SA",
        "RFC 7296 section 1.3",
        "a minimal implementation, or a limit",
        "whether the peer can rekey at all",
    ),
    N.INTERNAL_ADDRESS_FAILURE: NotifyFact(
        "no address can be given", "RFC 7296 section 3.15.4", "the pool is empty, or there is none", "the address pool"
    ),
    N.FAILED_CP_REQUIRED: NotifyFact(
        "a configuration request was wanted and did not come",
        "RFC 7296 section 2.19",
        "the initiator does not ask for an address",
        "what the responder wants of the initiator",
    ),
    N.TS_UNACCEPTABLE: NotifyFact(
        "none of the traffic selectors is acceptable",
        "RFC 7296 section 2.9",
        "networks that the two ends configured apart",
        "access lists or networks at both ends",
    ),
    N.INVALID_SELECTORS: NotifyFact("an ESP packet is outside the selectors of its SA", "RFC 7296 section 3.10.1"),
    N.TEMPORARY_FAILURE: NotifyFact(
        "not now: the sender is busy with an exchange that collides",
        "RFC 7296 section 2.25",
        "both ends rekey or close at once",
    ),
    N.CHILD_SA_NOT_FOUND: NotifyFact(
        "the Child SA that is to be rekeyed is not there", "RFC 7296 section 2.25", "the sender has closed it already"
    ),
    N.UNACCEPTABLE_ADDRESSES: NotifyFact("the new address is not acceptable", "RFC 4555 section 3.5"),
    N.UNEXPECTED_NAT_DETECTED: NotifyFact(
        "a NAT is in the way although none may be", "RFC 4555 section 3.9", "NAT where MOBIKE forbids it"
    ),
    N.USE_ASSIGNED_HOA: NotifyFact("use the home address that was assigned", "RFC 5026 section 4.2.1"),
    N.INVALID_GROUP_ID: NotifyFact("no such group of receivers", "RFC 9838"),
    N.AUTHORIZATION_FAILED: NotifyFact("who asks may not join the group of receivers", "RFC 9838"),
    N.REGISTRATION_FAILED: NotifyFact("the group of receivers could not be joined", "RFC 9838"),
    N.STATE_NOT_FOUND: NotifyFact(
        "what the further key exchange belongs to is not there", "RFC 9370 section 2.2.4", "it came too late"
    ),
    N.TS_MAX_QUEUE: NotifyFact("no more Child SAs for one pair of selectors", "RFC 9611"),
    # Status.
    N.INITIAL_CONTACT: NotifyFact("the sender holds no other IKE SA with this identity", "RFC 7296 section 2.4"),
    N.SET_WINDOW_SIZE: NotifyFact("how many requests may be under way at once", "RFC 7296 section 2.3"),
    N.ADDITIONAL_TS_POSSIBLE: NotifyFact("more selectors would fit, in another Child SA", "RFC 7296 section 2.9"),
    N.IPCOMP_SUPPORTED: NotifyFact("IP compression is offered", "RFC 7296 section 2.22"),
    N.NAT_DETECTION_SOURCE_IP: NotifyFact("the SHA-1 hash of SPIs, source address and port", "RFC 7296 section 2.23"),
    N.NAT_DETECTION_DESTINATION_IP: NotifyFact(
        "the SHA-1 hash of SPIs, destination address and port", "RFC 7296 section 2.23"
    ),
    N.COOKIE: NotifyFact("to be returned before any state is kept", "RFC 7296 section 2.6"),
    N.USE_TRANSPORT_MODE: NotifyFact("transport mode instead of tunnel mode", "RFC 7296 section 1.3.1"),
    N.HTTP_CERT_LOOKUP_SUPPORTED: NotifyFact("certificates may be given as a URL", "RFC 7296 section 3.6"),
    N.REKEY_SA: NotifyFact("which Child SA is to be replaced", "RFC 7296 section 1.3.3"),
    N.ESP_TFC_PADDING_NOT_SUPPORTED: NotifyFact(
        "the sender takes no padding that hides sizes", "RFC 7296 section 1.3.1"
    ),
    N.NON_FIRST_FRAGMENTS_ALSO: NotifyFact("later fragments of a packet may use the SA", "RFC 7296 section 1.3.1"),
    N.MOBIKE_SUPPORTED: NotifyFact("the sender may change its address within the IKE SA", "RFC 4555 section 3.1"),
    N.ADDITIONAL_IP4_ADDRESS: NotifyFact("one more address of the sender", "RFC 4555 section 3.4"),
    N.ADDITIONAL_IP6_ADDRESS: NotifyFact("one more address of the sender", "RFC 4555 section 3.4"),
    N.NO_ADDITIONAL_ADDRESSES: NotifyFact("the sender has one address only", "RFC 4555 section 3.4"),
    N.UPDATE_SA_ADDRESSES: NotifyFact("the addresses of the SAs are to change", "RFC 4555 section 3.5"),
    N.COOKIE2: NotifyFact("to be returned: shows that the new address is real", "RFC 4555 section 3.7"),
    N.AUTH_LIFETIME: NotifyFact("the initiator is to authenticate anew before that many seconds", "RFC 4478 section 3"),
    N.MULTIPLE_AUTH_SUPPORTED: NotifyFact("more than one authentication is possible", "RFC 4739 section 3.1"),
    N.ANOTHER_AUTH_FOLLOWS: NotifyFact("another authentication follows", "RFC 4739 section 3.2"),
    N.REDIRECT_SUPPORTED: NotifyFact("the sender lets itself be sent to another gateway", "RFC 5685 section 3"),
    N.REDIRECT: NotifyFact("go to this gateway instead", "RFC 5685 section 3"),
    N.EAP_ONLY_AUTHENTICATION: NotifyFact("EAP alone may authenticate both ends", "RFC 5998 section 3"),
    N.CHILDLESS_IKEV2_SUPPORTED: NotifyFact("an IKE SA without a Child SA is welcome", "RFC 6023 section 3"),
    N.NO_NATS_ALLOWED: NotifyFact("the addresses must not be changed on the way", "RFC 4555 section 3.9"),
    N.REDIRECTED_FROM: NotifyFact("which gateway sent the initiator here", "RFC 5685 section 3"),
    N.TICKET_LT_OPAQUE: NotifyFact("a ticket to resume the session with, and its lifetime", "RFC 5723 section 7"),
    N.TICKET_REQUEST: NotifyFact("a ticket for resuming is asked for", "RFC 5723 section 7"),
    N.TICKET_ACK: NotifyFact("a ticket will be given", "RFC 5723 section 7"),
    N.TICKET_NACK: NotifyFact("no ticket is given", "RFC 5723 section 7"),
    N.TICKET_OPAQUE: NotifyFact("a ticket to resume the session with", "RFC 5723 section 7"),
    N.LINK_ID: NotifyFact("names the virtual link", "RFC 5739 section 5"),
    N.USE_WESP_MODE: NotifyFact("ESP in a wrapper that others can look into", "RFC 5840 section 2"),
    N.ROHC_SUPPORTED: NotifyFact("headers may be compressed", "RFC 5857 section 2"),
    N.IKEV2_MESSAGE_ID_SYNC_SUPPORTED: NotifyFact("message IDs may be set anew after a failover", "RFC 6311 section 4"),
    N.IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED: NotifyFact(
        "sequence numbers of ESP may be set anew after a failover", "RFC 6311 section 4"
    ),
    N.IKEV2_MESSAGE_ID_SYNC: NotifyFact("the message IDs to go on with", "RFC 6311 section 4"),
    N.IPSEC_REPLAY_COUNTER_SYNC: NotifyFact("by how much sequence numbers of ESP jump", "RFC 6311 section 4"),
    N.SECURE_PASSWORD_METHODS: NotifyFact("the secure password methods that are spoken", "RFC 6467 section 3"),
    N.PSK_PERSIST: NotifyFact("the long key that was made may be kept", "RFC 6631"),
    N.PSK_CONFIRM: NotifyFact("the long key is kept", "RFC 6631"),
    N.ERX_SUPPORTED: NotifyFact("EAP re-authentication is spoken", "RFC 6867 section 3"),
    N.IFOM_CAPABILITY: NotifyFact("flows may move between interfaces", "3GPP TS 24.302"),
    N.SENDER_REQUEST_ID: NotifyFact("sender IDs in a group are asked for", "RFC 9838"),
    N.CLONE_IKE_SA_SUPPORTED: NotifyFact("an IKE SA may be cloned", "RFC 7791 section 4"),
    N.CLONE_IKE_SA: NotifyFact("this makes a clone of the IKE SA, no successor", "RFC 7791 section 4"),
    N.IP4_ALLOWED: NotifyFact("IPv4 addresses can be given", "RFC 8983 section 5"),
    N.IP6_ALLOWED: NotifyFact("IPv6 addresses can be given", "RFC 8983 section 5"),
    N.USE_AGGFRAG: NotifyFact("packets may be aggregated and fragmented inside ESP", "RFC 9347 section 5"),
    N.SA_RESOURCE_INFO: NotifyFact("Child SAs alike, one for each resource such as a core", "RFC 9611 section 5.1"),
    N.USE_PPK_INT: NotifyFact("a post-quantum key for IKE_INTERMEDIATE is offered", "RFC 9867"),
    N.PPK_IDENTITY_KEY: NotifyFact("which post-quantum key, with a proof of it", "RFC 9867"),
    N.QUICK_CRASH_DETECTION: NotifyFact("a token that proves a restart later", "RFC 6290 section 4"),
    N.IKEV2_FRAGMENTATION_SUPPORTED: NotifyFact("long messages may come in fragments", "RFC 7383 section 2.3"),
    N.SIGNATURE_HASH_ALGORITHMS: NotifyFact("the hashes that signatures may use", "RFC 7427 section 4"),
    N.PUZZLE: NotifyFact("a puzzle to be solved first", "RFC 8019 section 8.1"),
    N.USE_PPK: NotifyFact("a post-quantum pre-shared key is offered", "RFC 8784 section 3"),
    N.PPK_IDENTITY: NotifyFact("which post-quantum pre-shared key", "RFC 8784 section 3"),
    N.NO_PPK_AUTH: NotifyFact("AUTH without the post-quantum pre-shared key too", "RFC 8784 section 3"),
    N.INTERMEDIATE_EXCHANGE_SUPPORTED: NotifyFact("IKE_INTERMEDIATE exchanges are possible", "RFC 9242 section 3"),
    N.ADDITIONAL_KEY_EXCHANGE: NotifyFact("links one more key exchange to its SA", "RFC 9370 section 2.2.4"),
    N.SUPPORTED_AUTH_METHODS: NotifyFact("the authentication methods that the sender takes", "RFC 9593 section 3"),
}


def means(kind: NotifyType) -> str:
    """What a notify says, in a few words; of one that is not in the table only its class."""
    fact = NOTIFIES.get(kind)
    if fact is not None:
        return fact.means
    return "an error that is not in our table" if kind.is_error else "a status that is not in our table"
