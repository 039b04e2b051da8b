"""The folder that a run works in: a copy of the project, a profile of its own, its leftovers."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbt_trigger_dagster.sandbox.account.runs import Run
from dbt_trigger_dagster.sandbox.runners.dbt_project import Connection, DbtProject, connection_of

_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "target", "logs", "node_modules", "*.duckdb*")


@dataclass(frozen=True)
class RunFolder:
    """The folders of one run, all in the sandbox's data folder.

    Attributes:
        data_folder: The sandbox's data folder.
        run: The run.
        dbt_project: The project that it runs.
    """

    data_folder: Path
    run: Run
    dbt_project: DbtProject

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return self.data_folder / "runs" / str(self.run.id)

    @property
    def project(self) -> Path:
        """The copy of the project."""
        return self.folder / "project"

    @property
    def profiles(self) -> Path:
        """The folder of the run's ``profiles.yml``."""
        return self.folder / "profiles"

    @property
    def target(self) -> Path:
        """What dbt writes its artifacts to."""
        return self.project / "target"

    def step_folder(self, index: int) -> Path:
        """Return the folder for the logs and the artifacts of a step."""
        return self.folder / "steps" / str(index)

    def copy_project(self) -> None:
        """Copy the project, without what dbt or a user's tools made of it."""
        shutil.copytree(
            self.dbt_project.folder,
            self.project,
            ignore=_NOT_COPIED,
            copy_function=shutil.copyfile,
            ignore_dangling_symlinks=True,
        )
        # The folders of an installed package may be read-only, and so are their copies.
        for path in (self.project, *self.project.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)

    def content_hash(self) -> str:
        """Return 40 hex digits that tell the project's present state, as a commit would."""
        digest = hashlib.sha1(usedforsecurity=False)
        for path in sorted(path for path in self.project.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(self.project)}\0".encode(errors="surrogateescape"))
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def write_profile(self) -> str:
        """Write the run's profile, and return what it connects to.

        Raises:
            SandboxError: The project's profile has no such target.
        """
        connection = connection_of(self.dbt_project, self.run.target_name)
        settings = {**connection.settings, **self._overrides()}
        if connection.adapter == "duckdb":
            settings["path"] = self._database_path(str(settings.get("path", ":memory:")))
        self._write_profiles_file(Connection(connection.target_name, settings))
        return connection.adapter

    def snapshot_target(self, index: int) -> Path | None:
        """Keep the artifacts as they are after a step; ``None`` if there are none."""
        if not self.target.exists():
            return None
        snapshot = self.step_folder(index) / "target"
        shutil.copytree(self.target, snapshot)
        return snapshot

    def discard(self) -> None:
        """Delete what nobody needs after the run, the connection's secrets among it."""
        for folder in (self.project, self.profiles):
            shutil.rmtree(folder, ignore_errors=True)

    def _overrides(self) -> dict[str, Any]:
        request = self.run.trigger.request
        overrides: dict[str, Any] = {"threads": request.threads_override or self.run.job.threads}
        if request.schema_override:
            overrides["schema"] = request.schema_override
        return overrides

    def _database_path(self, path: str) -> str:
        # A relative path means a file in the project, of which each run has only a copy: the file
        # is kept for the job instead, because dbt opens one only from one process at a time.
        if Path(path).is_absolute() or ":" in path or "{{" in path:
            return path
        kept = self.data_folder / "warehouses" / str(self.run.job.id) / Path(path).name
        original = self.dbt_project.folder / path
        kept.parent.mkdir(parents=True, exist_ok=True)
        if original.exists() and not kept.exists():
            shutil.copyfile(original, kept)
        return str(kept)

    def _write_profiles_file(self, connection: Connection) -> None:
        profile = {
            "target": connection.target_name,
            "outputs": {connection.target_name: connection.settings},
        }
        self.profiles.mkdir(mode=0o700)
        content = yaml.safe_dump({self.dbt_project.profile_name: profile})
        (self.profiles / "profiles.yml").write_text(content)
