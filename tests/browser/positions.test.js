// The rules of the page's client that need no browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { matches } from "../../crates/tidings/src/demo/patterns.js";
import { Positions } from "../../crates/tidings/src/demo/positions.js";

const at = (epoch, seq) => ({ stream: "s", epoch, seq });

test("patterns select as the server's do", () => {
  for (const [pattern, topic] of [["a.*", "a.b"], ["a.>", "a.b.c"], [">", "a"], ["$x.>", "$x.a"]]) {
    assert.ok(matches(pattern, topic), `${pattern} ${topic}`);
  }
  for (const [pattern, topic] of [
    ["a.*", "a"], ["a.*", "a.b.c"], ["a.>", "a"], [">", "$x.a"], ["*.a", "$x.a"], ["a", "ab"],
  ]) {
    assert.ok(!matches(pattern, topic), `${pattern} ${topic}`);
  }
});

test("a position is the last event or a later mark, and never goes back", () => {
  const positions = new Positions();
  positions.begin(at("e1", 4), false);
  assert.ok(positions.event("s", 7));
  assert.ok(!positions.event("s", 7));
  positions.mark(at("e1", 9));
  positions.mark(at("e1", 8));
  assert.deepEqual(positions.resume(), [{ stream: "s", epoch: "e1", after: 9 }]);
  // Another subscription of the stream begins further ahead; the first has not got there yet.
  positions.begin(at("e1", 12), true);
  assert.equal(positions.get("s").seq, 9);
});

test("a gap moves the position, and is news once", () => {
  const positions = new Positions();
  positions.begin(at("e1", 4), false);
  assert.ok(positions.gap({ stream: "s", epoch: "e1", from: 5, to: 8 }));
  assert.ok(!positions.gap({ stream: "s", epoch: "e1", from: 5, to: 8 }));
  assert.equal(positions.get("s").seq, 8);
});

test("a new epoch is news even where nothing of it is missing, and counts anew", () => {
  const positions = new Positions();
  positions.begin(at("e1", 400), false);
  // The answer to a hello names the new epoch; the gap, which tells it, is still to come.
  positions.begin(at("e2", 0), true);
  assert.ok(positions.gap({ stream: "s", epoch: "e2", from: 1, to: 0 }));
  assert.ok(positions.event("s", 1));
  assert.deepEqual(positions.resume(), [{ stream: "s", epoch: "e2", after: 1 }]);
});
