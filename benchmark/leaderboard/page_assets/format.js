"use strict";
// Whatever a row says reaches the page through here: as text, never as markup.

const MISSING = "–";

/** An element with attributes; strings among its children become text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

/** Exact ties go to the even digit, as in the tables beside the page. */
function fixed(value, digits) {
  if (value === null) return MISSING;
  const scaled = Math.abs(value) * 10 ** digits;
  const down = Math.floor(scaled);
  const isTie = Number.isInteger(value * 2 ** (digits + 1)) && scaled - down === 0.5;
  const even = (Math.sign(value) * down) / 10 ** digits;
  return (isTie && down % 2 === 0 ? even : value).toFixed(digits).replace("-", "−");
}

/** 0.609 to "60.9". */
function percent(value) {
  return fixed(value === null ? null : 100 * value, 1);
}

/** 0.4321 to "0.432". */
function thousandth(value) {
  return fixed(value, 3);
}

function interval(held, show) {
  return held.low === null || held.high === null ? "" : `[${show(held.low)}, ${show(held.high)}]`;
}

/** Three digits that count, at most two decimals, thousands apart. */
function measure(value) {
  if (value === null) return MISSING;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function count(value) {
  return value === null ? MISSING : value.toLocaleString("en-US");
}

/** 3912000 to "3.9 M". */
function compact(value) {
  if (value === null) return MISSING;
  const [size, unit] = value >= 1e9 ? [1e9, " G"] : value >= 1e6 ? [1e6, " M"] : value >= 1e3 ? [1e3, " k"] : [1, ""];
  return (value / size).toFixed(size === 1 || value / size >= 100 ? 0 : 1) + unit;
}

function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A link only to a plain https address; anything else stays text. */
function textOrLink(text) {
  return elsewhere(text, text);
}

/** A label that leads to a plain https address, or to a file beside the page; without one it is text. */
function linked(label, address) {
  if (address !== null && /^(?!.*\.\.)\w[\w./+-]*$/.test(address)) return element("a", { href: address }, label);
  return elsewhere(label, address);
}

/** A label that leads to a plain https address; any other is left out. */
function elsewhere(label, address) {
  if (address === null || !/^https:\/\/[\w.-]+(:\d+)?\/[\w./~%+@=-]*$/.test(address)) return label;
  return element("a", { href: address, rel: "noopener noreferrer" }, label);
}
