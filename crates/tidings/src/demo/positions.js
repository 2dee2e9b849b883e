// Where a connection is in each stream: the number of the last event, or of a later mark. An event
// names no epoch, so the epoch is the one that the server named last.

export class Positions {
  /** stream → { epoch, seq } */
  #streams = new Map();

  get(stream) {
    return this.#streams.get(stream);
  }

  /** Forgets a stream that nothing reads any more. */
  forget(stream) {
    this.#streams.delete(stream);
  }

  /** Begins behind `position`, unless the stream is being read already. */
  begin(position, isRead) {
    const known = this.#streams.get(position.stream);
    if (!known || known.epoch === null || !isRead) this.#set(position);
  }

  /** Takes note of a live event; whether it is new. */
  event(stream, seq) {
    const known = this.#streams.get(stream);
    if (!known) {
      // A stream that the server had not named yet; a mark will say its epoch.
      this.#streams.set(stream, { epoch: null, seq });
      return true;
    }
    if (seq <= known.seq) return false;
    known.seq = seq;
    return true;
  }

  /** Everything up to the mark has come. */
  mark(position) {
    const known = this.#streams.get(position.stream);
    if (!known) return;
    if (known.epoch !== position.epoch && known.epoch !== null) this.#set(position);
    known.epoch ??= position.epoch;
    known.seq = Math.max(known.seq, position.seq);
  }

  /** Takes note of a gap; whether it is news. A new epoch is, even where nothing is missing. */
  gap({ stream, epoch, to }) {
    const known = this.#streams.get(stream);
    if (!known) return false;
    if (known.epoch !== null && known.epoch !== epoch) {
      this.#set({ stream, epoch, seq: to });
      return true;
    }
    known.epoch = epoch;
    const isNews = to > known.seq;
    known.seq = Math.max(known.seq, to);
    return isNews;
  }

  /** For the hello after a reconnection. */
  resume() {
    const named = [...this.#streams].filter(([, { epoch }]) => epoch !== null);
    return named.map(([stream, { epoch, seq }]) => ({ stream, epoch, after: seq }));
  }

  /** `[stream, { epoch, seq }]` of each stream. */
  entries() {
    return [...this.#streams].sort(([a], [b]) => a.localeCompare(b));
  }

  #set({ stream, epoch, seq }) {
    this.#streams.set(stream, { epoch, seq });
  }
}
