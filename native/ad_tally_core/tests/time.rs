//! Days of time zones: known ones, and laws that hold for every zone and moment.

use std::collections::BTreeSet;

use ad_tally_core::time::{DAY, Day, UnknownZone, Zone};
use proptest::prelude::*;

const HOUR: u64 = 3_600_000;

fn zone(name: &str) -> Zone {
    Zone::named(name).unwrap()
}

/// Zones of which each has something of its own, beside some that have nothing.
const SOME: [&str; 24] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/Asuncion",
    "America/Havana",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Etc/UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Kwajalein",
];

/// The day of a moment without any memory: by the naive way, from the days of numbers.
fn naive(zone: &Zone, at: u64) -> Day {
    let mut number = (at / DAY) as i32 + 2;
    loop {
        let day = zone.day_of(number);
        if day.begin <= at && day.begin < day.end {
            return day;
        }
        number -= 1;
    }
}

/// The first moments of dates as Python's `zoneinfo` has them: `test/judges/zones.py --golden`.
#[test]
fn days_begin_as_in_the_golden_file() {
    let golden = include_str!("golden/days.txt");
    let mut count = 0;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, number, begin, end, _date] = fields[..] else { panic!("{line}") };
        let number = number.parse().unwrap();
        let expected = Day { number, begin: begin.parse().unwrap(), end: end.parse().unwrap() };
        for zone in [zone(name), Zone::bundled(name).unwrap()] {
            assert_eq!(zone.day_of(number), expected, "{line}");
        }
        if expected.begin < expected.end {
            for at in [expected.begin, expected.begin + 1, expected.end - 1] {
                assert_eq!(zone(name).day(at), expected, "{line}, at {at}");
            }
        }
        count += 1;
    }
    assert!(count > 300, "{count}");
}

#[test]
fn a_day_with_a_change_of_clocks_has_23_or_25_hours() {
    let berlin = zone("Europe/Berlin");
    let length = |number| berlin.day_of(number).end - berlin.day_of(number).begin;
    // 2026-03-29 and 2026-10-25.
    assert_eq!([length(20_540), length(20_541), length(20_542)], [24 * HOUR, 23 * HOUR, 24 * HOUR]);
    assert_eq!([length(20_750), length(20_751), length(20_752)].map(|ms| ms / HOUR), [24, 25, 24]);
    assert_eq!((berlin.longest_day(), zone("Asia/Tokyo").longest_day()), (25 * HOUR, 24 * HOUR));
    assert_eq!(
        zone("Australia/Lord_Howe").day_of(20_548).end - zone("Australia/Lord_Howe").day_of(20_548).begin,
        24 * HOUR + HOUR / 2
    );
}

#[test]
fn a_day_without_a_midnight_begins_with_the_first_time_after_it() {
    // 2024-04-26 in Cairo: from 23:59:59 to 1:00, which is 22:00 UTC of the day before.
    let day = zone("Africa/Cairo").day_of(19_839);
    assert_eq!((day.begin, day.end - day.begin), (1_714_082_400_000, 23 * HOUR));
}

#[test]
fn a_date_that_a_zone_skipped_ends_where_it_begins() {
    // Samoa went from 2011-12-29 to 2011-12-31.
    let apia = zone("Pacific/Apia");
    let [before, skipped, after] = [15_337, 15_338, 15_339].map(|number| apia.day_of(number));
    assert_eq!(skipped.begin, skipped.end);
    assert_eq!((before.end, after.begin), (skipped.begin, skipped.begin));
    assert_eq!((apia.day(skipped.begin - 1), apia.day(skipped.begin)), (before, after));
}

#[test]
fn a_day_that_has_begun_goes_on_when_clocks_are_set_back_over_its_midnight() {
    // 2007-11-04 in St John's: at 0:01 it is 23:01 of the day before again.
    let st_johns = zone("America/St_Johns");
    let day = st_johns.day_of(13_821);
    assert_eq!((day.begin, day.end - day.begin), (1_194_143_400_000, 25 * HOUR));
    for minute in 0..90 {
        assert_eq!(st_johns.day(day.begin + minute * 60_000), day);
    }
}

