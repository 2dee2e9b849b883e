// Recognises a stroke by its distance to templates.

const POINTS = 48;
/** The mean distance of points, in strokes of size 1, at which nothing is alike any more. */
const FAR = 0.32;
const LENGTH_MIN = 0.06;

/** A line through these corners, brought to the form in which strokes are compared. */
const line = (...corners) => normal(corners);
const curve = (at) => normal(Array.from({ length: 64 }, (_, step) => at(step / 63)));
const turn = (share, begin) => {
  const angle = 2 * Math.PI * (share + begin);
  return [Math.cos(angle), Math.sin(angle)];
};

const TEMPLATES = [
  ["swipe_right", line([0, 0], [1, 0])],
  ["swipe_left", line([1, 0], [0, 0])],
  ["swipe_down", line([0, 0], [0, 1])],
  ["swipe_up", line([0, 1], [0, 0])],
  ["check", line([0, 0.55], [0.35, 1], [1, 0])],
  ["zigzag", line([0, 0], [1, 0], [0, 1], [1, 1])],
  ["caret", line([0, 1], [0.5, 0], [1, 1])],
  ["square", line([0, 0], [0, 1], [1, 1], [1, 0], [0, 0])],
  ["triangle", line([0.5, 0], [0, 1], [1, 1], [0.5, 0])],
  ["wave", curve((at) => [at * 2.2, 0.3 * Math.sin(at * 4 * Math.PI)])],
  ["wave", curve((at) => [at * 2.2, -0.3 * Math.sin(at * 4 * Math.PI)])],
  ...[0, 0.25, 0.5, 0.75].flatMap((begin) => [
    ["circle", curve((at) => turn(at, begin))],
    ["circle", curve((at) => turn(-at, begin))],
  ]),
];

/**
 * The gesture that a stroke is: `{ type, position, confidence }`, or `null` where it is none.
 * Points are `[x, y]` with values from 0 to 1.
 */
export function recognize(points) {
  if (length(points) < LENGTH_MIN) return null;
  const stroke = normal(points);
  let best = { type: null, distance: FAR };
  for (const [type, template] of TEMPLATES) {
    const distance = apart(stroke, template);
    if (distance < best.distance) best = { type, distance };
  }
  if (best.type === null) return null;
  const [x, y] = middle(points);
  return { type: best.type, position: { x, y }, confidence: 1 - best.distance / FAR };
}

function length(points) {
  return points.slice(1).reduce((sum, point, at) => sum + distance(point, points[at]), 0);
}

function distance([ax, ay], [bx, by]) {
  return Math.hypot(ax - bx, ay - by);
}

function middle(points) {
  const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  return [mean(0), mean(1)];
}

/** The same number of points, equally far apart, around the origin, with the longer side 1. */
function normal(points) {
  const spaced = evenly(points);
  const [x, y] = middle(spaced);
  const side = (axis) => {
    const values = spaced.map((point) => point[axis]);
    return Math.max(...values) - Math.min(...values);
  };
  const size = Math.max(side(0), side(1)) || 1;
  return spaced.map((point) => [(point[0] - x) / size, (point[1] - y) / size]);
}

function evenly(points) {
  const step = length(points) / (POINTS - 1);
  const made = [points[0]];
  let [last, left] = [points[0], step];
  for (const point of points.slice(1)) {
    let far = distance(last, point);
    while (far >= left && far > 0 && made.length < POINTS) {
      const share = left / far;
      last = [last[0] + share * (point[0] - last[0]), last[1] + share * (point[1] - last[1])];
      made.push(last);
      [far, left] = [distance(last, point), step];
    }
    left -= far;
    last = point;
  }
  while (made.length < POINTS) made.push(points.at(-1));
  return made;
}

function apart(one, other) {
  return one.reduce((sum, point, at) => sum + distance(point, other[at]), 0) / POINTS;
}
