// A client of the native protocol over WebSocket. It reconnects by itself and resumes where it
// was: what it misses in between comes, or is told as a gap.
//
// All its subscriptions read every event, so that the events of a stream come in the order of
// their numbers, and each one says that everything before it has come.

import { Connection } from "./connection.js";
import { matches } from "./patterns.js";
import { Positions } from "./positions.js";

export class Client {
  #positions = new Positions();
  #connection;
  #subscriptions = new Set();
  #requests = new Map();
  #nextId = 1;
  #session = null;
  #handlers;

  /**
   * `url` is the endpoint's. Handlers, each optional: `onStatus({ state, … })` with state
   * `connecting`, `open`, `waiting` (and `waitMs`, `why`) or `closed` (and `why`); `onGap(gap)`;
   * `onPositions()`.
   */
  constructor(url, handlers = {}) {
    this.#handlers = handlers;
    this.#connection = new Connection(url, {
      onStatus: (status) => this.#status(status),
      onMessage: (message, bytes) => this.#message(message, bytes),
      onLost: () => this.#lost(),
    });
  }

  /** Where it is in each stream: `[stream, { epoch, seq }]`. */
  get positions() {
    return this.#positions.entries();
  }

  /**
   * Subscribes to `body.topics` (and `except`, `from`, as in the protocol). Handlers, each
   * optional: `onEvent(event, { isReplay })`, `onBegun({ truncated })`, `onRefused(error)`, and
   * `onReplayLost(stream)` where the connection broke within the history that was asked for.
   * The result ends the subscription when called.
   */
  subscribe(body, handlers) {
    const subscription = {
      body,
      handlers,
      name: null,
      streams: new Set(),
      // Streams whose history is under way, with what came live meanwhile.
      replays: new Map(),
    };
    this.#subscriptions.add(subscription);
    this.#ask({ subscribe: body }, {
      subscription,
      ok: (answer) => this.#begun(subscription, answer),
      refused: (error) => {
        this.#subscriptions.delete(subscription);
        handlers.onRefused?.(error);
      },
    });
    return () => this.#unsubscribe(subscription);
  }

  close() {
    this.#connection.close("closed by the page");
  }

  #begun(subscription, answer) {
    subscription.name = answer.subscription;
    if (!this.#subscriptions.has(subscription)) {
      this.#ask({ unsubscribe: { subscription: subscription.name } }, {});
      return;
    }
    for (const position of answer.positions) {
      const isRead = this.#isRead(position.stream, subscription);
      this.#positions.begin(position, isRead);
      subscription.streams.add(position.stream);
      // History comes apart from the live order where the stream is being read already.
      const hasReplay = isRead && subscription.body.from !== undefined;
      if (hasReplay) subscription.replays.set(position.stream, new Set());
    }
    subscription.handlers.onBegun?.({ truncated: answer.truncated === true });
    this.#handlers.onPositions?.();
  }

  #unsubscribe(subscription) {
    if (!this.#subscriptions.delete(subscription)) return;
    for (const stream of subscription.streams) {
      if (!this.#isRead(stream)) this.#positions.forget(stream);
    }
    this.#handlers.onPositions?.();
    if (subscription.name === null) return;
    if (this.#connection.isOpen) {
      this.#ask({ unsubscribe: { subscription: subscription.name } }, {});
    }
  }

  #isRead(stream, except = null) {
    return [...this.#subscriptions].some((one) => one !== except && one.streams.has(stream));
  }

  /** Sends a request now, or when the connection stands again. */
  #ask(verb, { subscription = null, ok, refused }) {
    const id = this.#nextId;
    this.#nextId += 1;
    const text = JSON.stringify({ id, ...verb });
    this.#requests.set(id, { text, subscription, ok, refused });
    if (this.#connection.isOpen) this.#connection.send(text);
  }

  #status(status) {
    this.#handlers.onStatus?.(status);
  }

  #message(message, bytes) {
    if (Array.isArray(message)) {
      for (const one of message) this.#message(one, null);
    } else if (message.event) {
      this.#live(message.event, bytes);
    } else if (message.id !== undefined) {
      this.#answer(message);
    } else if (message.mark) {
      for (const position of message.mark) {
        this.#positions.mark(position);
        for (const { replays } of this.#subscriptions) replays.delete(position.stream);
      }
      this.#handlers.onPositions?.();
    } else if (message.gap) {
      if (this.#positions.gap(message.gap)) this.#handlers.onGap?.(message.gap);
      this.#handlers.onPositions?.();
    } else if (message.replay) {
      this.#replay(message.replay);
    } else if (message.welcome) {
      this.#welcome(message.welcome);
    } else if (message.error) {
      console.warn("the server reports:", message.error.code, message.error.message);
    }
    // Others are news of a later version.
  }

  /** Takes up again what was subscribed to, or begins. */
  #welcome(welcome) {
    const isReturning = this.#session !== null;
    const session = this.#session ?? welcome.session;
    const resumed = [...this.#subscriptions].filter((one) => one.name !== null);
    if (!isReturning && resumed.length === 0) {
      this.#session = session;
      this.#opened(welcome);
      return;
    }
    const id = this.#nextId;
    this.#nextId += 1;
    const subscriptions = resumed.map(({ body }) => ({ ...body, from: undefined }));
    const hello = { session, resume: this.#positions.resume(), subscriptions };
    this.#requests.set(id, {
      isHello: true,
      ok: (answer) => {
        // Where the server did not know the id any more, the new one counts from now on.
        this.#session = answer.client === welcome.client ? welcome.session : session;
        this.#resumed(resumed, answer);
        this.#opened({ ...welcome, client: answer.client });
      },
      refused: (error) => this.#connection.refused(error),
    });
    this.#connection.send(JSON.stringify({ id, hello }));
  }

  #resumed(subscriptions, answer) {
    answer.subscriptions.forEach((answered, at) => {
      const subscription = subscriptions[at];
      if (!subscription) return;
      subscription.name = answered.subscription;
      for (const position of answered.positions) {
        // Within a stream that is known, the position is ours to know; a new epoch is told as a
        // gap, and only then taken over.
        this.#positions.begin(position, true);
        subscription.streams.add(position.stream);
      }
      if (!this.#subscriptions.has(subscription)) {
        this.#ask({ unsubscribe: { subscription: subscription.name } }, {});
      }
    });
  }

  #opened(welcome) {
    this.#connection.opened(welcome);
    for (const { text, isHello } of this.#requests.values()) {
      if (!isHello) this.#connection.send(text);
    }
  }

  #answer({ id, ok, error }) {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    if (error) request?.refused?.(error);
    else request?.ok?.(ok);
  }

  #live(event, bytes) {
    if (bytes) event.bytes = bytes;
    if (!this.#positions.event(event.stream, event.seq)) return;
    for (const subscription of this.#subscriptions) {
      const { topics, except = [] } = subscription.body;
      const isIt = (pattern) => matches(pattern, event.topic);
      if (subscription.name === null || !topics.some(isIt) || except.some(isIt)) continue;
      subscription.replays.get(event.stream)?.add(event.seq);
      deliver(subscription, event, false);
    }
    this.#handlers.onPositions?.();
  }

  #replay({ subscription: name, stream, events, done }) {
    const subscription = [...this.#subscriptions].find((one) => one.name === name);
    if (!subscription) return;
    for (const event of events) {
      // What another subscription brought live meanwhile was given to this one too.
      if (subscription.replays.get(event.stream)?.has(event.seq)) continue;
      deliver(subscription, event, true);
    }
    if (done) subscription.replays.delete(stream ?? events[0]?.stream);
  }

  /** There is no connection any more; unanswered subscriptions are asked for again. */
  #lost() {
    for (const [id, { subscription, isHello }] of this.#requests) {
      const isWanted = subscription !== null && this.#subscriptions.has(subscription);
      if (isHello || !isWanted) this.#requests.delete(id);
    }
    for (const { replays, handlers } of this.#subscriptions) {
      for (const stream of replays.keys()) handlers.onReplayLost?.(stream);
      replays.clear();
    }
  }
}

/** A handler that throws keeps no other from its events. */
function deliver(subscription, event, isReplay) {
  try {
    subscription.handlers.onEvent?.(event, { isReplay });
  } catch (error) {
    reportError(error);
  }
}
