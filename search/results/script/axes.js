// Axes that stand side by side: where on each of them a trial lies, in pixels from the top.
const TOP = 24;
const FOOT = 314;
// Below the foot is the spot of trials that have no such setting.
const NONE = 350;
// An axis with no more places is one of kinds for who draws and brushes it.
const FEW = 10;

// Of an axis the place of each trial, the places where any lies (from the top), ticks and words.
function axisOf(plain, scored) {
  const values = plain.values || trials.measures[plain.measure].course;
  const { kinds, low, high, log } = plain;
  const band = kinds ? (FOOT - TOP) / kinds.length : 0;
  const scale = log ? Math.log : Number;
  const spread = scale(high) - scale(low);
  const placeOf = (value) => {
    if (kinds) return TOP + (value + 0.5) * band;
    if (!spread) return (TOP + FOOT) / 2;
    // Values are rounded, the ends of the axis are not.
    const inside = Math.min(high, Math.max(low, value));
    return FOOT - ((scale(inside) - scale(low)) / spread) * (FOOT - TOP);
  };
  const at = values.map((value) => (value === null ? NONE : placeOf(value)));
  const stops = [...new Set(scored.map((i) => at[i]))].sort((a, b) => a - b);
  const words = (place) => {
    if (place > (FOOT + NONE) / 2) return "none";
    if (kinds) return kinds[Math.floor((place - TOP) / band)];
    // A cost of zero has a tick of its own on a logarithmic axis, where no value lies.
    const tick = ticks.find(([at]) => Math.abs(at - place) < 0.5);
    if (tick) return tick[1];
    const part = (FOOT - place) / (FOOT - TOP);
    const value = log ? Math.exp(scale(low) + part * spread) : low + part * spread;
    return inWords(Math.min(high, Math.max(low, value)), plain.unit);
  };
  const ticks = kinds ? kinds.map((kind, index) => [placeOf(index), kind]) : plain.ticks.map(([value, text]) => [placeOf(value), text]);
  // Where many trials lie at one place their lines cross beside one another, and a brush takes them all.
  const gaps = stops.slice(1).map((stop, index) => stop - stops[index]);
  const reach = kinds || stops.length <= FEW ? Math.min(kinds ? 30 : 14, 0.3 * Math.min(...gaps)) : 0;
  return { ...plain, at, reach, stops, words, ticks };
}

// How far from a place of the axis lines cross it.
function reachAt(axis, place) {
  return place === NONE ? 8 : axis.reach;
}

function inWords(value, unit) {
  const exact = String(Number(value.toPrecision(4)));
  if (unit === "s") {
    const [size, name] = [[3600, "h"], [60, "min"], [0, "s"]].find(([least]) => value >= least);
    return `${Number((value / (size || 1)).toPrecision(3))} ${name}`;
  }
  if (unit !== undefined && value >= 1000) return `${short(value)}${unit}`;
  if (value >= 1000) return String(Math.round(value));
  return unit ? `${exact} ${unit}` : exact;
}
