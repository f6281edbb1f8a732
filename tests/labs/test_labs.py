"""The tutorials do what they say, on simulated hosts; `scripts/labs --real` logs in to guests as well."""

from __future__ import annotations

import subprocess

import pytest

from tests.conformance import clouds
from tests.labs import __main__ as labs
from tests.labs.tutorial import Failed, Session, Step, differs, steps


def test_the_tutorials_do_what_they_say(tmp_path):
    image = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "16M"], check=True)
    with clouds.simulated() as target:
        done = labs.run(target, labs.names(), image)
    assert [lab.trouble for lab in done.values() if lab.trouble] == []
    assert len(done) >= 3


def test_blocks_are_read_with_what_they_say():
    text = "Text\n```sh real wait\nls\n```\nmore\n```output\na\n```\n```sh\ntrue\n```\n"
    assert steps(text) == [Step(2, "ls\n", frozenset({"real", "wait"}), "a\n"), Step(9, "true\n", frozenset(), None)]


@pytest.mark.parametrize("text", ["```output\na\n```\n", "```sh sometimes\na\n```\n", "```python\na\n```\n"])
def test_blocks_that_nobody_would_run_are_refused(text):
    with pytest.raises(ValueError, match="line 1"):
        steps(text)


def test_outputs_are_compared_by_line():
    table = "+----+------+\n| id | name |\n+----+------+\n"
    assert not differs("| id | name |", table)
    assert not differs("id …\n", "id 1234")
    assert not differs("…\nlast\n", "first\nsecond\nlast\n")
    assert not differs("…\nlast\n", "last\n")
    assert differs("id\n", "id 1234")
    assert differs("…\nlast\n", "last\nand more\n")
    assert differs("", "anything")


def test_a_session_keeps_variables_and_tells_what_went_wrong(tmp_path):
    session = Session(tmp_path, {"PATH": "/usr/bin:/bin"})
    session.run(Step(1, "A=1\n", frozenset(), None))
    session.run(Step(2, 'echo "$A"\n', frozenset(), "1\n"))
    session.run(Step(3, "false\n", frozenset({"fails"}), None))
    for step, said in ((Step(4, "false\n", frozenset(), None), "line 4: exit status 1"),
                       (Step(5, "true\n", frozenset({"fails"}), None), "line 5: exit status 0"),
                       (Step(6, "echo b\n", frozenset(), "a\n"), "but says")):  # fmt: skip
        with pytest.raises(Failed, match=said):
            session.run(step)
