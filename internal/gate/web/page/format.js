// Times, numbers and sizes as the page's language writes them.

const formats = new Map();
const format = (kind, options) => {
  const key = `${kind.name} ${document.documentElement.lang} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new kind(document.documentElement.lang, options));
  return formats.get(key);
};

const isTime = (date) => !Number.isNaN(date.getTime()) && date.getFullYear() > 1;

// when is a time: of day only if it is today. Empty if it isn't known.
export function when(time, seconds = false) {
  const date = new Date(time ?? NaN);
  if (!isTime(date)) return "";
  const today = date.toDateString() === new Date().toDateString();
  return format(Intl.DateTimeFormat, { timeStyle: seconds ? "medium" : "short", dateStyle: today ? undefined : "short" }).format(date);
}

// moment is a time with its date and seconds.
export function moment(time) {
  const date = new Date(time ?? NaN);
  return isTime(date) ? format(Intl.DateTimeFormat, { timeStyle: "medium", dateStyle: "medium" }).format(date) : "";
}

export const number = (n) => format(Intl.NumberFormat, {}).format(n);

// duration is a number of seconds as 1:02 or 1:02:03.
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(s / 60) % 60, s % 60].map((n) => String(n).padStart(2, "0"));
  return s < 3600 ? `${Math.floor(s / 60)}:${parts[1]}` : `${Math.floor(s / 3600)}:${parts.join(":")}`;
}

// size is a number of bytes.
export function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let i = 0;
  for (; bytes >= 1000 && i < units.length - 1; i++) bytes /= 1000;
  return format(Intl.NumberFormat, { style: "unit", unit: units[i], maximumSignificantDigits: 3 }).format(bytes);
}
