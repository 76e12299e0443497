//! Tables of windows, and a comparison with a second implementation that asks the clocks of each minute.

use jiff::civil::Weekday;
use jiff::{SignedDuration, ToSpan as _};
use proptest::prelude::*;
use rstest::rstest;

use super::zone::zone;
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn schedule(allow: &str, deny: &str) -> Schedule {
    let read = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}")));
    Schedule { allow: read(allow), deny: read(deny) }
}

/// Returns the answer as text: `open` or `closed`, and when that changes.
fn answer(schedule: &Schedule, time: &str) -> String {
    let state = if schedule.is_open(at(time)) { "open" } else { "closed" };
    format!("{state} {}", schedule.next_change(at(time)).map_or_else(|| "-".to_owned(), |until| until.to_string()))
}

/// 2026-11-28 is a Saturday. Berlin is one hour ahead of UTC in winter and two in summer.
#[rstest]
#[case::in_the_window("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-11-27T08:00:00Z", "open 2026-11-27T16:00:00Z")]
#[case::a_second_early("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-11-27T07:59:59Z", "closed 2026-11-27T08:00:00Z")]
#[case::a_millisecond_early("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-11-27T07:59:59.999Z", "closed 2026-11-27T08:00:00Z")]
#[case::the_end_is_exclusive("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-11-27T16:00:00Z", "closed 2026-11-30T08:00:00Z")]
#[case::last_second("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-11-27T15:59:59.999Z", "open 2026-11-27T16:00:00Z")]
#[case::an_offset_in_the_time("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-11-27T09:00:00+01:00", "open 2026-11-27T16:00:00Z")]
#[case::weekend("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-11-28T12:00:00Z", "closed 2026-11-30T08:00:00Z")]
#[case::no_zone_is_utc("Sat 10:00-12:00", "2026-11-28T11:00:00Z", "open 2026-11-28T12:00:00Z")]
#[case::utc("Sat 10:00-12:00 UTC", "2026-11-28T11:00:00Z", "open 2026-11-28T12:00:00Z")]
#[case::no_days_are_all("22:00-23:00", "2026-11-28T12:00:00Z", "closed 2026-11-28T22:00:00Z")]
#[case::a_list_of_days("Mon,Wed,Sat-Sun 10:00-12:00", "2026-12-01T11:00:00Z", "closed 2026-12-02T10:00:00Z")]
#[case::a_range_over_the_week("Fri-Mon 10:00-12:00", "2026-11-30T11:00:00Z", "open 2026-11-30T12:00:00Z")]
#[case::a_range_over_the_week_ends("Fri-Mon 10:00-12:00", "2026-11-30T12:00:00Z", "closed 2026-12-04T10:00:00Z")]
#[case::a_range_of_one_day("Tue-Tue 10:00-12:00", "2026-11-30T11:00:00Z", "closed 2026-12-01T10:00:00Z")]
#[case::over_midnight_evening("Fri 22:00-02:00", "2026-11-27T23:00:00Z", "open 2026-11-28T02:00:00Z")]
#[case::over_midnight_morning("Fri 22:00-02:00", "2026-11-28T01:59:59Z", "open 2026-11-28T02:00:00Z")]
#[case::not_the_morning_of_its_day("Fri 22:00-02:00", "2026-11-27T01:00:00Z", "closed 2026-11-27T22:00:00Z")]
#[case::not_the_evening_of_the_next_day("Fri 22:00-02:00", "2026-11-28T23:00:00Z", "closed 2026-12-04T22:00:00Z")]
#[case::over_the_end_of_the_week("Sun 23:00-01:00", "2026-11-30T00:30:00Z", "open 2026-11-30T01:00:00Z")]
#[case::to_midnight("Fri 22:00-00:00", "2026-11-27T23:59:59Z", "open 2026-11-28T00:00:00Z")]
#[case::almost_a_whole_day("Fri 10:00-09:59", "2026-11-28T09:58:00Z", "open 2026-11-28T09:59:00Z")]
#[case::to_the_end_of_the_day("Fri 22:00-23:59", "2026-11-27T23:59:30Z", "open 2026-11-28T00:00:00Z")]
#[case::the_whole_day("Sat 00:00-23:59", "2026-11-28T23:59:59Z", "open 2026-11-29T00:00:00Z")]
#[case::days_that_follow_each_other("Sat-Sun 00:00-23:59", "2026-11-28T12:00:00Z", "open 2026-11-30T00:00:00Z")]
#[case::the_last_minute("Sat 23:59-23:59", "2026-11-28T23:59:30Z", "open 2026-11-29T00:00:00Z")]
#[case::always("00:00-23:59", "2026-11-28T12:00:00Z", "open -")]
#[case::always_somewhere_else("Mon-Sun 00:00-23:59 Europe/Berlin", "2026-11-28T12:00:00Z", "open -")]
#[case::several("Sat 10:00-11:00; Sat 14:00-15:00 Europe/Berlin", "2026-11-28T11:30:00Z", "closed 2026-11-28T13:00:00Z")]
#[case::several_that_touch("Sat 10:00-12:00; Sat 12:00-13:00", "2026-11-28T10:30:00Z", "open 2026-11-28T13:00:00Z")]
#[case::several_that_overlap("Sat 10:00-12:00; 11:00-14:00", "2026-11-28T10:30:00Z", "open 2026-11-28T14:00:00Z")]
#[case::another_day_there("Sat 01:00-02:00 Asia/Tokyo", "2026-11-27T16:30:00Z", "open 2026-11-27T17:00:00Z")]
#[case::half_an_hour("Sat 10:00-12:00 Asia/Kolkata", "2026-11-28T04:30:00Z", "open 2026-11-28T06:30:00Z")]
#[case::three_quarters("Sat 10:00-12:00 Asia/Kathmandu", "2026-11-28T04:14:59Z", "closed 2026-11-28T04:15:00Z")]
#[case::before_1970("Thu 10:00-12:00", "1969-12-25T11:00:00.5Z", "open 1969-12-25T12:00:00Z")]
fn windows(#[case] allow: &str, #[case] time: &str, #[case] expected: &str) {
    assert_eq!(answer(&schedule(allow, ""), time), expected, "{allow}");
    let flipped =
        if let Some(rest) = expected.strip_prefix("open") { format!("closed{rest}") } else { expected.replacen("closed", "open", 1) };
    assert_eq!(answer(&schedule("", allow), time), flipped, "denied in {allow}");
}

