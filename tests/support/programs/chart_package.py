"""`make chart-package`: the chart as one file in dist/, with the address of its code, if one is given.

The sources name no address of the project's, because a clone does not contain it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from sidecar import __version__
from tests import ROOT

CHART = ROOT / "helm"
HELM = Path(sys.executable).parent / "helm"


def metadata(text: str, source: str) -> str:
    """Return `Chart.yaml` with the address of the code, or unchanged without an address."""
    if not source:
        return text
    tree = f"{source}/tree/v{__version__}"
    links = [
        {"name": "Documentation", "url": f"{tree}/docs"},
        {"name": "Changelog", "url": f"{tree}/CHANGELOG.md"},
        {"name": "Report a vulnerability", "url": f"{tree}/SECURITY.md"},
    ]
    chart = yaml.safe_load(text)
    chart |= {"home": source, "sources": [source]}
    chart["annotations"] |= {
        "artifacthub.io/links": yaml.safe_dump(links, sort_keys=False),
        "org.opencontainers.image.source": source,
    }
    return yaml.safe_dump(chart, sort_keys=False)


def package(source: str, work: Path, target: Path) -> Path:
    """Write the package below target, and return it. Raises CalledProcessError if Helm fails."""
    folder = work / "credential-sidecar"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CHART, folder)
    file = folder / "Chart.yaml"
    file.write_text(metadata(file.read_text(), source))
    target.mkdir(exist_ok=True)
    subprocess.run([HELM, "package", folder, "--destination", target], check=True)
    return target / f"credential-sidecar-{yaml.safe_load(file.read_text())['version']}.tgz"


if __name__ == "__main__":
    package(sys.argv[1], ROOT / "build/chart", ROOT / "dist")
