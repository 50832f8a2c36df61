// The plots: drawn when they come into view, and drawn again only when what they show has changed.

const SHOWN_GROUPED = 5; // entries whose groups are drawn when none is chosen
const plots = { scatter: { draw: drawScatter, click: chooseClicked }, groups: { draw: drawGroups } };
const font = { size: 13 };
const dark = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)");
let library = null;
let pending = null;

/** Text that Plotly shows as it is: it reads tags and entities in labels otherwise. */
function plain(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\s+/g, " ");
}

function short(text, length) {
  return [...text].length > length ? `${[...text].slice(0, length - 1).join("")}…` : text;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function loadLibrary() {
  library ??= new Promise((resolve, reject) => {
    const script = element("script", { src: document.body.dataset.plots });
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error("not found")));
    document.head.append(script);
  });
  return library;
}

function watchPlots() {
  const observer = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      plots[target.dataset.plot].visible = isIntersecting;
      if (isIntersecting) refreshPlots();
    }
  }, { rootMargin: "300px" });
  for (const id of Object.keys(plots)) observer.observe(byId(id).parentElement);
  dark.addEventListener("change", refreshPlots);
}

/** Soon, once, and off the path of a click. */
function refreshPlots() {
  clearTimeout(pending);
  pending = setTimeout(() => {
    for (const [id, plot] of Object.entries(plots)) if (plot.visible) showPlot(id, plot);
  }, 120);
}

async function showPlot(id, plot) {
  const shown = state.plotBoard === null ? [] : state.plotBoard.entries.filter((entry) => entry.shown);
  const picture = plot.draw(shown);
  const key = JSON.stringify([picture, dark.matches]);
  if (plot.key === key) return;
  plot.key = key;
  byId(id).hidden = picture === null;
  if (picture === null) return;
  try {
    const plotly = await loadLibrary();
    await plotly.react(id, picture.traces, layout(picture.layout), { displayModeBar: false, responsive: true });
    if (!plot.drawn) byId(id).on("plotly_click", ({ points }) => plot.click?.(points[0]));
    plot.drawn = true;
  } catch {
    byId(id).textContent = `The plot needs the file ${document.body.dataset.plots} beside this page.`;
  }
}

function layout(own) {
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, fixedrange: coarse.matches };
  return {
    ...own,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("muted") },
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("line"), font: { color: colour("text") }, align: "left" },
    dragmode: coarse.matches ? false : "zoom",
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", ...own.legend },
    xaxis: { automargin: true, ...axis, ...own.xaxis },
    yaxis: { automargin: true, ...axis, ...own.yaxis },
  };
}

/** Logarithmic where numbers differ much, with 1, 2 and 5 times the powers of ten as ticks. */
function axisOf(numbers) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  if (high <= 10 * low) return { type: "linear", nticks: 8 };
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high) + 1; power += 1) {
    ticks.push(...[1, 2, 5].map((step) => step * 10 ** power));
  }
  const labels = ticks.map((tick) => tick.toLocaleString("en-US", { maximumSignificantDigits: 1 }));
  return { type: "log", tickvals: ticks, ticktext: labels };
}

function accuracy(entry) {
  return metric(entry, "video_hit1").value;
}

/** What a clip costs on any machine. */
function work(entry) {
  return entry.gflop_per_clip;
}

/** Tested, uncontaminated entries that none of them beats in both accuracy and work, most work first. */
function paretoFront(points) {
  const sound = points.filter((entry) => entry.provenance !== "contaminated" && entry.tier !== "claimed");
  sound.sort((a, b) => work(a) - work(b) || accuracy(b) - accuracy(a));
  let best = -1;
  return sound.filter((entry) => {
    const better = accuracy(entry) > best;
    best = Math.max(best, accuracy(entry));
    return better;
  }).reverse();
}

