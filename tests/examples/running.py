"""Starts the real programs, and speaks to them as their users do."""

import asyncio
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

import websockets

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples"
PROGRAM = os.environ.get("TIDINGS_PROGRAM", str(REPOSITORY / "target/debug/tidings"))
PATIENCE_SECONDS = 60


class Program:
    """A process and the lines that it has written."""

    def __init__(self, *command, env=None):
        self.lines, self._new = [], queue.Queue()
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1", **(env or {})},
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._new.put(line.rstrip("\n"))
        self._new.put(None)

    def line(self, begins):
        """The next line that begins so."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                line = self._new.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line begins {begins!r}:\n{self.told()}") from None
            if line is None:
                raise AssertionError(f"it ended with {self.process.wait()}:\n{self.told()}")
            self.lines.append(line)
            if line.startswith(begins):
                return line

    def told(self):
        while not self._new.empty():
            self.lines.append(self._new.get() or "(ended)")
        return "\n".join(self.lines)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


class ExampleTest(unittest.IsolatedAsyncioTestCase):
    """A test with programs, which are ended behind it; shown where it fails."""

    def start(self, *command, env=None):
        program = Program(*command, env=env)
        self.addCleanup(program.end)
        return program

    def example(self, file, *options, env=None):
        """Runs a program of an example."""
        return self.start(sys.executable, EXAMPLES / file, *options, env=env)

    def serve(self, profile, *options, env=None):
        """A server with one profile on free ports: `clients`, `admin` and its `endpoints`."""
        free = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        server = self.start(PROGRAM, "serve", "--json", "--profile", profile, *free, *options, env=env)
        told = json.loads(server.line('{"'))
        server.clients, server.admin = told["public"], told["admin"]
        server.endpoints = {endpoint["path"]: endpoint["url"] for endpoint in told["endpoints"]}
        return server


class Client:
    """A client of a dialect: sends objects, and waits for the one that it is after."""

    def __init__(self, socket):
        self.socket, self.seen = socket, []

    @classmethod
    async def open(cls, test, url, **options):
        socket = await websockets.connect(url, max_size=None, **options)
        test.addAsyncCleanup(socket.close)
        return cls(socket)

    async def send(self, message):
        await self.socket.send(message if isinstance(message, bytes) else json.dumps(message))

    async def receive(self):
        frame = await asyncio.wait_for(self.socket.recv(), PATIENCE_SECONDS)
        message = frame if isinstance(frame, bytes) else json.loads(frame)
        self.seen.append(message)
        return message

    async def until(self, wanted):
        """The next message that is as wanted: a function, or the members that it has."""
        if isinstance(wanted, dict):
            members = wanted.items()
            wanted = lambda message: isinstance(message, dict) and members <= message.items()
        # Others that keep coming are no reason to wait for ever.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                message = await self.receive()
                if wanted(message):
                    return message

    async def since(self, number, wanted):
        """The first message with these members after that many: what two connections have to do with
        each other comes in any order."""
        for message in self.seen[number:]:
            if isinstance(message, dict) and wanted.items() <= message.items():
                return message
        return await self.until(wanted)


def get(url, body=None, headers=None):
    """What HTTP answers: the JSON of a GET, or of a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as response:
        return json.load(response)
