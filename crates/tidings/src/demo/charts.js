// Small line charts over the last two minutes, drawn by hand on a canvas.

/** How much time a chart shows. */
const WINDOW_MS = 120_000;
/** Beyond this distance two points are not joined: nothing is known of the time between. */
const JOINED_MS = 5_000;
/** Room for the labels of the scale. */
const LABELS_PX = 54;
const PAD_PX = 6;

export class Chart {
  #canvas;
  #lines;
  #format;
  #max;
  /** { time, values } in the order of time. */
  #points = [];
  /** { from, to } in which events were lost; `to` is null until the next point. */
  #gaps = [];
  #now;
  #frame = 0;

  /**
   * `lines` are names of colours in the style sheet; `format` makes a label of a value; `max` is
   * the top of the scale, or undefined where it follows the values. `now()` is the time at the
   * right edge.
   */
  constructor(canvas, { lines, format, max, now }) {
    this.#canvas = canvas;
    this.#lines = lines;
    this.#format = format;
    this.#max = max;
    this.#now = now;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  add(time, values) {
    const last = this.#points.at(-1);
    if (last && time < last.time) return;
    const gap = this.#gaps.at(-1);
    if (gap && gap.to === null) gap.to = time;
    this.#points.push({ time, values });
    const begin = time - WINDOW_MS - JOINED_MS;
    while (this.#points[0].time < begin) this.#points.shift();
    while (this.#gaps[0]?.to < begin) this.#gaps.shift();
  }

  /** Events after the last point were lost. */
  addGap() {
    const last = this.#points.at(-1);
    if (last && this.#gaps.at(-1)?.to !== null) this.#gaps.push({ from: last.time, to: null });
  }

  /** Draws with the next frame: history comes in one go, and needs to be drawn once. */
  drawSoon() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (width === 0) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();

    const now = this.#now();
    const values = this.#points.flatMap((point) => point.values);
    const top = this.#max ?? niceTop(Math.max(1, ...values));
    const area = { left: 0, right: width - LABELS_PX, top: PAD_PX, bottom: height - PAD_PX };
    const x = (time) => area.right - ((now - time) / WINDOW_MS) * (area.right - area.left);
    const y = (value) => area.bottom - (Math.min(value, top) / top) * (area.bottom - area.top);

    this.#scale(context, colour, area, top, y);
    context.save();
    context.beginPath();
    context.rect(area.left, 0, area.right - area.left, height);
    context.clip();
    context.fillStyle = colour("gap-area");
    for (const { from, to } of this.#gaps) {
      const [left, right] = [x(from), x(to ?? now)];
      context.fillRect(left, area.top, Math.max(right - left, 2), area.bottom - area.top);
    }
    this.#lines.forEach((line, at) => {
      this.#line(context, colour(line), x, (point) => y(point.values[at]), at === 0 && area.bottom);
    });
    context.restore();
  }

  #scale(context, colour, area, top, y) {
    context.strokeStyle = colour("grid");
    context.fillStyle = colour("quiet");
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineWidth = 1;
    for (const value of [0, top / 2, top]) {
      const at = Math.round(y(value)) + 0.5;
      context.beginPath();
      context.moveTo(area.left, at);
      context.lineTo(area.right, at);
      context.stroke();
      context.fillText(this.#format(value), area.right + 6, at);
    }
  }

  #line(context, colour, x, y, bottom) {
    for (const run of runs(this.#points)) {
      context.beginPath();
      run.forEach((point, at) => {
        if (at === 0) context.moveTo(x(point.time), y(point));
        else context.lineTo(x(point.time), y(point));
      });
      context.strokeStyle = colour;
      context.lineWidth = 1.5;
      context.lineJoin = "round";
      context.stroke();
      if (bottom === false) continue;
      context.lineTo(x(run.at(-1).time), bottom);
      context.lineTo(x(run[0].time), bottom);
      context.globalAlpha = 0.12;
      context.fillStyle = colour;
      context.fill();
      context.globalAlpha = 1;
    }
  }
}

/** Points in runs without holes. */
function runs(points) {
  const all = [];
  points.forEach((point, at) => {
    const isJoined = at > 0 && point.time - points[at - 1].time <= JOINED_MS;
    if (isJoined) all.at(-1).push(point);
    else all.push([point]);
  });
  return all;
}

/** The least of 1, 2, 5, 10, 20, … that is not below `value`. */
function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}
