"""The documents of a writing studio, each of one user, in a database file."""

import re
import sqlite3
import time
import uuid
from collections import Counter

CONTENT_MAX = 50_000
CREATED_PER_MINUTE_MAX = 30
PREVIEW = 200
_COMMON = set(
    "a an and are as at be but by for from had has have he her his i in is it its not of on or "
    "she that the their them they this to was were which who will with you".split()
)


class Refused(Exception):
    """What cannot be done: a code and a sentence for whoever asked, and when to ask again."""

    def __init__(self, code, message, retry_after_ms=None):
        super().__init__(message)
        self.error = {"code": code, "message": message}
        if retry_after_ms is not None:
            self.error["retry_after_ms"] = retry_after_ms


class Documents:
    def __init__(self, file=":memory:"):
        self._database = sqlite3.connect(file)
        self._database.execute(
            "create table if not exists documents"
            " (id text primary key, user text, parent text, book text, content text, created real)"
        )

    def create(self, user, content, book=None, parent=None):
        if not isinstance(content, str) or not content.strip():
            raise Refused("invalid_data", "`content` is a text that is not empty")
        if len(content) > CONTENT_MAX:
            raise Refused("too_large", f"a document has at most {CONTENT_MAX} characters")
        now = time.time()
        if parent is None:
            self._within_quota(user, now)
        made = f"blob_{uuid.uuid4().hex[:12]}"
        row = (made, user, parent, book, content.strip(), now)
        with self._database:
            self._database.execute("insert into documents values (?, ?, ?, ?, ?, ?)", row)
        return made

    def _within_quota(self, user, now):
        question = "select created from documents where user = ? and parent is null and created > ? order by created"
        recent = self._database.execute(question, (user, now - 60)).fetchall()
        if len(recent) >= CREATED_PER_MINUTE_MAX:
            wait = round((recent[0][0] + 60 - now) * 1000)
            raise Refused("rate_limited", f"{CREATED_PER_MINUTE_MAX} documents a minute are enough", wait)

    def content(self, user, blob):
        """The text of a document. Who does not own it is told that there is none."""
        question = "select content from documents where id = ? and user = ?"
        row = self._database.execute(question, (blob, user)).fetchone()
        if row is None:
            raise Refused("not_found", "you have no document of that name")
        return row[0]

    def chapters(self, user, book):
        question = "select count(*) from documents where user = ? and book = ?"
        return self._database.execute(question, (user, book)).fetchone()[0]


def preview(content):
    return content if len(content) <= PREVIEW else content[: PREVIEW - 1] + "…"


def sentences(content):
    return [part for part in re.split(r"(?<=[.!?…])\s+|\n+", content) if part.strip()]


def words(text):
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower())


class Summary:
    """The third of the sentences whose words are the most frequent ones, in their order."""

    def __init__(self, content):
        self.sentences = sentences(content)
        self._counts = Counter(word for word in words(content) if word not in _COMMON)
        self._rated = []

    def read(self, sentence):
        known = [self._counts[word] for word in words(sentence) if word in self._counts]
        self._rated.append(sum(known) / (len(known) + 3))

    def result(self):
        count = max(1, len(self.sentences) // 3)
        best = sorted(range(len(self._rated)), key=lambda at: -self._rated[at])[:count]
        return " ".join(self.sentences[at].strip() for at in sorted(best))


class WordList:
    """How long a text is, and the words that it uses most."""

    def __init__(self, content):
        self.sentences = sentences(content)
        self._counts, self._words = Counter(), 0

    def read(self, sentence):
        found = words(sentence)
        self._words += len(found)
        self._counts.update(word for word in found if word not in _COMMON)

    def result(self):
        most = ", ".join(f"{word} ({count})" for word, count in self._counts.most_common(8))
        per_sentence = self._words / max(len(self.sentences), 1)
        return f"{self._words} words in {len(self.sentences)} sentences, {per_sentence:.1f} each. Most used: {most}."


PROCESSORS = {"summary": Summary, "words": WordList}
