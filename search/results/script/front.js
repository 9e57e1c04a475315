// The front on axes of one's choice, a ring around the trial that is open, the chosen trials in full.
let shownOn = null;
let plainFront = null;
const FADED = 0.1;

function frontPlace() {
  return document.querySelector("[data-figure=front]");
}

// The figure as it was made, or on the axes that were chosen.
function frontFigure(figure) {
  plainFront = plainFront || figure;
  const made = shownOn ? onAxes(plainFront, shownOn) : plainFront;
  const knee = trials.knee === null ? null : placeIn(made.data, trials.knee);
  const ringed = {
    x: [], y: [], mode: "markers", name: "open", meta: "ring", showlegend: false, hoverinfo: "skip",
    marker: { symbol: "circle-open", size: 24, color: HUES[1], line: { width: 3 } },
  };
  const named = knee && {
    x: [knee[0]], y: [knee[1]], mode: "text", text: ["<b>knee</b>  "], textposition: "top left", name: "knee",
    textfont: { size: 13 }, showlegend: false, hoverinfo: "skip",
  };
  // Copies: what plotly restyles it writes into what it was given.
  const data = made.data.map((trace) => (trace.customdata ? { ...trace, marker: { ...trace.marker, opacity: chosen ? opacities(trace) : 1 } } : trace));
  return { data: [...data, ...(named ? [named] : []), ringed], layout: made.layout };
}

function opacities(trace) {
  return trace.customdata.map((number) => (!chosen || chosen.has(number) ? 1 : FADED));
}

followers.push(() => {
  const place = frontPlace();
  if (!place || !place.data) return;
  const traces = place.data.map((_, index) => index).filter((index) => place.data[index].customdata);
  if (traces.length) Plotly.restyle(place, { "marker.opacity": traces.map((index) => opacities(place.data[index])) }, traces);
});

// Where a trial is drawn; null where it is not.
function placeIn(data, number) {
  for (const trace of data) {
    const at = trace.customdata ? trace.customdata.indexOf(number) : -1;
    if (at >= 0) return [trace.x[at], trace.y[at]];
  }
  return null;
}

function ring(number) {
  const place = frontPlace();
  if (!place || !place.data) return;
  const index = place.data.findIndex((trace) => trace.meta === "ring");
  if (index < 0) return;
  const found = number === null ? null : placeIn(place.data, number);
  const [x, y] = found ? [[found[0]], [found[1]]] : [[], []];
  Plotly.restyle(place, { x: [x], y: [y] }, [index]);
}

// A logarithmic axis has no zero: it is drawn at the axis' left end.
function drawn(name, value) {
  const { floor } = trials.measures[name];
  return floor === null ? value : Math.max(value, floor);
}

function onAxes(figure, { across, up, colour }) {
  const [xs, ys] = [trials.measures[across].course, trials.measures[up].course];
  const visible = (i) => i !== undefined && xs[i] !== null && ys[i] !== null;
  const data = [];
  for (const trace of figure.data) {
    if (!trace.customdata) {
      if (trace.mode === "markers" && colour in trials.measures) data.push(trace);
      continue;
    }
    const kept = trace.customdata.filter((number) => visible(places.get(number)));
    const rows = kept.map((number) => places.get(number));
    data.push({
      ...trace, customdata: kept, x: rows.map((i) => drawn(across, xs[i])), y: rows.map((i) => drawn(up, ys[i])),
      marker: coloured(trace, rows, colour),
    });
  }
  data.unshift(...stepsOf(across, up));
  data.push(...marksOf(across, up, visible));
  const { coloraxis, ...plain } = figure.layout;
  const layout = {
    ...plain, ...(up === "score" ? { annotations: chanceOf(plain) } : { annotations: [], shapes: [] }),
    xaxis: { ...trials.measures[across].axis, title: { text: escaped(trials.measures[across].title) } },
    yaxis: { ...trials.measures[up].axis, title: { text: escaped(trials.measures[up].title) } },
  };
  const bar = colour in trials.measures ? colorbarOf(colour) : null;
  if (bar) layout.coloraxis = bar;
  if (!bar) data.push(...keysOf(colour));
  return { data, layout };
}

function coloured(trace, rows, colour) {
  const marker = { ...trace.marker };
  delete marker.coloraxis;
  if (rows.every((i) => trials.state[i] === "pruned")) return marker;
  if (colour in trials.measures) {
    const costs = trials.measures[colour].course;
    return { ...marker, color: rows.map((i) => scaled(colour, costs[i])), coloraxis: "coloraxis" };
  }
  if (colour === "state") return { ...marker, color: rows.map((i) => STATES[trials.state[i]]) };
  const methods = kindsOf(colour);
  return { ...marker, color: rows.map((i) => HUES[methods.indexOf(trials[colour][i]) % HUES.length] || GREY) };
}

// Names beside the configurations that were marked.
function marksOf(across, up, visible) {
  const marked = trials.number.map((_, i) => i).filter((i) => trials.mark[i] !== null && visible(i));
  if (!marked.length || narrow.matches) return [];
  return [{
    x: marked.map((i) => drawn(across, trials.measures[across].course[i])),
    y: marked.map((i) => drawn(up, trials.measures[up].course[i])),
    text: marked.map((i) => escaped(trials.mark[i])), mode: "text", textposition: "top center", textfont: { size: 12 },
    cliponaxis: false, showlegend: false, hoverinfo: "skip", name: "marks",
  }];
}

