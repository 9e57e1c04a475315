// One trial in full, in a drawer at the side: what it was, how it went, and what to do with it.
const drawer = element("aside", null, "drawer");
drawer.hidden = true;
drawer.setAttribute("role", "dialog");
drawer.setAttribute("aria-label", "One trial");
let opened = null;
let cameFrom = null;

async function openTrial(i) {
  pointer.hidden = true;
  if (drawer.hidden) cameFrom = document.activeElement;
  opened = i;
  delete drawer.dataset.trial;
  const close = element("button", "×", "close");
  close.type = "button";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", closeTrial);
  const heading = element("h2", nameOf(i));
  heading.tabIndex = -1;
  const plots = element("div", null, "plots");
  const facts = known(trials.told, i);
  if (trials.took[i]) facts.push(["took", trials.took[i]]);
  if (trials.host[i]) facts.push(["on", trials.host[i]]);
  drawer.replaceChildren(
    close, heading, element("p", trials.label[i]), stateLine(i), ...failuresOf(i), ...commandsOf(i),
    element("h3", "Measured"), pairs(facts), plots, element("h3", "Configuration"), pairs(known(trials.settings, i)),
  );
  drawer.hidden = false;
  document.body.classList.add("with-drawer");
  drawer.scrollTop = 0;
  heading.focus({ preventScroll: true });
  ring(trials.number[i]);
  raise();
  const courses = JSON.parse(await unpacked("courses"));
  if (opened === i) await drawCourse(i, courses, plots);
  if (opened === i) drawer.dataset.trial = trials.number[i];
}

function closeTrial() {
  drawer.hidden = true;
  document.body.classList.remove("with-drawer");
  delete drawer.dataset.trial;
  opened = null;
  ring(null);
  raise();
  if (cameFrom) cameFrom.focus({ preventScroll: true });
}

function stateLine(i) {
  const line = element("p");
  line.append(element("span", stateOf(i), `state ${trials.state[i]}`));
  if (trials.front[i]) line.append(" ", element("span", "on the front", "mark"));
  if (trials.knee === trials.number[i]) line.append(" ", element("span", "the knee", "mark"));
  return line;
}

function failuresOf(i) {
  const told = trials.failures[i];
  if (!told.length) return [];
  const list = element("ul");
  list.append(...told.map((text) => element("li", text)));
  return [element("h3", "Earlier attempts"), list];
}

function commandsOf(i) {
  const here = location.protocol === "file:" ? decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "") : "RUN";
  const put = {
    "{run}/space.yaml": quoted(`${here}/space.yaml`), "{run}": quoted(here), "{trial}": String(trials.number[i]),
    "{enqueue}": quoted(`enqueue=${trials.enqueue[i]}`),
  };
  const possible = trials.commands.filter(({ needs }) => !needs || (needs === "adapter" ? trials.adapter[i] : trials.state[i] === needs));
  const blocks = possible.map(({ title, text }) => {
    const command = text.replace(/\{run\}\/space\.yaml|\{\w+\}/g, (name) => put[name] || name);
    const box = element("div", null, "command");
    const copy = element("button", "copy");
    copy.type = "button";
    copy.setAttribute("aria-label", `Copy: ${title}`);
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command);
      copy.textContent = "copied";
    });
    box.append(element("span", title, "soft"), ...(navigator.clipboard ? [copy] : []), element("code", command));
    return box;
  });
  return [element("h3", "What to do with it"), ...blocks];
}

// For a shell.
function quoted(path) {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

const SMALL = { margin: { l: 8, r: 8, t: 8, b: 8 }, height: 210, showlegend: false, hovermode: "closest" };

async function drawCourse(i, courses, plots) {
  const rungs = courses.rungs[i];
  const last = trials.steps[i] || Math.max(1, ...rungs.step);
  const line = (name, colour) => ({
    x: rungs.step, y: rungs[name], mode: "lines+markers", name, line: { color: colour, width: 2 }, marker: { size: 7, color: colour },
  });
  const steps = { title: { text: "step" }, range: [0, last * 1.03] };
  const draw = async (title, description, data, layout) => {
    const place = element("div", null, "plot");
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", description);
    plots.append(element("h3", title), place);
    await Plotly.newPlot(place, data, { ...SMALL, ...layout, template: template(), font: { size: 12 } }, { ...config, displayModeBar: false });
  };
  if (rungs.step.length) {
    await draw("Learning curve", "Score at each rung", [line("score", HUES[0])],
      { xaxis: steps, yaxis: { title: { text: escaped(trials.metric) } } });
    await draw("Trainable parameters", "Parameters that train, on average so far and now", [
      { ...line("trainable_params", HUES[0]), name: "on average so far" }, { ...line("trainable_params_end", HUES[1]), name: "now" },
    ], { xaxis: steps, yaxis: { rangemode: "tozero", tickformat: "~s" }, showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom" } });
  }
  const frozen = courses.frozen[i];
  if (frozen.length) {
    const { data, layout } = freezingOf(courses.matrices, frozen, last);
    await draw("Frozen at step", "Step at which each matrix was frozen", data, layout);
  }
}

// A column for each layer, a row for each role and A or B; what trained to the end is outside the scale.
function freezingOf(matrices, frozen, last) {
  const there = matrices.map((matrix, m) => [...matrix, frozen[m]]).filter(([, , , step]) => step !== null);
  const layers = [...new Set(there.map(([layer]) => layer))].sort((a, b) => a - b);
  const rows = [...new Set(there.map(([, role, matrix]) => `${role} ${matrix}`))];
  const cells = (wanted) => rows.map((row) => layers.map((layer) => {
    const cell = there.find(([l, role, matrix]) => l === layer && `${role} ${matrix}` === row);
    return cell && wanted(cell[3]) ? cell[3] : null;
  }));
  const names = rows.map(escaped);
  const map = (z, settings) => ({
    type: "heatmap", x: layers.map(String), y: names, z, xgap: 1, ygap: 1, hoverongaps: false, ...settings,
  });
  const data = [
    map(cells((step) => step >= 0), {
      colorscale: COST_SCALE, zmin: 0, zmax: last, hovertemplate: "layer %{x}, %{y}: step %{z}<extra></extra>",
      colorbar: { thickness: 10, outlinewidth: 0 },
    }),
    map(cells((step) => step < 0), {
      colorscale: [[0, HUES[1]], [1, HUES[1]]], zmin: -1, zmax: 0, showscale: false,
      hovertemplate: "layer %{x}, %{y}: trained to the end<extra></extra>",
    }),
  ];
  const plain = { type: "category", showgrid: false, showline: false, ticks: "" };
  const layout = {
    height: Math.max(170, 20 * rows.length + 70),
    xaxis: { ...plain, title: { text: "layer" } }, yaxis: { ...plain, autorange: "reversed" },
  };
  return { data, layout };
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !drawer.hidden) closeTrial();
});
