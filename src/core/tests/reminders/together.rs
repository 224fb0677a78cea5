//! Several sessions that are due together, and what is due while a child runs.

use super::*;

/// The times at which sessions begin to wait, and what is shown of them.
#[test]
fn more_than_three_within_two_seconds_are_one() {
    let rows: &[(&[u64], &[&str])] = &[
        (&[0, 0, 0], &["8000 waiting:a waiting:b waiting:c"]),
        (&[0, 0, 0, 0], &["10000 waiting*4:a,b,c,d"]),
        (&[0, 500, 1000, 2000], &["10000 waiting*4:a,b,c,d"]),
        (
            &[0, 500, 1000, 2001],
            &[
                "8000 waiting:a",
                "8500 waiting:b",
                "9000 waiting:c",
                "10001 waiting:d",
            ],
        ),
        // One alone, then four.
        (
            &[0, 1500, 2500, 3000, 3500],
            &["8000 waiting:a", "11500 waiting*4:b,c,d,e"],
        ),
        // Four, and soon another one.
        (
            &[0, 0, 0, 0, 3000],
            &["10000 waiting*4:a,b,c,d", "11000 waiting:e"],
        ),
        // Another four take the place of those before, and count them.
        (
            &[0, 0, 0, 0, 3000, 3000, 3000, 3000],
            &[
                "10000 waiting*4:a,b,c,d",
                "13000 waiting*8:a,b,c,d,e,f,g,h=1",
            ],
        ),
    ];
    for (times, expected) in rows {
        let mut screen = Screen::new(rules());
        for (name, at) in ('a'..).zip(*times) {
            screen.until(*at);
            screen.set(&name.to_string(), "waiting");
        }
        screen.until(HOUR);
        let shown = std::mem::take(&mut screen.log);
        assert_eq!(shown, *expected, "{times:?}");
    }
}

#[test]
fn of_several_those_that_are_over_in_time_do_not_count() {
    let mut screen = Screen::new(rules());
    for name in ["a", "b", "c", "d"] {
        screen.set(name, "waiting");
    }
    screen.until(9000);
    screen.shows(&[]);
    screen.set("b", "working");
    screen.shows(&["9000 waiting:a waiting:c waiting:d"]);
}

#[test]
fn a_reminder_of_several_goes_with_the_last_of_them_and_has_the_most_urgent_cause() {
    let mut screen = Screen::new(rules());
    screen.set("a", "working");
    screen.until(1);
    screen.set("a", "idle");
    for name in ["b", "c", "d"] {
        screen.set(name, "error");
    }
    screen.until(11_000);
    screen.shows(&["10001 error*4:a,b,c,d"]);
    screen.ask("session.seen", "a");
    screen.ask("session.remove", "b");
    screen.set("c", "working");
    screen.shows(&[]);
    screen.set("d", "working");
    screen.shows(&["11000 -1"]);
}

#[test]
fn forty_at_once_are_one_with_a_bounded_number_of_records() {
    let mut screen = Screen::new(rules());
    for number in 0..40 {
        screen.set(&format!("s{number:02}"), "waiting");
    }
    screen.until(HOUR);
    assert_eq!(screen.log.len(), 1);
    assert!(screen.log[0].starts_with("10000 waiting*40:s00,s01,"));
    assert_eq!(screen.log[0].matches(',').count(), MAX_RECORDS - 1);
}

/// One child at a time: what is due meanwhile waits, and may end.
#[test]
fn what_is_due_while_a_child_runs_waits_for_its_end() {
    let mut screen = Screen::new(rules());
    screen.set("a", "waiting");
    for name in ["b", "c", "d", "e", "f"] {
        screen.until(screen.core.now.uptime_ms + 3000);
        screen.set(name, "waiting");
    }
    screen.until(15_000);
    screen.log.clear();

    let mut screen = Screen::new(rules());
    screen.set("a", "waiting");
    screen.core.wait(8000);
    assert_eq!(
        line(job(&screen.core.take(Input::Timeout)).unwrap()),
        "waiting:a"
    );
    for name in ["b", "c", "d", "e", "f"] {
        assert!(job(&screen.set_only(name, "waiting")).is_none());
        screen.core.wait(2500);
    }
    screen.core.wait(8000);
    assert!(job(&screen.core.take(Input::Timeout)).is_none());
    // One is over, and the one that the child shows.
    assert!(job(&screen.set_only("f", "working")).is_none());
    assert!(job(&screen.set_only("a", "working")).is_none());
    let ended = screen
        .core
        .take(Input::Reminded(Outcome::Shown(vec![Some(5)])));
    assert_eq!(line(job(&ended).unwrap()), "-5 waiting*4:b,c,d,e");
    let ended = screen
        .core
        .take(Input::Reminded(Outcome::Shown(vec![Some(6)])));
    assert!(job(&ended).is_none());
}