#[test]
fn days_before_1970_begin_at_0() {
    let day = zone("America/New_York").day(0);
    assert_eq!(day, Day { number: -1, begin: 0, end: 5 * HOUR });
    assert_eq!(Zone::fixed(-5 * HOUR as i64).day(0), day);
    assert_eq!(zone("Asia/Tokyo").day(0), Day { number: 0, begin: 0, end: 15 * HOUR });
    for zone in [zone("Asia/Tokyo"), Zone::fixed(9 * HOUR as i64)] {
        assert_eq!(zone.day_of(-1), Day { number: -1, begin: 0, end: 0 });
        assert_eq!(zone.day_of(i32::MIN), Day { number: i32::MIN, begin: 0, end: 0 });
    }
}

#[test]
fn the_last_day_has_no_end() {
    let largest = i64::MAX as u64;
    for zone in [zone("America/New_York"), zone("Pacific/Kiritimati"), Zone::fixed(0), Zone::fixed(1 - DAY as i64)] {
        let last = zone.day(u64::MAX);
        assert_eq!((last.end, zone.day(largest), zone.day(last.begin)), (u64::MAX, last, last), "{zone}");
        assert_eq!(zone.day(last.begin - 1).end, last.begin);
        assert_eq!(zone.day_of(last.number + 1).begin, u64::MAX);
        assert_eq!(zone.day_of(i32::MAX).end, u64::MAX);
        assert_eq!(zone.offset(u64::MAX), zone.offset(last.begin + 2 * DAY), "{zone}");
    }
}

#[test]
fn a_zone_is_found_by_exactly_its_name() {
    assert_eq!(zone("Europe/Berlin").name(), "Europe/Berlin");
    assert_eq!(zone("Europe/Berlin"), zone("Europe/Berlin"));
    assert_ne!(zone("Europe/Berlin"), zone("Europe/Paris"));
    assert_ne!(Zone::fixed(0), zone("Etc/UTC"));
    for name in ["UTC", "Etc/UTC", "GMT", "EST5EDT", "US/Eastern", "America/Argentina/Buenos_Aires"] {
        assert_eq!(zone(name).name(), name);
    }
    let strange = [
        "",
        "europe/berlin",
        "Etc/Unknown",
        "/etc/passwd",
        "../zoneinfo/Europe/Berlin",
        "Europe",
        "right/UTC",
        "localtime",
        "posixrules",
        "a\0b",
    ];
    for name in strange {
        assert!(Zone::named(name).is_err(), "{name}");
    }
}

