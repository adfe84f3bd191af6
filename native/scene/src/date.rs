//! Calendar dates, as far as a scene needs them.

use std::fmt;

/// A day of the Gregorian calendar, shown as `2022-05-09`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Year.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, 1 to 31.
    pub day: u32,
}

impl Date {
    /// The date from its three numbers, which are taken as they are.
    pub const fn new(year: i32, month: u32, day: u32) -> Self {
        Self { year, month, day }
    }

    /// The day of the year, 1 for the first of January.
    pub fn day_of_year(&self) -> u32 {
        const BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let month = self.month.clamp(1, 12);
        BEFORE[month as usize - 1] + self.day + u32::from(leap && month > 2)
    }

    /// A number that is different for every date, to seed its noise.
    pub(crate) fn number(&self) -> u64 {
        (self.year as i64 as u64).wrapping_mul(512).wrapping_add(u64::from(self.month * 32 + self.day))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_of_year_counts_leap_days() {
        assert_eq!(Date::new(2022, 1, 1).day_of_year(), 1);
        assert_eq!(Date::new(2022, 5, 9).day_of_year(), 129);
        assert_eq!(Date::new(2022, 12, 31).day_of_year(), 365);
        assert_eq!(Date::new(2020, 3, 1).day_of_year(), 61);
        assert_eq!(Date::new(1900, 3, 1).day_of_year(), 60);
        assert_eq!(Date::new(2022, 5, 9).to_string(), "2022-05-09");
    }
}