/// Berlin: on 2026-03-29 the clocks jump from 02:00 to 03:00 (01:00 UTC), on 2026-10-25 from 03:00 back to 02:00.
#[rstest]
#[case::longer_by_the_skipped_hour("Sun 00:00-06:00", "2026-03-28T23:00:00Z", "open 2026-03-29T04:00:00Z")]
#[case::a_skipped_window("02:00-03:00", "2026-03-28T12:00:00Z", "closed 2026-03-30T00:00:00Z")]
#[case::a_window_whose_start_is_skipped("02:30-04:00", "2026-03-29T00:59:59Z", "closed 2026-03-29T01:00:00Z")]
#[case::a_window_whose_end_is_skipped("01:00-02:30", "2026-03-29T00:30:00Z", "open 2026-03-29T01:00:00Z")]
#[case::the_hour_before("01:00-02:00", "2026-03-29T00:30:00Z", "open 2026-03-29T01:00:00Z")]
#[case::a_repeated_window_is_twice_as_long("02:00-03:00", "2026-10-25T00:00:00Z", "open 2026-10-25T02:00:00Z")]
#[case::the_first_half_of_it("02:00-02:30", "2026-10-25T00:00:00Z", "open 2026-10-25T00:30:00Z")]
#[case::it_opens_again("02:00-02:30", "2026-10-25T00:30:00Z", "closed 2026-10-25T01:00:00Z")]
#[case::the_second_time("02:00-02:30", "2026-10-25T01:00:00Z", "open 2026-10-25T01:30:00Z")]
#[case::its_start_is_repeated("02:30-05:00", "2026-10-25T00:45:00Z", "open 2026-10-25T01:00:00Z")]
#[case::its_end_is_repeated("01:00-02:30", "2026-10-24T23:30:00Z", "open 2026-10-25T00:30:00Z")]
#[case::around_it("00:00-06:00", "2026-10-24T22:00:00Z", "open 2026-10-25T05:00:00Z")]
#[case::over_midnight("Sat 22:00-04:00", "2026-10-24T23:00:00Z", "open 2026-10-25T03:00:00Z")]
#[case::the_offset_changes_before_it_opens("Mon 09:00-10:00", "2026-10-24T12:00:00Z", "closed 2026-10-26T08:00:00Z")]
fn daylight_saving(#[case] allow: &str, #[case] time: &str, #[case] expected: &str) {
    assert_eq!(answer(&schedule(&format!("{allow} Europe/Berlin"), ""), time), expected);
}

