#!/bin/bash
# Builds the tiny image from Debian's packages: build.sh WORK_FOLDER OUTPUT.qcow2 PACKAGE=VERSION...
# Needs apt-get download and the tools below, but no root, no loop device and no mount. The same packages and the same
# guest's files give the same image, but for the inodes' change times.
set -euo pipefail
guest=$(dirname "$(readlink -f "$0")") work=$1 output=$2
shift 2
. "$guest/../disk.sh"
size_mib=112
epoch=1700000000 # every file's time
export PATH=$PATH:/sbin:/usr/sbin LC_ALL=C E2FSPROGS_FAKE_TIME=$epoch
umask 022
for tool in apt-get dpkg-deb depmod modprobe cpio gzip sfdisk mke2fs grub-mkimage qemu-img openssl; do
    command -v $tool >/dev/null || { echo "$tool is missing: run scripts/install" >&2; exit 1; }
done
step() { echo "tiny: $*"; }

step "downloading packages"
debs=$work/debs files=$work/files
mkdir -p "$debs" "$files"
version=
for package in "$@"; do
    case $package in linux-image-*) package=${package%%=*} version=${package#linux-image-} ;; esac
done
(cd "$debs" && apt-get download -q "$@" >/dev/null 2>"$work/apt.log") || { cat "$work/apt.log" >&2; exit 1; }
for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$files"; done

step "choosing kernel modules"
early="virtio_pci virtio_mmio virtio_blk virtio_scsi sd_mod"
all="$early sr_mod virtio_net virtio_console virtio-rng virtio_balloon isofs vfat nls_ascii nls_iso8859-1 nls_cp437
    nls_utf8 button evdev ata_piix qemu_fw_cfg"
depmod -b "$files" "$version"
closure() {
    for module in "$@"; do
        modprobe -d "$files" -S "$version" --show-depends "$module" 2>/dev/null | awk '/^insmod/{print $2}' ||
            { echo "the kernel $version has no module $module" >&2; exit 1; }
    done | awk '!seen[$0]++'
}
copy_modules() { # target, modules
    local target=$1; shift
    closure "$@" | while read -r file; do install -D -m 644 "$file" "$target/${file#"$files"/}"; done
    cp "$files/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$target/lib/modules/$version/"
    depmod -b "$target" "$version"
}

step "making the initramfs"
initramfs=$work/initramfs
mkdir -p "$initramfs"/{bin,proc,sys,dev,new,etc}
cp "$files/bin/busybox" "$initramfs/bin/"
for name in sh mount insmod findfs sleep switch_root cat dd printf sync blockdev readlink basename dirname; do
    ln -s busybox "$initramfs/bin/$name"
done
install -m 755 "$guest/initramfs/init" "$initramfs/init"
copy_modules "$initramfs" $early
closure $early | sed "s,^$files,," >"$initramfs/etc/modules"
find "$initramfs" -exec touch -h -d @$epoch {} +
(cd "$initramfs" && find . | sort | cpio -o -H newc --quiet --owner 0:0 --reproducible | gzip -n -6) >"$work/initrd.gz"

step "making the root file system"
root=$work/root
mkdir -p "$root"/{bin,sbin,usr/{bin,sbin},proc,sys,dev,run,tmp,root/.ssh,home/tiny/.ssh,var/{log,lib/cloud},mnt,boot/grub,lib64}
mkdir -p "$root"/etc/{init.d,dropbear,acpi} "$root/lib/x86_64-linux-gnu"
ln -s ../run "$root/var/run"
cp "$files/bin/busybox" "$root/bin/"
for name in $("$files/bin/busybox" --list); do
    case $name in
    busybox | dpkg* | rpm* | mke2fs | blkid) ;;
    init | switch_root | udhcpc | acpid | getty | poweroff | reboot | halt | modprobe | depmod | insmod | lsmod | ip | mdev | route | ifconfig)
        ln -s /bin/busybox "$root/sbin/$name" ;;
    *) ln -s busybox "$root/bin/$name" ;;
    esac
done
cp "$files"/usr/sbin/{dropbear,qemu-ga} "$root/usr/sbin/"
cp "$files"/usr/bin/{dropbearkey,dbclient} "$root/usr/bin/"
ln -s dbclient "$root/usr/bin/ssh"
cp "$files"/sbin/{resize2fs,mke2fs,blkid,mkfs} "$root/sbin/"
cp "$files/bin/lsblk" "$root/bin/"
cp "$files/sbin/mkfs.fat" "$root/sbin/mkfs.vfat"
ln -s mke2fs "$root/sbin/mkfs.ext4"
for name in libtomcrypt.so.1 libtommath.so.1 libz.so.1 libcrypt.so.1 libc.so.6 libgmp.so.10 libe2p.so.2 libext2fs.so.2 \
    libcom_err.so.2 libblkid.so.1 libuuid.so.1 libmount.so.1 libsmartcols.so.1 libudev.so.1 libselinux.so.1 \
    libpcre2-8.so.0 libglib-2.0.so.0 libgmodule-2.0.so.0 libnuma.so.1 liburing.so.2 libm.so.6; do
    cp -L "$(find "$files" -name "$name" | head -1)" "$root/lib/x86_64-linux-gnu/$name"
done
cp -L "$(find "$files" -name ld-linux-x86-64.so.2 | head -1)" "$root/lib64/"
copy_modules "$root" $all
echo $all >"$root/etc/modules"
install -m 644 "$guest"/etc/{inittab,issue} "$root/etc/"
install -m 755 "$guest"/etc/init.d/{rcS,rcK,agent,card,cloud,hotplug,sshd} "$root/etc/init.d/"
install -D -m 755 "$guest/etc/acpi/PWRF/00000080" "$root/etc/acpi/PWRF/00000080"
install -D -m 755 "$guest/usr/share/udhcpc/default.script" "$root/usr/share/udhcpc/default.script"
install -m 755 "$guest"/usr/bin/{curl,sudo} "$root/usr/bin/"
install -m 755 "$guest/usr/sbin/chpasswd" "$root/usr/sbin/"
password=$(openssl passwd -6 -salt tinysalt gocubsgo)
printf 'root:x:0:0:root:/root:/bin/sh\ntiny:x:1000:1000::/home/tiny:/bin/sh\n' >"$root/etc/passwd"
printf 'root:!:19000:0:::::\ntiny:%s:19000:0:::::\n' "$password" >"$root/etc/shadow"
printf 'root:x:0:\ntiny:x:1000:\ntty:x:5:\n' >"$root/etc/group"
echo /bin/sh >"$root/etc/shells"
echo tiny >"$root/etc/hostname"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
echo "$password" >"$root/etc/image.password"
chmod 600 "$root"/etc/{shadow,image.password}
chmod 700 "$root/root" "$root/root/.ssh"
chmod 1777 "$root/tmp"
cp "$files/boot/vmlinuz-$version" "$root/boot/vmlinuz"
cp "$work/initrd.gz" "$root/boot/initrd.gz"
cp "$guest/etc/grub.cfg" "$root/boot/grub/grub.cfg"

step "making the disk"
find "$root" -exec touch -h -d @$epoch {} +
uuid=7a7a7a01-7469-6e79-726f-6f7400000001
# resize=: room in the file system's tables to grow to 64 GiB while it is in use.
extended=hash_seed=$uuid,resize=16777216 make_disk "$root" tinyroot $size_mib "$work" "$output" -J size=4 -U $uuid
