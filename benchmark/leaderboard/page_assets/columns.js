// The rows as the table, the plots and the comparison see them.

const NOTHING = { value: null, low: null, high: null };
const TIERS = ["audited", "reproduced", "recomputed", "claimed"];
const PROVENANCES = ["clean", "unknown", "contaminated"];
const GROUP = "map/";

const data = JSON.parse(byId("data").textContent);
const boards = data.boards.map((board, number) => ({ ...board, number }));
const entries = boards.flatMap((board) => board.rows.map((row) => ({ ...row, board })));
entries.forEach((entry, number) => {
  const map = (list) => new Map(list.map(([name, value, low, high]) => [name, { value, low, high }]));
  entry.number = number;
  entry.metrics = map(entry.metrics);
  entry.decoded_only = entry.decoded_only && map(entry.decoded_only);
});
for (const board of boards) board.entries = entries.filter((entry) => entry.board === board);

const state = { sort: { key: "rank", ascending: true }, decodedOnly: false, chosen: [], plotBoard: null, pickedBoard: null };

/** A metric of an entry, over all videos or over the decoded ones. */
function metric(entry, name) {
  const from = state.decodedOnly && entry.decoded_only ? entry.decoded_only : entry.metrics;
  return from.get(name) ?? NOTHING;
}

/** Names of the groups of classes of some entries, in order of first appearance. */
function groupsOf(some) {
  const names = some.flatMap((entry) => [...entry.metrics.keys()].filter((name) => name.startsWith(GROUP)));
  return [...new Set(names)].map((name) => name.slice(GROUP.length));
}

function hit(key, label, name) {
  return { key, label, number: true, metric: name, show: percent, value: (entry) => metric(entry, name).value };
}

function figure(key, label, show, value) {
  return { key, label, number: true, show, value };
}

// Speeds are there only where one command measured them, on a machine that did nothing else.
const isTimed = entries.some((entry) => entry.clips_per_second !== null);

// `number` columns are right-aligned; the best of `ascending` ones is the smallest. `label` may break at "|".
const COLUMNS = [
  { ...figure("rank", "Rank", count, (entry) => entry.rank), ascending: true },
  { key: "name", label: "Entry", ascending: true, value: (entry) => entry.name },
  { key: "tier", label: "Tier", ascending: true, value: (entry) => TIERS.indexOf(entry.tier) },
  { ...hit("video_hit1", "Video|Hit@1", "video_hit1"), interval: true },
  hit("video_hit5", "Video|Hit@5", "video_hit5"),
  hit("clip_hit1", "Clip|Hit@1", "clip_hit1"),
  { ...hit("map", "mAP", "map"), show: thousandth },
  ...data.scores.map(({ name, title, percent: inPercent, higher }) => ({
    ...hit(`score-${name}`, title.replace(" ", "|"), name),
    show: inPercent ? percent : thousandth,
    ascending: !higher,
  })),
  ...(isTimed ? [figure("speed", "clips/s", measure, (entry) => entry.clips_per_second)] : []),
  { ...figure("gflop", "GFLOP|a clip", measure, (entry) => entry.gflop_per_clip), ascending: true },
  { ...figure("parameters", "Para-|meters", compact, (entry) => entry.parameters), ascending: true },
  { ...figure("failed", "Failed|videos", count, (entry) => (entry.videos === null ? null : entry.failed_videos)), ascending: true },
  figure("held", "Held,|%", percent, (entry) => entry.held_share),
  {
    key: "provenance",
    label: "Provenance",
    ascending: true,
    value: (entry) => (entry.provenance === null ? null : PROVENANCES.indexOf(entry.provenance)),
  },
];

/** Entries in the chosen order; those without a value last, equal ones as they came. */
function ordered(some) {
  const { key, ascending } = state.sort;
  const { value } = COLUMNS.find((column) => column.key === key);
  const sign = ascending ? 1 : -1;
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  const keyed = some.map((entry) => [value(entry), entry]);
  keyed.sort(([a, first], [b, second]) => {
    if (a === null || b === null) return (a === null) - (b === null) || first.number - second.number;
    return sign * compare(a, b) || first.number - second.number;
  });
  return keyed.map(([, entry]) => entry);
}
