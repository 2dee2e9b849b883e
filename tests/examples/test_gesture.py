"""Gestures that are posted and questions that are asked reach everybody who is connected."""

import http.server
import json
import pathlib
import tempfile
import threading
import unittest
import urllib.error

from running import EXAMPLES, Client, ExampleTest, get


class GestureTest(ExampleTest):
    async def connected(self, answerer):
        file = pathlib.Path(tempfile.mkdtemp(), "tidings.toml")
        text = (EXAMPLES / "gesture/tidings.toml").read_text("utf-8")
        file.write_text(text.replace("http://127.0.0.1:11500/", answerer), "utf-8")
        server = self.serve("gesture", "--config", file)
        client = await Client.open(self, server.endpoints["/"])
        await client.until({"type": "connection"})
        return server, client

    def answering(self, *options):
        answerer = self.example("gesture/answerer.py", "--port", 0, *options)
        return answerer.line("answering at").split()[2]

    async def test_a_gesture_is_broadcast(self):
        server, client = await self.connected(self.answering())
        gesture = {"type": "wave", "position": {"x": 0.5, "y": 0.25}, "confidence": 0.92}
        answer = get(server.clients + "/api/gesture/process", gesture)
        self.assertEqual(answer["gesture"]["type"], "wave")
        seen = await client.until({"type": "gesture"})
        self.assertEqual({name: seen["data"][name] for name in gesture}, gesture)
        with self.assertRaises(urllib.error.HTTPError) as refused:
            get(server.clients + "/api/gesture/process", {"type": "wave"})
        self.assertEqual(refused.exception.code, 400)

    async def test_a_question_is_answered_from_the_text_and_everybody_reads_it(self):
        server, client = await self.connected(self.answering())
        answer = get(server.clients + "/api/ai/infer", {"query": "What is a wave?"})
        self.assertIn("from side to side", answer["text"])
        self.assertEqual(answer["metadata"]["model"], "retrieval")
        seen = await client.until({"type": "ai_response"})
        self.assertEqual(seen["data"]["query"], "What is a wave?")
        self.assertEqual(seen["data"]["response"], answer["text"])
        unknown = get(server.clients + "/api/ai/infer", {"query": "Who won in Rome?"})
        self.assertEqual(unknown["text"], "My text says nothing about that.")

    async def test_a_service_of_ollamas_kind_answers_by_configuration(self):
        asked = []

        class Model(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                body = json.dumps({"response": "As a model says."}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
        threading.Thread(target=model.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(model.server_close)
        self.addCleanup(model.shutdown)
        url = f"http://127.0.0.1:{model.server_port}"
        server, _ = await self.connected(self.answering("--ollama", url, "--model", "small"))
        answer = get(server.clients + "/api/ai/infer", {"query": "Why?"})
        self.assertEqual((answer["text"], answer["metadata"]["model"]), ("As a model says.", "small"))
        self.assertEqual((asked[0]["prompt"], asked[0]["stream"]), ("Why?", False))

    async def test_without_the_service_everybody_is_told(self):
        server, client = await self.connected("http://127.0.0.1:9/")
        with self.assertRaises(urllib.error.HTTPError) as refused:
            get(server.clients + "/api/ai/infer", {"query": "Why?"})
        self.assertIn(refused.exception.code, (502, 504))
        error = await client.until({"type": "error"})
        self.assertEqual(error["data"]["code"], "AI_ERROR")


if __name__ == "__main__":
    unittest.main()
