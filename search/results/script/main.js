async function draw(figures) {
  const spots = [...document.querySelectorAll("[data-figure]")];
  // One plot that fails keeps no other from being drawn.
  const attempt = async (work) => {
    try {
      await work();
    } catch (error) {
      tellTrouble("A plot", error);
    }
  };
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
  for (const spot of first) await attempt(() => show(spot));
  state.plots = "seen";
  performance.mark("seen");
  if (trials) await attempt(showParallel);
  // One after the other: plotly leaves parts of both behind when two drawings of a plot overlap.
  let drawnSoFar = Promise.resolve();
  const next = (work) => { drawnSoFar = drawnSoFar.then(() => attempt(work)); };
  for (const spot of spots.filter((other) => !first.includes(other))) {
    next(breath);
    next(() => show(spot));
  }
  next(() => { state.plots = "drawn"; });
  const redraw = (which) => {
    for (const spot of spots.filter(which)) {
      next(() => {
        Plotly.purge(spot);
        delete spot.data;
        return show(spot);
      });
    }
    next(() => { if (opened !== null) ring(trials.number[opened]); });
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

// `what` begins the sentence.
function tellTrouble(what, error) {
  const trouble = document.getElementById("trouble");
  trouble.textContent = `${what} could not be drawn: ${error.message}. The tables hold the same figures.`;
  trouble.hidden = false;
  console.error(error);
}

start().catch((error) => tellTrouble("The plots", error));
