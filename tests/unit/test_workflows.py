"""What the forge runs: make targets that every developer has, by actions that cannot be exchanged."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import ROOT
from tests.support.lock import LOCKS

UPDATES = ROOT / ".github/dependabot.yml"
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
    assert commands or workflow.stem == "scorecard"
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
        each for each in used if not re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)
    ] == []


def test_one_action_has_one_version() -> None:
    """An update of one finds the others."""
    text = "".join(workflow.read_text() for workflow in WORKFLOWS)
    pins = set(re.findall(r"uses: (.*)", text))
    assert len(pins) == len({pin.split("@")[0] for pin in pins})


def test_tests_chart_image_wheels_and_site_have_their_workflow() -> None:
    """Together they run what there is to run."""
    run = " ".join(step.get("run", "") for workflow in WORKFLOWS for step in steps(workflow))
    tests = {
        "check",
        "test-all",
        "test-compiled",
        "test-kind",
        "image",
        "sbom",
        "reproducible",
        "wheels",
        "docs",
    }
    releases = {"dist", "push-image", "push-index", "push-chart", "sign", "github-release"}
    assert tests | releases <= set(re.findall(r"make ([a-z-]+)", run))


def test_the_workflows_are_safe() -> None:
    """No credential is left lying about, no permission is too wide, no text from outside becomes a command: zizmor."""
    zizmor = Path(sys.executable).parent / "zizmor"
    assert zizmor.exists(), "install the test extra, which brings zizmor"
    command: list[str | Path] = [zizmor, "--offline", "--no-config", "--persona", "pedantic", *WORKFLOWS]
    done = subprocess.run([*command, UPDATES], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# A release


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())["jobs"]
    return found


def uses(job: Mapping[str, Any], action: str) -> list[Mapping[str, Any]]:
    """What a job passes to an action, for each time that it uses it."""
    return [step["with"] for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


def test_a_release_begins_with_a_tag_of_its_version() -> None:
    """Each other job waits for the one that compares them, so that nothing is published under a wrong name."""
    assert yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())[True] == {
        "push": {"tags": ["v*"]}
    }

    def waits(name: str) -> bool:
        needs = jobs()[name].get("needs", [])
        return name == "tagged" or any(waits(each) for each in ([needs] if isinstance(needs, str) else needs))

    assert [name for name in jobs() if not waits(name)] == []


def test_only_jobs_that_sign_or_publish_may_write() -> None:
    """The jobs that run the code of dependencies, to build wheels, can write nothing."""
    rights = {
        name: {each for each, right in job["permissions"].items() if right == "write"}
        for name, job in jobs().items()
    }
    signing = {"id-token", "attestations"}
    assert rights == {
        "tagged": set(),
        "wheels": set(),
        "dist": set(),
        "attest": signing,
        "publish": {"id-token"},
        "image": {"packages"},
        "index": {"packages", *signing},
        "chart": {"packages", *signing},
        "release": {"contents"},
    }
    assert all(right in ("read", "write") for job in jobs().values() for right in job["permissions"].values())


def test_everything_that_is_released_has_a_provenance() -> None:
    """Wheels and source distribution by their files, image and chart by their digest in the registry."""
    [files] = uses(jobs()["attest"], "actions/attest")
    assert files == {"subject-path": "dist/*"}
    for name in ("index", "chart"):
        found = uses(jobs()[name], "actions/attest")
        assert {each["subject-digest"] for each in found} == {"${{ steps.pushed.outputs.digest }}"}
        assert [each["push-to-registry"] for each in found] == [True] * len(found)
        assert [each for each in found if "sbom-path" not in each] != []


def test_image_and_chart_are_signed_after_they_are_pushed() -> None:
    """With the identity of the workflow: no key is stored."""
    for name in ("index", "chart"):
        run = [step["run"].split()[1] for step in jobs()[name]["steps"] if "run" in step]
        assert [each for each in run if each != "sbom"] == [f"push-{name}", "sign"]
        assert "sigstore/cosign-installer" in str(jobs()[name]["steps"])
    assert "secrets." not in (ROOT / ".github/workflows/release.yaml").read_text()


def test_the_image_has_its_bill_of_materials() -> None:
    """The one of the same tree that is built from the lock."""
    found = [each["sbom-path"] for each in uses(jobs()["index"], "actions/attest") if "sbom-path" in each]
    assert found == ["build/sbom.json"]
    assert {"run": "make sbom"} in jobs()["index"]["steps"]


def test_the_index_trusts_the_workflow_and_no_password() -> None:
    """Trusted publishing, after everything else that can fail."""
    job = jobs()["publish"]
    [given] = uses(job, "pypa/gh-action-pypi-publish")
    assert given == {"attestations": True}
    assert job["environment"]
    assert set(job["needs"]) == {"attest", "index", "chart"}
    assert jobs()["release"]["needs"] == "publish"


@pytest.mark.parametrize("name", ["wheels", "image"])
def test_two_platforms_are_built_without_emulation(name: str) -> None:
    """x86-64 and arm64."""
    job = jobs()[name]
    assert job["strategy"]["matrix"] == {"runner": ["ubuntu-24.04", "ubuntu-24.04-arm"]}
    assert job["runs-on"] == "${{ matrix.runner }}"


def test_dependabot_updates_all_that_is_pinned() -> None:
    """Actions, both locks, and the image's base."""
    updates = yaml.safe_load(UPDATES.read_text())["updates"]
    assert {each["package-ecosystem"] for each in updates} == {"github-actions", "pip", "docker"}
    [locks] = [each["directories"] for each in updates if each["package-ecosystem"] == "pip"]
    assert [ROOT / folder.lstrip("/") / "requirements.txt" for folder in locks] == list(LOCKS)
