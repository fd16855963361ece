"""Build hook for the wheel: with SIDECAR_COMPILE=1 it compiles the modules that pyproject.toml lists.

Without the variable the wheel is pure Python, and building it requires no C compiler.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilderConfig

VARIABLE = "SIDECAR_COMPILE"
ON, OFF = ("1",), ("", "0")
SHOWN = 2000
"""Characters shown of what a failed compilation printed: its end."""


class CompileHook(BuildHookInterface[WheelBuilderConfig]):
    """Adds the compiled modules to the wheel, beside their sources."""

    def dependencies(self) -> list[str]:
        """Return what the build environment requires: the compiler, and the libraries whose types it reads."""
        if not self._is_on():
            return []
        known = self.metadata.core.dependencies_complex.values()
        libraries = [str(each) for each in known if each.name in self.config["libraries"]]
        return [*self.config["compiler"], *libraries]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and make the wheel one for this platform. Ends the build where that fails."""
        if not self._is_on():
            return
        if version == "editable":
            self._fail("an editable install runs the sources", "install without --editable")
        self._folder = TemporaryDirectory()
        folder = Path(self._folder.name)
        self._compile(folder)
        files = {
            str(path): str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()
        }
        build_data["force_include"].update(files)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the folder whose files are in the wheel now."""
        if self._is_on():
            self._folder.cleanup()

    def _is_on(self) -> bool:
        value = os.environ.get(VARIABLE, "")
        if value not in ON + OFF:
            self._fail(f"{VARIABLE}={value} has no meaning", f"set {VARIABLE}=1")
        return value in ON

    def _compile(self, folder: Path) -> None:
        program = Path(__file__).with_name("compile.py")
        done = subprocess.run(
            [sys.executable, str(program), str(folder), *sorted(self.config["modules"])],
            check=False,
            cwd=self.root,
            env={**os.environ, "PYTHONHASHSEED": "0"},  # the same C in each build
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            self._fail(
                f"the compiler failed\n{done.stdout[-SHOWN:].rstrip()}\n",
                "check that a C compiler and Python's header files are installed",
            )

    def _fail(self, reason: str, advice: str) -> None:
        self.app.abort(
            f"cannot compile the package: {reason}; {advice}, or unset {VARIABLE} for the pure package"
        )
