"""What happens rarely: defects of our own, answers that contradict the question, a configuration that changes."""

from collections.abc import Callable, Sequence

import pytest
from msgspec import structs
from tests.support.world import Pair, Side, headline, impair, pair, slow

from ikescope.engine import children, closing
from ikescope.engine.commands import Clear, ClearChild, Connect, Intent, Probe, Rekey
from ikescope.engine.endpoint import Endpoint
from ikescope.engine.states import ChildState, IkeState
from ikescope.engine.task import Task
from ikescope.engine.tasks.ike_rekey import RekeyIke
from ikescope.engine.tasks.ike_sa_init import IkeSaInit
from ikescope.engine.tasks.informational import Liveness
from ikescope.events.life import CloseReason, IkeSaClosed, TaskFailed
from ikescope.events.message import RequestRefused
from ikescope.events.negotiation import AuthRefused, ExchangeFailed
from ikescope.wire.auth import AuthPayload
from ikescope.wire.ke import KePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import AuthMethod, ExchangeType, KeyExchangeId, NotifyType, PayloadType

INIT, AUTH, CREATE = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
Change = Callable[[Sequence[Payload]], Sequence[Payload]]


def endpoint(one: Pair, name: str) -> Endpoint:
    """A router's engine."""
    return one.station(name).node._endpoint


def broken(*_: object) -> None:
    """A defect."""
    raise IndexError("a defect")


def change(one: Pair, name: str, exchange: ExchangeType, response: bool, how: Change) -> None:
    """From now on a router's messages of a kind are changed before they are sealed."""

    def mutate(kind: ExchangeType, answer: bool, payloads: Sequence[Payload]) -> Sequence[Payload]:
        return how(payloads) if (kind, answer) == (exchange, response) else payloads

    one.core(name).mutate = mutate


def other_group(payloads: Sequence[Payload]) -> Sequence[Payload]:
    """The KE payload is said to be of another group."""
    return [structs.replace(one, group=KeyExchangeId.of(14)) if isinstance(one, KePayload) else one for one in payloads]


def without(kind: PayloadType) -> Change:
    """Payloads of a type are missing."""
    return lambda payloads: [one for one in payloads if one.kind != kind]


def failed(one: Pair, name: str) -> list[str]:
    """The tasks of a router that ended by a defect."""
    return [event.task for event in one.events(name, TaskFailed)]


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("ikescope.engine.tasks.ike_sa_init.respond", "R2"),
        ("ikescope.engine.tasks.ike_auth.respond", "R2"),
        (IkeSaInit, "R1"),
    ],
    ids=["IKE_SA_INIT request", "IKE_AUTH request", "IKE_SA_INIT response"],
)
def test_a_defect_while_an_ike_sa_is_made_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, where: str | type, name: str
) -> None:
    """A defect of ours ends the attempt without an answer and without a trace; the next attempt succeeds."""
    one = pair()
    with monkeypatch.context() as patch:
        if isinstance(where, str):
            patch.setattr(where, broken)
        else:
            patch.setattr(where, "finish", broken)
        one.ask("R1", Connect(tunnel="Tunnel0", trigger="operator"))
        one.world.run(0.5)
        assert len(failed(one, name)) == 1
        assert not one.core(name).sas
        assert not one.core(name)._ids
        assert not one.core(name).half_open
        one.world.run(400)
    one.world.records.clear()
    one.up(limit=90)
    one.agree()


@pytest.mark.parametrize(
    ("task", "method", "intent"),
    [(RekeyIke, "finish", Rekey()), (RekeyIke, "start", Rekey()), (Liveness, "start", Probe())],
    ids=["response", "request", "probe"],
)
def test_a_defect_in_a_task_ends_that_task_alone(
    monkeypatch: pytest.MonkeyPatch, task: type[Task], method: str, intent: Intent
) -> None:
    """A defect in a task of ours frees its window slot; the SAs stay, and the next exchange goes through."""
    one = pair().up()
    with monkeypatch.context() as patch:
        patch.setattr(task, method, broken)
        one.ask("R1", intent)
        one.world.run(1)
    assert failed(one, "R1") == [task.name]
    sa = next(sa for sa in one.ike("R1") if sa.children)
    assert sa.state is IkeState.ESTABLISHED
    assert not sa.out.in_flight
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(10)
    assert one.one_child("R1").state is ChildState.INSTALLED
    assert one.up()


