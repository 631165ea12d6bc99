"""What stories are told with: a machine with a user, and small projects; all is done from outside."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECONDS = 120.0
"""Longer than anything here takes: who waits for so long waits for ever."""
_SECONDS_TO_SAY = 30.0

_OF_THE_USER = ("AWS_", "HOTFIRE_", "SAGEMAKER_", "DEPLOY_ENV")
_MARK = "STORY"

HANDLER = """\
import json

ANSWER = 1

def model_fn(model_dir):
    print("loaded", ANSWER, flush=True)
    return ANSWER

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return {"answer": model, "data": data}

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""


class Machine:
    """One user of this machine, whose region has a home of its own.

    `enter` is the command, if any, that runs a program where this user is.
    """

    def __init__(self, home: Path, enter: Sequence[str] = ()) -> None:
        self.home, self._enter = home, tuple(enter)
        self._mark = secrets.token_hex(8)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_USER)},
            "AWS_CONFIG_FILE": str(home / "absent"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "absent"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOTFIRE_HOME": str(home),
            # Inherited by all that is started, however its environment is cut: so none of it can hide.
            _MARK: self._mark,
        }

    def environment(self, **more: str) -> dict[str, str]:
        """What this user's programs are started with."""
        return self._environment | more

    def use(self, **variables: str) -> None:
        """Have these variables set for this user from now on."""
        self._environment.update(variables)

    def hotfire(
        self, *arguments: str, at: Path | None = None, stdin: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.run([sys.executable, "-m", "hotfire", *arguments], at=at, stdin=stdin, **variables)

    def run(
        self, command: list[str], *, at: Path | None = None, stdin: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run any program to its end."""
        return subprocess.run(
            self._command(command, at or self.home),
            cwd=at or self.home,
            env=self.environment(**variables),
            # An empty one by default, not that of whoever runs the tests.
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def started(self, command: list[str], **variables: str) -> subprocess.Popen[str]:
        """A program that goes on, whose output is read as it comes."""
        return subprocess.Popen(
            self._command(command, self.home),
            cwd=self.home,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _command(self, command: list[str], at: Path) -> list[str]:
        # Who enters another place stands at its root.
        return [*self._enter, "env", f"--chdir={at}", *command] if self._enter else command

    def told(self, *arguments: str, at: Path | None = None) -> Any:
        """What a command that succeeds says with `--json`."""
        done = self.hotfire(*arguments, "--json", at=at)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def exports(self) -> dict[str, str]:
        """The variables that point clients at this user's region."""
        exports: dict[str, str] = self.told("env")
        return exports

    @contextmanager
    def client(self, service: str = "sagemaker", **config: Any) -> Iterator[Any]:
        """A boto3 client as anybody makes one, from the variables that `hotfire env` names."""
        import boto3
        from botocore.config import Config

        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.exports().items():
                patch.setenv(name, value)
            client = boto3.Session().client(service, config=Config(**config) if config else None)
        try:
            yield client
        finally:
            client.close()

    def processes(self) -> list[psutil.Process]:
        """All that was started by this user and its region and goes on."""
        return [process for process in psutil.process_iter() if self._has_mark(process)]

    def _has_mark(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def is_gone(self, pid: int) -> bool:
        """Whether a process has ended, though nobody may have asked what became of it."""
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def is_quiet(self) -> bool:
        """Whether nothing is left, after what is on its way out is gone."""
        _, left = psutil.wait_procs(self.processes(), timeout=10)
        return not left

    def close(self) -> None:
        """Stop the region; nothing of it may be left."""
        down = self.hotfire("down")
        left = [] if self.is_quiet() else self.processes()
        for process in left:
            process.kill()
        assert down.returncode == 0, down.stderr
        assert left == []


class Project:
    """A project of a few lines, without training."""

    def __init__(self, machine: Machine, folder: Path, name: str = "tiny") -> None:
        self.machine, self.folder, self.name = machine, folder, name
        folder.mkdir(parents=True, exist_ok=True)
        self.write("serve.py", HANDLER)
        self.configure(model_name=name)

    @property
    def handler(self) -> Path:
        """The handler's file."""
        return self.folder / "serve.py"

    def configure(self, **settings: Any) -> None:
        """Write config.yml anew."""
        # JSON is YAML too.
        self.write("config.yml", json.dumps({"environments": {"local": settings}}, indent=2))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def edit(self, old: str, new: str) -> None:
        """Change the handler."""
        text = self.handler.read_text()
        assert old in text
        self.handler.write_text(text.replace(old, new))

    def hotfire(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder."""
        return self.machine.hotfire(*arguments, at=self.folder, **options)

    def told(self, *arguments: str) -> Any:
        """What a command that succeeds says with `--json`, in the project's folder."""
        return self.machine.told(*arguments, at=self.folder)

    def deploy(self) -> Mapping[str, Any]:
        """Deploy it, which must succeed."""
        told: dict[str, Any] = self.told("deploy")
        return told

    def dev(self, *options: str) -> Dev:
        """`hotfire dev`, when it has loaded; whoever asks for it closes it."""
        return Dev(self, *options)

    def ask(self, data: str = "[1]") -> Any:
        """What the endpoint answers."""
        return self.told("invoke", "-d", data)["body"]


class Dev:
    """`hotfire dev` off a terminal: each line that it says, as it says it."""

    def __init__(self, project: Project, *options: str) -> None:
        machine = project.machine
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hotfire", "dev", *options],
            cwd=project.folder,
            env=machine.environment(PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.until("loaded  ")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, *words: str) -> str:
        """The next line that has all these words."""
        while True:
            try:
                line = self._lines.get(timeout=_SECONDS_TO_SAY)
            except Empty:
                line = None
            assert line is not None, "\n".join([*self.said, f"and no {words}"])
            self.said.append(line)
            if all(word in line for word in words):
                return line

    def end(self, how: int = signal.SIGINT) -> None:
        self._process.send_signal(how)
        self._process.wait(_SECONDS_TO_SAY)

    def close(self) -> None:
        if self._process.poll() is None:
            self.end(signal.SIGKILL)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Machine]]:
    """Makes users, each with a home of its own; in the end nothing of them may be left."""
    made: list[Machine] = []

    def make(enter: Sequence[str] = ()) -> Machine:
        made.append(Machine(tmp_path_factory.mktemp("home"), enter))
        return made[-1]

    yield make
    for machine in made:
        machine.close()


@pytest.fixture(scope="module")
def machine(machines: Callable[[], Machine]) -> Machine:
    """The user of this story."""
    return machines()


@pytest.fixture
def project(machine: Machine, tmp_path: Path) -> Iterator[Project]:
    """A project that is not deployed yet, and is deleted in the end."""
    made = Project(machine, tmp_path / "project", f"tiny-{secrets.token_hex(3)}")
    yield made
    machine.hotfire("delete", "--yes", "--config", str(made.folder / "config.yml"))


@pytest.fixture(scope="module")
def new_project(machine: Machine) -> Callable[..., Project]:
    """Makes a project in a folder."""

    def make(folder: Path, name: str = "tiny", of: Machine | None = None) -> Project:
        return Project(of or machine, folder, name)

    return make


SCREENS = {"desk": (1280, 800), "phone": (360, 640)}
"""The widths and heights at which pages are looked at."""

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def browser(require: Callable[[str, str], str]) -> Iterator[Browser]:
    """Chromium without a window. Not for the whole session: it keeps an event loop running."""
    program = require("chromium", "chromium fonts-dejavu-core")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=SECONDS * 1000 / 4)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield browser
        browser.close()


class Window:
    """A browser that has entered a region, on one page; it notes what goes wrong there.

    `region` may be any object with a `url` and a `call`, as an `Address` has them.
    """

    def __init__(self, browser: Browser, region: Any, *, enter: bool = True, **options: Any) -> None:
        self.region = region
        self._context = browser.new_context(**options)
        self.page = self._context.new_page()
        self.page.set_default_timeout(SECONDS * 1000 / 4)
        self.wrong: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("request", self._note)
        if enter:
            token = region.call("POST", "/_hotfire/entry")["token"]
            self.page.goto(f"{region.url}/?entry={token}")

    def goto(self, path: str) -> Page:
        """Go to a page of the region."""
        self.page.goto(self.region.url + path)
        return self.page

    def is_wider(self) -> bool:
        """Whether the page goes past the screen's edge."""
        width = self.page.viewport_size["width"]  # type: ignore[index]
        return bool(self.page.evaluate("document.documentElement.scrollWidth") > width)

    def close(self) -> None:
        """Close it."""
        self._context.close()

    def _note(self, request: Any) -> None:
        if not request.url.startswith((f"{self.region.url}/", "data:", "blob:")):
            self.elsewhere.append(request.url)


@pytest.fixture
def window(browser: Browser) -> Iterator[Callable[..., Window]]:
    """`window(region, **options)`: a `Window`, with Playwright's options of a context.

    In the end nothing may have gone wrong in it, and nothing may have been asked for elsewhere.
    """
    opened: list[Window] = []

    def window(region: Any, **options: Any) -> Window:
        opened.append(Window(browser, region, **options))
        return opened[-1]

    yield window
    for one in opened:
        one.close()
    assert [one.wrong for one in opened if one.wrong] == []
    assert [one.elsewhere for one in opened if one.elsewhere] == []


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """`axe(page)`: what axe-core finds wrong with a page: rule, and the elements."""
    import axe_playwright_python

    source = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()

    def axe(page: Page) -> list[str]:
        page.evaluate(source)
        found = page.evaluate("axe.run({resultTypes: ['violations']})")
        return [f"{one['id']}: {[node['html'] for node in one['nodes']][:3]}" for one in found["violations"]]

    return axe


@pytest.fixture
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Page, str], None]:
    """`picture(page, name)`: puts a small PNG of a page where `--pictures` says, if it says so."""

    def picture(page: Page, name: str) -> None:
        folder = request.config.getoption("--pictures")
        if folder is None:
            return
        from PIL import Image

        page.screenshot(path=tmp_path / "page.png", animations="disabled", caret="hide")
        with Image.open(tmp_path / "page.png") as taken:
            Path(folder).mkdir(parents=True, exist_ok=True)
            reduced = taken.convert("RGB").quantize(128, dither=Image.Dither.NONE)
            reduced.save(Path(folder) / f"{name}.png", optimize=True)

    return picture
