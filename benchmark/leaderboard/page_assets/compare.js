// Two chosen entries side by side.

/** Choose or drop an entry; a third one takes the place of the one chosen first. */
function choose(entry, wanted) {
  state.chosen = state.chosen.filter((other) => other !== entry);
  if (wanted) state.chosen = [...state.chosen, entry].slice(-2);
  for (const one of entries) {
    const chosen = state.chosen.includes(one);
    if (one.box.checked !== chosen) one.box.checked = chosen;
    one.line.classList.toggle("chosen", chosen);
  }
  const [first, second] = state.chosen;
  byId("tray").hidden = !first;
  document.body.classList.toggle("with-tray", Boolean(first));
  byId("tray-text").textContent = second ? `${first.name} and ${second.name}` : first ? `${first.name}: choose one more` : "";
  byId("tray-compare").hidden = !second;
  showComparison();
  refreshPlots();
}

function clearChoice() {
  const [last] = state.chosen;
  state.chosen = [];
  choose(entries[0], false);
  last?.box.focus();
}

function points(a, b) {
  const difference = 100 * (a - b);
  return `${difference > 0 ? "+" : ""}${fixed(difference, 1)} pts`;
}

function thousandths(a, b) {
  return `${a > b ? "+" : ""}${fixed(a - b, 3)}`;
}

function ratio(a, b) {
  return b > 0 ? `${measure(a / b)}×` : MISSING;
}

/** Lines of the comparison: label, what to show of an entry, and how two numbers differ, if they do as numbers. */
function comparisonLines(both) {
  const number = (label, show, value, differ) => ({ label, show: (entry) => show(value(entry)), value, differ });
  const measured = (label, name, show, differ) => ({
    label,
    show: (entry) => {
      const held = metric(entry, name);
      return element("span", {}, show(held.value), " ", element("span", { class: "interval" }, interval(held, show)));
    },
    value: (entry) => metric(entry, name).value,
    differ,
  });
  const text = (label, of) => ({ label, show: (entry) => of(entry) ?? MISSING });
  return [
    text("Board", (entry) => entry.board.title),
    text("Protocol", (entry) => protocolText(entry.board)),
    text("Tier", (entry) => entry.tier),
    { label: "Provenance", show: provenanceMark },
    number("Rank", count, (entry) => entry.rank),
    measured("Video Hit@1, %", "video_hit1", percent, points),
    measured("Video Hit@5, %", "video_hit5", percent, points),
    measured("Clip Hit@1, %", "clip_hit1", percent, points),
    measured("Clip Hit@5, %", "clip_hit5", percent, points),
    measured("mAP", "map", thousandth, thousandths),
    ...data.scores.map(({ name, title, percent: inPercent }) =>
      inPercent ? measured(`${title}, %`, name, percent, points) : measured(title, name, thousandth, thousandths),
    ),
    ...groupsOf(both).map((name) => measured(`mAP, ${name}`, GROUP + name, thousandth, thousandths)),
    ...(isTimed ? [number("clips/s", measure, (entry) => entry.clips_per_second, ratio)] : []),
    number("GFLOP a clip", measure, (entry) => entry.gflop_per_clip, ratio),
    number("Parameters", count, (entry) => entry.parameters, ratio),
    number("Test videos", count, (entry) => entry.videos),
    number("Failed videos", count, (entry) => (entry.videos === null ? null : entry.failed_videos)),
    number("Held share, %", percent, (entry) => entry.held_share),
    text("Precision, as submitted", (entry) => entry.precision),
    text("Hardware, as submitted", (entry) => entry.hardware),
    text("Tested, as submitted", (entry) => entry.created),
    { label: "Source", show: (entry) => textOrLink(entry.source) },
  ];
}

function showComparison() {
  const [first, second] = state.chosen;
  byId("compare-box").hidden = !second;
  byId("compare-hint").hidden = Boolean(second);
  byId("compare-box").replaceChildren();
  if (!second) return;
  const same = first.board === second.board;
  const name = (entry) => element("th", { role: "columnheader", scope: "col" }, element("bdi", {}, entry.name));
  const last = element("th", { role: "columnheader", scope: "col" }, "Difference");
  const corner = element("td", { role: "cell", class: "corner" });
  const head = element("tr", { role: "row" }, corner, name(first), name(second), ...(same ? [last] : []));
  const lines = comparisonLines([first, second]).map(({ label, show, value, differ }) => {
    const a = value?.(first) ?? null;
    const b = value?.(second) ?? null;
    const difference = differ && a !== null && b !== null ? differ(a, b) : "";
    const cell = (shown) => element("td", { role: "cell" }, shown);
    const title = element("th", { role: "rowheader", scope: "row" }, label);
    const shown = [cell(show(first)), cell(show(second))];
    return element("tr", { role: "row" }, title, ...shown, ...(same ? [cell(difference)] : []));
  });
  const body = element("tbody", { role: "rowgroup" }, ...lines);
  const table = element("table", { class: same ? "compare" : "compare apart", role: "table" });
  table.append(element("thead", { role: "rowgroup" }, head), body);
  const apart = "These two stand on different boards, so no difference is shown: they were not asked the same question.";
  if (!same) byId("compare-box").append(element("p", { class: "note" }, apart));
  byId("compare-box").append(table);
}
