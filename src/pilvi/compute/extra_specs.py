"""Which extra specs mean something to OpenStack, and what values they take (checked from microversion 2.86 on).

Names and values: Nova's reference of extra specs. A name in a namespace that is not here is anybody's own."""

from __future__ import annotations

import re
from collections.abc import Callable

from pilvi.faults import BadRequest

Check = Callable[[str], bool]


def matching(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def whole(minimum: int = 0) -> Check:
    return lambda value: re.fullmatch(r"-?[0-9]{1,18}", value) is not None and int(value) >= minimum


def one_of(*words: str) -> Check:
    return lambda value: value in words


def flag(value: str) -> bool:
    return value.lower() in ("1", "t", "true", "on", "y", "yes", "0", "f", "false", "off", "n", "no")


def anything(value: str) -> bool:
    return True


CPUS = matching(r"\^?\d+((-\d+)?(,\^?\d+(-\d+)?)?)*")
_QUOTAS = (r"quota:(cpu_(quota|period|shares|limit|reservation|shares_share)|(memory|disk_io|vif)_(limit|reservation|"
           r"shares_share)|disk_(read|write|total)_(bytes|iops)_sec(_max(_length)?)?|"
           r"vif_(in|out)bound_(average|peak|burst))")
_GROUP = r"(\d*|_[a-zA-Z0-9_-]{1,64})"

# Pattern of the name, what its value must be, and that in words.
SPECS: tuple[tuple[str, Check, str], ...] = (
    (r"hw:(boot_menu|cpu_realtime|emulated_vtpm|ephemeral_encryption|hide_hypervisor_id|locked_memory|mem_encryption|pmu|"
     r"vif_multiqueue_enabled|virtio_packed_ring)|hw_rng:allowed|hide_hypervisor_id|os:live_migration_allow", flag,
     "a boolean"),
    (r"hw:cpu_policy", one_of("dedicated", "shared", "mixed"), "dedicated, shared or mixed"),
    (r"hw:cpu_thread_policy", one_of("prefer", "isolate", "require"), "prefer, isolate or require"),
    (r"hw:emulator_threads_policy", one_of("isolate", "share"), "isolate or share"),
    (r"hw:cpu_(max_)?(sockets|cores|threads)|hw:numa_nodes", whole(1), "a whole number from 1 on"),
    (r"hw:numa_mem\.\d+", whole(1), "a whole number from 1 on"),
    (r"hw:numa_cpus\.\d+|hw:cpu_realtime_mask|hw:cpu_dedicated_mask", CPUS, "a set of CPUs such as 0-3,^1"),
    (r"hw:mem_page_size", matching(r"(large|small|any|\d+([kKMGTP]i?)?(b|bit|B)?)"), "small, large, any or a size"),
    (r"hw:pci_numa_affinity_policy", one_of("required", "preferred", "legacy", "socket"),
     "required, preferred, legacy or socket"),
    (r"hw:tpm_model", one_of("tpm-tis", "tpm-crb"), "tpm-tis or tpm-crb"),
    (r"hw:tpm_version", one_of("1.2", "2.0"), "1.2 or 2.0"),
    (r"hw:tpm_secret_security", one_of("user", "host", "deployment"), "user, host or deployment"),
    (r"hw:watchdog_action", one_of("none", "pause", "poweroff", "reset", "disabled"),
     "none, pause, poweroff, reset or disabled"),
    (r"hw:maxphysaddr_mode", one_of("passthrough", "emulate"), "passthrough or emulate"),
    (r"hw:maxphysaddr_bits", whole(0), "a whole number"),
    (r"hw:viommu_model", one_of("intel", "smmuv3", "virtio", "auto"), "intel, smmuv3, virtio or auto"),
    (r"hw:ephemeral_encryption_format", one_of("luks"), "luks"),
    (r"hw:mem_encryption_model", one_of("amd-sev", "amd-sev-es", "amd-sev-snp"), "amd-sev, amd-sev-es or amd-sev-snp"),
    (r"hw:(pmem|sound_model|usb_model|redirected_usb_ports)", anything, "a text"),
    (r"hw:serial_port_count|hw_video:ram_max_mb|hw_rng:rate_(bytes|period)", whole(0), "a whole number"),
    (r"os:secure_boot", one_of("disabled", "optional", "required"), "disabled, optional or required"),
    (r"quota:(cpu|memory|disk_io|vif)_shares_level", one_of("low", "normal", "high", "custom"),
     "low, normal, high or custom"),
    (_QUOTAS, whole(-(2**31)), "a whole number"),
    (rf"resources{_GROUP}:[A-Z0-9_]+", whole(0), "a whole number"),
    (rf"trait{_GROUP}:[A-Z0-9_]+", one_of("required", "forbidden"), "required or forbidden"),
    (r"group_policy", one_of("isolate", "none"), "isolate or none"),
    (r"pci_passthrough:alias", matching(r"[^:]+:\d+(\s*,\s*[^:]+:\d+)*"), "ALIAS:COUNT, with commas between several"),
    (r"(accel:device_profile|capabilities:.+|aggregate_instance_extra_specs:.+)", anything, "a text"),
)
_COMPILED = tuple((re.compile(pattern), check, words) for pattern, check, words in SPECS)
_NAMESPACES = re.compile(rf"accel|aggregate_instance_extra_specs|capabilities|hw|hw_rng|hw_video|os|pci_passthrough|quota|"
                         rf"resources{_GROUP}|trait{_GROUP}")


def check(name: str, value: str) -> None:
    """Raises BadRequest for a value that the extra spec does not take, or a name that its namespace has not."""
    for pattern, fits, words in _COMPILED:
        if pattern.fullmatch(name):
            if not fits(value):
                raise BadRequest(f"Validation failed; '{value}' is not a valid value of the extra spec '{name}': it is "
                                 f"{words}.")
            return
    namespace, colon, _ = name.partition(":")
    if colon and _NAMESPACES.fullmatch(namespace):
        raise BadRequest(f"Validation failed; extra spec '{name}' does not appear to be a valid extra spec.")
