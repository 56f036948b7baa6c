#!/bin/sh
# Brings the newest strongSwan (6) and Libreswan (5) of Debian into .peers-new/, each as a small root of its own with the
# C library that it wants: the tests run them there in a chroot. Packages are downloaded and unpacked, never installed; no
# maintainer script runs, no service starts and nothing outside .peers-new/ changes: apt works on lists of its own in there.
# The mirror is the one that this machine's own apt has for Debian. gcc builds fake_xfrm.so, without which Libreswan
# wants a kernel with ESP. A second run is instant. What this machine lacks is said in one line; exit 2.
set -eu
cd "$(dirname "$0")/.."

# netbase tells charon that GRE is protocol 47.
strongswan="strongswan-charon strongswan-libcharon strongswan-swanctl libstrongswan libcharon-extra-plugins
libstrongswan-standard-plugins libstrongswan-extra-plugins netbase"
# What pluto's updown script calls is not among the packages it depends on, being part of every system.
libreswan="libreswan libnss3-tools dash coreutils sed grep mawk"
# Dependencies that only an installed system needs.
unneeded="adduser debconf dns-root-data bind9-host bind9-libs iptables libc-gconv-modules-extra login.defs passwd
strongswan-starter"

refuse() { echo "peers-new: $1" >&2; exit 2; }

# Built beside its place and moved there, so that whatever runs meanwhile sees the old one or the new one.
build() {
  command -v gcc >/dev/null 2>&1 || refuse "no gcc here, which builds tools/fake_xfrm.c (apt install gcc libc6-dev)"
  library=.peers-new/libreswan/usr/lib/fake_xfrm.so
  gcc -O2 -Wall -shared -fPIC -o "$library.new" tools/fake_xfrm.c -ldl 2>.peers-new/gcc.log ||
    refuse "tools/fake_xfrm.c does not compile: $(grep -m1 -E 'error|cannot' .peers-new/gcc.log || echo 'see .peers-new/gcc.log')"
  mv "$library.new" "$library"
}

wanted=$(echo $strongswan $libreswan | cksum)
if [ "$(cat .peers-new/complete 2>/dev/null)" = "$wanted" ]; then
  [ .peers-new/libreswan/usr/lib/fake_xfrm.so -nt tools/fake_xfrm.c ] || build
  exit 0
fi
command -v apt-get >/dev/null 2>&1 || refuse "no apt-get here: the peers come from Debian's packages"
command -v dpkg-deb >/dev/null 2>&1 || refuse "no dpkg-deb here (apt install dpkg)"
command -v chroot >/dev/null 2>&1 || refuse "no chroot here (apt install coreutils)"
[ "$(id -u)" -eq 0 ] || refuse "fetching packages with apt needs root: sudo make peers-new"
free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free" -ge 800 ] || refuse "had $free MB of free disk here, wanted 800 MB"

mkdir -p .peers-new
log=$(pwd -P)/.peers-new/apt.log

# The address of Debian's main archive as this machine's apt has it, or nothing. Only lists that were fetched have a
# label; the security archive and others have another one.
mirror_of_apt() {
  apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -F '|' '$1 == "Debian" { print $2; exit }'
}
mirror=$(mirror_of_apt)
if [ -z "$mirror" ]; then
  apt-get -q update >"$log" 2>&1 || true # one unreachable source of several is no obstacle
  mirror=$(mirror_of_apt)
fi
[ -n "$mirror" ] || refuse "this machine's apt has no Debian archive: the newer peers are in Debian's trixie and sid"

work=$(pwd -P)/.peers-new/new
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache"
keyring=$(find /usr/share/keyrings -name 'debian-archive-keyring.*' 2>/dev/null | sort | head -n1)
for release in trixie sid; do
  echo "deb [${keyring:+signed-by=$keyring }check-valid-until=no] $mirror $release main"
done >"$work/sources.list"
: >"$work/status" # as if nothing were installed: the C library is fetched too

apart() {
  apt-get -q -y --no-install-recommends -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Acquire::Languages=none \
    -o Dir::State="$work" -o Dir::State::status="$work/status" -o Dir::State::lists="$work/lists" \
    -o Dir::Cache="$work/cache" -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null "$@" >"$log" 2>&1
}

complaint() { grep -m1 -E '^[EW]:' "$log" || echo 'see .peers-new/apt.log'; }

# One peer as a root: NAME, the release to prefer, a program that it must hold, packages.
fetch() {
  name=$1 release=$2 program=$3
  shift 3
  debs=$work/debs-$name root=$work/$name
  mkdir -p "$debs/partial" "$root/dev" "$root/etc" "$root/proc" "$root/run" "$root/sys" "$root/tmp" "$root/usr/lib64" \
    "$root/var"
  for directory in bin lib lib64 sbin; do ln -s "usr/$directory" "$root/$directory"; done
  ln -s ../run "$root/var/run" # where charon keeps its process id
  apart --download-only -o APT::Default-Release="$release" -o Dir::Cache::archives="$debs" install "$@" ||
    refuse "the packages of $name could not be fetched: $(complaint)"
  for deb in "$debs"/*.deb; do
    package=$(dpkg-deb --field "$deb" Package)
    case " $(echo $unneeded) " in
    *" $package "*) ;;
    *) dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink --exclude './usr/share/doc*' \
      --exclude './usr/share/man*' --exclude './usr/share/locale*' -C "$root" ;;
    esac
  done
  [ -x "$root$program" ] || refuse "the packages of $release hold no $program"
  dpkg-deb --show --showformat '${Package} ${Version}\n' "$debs/$1"_*.deb >>"$work/versions"
}

# dash is /bin/sh only once its maintainer script has run.
shell() { [ -e "$1/usr/bin/sh" ] || ln -s dash "$1/usr/bin/sh"; }

apart -o APT::Update::Error-Mode=any update || refuse "the lists of Debian's trixie and sid could not be fetched: $(complaint)"
fetch strongswan sid /usr/lib/ipsec/charon $strongswan
fetch libreswan trixie /usr/libexec/ipsec/pluto $libreswan
shell "$work/libreswan"
awk '{ split($2, at, "."); if (at[1] + 0 < ($1 ~ /libreswan/ ? 5 : 6)) exit 1 }' "$work/versions" ||
  refuse "Debian has nothing newer than $(tr '\n' ' ' <"$work/versions")"

rm -rf .peers-new/complete .peers-new/strongswan .peers-new/libreswan
mv "$work/strongswan" "$work/libreswan" "$work/versions" .peers-new/
build
echo "$wanted" >.peers-new/complete
echo "peers-new: $(tr '\n' ' ' <.peers-new/versions)in .peers-new/"
