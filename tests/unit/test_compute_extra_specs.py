"""Which extra specs are taken from microversion 2.86 on."""

from __future__ import annotations

import pytest

from pilvi.compute.extra_specs import check
from pilvi.faults import BadRequest


@pytest.mark.parametrize(("name", "value"), [
    ("hw:cpu_policy", "dedicated"), ("hw:numa_nodes", "2"), ("hw:numa_cpus.0", "0-1,^1"), ("hw:mem_page_size", "1GiB"),
    ("hw:mem_page_size", "large"), ("hw_rng:allowed", "True"), ("os:secure_boot", "required"), ("quota:cpu_shares", "-1"),
    ("quota:disk_read_iops_sec_max_length", "5"), ("resources:CUSTOM_GOLD", "1"), ("resources_a:VCPU", "2"),
    ("trait:HW_CPU_X86_AVX", "required"), ("trait1:A", "forbidden"), ("group_policy", "none"),
    ("aggregate_instance_extra_specs:ssd", "true"), ("capabilities:free_ram_mb", ">= 1"), ("pci_passthrough:alias", "a:2"),
    ("mine", "x"), ("mine:own", "x"), ("hw:cpu_max_sockets", "1"), ("accel:device_profile", "fpga")])
def test_specs_that_are_taken(name, value):
    check(name, value)


@pytest.mark.parametrize(("name", "value"), [
    ("hw:cpu_policy", "some"), ("hw:numa_nodes", "0"), ("hw:numa_cpus.0", "a"), ("hw:mem_page_size", "1 GiB"),
    ("hw_rng:allowed", "maybe"), ("quota:cpu_shares", "many"), ("resources:VCPU", "-1"), ("trait:A", "yes"),
    ("hw:wings", "2"), ("quota:wings", "2"), ("trait:a", "required"), ("group_policy", "all"),
    ("pci_passthrough:alias", "a"), ("os:wings", "x")])
def test_specs_that_are_refused(name, value):
    with pytest.raises(BadRequest, match=r"^Validation failed; "):
        check(name, value)
