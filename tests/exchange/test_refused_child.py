"""The first Child SA comes to nothing: the initiator deletes the IKE SA as IOS does, or keeps it (RFC 7296 1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.support.world import BOTH, Pair, Side, configuration, pair

from ikescope.events import SelectorFact
from ikescope.events.life import ChildRefused, ChildSaCreated, DeleteSent, IkeSaClosed, IkeSaCreated
from ikescope.ios.running import running_config
from ikescope.policy.selectors import to_wire
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, PayloadType
from ikescope.wire.ts import TsPayload

AUTH, CREATE = ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
HERE = Side(mode="acl", second=True)
ELSEWHERE = replace(HERE, selectors=("10.{us}.7.0 0.0.0.255 10.{them}.7.0 0.0.0.255",))


def asked(side: Side, other: Side) -> Pair:
    """R1's host has asked for the first tunnel, in vain."""
    one = pair(side, other)
    one.ping("R1")
    one.world.run(1.5)
    return one


def test_by_default_the_ike_sa_goes_too() -> None:
    """I: IKE_AUTH; R: IDr AUTH N(TS_UNACCEPTABLE); I: D(ESP), D(IKE)."""
    one = asked(HERE, ELSEWHERE)
    assert [event.kind for event in one.events("R1", DeleteSent)] == ["child", "ike"]
    one.quiet()


@pytest.mark.parametrize("by", BOTH)
def test_where_it_is_kept_other_child_sas_are_made_under_it(by: str) -> None:
    """I: IKE_AUTH; R: IDr AUTH N(TS_UNACCEPTABLE); I or R: CREATE_CHILD_SA for another tunnel."""
    ##= rfc7296#section-1.2 type=test
    ##% If creating the Child SA during the IKE_AUTH exchange fails for some
    ##% reason, the IKE SA is still created as usual.
    one = asked(replace(HERE, refused_child="keep"), ELSEWHERE)
    assert [event.by for event in one.events("R1", ChildRefused)] == ["peer"]
    one.agree(children=0)
    one.up(by, third=1)
    one.agree()
    for name in BOTH:
        assert len(one.events(name, IkeSaCreated)) == 1
        assert [event.exchange for event in one.events(name, ChildSaCreated)] == [CREATE]
        assert not one.events(name, IkeSaClosed)


def test_what_the_peer_made_and_we_do_not_accept_is_deleted_alone() -> None:
    """I: IKE_AUTH; R: TSr beyond what was proposed; I: D(ESP): the IKE SA stays and has no Child SA."""
    one = pair(replace(HERE, refused_child="keep"), HERE)
    wide = TsPayload(PayloadType.TSR, to_wire((SelectorFact("0.0.0.0", "255.255.255.255"),)))

    def widen(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        if not (exchange is AUTH and response):
            return chain
        return [wide if isinstance(one, TsPayload) and one.kind == PayloadType.TSR else one for one in chain]

    one.core("R2").mutate = widen
    one.ping("R1")
    one.world.run(1.5)
    one.core("R2").mutate = None
    assert [event.kind for event in one.events("R1", DeleteSent)] == ["child"]
    one.agree(children=0)


def test_the_line_in_the_configuration() -> None:
    """`ikescope refused-child keep` is our own line of a profile; `delete`, as on IOS, is the default."""
    config = configuration("R1", replace(HERE, refused_child="keep"))
    assert next(iter(config.profiles.values())).refused_child == "keep"
    assert " ikescope refused-child keep" in running_config(config)
    assert not any("refused-child" in line for line in running_config(configuration("R1", HERE)))
