//! Days of the Gregorian calendar, as written in jobs and found in file names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// One day, without time of day or zone. Serialises as `2001-11-25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(jiff::civil::Date);

impl Date {
    /// The day `year`-`month`-`day`, if the calendar has it.
    pub fn from_ymd(year: i16, month: i8, day: i8) -> Option<Self> {
        jiff::civil::Date::new(year, month, day).ok().map(Date)
    }

    /// The `day`-th day of `year`, counted from 1 (MODIS, HLS), if the calendar has it.
    pub fn from_day_of_year(year: i16, day: i16) -> Option<Self> {
        let first = jiff::civil::Date::new(year, 1, 1).ok()?;
        first.with().day_of_year(day).build().ok().map(Date)
    }

    /// Days from `self` to `other`; negative when `other` is earlier.
    pub fn days_until(self, other: Date) -> i32 {
        (other.0 - self.0).get_days()
    }

    /// Year, month, day.
    pub fn ymd(self) -> (i16, i8, i8) {
        (self.0.year(), self.0.month(), self.0.day())
    }

    /// This day as `YYYYMMDD`.
    pub fn compact(self) -> String {
        let (y, m, d) = self.ymd();
        format!("{y:04}{m:02}{d:02}")
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (y, m, d) = self.ymd();
        write!(f, "{y:04}-{m:02}-{d:02}")
    }
}

impl FromStr for Date {
    type Err = Error;

    /// Accepts `2001-11-25`, `20011125`, and year with day of year as `2001-329` or `2001329`; a time after `T` is ignored.
    fn from_str(text: &str) -> Result<Self> {
        let day = text.trim().split('T').next().unwrap_or_default();
        let number = |s: &str| s.parse::<i16>().ok();
        let small = |s: &str| s.parse::<i8>().ok();
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let parts: Vec<&str> = day.split('-').collect();
        let found = match parts.as_slice() {
            [y, m, d] if [y, m, d].iter().all(|s| all_digits(s)) && y.len() == 4 => {
                number(y).zip(small(m)).zip(small(d)).and_then(|((y, m), d)| Date::from_ymd(y, m, d))
            }
            [y, n] if all_digits(y) && all_digits(n) && y.len() == 4 && n.len() == 3 => {
                number(y).zip(number(n)).and_then(|(y, n)| Date::from_day_of_year(y, n))
            }
            [s] if all_digits(s) && s.len() == 8 => {
                number(&s[..4]).zip(small(&s[4..6])).zip(small(&s[6..])).and_then(|((y, m), d)| Date::from_ymd(y, m, d))
            }
            [s] if all_digits(s) && s.len() == 7 => {
                number(&s[..4]).zip(number(&s[4..])).and_then(|(y, n)| Date::from_day_of_year(y, n))
            }
            _ => None,
        };
        found.ok_or_else(|| {
            Error::new(ErrorKind::Parameter, format!("{text:?} is not a date"))
                .with_hint("Write the date as YYYY-MM-DD, YYYYMMDD or YYYY-DDD (day of year).")
        })
    }
}

impl TryFrom<String> for Date {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_day_agree() {
        let day = Date::from_ymd(2020, 7, 4).unwrap();
        for text in ["2020-07-04", "20200704", "2020-186", "2020186", "2020-07-04T10:20:30Z"] {
            assert_eq!(text.parse::<Date>().unwrap(), day, "{text}");
        }
        assert_eq!(day.to_string(), "2020-07-04");
        assert_eq!(day.compact(), "20200704");
    }

    #[test]
    fn days_that_do_not_exist_are_refused_with_the_remedy() {
        for text in ["2001-02-29", "2020-13-01", "2020-000", "2021-366", "yesterday", "", "+020-07-04", "é", "2020-7-é"] {
            let error = text.parse::<Date>().unwrap_err();
            assert!(error.message().contains("not a date") && error.hint().unwrap().contains("YYYY-MM-DD"), "{text}");
        }
    }

    #[test]
    fn gaps_have_a_sign() {
        let (a, b): (Date, Date) = ("2020-02-28".parse().unwrap(), "2020-03-01".parse().unwrap());
        assert_eq!((a.days_until(b), b.days_until(a)), (2, -2));
    }
}