function kindsOf(colour) {
  return [...new Set(trials[colour])].filter((kind) => kind !== null).sort();
}

// Entries of the legend for colours that stand for kinds.
function keysOf(colour) {
  const hue = (kind, index) => (colour === "state" ? STATES[kind] : HUES[index % HUES.length]);
  return kindsOf(colour).map((kind, index) => ({
    x: [null], y: [null], mode: "markers", name: escaped(kind), hoverinfo: "skip",
    marker: { symbol: "circle", size: 10, color: hue(kind, index) },
  }));
}

function scaled(name, value) {
  if (value === null) return null;
  return trials.measures[name].floor === null ? value : Math.log10(drawn(name, value));
}

function colorbarOf(name) {
  const { axis, title } = trials.measures[name];
  const log = axis.type === "log";
  const ticks = log && axis.tickvals ? { tickvals: axis.tickvals.map(Math.log10), ticktext: axis.ticktext } : {};
  if (log && !axis.tickvals) {
    const from = Math.ceil(axis.range[0] * 3);
    let marks = [];
    for (let third = from; third <= axis.range[1] * 3; third += 1) marks.push(third / 3);
    if (marks.length < 2) marks = axis.range;
    ticks.tickvals = marks;
    ticks.ticktext = marks.map((mark) => short(10 ** mark));
  }
  const values = trials.measures[name].course.filter((value, i) => value !== null && trials.state[i] === "complete");
  const shades = values.map((value) => scaled(name, value));
  const [least, most] = [Math.min(...shades), Math.max(...shades)];
  return {
    colorscale: COST_SCALE, cmin: least, cmax: most > least ? most : least + 0.1,
    colorbar: { ...ticks, title: { text: escaped(title), side: "right" }, thickness: 12, outlinewidth: 0, ticks: "outside", tickcolor: GREY },
  };
}

function short(value) {
  const prefixes = ["", " k", " M", " G", " T", " P", " E"];
  let power = 0;
  while (value >= 999.5 && power < prefixes.length - 1) [value, power] = [value / 1000, power + 1];
  return `${Number(value.toPrecision(3))}${prefixes[power]}`;
}

// The best that a member of the front reaches at each place of the horizontal axis or better.
function stepsOf(across, up) {
  const [x, y] = [trials.measures[across], trials.measures[up]];
  const [ahead, above] = [x.maximised ? -1 : 1, y.maximised ? -1 : 1];
  const members = trials.number.map((_, i) => i).filter((i) => trials.front[i] && x.course[i] !== null && y.course[i] !== null);
  members.sort((a, b) => ahead * (x.course[a] - x.course[b]) || above * (y.course[a] - y.course[b]));
  const corners = [];
  for (const i of members) {
    const [right, top] = [drawn(across, x.course[i]), drawn(up, y.course[i])];
    const last = corners.at(-1);
    if (!last) corners.push([right, top]);
    else if (above * (top - last[1]) < 0) corners.push([right, last[1]], [right, top]);
  }
  const log = x.axis.type === "log";
  const end = x.axis.range[x.maximised ? 0 : 1];
  if (!corners.length) return [];
  const lowest = y.axis.range[y.maximised ? 0 : 1];
  const bottom = y.axis.type === "log" ? 10 ** lowest : lowest;
  corners.push([log ? 10 ** end : end, corners.at(-1)[1]]);
  const around = [...corners, [corners.at(-1)[0], bottom], [corners[0][0], bottom]];
  const line = { mode: "lines", hoverinfo: "skip" };
  return [
    { ...line, ...xy(around), line: { width: 0 }, fill: "toself", fillcolor: SHADE, showlegend: false, name: "dominated" },
    { ...line, ...xy(corners), line: { width: 1.5, color: GREY }, name: "best at this or better" },
  ];
}

function xy(corners) {
  return { x: corners.map(([at]) => at), y: corners.map(([, at]) => at) };
}

// The choices above the plot.
function offerAxes(redraw) {
  const bar = document.getElementById("axes");
  if (!bar || !trials || Object.keys(trials.measures).length < 2) return;
  const names = Object.keys(trials.measures);
  if (trials.drawn.across === null || !names.includes("score")) return;
  const chosen = { across: trials.drawn.across, up: "score", colour: trials.drawn.colour || "state" };
  const kinds = { method: "method", state: "state" };
  const select = (title, key, options) => {
    const label = element("label", `${title} `);
    const list = element("select");
    list.name = key;
    for (const [value, text] of options) list.append(new Option(text, value, false, value === chosen[key]));
    list.addEventListener("change", () => {
      chosen[key] = list.value;
      shownOn = { ...chosen };
      redraw();
    });
    label.append(list);
    return label;
  };
  const measures = names.map((name) => [name, trials.measures[name].title]);
  bar.append(
    select("across", "across", measures), select("up", "up", measures),
    select("colour", "colour", [...measures, ...Object.entries(kinds)]),
  );
  bar.hidden = false;
}
