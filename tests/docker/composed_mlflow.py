"""MLflow under the compose file's command, in the environment of `.ci/setup.sh test-all`."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from placestream.stack.child import Child
from placestream.stack.ports import free_port
from tests.docker.project import (
    MLFLOW_DOCKERFILE,
    ROOT,
    environment,
    instructions,
    interpolated,
    services,
    without_secrets,
)

PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"
START_S = 120


class ComposedMlflow:
    """Not started yet; on a folder and a port of the test."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder = folder / "mlflow"
        self.folder.mkdir()
        assert "mlflow-data:/mlflow" in services()["mlflow"]["volumes"]
        self._env = without_secrets() | {"HOME": str(folder)}
        self._env |= {k: self._here(v) for k, v in environment("mlflow", {}).items()}
        self._log = folder / "mlflow.log"

    def _here(self, value: str) -> str:
        """A value or a flag on the paths and the port of the test."""
        native = {"sqlite:////mlflow/": f"sqlite:///{self.folder}/", ":5000": f":{self.port}"}
        for composed, here in native.items():
            value = value.replace(composed, here)
        kept = "/mlflow/"
        return f"{self.folder}/{value.removeprefix(kept)}" if value.startswith(kept) else value

    def start(self) -> Child:
        """Start it and wait until its health check says that it is well."""
        flags = [self._here(interpolated(f, {})) for f in services()["mlflow"]["command"]]
        assert flags[:3] == ["server", "--host=0.0.0.0", "--port=5000"]
        flags[1:3] = ["--host=127.0.0.1", f"--port={self.port}"]
        entry = dict(instructions(of=MLFLOW_DOCKERFILE))["ENTRYPOINT"]
        assert entry == '["mlflow"]'
        command = [str(PYTHON), "-m", "mlflow", *flags]
        child = Child.spawn("mlflow", command, self._log, env=self._env, cwd=self.folder)
        try:
            child.wait_ready(lambda: self.health() == 0, START_S)
        except BaseException:
            child.kill()
            raise
        return child

    def health(self) -> int:
        """Exit code of the compose file's health check."""
        kind, program, script, *asked = services()["mlflow"]["healthcheck"]["test"]
        assert (kind, program, script) == ("CMD", "python", "/opt/mlflow/healthcheck.py")
        probe = str(ROOT / "docker" / "healthcheck.py")
        command = [sys.executable, probe, *map(self._here, asked)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    def status(self, host: str) -> int:
        """Status of a question about experiments that was asked under a name (host:port)."""
        url = f"{self.uri}/api/2.0/mlflow/experiments/search?max_results=1"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host})) as got:
                return int(got.status)
        except urllib.error.HTTPError as refused:
            return refused.code

    def command(self, *arguments: str) -> str:
        """Run `mlflow ARGUMENTS` as in the container; return what it said."""
        return subprocess.run(
            [PYTHON, "-m", "mlflow", *map(self._here, arguments)],
            env=self._env,
            cwd=self.folder,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ).stdout

    def files_of(self, run_id: str) -> set[str]:
        """Names of the files that it keeps for a run."""
        found = (self.folder / "artifacts").glob(f"*/{run_id}/**/*")
        return {path.name for path in found if path.is_file()}
