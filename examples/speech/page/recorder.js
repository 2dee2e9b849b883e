// Runs where audio is processed: hands the samples on as 16-bit numbers, a tenth of a second at once.

class Recorder extends AudioWorkletProcessor {
  #chunk = new Int16Array(sampleRate / 10);
  #filled = 0;

  process([[samples]]) {
    for (const sample of samples ?? []) {
      this.#chunk[this.#filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.#filled < this.#chunk.length) continue;
      this.port.postMessage(this.#chunk.buffer, [this.#chunk.buffer]);
      this.#chunk = new Int16Array(sampleRate / 10);
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
