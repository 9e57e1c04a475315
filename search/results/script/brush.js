// Intervals brushed on axes: a trial is chosen when it lies within every one of them.
const brushes = new Map();

// Highest and lowest place of the interval; without one, of all trials.
function spanOf(axis) {
  return brushes.get(axis) || [axis.stops[0], axis.stops.at(-1)];
}

// Highest and lowest place of the interval as it is drawn, around the lines that cross there.
function extentOf(axis) {
  const [top, bottom] = brushes.get(axis) || [TOP, Math.max(FOOT, axis.stops.at(-1))];
  const margin = (place) => 4 + (brushes.has(axis) ? reachAt(axis, place) : 0);
  return [top - margin(top), bottom + margin(bottom)];
}

function brush(axis, span) {
  brushes.delete(axis);
  if (span) {
    const [top, bottom] = axis.reach ? wholeKinds(axis, span) : span;
    const all = top <= axis.stops[0] && bottom >= axis.stops.at(-1);
    if (!all) brushes.set(axis, [top, bottom]);
  }
  chooseBrushed();
}

function clearBrushes() {
  brushes.clear();
  chooseBrushed();
}

function chooseBrushed() {
  const intervals = [...brushes];
  const within = (i) => trials.measures.score.course[i] !== null && intervals.every(([{ at }, [top, bottom]]) => at[i] >= top && at[i] <= bottom);
  choose(brushes.size ? new Set(trials.number.filter((_, i) => within(i))) : null);
}

// The outermost trials are caught by who comes near them.
function withinReach({ stops }, place) {
  if (place > (FOOT + NONE) / 2) return NONE;
  return [stops[0], Math.min(FOOT, stops.at(-1))].find((stop) => Math.abs(stop - place) < 8) || place;
}

function wholeKinds({ stops, reach }, [top, bottom]) {
  const touched = stops.filter((stop) => stop + reach >= top && stop - reach <= bottom);
  const middle = (top + bottom) / 2;
  const nearest = stops.reduce((best, stop) => (Math.abs(stop - middle) < Math.abs(best - middle) ? stop : best));
  return touched.length ? [touched[0], touched.at(-1)] : [nearest, nearest];
}

// Drag: a new interval, one end of the interval, or all of it. A click clears it.
function brushByPointer(axis, group, placeOf, ends) {
  let grip = null;
  // Else the page scrolls under the finger: browsers do not heed touch-action within an svg.
  group.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  group.addEventListener("pointerdown", (event) => {
    if (event.button || grip) return;
    const from = placeOf(event);
    const [top, bottom] = spanOf(axis);
    const end = ends.indexOf(event.target.closest(".end"));
    const [highest, lowest] = extentOf(axis);
    const inside = brushes.has(axis) && from >= highest && from <= lowest;
    grip = { from, end, inside, before: brushes.get(axis), top, bottom, moved: false };
    group.setPointerCapture(event.pointerId);
    ends[Math.max(0, end)].focus({ preventScroll: true });
    event.preventDefault();
  });
  group.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const to = placeOf(event);
    grip.moved = grip.moved || Math.abs(to - grip.from) > 3;
    if (!grip.moved) return;
    const [highest, lowest] = [TOP, Math.max(FOOT, axis.stops.at(-1))];
    const kept = (place) => withinReach(axis, Math.min(lowest, Math.max(highest, place)));
    const by = Math.min(lowest - grip.bottom, Math.max(highest - grip.top, to - grip.from));
    let span = [kept(grip.from), kept(to)];
    if (grip.end >= 0) span = [grip.end ? grip.top : grip.bottom, kept(to)];
    else if (grip.inside) span = [grip.top + by, grip.bottom + by];
    brush(axis, span.sort((a, b) => a - b));
  });
  group.addEventListener("pointerup", () => {
    if (grip && !grip.moved && grip.end < 0) brush(axis, null);
    grip = null;
  });
  group.addEventListener("pointercancel", () => {
    if (grip) brush(axis, grip.before);
    grip = null;
  });
}

// An end moves from one place where trials lie to the next: by arrows, by a tenth of them, to the last.
function brushByKey(axis, end, event) {
  const { stops } = axis;
  const span = [...spanOf(axis)];
  const first = stops.findIndex((stop) => stop > span[end] - 0.001);
  const below = stops.findIndex((stop) => stop > span[end] + 0.001);
  const tenth = Math.ceil(stops.length / 10);
  const last = stops.length - 1;
  const down = below < 0 ? last : below;
  const to = {
    ArrowUp: first - 1, ArrowRight: first - 1, PageUp: first - tenth, End: 0,
    ArrowDown: down, ArrowLeft: down, PageDown: down + tenth - 1, Home: last,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const place = stops[Math.max(0, Math.min(last, to))];
  span[end] = end ? Math.max(span[0], place) : Math.min(span[1], place);
  brush(axis, span);
}

// Escape clears the interval that has the focus, else all; what is open beside the page goes first.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !brushes.size || !drawer.hidden || event.target.closest("input, select")) return;
  const focused = [...brushes.keys()].find((axis) => axis.ends.includes(event.target));
  if (focused) brush(focused, null);
  else clearBrushes();
}, true);
