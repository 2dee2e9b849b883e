"""Commands of the page reach the training through a connection of its own."""

import asyncio
import json
import logging
import threading
from collections import deque

import websockets

log = logging.getLogger("commands")

SAMPLES_WAITING_MAX = 20


class Refused(Exception):
    """A command that cannot be done: a code and a sentence for whoever asked."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class TrainCommands:
    """What was asked for, and what the training loop looks at between two steps."""

    def __init__(self):
        self._changed = threading.Condition()
        self._is_paused = self._is_stopped = False
        self._samples = deque()

    def obey(self, command, data):
        """Notes a command and says what happens now."""
        with self._changed:
            if self._is_stopped:
                raise Refused("stopped", "this training has been stopped")
            match command:
                case "pause":
                    self._is_paused = True
                case "resume":
                    self._is_paused = False
                case "stop":
                    self._is_stopped = True
                case "sample":
                    return self._sample(data)
                case _:
                    raise Refused("unknown_command", "there are pause, resume, stop and sample")
            self._changed.notify_all()
            status = "stopping" if self._is_stopped else "paused" if self._is_paused else "training"
            return {"status": status}

    def _sample(self, data):
        digit = data.get("digit")
        if not isinstance(digit, int) or digit not in range(10):
            raise Refused("bad_request", "`digit` is a number from 0 to 9")
        if len(self._samples) >= SAMPLES_WAITING_MAX:
            raise Refused("rate_limited", "so many samples wait already")
        self._samples.append(digit)
        self._changed.notify_all()
        return {"waiting": len(self._samples)}

    @property
    def is_paused(self):
        return self._is_paused

    @property
    def is_stopped(self):
        return self._is_stopped

    def wait_for_something(self):
        """Waits while there is nothing to do in a pause."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_paused or self._is_stopped or self._samples)

    def next_sample(self):
        with self._changed:
            return self._samples.popleft() if self._samples else None


def serve(commands, url, room, token=None):
    """Handles the commands `trainer.*` from a thread, and comes back after every interruption."""
    run = lambda: asyncio.run(_serve(commands, url, room, token))
    threading.Thread(target=run, name="commands", daemon=True).start()


async def _serve(commands, url, room, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async for socket in websockets.connect(url, additional_headers=headers):
        try:
            await socket.send(json.dumps({"id": 1, "handle": {"commands": ["trainer.*"]}}))
            async for text in socket:
                message = json.loads(text)
                if message.get("id") == 1:
                    log.info("taking commands: %s", message.get("error") or "ready")
                elif "call" in message:
                    answer = _answer(commands, room, message["call"])
                    await socket.send(json.dumps({"result": answer}))
        except websockets.ConnectionClosed as closed:
            log.warning("commands are interrupted: %s", closed)


def _answer(commands, room, call):
    answer = {"call_id": call["call_id"]}
    data = call.get("data") if isinstance(call.get("data"), dict) else {}
    try:
        if data.get("room") not in (None, room):
            raise Refused("not_found", f"no training of that name runs here; this is {room}")
        answer["data"] = commands.obey(call["command"].removeprefix("trainer."), data)
    except Refused as refused:
        answer["error"] = {"code": refused.code, "message": str(refused)}
    return answer
