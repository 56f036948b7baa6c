"""How many IKE SAs there may be: half-open, from one address, begun by us, in all (RFC 7296 section 2.6, IOS)."""

from msgspec import structs
from tests.engine.test_cookies import PATH, Counter, exchange, first_request, with_cookie
from tests.support.world import Side, configuration

from ikescope.config.model import RouterConfig
from ikescope.engine.commands import Connect, Emit, Send
from ikescope.engine.endpoint import Endpoint
from ikescope.engine.limits import PROVEN_PER_PEER, UNPROVEN_PER_PEER
from ikescope.engine.parameters import Parameters
from ikescope.events.message import DropTrigger, MessageDropped
from ikescope.events.negotiation import ExchangeFailed
from ikescope.wire.header import HEADER_OCTETS
from ikescope.wire.notify import NotifyPayload


def router(config: RouterConfig, parameters: Parameters | None = None) -> Endpoint:
    """R2's or R1's engine alone."""
    return Endpoint(config, random=Counter(), now=0.0, wall=0.0, parameters=parameters)


def responder(parameters: Parameters | None = None, *, cookies: int | None = None, sas: int | None = None) -> Endpoint:
    """R2, with `cookie-challenge` and `max-sa`."""
    config = structs.replace(configuration("R2", Side()), cookie_challenge=cookies, max_sa=sas)
    return router(config, parameters)


def requests(count: int) -> list[bytes]:
    """IKE_SA_INIT requests of R1's with SPIs of their own."""
    first = first_request(router(configuration("R1", Side())))
    assert len(first) > HEADER_OCTETS
    return [number.to_bytes(8, "big") + first[8:] for number in range(1, count + 1)]


def given(one: Endpoint, octets: list[bytes]) -> list[DropTrigger]:
    """Why the responder dropped what it dropped."""
    for each in octets:
        one.receive(each, PATH, 0.0)
    records = [command for command in one.commands() if isinstance(command, Emit)]
    return [record.event.trigger for record in records if isinstance(record.event, MessageDropped)]


def test_half_open_ike_sas_are_limited() -> None:
    """Forger: IKE_SA_INIT with ever new SPIs: only `max_half_open` are kept, the rest gets nothing."""
    one = responder(Parameters(max_half_open=3))
    assert given(one, requests(9)) == [DropTrigger.HALF_OPEN_LIMIT] * 6
    assert len(one.core.half_open) == len(one.core.sas) == 3


def test_the_operator_limits_them_too() -> None:
    """`crypto ikev2 limit max-in-negotation-sa` counts where it is lower than our own limit."""
    config = structs.replace(configuration("R2", Side()), cookie_challenge=None, max_negotiating_in=2)
    one = router(config)
    assert given(one, requests(5)) == [DropTrigger.HALF_OPEN_LIMIT] * 3
    assert len(one.core.half_open) == 2


def test_one_address_has_its_share() -> None:
    """From so many half-open IKE SAs of one address on it returns a cookie; with cookies it has a share too."""
    one = responder()
    assert given(one, requests(UNPROVEN_PER_PEER + 5)) == []
    assert len(one.core.half_open) == UNPROVEN_PER_PEER
    one = responder(cookies=0)
    for request in requests(PROVEN_PER_PEER):
        (notify,) = exchange(one, request).payloads
        assert isinstance(notify, NotifyPayload)
        assert any(exchange(one, with_cookie(request, notify.data)).spi_r)
    (more,) = requests(PROVEN_PER_PEER + 1)[-1:]
    (notify,) = exchange(one, more).payloads
    assert isinstance(notify, NotifyPayload)
    assert given(one, [with_cookie(more, notify.data)]) == [DropTrigger.HALF_OPEN_LIMIT]
    assert len(one.core.half_open) == PROVEN_PER_PEER


def test_there_are_no_more_ike_sas_than_allowed() -> None:
    """`crypto ikev2 limit max-sa` counts all IKE SAs: a responder begins no further one, nor does an initiator."""
    one = responder(sas=2)
    assert given(one, requests(4)) == [DropTrigger.SA_LIMIT] * 2
    assert len(one.core.sas) == 2
    one = responder(sas=0)
    one.request(Connect(tunnel="Tunnel0"), 0.0)
    assert _refused(one) == ["max-sa: 0 IKE SAs stand, 0 may"]


def test_we_begin_no_more_than_allowed() -> None:
    """`max-in-negotation-sa ... outgoing` counts the IKE SAs that we began and that are not authenticated yet."""
    one = router(structs.replace(configuration("R1", Side()), max_negotiating_out=0))
    one.request(Connect(tunnel="Tunnel0"), 0.0)
    assert _refused(one) == ["max-in-negotation-sa outgoing: 0 IKE SAs are being negotiated, 0 may"]
    assert not one.core.sas


def _refused(one: Endpoint) -> list[str]:
    commands = list(one.commands())
    assert not [command for command in commands if isinstance(command, Send)]
    records = [command for command in commands if isinstance(command, Emit)]
    return [record.event.why for record in records if isinstance(record.event, ExchangeFailed)]
