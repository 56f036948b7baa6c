"""What the configuration says of a peer, looked up and told: its policy, its key."""

from __future__ import annotations

from typing import Literal

from ikescope.engine.closing import fact
from ikescope.engine.context import Core
from ikescope.engine.errors import NoProposalChosen
from ikescope.engine.sa import IkeSa
from ikescope.errors import LocalError
from ikescope.events import UNSET
from ikescope.events.negotiation import KeyNotFound, PolicySearched
from ikescope.policy.peers import Found, Key, PolicyMissing, find_policy, search_key


def emit_policy(core: Core, local: object, found: Found) -> None:
    """The event of a search for the IKEv2 policy of a local address."""
    core.emit(
        PolicySearched(
            local=str(local),
            policy=found.policy.name,
            proposals=tuple(proposal.name for proposal in found.proposals),
            default_proposal=found.default_proposal,
            tried=found.tried,
        )
    )


def policy_of(core: Core, sa: IkeSa) -> Found:
    """The IKEv2 policy for the address that a peer spoke to; NoProposalChosen, and each that was tried, for none."""
    try:
        return find_policy(core.config, sa.path.local)
    except PolicyMissing as error:
        local, tried = str(sa.path.local), error.tried
        core.emit(PolicySearched(local=local, policy=None, proposals=(), default_proposal=False, tried=tried), sa)
        raise NoProposalChosen(str(error)) from None
    except LocalError as error:
        raise NoProposalChosen(str(error)) from None


def key_of(core: Core, sa: IkeSa, which: Literal["local", "remote"]) -> Key | None:
    """The key that authenticates us (`local`) or the peer (`remote`); None, and each block that was tried, for none."""
    assert sa.profile is not None
    search = search_key(core.config, sa.profile, sa.path.remote, sa.remote_id, which)
    if search.key is None:
        core.emit(
            KeyNotFound(
                which=which,
                profile=sa.profile.name,
                keyring=sa.profile.keyring or "",
                peer=str(sa.path.remote),
                identity=fact(sa.remote_id) or UNSET,
                tried=search.tried,
            ),
            sa,
        )
    return search.key
