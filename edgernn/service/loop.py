"""The service: from an input through the model's pipeline to its outputs, until it is told to end.

One thread does the work and everything that changes the parts; the input, the control socket and
the page have threads of their own, which only hand things over.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections import Counter
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from edgernn.errors import EdgernnError
from edgernn.model import load
from edgernn.service import journal
from edgernn.service.answers import hello_of, scores_of, status_of
from edgernn.service.audience import Audience
from edgernn.service.availability import remembered_backend
from edgernn.service.control import Control
from edgernn.service.event_log import EventLog
from edgernn.service.health import Meter
from edgernn.service.inputs import PAUSES, Input, Mark
from edgernn.service.keeping import Keeper
from edgernn.service.notify import notify, reloading
from edgernn.service.outputs import close_sinks, open_page, open_sinks
from edgernn.service.places import Places, Release
from edgernn.service.reload import changed_fields, replaced
from edgernn.service.settings import Settings
from edgernn.sinks import told
from edgernn.view.tap import Tap

if TYPE_CHECKING:
    from edgernn.events import Event
    from edgernn.sinks import Sink
    from edgernn.sources import Block
    from edgernn.view import View

TICK: Final = 0.2
"""Seconds in which the loop comes round when nothing happens."""
OPENING: Final = 10.0
"""Seconds that the first opening of the input is waited for before systemd is told of the start."""
REPEAT: Final = 60.0
"""Seconds before the journal is told of the same fault again."""
RELOADING: Final = 60.0
"""Seconds that a client waits for new settings to be taken."""


class Service:
    """One running service; `run` returns when it is over."""

    def __init__(
        self,
        release: Release,
        settings: Settings,
        places: Places,
        pauses: tuple[float, float] = PAUSES,
    ) -> None:
        """Load the model and open everything but the input.

        Raises:
            EdgernnError: the model does not run here, or the settings are wrong.
            OSError: the state folder cannot be written.
        """
        self.release, self.settings, self.places, self.pauses = release, settings, places, pauses
        model = release.folder / settings.model
        backend = remembered_backend(model, settings.backend, places.state / "backend.json")
        self.pipeline = load(model).pipeline(backend)
        self.audience, self.meter = Audience(), Meter()
        self._tap = Tap(self.pipeline)
        self.keeper = Keeper(places.snapshot, self.pipeline)
        self._own: Counter[str] = Counter()
        self.last_error: dict[str, Any] | None = None
        self._requests: queue.SimpleQueue[Future[list[str]]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._ticked = self._second = self._told = 0.0
        self._begun = False
        self.log = EventLog(places.log, settings.log.bytes, settings.log.sync_seconds)
        self.sinks: list[Sink] = open_sinks(settings.publish, places.state)
        self.page: View | None = None
        if settings.view is not None:
            self.page = open_page(settings.view, release, self.pipeline)
        self.input = self.new_input(settings)

    def new_input(self, settings: Settings) -> Input:
        """The input of some settings, not begun."""
        return Input(settings, self.pipeline.front_end, self._fault, self.pauses)

    def run(self) -> int:
        """Work until SIGTERM, SIGINT or the input's end; the exit code."""
        self._take_signals()
        control = Control(self.places.socket, self)
        try:
            if self.settings.keep_state and (note := self.keeper.restore()):
                journal.say(journal.NOTICE, note)
            self.input.start()
            self.input.wait_tried(OPENING)
            notify(ready=1, status=self._summary())
            what = f"{self.release.name} {self.release.id} on {self.pipeline.backend}"
            journal.say(journal.NOTICE, f"{what}: listens to {self.input.spec}")
            self._work()
            if self.settings.keep_state and (wrong := self.keeper.save()):
                self._fault(wrong)
        except Exception as error:
            if note := self.keeper.give_up(f"the service failed with it ({error!r})"):
                journal.say(journal.WARNING, note)
            raise
        finally:
            notify(stopping=1)
            self._close(control)
        return 0

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                item = self.input.queue.get(timeout=TICK)
            except queue.Empty:
                item = None
            if item is Mark.ENDED:
                journal.say(journal.NOTICE, f"{self.input.spec}: the input has ended")
                return
            if item is Mark.BEGUN:
                self._begin()
            elif item is not None:
                self._take(item)
            self._tick()

    def _begin(self) -> None:
        """The first source goes on with the saved state, each later one begins anew."""
        if self._begun:
            self._own.update(self.pipeline.counters)
            self.keeper.begin()
            self.audience.interrupt("the input was opened anew")
        self._begun = True

    def _take(self, block: Block) -> None:
        block = self.keeper.continued(block)
        try:
            pushed = self._tap.push(block.samples, block.times)
        except EdgernnError as error:
            self._own["refused_blocks"] += 1
            self._fault(str(error))
            return
        self.meter.add(pushed)
        for event in pushed.events:
            self._tell(event)
        self.audience.record(block)
        self.audience.tell(lambda: scores_of(self.pipeline.model, pushed.update))
        if self.page is not None:
            self.page.publish({**pushed.update, "counters": self.counters})

    def _tell(self, event: Event) -> None:
        """An event to the log first, so that nobody knows of one that is lost."""
        fields = {**told(event), "clock": round(time.time(), 3)}
        try:
            self.log.append(fields)
        except (OSError, ValueError) as error:
            self._own["events_not_logged"] += 1
            self._fault(f"the event log cannot be written ({error})")
        journal.say(journal.INFO, fields)
        for sink in self.sinks:
            try:
                sink.send(event)
            except (EdgernnError, OSError) as error:
                self._own["events_refused"] += 1
                self._fault(str(error))
        self.audience.tell(lambda: fields)

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._ticked < TICK / 2:
            return
        self._ticked = now
        while not self._requests.empty():
            self._reload(self._requests.get())
        if self.settings.keep_state and (wrong := self.keeper.tick(self.settings.snapshot_seconds)):
            self._fault(wrong)
        try:
            self.log.tick()
        except OSError as error:
            self._fault(f"the event log cannot be written ({error.strerror})")
        if now - self._second >= 1.0:
            self._second = now
            self.meter.tick()
            self.audience.tell(lambda: {"status": self.status()})
            notify(status=self._summary(), watchdog=1)

    def _reload(self, request: Future[list[str]]) -> None:
        reloading()
        try:
            new, changed = changed_fields(self)
            if changed:
                replaced(self, new, changed)
        except EdgernnError as error:
            journal.say(journal.ERROR, f"the new settings are refused: {error}")
            request.set_exception(error)
        else:
            journal.say(journal.NOTICE, f"new settings: {', '.join(changed) or 'none'}")
            request.set_result(changed)
        finally:
            notify(ready=1)

    def _take_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self._requests.put(Future()))

    def stop(self) -> None:
        """End soon; from any thread."""
        self._stop.set()

    def _close(self, control: Control) -> None:
        self.input.close()
        self.audience.end()
        control.end()
        close_sinks(self.sinks)
        if self.page is not None:
            self.page.close()
        self.log.close()

    def _fault(self, text: str) -> None:
        """Something went wrong and the service goes on; the journal is not flooded with it."""
        now, before = time.time(), self.last_error
        self.last_error = {"clock": round(now, 3), "text": text}
        if before is None or before["text"] != text or now - self._told > REPEAT:
            self._told = now
            journal.say(journal.WARNING, text)

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong so far, in all parts; from any thread."""
        counters = Counter(self._own)
        parts = [self.input, self.pipeline, *self.sinks]
        for part in (*parts, self.page) if self.page else parts:
            counters.update(part.counters)  # type: ignore[attr-defined]
        return dict(counters)

    def _summary(self) -> str:
        meter = self.meter
        return (
            f"{self.state}: {meter.frames} frames, {meter.events} events, "
            f"load {100 * meter.load:.1f} %"
        )

    @property
    def state(self) -> str:
        """`starting`, `running`, `waiting` or `ended`."""
        return "running" if self.input.state == "open" else self.input.state

    def status(self) -> dict[str, Any]:
        """How it is; from any thread."""
        return status_of(self)

    def hello(self) -> dict[str, Any]:
        """What it is; from any thread."""
        return hello_of(self)

    def logs(self, count: int) -> list[dict[str, Any]]:
        """The newest events; from any thread."""
        return self.log.newest(count)

    def reload(self) -> list[str]:
        """Take new settings and wait for it; from any thread but the loop's."""
        request: Future[list[str]] = Future()
        self._requests.put(request)
        return request.result(RELOADING)

    def users(self) -> tuple[str, ...]:
        """Who may ask for more than the status."""
        return self.settings.users
