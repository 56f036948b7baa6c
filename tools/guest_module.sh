#!/bin/sh
# Builds the one module that Debian's user-mode-linux lacks, XFRM interfaces, as .peers/xfrm_interface.ko: out of
# Debian's source of the very same kernel, in the configuration that this kernel says it has. The source and flex, bison
# and bc, which its build wants, are downloaded and unpacked beside, never installed, and gone afterwards.
# A second run is instant. What this machine lacks is said in one line, exit 2; where the release has no
# user-mode-linux there is nothing to do.
set -eu
cd "$(dirname "$0")/.."

kernel=$(pwd -P)/.peers/root/usr/bin/linux.uml
[ -x "$kernel" ] || exit 0
release=$(ls .peers/root/usr/lib/uml/modules)
if [ -f .peers/xfrm_interface.ko ] && [ "$(cat .peers/xfrm_interface.release 2>/dev/null)" = "$release" ]; then
  exit 0
fi
refuse() { echo "peers: no XFRM interfaces for the guest kernel: $1" >&2; exit 2; }

for program in make gcc xz; do
  command -v "$program" >/dev/null 2>&1 || refuse "no $program here"
done
[ "$(id -u)" -eq 0 ] || refuse "fetching packages with apt needs root: sudo make peers"
free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free" -ge 1500 ] || refuse "had $free MB of free disk here, wanted 1500 MB"

work=$(pwd -P)/.peers/module
log=$(pwd -P)/.peers/module.log
rm -rf "$work"
mkdir -p "$work/debs/partial" "$work/root" "$work/source"
trap 'rm -rf "$work"' EXIT
source=linux-source-${release%.*}
version=$(apt-cache madison "$source" |
  awk -F ' *[|] *' -v release="$release-" 'index($2, release) == 1 { print $2; exit }')
[ -n "$version" ] || refuse "apt knows no $source of version $release"
apt-get -q -y --no-install-recommends --download-only --reinstall -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
  -o Dir::Cache::archives="$work/debs" install "$source=$version" flex bison m4 bc >"$log" 2>&1 ||
  refuse "the packages could not be fetched: $(grep -m1 '^[EW]:' "$log" || echo 'see .peers/module.log')"
for name in "$source" flex bison m4 bc; do
  dpkg-deb --extract "$work"/debs/"${name}"_*.deb "$work/root"
done
# Of what is not built no more than its configuration, and no other architectures.
tar -C "$work/source" --strip-components 1 --anchored --exclude "$source/Documentation/*/*" \
  --exclude "$source/drivers/*.[ch]" --exclude "$source/sound/*.[ch]" --exclude "$source/fs/*.[ch]" \
  --exclude "$source/arch/[a-tvwyz]*/*.[chS]" --exclude "$source/arch/*/boot/dts" \
  --exclude "$source/tools/perf" --exclude "$source/tools/testing" \
  -xJf "$work/root/usr/src/$source.tar.xz" >>"$log" 2>&1 ||
  refuse "its source does not unpack; see .peers/module.log"

PATH="$work/root/usr/bin:$PATH"
export PATH M4="$work/root/usr/bin/m4" BISON_PKGDATADIR="$work/root/usr/share/bison"
"$kernel" --showconfig | sed 's/^# CONFIG_XFRM_INTERFACE is not set$/CONFIG_XFRM_INTERFACE=m/' >"$work/source/.config"
# The kernel's own symbols are not to be had without building it: what is missing is seen when the module is loaded.
make -C "$work/source" ARCH=um KBUILD_MODPOST_WARN=1 olddefconfig modules_prepare >>"$log" 2>&1 &&
  make -C "$work/source" ARCH=um KBUILD_MODPOST_WARN=1 net/xfrm/xfrm_interface.ko >>"$log" 2>&1 ||
  refuse "it does not build; see .peers/module.log"
mv "$work/source/net/xfrm/xfrm_interface.ko" .peers/xfrm_interface.ko
echo "$release" >.peers/xfrm_interface.release
echo "peers: xfrm_interface.ko for the guest kernel $release in .peers/"
