"""The crypto shows, column for column against small samples of real output."""

from ipaddress import IPv6Address

import pytest
from tests.ios.show_samples import CHILD, CONFIG, IKE, R1, STATUS, TUNNEL, but, columns

from ikescope.events import SelectorFact
from ikescope.ios import show_counts, show_ikev2, show_ipsec, show_session
from ikescope.node.status import ChildSaStatus, IkeSaStatus


def test_show_crypto_ikev2_sa_has_ios_s_columns() -> None:
    """The table of a real router (IOS-XE 17): header, row, suite and lifetime, blanks at line ends included."""
    assert show_ikev2.ikev2_sa(STATUS, CONFIG) == [
        " IPv4 Crypto IKEv2  SA ",
        "",
        "Tunnel-id Local                 Remote                fvrf/ivrf            Status ",
        "1         10.0.0.1/500          10.0.0.2/500          none/none            READY  ",
        "      Encr: AES-CBC, keysize: 256, PRF: SHA512, Hash: SHA512, DH Grp:19, Auth sign: PSK, Auth verify: PSK",
        "      Life/Active Time: 86400/735 sec",
        "",
        " IPv6 Crypto IKEv2  SA ",
        "",
    ]


def test_show_crypto_ikev2_sa_row_stands_under_its_header() -> None:
    """Each word of a row begins where the header's does, as in a sample of a real router."""
    sample = "1         66.66.66.1/500        66.66.66.2/500        none/none            READY  "
    lines = show_ikev2.ikev2_sa(STATUS, CONFIG)
    assert columns(lines[2]) == columns(lines[3]) == columns(sample)


def test_show_crypto_ikev2_sa_detailed_has_ios_s_lines() -> None:
    """The details of a real router's SA, in its order and columns; what we do not do is said so in its words."""
    lines = show_ikev2.ikev2_sa(STATUS, CONFIG, detailed=True)
    assert lines[6:22] == [
        "      CE id: 1001, Session-id: 7",
        "      Local spi: A1A2A3A4A5A6A7A8       Remote spi: B1B2B3B4B5B6B7B8",
        "      Status Description: Negotiation done",
        "      Local id: 10.0.0.1",
        "      Remote id: 10.0.0.2",
        "      Local req msg id:  2              Remote req msg id:  0         ",
        "      Local next msg id: 2              Remote next msg id: 0         ",
        "      Local req queued:  2              Remote req queued:  0         ",
        "      Local window:      5              Remote window:      5         ",
        "      DPD configured for 60 seconds, retry 3",
        "      Fragmentation not  configured.",
        "      Dynamic Route Update: disabled",
        "      Extended Authentication not configured.",
        "      NAT-T is not detected  ",
        "      Cisco Trust Security SGT is disabled",
        "      Initiator of SA : Yes",
    ]


def test_an_ike_sa_in_negotiation_says_what_is_not_known_yet() -> None:
    """Before IKE_SA_INIT is answered there is no suite: IOS prints Unknown - 0."""
    young = but(IKE, state="IN-NEG", encryption=None, key_length=None, prf=None, integrity=None, group=None)
    young = but(young, auth_local=None, auth_remote=None)
    assert show_ikev2.suite(young) == (
        "Encr: Unknown - 0, PRF: Unknown - 0, Hash: None, DH Grp:0, Auth sign: Unknown - 0, Auth verify: Unknown - 0"
    )


def test_an_aead_has_no_hash() -> None:
    """AES-GCM prints `Hash: None`, as in a sample of a real router."""
    assert show_ikev2.suite(but(IKE, encryption=20, prf=6, integrity=None, group=20)) == (
        "Encr: AES-GCM, keysize: 256, PRF: SHA384, Hash: None, DH Grp:20, Auth sign: PSK, Auth verify: PSK"
    )


def test_no_ike_sa_prints_nothing() -> None:
    """`show crypto ikev2 sa` on a router without IKE SAs is empty."""
    assert show_ikev2.ikev2_sa(but(STATUS, ike=()), CONFIG) == []