function hover(entry) {
  const held = metric(entry, "video_hit1");
  const lines = [
    `<b>${plain(short(entry.name, 60))}</b>`,
    `video Hit@1 ${percent(held.value)} ${interval(held, percent)}`,
    `${measure(work(entry))} GFLOP a clip`,
    entry.clips_per_second === null ? "" : `${measure(entry.clips_per_second)} clips/s`,
    [entry.tier, entry.provenance].filter(Boolean).join(", "),
  ];
  return lines.filter(Boolean).join("<br>");
}

const KINDS = [
  { name: "audited", symbol: "star", hue: "accent" },
  { name: "reproduced", symbol: "circle", hue: "accent" },
  { name: "recomputed", symbol: "circle-open", hue: "accent" },
  { name: "claimed", symbol: "diamond-open", hue: "muted" },
  { name: "contaminated", symbol: "x-thin", hue: "bad" },
];

function drawScatter(shown) {
  const points = shown.filter((entry) => work(entry) > 0 && accuracy(entry) !== null);
  const front = paretoFront(points);
  byId("front-text").textContent = frontText(points, front);
  if (!points.length) return null;
  const traces = [frontTrace(points, front)];
  for (const kind of KINDS) {
    const of = (entry) => (entry.provenance === "contaminated" ? "contaminated" : entry.tier);
    const some = points.filter((entry) => of(entry) === kind.name);
    if (some.length) traces.push(pointsTrace(kind, some, points.length));
  }
  return {
    traces,
    layout: {
      height: 420,
      margin: { l: 8, r: 16, t: 8, b: 8 },
      hovermode: "closest",
      xaxis: { title: { text: "GFLOP a clip", font }, ...axisOf(works(points)) },
      yaxis: { title: { text: "video Hit@1, %", font } },
    },
  };
}

function works(some) {
  return some.map(work);
}

function accuracies(some) {
  return some.map((entry) => 100 * accuracy(entry));
}

function frontText(points, front) {
  if (!points.length) return "No entry shown here has both its work and a video Hit@1.";
  if (!front.length) return "No entry shown here can be on the Pareto front.";
  const figures = (entry) => `${percent(accuracy(entry))}% at ${measure(work(entry))} GFLOP a clip`;
  return `On the Pareto front: ${front.map((entry) => `${entry.name} (${figures(entry)})`).join("; ")}.`;
}

function frontTrace(points, front) {
  const labelled = front.length <= 6 && points.length <= 40 && byId("scatter").clientWidth >= 700;
  const middle = Math.sqrt(Math.min(...works(points)) * Math.max(...works(points)));
  return {
    type: "scatter",
    mode: labelled ? "lines+text" : "lines",
    name: "Pareto front",
    x: works(front),
    y: accuracies(front),
    hoverinfo: "skip",
    line: { shape: "vh", color: colour("front"), width: 2 },
    cliponaxis: false,
    text: front.map((entry) => `\u2002${plain(short(entry.name, 28))}\u2002`),
    textfont: { color: colour("text") },
    textposition: front.map((entry) => (work(entry) < middle ? "top right" : "top left")),
  };
}

function pointsTrace({ name, symbol, hue }, some, total) {
  const whisker = (end) =>
    some.map((entry) => 100 * Math.abs((metric(entry, "video_hit1")[end] ?? accuracy(entry)) - accuracy(entry)));
  return {
    type: "scatter",
    mode: "markers",
    name,
    x: works(some),
    y: accuracies(some),
    customdata: some.map((entry) => entry.number),
    hovertext: some.map(hover),
    hoverinfo: "text",
    marker: { symbol, size: 10, color: colour(hue), opacity: total > 200 ? 0.6 : 1, line: { width: 2, color: colour(hue) } },
    // With many points the intervals would hide them.
    error_y: {
      type: "data", visible: total <= 40, symmetric: false, array: whisker("high"), arrayminus: whisker("low"),
      color: colour(hue), thickness: 1, width: 0,
    },
  };
}

