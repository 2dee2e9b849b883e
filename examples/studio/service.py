"""A document service behind NATS: takes commands, and tells each user what became of theirs.

It knows nothing of Tidings or of WebSockets: requests come in on NATS subjects, events go out.
"""

import argparse
import asyncio
import json
import logging
import signal
from datetime import datetime, timezone

import nats

from documents import PROCESSORS, Documents, Refused, preview

log = logging.getLogger("studio")

PROCESSING_MAX = 4


class Service:
    def __init__(self, connection, documents, sentence_ms):
        self.connection, self.documents = connection, documents
        self.sentence_seconds = sentence_ms / 1000
        self.processing = {}

    async def tell(self, subject, user, data):
        """An event without `user_id` would reach nobody."""
        await self.connection.publish(subject, json.dumps({"user_id": user, **data}).encode())

    async def answer(self, message, command):
        """Answers a request: with the result as it is, or with an error."""
        try:
            request = json.loads(message.data)
            user, data = request.get("user"), request.get("data")
            if not isinstance(user, str) or not isinstance(data, dict):
                raise Refused("bad_request", "a command has a user, and data that is an object")
            reply = await command(user, data)
            log.info("%s for %s", command.__name__, user)
        except Refused as refused:
            reply = {"error": refused.error}
        except ValueError:
            reply = {"error": {"code": "bad_request", "message": "that is not JSON"}}
        await message.respond(json.dumps(reply).encode())

    async def create_blob(self, user, data):
        content, metadata = data.get("content"), data.get("metadata") or {}
        book = metadata.get("book_id") if isinstance(metadata, dict) else None
        blob = self.documents.create(user, content, book)
        await self.tell("blob.created", user, {
            "blob_id": blob,
            "processor_id": "user-input",
            "schema_id": data.get("schema_id", "text-input-v1"),
            "preview": preview(content.strip()),
            "book_id": book,
            "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        })
        if book is not None:
            number = self.documents.chapters(user, book)
            chapter = {"chapter_num": number, "blob_id": blob, "title": f"Chapter {number}"}
            await self.tell("book.updated", user, {"book_id": book, "chapter_added": chapter})
        return {"blob_id": blob}

    async def process_blob(self, user, data):
        blob, name = data.get("blob_id"), data.get("processor_id")
        if name not in PROCESSORS:
            raise Refused("not_found", f"there is no such processor; there are {', '.join(PROCESSORS)}")
        content = self.documents.content(user, blob)
        running = self.processing.setdefault(user, set())
        if len(running) >= PROCESSING_MAX:
            raise Refused("overloaded", f"{PROCESSING_MAX} of your documents are being processed", 2000)
        task = asyncio.create_task(self.process(user, blob, name, content))
        running.add(task)
        task.add_done_callback(running.discard)
        return {"blob_id": blob, "processor_id": name, "status": "accepted"}

    async def process(self, user, blob, name, content):
        about = {"blob_id": blob, "processor_id": name}
        try:
            derived, text = await self.derive(user, blob, about, content)
        except Exception:
            log.exception("%s of %s failed", name, blob)
            failed = {**about, "status": "failed", "progress": 1.0, "message": "It went wrong."}
            await self.tell("processor.status", user, failed)
            return
        ratio = round(len(text) / len(content), 2)
        done = {"parent_id": blob, "derived_id": derived, "processor_id": name, "expansion_ratio": ratio}
        await self.tell("blob.derived", user, {**done, "preview": preview(text)})
        await self.tell("processor.completed", user, {**about, "derived_id": derived})

    async def derive(self, user, blob, about, content):
        processor = PROCESSORS[about["processor_id"]](content)
        count = len(processor.sentences)
        for number, sentence in enumerate(processor.sentences, 1):
            processor.read(sentence)
            status = {"status": "processing", "progress": round(number / count, 3)}
            message = f"sentence {number} of {count}"
            await self.tell("processor.status", user, {**about, **status, "message": message})
            await asyncio.sleep(self.sentence_seconds)
        text = processor.result()
        return self.documents.create(user, text, parent=blob), text


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", default="nats://127.0.0.1:4222", metavar="URL")
    parser.add_argument("--documents", default=":memory:", metavar="FILE", help="kept in this file")
    parser.add_argument("--sentence-ms", type=float, default=150, help="how long a sentence is read")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    async def lost():
        log.warning("NATS is away; coming back")

    async def back():
        log.info("NATS is there again")

    connection = await nats.connect(
        options.nats, max_reconnect_attempts=-1, disconnected_cb=lost, reconnected_cb=back
    )
    service = Service(connection, Documents(options.documents), options.sentence_ms)
    for command in (service.create_blob, service.process_blob):
        async def take(message, command=command):
            await service.answer(message, command)

        await connection.subscribe(f"studio.commands.{command.__name__}", "documents", cb=take)
    await connection.flush()
    log.info("the document service is ready")
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await connection.drain()


if __name__ == "__main__":
    asyncio.run(main())
