#!/bin/bash
# Builds a full Debian image with cloud-init: build.sh WORK_FOLDER OUTPUT.qcow2 SUITE PACKAGE...
# Needs root (files of many owners) and mmdebstrap; apt's sources are read from standard input, and stay the guest's.
set -euo pipefail
guest=$(dirname "$(readlink -f "$0")") work=$1 output=$2 suite=$3
shift 3
. "$guest/../disk.sh"
size_mib=2048
export PATH=$PATH:/sbin:/usr/sbin LC_ALL=C
umask 022
for tool in mmdebstrap sfdisk mke2fs grub-mkimage qemu-img; do
    command -v $tool >/dev/null || { echo "$tool is missing: run scripts/install" >&2; exit 1; }
done
step() { echo "debian: $*"; }

step "installing Debian's packages into a folder"
root=$work/root
include=$*
mmdebstrap --quiet --mode=root --variant=minbase --format=directory --include="${include// /,}" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$root" -

step "making it a guest"
echo 'LABEL=debroot / ext4 rw,noatime,discard 0 1' >"$root/etc/fstab"
echo debian >"$root/etc/hostname"
: >"$root/etc/machine-id" # each guest makes its own
rm -f "$root"/etc/ssh/ssh_host_*
cp -R "$guest/etc/." "$root/etc/"
systemctl() { chroot "$root" systemctl -q "$@"; }
systemctl enable systemd-networkd systemd-resolved serial-getty@ttyS0
systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer
ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
install -D -m 644 "$guest/grub.cfg" "$root/boot/grub/grub.cfg"

step "making the disk"
make_disk "$root" debroot $size_mib "$work" "$output"
