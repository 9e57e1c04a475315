// Axes as they are drawn: line, ticks, spot of those without a value, brush and its two ends.
const LETTERS = 14;

function drawing(tag, attributes = {}, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function titleOf(axis) {
  const title = element("div");
  // Long names may break after a dot or an underscore.
  for (const part of axis.title.split(/(?<=[._])/)) title.append(part, element("wbr"));
  if (axis.measure) title.append(element("span", trials.measures[axis.measure].maximised ? "↑ better" : "↓ better", "soft"));
  return title;
}

// The group, and what sets its brush and ends to where they are.
function axisDrawn(axis, placeOf) {
  const group = drawing("g", { class: "axis" });
  const lowest = axis.stops.at(-1);
  const foot = Math.max(FOOT, lowest);
  group.append(
    drawing("rect", { class: "strip", x: -18, width: 36, y: 0, height: foot + 14 }),
    axis.measure === "score"
      ? drawing("rect", { class: "scale", x: -3, width: 6, y: TOP, height: FOOT - TOP, fill: "url(#hues)" })
      : drawing("line", { class: "rule", y1: TOP, y2: FOOT }),
  );
  if (lowest === NONE) group.append(drawing("line", { class: "gap", y1: FOOT, y2: NONE }));
  const ticks = lowest === NONE ? [...axis.ticks, [NONE, "none"]] : axis.ticks;
  const room = axis.kinds && axis.kinds.length > FEW ? 26 : 13;
  let above = -Infinity;
  for (const [place, text] of [...ticks].sort((a, b) => a[0] - b[0])) {
    if (place - above < room) continue;
    above = place;
    const label = drawing("text", { x: -10, y: place, dy: "0.32em" }, text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}…` : text || "–");
    if (text.length > LETTERS) label.append(drawing("title", {}, text));
    group.append(drawing("line", { class: "tick", x1: -4, x2: 0, y1: place, y2: place }), label);
  }
  const interval = drawing("rect", { class: "interval", x: -9, width: 18 });
  const ends = ["upper", "lower"].map((name, end) => endOf(axis, name, end));
  axis.ends = ends;
  group.append(interval, ...ends);
  brushByPointer(axis, group, placeOf, ends);
  const update = () => {
    const span = spanOf(axis);
    const extent = extentOf(axis);
    group.classList.toggle("brushed", brushes.has(axis));
    interval.setAttribute("y", extent[0]);
    interval.setAttribute("height", extent[1] - extent[0]);
    ends.forEach((end, e) => {
      end.setAttribute("transform", `translate(0 ${extent[e]})`);
      const below = axis.stops.filter((stop) => stop > span[e] + 0.001).length;
      end.setAttribute("aria-valuenow", below);
      end.setAttribute("aria-valuetext", axis.words(span[e]));
      end.querySelector("text").textContent = brushes.has(axis) && !axis.reach ? axis.words(span[e]) : "";
    });
  };
  return { group, update };
}

function endOf(axis, name, end) {
  const made = drawing("g", {
    class: "end", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-label": `${axis.title}, ${name} end`,
    "aria-valuemin": 0, "aria-valuemax": axis.stops.length - 1,
  });
  made.append(
    drawing("rect", { class: "reach", x: -18, y: end ? -4 : -20, width: 36, height: 24 }),
    drawing("rect", { class: "knob", x: -9, y: -3, width: 18, height: 6, rx: 3 }),
    drawing("text", { x: 13, dy: "0.32em", "aria-hidden": "true" }),
  );
  made.addEventListener("keydown", (event) => brushByKey(axis, end, event));
  return made;
}