function chooseClicked({ customdata }) {
  if (customdata !== undefined) choose(entries[customdata], !entries[customdata].box.checked);
}

/** Label in lines of about `width` characters. */
function wrapped(text, width) {
  const lines = [""];
  for (const word of short(text, 60).split(/\s+/)) {
    if (lines.at(-1) && `${lines.at(-1)} ${word}`.length > width) lines.push("");
    lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
  }
  return lines.map((line) => plain(short(line, width + 8))).join("<br>");
}

function drawGroups(shown) {
  const grouped = shown.filter((entry) => groupsOf([entry]).length);
  const chosen = state.chosen.filter((entry) => entry.board === state.plotBoard && groupsOf([entry]).length);
  const some = chosen.length ? chosen : grouped.slice(0, SHOWN_GROUPED);
  byId("groups-text").textContent = groupsText(some, chosen);
  if (!some.length) return null;
  const names = groupsOf(some);
  const places = names.map((_, i) => i);
  return {
    traces: some.map((entry, i) => groupsTrace(entry, names, colour(`series-${i + 1}`))),
    layout: {
      height: 90 + names.length * (24 + 16 * some.length) + 20 * Math.ceil(some.length / 2),
      margin: { l: 8, r: 16, t: 8, b: 8 },
      barmode: "group",
      bargap: 0.3,
      legend: { traceorder: "normal" },
      xaxis: { title: { text: "mAP", font }, range: [0, 1], fixedrange: true },
      yaxis: {
        tickvals: places, ticktext: names.map((name) => wrapped(name, 18)), ticklen: 6, tickcolor: "rgba(0,0,0,0)",
        autorange: "reversed", fixedrange: true, showgrid: false,
      },
    },
  };
}

function groupsText(some, chosen) {
  if (!some.length) return "No entry shown here has figures by group.";
  if (chosen.length) return "The entries chosen on this board.";
  return `The first ${plural(some.length, "entry", "entries")} in the table's order; tick entries to see others.`;
}

function groupsTrace(entry, names, hue) {
  const held = names.map((name) => metric(entry, GROUP + name));
  const title = `<b>${plain(short(entry.name, 60))}</b>`;
  const digits = (value) => fixed(value, 3);
  return {
    type: "bar",
    orientation: "h",
    name: plain(short(entry.name, byId("groups").clientWidth < 500 ? 26 : 40)),
    showlegend: true,
    y: names.map((_, i) => i),
    x: held.map(({ value }) => value),
    hovertext: held.map((one, i) => `${title}<br>${plain(short(names[i], 60))} ${digits(one.value)} ${interval(one, digits)}`),
    hoverinfo: "text",
    marker: { color: hue },
    error_x: {
      type: "data", symmetric: false, visible: held.some(({ low }) => low !== null),
      array: held.map(({ value, high }) => (high === null ? 0 : high - value)),
      arrayminus: held.map(({ value, low }) => (low === null ? 0 : value - low)),
      color: colour("text"), thickness: 1, width: 0,
    },
  };
}

function fillBoardChoice(visible) {
  const select = byId("plot-board");
  const drawable = (board) => board.entries.filter((entry) => entry.shown && work(entry) > 0).length;
  if (visible.includes(state.pickedBoard)) {
    state.plotBoard = state.pickedBoard;
  } else if (!visible.includes(state.plotBoard) || !drawable(state.plotBoard)) {
    state.plotBoard = visible.reduce((best, board) => (best === null || drawable(board) > drawable(best) ? board : best), null);
  }
  const key = visible.map((board) => board.number).join();
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    const label = (board) => `${board.title} · ${protocolText(board)}`;
    select.replaceChildren(...visible.map((board) => new Option(label(board), String(board.number))));
  }
  select.value = state.plotBoard === null ? "" : String(state.plotBoard.number);
  select.disabled = visible.length < 2;
}
