//! Time as the engine sees it: microseconds on a monotone clock that somebody else reads.
//!
//! Sessions get a [`Time`] with every input, so tests run them under a virtual clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the engine's monotone clock, in microseconds since the engine was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The clock's start.
    pub const ZERO: Time = Time(0);

    /// From microseconds since the clock's start.
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// From milliseconds since the clock's start; saturates.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1000))
    }

    /// Microseconds since the clock's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Milliseconds since the clock's start, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A date as RFC 3339 has it, in UTC, of milliseconds since 1970.
pub fn rfc3339(unix_ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    // The years 0000 to 9999.
    let ms = unix_ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let (days, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    // Howard Hinnant's civil_from_days: years begin in March, so that leap days come last.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, ms) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The milliseconds since 1970 of a date as ISO 8601 and RFC 3339 have it: `2026-11-20T13:13:09.714+01:00`. One
/// without a zone is taken to be in UTC.
pub fn unix_ms(date: &str) -> Option<i64> {
    let (day, clock) = date.trim().split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(day, '-')?;
    let (clock, zone_minutes) = match clock.rfind(['Z', 'z', '+', '-']) {
        None => (clock, 0),
        Some(at) => (clock.get(..at)?, zone(clock.get(at..)?)?),
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let [hour, minute, second] = numbers(clock, ':')?;
    // A leap second counts as the one after it.
    let is_time = hour < 24 && minute < 60 && second <= 60;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !is_time || year > 9999 {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let ms = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit.saturating_sub(b'0').min(9)));
    // Howard Hinnant's days_from_civil. Of numbers with four digits nothing overflows.
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute - zone_minutes) * 60 + second) * 1000 + ms)
}

/// Three numbers of at most four digits.
fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(digits);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// `Z`, `+01:00` or `+0100`, in minutes.
fn zone(text: &str) -> Option<i64> {
    let (sign, clock) = match text.split_at_checked(1)? {
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        (_, rest) => return rest.is_empty().then_some(0),
    };
    let (hours, rest) = clock.split_at_checked(2)?;
    let minutes = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes)? };
    Some(sign * (digits(hours)? * 60 + minutes))
}

fn digits(text: &str) -> Option<i64> {
    let are_digits = text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 4;
    text.parse().ok().filter(|_| are_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturates_at_both_ends() {
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::from_micros(u64::MAX) + Duration::from_secs(1), Time::from_micros(u64::MAX));
        assert_eq!(Time::from_millis(2).since(Time::from_millis(5)), Duration::ZERO);
        assert_eq!(Time::from_millis(5).since(Time::from_millis(2)), Duration::from_millis(3));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_180_389_714, "2026-11-20T13:13:09.714Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
            if ms.unsigned_abs() < 1 << 48 {
                assert_eq!(unix_ms(text), Some(ms));
            }
        }
    }

    #[test]
    fn dates_are_read_in_any_zone() {
        for (text, ms) in [
            ("2010-02-19T14:54:23.031+08:00", Some(1_266_562_463_031)),
            ("2010-02-19 14:54:23.0319+0800", Some(1_266_562_463_031)),
            ("2010-02-19T06:54:23", Some(1_266_562_463_000)),
            ("2010-02-19t01:54:23,5-05", Some(1_266_562_463_500)),
            ("0000-01-01T00:00:00Z", Some(-62_167_219_200_000)),
            ("2010-02-19", None),
            ("2010-13-19T14:54:23Z", None),
            ("2010-02-19T24:54:23Z", None),
            ("2010-02-19T14:54Z", None),
            ("2010-02-19T14:54:23Z1", None),
            ("+010-02-19T14:54:23Z", None),
            ("20100-02-19T14:54:23Z", None),
            ("", None),
        ] {
            assert_eq!(unix_ms(text), ms, "{text}");
        }
    }
}
