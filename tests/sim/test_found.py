"""What lives out of a seed have found, each as the smallest scene that shows it."""

from tests.support.world import Side, pair

from ikescope.engine.commands import Rekey


def test_child_sas_go_to_no_ike_sa_that_has_ended() -> None:
    """R1 --> rekey, R2 --> rekey (crossing); ..x both responses are lost, and all that follows.

    The IKE SA that the peer's request made dies of its liveness check before our own rekey is given up: the Child SAs
    end with the old one, and nothing stays in the data plane.
    """
    one = pair(Side(dpd="20 5 periodic"))
    one.up()
    one.ask("R1", Rekey())
    one.ask("R2", Rekey())
    one.world.impairments.append(lambda mail: ())
    one.world.run(0.015)
    assert len(one.ike("R2")) == 2
    one.world.run(400)
    one.quiet()
