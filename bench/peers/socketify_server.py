"""socketify (uWebSockets in Python) with its native topics."""

import sys

from socketify import App, OpCode


def message(ws, text, _opcode):
    if text[0] == "+":
        ws.subscribe(text[1:])
        ws.send("ok", OpCode.TEXT)
        return
    topic, data = text.split(" ", 1)
    app.publish(topic, data, OpCode.TEXT)


app = App()
app.ws("/*", {"idle_timeout": 0, "message": message})
app.listen({"port": int(sys.argv[1]), "host": "127.0.0.1"})
app.run()
