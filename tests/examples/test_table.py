"""What is seen of a pool table: balls, shots and images, through the table dialect."""

import unittest

from running import Client, ExampleTest

EVENTS = ["config", "state", "trajectory", "game_started", "shot_taken", "ball_pocketed", "alert"]


class TableTest(ExampleTest):
    async def test_balls_are_found_shots_are_seen_and_images_arrive(self):
        server = self.serve("table")
        url = server.endpoints["/api/v1/ws"]
        client = await Client.open(self, url)
        await client.until({"type": "connection"})
        await client.send({"type": "subscribe", "data": {"streams": EVENTS}})
        subscribed = await client.until({"type": "subscribed"})
        self.assertEqual(subscribed["data"].get("rejected", []), [])
        film = await Client.open(self, url)
        await film.until({"type": "connection"})
        asked = {"streams": ["frame"], "filters": {"binary": True}}
        await film.send({"type": "subscribe", "data": asked})
        await film.until({"type": "subscribed"})

        self.example("table/play.py", "--publish", server.admin, "--fps", 15)
        started = await client.until({"type": "game_started"})
        self.assertEqual(len(started["data"]["balls"]), 9)
        aimed = await client.until({"type": "trajectory"})
        self.assertEqual(aimed["data"]["lines"][0]["ball"], "cue")
        shot = await client.until({"type": "shot_taken"})
        self.assertGreater(shot["data"]["speed"], 1.0)

        def is_scattered(message):
            """The break has moved balls that were racked."""
            balls = message["data"].get("balls", []) if message["type"] == "state" else []
            return sum(ball["id"] != "cue" and abs(ball["vx"]) > 0.1 for ball in balls) >= 2

        await client.until(is_scattered)
        states = [m for m in client.seen if m["type"] == "state" and m["data"]["balls"]]
        cue = next(ball for ball in states[0]["data"]["balls"] if ball["id"] == "cue")
        self.assertAlmostEqual(cue["x"], 2.24 / 4, delta=0.006)
        self.assertAlmostEqual(cue["y"], 1.12 / 2, delta=0.006)
        sequences = [message["sequence"] for message in states]
        self.assertEqual(sequences, sorted(set(sequences)))
        image = await film.until(lambda message: isinstance(message, bytes))
        self.assertIn(b"\xff\xd8\xff", image[:1024])


if __name__ == "__main__":
    unittest.main()