def test_an_ipv6_ike_sa_has_its_own_table() -> None:
    """Addresses of IPv6 have lines of their own, in capitals."""
    six = but(IKE, local=IPv6Address("2001:db8::1"), remote=IPv6Address("2001:db8::2"))
    lines = show_ikev2.ikev2_sa(but(STATUS, ike=(six,)), CONFIG)
    assert lines[:8] == [
        " IPv4 Crypto IKEv2  SA ",
        "",
        " IPv6 Crypto IKEv2  SA ",
        "",
        "Tunnel-id    fvrf/ivrf              Status ",
        "1          none/none             READY  ",
        "Local  2001:DB8::1/500 ",
        "Remote  2001:DB8::2/500 ",
    ]


def test_show_crypto_ikev2_proposal_is_ios_s() -> None:
    """The proposals of a real router of the nine-transform generation."""
    assert show_ikev2.ikev2_proposal(CONFIG) == [
        " IKEv2 proposal: default ",
        "     Encryption : AES-CBC-256",
        "     Integrity  : SHA512 SHA384",
        "     PRF        : SHA512 SHA384",
        "     DH Group   : DH_GROUP_256_ECP/Group 19 DH_GROUP_2048_MODP/Group 14 DH_GROUP_521_ECP/Group 21 "
        "DH_GROUP_1536_MODP/Group 5",
        " IKEv2 proposal: ikev2proposal ",
        "     Encryption : AES-CBC-128",
        "     Integrity  : SHA96",
        "     PRF        : SHA1",
        "     DH Group   : DH_GROUP_4096_MODP/Group 16",
    ]
    assert len(show_ikev2.ikev2_proposal(CONFIG, "default")) == 5


def test_show_crypto_ikev2_policy_is_ios_s() -> None:
    """The policies of a real router: the default one has one blank fewer."""
    assert [line.rstrip() for line in show_ikev2.ikev2_policy(CONFIG)] == [
        " IKEv2 policy : default",
        "      Match fvrf : any",
        "      Match address local : any",
        "      Proposal    : default",
        "",
        " IKEv2 policy : ikev2policy",
        "      Match fvrf  : global",
        "      Match address local : any",
        "      Proposal    : ikev2proposal",
        "",
    ]


def test_show_crypto_ikev2_profile_is_ios_s() -> None:
    """The profile of a real router."""
    assert show_ikev2.ikev2_profile(CONFIG)[:17] == [
        "IKEv2 profile: ikev2_profile",
        " Shutdown : No",
        " Match criteria: ",
        "  Fvrf: global",
        "  Local address/interface: none",
        "  Identities: ",
        "   address 10.16.201.0 255.255.255.252",
        "  Certificate maps: none",
        " Local identity: address 10.16.201.2",
        " Remote identity: none",
        " Local authentication method: pre-share",
        " Remote authentication method(s): pre-share",
        " EAP options: none",
        " Keyring: ikev2_keyring",
        " Trustpoint(s): none",
        " Lifetime: 86400 seconds",
        " DPD: disabled",
    ]


def test_show_crypto_ikev2_stats_counts_sas_by_role() -> None:
    """Counts by role and state, under the limits."""
    lines = show_counts.ikev2_stats(STATUS, CONFIG)
    sample = "System Resource Limit:   0        Max IKEv2 SAs: 0        Max in nego(in/out): 40/400"
    assert lines[3] == sample
    assert lines[5] == "Total outgoing IKEv2 SA Count:    1        active:        1        negotiating: 0     "


