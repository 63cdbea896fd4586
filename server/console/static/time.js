// Times and spans, for people.

let ahead = 0; // milliseconds that the server's clock is ahead of this one

/**
 * Learns the server's clock from the header Date of an answer. Smaller differences than its
 * resolution and the way of the answer do not count.
 * @param {string | null} date
 */
export function learnClock(date) {
  const difference = Date.parse(date ?? '') - Date.now();
  ahead = Math.abs(difference) > 5000 ? difference : 0;
}

/** The time of the server, in milliseconds since 1970. */
export const now = () => Date.now() + ahead;

const units = /** @type {const} */ ([
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
]);

/**
 * A span of milliseconds with its two largest units, such as "6 h 12 min"; of less than an hour,
 * with one.
 * @param {number} milliseconds
 */
export function span(milliseconds) {
  const first = units.findIndex(([size]) => milliseconds >= (size === 60_000 ? 2 * size : size));
  if (first < 0) return '0 s';
  const [size, name] = units[first];
  const count = Math.floor(milliseconds / size);
  const rest = first < 2 ? Math.floor((milliseconds % size) / units[first + 1][0]) : 0;
  return rest ? `${count} ${name} ${rest} ${units[first + 1][1]}` : `${count} ${name}`;
}

/**
 * A span with its largest unit only.
 * @param {number} milliseconds
 */
export const about = (milliseconds) => span(milliseconds).split(' ').slice(0, 2).join(' ');

const minutes = 60_000;

/**
 * When the time left of a wait is worth a look, in milliseconds: the last tenth of its time, at least 15 minutes and
 * at most a day, and the last five minutes.
 * @param {number} whole
 */
export const limits = (whole) => ({
  soon: Math.min(Math.max(whole / 10, 15 * minutes), 1440 * minutes),
  urgent: 5 * minutes,
});

/**
 * @param {number} left
 * @param {number} whole
 */
export function level(left, whole) {
  const { soon, urgent } = limits(whole);
  if (left <= urgent) return 'urgent';
  return left <= soon ? 'soon' : '';
}

const utcFormat = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZone: 'UTC',
});
const stepFormat = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const clockFormat = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
});
const dayFormat = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
});
const dayOf = new Intl.DateTimeFormat('en-CA', { dateStyle: 'short' });

/** @param {string} instant */
export const utc = (instant) => `${utcFormat.format(Date.parse(instant))} UTC`;

/** @param {string} instant */
export const step = (instant) => stepFormat.format(Date.parse(instant));

/** @param {number} at */
export const clock = (at) => clockFormat.format(at);

/**
 * The instant in the time zone of the browser: "20:20 today", "08:00 tomorrow", "14:12, 27 Nov".
 * @param {string} instant
 */
export function local(instant) {
  const at = Date.parse(instant);
  const day = dayOf.format(at);
  if (day === dayOf.format(now())) return `${clock(at)} today`;
  if (day === dayOf.format(now() + 86_400_000)) return `${clock(at)} tomorrow`;
  return `${clock(at)}, ${dayFormat.format(at)}`;
}
