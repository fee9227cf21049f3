//! A run cannot get out, and each barrier is what stops it.
//!
//! `isolation/` holds one short Python file an escape attempt. Its header says what it proves and
//! names every barrier that stops it. Each runs twice, through the real programs: with all barriers
//! it must print `HELD`; without the named set (programs built with the feature `weaken`) it must
//! print `ESCAPED`, which shows that the attempt is a good one and that no other wall helped.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

/// The attempts: one test each, named like its file.
#[cfg(test)]
macro_rules! attempts {
    ($($name:ident)*) => {
        /// Every file has a test.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod a_run_cannot {
            $(#[test] fn $name() { super::attempt::try_twice(stringify!($name)); })*
        }
    };
}

#[cfg(test)]
#[path = "isolation/names.rs"]
#[macro_use]
mod names;

#[cfg(test)]
each_attempt!(attempts);

#[cfg(test)]
#[path = "isolation/attempt.rs"]
mod attempt;

#[cfg(test)]
#[path = "isolation/barriers.rs"]
mod barriers;

#[cfg(test)]
#[path = "isolation/views.rs"]
mod views;

#[cfg(test)]
#[path = "isolation/ways_out.rs"]
mod ways_out;