IPSEC_SA = [
    "interface: Tunnel0",
    "    Crypto map tag: Tunnel0-head-0, local addr 10.0.0.1",
    "",
    "   protected vrf: (none)",
    "   local  ident (addr/mask/prot/port): (10.0.0.1/255.255.255.255/47/0)",
    "   remote ident (addr/mask/prot/port): (10.0.0.2/255.255.255.255/47/0)",
    "   current_peer 10.0.0.2 port 500",
    "     PERMIT, flags={origin_is_acl,}",
    "    #pkts encaps: 5, #pkts encrypt: 5, #pkts digest: 5",
    "    #pkts decaps: 4, #pkts decrypt: 4, #pkts verify: 4",
    "    #pkts compressed: 0, #pkts decompressed: 0",
    "    #pkts not compressed: 0, #pkts compr. failed: 0",
    "    #pkts not decompressed: 0, #pkts decompress failed: 0",
    "    #send errors 1, #recv errors 0",
    "",
    "     local crypto endpt.: 10.0.0.1, remote crypto endpt.: 10.0.0.2",
    "     plaintext mtu 1438, path mtu 1500, ip mtu 1500, ip mtu idb GigabitEthernet1",
    "     current outbound spi: 0x2E8482F8(780436216)",
    "     PFS (Y/N): N, DH group: none",
    "",
    "     inbound esp sas:",
    "      spi: 0xA54D38A4(2773301412)",
    "        transform: esp-256-aes esp-sha-hmac ,",
    "        in use settings ={Transport, }",
    "        conn id: 1, flow_id: SW:1, sibling_flags 80000000, crypto map: Tunnel0-head-0",
    "        sa timing: remaining key lifetime (k/sec): (4607999/3237)",
    "        IV size: 16 bytes",
    "        replay detection support: Y  replay window size: 64",
    "        Status: ACTIVE(ACTIVE)",
    "",
    "     inbound ah sas:",
    "",
    "     inbound pcp sas:",
    "",
    "     outbound esp sas:",
    "      spi: 0x2E8482F8(780436216)",
    "        transform: esp-256-aes esp-sha-hmac ,",
    "        in use settings ={Transport, }",
    "        conn id: 2, flow_id: SW:2, sibling_flags 80000000, crypto map: Tunnel0-head-0",
    "        sa timing: remaining key lifetime (k/sec): (4607998/3237)",
    "        IV size: 16 bytes",
    "        replay detection support: Y  replay window size: 64",
    "        Status: ACTIVE(ACTIVE)",
    "",
    "     outbound ah sas:",
    "",
    "     outbound pcp sas:",
    "",
]
"""The whole block of a real router's tunnel."""


def test_show_crypto_ipsec_sa_has_ios_s_block() -> None:
    """The block of a tunnel is a real router's, indented as there."""
    assert show_ipsec.ipsec_sa(STATUS, CONFIG) == IPSEC_SA


def test_the_plaintext_mtu_is_a_real_router_s() -> None:
    """esp-256-aes esp-sha256-hmac in tunnel mode over 1500 leaves 1438, as on a real router."""
    lines = show_ipsec.ipsec_sa(but(STATUS, children=(but(CHILD, integrity=12, transport=False),)), CONFIG)
    assert any(line.startswith("     plaintext mtu 1438, path mtu 1500") for line in lines)


def test_the_path_mtu_is_what_the_data_plane_knows() -> None:
    """A narrower way and its link are shown, and what is left of the way for the protected packet."""
    narrow = but(STATUS, tunnels=(but(TUNNEL, path_mtu=1300, link_mtu=1492),))
    lines = show_ipsec.ipsec_sa(narrow, CONFIG)
    assert "     plaintext mtu 1230, path mtu 1300, ip mtu 1492, ip mtu idb GigabitEthernet1" in lines


def test_a_tunnel_without_child_sa_shows_an_spi_of_zero() -> None:
    """A flow that has no SA yet keeps its place, with no ESP SAs under it."""
    lines = show_ipsec.ipsec_sa(but(STATUS, children=(), ike=()), CONFIG)
    assert "     current outbound spi: 0x0(0)" in lines
    assert not any("transform:" in line for line in lines)


def test_both_child_sas_of_a_rekey_stand_in_one_flow() -> None:
    """While old and new live side by side the newest is the outbound one, and both are listed, PFS and NAT-T named."""
    new = but(CHILD, id=2, inbound=0x11, outbound=0x22, group=19, udp=True, kilobytes=None)
    lines = show_ipsec.ipsec_sa(but(STATUS, children=(CHILD, new)), CONFIG)
    assert "     current outbound spi: 0x22(34)" in lines
    assert "     PFS (Y/N): Y, DH group: group19" in lines
    assert sum(line.startswith("      spi: ") for line in lines) == 4
    assert "        in use settings ={Transport UDP-Encaps, }" in lines
    assert "        Kilobyte Volume Rekey has been disabled" in lines
    assert lines.count("interface: Tunnel0") == 1


@pytest.mark.parametrize(("interface", "blocks"), [("Tunnel0", 1), ("Tunnel9", 0), (None, 1)])
def test_show_crypto_ipsec_sa_of_one_interface(interface: str | None, blocks: int) -> None:
    """`interface` and `peer` leave the others out."""
    assert len([1 for line in show_ipsec.ipsec_sa(STATUS, CONFIG, interface) if line.startswith("interface")]) == blocks
    assert show_ipsec.ipsec_sa(STATUS, CONFIG, peer=R1) == []


