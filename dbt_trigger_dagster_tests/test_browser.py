"""What a person sees: Dagster's own UI in a real browser, from the launchpad to the report.

``make test-browser`` installs what drives the browser; the browser is Debian's Chromium.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob
from dbt_trigger_dagster_tests.artifacts.files import result
from dbt_trigger_dagster_tests.assets.scripts import a_script
from dbt_trigger_dagster_tests.clocks import HANGS_AFTER, until
from dbt_trigger_dagster_tests.harness import Place
from dbt_trigger_dagster_tests.processes import a_process
from dbt_trigger_dagster_tests.servers import free_port

CHROMIUM = shutil.which("chromium")
LOCATION = "dbt_trigger_dagster.definitions"
PICTURES = Path("build/browser")
"""Where to look at what the browser has shown."""

THEMES = ("Light", "Dark", "LightNoRedGreen", "DarkNoRedGreen")
QUIET = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
"""Without the dialog of a first visit."""

playwright = pytest.importorskip(
    "playwright.sync_api", reason="what drives a browser is missing: make test-browser"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="not found: chromium"),
]


@dataclass(frozen=True)
class Failed:
    """A job's run that has failed, and how a browser sees it.

    Attributes:
        browser: The browser.
        address: Where Dagster's UI is.
        place: Where all is kept.
    """

    browser: Any
    address: str
    place: Place

    def page(self, theme: str) -> Any:
        """A page in one of the UI's themes."""
        context = self.browser.new_context(
            base_url=self.address, viewport={"width": 1440, "height": 1000}
        )
        context.set_default_timeout(HANGS_AFTER * 1000)
        context.add_init_script(f"localStorage.setItem('dagster-theme', '\"{theme}\"')")
        return context.new_page()


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failed]:
    """A run that a person has launched in the launchpad and seen fail."""
    failing = a_script(
        result("model.shop.customers", "success"),
        result("model.shop.orders", "error", message="Database Error in model orders"),
        outcome="error",
    )
    place = Place(tmp_path_factory.mktemp("browser"))
    with (
        Sandbox(jobs=[SandboxJob(name="nightly", script=failing)]) as sandbox,
        _ui(place, sandbox) as address,
        playwright.sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found = Failed(browser, address, place)
        _launch(found.page("Light"))
        yield found
        browser.close()


@contextmanager
def _ui(place: Place, sandbox: Sandbox) -> Iterator[str]:
    """The address of ``dagster dev`` on the package's code location."""
    home, port = place.home, free_port()
    (home / "dagster.yaml").write_text(QUIET)
    command = [sys.executable, "-m", "dagster", "dev", "-m", LOCATION, "-p", port]
    variables = {**os.environ, **place.variables(sandbox), "DAGSTER_HOME": str(home)}
    with (
        (place.folder / "dev.log").open("wb") as log,
        a_process(command, env=variables, stdout=log, stderr=log),
    ):
        address = f"http://127.0.0.1:{port}"
        until(lambda: _answers(address), "the UI answers")
        yield address


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/server_info", timeout=30).ok
    except requests.RequestException:
        return False


def _launch(page: Any) -> None:
    """Press Launch Run, as a person does, and wait until the run has failed."""
    page.goto(f"/locations/{LOCATION}/jobs/dbt_cloud_job/playground")
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/**")
    page.get_by_text("RUN_FAILURE", exact=True).first.wait_for()
    _keep(page, "run-Light")


def _keep(page: Any, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


@pytest.mark.parametrize("theme", THEMES)
def test_a_failed_run_is_seen_at_a_glance(failed: Failed, theme: str) -> None:
    """The asset is red, its checks say what failed, and the picture is drawn."""
    page = failed.page(theme)
    page.goto("/assets/run_result")
    page.get_by_text("Failed in").first.wait_for()
    _keep(page, f"asset-{theme}")
    page.goto("/assets/run_result?view=checks")
    page.get_by_text("newly failing: orders").first.wait_for()
    _keep(page, f"checks-{theme}")
    page.goto("/assets/run_result?view=events")
    row = page.locator("tr", has=page.get_by_text("timeline", exact=True)).last
    row.locator("a").last.click()
    picture = page.locator("[role=dialog] img").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    _keep(page, f"timeline-{theme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_without_a_server(failed: Failed, scheme: str) -> None:
    """It names what failed, asks nobody for anything, and breaks nowhere."""
    (report,) = failed.place.reports()
    requested, broken = [], []
    page = failed.browser.new_page(color_scheme=scheme)
    page.on("request", lambda request: requested.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(report.as_uri())
    page.get_by_role("heading", name="Timeline").wait_for()
    page.get_by_text("Database Error in model orders").first.wait_for()
    _keep(page, f"report-{scheme}")
    assert requested == [report.as_uri()]
    assert not broken
