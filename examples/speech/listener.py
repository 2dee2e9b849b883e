"""Recognises what one client says, as it comes: who speaks, which words, and the wake word."""

import array
import time
import uuid

from pocketsphinx import Decoder, Endpointer

RATE = 16_000
WAKE_WORD = "computer"

# With a small language the small model understands well what it is about.
_GRAMMAR = """#JSGF V1.0;
grammar home;
<thing> = light | lamp | radio | heating | television;
<room> = kitchen | bedroom | bathroom | garden;
<number> = one | two | three | four | five | six | seven | eight | nine | ten | twenty | thirty;
<wish> = turn (on | off) the <thing> [in the <room>]
       | (open | close) the (window | door | curtain) [in the <room>]
       | set the alarm for <number> (minutes | hours)
       | what is the (time | weather)
       | play some music
       | stop the music;
public <sentence> = [WAKE_WORD] <wish> | WAKE_WORD;
"""


def resampled(samples, rate):
    """Samples at the rate that the model knows, on straight lines between those that there are."""
    if rate == RATE or len(samples) < 2:
        return samples
    made = array.array("h", bytes(2 * int(len(samples) * RATE / rate)))
    for number in range(len(made)):
        at = number * rate / RATE
        whole = min(int(at), len(samples) - 2)
        share = at - whole
        made[number] = round(samples[whole] * (1 - share) + samples[whole + 1] * share)
    return made


class Listener:
    """`hear` and `end` give events: (name, data)."""

    def __init__(self, wake_word=WAKE_WORD, session=None):
        self.session = session or str(uuid.uuid4())
        self._odd = self._rest = b""
        self._set_wake_word(wake_word)
        self._endpointer = Endpointer(sample_rate=RATE)
        self._is_open = False

    def _set_wake_word(self, word):
        self._wake_word = word
        self._decoder = Decoder(samprate=RATE, loglevel="FATAL", lm=None)
        self._decoder.add_jsgf_string("home", _GRAMMAR.replace("WAKE_WORD", word))
        self._decoder.activate_search("home")

    def hear(self, chunk, rate=RATE):
        """A chunk of 16-bit samples, of any length."""
        chunk = self._odd + chunk
        whole = len(chunk) - len(chunk) % 2
        self._odd, samples = chunk[whole:], array.array("h", chunk[:whole])
        self._rest += resampled(samples, rate).tobytes()
        size, events = self._endpointer.frame_bytes, []
        while len(self._rest) >= size:
            frame, self._rest = self._rest[:size], self._rest[size:]
            events += self._frame(self._endpointer.process(frame), self._endpointer.in_speech)
        return events

    def end(self):
        """Nothing more comes: what was said last is complete."""
        last = self._endpointer.end_stream(self._rest[: self._endpointer.frame_bytes])
        self._odd = self._rest = b""
        events = self._frame(last, False)
        if self._is_open:
            events += self._finish()
        self._endpointer = Endpointer(sample_rate=RATE)
        return events

    def _frame(self, speech, goes_on):
        if not speech:
            return []
        if not self._is_open:
            self._is_open, self._told, self._is_awake = True, "", False
            self._decoder.start_utt()
        self._decoder.process_raw(speech, False, False)
        return self._progress() if goes_on else self._finish()

    def _progress(self):
        hypothesis = self._decoder.hyp()
        text = hypothesis.hypstr if hypothesis else ""
        events = self._wake(text)
        if text and text != self._told:
            self._told = text
            events.append(self._transcription(text, False))
        return events

    def _wake(self, text):
        if self._is_awake or text.split(" ", 1)[0] != self._wake_word:
            return []
        self._is_awake = True
        confidence = next(s.prob for s in self._decoder.seg() if s.word == self._wake_word)
        data = {"word": self._wake_word, "confidence": round(min(confidence, 1.0), 3)}
        return [("wake_word", {**data, "timestamp": int(time.time()), "session_id": self.session})]

    def _finish(self):
        self._decoder.end_utt()
        self._is_open = False
        hypothesis = self._decoder.hyp()
        text = hypothesis.hypstr if hypothesis else ""
        # An empty text takes back what was guessed of a sentence that is none.
        events = self._wake(text)
        return events + [self._transcription(text, True)] if text or self._told else events

    def _transcription(self, text, is_final):
        return ("transcription", {"text": text, "is_final": is_final, "session_id": self.session})


def knows(word):
    """Whether the model's dictionary has a word."""
    return Decoder(samprate=RATE, loglevel="FATAL", lm=None).lookup_word(word) is not None
