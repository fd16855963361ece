"""A rendered pod on this machine: the sidecar's file, variables and mounted Secrets, below a directory."""

from pathlib import Path

from tests.support.keys import pem_of_both
from tests.system.chart.helm import Manifest, sidecar_of, with_sidecar

SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
"""What every Secret holds: good as a client secret, as a key of the fleet's and as an operator's token."""
_FILES = {"file", "ca_file", "certificate_file", "key_file", "assertion_file"}


class RenderedPod:
    """What the sidecar of a rendered Deployment finds when it starts."""

    def __init__(self, manifests: list[Manifest], directory: Path) -> None:
        container = sidecar_of(with_sidecar(manifests))
        self.arguments: list[str] = container["args"]
        self.environ: dict[str, str] = {each["name"]: each.get("value", SECRET) for each in container["env"]}
        self.config = directory / "config.yaml"
        text: str = next(
            each["data"]["config.yaml"] for each in manifests if "config.yaml" in each.get("data", {})
        )
        for mount in container["volumeMounts"]:
            if mount["name"] != "sidecar-config":
                text = text.replace(f"{mount['mountPath']}/", f"{directory}/")
        self.config.write_text(text)
        for line in text.splitlines():
            name, _, path = line.strip().removeprefix("- ").partition(": ")
            if name in _FILES:
                assert path.startswith(str(directory)), f"{path} is not mounted"
                Path(path).write_text(pem_of_both("rsa") if path.endswith(".pem") else SECRET)
