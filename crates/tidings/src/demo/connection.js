// One connection after another: when to connect, when to come back, and whether the server lives.

/** Longest wait before the first attempt; it doubles with each failure, up to the other. */
const BACKOFF_MIN_MS = 250;
const BACKOFF_MAX_MS = 15_000;
/** How long an attempt may take until the server has answered. */
const CONNECT_TIMEOUT_MS = 10_000;
/** How long the answer to a ping may take. */
const PING_TIMEOUT_MS = 10_000;
/** A server cannot keep a client away longer than this. */
const RECONNECT_AFTER_MAX_MS = 600_000;
/** Close codes after which coming back would not help, unless the server says otherwise. */
const FINAL_CODES = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4409]);
/** The id of pings; requests begin at 1. */
const PING_ID = 0;

export class Connection {
  #url;
  #handlers;
  #socket = null;
  #isOpen = false;
  #isClosed = false;
  #failures = 0;
  /** What the server said before it closed. */
  #closing = null;
  #heartbeatMs = 30_000;
  /** The one timer: of an attempt, of the heartbeat, or until the next attempt. */
  #timer = null;

  constructor(url, handlers) {
    this.#url = url;
    this.#handlers = handlers;
    // No cause to give up: a server on this machine needs no network. But cause to look.
    globalThis.addEventListener?.("offline", () => this.#isOpen && this.#ping());
    globalThis.addEventListener?.("online", () => this.#hurry());
    queueMicrotask(() => this.#connect());
  }

  /** Whether requests can be sent. */
  get isOpen() {
    return this.#isOpen;
  }

  send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  /** The server has taken the client up: it is proved to be there. */
  opened(welcome) {
    this.#isOpen = true;
    this.#failures = 0;
    this.#heartbeatMs = welcome.heartbeat_ms;
    this.#watch();
    this.#status({ state: "open", client: welcome.client, node: welcome.node });
  }

  /** The server refuses what the client said first. */
  refused(error) {
    if (error.retry_after_ms === undefined) this.close(`${error.code}: ${error.message}`);
    else this.#lost(error.message, error.retry_after_ms);
  }

  /** Ends it for good. */
  close(why) {
    this.#isClosed = true;
    this.#drop();
    this.#handlers.onLost();
    this.#status({ state: "closed", why });
  }

  #status(status) {
    this.#handlers.onStatus(status);
  }

  #connect() {
    if (this.#isClosed) return;
    this.#closing = null;
    this.#status({ state: "connecting" });
    let socket;
    try {
      socket = new WebSocket(this.#url, "tidings.v1.json");
    } catch (error) {
      this.close(String(error));
      return;
    }
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => this.#ended(code, reason);
    this.#socket = socket;
    this.#after(CONNECT_TIMEOUT_MS, () => this.#lost("the server does not answer"));
  }

  #received(data) {
    let message;
    let bytes = null;
    try {
      if (typeof data === "string") {
        message = JSON.parse(data);
      } else {
        // A binary event: its object in the first line, then the bytes.
        const all = new Uint8Array(data);
        const end = all.indexOf(10);
        message = JSON.parse(new TextDecoder().decode(all.subarray(0, end)));
        bytes = all.subarray(end + 1);
      }
    } catch {
      this.#lost("the server sent what cannot be read");
      return;
    }
    if (message.closing) this.#closing = message.closing;
    this.#handlers.onMessage(message, bytes);
    if (this.#isOpen) this.#watch();
  }

  #ended(code, reason) {
    const closing = this.#closing ?? { code, reason };
    const why = closing.reason || (code === 1006 ? "no connection" : `closed with ${code}`);
    if (closing.reconnect) this.#lost(why, closing.reconnect.after_ms);
    else if (FINAL_CODES.has(closing.code)) this.close(`${why} (${closing.code})`);
    else this.#lost(why);
  }

  /** Waits and tries again: for as long as the server said, or with growing random waits. */
  #lost(why, afterMs) {
    this.#drop();
    this.#handlers.onLost();
    const bound = Math.min(BACKOFF_MIN_MS * 2 ** Math.min(this.#failures, 16), BACKOFF_MAX_MS);
    this.#failures += 1;
    const waitMs = Math.min(afterMs ?? bound * Math.random(), RECONNECT_AFTER_MAX_MS);
    this.#status({ state: "waiting", why, waitMs });
    this.#after(waitMs, () => this.#connect());
  }

  /** The network is back: no need to wait, and cause to look whether the old connection lives. */
  #hurry() {
    if (this.#isClosed) return;
    if (this.#isOpen) this.#ping();
    else if (!this.#socket) this.#after(BACKOFF_MIN_MS * Math.random(), () => this.#connect());
  }

  /** Leaves the socket behind: closing may take long where the other side is gone. */
  #drop() {
    clearTimeout(this.#timer);
    this.#isOpen = false;
    if (!this.#socket) return;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  /** Asks a server that is silent for longer than a heartbeat whether it lives. */
  #watch() {
    this.#after(this.#heartbeatMs, () => this.#ping());
  }

  #ping() {
    this.send(JSON.stringify({ id: PING_ID, ping: {} }));
    this.#after(PING_TIMEOUT_MS, () => this.#lost("the server went silent"));
  }

  #after(ms, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }
}
