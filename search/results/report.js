"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 720px)");
  const printing = matchMedia("print");
  const touch = matchMedia("(pointer: coarse)").matches;

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function template() {
    const night = dark.matches && !printing.matches;
    const ink = night ? "#dfe4ea" : "#2a313a";
    const panel = night ? "#262d36" : "#ffffff";
    const axis = {
      gridcolor: night ? "#2c343e" : "#e6e9ed",
      linecolor: night ? "#5b6674" : "#9aa3ae",
      tickcolor: night ? "#5b6674" : "#9aa3ae",
      showline: true, ticks: "outside", ticklen: 4, zeroline: false, automargin: true,
      title: { standoff: 10 },
    };
    return {
      layout: {
        font: { color: ink }, xaxis: axis, yaxis: axis,
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        hoverlabel: { bgcolor: panel, bordercolor: "#868d96", font: { color: ink }, align: "left" },
      },
    };
  }

  // A narrow page has no room for names beside points (the legend has them) nor for a bar at the side.
  function fitted(layout) {
    const fit = { ...layout, template: template(), dragmode: touch ? false : "zoom" };
    if (!narrow.matches) return fit;
    if (layout.coloraxis) {
      const bar = layout.coloraxis.colorbar;
      fit.annotations = [];
      fit.height = layout.height + 80;
      const { text } = layout.xaxis.title;
      fit.xaxis = {
        ...layout.xaxis,
        title: { ...layout.xaxis.title, text: text.replace(", ", ",<br>") },
        nticks: Math.ceil((layout.xaxis.nticks || 8) / 2),
      };
      fit.coloraxis = {
        ...layout.coloraxis,
        colorbar: {
          ...bar, orientation: "h", y: -0.28, yanchor: "top", thickness: 10,
          title: { ...bar.title, side: "top" },
        },
      };
    }
    return fit;
  }

  const config = {
    responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  async function draw(figures) {
    const places = [...document.querySelectorAll("[data-figure]")];
    const show = (place) => {
      const figure = figures[place.dataset.figure];
      return Plotly.react(place, figure.data, fitted(figure.layout), config);
    };
    const visible = (place) => !place.closest("details:not([open])");
    for (const place of places.filter(visible)) await show(place);
    for (const details of document.querySelectorAll("details.more")) {
      details.addEventListener("toggle", () => {
        if (details.open) details.querySelectorAll("[data-figure]").forEach(show);
      });
    }
    // One after the other: plotly leaves parts of both behind when two drawings of a plot overlap.
    let drawn = Promise.resolve();
    const redraw = () => {
      drawn = drawn.then(async () => {
        for (const place of places.filter(visible)) {
          Plotly.purge(place);
          await show(place);
        }
      });
    };
    for (const query of [dark, narrow, printing]) query.addEventListener("change", redraw);
    document.documentElement.dataset.plots = "drawn";
  }

  function compare(a, b, numbers) {
    // What is unknown goes last whichever way the column is sorted.
    if (a === "" || b === "") return null;
    return numbers ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
  }

  function sort(button) {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const column = heading.cellIndex;
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const key = (row) => row.cells[column].dataset.key;
    const rows = [...table.tBodies[0].rows].sort((first, second) => {
      const [a, b] = [key(first), key(second)];
      const order = compare(a, b, button.dataset.kind === "number");
      return order === null ? (a === "") - (b === "") : sign * order;
    });
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    table.tBodies[0].append(...rows);
  }

  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sort(button));
  }

  async function start() {
    if (!("DecompressionStream" in window)) {
      throw new Error("this browser is too old for them (it lacks DecompressionStream)");
    }
    // The policy knows this script by its hash; there is nowhere else it could come from.
    const script = document.createElement("script");
    script.textContent = await unpacked("plotly");
    document.head.append(script);
    if (!window.Plotly) throw new Error("the browser refused to run the plotting library");
    await draw(JSON.parse(await unpacked("figures")));
  }

  start().catch((error) => {
    const trouble = document.getElementById("trouble");
    trouble.textContent = `The plots could not be drawn: ${error.message}. The tables hold the same figures.`;
    trouble.hidden = false;
    console.error(error);
  });
})();
