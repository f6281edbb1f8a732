"""The shape of the code: which way imports point, and how large modules, handlers and interfaces may get."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "pilvi"
DOMAINS = frozenset({"identity", "image", "compute", "network", "placement", "metadata", "volume"})
MODULE_LINES, HANDLER_LINES, INTERFACE_LINES = 600, 15, 150

# What is over a limit, and how far. Nothing is added here, and nothing may grow.
LONG_HANDLERS = {
    "compute.handlers_cloud.named_service": 19,
    "image.routes.download_file": 20,
}
LONG_INTERFACES: dict[str, int] = {}
# What reaches into another domain past its service.
SHORTCUTS = {("metadata.service", "compute.store")}


def parts(module: str) -> list[str]:
    return module.removeprefix("pilvi.").split(".")


@functools.cache
def imports() -> frozenset[tuple[str, str]]:
    """Every import of one of our modules by another, those for type checkers included."""
    graph = grimp.build_graph("pilvi", cache_dir=None)
    return frozenset((importer, imported) for importer in graph.modules
                     for imported in graph.find_modules_directly_imported_by(importer))


def foreign(importer: str, imported: str) -> bool:
    """Whether one domain imports from another something that is not its service."""
    here, there = parts(importer), parts(imported)
    return {here[0], there[0]} <= DOMAINS and here[0] != there[0] and there[1:2] != ["service"]


def test_layers():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_domain_reaches_another_through_its_service():
    found = {("pilvi." + a, "pilvi." + b) for a, b in SHORTCUTS}
    # metadata.tree is a pure function that the config drive of compute is made with.
    reached = {edge for edge in imports() if foreign(*edge) and edge[1] != "pilvi.metadata.tree"}
    assert reached == found


def test_only_the_site_knows_which_drivers_there_are():
    strangers = {(a, b) for a, b in imports()
                 if parts(b)[0] == "drivers" and len(parts(b)) == 3 and parts(b)[2] != "base"
                 and parts(a)[0] != "drivers" and a != "pilvi.site"}
    assert not strangers


def test_drivers_know_no_domain():
    assert not {(a, b) for a, b in imports() if parts(a)[0] == "drivers" and parts(b)[0] in DOMAINS}


def test_modules_stay_small():
    # A migration is history: it is written once, whole.
    lines = {path.relative_to(SOURCE).as_posix(): len(path.read_text().splitlines())
             for path in SOURCE.rglob("*.py") if "versions" not in path.parts}
    assert len(lines) > 100
    assert {name: count for name, count in lines.items() if count > MODULE_LINES} == {}


@pytest.mark.parametrize("service", ["compute.service.Compute", "network.service.Networks", "identity.service.Identity",
                                     "image.service.Images"])
def test_the_parts_of_a_service_do_not_hide_each_other_s_verbs(service):
    module, _, name = service.rpartition(".")
    parts = getattr(importlib.import_module(f"pilvi.{module}"), name).__mro__[:-1]
    hidden = [f"{one.__name__}.{verb} hides {other.__name__}'s" for number, one in enumerate(parts)
              for other in parts[number + 1:] for verb in vars(one).keys() & vars(other).keys()
              if not verb.startswith("__") and not issubclass(one, other)]
    assert not hidden


def test_interfaces_of_drivers_stay_small():
    lines = {path.relative_to(SOURCE).as_posix(): len(path.read_text().splitlines())
             for path in SOURCE.glob("drivers/*/base.py")}
    assert len(lines) >= 3
    over = {name: count for name, count in lines.items() if count > INTERFACE_LINES}
    assert over.keys() == LONG_INTERFACES.keys()
    assert all(count <= LONG_INTERFACES[name] for name, count in over.items()), over


def handlers() -> dict[str, object]:
    """Every function that a route names."""
    found = {}
    faces = (SOURCE / "faces" / name for name in ("oscloud.py", "operator.py"))
    for path in [*SOURCE.glob("*/routes.py"), *faces]:
        module = importlib.import_module("pilvi." + ".".join(path.relative_to(SOURCE).with_suffix("").parts))
        for route in module.API.routes:
            function = inspect.unwrap(route.handler)
            while isinstance(function, functools.partial):
                function = inspect.unwrap(function.func)
            if inspect.isfunction(function) and function.__module__.startswith("pilvi."):
                found[f"{function.__module__.removeprefix('pilvi.')}.{function.__qualname__}"] = function
    return found


def length(function: object) -> int:
    """Lines of a function without its decorators and documentation."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    documentation = definition.body[0] if ast.get_docstring(definition) else None
    words = documentation.end_lineno - documentation.lineno + 1 if documentation else 0
    return definition.end_lineno - definition.lineno + 1 - words


def test_handlers_stay_small():
    lines = {name: length(function) for name, function in handlers().items()}
    assert len(lines) > 100
    over = {name: count for name, count in lines.items() if count > HANDLER_LINES}
    assert over.keys() == LONG_HANDLERS.keys()
    assert all(count <= LONG_HANDLERS[name] for name, count in over.items()), over


@pytest.mark.parametrize(("importer", "imported", "wrong"), [
    ("pilvi.compute.servers", "pilvi.network.service", False),
    ("pilvi.compute.servers", "pilvi.network.store", True),
    ("pilvi.compute.servers", "pilvi.compute.store", False),
    ("pilvi.http.app", "pilvi.network.store", False),
    ("pilvi.image.service", "pilvi.identity", True),
])
def test_what_counts_as_reaching_in(importer, imported, wrong):
    assert foreign(importer, imported) is wrong
