"""A small AI service over HTTP: answers questions from a text, or lets an Ollama-style service do it.

Tidings sends it what the page asks, as the backend of the command `gesture.ai_infer`.
"""

import argparse
import http.server
import json
import logging
import math
import pathlib
import re
import time
import urllib.error
import urllib.request
from collections import Counter

log = logging.getLogger("answerer")

TEXT = pathlib.Path(__file__).with_name("knowledge.txt")
QUESTION_BYTES_MAX = 64 * 1024
_IGNORED = set("a an the of is are was in on to and or what which who how does do it that this i you me tell about can".split())


def _words(text):
    """The words of a text without their endings, so that a gesture and gestures are the same."""
    found = re.findall(r"[a-z]+", text.lower())
    return [re.sub(r"(ing|ed|es|s)$", "", word) if len(word) > 4 else word for word in found if word not in _IGNORED]


class Retrieval:
    """Gives the sentences that share the rarest words with a question."""

    model = "retrieval"

    def __init__(self, sentences):
        self._sentences = [(text, Counter(_words(text))) for text in sentences]
        among = Counter(word for _, words in self._sentences for word in words)
        self._weights = {word: math.log(1 + len(self._sentences) / count) for word, count in among.items()}

    def answer(self, query, context):
        # What was talked about before counts too, and less.
        asked = Counter(_words(query))
        for word in _words(context):
            asked[word] += 0.3
        rated = sorted(((self._fit(asked, words), text) for text, words in self._sentences), reverse=True)
        known = sum(self._weights.get(word, 5.0) * count for word, count in asked.items())
        best = [text for fit, text in rated[:2] if known and fit > 0.15 * known and fit > 0.7 * rated[0][0]]
        if not best:
            return "My text says nothing about that."
        return " ".join(best)

    def _fit(self, asked, words):
        shared = sum(count * self._weights[word] for word, count in asked.items() if word in words)
        return shared / (1 + 0.02 * sum(words.values()))


class Ollama:
    """Lets a service with Ollama's API answer."""

    def __init__(self, url, model, timeout):
        self._url, self.model, self._timeout = url.rstrip("/") + "/api/generate", model, timeout

    def answer(self, query, context):
        prompt = f"{context}\n\n{query}" if context else query
        body = json.dumps({"model": self.model, "prompt": prompt, "stream": False}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=self._timeout) as response:
            return json.load(response)["response"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answerer = None

    def do_POST(self):
        try:
            length = int(self.headers.get("Content-Length", 0))
            if length > QUESTION_BYTES_MAX:
                self.close_connection = True
                return self._refuse(413, "too_large", "so long a question is not read")
            asked = json.loads(self.rfile.read(length))
            data = asked.get("data", asked)
            query, context = data.get("query"), data.get("context")
            if not isinstance(query, str) or not query.strip():
                raise ValueError("`query` is a text that is not empty")
        except (ValueError, AttributeError) as error:
            return self._refuse(400, "bad_request", str(error))
        began = time.perf_counter()
        try:
            context = context if isinstance(context, str) else json.dumps(context) if context else ""
            text = self.answerer.answer(query, context)
        except (OSError, KeyError, ValueError) as error:
            log.warning("no answer: %s", error)
            return self._refuse(502, "command_failed", f"the model does not answer: {error}")
        milliseconds = round((time.perf_counter() - began) * 1000, 2)
        metadata = {"model": self.answerer.model, "inferenceTime": milliseconds, "tokenCount": len(text.split())}
        log.info("%r: %s", query, text)
        self._send(200, {"text": text, "metadata": metadata})

    def _refuse(self, status, code, message):
        self._send(status, {"error": {"code": code, "message": message}})

    def _send(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=11500)
    parser.add_argument("--text", type=pathlib.Path, default=TEXT, help="answer from this file")
    parser.add_argument("--ollama", metavar="URL", help="ask this service instead, such as http://127.0.0.1:11434")
    parser.add_argument("--model", default="llama3.2")
    parser.add_argument("--timeout", type=float, default=25, metavar="SECONDS")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.ollama:
        Handler.answerer = Ollama(options.ollama, options.model, options.timeout)
    else:
        sentences = [line.strip() for line in options.text.read_text("utf-8").splitlines()]
        Handler.answerer = Retrieval([line for line in sentences if line])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    log.info("answering at http://127.0.0.1:%d with %s", server.server_port, Handler.answerer.model)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
