"""A real training, watched and steered through the trainer dialect."""

import base64
import unittest

from running import EXAMPLES, Client, ExampleTest

EVENTS = ["training_progress", "training_status", "sample_generated", "validation_result", "log"]


class TrainerTest(ExampleTest):
    async def training(self, *options):
        server = self.serve("trainer", "--config", EXAMPLES / "trainer/tidings.toml")
        client = await Client.open(self, server.endpoints["/ws"])
        await client.until({"type": "connection_established"})
        await client.send({"type": "subscribe", "events": EVENTS})
        await client.until({"type": "subscribed"})
        native = server.clients.replace("http", "ws") + "/v1/ws"
        where = ["--url", native, "--publish", server.admin, "--room", "test"]
        trainer = self.example("trainer/train.py", *where, *options)
        return trainer, client

    async def command(self, client, command, **args):
        message = {"type": "command", "command": command, "room": "test"}
        await client.send({**message, "args": args} if args else message)
        received = await client.until({"type": "command_received", "command": command})
        self.assertEqual(received["status"], "acknowledged")
        return await client.until({"type": "command_result", "command": command})

    async def test_a_training_shows_what_it_does_to_its_end(self):
        options = ["--epochs", 6, "--sample-every", 3, "--step-ms", 0]
        trainer, client = await self.training(*options)
        await client.until({"type": "training_status", "status": "completed"})
        of = lambda kind: [m for m in client.seen if m["type"] == kind]
        # Progress comes at its own pace, and its last may come after the end of the training.
        first = of("training_progress")[0]
        steps_all = first["max_step"] * first["max_epoch"]
        last = await client.since(0, {"type": "training_progress", "global_step": steps_all})
        self.assertEqual(last["eta_seconds"], 0)
        steps = [event["global_step"] for event in of("training_progress")]
        self.assertEqual(steps, sorted(set(steps)))
        losses = [event["validation_loss"] for event in of("validation_result")]
        self.assertEqual(len(losses), 6)
        self.assertLess(losses[-1], losses[0])
        samples = of("sample_generated")
        self.assertEqual([s["prompt"] for s in samples], [f"digit {n % 10}" for n in range(20)])
        for sample in samples:
            png = base64.b64decode(sample["path"].removeprefix("data:image/png;base64,"))
            self.assertTrue(png.startswith(b"\x89PNG"))
        self.assertTrue(any("training on" in event["message"] for event in of("log")))
        self.assertTrue(all(event["room"] == "test" for kind in EVENTS for event in of(kind)))
        self.assertEqual(trainer.process.wait(30), 0)

    async def test_pause_resume_draw_and_stop_reach_the_loop(self):
        trainer, client = await self.training("--epochs", 100_000, "--sample-every", 100_000)
        trainer.line("INFO commands: taking commands: ready")
        await client.until({"type": "training_progress"})

        before = len(client.seen)
        paused = await self.command(client, "pause")
        self.assertEqual((paused["ok"], paused["result"]), (True, {"status": "paused"}))
        await client.since(before, {"type": "training_status", "status": "paused"})
        # Drawing goes on in a pause, and nothing else does.
        before = len(client.seen)
        await self.command(client, "sample", digit=7)
        sample = await client.since(before, {"type": "sample_generated"})
        self.assertEqual((sample["prompt"], sample["sample_type"]), ("digit 7", "custom"))
        steps = {m["global_step"] for m in client.seen[before:] if m["type"] == "training_progress"}
        self.assertLessEqual(len(steps), 1)

        before = len(client.seen)
        await self.command(client, "resume")
        await client.since(before, {"type": "training_status", "status": "training"})
        await client.until({"type": "training_progress"})

        refused = await self.command(client, "sample", digit=11)
        self.assertFalse(refused["ok"])
        self.assertIn("0 to 9", str(refused["error"]))

        before = len(client.seen)
        await self.command(client, "stop")
        await client.since(before, {"type": "training_status", "status": "stopped"})
        self.assertEqual(trainer.process.wait(30), 0)


if __name__ == "__main__":
    unittest.main()
