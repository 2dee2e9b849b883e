"""Speaks a sentence to the speech endpoint as a client would, and shows what comes back."""

import argparse
import asyncio
import json
import pathlib
import subprocess
import tempfile
import wave

import websockets

CHUNK_SECONDS = 0.1


def spoken(text):
    """A sentence as samples: (rate, bytes)."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "spoken.wav")
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", file, text], check=True)
        return samples(file)


def samples(file):
    with wave.open(str(file)) as sound:
        if sound.getsampwidth() != 2 or sound.getnchannels() != 1:
            raise SystemExit("only WAV files with one channel of 16 bits can be sent")
        return sound.getframerate(), sound.readframes(sound.getnframes())


async def send(socket, rate, sound, pace):
    start = {"format": "pcm16", "rate": rate}
    await socket.send(json.dumps({"command": "audio_start", "data": start}))
    size = round(rate * CHUNK_SECONDS) * 2
    for at in range(0, len(sound), size):
        await socket.send(sound[at : at + size])
        await asyncio.sleep(CHUNK_SECONDS / pace)
    await socket.send(json.dumps({"command": "audio_end"}))


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", help="a sentence, or a WAV file")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/events")
    parser.add_argument("--pace", type=float, default=1.0, help="times as fast as one speaks")
    options = parser.parse_args()
    rate, sound = samples(options.what) if options.what.endswith(".wav") else spoken(options.what)
    async with websockets.connect(options.url) as socket:
        sending = asyncio.create_task(send(socket, rate, sound, options.pace))
        async for frame in socket:
            event = json.loads(frame)
            print(json.dumps(event, ensure_ascii=False), flush=True)
            if sending.done() and event.get("is_final"):
                return


if __name__ == "__main__":
    asyncio.run(main())
