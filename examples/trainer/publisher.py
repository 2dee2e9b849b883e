"""Publishes to Tidings from a thread of its own, so that whoever publishes never waits or fails."""

import json
import logging
import threading
import urllib.error
import urllib.request
import uuid
from itertools import islice

log = logging.getLogger("publisher")

BATCH = 100
RETRY_SECONDS = (0.2, 5.0)
REQUEST_SECONDS = 5.0


class Publisher:
    """A bounded queue and the thread that empties it.

    What does not fit is counted in `dropped`, requests that failed in `failures`, and what the
    server refused in `refused`.
    """

    def __init__(self, url="http://127.0.0.1:8081", token=None, queue_max=1000):
        self.failures = self.dropped = self.refused = self.published = 0
        self._url = url.rstrip("/") + "/v1/publish"
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        # What waits, in the order of publishing: by id, or by topic where only the newest counts.
        self._waiting, self._queue_max = {}, queue_max
        self._changed = threading.Condition()
        self._is_closing = False
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def publish(self, topic, data, newest_only=False):
        """Takes an event; with `newest_only` one that waits is replaced by this one."""
        # The id makes trying again harmless: the server stores it once.
        event = {"topic": topic, "data": data, "id": uuid.uuid4().hex}
        with self._changed:
            key = topic if newest_only else event["id"]
            # It is put at the end again: nothing overtakes what was published after it.
            self._waiting.pop(key, None)
            if not newest_only and len(self._waiting) >= self._queue_max:
                self.dropped += 1
                if self.dropped == 1 or self.dropped % 1000 == 0:
                    log.warning("the queue is full: %d events dropped", self.dropped)
                return
            self._waiting[key] = event
            self._changed.notify()

    def close(self, timeout=5.0):
        """Publishes what waits, for as long as `timeout` allows; whether all of it went out."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(timeout)
        self._given_up.set()
        return not self._thread.is_alive()

    def _run(self):
        while batch := self._take():
            self._send(batch)

    def _take(self):
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            keys = list(islice(self._waiting, BATCH))
            return [self._waiting.pop(key) for key in keys]

    def _send(self, batch):
        """Tries until the server has taken it, or nobody waits any more."""
        pause, longest = RETRY_SECONDS
        is_lost = False
        while not self._given_up.is_set():
            try:
                answers = self._post(batch)
            except Exception as error:
                self.failures += 1
                if not is_lost:
                    log.warning("cannot publish to %s: %s; trying again", self._url, error)
                is_lost = True
                self._given_up.wait(pause)
                pause = min(2 * pause, longest)
                continue
            if is_lost:
                log.info("publishing again")
            for answer in answers:
                if "error" in answer:
                    self.refused += 1
                    log.warning("refused: %s", answer["error"].get("message"))
                else:
                    self.published += 1
            return

    def _post(self, batch):
        body = json.dumps(batch).encode()
        request = urllib.request.Request(self._url, body, self._headers)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            # What the server understood and refused will be refused again.
            if 400 <= error.code < 500 and error.code != 429:
                return [{"error": {"message": f"{error.code} {error.reason}"}}] * len(batch)
            raise
