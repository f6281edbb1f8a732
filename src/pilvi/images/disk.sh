# Makes a disk that boots by itself from a folder: no root, no loop device, no mount. Sourced by the images' scripts.

sector=512 first=2048 # of the only partition

# make_disk ROOT LABEL SIZE_MIB WORK OUTPUT [MKE2FS_OPTION...]: GRUB for BIOS, and an ext4 file system with what is in ROOT.
make_disk() {
    local root=$1 label=$2 size_mib=$3 work=$4 output=$5 disk=$4/disk.raw grub=/usr/lib/grub/i386-pc
    shift 5
    rm -f "$disk"
    truncate -s "${size_mib}M" "$disk"
    printf 'label: dos\nlabel-id: 0x7a7a7a01\nstart=%s, type=83, bootable\n' $first | sfdisk -q "$disk"
    # GRUB 2.06 reads no metadata checksums that are seeded.
    mke2fs -q -t ext4 -b 4096 -L "$label" -m 0 -O ^metadata_csum,^metadata_csum_seed -d "$root" \
        -E "offset=$((first * sector)),root_owner=0:0,lazy_itable_init=1${extended:+,$extended}" "$@" \
        "$disk" $(((size_mib - 1) * 1024))k
    grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$work/core.img" biosdisk part_msdos ext2 linux linux16 normal \
        serial configfile gzio
    [ "$(stat -c %s "$work/core.img")" -lt $(((first - 1) * sector)) ]
    dd if=$grub/boot.img of="$disk" bs=440 count=1 conv=notrunc status=none
    dd if="$work/core.img" of="$disk" bs=$sector seek=1 conv=notrunc status=none
    qemu-img convert -c -O qcow2 "$disk" "$output.part"
    mv "$output.part" "$output"
}