def test_show_crypto_ipsec_profile_and_transform_set_are_ios_s() -> None:
    """The default profile and transform set as a real router shows them."""
    assert show_ipsec.ipsec_profile(CONFIG) == [
        "IPSEC profile default",
        "\tIKEv2 Profile: default",
        "\tSecurity association lifetime: 4608000 kilobytes/3600 seconds",
        "\tDualstack (Y/N): N",
        "\tResponder-Only (Y/N): N",
        "\tPFS (Y/N): N",
        "\tMixed-mode : Disabled",
        "\tTransform sets={ ",
        "\t\tdefault:  { esp-aes esp-sha-hmac  } , ",
        "\t}",
        "",
    ]
    assert show_ipsec.transform_sets(CONFIG) == [
        "Transform set default: { esp-aes esp-sha-hmac  } ",
        "   will negotiate = { Transport,  }, ",
        "   ",
        "Transform set strong: { esp-256-aes esp-sha512-hmac  } ",
        "   will negotiate = { Tunnel,  }, ",
        "   ",
    ]


def test_show_crypto_session_is_ios_s() -> None:
    """The block of a real router's tunnel, with IKEv2."""
    assert show_session.session(STATUS, CONFIG) == [
        "Crypto session current status",
        "",
        "Interface: Tunnel0",
        "Profile: default",
        "Session status: UP-ACTIVE     ",
        "Peer: 10.0.0.2 port 500 ",
        "  Session ID: 7  ",
        "  IKEv2 SA: local 10.0.0.1/500 remote 10.0.0.2/500 Active ",
        "  IPSEC FLOW: permit 47 host 10.0.0.1 host 10.0.0.2 ",
        "        Active SAs: 2, origin: crypto map",
        "",
    ]


def test_show_crypto_session_detail_is_ios_s() -> None:
    """The detailed block of a real router's tunnel: legend, uptime, identity, capabilities, traffic."""
    lines = show_session.session(STATUS, CONFIG, detail=True)
    assert lines[2] == "Code: C - IKE Configuration mode, D - Dead Peer Detection     "
    assert lines[8:] == [
        "Interface: Tunnel0",
        "Profile: default",
        "Uptime: 00:12:15",
        "Session status: UP-ACTIVE     ",
        "Peer: 10.0.0.2 port 500 fvrf: (none) ivrf: (none)",
        "      Phase1_id: 10.0.0.2",
        "      Desc: (none)",
        "  Session ID: 7  ",
        "  IKEv2 SA: local 10.0.0.1/500 remote 10.0.0.2/500 Active ",
        "          Capabilities:D connid:1 lifetime:23:47:44",
        "  IPSEC FLOW: permit 47 host 10.0.0.1 host 10.0.0.2 ",
        "        Active SAs: 2, origin: crypto map",
        "        Inbound:  #pkts dec'ed 4 drop 0 life (KB/Sec) 4607999/3237",
        "        Outbound: #pkts enc'ed 5 drop 1 life (KB/Sec) 4607998/3237",
        "",
    ]


@pytest.mark.parametrize(
    ("ike", "children", "word"),
    [
        ((IKE,), (CHILD,), "UP-ACTIVE"),
        ((IKE,), (), "UP-IDLE"),
        ((but(IKE, state="IN-NEG"),), (), "DOWN-NEGOTIATING"),
        ((), (CHILD,), "UP-NO-IKE"),
        ((), (), "DOWN"),
    ],
)
def test_a_session_s_state_is_what_its_sas_make_it(
    ike: tuple[IkeSaStatus, ...], children: tuple[ChildSaStatus, ...], word: str
) -> None:
    """The five words of `Session status`."""
    assert show_session.state(ike, children) == word


def test_a_selector_of_everything_is_a_permit_ip() -> None:
    """A static VTI's flow has addresses with masks, as on a real router."""
    every = SelectorFact("0.0.0.0", "255.255.255.255")
    child = but(CHILD, local=(every,), remote=(every,), transport=False)
    status = but(STATUS, children=(child,), tunnels=(but(TUNNEL, selectors=(((every,), (every,)),)),))
    lines = show_session.session(status, CONFIG)
    assert "  IPSEC FLOW: permit ip 0.0.0.0/0.0.0.0 0.0.0.0/0.0.0.0 " in lines
