"""What the forge runs: make targets that every developer has, by actions that cannot be exchanged."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def targets() -> set[str]:
    return set((ROOT / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split())


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_make_targets_that_exist(workflow: Path) -> None:
    """Everything that the forge does, a developer can do locally."""
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    for command in commands:
        found = re.fullmatch(
            r'(?:sudo env "PATH=\$PATH" CI=true )?make ([a-z-]+)(?: [A-Z]+="[^"]*")*', command
        )
        assert found, command
        assert found[1] in targets()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit(workflow: Path) -> None:
    """A tag can be moved, a commit cannot; the comment says which version it is."""
    used = re.findall(r"^.*\buses: *(.*)$", workflow.read_text(), re.MULTILINE)
    assert used
    assert [
        each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)
    ] == []


def test_one_action_has_one_version() -> None:
    """An update of one finds the others."""
    text = "".join(workflow.read_text() for workflow in WORKFLOWS)
    pins = set(re.findall(r"uses: (.*)", text))
    assert len(pins) == len({pin.split("@")[0] for pin in pins})


def test_tests_chart_image_wheels_and_site_have_their_workflow() -> None:
    """Together they run what there is to run."""
    run = " ".join(step.get("run", "") for workflow in WORKFLOWS for step in steps(workflow))
    assert {"check", "test-all", "test-compiled", "test-kind", "image", "sbom", "wheels", "docs"} <= set(
        re.findall(r"make ([a-z-]+)", run)
    )


def test_the_workflows_are_safe() -> None:
    """No credential is left lying about, no permission is too wide, no text from outside becomes a command: zizmor."""
    zizmor = Path(sys.executable).parent / "zizmor"
    assert zizmor.exists(), "install the test extra, which brings zizmor"
    command: list[str | Path] = [zizmor, "--offline", "--no-config", "--persona", "pedantic", *WORKFLOWS]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
