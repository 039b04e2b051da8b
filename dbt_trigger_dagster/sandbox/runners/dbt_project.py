"""The dbt project that the sandbox runs: the bundled shop, or a user's own."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbt_trigger_dagster.sandbox.account.errors import SandboxError

SHOP_FOLDER = Path(__file__).parents[1] / "shop"


@dataclass(frozen=True)
class DbtProject:
    """A dbt project and where its profile is.

    Attributes:
        folder: The project's folder; it is copied, never written to.
        name: The project's name.
        profile_name: The name of its profile.
        profile: The profile, as it stands in ``profiles.yml``.
    """

    folder: Path
    name: str
    profile_name: str
    profile: dict[str, Any]


@dataclass(frozen=True)
class Connection:
    """What one run connects with: one output of the profile, with the run's overrides.

    Attributes:
        target_name: What ``target.name`` says in the run.
        settings: The output's settings.
    """

    target_name: str
    settings: dict[str, Any]

    @property
    def adapter(self) -> str:
        """The name of the adapter, such as ``duckdb``."""
        return str(self.settings.get("type", "dbt"))


def load_project(folder: Path = SHOP_FOLDER, profiles_folder: Path | None = None) -> DbtProject:
    """Read a dbt project and its profile.

    Args:
        folder: The project's folder.
        profiles_folder: Where ``profiles.yml`` is; ``None`` looks where dbt would.

    Raises:
        SandboxError: One of them is missing or cannot be used.
    """
    settings = _read_mapping(folder / "dbt_project.yml", "--project-dir")
    name = str(settings.get("name", folder.name))
    profile_name = str(settings.get("profile", name))
    profiles_file = (profiles_folder or _usual_profiles_folder(folder)) / "profiles.yml"
    profile = _read_mapping(profiles_file, "--profiles-dir").get(profile_name)
    if not isinstance(profile, dict) or not isinstance(profile.get("outputs"), dict):
        raise SandboxError(f"{profiles_file} has no profile {profile_name!r} with outputs.")
    return DbtProject(folder, name, profile_name, profile)


def connection_of(project: DbtProject, target_name: str) -> Connection:
    """Return the output of the project's profile that a target name stands for.

    As in dbt Cloud the name is only a label: where the profile has no such output, its default
    one is taken under that name.

    Raises:
        SandboxError: The profile's default output cannot be found.
    """
    outputs = project.profile["outputs"]
    default = project.profile.get("target", "default")
    if default not in outputs and len(outputs) == 1:
        (default,) = outputs
    found = outputs.get(target_name) or outputs.get(default)
    if not isinstance(found, dict):
        raise SandboxError(
            f"The profile {project.profile_name!r} has no target {target_name!r}; "
            f"it has {', '.join(outputs)}."
        )
    return Connection(default if target_name == "default" else target_name, dict(found))


def _usual_profiles_folder(project_folder: Path) -> Path:
    if configured := os.environ.get("DBT_PROFILES_DIR"):
        return Path(configured)
    if (project_folder / "profiles.yml").exists():
        return project_folder
    return Path.home() / ".dbt"


def _read_mapping(file: Path, option: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise SandboxError(f"There is no {file}: name its folder with {option}.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SandboxError(f"{file} cannot be read: {_in_one_line(error)}.") from error
    if not isinstance(content, dict):
        raise SandboxError(f"{file} is not a mapping.")
    return content


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
