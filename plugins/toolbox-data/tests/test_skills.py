"""The skills of this plugin, as they are offered."""

import re

import toolbox_data
from toolbox.skills import read_skill


def test_the_skills_name_only_tools_that_there_are() -> None:
    names = {f"data_{function.__name__}" for function in toolbox_data.toolbox_tools()}
    for folder in toolbox_data.toolbox_skills():
        assert read_skill(folder, "data")
        named = set(re.findall(r"`(data_\w+)`", (folder / "SKILL.md").read_text()))
        assert named
        assert named <= names