#[rstest]
#[case::inside("09:00-17:00", "12:00-13:00", "2026-11-28T10:00:00Z", "open 2026-11-28T12:00:00Z")]
#[case::denied("09:00-17:00", "12:00-13:00", "2026-11-28T12:00:00Z", "closed 2026-11-28T13:00:00Z")]
#[case::denied_to_the_end("09:00-17:00", "16:00-18:00", "2026-11-28T16:00:00Z", "closed 2026-11-29T09:00:00Z")]
#[case::denied_alone("", "Fri 12:00-23:59; Sat-Sun 00:00-23:59", "2026-11-27T11:00:00Z", "open 2026-11-27T12:00:00Z")]
#[case::denied_for_days("", "Fri 12:00-23:59; Sat-Sun 00:00-23:59", "2026-11-27T12:00:00Z", "closed 2026-11-30T00:00:00Z")]
#[case::always_denied("", "00:00-23:59", "2026-11-28T12:00:00Z", "closed -")]
#[case::nothing_left("09:00-10:00 Europe/Berlin", "07:00-09:00", "2026-11-28T12:00:00Z", "closed -")]
#[case::neither("", "", "2026-11-28T12:00:00Z", "open -")]
#[case::only_in_summer("09:00-10:00 Europe/Berlin", "08:00-09:00", "2026-11-28T12:00:00Z", "closed 2027-03-28T07:00:00Z")]
#[case::only_while_america_is_ahead(
    "Mon 09:00-10:00 Europe/Berlin",
    "02:00-04:00 America/New_York",
    "2026-11-28T12:00:00Z",
    "closed 2027-03-15T08:00:00Z"
)]
fn deny_windows(#[case] allow: &str, #[case] deny: &str, #[case] time: &str, #[case] expected: &str) {
    assert_eq!(answer(&schedule(allow, deny), time), expected);
}

/// All of these mean the same as the first.
#[rstest]
fn ways_to_write_a_window(
    #[values(
        "Mon-Fri 09:00-17:00 Europe/Berlin",
        "  mon-FRI   9:00-17:00   europe/berlin ; ",
        "Monday-Friday 09:00-17:00 Europe/Berlin",
        "Mon,Tue,Wed,Thurs,Fri 09:00-17:00 Europe/Berlin",
        "Mon, Tue - Fri 09:00 - 17:00 Europe/Berlin",
        "Mon-Tue 09:00-17:00 Europe/Berlin; Wed-Fri 09:00-17:00 Europe/Berlin"
    )]
    text: &str,
) {
    let (one, other) = (schedule("Mon-Fri 09:00-17:00 Europe/Berlin", ""), schedule(text, ""));
    for hour in 0..200 {
        let time = at("2026-11-28T12:00:00Z") + SignedDuration::from_hours(hour);
        assert_eq!((one.is_open(time), one.next_change(time)), (other.is_open(time), other.next_change(time)), "{text} at {time}");
    }
}

