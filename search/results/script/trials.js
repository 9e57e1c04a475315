// The trials as the page knows them: columns, a value for each.
let trials = null;
const places = new Map();

function learn(catalogue) {
  trials = catalogue;
  catalogue.number.forEach((number, index) => places.set(number, index));
}

function nameOf(i) {
  const mark = trials.mark[i];
  return `Trial ${trials.number[i]}${mark ? ` · ${mark}` : ""}`;
}

function stateOf(i) {
  const { state, step, steps, reason } = trials;
  let text = state[i];
  if (text !== "complete" && step[i] !== null) {
    text += ` at step ${step[i]}${steps[i] ? ` of ${steps[i]}` : ""}`;
  }
  return reason[i] ? `${text}: ${reason[i]}` : text;
}

// Pairs of a column's name and what this trial has there; what it lacks is left out.
function known(columns, i) {
  return Object.entries(columns).map(([name, column]) => [name, column[i]]).filter(([, value]) => value !== null);
}
