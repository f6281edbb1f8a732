"""Passwords that are set by agents in guests, which may be slow to start, or not there at all."""

from __future__ import annotations

import pytest

from pilvi.compute import operations_rest
from pilvi.drivers.hypervisor.base import AgentSilent


@pytest.mark.parametrize(("silent", "ending"), [(2, "done"), (None, "failed")])
def test_an_agent_that_does_not_answer_is_waited_for(world, monkeypatch, silent, ending):
    monkeypatch.setattr(operations_rest, "AGENT_SECONDS", 3)
    world.start()
    server_id = world.settled_boot()
    world.write(server_id, image_properties={"os_admin_user": "somebody"})
    told, asked = [], []

    def set_password(guest_id, user, password):
        asked.append(user)
        if silent is None or len(asked) <= silent:
            raise AgentSilent("it is not there")
        told.append((user, password))

    world.agent.hypervisor.set_password = set_password
    world.order("change_password", server_id, password="secret")
    world.settle()
    assert world.operations(server_id)[-1] == ("server.change_password", ending)
    assert told == ([("somebody", "secret")] if ending == "done" else [])
    assert (world.row(server_id).vm_state, world.row(server_id).task_state) == ("active", None)