#[rstest]
#[case::nothing("", "must have at least one window")]
#[case::separators(" ; ;", "must have at least one window")]
#[case::no_times("Mon-Fri", "the times are missing")]
#[case::no_day("Mon-Xyz 09:00-17:00", "\"Xyz\" is not a day")]
#[case::two_letters("Mo 09:00-17:00", "\"Mo\" is not a day")]
#[case::an_empty_day("Mon,,Fri 09:00-17:00", "\"\" is not a day")]
#[case::a_range_of_three("Mon-Wed-Fri 09:00-17:00", "\"Wed-Fri\" is not a day")]
#[case::more_than_a_day("Mondays 09:00-17:00", "\"Mondays\" is not a day")]
#[case::another_alphabet("Пн 09:00-17:00", "is not a day")]
#[case::days_without_comma("Mon Tue 09:00-17:00", "\"Tue\" has no end")]
#[case::no_end("Mon 09:00", "\"09:00\" has no end")]
#[case::no_hour("25:00-26:00", "\"25:00\" is not a time")]
#[case::midnight_as_end("22:00-24:00", "\"24:00\" is not a time")]
#[case::no_minute("09:60-17:00", "\"09:60\" is not a time")]
#[case::one_digit("09:0-17:00", "\"09:0\" is not a time")]
#[case::no_colon("0900-1700", "\"0900\" is not a time")]
#[case::seconds("09:00:00-17:00:00", "\"09:00:00\" is not a time")]
#[case::a_sign("+9:00-17:00", "\"+9:00\" is not a time")]
#[case::three_times("09:00-12:00-17:00", "\"12:00-17:00\" is not a time")]
#[case::empty("09:00-09:00", "starts and ends at the same time")]
#[case::no_zone("09:00-17:00 Mars/Olympus", "\"Mars/Olympus\" is not a time zone")]
#[case::an_offset("09:00-17:00 +02:00", "\"+02:00\" is not a time zone")]
#[case::a_path("09:00-17:00 ../../etc/passwd", "is not a time zone")]
#[case::too_much("09:00-17:00 UTC Mon", "\"Mon\" is unexpected")]
#[case::one_of_several("Mon 09:00-17:00; Tue 9-17", "window \"Tue 9-17\": \"9\" is not a time")]
fn invalid_windows(#[case] text: &str, #[case] problem: &str) {
    let error = text.parse::<Windows>().unwrap_err();
    assert!(error.contains(problem), "{text:?}: {error}");
}

#[test]
fn the_size_is_limited() {
    let many = |count: usize| vec!["Mon 09:00-17:00"; count].join(";");
    assert!(many(32).parse::<Windows>().is_ok());
    assert!(many(33).parse::<Windows>().unwrap_err().contains("at most 32 windows"));
    assert!(format!("Mon 09:00-17:00{}", " ".repeat(1024)).parse::<Windows>().unwrap_err().contains("at most 1024 bytes"));
}

