// What is shown beside the pointer over a trial: all that was set and measured.
const pointer = element("div", null, "pointer");
pointer.hidden = true;

// `told` is what the plot says of this point beside what is known of the trial.
function point(i, event, told) {
  pointer.replaceChildren(
    element("strong", nameOf(i)), element("div", trials.label[i]), element("div", stateOf(i), "soft"),
    ...(told ? [element("div", told, "soft")] : []),
    pairs(known(trials.told, i)), pairs(known(trials.settings, i)),
  );
  pointer.hidden = false;
  const { width, height } = pointer.getBoundingClientRect();
  const right = event.clientX + 18;
  const left = right + width > innerWidth ? Math.max(8, event.clientX - width - 18) : right;
  pointer.style.left = `${left}px`;
  pointer.style.top = `${Math.max(8, Math.min(event.clientY + 14, innerHeight - height - 8))}px`;
}

function pairs(rows) {
  const list = element("dl");
  for (const [name, value] of rows) {
    const row = element("div");
    row.append(element("dt", name), element("dd", value));
    list.append(row);
  }
  return list;
}

// Have a plot tell of the trials in it: beside the pointer, and in the drawer once one is clicked.
function tellOfTrials(place) {
  const trialOf = (event) => places.get(event.points[0].customdata);
  place.on("plotly_hover", (event) => {
    const i = trialOf(event);
    // Some plots tell of their points themselves.
    if (i !== undefined && !touch && event.points[0].data.hoverinfo === "none") point(i, event.event, event.points[0].hovertext);
  });
  place.on("plotly_unhover", () => { pointer.hidden = true; });
  place.on("plotly_click", (event) => {
    const i = trialOf(event);
    if (i !== undefined) openTrial(i);
  });
}
