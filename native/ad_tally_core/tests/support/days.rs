//! Days of zones for tests of caps: the naive way, and where they are of another length than most.
#![allow(dead_code, reason = "each test uses a part")]

use ad_tally_core::time::{DAY, Zone};

/// Days that begin at 0:00 and at 1:00, change by an hour and by half of one, and are 15 minutes off.
pub const ZONES: [&str; 8] = [
    "America/New_York",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Chatham",
];

pub fn zone(name: &str) -> Zone {
    Zone::named(name).expect("a zone")
}

/// The day of a moment, found among all days. What those are is compared with Python's `zoneinfo`, see `time.rs`.
pub fn naive_day(zone: Zone, at: u64) -> i32 {
    let mut number = (at / DAY) as i32 + 2;
    loop {
        let day = zone.day_of(number);
        if day.begin <= at && day.begin < day.end {
            return number;
        }
        number -= 1;
    }
}

/// When the days of 2025 and 2026 begin that are longer or shorter than a day. Of zones that have none: when 2026 begins there.
pub fn changes(zone: Zone) -> Vec<u64> {
    let days = (20_089..20_819).map(|number| zone.day_of(number));
    let mut changes: Vec<u64> = days.filter(|day| day.end - day.begin != DAY).map(|day| day.begin).collect();
    if changes.is_empty() {
        changes.push(zone.day_of(20_454).begin);
    }
    changes
}