def test_a_defect_in_a_deadline_does_not_stop_the_others() -> None:
    """A deadline's defect leaves its traceback; what was due after it still comes."""
    one = pair()
    core, came = one.core("R1"), []
    core.timers.arm(one.world.now + 1, broken)
    core.timers.arm(one.world.now + 1, lambda: came.append(1))
    one.world.run(2)
    assert (failed(one, "R1"), came) == (["timer"], [1])


def test_a_response_of_another_group_makes_no_ike_sa() -> None:
    """R2: IKE_SA_INIT with a KE of a group that it did not choose: not taken, for it is not authentic (2.21.1)."""
    one = pair()
    change(one, "R2", INIT, True, other_group)
    one.ping("R1")
    one.world.run(0.5)
    assert one.one_ike("R1").state is IkeState.INIT_SENT
    one.world.run(300)
    assert "KE payload's group" in one.events("R1", IkeSaClosed)[0].reason


def test_a_rekey_answered_with_another_group_leaves_the_old_ike_sa() -> None:
    """R1: SA N KE; R2: SA N KE of another group: no new IKE SA here, INVALID_SYNTAX ends the old one (2.21.3)."""
    one = pair().up()
    change(one, "R2", CREATE, True, other_group)
    one.ask("R1", Rekey())
    one.world.run(0.1)
    assert "KE payload's group" in one.events("R1", ExchangeFailed)[0].why
    one.world.run(200)
    one.sound()


def test_a_rekey_without_a_ke_is_refused() -> None:
    """R1: SA N without the KE that an IKE rekey must have; R2: N(INVALID_SYNTAX), and it ends (1.3.2, 2.21.3)."""
    one = pair().up()
    change(one, "R1", CREATE, False, without(PayloadType.KE))
    one.ask("R1", Rekey())
    one.world.run(0.1)
    assert [event.notify for event in one.events("R2", RequestRefused)] == [NotifyType.INVALID_SYNTAX]
    one.world.run(200)
    one.sound()


def test_a_child_rekey_without_its_ke_is_told_the_group() -> None:
    """R1 wants PFS, its KE is lost on the way to the wire; R2: N(INVALID_KE_PAYLOAD, the group) (1.3)."""
    one = pair(Side(pfs=19)).up()
    change(one, "R1", CREATE, False, without(PayloadType.KE))
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(0.1)
    (refused,) = one.events("R2", RequestRefused)
    assert refused.notify == NotifyType.INVALID_KE_PAYLOAD
    one.world.run(20)
    one.sound()
    assert one.one_child("R1").state is ChildState.INSTALLED


def test_a_child_rekey_answered_with_another_group_leaves_the_old_one() -> None:
    """R1: SA N KE TS; R2: KE of another group: what stood stands, or goes as a whole; nothing half-made stays."""
    one = pair(Side(pfs=19)).up()
    change(one, "R2", CREATE, True, other_group)
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(0.1)
    assert "KE payload's group" in one.events("R1", ExchangeFailed)[0].why
    one.core("R2").mutate = None
    one.world.run(200)
    one.sound()


@pytest.mark.parametrize("name", ["R1", "R2"])
def test_a_key_that_goes_midway_ends_the_attempt(name: str) -> None:
    """The keyring is removed between IKE_SA_INIT and IKE_AUTH: no IKE SA, and the reason says which key is missing."""
    one = pair()
    impair(one.world, lambda mail: headline(mail)[1:3] == ((INIT, True) if name == "R1" else (AUTH, False)), [0.2])
    one.ping("R1")
    one.world.run(0.1)
    config = one.station(name).config
    endpoint(one, name).configure(structs.replace(config, keyrings={}), one.world.now)
    one.world.run(1)
    assert "no pre-shared key" in one.events(name, IkeSaClosed)[0].reason
    assert not one.core(name).sas
    one.sound()