/// Anybody may write a schedule that never opens, with time zones that change their offset at different times.
#[test]
fn a_schedule_that_never_opens_is_answered_quickly() {
    let zones = [
        "Europe/Berlin",
        "Europe/London",
        "Europe/Athens",
        "America/New_York",
        "America/Chicago",
        "America/Denver",
        "America/Halifax",
        "America/Havana",
        "America/Santiago",
        "America/Nuuk",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Asia/Beirut",
        "Asia/Gaza",
        "Asia/Jerusalem",
        "Atlantic/Azores",
        "Australia/Lord_Howe",
        "Australia/Sydney",
        "Antarctica/Troll",
        "Pacific/Auckland",
        "Pacific/Easter",
        "Pacific/Norfolk",
    ];
    let list = |minute: usize| {
        let one = |(index, name): (usize, &&str)| format!("{:02}:{minute:02}-{:02}:{:02} {name}", index % 24, index % 24, minute + 7);
        zones.iter().enumerate().map(one).collect::<Vec<_>>().join("; ")
    };
    let never = schedule(&list(10), &format!("00:00-23:59; {}", list(30)));
    let started = std::time::Instant::now();
    assert_eq!(answer(&never, "2026-11-28T12:00:00Z"), "closed -");
    assert!(started.elapsed() < std::time::Duration::from_secs(3), "{:?}", started.elapsed());
}

/// Days, start, end and time zone of a window.
type Parts = (Vec<usize>, (i8, i8), (i8, i8), &'static str);

/// Returns true if a window is open, from the date and time that a clock in its zone shows.
fn open_by_the_clock(windows: &[Parts], time: Timestamp) -> bool {
    windows.iter().any(|(days, start, end, name)| {
        let clock = time.to_zoned(zone(name).unwrap()).datetime();
        let on = |weekday: Weekday| days.contains(&usize::try_from(weekday.to_monday_zero_offset()).unwrap());
        let now = (clock.hour(), clock.minute());
        let yesterday = clock.date().checked_sub(1.day()).unwrap().weekday();
        if start < end || *end == (23, 59) {
            on(clock.weekday()) && *start <= now && (now < *end || *end == (23, 59))
        } else {
            (on(clock.weekday()) && *start <= now) || (on(yesterday) && now < *end)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Around the changes of daylight saving of several zones.
    #[test]
    fn as_the_clocks_show(
        windows in prop::collection::vec(
            (prop::collection::vec(0_usize..7, 1..4), (0_i8..24, prop::sample::select(vec![0_i8, 15, 30, 59])), (0_i8..24, prop::sample::select(vec![0_i8, 30, 59])),
             prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo", "Pacific/Apia"])), 1..4),
        deny in prop::collection::vec(
            (prop::collection::vec(0_usize..7, 1..8), (0_i8..24, prop::sample::select(vec![0_i8, 30])), (0_i8..24, prop::sample::select(vec![15_i8, 59])),
             prop::sample::select(vec!["UTC", "Europe/Berlin"])), 0..3),
        day in prop::sample::select(vec!["2026-03-07", "2026-03-27", "2026-04-03", "2026-10-02", "2026-10-23", "2026-10-29", "2026-06-01"]),
        minute in 0_i64..3 * 24 * 60,
    ) {
        prop_assume!(windows.iter().all(|(_, start, end, _)| start != end));
        let write = |windows: &[Parts]| {
            let one = |(days, start, end, zone): &Parts| {
                let days: Vec<&str> = days.iter().map(|day| &DAYS[*day][..3]).collect();
                format!("{} {:02}:{:02}-{:02}:{:02} {zone}", days.join(","), start.0, start.1, end.0, end.1)
            };
            windows.iter().map(one).collect::<Vec<_>>().join("; ")
        };
        let schedule = schedule(&write(&windows), &write(&deny));
        let open = |time: Timestamp| open_by_the_clock(&windows, time) && !open_by_the_clock(&deny, time);
        let time = at(&format!("{day}T00:00:00Z")) + SignedDuration::from_mins(minute);
        prop_assert_eq!(schedule.is_open(time), open(time), "{:?} at {}", schedule, time);
        let until = schedule.next_change(time);
        let minutes = (1..9 * 24 * 60).map(|minutes| time + SignedDuration::from_mins(minutes));
        let changes = minutes.into_iter().find(|later| open(*later) != open(time));
        let near = until.filter(|until| *until < time + SignedDuration::from_hours(9 * 24));
        prop_assert_eq!(near, changes, "{:?} at {}", schedule, time);
    }
}
