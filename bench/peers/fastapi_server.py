"""The connection manager that services write by hand: a list of sockets, sent to in turn."""

import sys

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect


class ConnectionManager:
    def __init__(self):
        self.topics = {}

    def subscribe(self, topic, socket):
        self.topics.setdefault(topic, []).append(socket)

    def leave(self, socket):
        for sockets in self.topics.values():
            if socket in sockets:
                sockets.remove(socket)

    async def broadcast(self, topic, data):
        for socket in list(self.topics.get(topic, [])):
            try:
                await socket.send_text(data)
            except (WebSocketDisconnect, RuntimeError):
                self.leave(socket)


app = FastAPI()
manager = ConnectionManager()


@app.websocket("/")
async def endpoint(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            text = await socket.receive_text()
            if text[0] == "+":
                manager.subscribe(text[1:], socket)
                await socket.send_text("ok")
            else:
                topic, data = text.split(" ", 1)
                await manager.broadcast(topic, data)
    except WebSocketDisconnect:
        manager.leave(socket)


uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    backlog=4096,
    log_level="error",
    ws_per_message_deflate=False,
    ws_ping_interval=None,
)
