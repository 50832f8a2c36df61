// The table: built once; filters hide rows, sorting moves them. Its rows are grids of fixed columns, so that the browser
// need not lay out those out of view; the roles give back what a table loses by that.

const filters = {
  dataset: { label: (entry) => entry.board.dataset, of: (entry) => entry.board.dataset },
  protocol: { label: (entry) => protocolText(entry.board), of: (entry) => String(entry.board.protocol_hash) },
  fold: { label: (entry) => foldText(entry.board), of: (entry) => foldText(entry.board) },
  classes: { label: (entry) => classesText(entry.board), of: (entry) => JSON.stringify(entry.board.classes) },
  tier: { label: (entry) => entry.tier, of: (entry) => entry.tier },
};

function protocolText(board) {
  return board.protocol_hash === null ? "Claims, not checkable" : `${board.protocol} (${board.protocol_hash.slice(0, 8)})`;
}

function foldText(board) {
  if (board.folds !== null) return `Mean of ${board.folds.length} folds`;
  return board.fold === null ? "No fold" : `Fold ${board.fold}`;
}

function classesText(board) {
  if (board.classes === null) return "All classes";
  const names = board.classes.slice(0, 3).join(", ");
  return `${board.classes.length} chosen: ${names}${board.classes.length > 3 ? ", …" : ""}`;
}

function fillFilters() {
  for (const [name, filter] of Object.entries(filters)) {
    const labels = new Map(entries.map((entry) => [filter.of(entry), filter.label(entry)]));
    const sorted = [...labels].sort(([, a], [, b]) => a.localeCompare(b, "en", { numeric: true }));
    filter.select = byId(`filter-${name}`);
    // An option's number, not its text, says what is chosen: a dataset may be called anything.
    filter.values = [null, ...sorted.map(([value]) => value)];
    filter.select.append(...["All", ...sorted.map(([, label]) => label)].map((label, i) => new Option(label, String(i))));
  }
}

function classOf(column) {
  return `c-${column.key}${column.number ? " number" : ""}`;
}

function header() {
  const cells = COLUMNS.map((column) => {
    const lines = column.label.split("|").flatMap((line, i) => (i ? [element("br"), line] : [line]));
    const button = element("button", { type: "button" }, element("span", {}, ...lines));
    button.addEventListener("click", () => sortBy(column));
    column.head = element("th", { role: "columnheader", scope: "col", class: classOf(column) }, button);
    return column.head;
  });
  const title = element("span", { class: "hidden" }, "Compare");
  const choose = element("th", { role: "columnheader", scope: "col", class: "c-choose" }, title);
  return element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, choose, ...cells));
}

function boardHead(board) {
  const title = element("h3", {}, board.title);
  if (board.classes !== null) title.append(" ", element("span", { class: "mark subset" }, "class subset"));
  const words = element("p", {}, board.protocol_hash === null ? "Claims: no protocol that could be checked" : board.protocol);
  if (board.protocol_hash === null && board.protocol) words.append(` (${board.protocol})`);
  if (board.protocol_hash !== null) words.append(" ", element("code", {}, board.protocol_hash.slice(0, 8)));
  board.count = element("span", { class: "count" });
  words.append(board.count);
  const box = element("div", { class: "board" }, title, words);
  if (board.without_clips !== null) box.append(element("p", {}, board.without_clips));
  if (board.detectable !== null) box.append(element("p", {}, board.detectable));
  if (board.classes !== null) {
    box.append(element("details", {}, element("summary", {}, "Chosen classes"), element("p", {}, board.classes.join(", "))));
  }
  const across = { role: "rowheader", scope: "rowgroup", colspan: COLUMNS.length + 1 };
  return element("tr", { role: "row", class: "head" }, element("th", across, box));
}

function fillNumbers(entry) {
  for (const column of COLUMNS) {
    if (!column.number) continue;
    const cell = entry.cells.get(column.key);
    cell.textContent = column.show(column.value(entry));
    if (column.interval) {
      cell.append(element("span", { class: "interval" }, interval(metric(entry, column.metric), column.show)));
    }
  }
}

