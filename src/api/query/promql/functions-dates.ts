import { type InstantCall, type InstantFunction, mapFloats } from './instant-function.ts';
import { Labels } from './labels.ts';
import { Matrix } from './matrix.ts';

/** Functions of times in seconds, as dates in UTC; without an argument, of the time of the step. */
export const dateFunctions: Readonly<Record<string, InstantFunction>> = {
  minute: ofSeconds((seconds) => Math.floor(modulo(seconds, 3600) / 60)),
  hour: ofSeconds((seconds) => Math.floor(modulo(seconds, SECONDS_A_DAY) / 3600)),
  // Day 0 was a Thursday.
  day_of_week: ofSeconds((seconds) => modulo(Math.floor(seconds / SECONDS_A_DAY) + 4, 7)),
  day_of_month: ofSeconds((seconds) => dateOf(seconds).day),
  day_of_year: ofSeconds((seconds) => {
    const { year } = dateOf(seconds);
    return Math.floor(seconds / SECONDS_A_DAY) - dayNumber(year, 1) + 1;
  }),
  days_in_month: ofSeconds((seconds) => {
    const { year, month } = dateOf(seconds);
    return dayNumber(month === 12 ? year + 1 : year, month === 12 ? 1 : month + 1) - dayNumber(year, month);
  }),
  month: ofSeconds((seconds) => dateOf(seconds).month),
  year: ofSeconds((seconds) => dateOf(seconds).year),
};

const SECONDS_A_DAY = 86_400;
/** The calendar repeats itself after 400 years. */
const DAYS_OF_400_YEARS = 146_097;
/** From 1 March of the year 0 to 1970. */
const DAYS_TO_EPOCH = 719_468;

function ofSeconds(operate: (seconds: number) => number): InstantFunction {
  const ofValue = (value: number): number => operate(toInt64(value));
  return {
    call: (call) =>
      call.arguments.length === 0 ? Promise.resolve(ofStepTimes(call, ofValue)) : mapFloats(call, () => ofValue),
  };
}

/**
 * As Go on most machines turns a float into an int64 of seconds: what is none becomes the least, -2^63, which lies so far back that its calendar,
 * which counts in 64 bits, comes around to 2^63.
 */
function toInt64(value: number): number {
  return value > -INT64_END && value < INT64_END ? Math.trunc(value) : INT64_END;
}

const INT64_END = 2 ** 63;

function ofStepTimes({ steps }: InstantCall, ofValue: (seconds: number) => number): Matrix {
  const values = new Float64Array(steps.count);
  for (let step = 0; step < values.length; step++) values[step] = ofValue((steps.startMs + step * steps.stepMs) / 1000);
  return Matrix.ofRow(Labels.empty, values);
}

/**
 * The proleptic Gregorian date of a time, worked out in years that begin in March, so that the leap day comes last. `Date` would do for 300,000
 * years only.
 */
function dateOf(seconds: number): { year: number; month: number; day: number } {
  const days = Math.floor(seconds / SECONDS_A_DAY) + DAYS_TO_EPOCH;
  const era = Math.floor(days / DAYS_OF_400_YEARS);
  const dayOfEra = days - era * DAYS_OF_400_YEARS;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}

/** Days from 1970 to the first of a month. */
function dayNumber(year: number, month: number): number {
  const fromMarch = month <= 2 ? year - 1 : year;
  const era = Math.floor(fromMarch / 400);
  const yearOfEra = fromMarch - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5);
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * DAYS_OF_400_YEARS + dayOfEra - DAYS_TO_EPOCH;
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
