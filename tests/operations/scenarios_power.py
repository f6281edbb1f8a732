from tests.operations.scenario import Scenario, active, tell, told

SCENARIOS = {
    "server.soft_delete": Scenario(active, tell("soft_delete"), "soft-delete", "off", failed="as it is"),
    "server.restore": Scenario(told("soft_delete"), tell("restore_server"), "active", "running", failed="soft-delete"),
    "server.boot": Scenario(lambda world: None, lambda world, _: world.boot(), "active", "running"),
    "server.delete": Scenario(active, tell("delete_server"), "deleted", "absent"),
    "server.stop": Scenario(active, tell("stop"), "stopped", "off"),
    "server.start": Scenario(told("stop"), tell("start"), "active", "running"),
    "server.reboot": Scenario(active, tell("reboot"), "active", "running"),
    "server.pause": Scenario(active, tell("pause"), "paused", "paused", failed="as it is"),
    "server.unpause": Scenario(told("pause"), tell("unpause"), "active", "running", failed="as it is"),
}
