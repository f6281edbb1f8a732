"""What extra specs, image properties and queries say about a host."""

from __future__ import annotations

import pytest

from pilvi.compute.requirements import against_flavor, against_image, fits, holds, parse_query
from pilvi.faults import BadRequest

FACTS = {"hypervisor_type": "QEMU", "free_ram_mb": 2048, "host": "alpha"}


@pytest.mark.parametrize(("value", "requirement", "fit"), [
    ("QEMU", "QEMU", True), ("QEMU", "KVM", False), (8, ">= 4", True), (8, "= 9", False), (8, "== 8", True),
    (8, "!= 8", False), ("a", "s== a", True), ("a", "s> b", False), ("abc", "<in> bc", True),
    ("b", "<or> a <or> b", True), ("c", "<or> a <or> b", False), ("a b", "<all-in> a b", True), ("x", ">= 4", False),
    ("", "", True)])
def test_operators(value, requirement, fit):
    assert fits(value, requirement) is fit


def test_extra_specs():
    assert against_flavor({"hw:cpu_policy": "shared", "capabilities:free_ram_mb": ">= 1024"}, FACTS, ()) is None
    assert "it has none" in against_flavor({"capabilities:wings": "2"}, FACTS, ())
    assert against_flavor({"aggregate_instance_extra_specs:ssd": "true"}, FACTS, [{"ssd": "false, true"}]) is None
    assert "the trait HW_CPU_X86_AVX" in against_flavor({"trait:HW_CPU_X86_AVX": "required"}, FACTS, ())
    assert against_flavor({"trait:HW_CPU_X86_AVX": "forbidden"}, FACTS, ()) is None


def test_image_properties():
    assert against_image({"img_hv_type": "qemu"}, FACTS) is None
    assert "of type xen" in against_image({"img_hv_type": "xen"}, FACTS)


@pytest.mark.parametrize(("query", "true"), [
    ('["=", "$host", "alpha"]', True), (["not", ["=", "$host", "alpha"]], False), (["in", "$host", "a", "alpha"], True),
    (["and", [">=", "$free_ram_mb", 2048], ["<", "$free_ram_mb", 1]], False), (["=", "$wings", 2], False),
    (["or", ["=", "$host", "beta"], [">", "$free_ram_mb", 2047]], True), (["<", "$host", 5], False)])
def test_queries(query, true):
    assert holds(query, FACTS) is true


@pytest.mark.parametrize("query", ["", "{", "[]", '["="]', '["and", 1]', {}, '[["="], 1, 2]', '"x"'])
def test_what_is_no_query(query):
    with pytest.raises(BadRequest, match="field/attribute query"):
        parse_query(query)