#[test]
fn an_unknown_name_says_which_are_near() {
    let near = |name: &str| Zone::named(name).unwrap_err().near().to_vec();
    assert_eq!(near("Europe/Berlim"), ["Europe/Berlin"]);
    assert_eq!(near("europe/berlin"), ["Europe/Berlin"]);
    assert_eq!(near("Berlin"), ["Europe/Berlin"]);
    assert_eq!(near("America/New York"), ["America/New_York"]);
    assert_eq!(near("Ameriac/New_York"), ["America/New_York"]);
    assert_eq!(near("Mars/Olympus"), [""; 0]);
    let message = |name: &str| Zone::named(name).unwrap_err().to_string();
    assert_eq!(message("Europe/Berlim"), r#"no time zone is named "Europe/Berlim": did you mean "Europe/Berlin"?"#);
    let none = "names are those of the IANA database, such as \"Europe/Berlin\" or \"Etc/UTC\"";
    assert_eq!(message("Mars/Olympus"), format!("no time zone is named \"Mars/Olympus\": {none}"));
    let long: UnknownZone = Zone::named(&"x".repeat(1_000_000)).unwrap_err();
    assert!(long.to_string().len() < 200 && long.to_string().contains("xxx..."));
}

#[test]
fn midnights_are_multiples_of_a_granularity() {
    let minutes = |name: &str| zone(name).granularity() / 60_000;
    assert_eq!([minutes("Europe/Berlin"), minutes("Asia/Kolkata"), minutes("Asia/Kathmandu")], [60, 30, 15]);
    assert_eq!([minutes("Asia/Tokyo"), minutes("Etc/UTC")], [180, 1_440]);
    assert_eq!(Zone::fixed(2 * HOUR as i64).granularity(), 2 * HOUR);
    assert_eq!(Zone::fixed(0).granularity(), DAY);
    assert_eq!(Zone::fixed(-1).granularity(), 1);
}

#[test]
fn every_zone_has_had_days_of_whole_quarters_of_an_hour_since_1980() {
    let mut zones = BTreeSet::new();
    for name in ad_tally_core::time::names() {
        let Ok(zone) = Zone::named(&name) else { continue };
        assert!(zone.granularity().is_multiple_of(15 * 60_000), "{name}: {}", zone.granularity());
        assert!((DAY..=31 * HOUR).contains(&zone.longest_day()), "{name}: {}", zone.longest_day());
        zones.insert(name);
    }
    assert!(zones.len() > 400, "{}", zones.len());
}

#[test]
fn threads_that_ask_for_all_kinds_of_days_get_the_right_ones() {
    let zone = zone("America/Asuncion");
    let begin = 1_700_000_000_000;
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            scope.spawn(move || {
                for turn in 0..20_000_u64 {
                    let at = begin + (turn * 7 + thread * 13) % 60 * (DAY / 4 + 1);
                    let day = zone.day(at);
                    assert!(day.begin <= at && at < day.end);
                    if turn % 16 == thread {
                        assert_eq!(day, naive(&zone, at));
                    }
                }
            });
        }
    });
}

/// Zones, and times most of which are near a change of the clocks.
fn moments() -> impl Strategy<Value = (Zone, Vec<u64>)> {
    let zones = prop_oneof![
        4 => prop::sample::select(&SOME[..]).prop_map(zone),
        1 => (1 - DAY as i64..DAY as i64).prop_map(Zone::fixed),
    ];
    let years = 1_970..2_060_u64;
    let moment = prop_oneof![
        // Around the turn of some month, where most changes are, and some that hit a midnight.
        (years, 0..13_u64, -4_000_000..4_000_000_i64).prop_map(|(year, month, ms)| {
            ((year - 1_970) * 31_556_952_000 + month * 2_629_746_000).saturating_add_signed(ms * 300)
        }),
        (0..33_000_u64, 0..48_u64, -2..3_i64)
            .prop_map(|(day, half, ms)| (day * DAY + half * HOUR / 2).saturating_add_signed(ms)),
        any::<u64>(),
        0..1_u64 << 48,
    ];
    (zones, prop::collection::vec(moment, 1..40))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn days_follow_each_other_and_have_each_moment_once((zone, moments) in moments()) {
        for at in moments {
            let day = zone.day(at);
            prop_assert!(day.begin <= at && (at < day.end || day.end == u64::MAX), "{:?} {}", day, at);
            prop_assert_eq!(day, zone.day_of(day.number));
            prop_assert_eq!(day.end, zone.day_of(day.number.saturating_add(1)).begin);
            if day.end < u64::MAX {
                prop_assert!(day.end - day.begin <= 28 * HOUR);
                prop_assert_eq!(day, naive(&zone, at));
                // The first moment of a date is on that date, and the one before is not, unless clocks go back over midnight.
                let date = |at: u64| (at as i64 + zone.offset(at)).div_euclid(DAY as i64);
                prop_assert!(day.begin == 0 || date(day.begin) == i64::from(day.number));
                prop_assert!(day.begin == 0 || date(day.begin - 1) < i64::from(day.number));
            }
        }
    }
}
