"""Documents of two users with two devices each: commands, progress, and nobody else's events."""

import json
import pathlib
import socket
import subprocess
import sys
import unittest

from running import PROGRAM, EXAMPLES, Client, ExampleTest, get

SECRET = {"TIDINGS_SECRET": "a secret of this test, long enough for a key"}
TEXT = "The sea was calm. Nobody was there. The sea slept. At night the wind came over the sea."


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class StudioTest(ExampleTest):
    async def asyncSetUp(self):
        self.nats_port = free_port()
        self.start_nats()
        self.url = f"nats://127.0.0.1:{self.nats_port}"
        env = {**SECRET, "TIDINGS_NATS__URL": self.url}
        self.server = self.serve("studio", env=env)
        options = ["--nats", self.url, "--sentence-ms", 20]
        self.service = self.example("studio/service.py", *options)
        self.service.line("the document service is ready")

    def start_nats(self):
        program = pathlib.Path(sys.executable).with_name("nats-server")
        nats = self.start(program, "--addr", "127.0.0.1", "--port", self.nats_port)
        while "Server is ready" not in nats.line("["):
            pass
        return nats

    def token(self, user, device):
        command = [PROGRAM, "token", "--profile", "studio", "--user", user, "--device", device, "--json"]
        env = {**SECRET, "PATH": "/usr/bin:/bin"}
        made = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        return json.loads(made.stdout)["token"]

    async def device(self, user, device):
        url = f"{self.server.endpoints['/api/v1/ws']}?token={self.token(user, device)}"
        client = await Client.open(self, url)
        ready = await client.until({"type": "connected"})
        self.assertEqual(ready["data"]["user_id"], user)
        events = ["blob.*", "processor.*", "book.updated"]
        await client.send({"type": "subscribe", "events": events})
        await client.until({"type": "subscribed"})
        return client

    async def create(self, client, content, **metadata):
        """The source may still be connecting: what is created then is in nobody's stream."""
        data = {"content": content, "metadata": metadata}
        await client.send({"type": "create_blob", "data": data, "id": 1})
        result = await client.until(lambda m: m["type"] in ("result", "error"))
        self.assertEqual(result["type"], "result", result)
        return result["data"]["result"]["blob_id"]

    async def test_a_document_and_its_progress_reach_all_devices_of_its_user_and_no_other(self):
        ada = [await self.device("ada", "laptop"), await self.device("ada", "phone")]
        ben = [await self.device("ben", "desktop"), await self.device("ben", "tablet")]
        blob = await self.create(ada[0], TEXT, book_id="sea")
        for client in ada:
            created = next(
                (m for m in client.seen if m["type"] == "blob.created"), None
            ) or await client.until({"type": "blob.created"})
            self.assertEqual((created["data"]["blob_id"], created["data"]["user_id"]), (blob, "ada"))
            updated = await client.until({"type": "book.updated"})
            self.assertEqual(updated["data"]["chapter_added"]["chapter_num"], 1)

        await ada[1].send({"type": "process_blob", "data": {"blob_id": blob, "processor_id": "words"}})
        for client in ada:
            derived = await client.until({"type": "blob.derived"})
            self.assertIn("sea (3)", derived["data"]["preview"])
            progress = [m["data"]["progress"] for m in client.seen if m["type"] == "processor.status"]
            self.assertEqual(progress, [0.25, 0.5, 0.75, 1.0])

        own = await self.create(ben[0], "Ben writes.")
        for client in ben:
            if not any(m["type"] == "blob.created" for m in client.seen):
                await client.until({"type": "blob.created"})
            blobs = {m["data"].get("blob_id") for m in client.seen if m["type"].startswith("blob.")}
            self.assertEqual(blobs, {own})

        # A user cannot have another's document processed, nor learn that it is there.
        asked = {"blob_id": blob, "processor_id": "words"}
        await ben[0].send({"type": "process_blob", "data": asked})
        error = await ben[0].until({"type": "error"})
        self.assertIn("no document", error["data"]["message"])

    async def test_too_many_documents_are_refused_with_a_time_to_come_back(self):
        ada = await self.device("ada", "laptop")
        for number in range(31):
            await ada.send({"type": "create_blob", "data": {"content": f"Text {number}."}})
        error = await ada.until({"type": "error"})
        self.assertTrue(0 < error["data"]["retry_after"] <= 60, error)

    async def test_the_links_of_the_page_have_a_token_for_each_device(self):
        command = [sys.executable, EXAMPLES / "studio/links.py", "--program", PROGRAM]
        env = {**SECRET, "PATH": "/usr/bin:/bin"}
        made = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        address, _, tokens = made.stdout.strip().partition("#")
        self.assertTrue(address.endswith("/studio/page/"))
        users = []
        for token in tokens.split(","):
            client = await Client.open(self, f"{self.server.endpoints['/api/v1/ws']}?token={token}")
            users.append((await client.until({"type": "connected"}))["data"]["user_id"])
        self.assertEqual(users, ["ada", "ada", "ben", "ben"])
        health = get(self.server.clients + "/health")
        self.assertEqual((health["active_users"], health["active_connections"]), (2, 4))


if __name__ == "__main__":
    unittest.main()
