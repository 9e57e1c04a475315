// How plots look on this page: light or dark, wide or narrow, on paper.
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 720px)");
const printing = matchMedia("print");
const touch = matchMedia("(pointer: coarse)").matches;

const GREY = "#868d96";
const SHADE = "rgba(134,141,150,0.09)";
const HUES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c5a2b", "#6a51a3"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "cross"];
const STATES = { complete: "#0072B2", pruned: "#E69F00", failed: "#D55E00", running: "#009E73", paused: "#CC79A7", waiting: GREY };
const COST_SCALE = [[0, "#1f5fa8"], [0.25, "#5a86a8"], [0.5, "#9aa98c"], [0.75, "#d3c35c"], [1, "#f2dd3a"]];

const config = {
  responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

// Paper is light.
function night() {
  return dark.matches && !printing.matches;
}

function template() {
  const ink = night() ? "#dfe4ea" : "#2a313a";
  const panel = night() ? "#262d36" : "#ffffff";
  const axis = {
    gridcolor: night() ? "#2c343e" : "#e6e9ed",
    linecolor: night() ? "#5b6674" : "#9aa3ae",
    tickcolor: night() ? "#5b6674" : "#9aa3ae",
    showline: true, ticks: "outside", ticklen: 4, zeroline: false, automargin: true,
    title: { standoff: 10 },
  };
  return {
    layout: {
      font: { color: ink }, xaxis: axis, yaxis: axis,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: GREY, activecolor: ink },
      hoverlabel: { bgcolor: panel, bordercolor: GREY, font: { color: ink }, align: "left" },
    },
  };
}

// The name of the line that shows what answering always the same scores.
function chanceOf(layout) {
  return (layout.annotations || []).filter((annotation) => annotation.name === "chance");
}

// A narrow page has no room for names beside points (the legend has them) nor for a bar at the side.
function fitted(layout) {
  const fit = { ...layout, template: template(), dragmode: touch ? false : "zoom" };
  if (!narrow.matches) return fit;
  if (layout.meta === "slots") {
    const { xaxis, yaxis } = layout;
    const second = (_, index) => index % 2 === 0;
    const fewer = xaxis.tickvals && { tickvals: xaxis.tickvals.filter(second), ticktext: xaxis.ticktext.filter(second) };
    fit.xaxis = { ...xaxis, ...fewer, title: { ...xaxis.title, font: { size: 13 } } };
    fit.yaxis = { ...yaxis, ticktext: yaxis.ticktext.map((name) => name.replace(" · slot ", " · ")), tickfont: { size: 11 } };
  }
  if (layout.coloraxis) {
    const bar = layout.coloraxis.colorbar;
    fit.annotations = chanceOf(layout);
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

// Plotly reads <b>, <a> and entities as markup.
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
