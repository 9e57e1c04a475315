// Each trial a line from its settings to what came of it; those that are not chosen fade.
const LINES = 300;
const FAINT = 100;
const NARROWEST = 96;
// Raises the line of the trial that is pointed at, else of the one that is open.
let raise = () => {};

function showParallel() {
  const box = document.getElementById("parallel");
  if (!box) return;
  const { course } = trials.measures.score;
  const scored = trials.number.map((_, i) => i).filter((i) => course[i] !== null);
  const axes = trials.axes.map((plain) => axisOf(plain, scored));
  const scores = axes.find((axis) => axis.measure === "score");
  const complete = scored.filter((i) => trials.state[i] === "complete").map((i) => scores.at[i]);
  const [best, worst] = complete.length ? [Math.min(...complete), Math.max(...complete)] : [TOP, FOOT];
  const shade = (i) => (worst > best ? Math.max(0, (worst - scores.at[i]) / (worst - best)) : 1);
  // What matters most is drawn last.
  const rank = (i) => 2 * trials.front[i] + (trials.state[i] === "complete") + 0.9 * shade(i);
  scored.sort((a, b) => scores.at[a] - scores.at[b]);
  const order = new Map(scored.map((i, index) => [i, (2 * index) / scored.length - 1]));
  const places = axes.map((axis) => axis.at.map((place, i) => place + (order.get(i) || 0) * reachAt(axis, place)));
  scored.sort((a, b) => rank(a) - rank(b));

  const height = Math.max(...axes.map((axis) => axis.stops.at(-1)), FOOT) + 24;
  const plot = drawing("svg", { height, role: "group", "aria-label": "An axis for each setting and measure" });
  const lines = drawing("g", { "aria-hidden": "true" });
  const raised = drawing("g", { "aria-hidden": "true" });
  const inside = (event) => {
    const { left, top } = plot.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const drawnAxes = axes.map((axis) => axisDrawn(axis, (event) => inside(event)[1]));
  const titles = element("div", null, "titles");
  titles.append(...axes.map(titleOf));
  titles.style.gridTemplateColumns = `repeat(${axes.length}, 1fr)`;
  const hues = drawing("linearGradient", { id: "hues", gradientUnits: "userSpaceOnUse", x1: 0, x2: 0, y1: best, y2: worst });
  plot.append(hues, lines, raised, ...drawnAxes.map(({ group }) => group));
  box.replaceChildren(titles, plot);

  let [width, shown, pointed] = [0, [], null];
  const pathOf = (i) => places.map((column, k) => `${k ? "L" : "M"}${((k + 0.5) * width).toFixed(1)} ${column[i].toFixed(1)}`).join("");
  const lineOf = (i, faint, opacity) => {
    const kind = faint ? "out" : trials.front[i] ? "member" : trials.state[i];
    const path = drawing("path", { class: kind, d: pathOf(i), "data-line": trials.number[i] });
    if (!faint && trials.state[i] === "complete") path.style.stroke = hueOf(shade(i));
    if (kind === "complete") path.style.strokeOpacity = opacity * (chosen ? 1 : 0.4 + 0.6 * shade(i));
    return path;
  };
  raise = () => {
    const i = pointed === null ? opened : pointed;
    const there = i !== null && course[i] !== null;
    raised.replaceChildren(...(there ? ["casing", "core"].map((name) => drawing("path", { class: name, d: pathOf(i) })) : []));
  };
  const redraw = () => {
    const isIn = (i) => !chosen || chosen.has(trials.number[i]);
    const kept = scored.filter(isIn);
    const member = (i) => trials.front[i];
    shown = [...apart(kept.filter((i) => !member(i)), places, LINES), ...kept.filter(member)];
    const opacity = Math.max(0.4, Math.min(0.9, 9 / Math.sqrt(shown.length)));
    const faint = apart(scored.filter((i) => !isIn(i)), places, FAINT).map((i) => lineOf(i, true));
    lines.setAttribute("class", shown.length > LINES / 2 ? "many" : "");
    lines.replaceChildren(...faint, ...shown.map((i) => lineOf(i, false, opacity)));
    for (const { update } of drawnAxes) update();
    tellChosen(kept.length, scored.length, shown.length);
    raise();
  };
  const fit = () => {
    width = Math.max(NARROWEST, box.clientWidth / axes.length);
    const whole = width * axes.length;
    titles.style.width = `${whole}px`;
    plot.setAttribute("width", whole);
    plot.setAttribute("viewBox", `0 0 ${whole} ${height}`);
    drawnAxes.forEach(({ group }, k) => group.setAttribute("transform", `translate(${(k + 0.5) * width} 0)`));
    hues.replaceChildren(...COST_SCALE.map(([offset]) => drawing("stop", { offset, style: `stop-color: ${hueOf(1 - offset)}` })));
    redraw();
  };
  const nearest = (event) => {
    const [x, y] = inside(event);
    const k = Math.floor(x / width - 0.5);
    if (k < 0 || k >= axes.length - 1 || event.target.closest(".axis")) return null;
    const part = x / width - 0.5 - k;
    const away = (i) => {
      const [from, to] = [places[k][i], places[k + 1][i]];
      return (Math.abs(from + part * (to - from) - y) * width) / Math.hypot(width, to - from);
    };
    const best = shown.reduce((found, i) => (found === null || away(i) <= away(found) ? i : found), null);
    return best !== null && away(best) < (touch ? 16 : 8) ? best : null;
  };
  const pointAt = (i) => {
    pointed = i;
    plot.style.cursor = i === null ? "" : "pointer";
    pointer.hidden = true;
    raise();
  };
  plot.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || event.buttons) return;
    const i = nearest(event);
    if (i !== pointed) pointAt(i);
    if (i !== null) point(i, event);
  });
  plot.addEventListener("pointerleave", () => pointAt(null));
  plot.addEventListener("click", (event) => {
    const i = nearest(event);
    if (i !== null) openTrial(i);
  });
  document.getElementById("clear").addEventListener("click", clearBrushes);
  fit();
  swift.push(redraw);
  new ResizeObserver(fit).observe(box);
  for (const query of [dark, printing]) query.addEventListener("change", fit);
}

// Of lines that cannot be told apart one, and of too many those at even distances by score.
function apart(rows, places, most) {
  if (rows.length <= most) return rows;
  const distinct = new Map(rows.map((i) => [places.map((column) => Math.round(column[i] / 4)).join(), i]));
  const every = Math.ceil(distinct.size / most);
  return [...distinct.values()].filter((_, index) => index % every === 0);
}

// The better, the more a line stands out from the page.
function hueOf(part) {
  const at = night() ? part : 1 - part;
  const above = Math.max(1, COST_SCALE.findIndex(([from]) => from >= at));
  const [[low, from], [high, to]] = [COST_SCALE[above - 1], COST_SCALE[above]];
  return `color-mix(in srgb, ${to} ${Math.round((100 * (at - low)) / (high - low))}%, ${from})`;
}

function tellChosen(kept, all, shown) {
  const some = kept < all || chosen ? `${kept} of ${all} trials` : `${all} trials`;
  document.getElementById("chosen").textContent = shown < kept ? `${some}, ${shown} of them drawn` : some;
  document.getElementById("clear").hidden = !chosen;
}
