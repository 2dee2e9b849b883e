"""Publishes to Tidings over one connection, from a thread, so that the camera is never held up."""

import http.client
import json
import logging
import threading
import urllib.parse
from collections import deque

log = logging.getLogger("publisher")

PAUSE_SECONDS = 0.5


class Publisher:
    """Events wait in a bounded queue. Of each kind of image only the newest waits."""

    def __init__(self, url="http://127.0.0.1:8081", token=None, queue_max=1000):
        self.published = self.dropped = self.failures = 0
        self._address = urllib.parse.urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._events, self._images = deque(maxlen=queue_max), {}
        self._changed = threading.Condition()
        self._is_closing = False
        self._connection = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def publish(self, topic, data):
        with self._changed:
            self.dropped += len(self._events) == self._events.maxlen
            self._events.append({"topic": topic, "data": data})
            self._changed.notify()

    def publish_image(self, topic, jpeg):
        with self._changed:
            self._images[topic] = jpeg
            self._changed.notify()

    def close(self, timeout=3.0):
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._images or self._is_closing)
                events, images = list(self._events), dict(self._images)
                self._events.clear()
                self._images.clear()
            if not events and not images:
                return
            if events:
                body = json.dumps(events).encode()
                self._post("/v1/publish", body, "application/json", len(events))
            for topic, jpeg in images.items():
                self._post(f"/v1/publish/{topic}", jpeg, "image/jpeg", 1)

    def _post(self, path, body, content_type, count):
        """What is live and fails is gone: a newer state follows at once."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address, timeout=5)
            headers = {"Content-Type": content_type, **self._headers}
            self._connection.request("POST", path, body, headers)
            response = self._connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise OSError(f"{response.status} {answer.decode(errors='replace')[:200]}")
            self.published += count
        except (OSError, http.client.HTTPException) as error:
            self.failures += 1
            if self.failures == 1 or self.failures % 100 == 0:
                log.warning("cannot publish (%d times so far): %s", self.failures, error)
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            threading.Event().wait(PAUSE_SECONDS)
