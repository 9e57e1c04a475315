async function draw(figures) {
  const spots = [...document.querySelectorAll("[data-figure]")];
  const show = async (spot) => {
    const name = spot.dataset.figure;
    const figure = name === "front" && trials ? frontFigure(figures[name]) : figures[name];
    const before = Boolean(spot.data);
    await Plotly.react(spot, figure.data, fitted(figure.layout), config);
    if (trials && !before) tellOfTrials(spot);
  };
  // What is on the screen first, and the rest once the page can be read.
  const state = document.documentElement.dataset;
  const seen = (spot) => spot.getBoundingClientRect().top < 1.2 * innerHeight;
  const first = spots.filter(seen);
  for (const spot of first) await show(spot);
  state.plots = "seen";
  performance.mark("seen");
  if (trials) showParallel();
  // One after the other: plotly leaves parts of both behind when two drawings of a plot overlap.
  let drawnSoFar = Promise.resolve();
  for (const spot of spots.filter((other) => !first.includes(other))) {
    drawnSoFar = drawnSoFar.then(breath).then(() => show(spot));
  }
  drawnSoFar = drawnSoFar.then(() => { state.plots = "drawn"; });
  const redraw = (which) => {
    drawnSoFar = drawnSoFar.then(async () => {
      for (const spot of spots.filter(which)) {
        Plotly.purge(spot);
        delete spot.data;
        await show(spot);
      }
      if (opened !== null) ring(trials.number[opened]);
    });
  };
  for (const query of [dark, narrow, printing]) query.addEventListener("change", () => redraw(() => true));
  offerAxes(() => redraw((spot) => spot.dataset.figure === "front"));
}

// Lets the page answer its reader.
function breath() {
  return new Promise((go) => { setTimeout(go, 0); });
}

function leadFromTables() {
  document.querySelector("main").addEventListener("click", (event) => {
    const link = event.target.closest("[data-trial]");
    if (link) openTrial(places.get(Number(link.dataset.trial)));
  });
}

async function start() {
  // The policy knows this script by its hash; there is nowhere else it could come from.
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  if (!window.Plotly) throw new Error("the browser refused to run the plotting library");
  if (document.getElementById("catalogue")) {
    learn(JSON.parse(await unpacked("catalogue")));
    document.body.append(pointer, drawer);
    leadFromTables();
  }
  await draw(JSON.parse(await unpacked("figures")));
}

start().catch((error) => {
  const trouble = document.getElementById("trouble");
  trouble.textContent = `The plots could not be drawn: ${error.message}. The tables hold the same figures.`;
  trouble.hidden = false;
  console.error(error);
});