function buildRow(entry) {
  entry.box = element("input", { type: "checkbox", "aria-label": `Compare ${entry.name}` });
  entry.box.addEventListener("change", () => choose(entry, entry.box.checked));
  entry.cells = new Map();
  const first = element("td", { role: "cell", class: "c-choose" }, entry.box);
  entry.line = element("tr", { role: "row", class: entry.provenance ?? "" }, first);
  for (const column of COLUMNS) {
    const [tag, role] = column.key === "name" ? ["th", "rowheader"] : ["td", "cell"];
    const cell = element(tag, { role, class: classOf(column) });
    entry.cells.set(column.key, cell);
    entry.line.append(cell);
  }
  const name = entry.cells.get("name");
  name.setAttribute("scope", "row");
  name.append(element("bdi", {}, entry.name));
  const confirmed = entry.confirmed_by === null ? {} : { title: `confirmed by ${entry.confirmed_by}` };
  entry.cells.get("tier").append(element("span", { class: `tier ${entry.tier}`, ...confirmed }, entry.tier));
  entry.cells.get("provenance").append(provenanceMark(entry));
  if (entry.provenance !== null && entry.provenance !== "clean") {
    const short = entry.provenance === "unknown" ? "unknown weights" : "contaminated";
    name.append(" ", element("span", { class: `mark ${entry.provenance}`, "aria-hidden": "true" }, short));
  }
  if (entry.deviation !== null) {
    name.append(" ", element("span", { class: "mark unknown", title: entry.deviation }, "pixels differ"));
  }
  const more = entry.links.map(([label, address]) => linked(label, address));
  if (entry.spread !== null) more.unshift(`SD over folds ${entry.spread}`);
  const apart = more.flatMap((part, i) => (i ? [" · ", part] : [part]));
  if (more.length) entry.line.append(element("td", { role: "cell", class: "links" }, ...apart));
  fillNumbers(entry);
}

function provenanceMark(entry) {
  if (entry.provenance === null) return MISSING;
  return entry.provenance === "clean" ? "clean" : element("span", { class: `mark ${entry.provenance}` }, entry.provenance);
}

function buildTable() {
  const parts = [header()];
  for (const board of boards) {
    board.head = boardHead(board);
    board.body = element("tbody", { role: "rowgroup" }, board.head);
    board.entries.forEach(buildRow);
    parts.push(board.body);
  }
  byId("table").append(...parts);
  byId("table").classList.toggle("many", entries.length > 200);
  // Columns that only some pages have: of scores that not every record has, and of speeds.
  const widths = [...data.scores.map(() => "5rem"), ...(isTimed ? ["4.75rem"] : [])];
  const { style } = byId("table");
  style.setProperty("--some-columns", widths.join(" "));
  style.setProperty("--scores", String(data.scores.length));
  style.setProperty("--speeds", String(Number(isTimed)));
  new ResizeObserver(fitTable).observe(byId("table-box"));
  fitTable();
}

/** A table that fits needs no scrolling of its own, only the page's. */
function fitTable() {
  const box = byId("table-box");
  box.classList.toggle("fits", byId("table").offsetWidth <= box.clientWidth + 1);
}

function sortBy(column) {
  const again = state.sort.key === column.key;
  state.sort = { key: column.key, ascending: again ? !state.sort.ascending : Boolean(column.ascending) };
  showOrder();
  refreshPlots();
}

function showOrder() {
  for (const column of COLUMNS) {
    if (column.key !== state.sort.key) column.head.removeAttribute("aria-sort");
    else column.head.setAttribute("aria-sort", state.sort.ascending ? "ascending" : "descending");
  }
  for (const board of boards) {
    board.entries = ordered(board.entries);
    board.body.append(...board.entries.map((entry) => entry.line));
  }
}

function outOf(shown, all) {
  return `${shown === all ? "" : `${count(shown)} of `}${plural(all, "entry", "entries")}`;
}

function applyFilters() {
  const wanted = Object.values(filters).map((filter) => [filter.of, filter.values[filter.select.selectedIndex]]);
  const chosen = wanted.filter(([, value]) => value !== null);
  const part = byId("filter-name").value.trim().toLocaleLowerCase("en");
  for (const entry of entries) {
    entry.shown = chosen.every(([of, value]) => of(entry) === value) && entry.name.toLocaleLowerCase("en").includes(part);
    entry.line.hidden = !entry.shown;
  }
  const visible = boards.filter((board) => {
    const shown = board.entries.filter((entry) => entry.shown).length;
    board.body.hidden = shown === 0;
    board.count.textContent = outOf(shown, board.entries.length);
    return shown > 0;
  });
  const shown = entries.filter((entry) => entry.shown).length;
  const filtered = chosen.length > 0 || part !== "";
  const where = `on ${plural(visible.length, "board", "boards")}${state.decodedOnly ? ", decoded videos only" : ""}`;
  byId("status").textContent = `${outOf(shown, entries.length)} ${where}`;
  byId("clear-filters").hidden = !filtered;
  byId("nothing").hidden = shown > 0;
  byId("nothing").textContent = entries.length ? "No entry matches these filters." : "There is no entry yet.";
  fillBoardChoice(visible);
  refreshPlots();
}

function clearFilters() {
  for (const filter of Object.values(filters)) filter.select.selectedIndex = 0;
  byId("filter-name").value = "";
  applyFilters();
  byId("filter-dataset").focus();
}

function showDecodedOnly(only) {
  state.decodedOnly = only;
  for (const entry of entries) if (entry.decoded_only) fillNumbers(entry);
  showOrder();
  applyFilters();
  showComparison();
}
