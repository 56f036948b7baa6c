#!/bin/sh
# Brings the foreign peers and tools that the tests talk to into .peers/root, out of Debian's (or Ubuntu's) packages:
# strongSwan with its userland ESP, Libreswan, OpenIKED, tshark, tcpdump, ping, iperf3, nft, wireguard-go; and, where the release
# has them as packages (Ubuntu has not), Chromium with a font, and user-mode-linux: a kernel with ESP that runs as a process.
# Packages are downloaded and unpacked, never installed; no service starts and nothing outside .peers/ changes (apt's
# package lists excepted, where they are empty). gcc builds
# .peers/fake_xfrm.so, without which Libreswan and OpenIKED want a kernel with ESP.
# A second run is instant. What this machine lacks is said in one line; exit 2.
set -eu
cd "$(dirname "$0")/.."

# `apart`: apt is asked for each alone, since installed they would exclude the others.
packages="strongswan-charon strongswan-libcharon strongswan-swanctl libstrongswan libcharon-extra-plugins
libstrongswan-standard-plugins libstrongswan-extra-plugins tshark wireshark-common tcpdump iputils-ping iperf3 nftables
wireguard-go wireguard-tools"
apart="libreswan openiked"
browser="chromium fonts-dejavu-core"
guest="user-mode-linux kmod iptables"
# Dependencies that only an installed system needs: a daemon in a namespace runs without them.
unneeded="systemd systemd-sysv systemd-timesyncd systemd-resolved udev tpm-udev libpam-systemd libnss-systemd dbus
dbus-user-session init-system-helpers adduser debconf strongswan-starter bind9-host bind9-libs dns-root-data
libjemalloc2 libfstrm0 libprotobuf-c1"
programs="usr/lib/ipsec/charon usr/sbin/swanctl usr/bin/tshark usr/bin/tcpdump usr/bin/ping usr/bin/iperf3 usr/sbin/nft
usr/bin/wireguard-go usr/bin/wg usr/libexec/ipsec/pluto usr/libexec/ipsec/whack usr/bin/certutil usr/sbin/iked usr/sbin/ikectl"

refuse() { echo "peers: $1" >&2; exit 2; }

# Built beside its place and moved there, so that whatever runs meanwhile sees the old one or the new one.
build() {
  command -v gcc >/dev/null 2>&1 || refuse "no gcc here, which builds tools/fake_xfrm.c (apt install gcc libc6-dev)"
  mkdir -p .peers
  gcc -O2 -Wall -shared -fPIC -o .peers/fake_xfrm.so.new tools/fake_xfrm.c -ldl 2>.peers/gcc.log ||
    refuse "tools/fake_xfrm.c does not compile: $(grep -m1 -E 'error|cannot' .peers/gcc.log || echo 'see .peers/gcc.log')"
  mv .peers/fake_xfrm.so.new .peers/fake_xfrm.so
}

[ .peers/fake_xfrm.so -nt tools/fake_xfrm.c ] || build
wanted=$(echo $packages $apart $browser $guest | cksum)
if [ "$(cat .peers/complete 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
command -v apt-get >/dev/null 2>&1 || refuse "no apt-get here: the peers come from Debian's or Ubuntu's packages"
command -v dpkg-deb >/dev/null 2>&1 || refuse "no dpkg-deb here (apt install dpkg)"
[ "$(id -u)" -eq 0 ] || refuse "fetching packages with apt needs root: sudo make peers"
free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free" -ge 1200 ] || refuse "had $free MB of free disk here, wanted 1200 MB"

update() {
  apt-get -q update >.peers/apt.log 2>&1 || true # one unreachable source of several is no obstacle
}

download() {
  # --reinstall: a package that this machine has is fetched all the same, so every program is in .peers/root.
  apt-get -q -y --no-install-recommends --download-only --reinstall -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
    -o Dir::Cache::archives="$work/debs" install "$@" >.peers/apt.log 2>&1
}

download_all() {
  download $packages || return 1
  for package in $apart; do download "$package" || return 1; done
  ! has chromium || download $browser || return 1
  ! has user-mode-linux || download $guest
}

has() {
  case $(apt-cache policy "$1" 2>/dev/null) in
  *"Candidate: "[0-9]*) ;;
  *) return 1 ;;
  esac
}

work=$(pwd -P)/.peers/new
rm -rf "$work"
mkdir -p "$work/debs/partial" "$work/root"
has strongswan-swanctl || update
download_all || { update; download_all; } || refuse "the packages could not be fetched: $(grep -m1 '^[EW]:' .peers/apt.log || echo 'see .peers/apt.log')"

for deb in "$work"/debs/*.deb; do
  name=$(dpkg-deb --field "$deb" Package)
  case " $(echo $unneeded) " in
  *" $name "*) ;;
  *) dpkg-deb --extract "$deb" "$work/root" ;;
  esac
done
# The root is laid over /usr, where /bin, /sbin and /lib point on a current system.
for directory in bin sbin lib; do
  if [ -d "$work/root/$directory" ] && [ ! -L "$work/root/$directory" ]; then
    mkdir -p "$work/root/usr/$directory"
    cp -a "$work/root/$directory/." "$work/root/usr/$directory/"
    rm -rf "${work:?}/root/$directory"
  fi
done
! has chromium || programs="$programs usr/lib/chromium/chromium"
! has user-mode-linux || programs="$programs usr/bin/linux.uml usr/bin/kmod usr/sbin/iptables-legacy"
for program in $programs; do
  [ -x "$work/root/$program" ] || refuse "the packages of this release hold no $program"
done
for package in strongswan-charon libreswan openiked tshark; do
  dpkg-deb --show --showformat '${Package} ${Version}\n' "$work"/debs/"$package"_*.deb >>"$work/versions"
done
rm -f .peers/complete
rm -rf .peers/root
mv "$work/root" "$work/versions" .peers/
rm -rf "$work"
echo "$wanted" >.peers/complete
echo "peers: $(tr '\n' ' ' <.peers/versions)in .peers/"
