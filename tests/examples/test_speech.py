"""What is spoken is understood: audio goes in as binary frames, words come out."""

import sys
import unittest

from running import EXAMPLES, Client, ExampleTest

SPOKEN = "computer, turn on the light in the kitchen"


class SpeechTest(ExampleTest):
    async def recognizing(self):
        server = self.serve("speech", "--config", EXAMPLES / "speech/tidings.toml")
        native = server.clients.replace("http", "ws") + "/v1/ws"
        recognizer = self.example("speech/recognizer.py", "--url", native, "--publish", server.admin)
        recognizer.line("ready")
        return server.endpoints["/events"], recognizer

    def say(self, url, what, *options):
        return self.example("speech/say.py", what, "--url", url, "--pace", 2, *options)

    async def test_everybody_reads_what_one_client_says(self):
        url, _ = await self.recognizing()
        listener = await Client.open(self, url)
        speaker = self.say(url, SPOKEN)
        woken = await listener.until({"event": "wake_word"})
        self.assertEqual(woken["word"], "computer")
        self.assertTrue(0 < woken["confidence"] <= 1)
        final = await listener.until({"event": "transcription", "is_final": True})
        self.assertEqual(final["text"], SPOKEN.replace(",", ""))
        partial = [m["text"] for m in listener.seen if m.get("is_final") is False]
        # A recogniser may change its mind; what it says last is a beginning of what it ends with.
        self.assertTrue(partial and final["text"].startswith(partial[-1]), partial)
        # Whoever speaks gets it, too.
        speaker.line('{"event": "transcription", "text": "computer turn on the light in the kitchen"')

    async def test_a_session_is_named_and_the_wake_word_is_another(self):
        url, _ = await self.recognizing()
        client = await Client.open(self, url)

        async def command(name, data):
            await client.send({"command": name, "data": data})
            return await client.until({"event": "command_result", "command": name})

        started = await command("start_session", {"session_id": "s-7"})
        self.assertEqual(started["result"], {"session_id": "s-7"})
        refused = await command("configure", {"wake_word": "xyzzyx"})
        self.assertFalse(refused["ok"])
        configured = await command("configure", {"wake_word": "hello"})
        self.assertEqual(configured["result"], {"wake_word": "hello"})
        self.say(url, "hello, open the window")
        woken = await client.until({"event": "wake_word"})
        self.assertEqual((woken["word"], woken["session_id"]), ("hello", "s-7"))
        final = await client.until({"event": "transcription", "is_final": True})
        self.assertEqual(final["text"], "hello open the window")


class ListenerTest(unittest.TestCase):
    def test_chunks_of_any_length_and_rate_give_the_same_words(self):
        sys.path.insert(0, str(EXAMPLES / "speech"))
        import say
        from listener import Listener

        rate, sound = say.spoken(SPOKEN)
        self.assertNotEqual(rate, 16_000)
        texts = set()
        for size in (777, 4_096, len(sound)):
            listener, events = Listener(), []
            for at in range(0, len(sound), size):
                events += listener.hear(sound[at : at + size], rate)
            events += listener.end()
            texts.add(events[-1][1]["text"])
        self.assertEqual(texts, {SPOKEN.replace(",", "")})


if __name__ == "__main__":
    unittest.main()