def test_another_authentication_method_is_refused() -> None:
    """R1: AUTH by a signature where the profile wants a pre-shared key; R2: N(AUTHENTICATION_FAILED) (2.15, 3.8)."""
    one = pair()

    def signed(payloads: Sequence[Payload]) -> Sequence[Payload]:
        return [
            structs.replace(one, method=AuthMethod.of(1)) if isinstance(one, AuthPayload) else one for one in payloads
        ]

    change(one, "R1", AUTH, False, signed)
    one.ping("R1")
    one.world.run(0.5)
    assert [event.method for event in one.events("R2", AuthRefused)] == [1]
    assert [event.notify for event in one.events("R2", RequestRefused)] == [NotifyType.AUTHENTICATION_FAILED]
    assert not one.core("R2").sas


def test_a_configuration_without_what_runs_leaves_it_running() -> None:
    """Profiles removed: IKE SA and Child SA go on with what they have; tunnels removed: the IKE SA to their peer is
    deleted, with all under it.
    """
    one = pair().up()
    config, now = one.station("R1").config, one.world.now
    before = one.one_child("R1")
    endpoint(one, "R1").configure(structs.replace(config, profiles={}), now)
    assert one.one_child("R1") is before
    one.agree()
    endpoint(one, "R1").configure(structs.replace(config, tunnels={}), now)
    endpoint(one, "R1").configure(structs.replace(config, tunnels={}), now)
    assert [sa.state for sa in one.ike("R1")] == [IkeState.DELETING]
    endpoint(one, "R1").configure(config, now)
    one.world.run(10)
    assert not one.ike("R1") and not one.ike("R2")


def test_a_rekey_of_a_tunnel_that_has_gone_is_not_begun() -> None:
    """The tunnel's profile is gone when its Child SA is to be rekeyed: that is said, and the Child SA stays."""
    one = pair().up()
    config = one.station("R1").config
    endpoint(one, "R1").configure(structs.replace(config, ipsec_profiles={}), one.world.now)
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(1)
    assert len(one.events("R1", ExchangeFailed)) == 1
    one.agree()


def test_two_ike_sas_begun_by_one_end_are_no_crossing() -> None:
    """R1 crashes and begins anew without INITIAL_CONTACT: R2 keeps both IKE SAs till the first one's liveness fails."""
    one = pair().up()
    config = one.station("R1").config
    one.world.remove("R1")
    one.world.add(config)

    def silent(payloads: Sequence[Payload]) -> Sequence[Payload]:
        contact = NotifyType.INITIAL_CONTACT
        return [one for one in payloads if not (isinstance(one, NotifyPayload) and one.notify_type == contact)]

    change(one, "R1", AUTH, False, silent)
    one.up()
    one.world.run(10)
    assert [sa.state for sa in one.ike("R2")] == [IkeState.ESTABLISHED] * 2
    one.sound()


def test_what_is_closed_is_kept_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed IKE SAs that still repeat their responses are bounded in number: the oldest goes first."""
    monkeypatch.setattr(closing, "BURIED", 2)
    one = pair()
    for _ in range(4):
        one.up()
        one.ask("R1", Clear())
        one.world.run(1)
    assert len(one.core("R2").buried) == 2
    one.world.run(60)
    one.quiet()


def test_what_is_removed_is_removed_once() -> None:
    """A Child SA that is gone is not taken out again, nor does a late deadline of its bring anything about."""
    one = pair().up()
    core, sa, child = one.core("R1"), one.one_ike("R1"), one.one_child("R1")
    children.remove(core, sa, child, CloseReason.DEFECT, "test")
    before = len(core.commands)
    children.remove(core, sa, child, CloseReason.DEFECT, "test")
    core.on_child_due(child, True)
    core.on_child_due(child, False)
    assert len(core.commands) == before


def test_a_plane_that_is_slower_than_the_window_still_answers() -> None:
    """R1 creates a Child SA; R2's plane takes a minute: the answer comes when the plane has reported, not before."""
    one = pair().up()
    slow(one, "R2", 60.0)
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(100)
    one.ask("R1", ClearChild())
    one.world.run(100)
    one.agree(children=0)
