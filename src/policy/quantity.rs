//! Numbers with units, as policy files write them (`512MiB`, `60s`), and limits made of them.
//! Trusts nothing: a number without a unit where one is needed, or too big, does not load.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::reason::Reason;

/// A number of bytes, written `64KiB`, `512MiB`, `1GiB` or `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A share of the whole, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u64);

/// `cpu.max` as the kernel writes it: microseconds of CPU time, a period in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuMax {
    /// CPU time that all processes of a run may use together in one period.
    pub quota: Duration,
    /// Length of the period.
    pub period: Duration,
}

impl CpuMax {
    /// In thousandths of a core.
    #[must_use]
    pub fn millicores(&self) -> u64 {
        let period = self.period.as_micros().max(1);
        u64::try_from(self.quota.as_micros().saturating_mul(1000) / period).unwrap_or(u64::MAX)
    }
}

/// A limit that holds for every run; no call can ask for another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit<T> {
    /// What is enforced.
    pub value: T,
    /// Why this value.
    pub reason: Reason,
}

/// A limit that a call may ask to change, up to the ceiling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestableLimit<T> {
    /// What is enforced when the call says nothing.
    pub value: T,
    /// The most a call gets.
    pub ceiling: T,
    /// Why these values.
    pub reason: Reason,
}

/// Something a policy file writes as text.
pub trait Quantity: Sized + Copy {
    /// Reads it; the error says how to write it.
    fn from_text(text: &str) -> Result<Self, String>;
    /// Writes it as a policy file would.
    fn to_text(self) -> String;
}

impl Quantity for u64 {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is not a whole number; write it like \"128\""))
    }

    fn to_text(self) -> String {
        self.to_string()
    }
}

impl Quantity for Bytes {
    fn from_text(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not a size; write it like \"64KiB\", \"512MiB\" or \"1GiB\"");
        if text == "0" {
            return Ok(Self(0));
        }
        let (number, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }

    fn to_text(self) -> String {
        UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .map_or_else(
                || self.0.to_string(),
                |(unit, factor)| format!("{}{unit}", self.0 / factor),
            )
    }
}

impl Quantity for Duration {
    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a time; write it like \"60s\" or \"500ms\"");
        if let Some(number) = text.strip_suffix("ms") {
            return number.parse().map(Self::from_millis).map_err(|_| wrong());
        }
        let number = text.strip_suffix('s').ok_or_else(wrong)?;
        number.parse().map(Self::from_secs).map_err(|_| wrong())
    }

    fn to_text(self) -> String {
        if self.subsec_millis() == 0 {
            return format!("{}s", self.as_secs());
        }
        format!("{}ms", self.as_millis())
    }
}

impl Quantity for Percent {
    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a share; write it like \"75%\", from 1% to 100%");
        let number: u64 = text.strip_suffix('%').ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
        if (1..=100).contains(&number) { Ok(Self(number)) } else { Err(wrong()) }
    }

    fn to_text(self) -> String {
        format!("{}%", self.0)
    }
}

impl Quantity for CpuMax {
    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a CPU share; write quota and period in microseconds, like \"100000 100000\""
            )
        };
        let (quota, period) = text.split_once(' ').ok_or_else(wrong)?;
        let quota: u64 = quota.parse().map_err(|_| wrong())?;
        let period: u64 = period.parse().map_err(|_| wrong())?;
        // The kernel's own bounds; beyond them the write would fail at start, with less to say.
        if quota < 1_000 || !(1_000..=1_000_000).contains(&period) {
            return Err(wrong());
        }
        Ok(Self { quota: Duration::from_micros(quota), period: Duration::from_micros(period) })
    }

    fn to_text(self) -> String {
        format!("{} {}", self.quota.as_micros(), self.period.as_micros())
    }
}

impl<'de, T: Quantity> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = LimitText::deserialize(deserializer)?;
        let value = T::from_text(&text.value).map_err(D::Error::custom)?;
        Ok(Self { value, reason: text.reason })
    }
}

impl<'de, T: Quantity + PartialOrd> Deserialize<'de> for RequestableLimit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = RequestableText::deserialize(deserializer)?;
        let value = T::from_text(&text.value).map_err(D::Error::custom)?;
        let ceiling = T::from_text(&text.ceiling).map_err(D::Error::custom)?;
        if value > ceiling {
            let problem = format!("the value {} is above its ceiling {}", text.value, text.ceiling);
            return Err(D::Error::custom(problem));
        }
        Ok(Self { value, ceiling, reason: text.reason })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_text())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitText {
    value: String,
    reason: Reason,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestableText {
    value: String,
    ceiling: String,
    reason: Reason,
}

/// Largest first, so that a size is written in the largest unit that fits.
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_reads_back_as_it_was_written() {
        for text in ["0", "64KiB", "512MiB", "1GiB", "1536MiB"] {
            assert_eq!(Bytes::from_text(text).unwrap().to_text(), text);
        }
    }

    #[test]
    fn a_size_without_a_unit_or_beyond_64_bits_is_refused() {
        for text in ["", "12", "1GB", "-1MiB", "1.5GiB", "18446744073709551615GiB", " 1GiB"] {
            Bytes::from_text(text).unwrap_err();
        }
    }

    #[test]
    fn times_shares_and_cpu_read_back() {
        assert_eq!(Duration::from_text("60s").unwrap().to_text(), "60s");
        assert_eq!(Duration::from_text("1500ms").unwrap().to_text(), "1500ms");
        assert_eq!(Percent::from_text("75%").unwrap(), Percent(75));
        assert_eq!(CpuMax::from_text("150000 100000").unwrap().millicores(), 1500);
        Duration::from_text("60").unwrap_err();
        Percent::from_text("0%").unwrap_err();
        Percent::from_text("101%").unwrap_err();
        CpuMax::from_text("max 100000").unwrap_err();
        CpuMax::from_text("1 100000").unwrap_err();
    }
}
