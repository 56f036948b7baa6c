#!/bin/sh
# Brings qemu and Debian's own kernel into .peers-qemu/root, for the same tests over a kernel as people run it, with two
# processors. Packages are downloaded and unpacked, never installed. A second run is instant. What this machine lacks is
# said in one line; exit 2.
set -eu
cd "$(dirname "$0")/.."

packages="qemu-system-x86 linux-image-amd64 busybox-static kmod"
# Dependencies that only an installed system needs.
unneeded="initramfs-tools initramfs-tools-core klibc-utils libklibc linux-base udev"
programs="usr/bin/qemu-system-x86_64 usr/bin/busybox usr/bin/kmod"

refuse() { echo "peers-qemu: $1" >&2; exit 2; }

wanted=$(echo $packages | cksum)
if [ "$(cat .peers-qemu/complete 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
command -v apt-get >/dev/null 2>&1 || refuse "no apt-get here: the kernel comes from Debian's packages"
command -v dpkg-deb >/dev/null 2>&1 || refuse "no dpkg-deb here (apt install dpkg)"
[ "$(id -u)" -eq 0 ] || refuse "fetching packages with apt needs root: sudo make peers-qemu"
free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free" -ge 800 ] || refuse "had $free MB of free disk here, wanted 800 MB"

download() {
  apt-get -q -y --no-install-recommends --download-only --reinstall -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
    -o Dir::Cache::archives="$work/debs" install $packages >.peers-qemu/apt.log 2>&1
}

work=$(pwd -P)/.peers-qemu/new
rm -rf "$work"
mkdir -p "$work/debs/partial" "$work/root"
download || { apt-get -q update >.peers-qemu/apt.log 2>&1 || true; download; } ||
  refuse "the packages could not be fetched: $(grep -m1 '^[EW]:' .peers-qemu/apt.log || echo 'see .peers-qemu/apt.log')"
for deb in "$work"/debs/*.deb; do
  name=$(dpkg-deb --field "$deb" Package)
  case " $unneeded " in
  *" $name "*) ;;
  *) dpkg-deb --extract "$deb" "$work/root" ;;
  esac
done
for directory in bin sbin lib; do
  if [ -d "$work/root/$directory" ] && [ ! -L "$work/root/$directory" ]; then
    mkdir -p "$work/root/usr/$directory"
    cp -a "$work/root/$directory/." "$work/root/usr/$directory/"
    rm -rf "${work:?}/root/$directory"
  fi
done
ln -s usr/lib "$work/root/lib" # where depmod and modprobe look
for program in $programs; do
  [ -x "$work/root/$program" ] || refuse "the packages of this release hold no $program"
done
# The list of what each module leans on is made when a kernel is installed; this one never is.
ln -s kmod "$work/root/usr/bin/depmod"
for release in "$work"/root/usr/lib/modules/*; do
  "$work/root/usr/bin/depmod" -b "$work/root" "$(basename "$release")"
done
rm -f .peers-qemu/complete
rm -rf .peers-qemu/root
mv "$work/root" .peers-qemu/
rm -rf "$work"
echo "$wanted" >.peers-qemu/complete
echo "peers-qemu: $(ls .peers-qemu/root/usr/lib/modules) in .peers-qemu/"
