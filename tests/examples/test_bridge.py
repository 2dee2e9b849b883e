"""The bridge never holds a training up, whatever happens behind it."""

import http.server
import json
import logging
import sys
import threading
import types
import unittest

from running import EXAMPLES

sys.path.insert(0, str(EXAMPLES / "trainer"))

from bridge import LogToBridge, Remaining, TrainingBridge  # noqa: E402
from publisher import Publisher  # noqa: E402


class Recorder:
    """Stands where the publisher is."""

    def __init__(self):
        self.events = []

    def publish(self, topic, data, newest_only=False):
        self.events.append((topic, data))


def progress(epoch, epoch_step, steps=10):
    at = {"epoch": epoch, "epoch_step": epoch_step, "global_step": epoch * steps + epoch_step}
    return types.SimpleNamespace(**at, loss=0.5, learning_rate=0.001)


class BridgeTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.recorder, self.now = Recorder(), 0.0
        self.bridge = TrainingBridge(self.recorder, "r", clock=lambda: self.now)

    def test_progress_is_throttled_and_its_end_is_not(self):
        for step in range(1, 101):
            self.now = step / 100
            self.bridge.on_update_train_progress(progress(0, step, 100), 100, 1)
        steps = [data["epoch_step"] for _, data in self.recorder.events]
        self.assertEqual(steps[-1], 100)
        self.assertTrue(9 <= len(steps) <= 12, steps)

    def test_a_steady_pace_gives_the_time_that_is_left(self):
        for step in range(1, 6):
            self.now = 2.0 * step
            self.bridge.on_update_train_progress(progress(0, step), 10, 2)
        left = [data["eta_seconds"] for _, data in self.recorder.events]
        self.assertEqual(left, [None, 36.0, 34.0, 32.0, 30.0])

    def test_a_pause_does_not_count_as_time_that_steps_take(self):
        remaining = Remaining()
        remaining.seconds(0.0, 0, 100)
        remaining.seconds(10.0, 10, 100)
        remaining.pause()
        remaining.seconds(5000.0, 11, 100)
        self.assertAlmostEqual(remaining.seconds(5010.0, 21, 100), 79.0)

    def test_a_callback_that_goes_wrong_is_counted_and_the_training_goes_on(self):
        self.bridge.on_update_train_progress(object(), 10, 1)
        self.bridge.on_sample_default(None)
        self.recorder.publish = None
        self.bridge.on_update_status("training")
        self.assertEqual(self.bridge.failures, 3)

    def test_every_callback_has_its_event(self):
        sample = types.SimpleNamespace(path="p", thumbnail_path="t", prompt="x", step=1, epoch=0)
        self.bridge.on_update_status("paused", "for a while")
        self.bridge.on_sample_default(sample)
        self.bridge.on_sample_custom(sample)
        self.bridge.on_update_sample_default_progress(1, 2)
        self.bridge.on_update_sample_custom_progress(2, 2)
        self.bridge.on_validation(3, 0, 0.25)
        log = logging.LogRecord("training", logging.WARNING, "", 0, "hot", None, None)
        LogToBridge(self.bridge).emit(log)
        topics = [topic for topic, _ in self.recorder.events]
        self.assertEqual(topics, [
            "trainer.r.training_status",
            "trainer.r.sample_generated",
            "trainer.r.sample_generated",
            "trainer.r.sample_progress",
            "trainer.r.sample_progress",
            "trainer.r.validation_result",
            "trainer.r.log",
        ])
        kinds = [data.get("sample_type") for _, data in self.recorder.events]
        self.assertEqual(kinds[1:5], ["default", "custom", "default", "custom"])


class Server:
    """Takes what is published, or fails as often as it is told to."""

    def __init__(self, failures=0, status=503):
        self.batches, self.failures, self.status = [], failures, status
        self.may_answer = threading.Event()
        self.may_answer.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.may_answer.wait()
                outer.batches.append(body)
                fails = outer.failures > 0
                outer.failures -= 1
                answer = b"" if fails else json.dumps([{"seq": 1}] * len(body)).encode()
                self.send_response(outer.status if fails else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def close(self):
        self.may_answer.set()
        self.http.shutdown()
        self.http.server_close()


class PublisherTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def server(self, **options):
        server = Server(**options)
        self.addCleanup(server.close)
        return server

    def test_all_that_was_taken_is_published_in_order(self):
        server = self.server()
        publisher = Publisher(server.url)
        for number in range(500):
            publisher.publish("a", number)
        self.assertTrue(publisher.close(30))
        self.assertEqual([event["data"] for batch in server.batches for event in batch], [*range(500)])
        self.assertEqual((publisher.published, publisher.dropped), (500, 0))

    def test_nothing_overtakes_what_was_published_before_it(self):
        server = self.server()
        server.may_answer.clear()
        publisher = Publisher(server.url)
        for number in range(3):
            publisher.publish("newest", number, newest_only=True)
            publisher.publish("all", number)
        server.may_answer.set()
        self.assertTrue(publisher.close(30))
        published = [(e["topic"], e["data"]) for batch in server.batches for e in batch]
        # What the thread took before the server hung came first anyway.
        self.assertEqual(published[-2:], [("newest", 2), ("all", 2)])
        self.assertEqual([data for topic, data in published if topic == "all"], [0, 1, 2])

    def test_a_failure_is_counted_and_tried_again_with_the_same_id(self):
        server = self.server(failures=2)
        publisher = Publisher(server.url)
        publisher.publish("a", 1)
        self.assertTrue(publisher.close(30))
        self.assertEqual(publisher.failures, 2)
        self.assertEqual(len({event["id"] for batch in server.batches for event in batch}), 1)
        self.assertEqual(publisher.published, 1)

    def test_what_the_server_refuses_is_not_tried_again(self):
        server = self.server(failures=1, status=400)
        publisher = Publisher(server.url)
        publisher.publish("a", 1)
        self.assertTrue(publisher.close(30))
        self.assertEqual((publisher.refused, len(server.batches)), (1, 1))

    def test_a_server_that_hangs_holds_nobody_up_and_the_queue_stays_bounded(self):
        server = self.server()
        server.may_answer.clear()
        publisher = Publisher(server.url, queue_max=10)
        for number in range(1000):
            publisher.publish("a", number)
            publisher.publish("newest", number, newest_only=True)
        self.assertGreaterEqual(publisher.dropped, 1000 - 10 - 100)
        server.may_answer.set()
        self.assertTrue(publisher.close(30))
        newest = [e["data"] for batch in server.batches for e in batch if e["topic"] == "newest"]
        self.assertEqual(newest[-1], 999)
        self.assertEqual(publisher.published + publisher.dropped, 1000 + len(newest))

    def test_without_a_server_closing_comes_back_and_says_so(self):
        server = Server()
        server.close()
        publisher = Publisher(server.url)
        publisher.publish("a", 1)
        self.assertFalse(publisher.close(0.2))
        self.assertGreaterEqual(publisher.failures, 1)


if __name__ == "__main__":
    unittest.main()
