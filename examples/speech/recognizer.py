"""Recognises what clients of the speech endpoint say, and tells everybody.

Subscribes to their audio as the device `recognizer`, and acknowledges what it has heard: the server
takes no more audio from a client than that allows. Commands of the page come over the same connection.
"""

import argparse
import asyncio
import json
import logging
import os
import re
import time
import urllib.request

import websockets

from listener import RATE, WAKE_WORD, Listener, knows

log = logging.getLogger("recognizer")

AUDIO = "speech.audio.*"
# Who sends nothing for so long has ended, or taken a breath.
QUIET_SECONDS = 1.5
ACKNOWLEDGE_BYTES = 64 * 1024
LISTENERS_MAX = 32


class Speaker:
    """A client that speaks: it has a listener, and a time at which it was last heard."""

    def __init__(self, listener):
        self.listener, self.heard = listener, time.monotonic()
        self.is_quiet = False


class Recognizer:
    def __init__(self, publish_url, admin_token):
        self.publish_url = publish_url.rstrip("/") + "/v1/publish"
        self.admin_token = admin_token
        self.wake_word, self.session = WAKE_WORD, None
        self.speakers = {}

    async def publish(self, events):
        """Publishes what was recognised; what cannot be is logged, as it will soon be stale."""
        if not events:
            return
        body = json.dumps([{"topic": f"speech.{name}", "data": data} for name, data in events])
        headers = {"Content-Type": "application/json"}
        if self.admin_token:
            headers["Authorization"] = f"Bearer {self.admin_token}"
        request = urllib.request.Request(self.publish_url, body.encode(), headers)
        try:
            await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=5).close())
        except OSError as error:
            log.warning("cannot publish: %s", error)
        for name, data in events:
            if data.get("is_final", True):
                log.info("%s %s", name, data)

    async def hear(self, topic, content_type, chunk):
        speaker = self.speakers.get(topic)
        if speaker is None:
            if len(self.speakers) >= LISTENERS_MAX:
                await self.forget(min(self.speakers, key=lambda t: self.speakers[t].heard))
            speaker = self.speakers[topic] = Speaker(Listener(self.wake_word, self.session))
            log.info("listening to %s", topic)
        speaker.heard, speaker.is_quiet = time.monotonic(), False
        named = re.search(r"rate=(\d+)", content_type or "")
        rate = min(max(int(named[1]), 8_000), 96_000) if named else RATE
        # Recognising takes the processor's time: others go on meanwhile.
        await self.publish(await asyncio.to_thread(speaker.listener.hear, chunk, rate))

    async def end(self, topic):
        speaker = self.speakers.get(topic)
        if speaker is not None and not speaker.is_quiet:
            speaker.is_quiet = True
            await self.publish(await asyncio.to_thread(speaker.listener.end))

    async def forget(self, topic):
        await self.end(topic)
        self.speakers.pop(topic, None)

    async def mind_silence(self, lock):
        while True:
            await asyncio.sleep(QUIET_SECONDS / 4)
            async with lock:
                now = time.monotonic()
                for topic, speaker in list(self.speakers.items()):
                    if now - speaker.heard > 60 * QUIET_SECONDS:
                        await self.forget(topic)
                    elif now - speaker.heard > QUIET_SECONDS:
                        await self.end(topic)

    def obey(self, command, data):
        """A command of the page: its result, or an error."""
        data = data if isinstance(data, dict) else {}
        match command:
            case "start_session":
                self.session = str(data.get("session_id") or f"session-{int(time.time())}")
                self.speakers.clear()
                return {"data": {"session_id": self.session}}
            case "stop_session":
                ended, self.session = self.session, None
                self.speakers.clear()
                return {"data": {"session_id": ended}}
            case "configure":
                word = data.get("wake_word")
                if not isinstance(word, str) or not word.isalpha() or not knows(word.lower()):
                    message = "`wake_word` is one English word that the model knows"
                    return {"error": {"code": "invalid_data", "message": message}}
                self.wake_word = word.lower()
                self.speakers.clear()
                return {"data": {"wake_word": self.wake_word}}
        known = "there are start_session, stop_session and configure"
        return {"error": {"code": "not_found", "message": known}}


class Connection:
    """One connection to the server, and what was heard over it."""

    def __init__(self, socket, recognizer):
        self.socket, self.recognizer = socket, recognizer
        self.epochs, self.unacknowledged = {}, 0

    async def run(self):
        subscription = {"topics": [AUDIO], "from": "stored"}
        hello = {"device": "recognizer", "subscriptions": [subscription]}
        await self._send({"id": 1, "hello": hello})
        await self._send({"id": 2, "handle": {"commands": ["speech.*"]}})
        lock = asyncio.Lock()
        silence = asyncio.create_task(self.recognizer.mind_silence(lock))
        try:
            async for frame in self.socket:
                async with lock:
                    await (self._audio(frame) if isinstance(frame, bytes) else self._text(frame))
        finally:
            silence.cancel()

    async def _send(self, message):
        await self.socket.send(json.dumps(message))

    async def _text(self, frame):
        message = json.loads(frame)
        if message.get("id") in (1, 2) and "error" in message:
            log.error("refused: %s", message["error"])
        elif message.get("id") == 1:
            self._positions(message["ok"])
        elif message.get("id") == 2:
            log.info("ready")
        elif "gap" in message:
            self.epochs[message["gap"]["stream"]] = message["gap"]["epoch"]
            log.warning("some audio is lost: %s", message["gap"])
        elif "call" in message:
            call = message["call"]
            answer = self.recognizer.obey(call["command"].removeprefix("speech."), call.get("data"))
            await self._send({"result": {"call_id": call["call_id"], **answer}})
        elif "event" in message:
            await self._mark(message["event"])

    def _positions(self, welcome):
        for subscription in welcome["subscriptions"]:
            for position in subscription["positions"]:
                self.epochs[position["stream"]] = position["epoch"]

    async def _mark(self, event):
        """The beginning or the end of what somebody says."""
        if isinstance(event.get("data"), dict) and event["data"].get("audio") == "audio_end":
            await self.recognizer.end(event["topic"])
        await self._acknowledge(event)

    async def _audio(self, frame):
        head, _, chunk = frame.partition(b"\n")
        event = json.loads(head)["event"]
        await self.recognizer.hear(event["topic"], event.get("content_type"), chunk)
        self.unacknowledged += len(chunk)
        if self.unacknowledged >= ACKNOWLEDGE_BYTES:
            await self._acknowledge(event)

    async def _acknowledge(self, event):
        stream, self.unacknowledged = event["stream"], 0
        if stream in self.epochs:
            position = {"stream": stream, "epoch": self.epochs[stream], "seq": event["seq"]}
            await self._send({"ack": [position]})


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/v1/ws", help="where audio comes from")
    parser.add_argument("--publish", default="http://127.0.0.1:8081", help="for what is recognised")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    token = os.environ.get("TIDINGS_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    recognizer = Recognizer(options.publish, os.environ.get("TIDINGS_ADMIN_TOKEN"))
    async for socket in websockets.connect(options.url, additional_headers=headers, max_size=None):
        try:
            await Connection(socket, recognizer).run()
        except websockets.ConnectionClosed as closed:
            log.warning("interrupted: %s", closed)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
