//! Local days: where a day of a time zone begins and ends.
//!
//! * [`zone`]: a zone, and the day of a moment in it
//! * [`named`]: zones of the IANA database, each read once
//! * [`day`]: a day; [`days`]: days that were computed before, a word each
//! * [`unknown`]: a name that no zone has, and those that it may be meant for

mod day;
mod days;
mod named;
mod unknown;
mod zone;

pub use day::{DAY, Day, HOUR};
pub use named::{names, release};
pub use unknown::UnknownZone;
pub use zone::Zone;
