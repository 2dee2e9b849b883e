// A server of the real binary, as a user would start it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const PROGRAM =
  process.env.TIDINGS_PROGRAM ??
  fileURLToPath(new URL("../../target/debug/tidings", import.meta.url));
const START_TIMEOUT_MS = 20_000;

export class Server {
  #process;

  /** Runs `tidings demo` on free ports, or on those of an earlier server. */
  static async start(earlier = null) {
    const server = new Server();
    const listen = earlier?.listen ?? "127.0.0.1:0";
    const admin = earlier?.admin ?? "127.0.0.1:0";
    const process_ = spawn(PROGRAM, ["demo", "--listen", listen, "--admin", admin], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    server.#process = process_;
    let printed = "";
    let logged = "";
    process_.stderr.on("data", (chunk) => (logged += chunk));
    await new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`${why}\n${printed}\n${logged}`));
      const timer = setTimeout(() => fail("the server does not start"), START_TIMEOUT_MS);
      process_.on("error", (error) => fail(String(error)));
      process_.on("exit", (code) => fail(`the server ended with ${code}`));
      process_.stdout.on("data", (chunk) => {
        printed += chunk;
        const addresses = printed.match(/clients +http:\/\/(\S+)[^]*admin +http:\/\/(\S+)[^]*Try:/);
        if (!addresses) return;
        clearTimeout(timer);
        [, server.listen, server.admin] = addresses;
        resolve();
      });
    });
    return server;
  }

  get page() {
    return `http://${this.admin}/`;
  }

  /** Asks the admin side; the answer's JSON, where it has one. */
  async ask(method, path, body) {
    const response = await fetch(`http://${this.admin}${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  publish(topic, data) {
    return this.ask("POST", "/v1/publish", { topic, data });
  }

  /** Publishes `count` events in one request after another. */
  async publishMany(topic, count) {
    const each = 100;
    for (let from = 0; from < count; from += each) {
      const numbers = Array.from({ length: Math.min(each, count - from) }, (_, at) => from + at);
      await this.ask("POST", "/v1/publish", numbers.map((data) => ({ topic, data })));
    }
  }

  /** Ends it with `signal`; its exit code. */
  async end(signal = "SIGTERM") {
    if (this.#process.exitCode !== null) return this.#process.exitCode;
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    const [code] = await ended;
    return code;
  }
}
