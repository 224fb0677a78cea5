//! Order before milliseconds: what is older than what it would contradict contradicts nothing.

use super::*;

/// Plays observations at their own moments, each arriving with its delay; what is shown must be `expected` from the
/// first arrival on.
#[track_caller]
fn throughout(core: &mut CoreHarness, seen: &[(u64, u64, Seen)], expected: &str) {
    let begin = core.now.unix_ms;
    let mut arrivals: Vec<_> = seen.iter().collect();
    arrivals.sort_by_key(|(at, delay, _)| at + delay);
    for (at, delay, what) in arrivals {
        let until = begin + at + delay;
        while core.now.unix_ms < until {
            core.pass(10);
            assert_eq!(core.shown(KEY), expected, "{} ms", core.now.unix_ms - begin);
        }
        match what {
            Hook(payload) => drop(core.hook_at(begin + at, true, payload)),
            Registry(status) => core.sees(update(Some(entry(*status, begin + at)))),
            Removed | Exit | Nothing(_) => unreachable!("not used here"),
        }
    }
}

#[test]
fn idle_from_before_the_prompt_does_not_end_its_turn() {
    for delays in [[0, 0], [1000, 0], [0, 1000], [1000, 1000]] {
        let mut core = follow(vec![
            (Hook(start("startup")), "idle"),
            (Registry(Idle), "idle"),
            (Nothing(100), "idle"),
            (Hook(prompt("p1", "a")), "working"),
        ]);
        let seen = [
            (400, delays[0], Registry(Busy)),
            (1000, delays[1], Hook(text("p1"))),
        ];
        throughout(&mut core, &seen, "working");
        core.pass(60_000);
        assert_eq!(core.shown(KEY), "working");
    }
}

/// The registry's idle is that of the turn before, or of its interrupt.
#[test]
fn idle_from_before_the_prompt_does_not_end_the_next_turn() {
    let first = || {
        vec![
            (Hook(prompt("p1", "a")), "working"),
            (Registry(Busy), "working"),
            (Nothing(1000), "working"),
        ]
    };
    let stopped = vec![
        (Hook(stop("p1", &json!([]))), "working"),
        (Registry(Idle), "idle!"),
    ];
    let interrupted = vec![(Registry(Idle), "working"), (Nothing(150), "idle")];
    // The next prompt is typed before the interrupt is certain.
    let at_once = vec![(Registry(Idle), "working")];
    for rows in [stopped, interrupted, at_once] {
        let mut all = first();
        all.extend(rows);
        let mut core = follow(all);
        core.pass(60);
        let now = core.now.unix_ms;
        core.hook_at(now, true, &prompt("p2", "b"));
        throughout(&mut core, &[(400, 1000, Registry(Busy))], "working");
        core.pass(60_000);
        assert_eq!(core.shown(KEY), "working");
    }
}

/// On a loaded machine the prompt's hook may fire after the person has pressed Esc.
#[test]
fn an_interrupt_counts_although_the_prompts_hook_is_stamped_later() {
    follow(vec![
        (Hook(start("startup")), "idle"),
        (Registry(Idle), "idle"),
        (Nothing(1000), "idle"),
        (Registry(Busy), "idle"),
        (Nothing(100), "idle"),
        (Registry(Idle), "idle"),
        (Nothing(30), "idle"),
        (Hook(prompt("p1", "a")), "working"),
        (Nothing(150), "idle"),
    ]);
}

/// Esc after the first turn of two: the hook that was on its way is the first of the second turn.
#[test]
fn an_interrupt_counts_although_the_queued_turns_first_hook_is_stamped_later() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(prompt("p1", "b")), "working"),
        (Hook(stop("p1", &json!([]))), "working"),
        (Nothing(1000), "working"),
        (Registry(Idle), "working"),
        (Hook(tool("p2", "make")), "working: Bash: make"),
        (Nothing(150), "idle"),
    ]);
}

/// Another hook of the same turn was on its way when the turn ended.
#[test]
fn a_hook_in_flight_does_not_make_an_end_an_interrupt() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (Nothing(1000), "working: Bash: make"),
        (Hook(stop("p1", &json!([]))), "working: Bash: make"),
        (Hook(done("p1")), "working: Bash: make"),
        (Registry(Idle), "working: Bash: make"),
        (Nothing(150), "idle!"),
    ]);
}

/// The registry's entry is read late; the dialog is open all the time.
#[test]
fn a_dialog_stays_open_until_the_registry_is_read() {
    let waiting = "waiting/permission!: permission: Bash make";
    let mut core = follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (Hook(ask("p1", "make")), waiting),
    ]);
    throughout(&mut core, &[(60, 1000, Registry(PERMISSION))], waiting);
    core.pass(60_000);
    assert_eq!(core.shown(KEY), waiting);
}

/// On a loaded machine the registry is idle for longer between the turns of two prompts.
#[test]
fn a_long_moment_between_two_turns_is_no_interrupt() {
    let queued = || {
        vec![
            (Hook(prompt("p1", "a")), "working"),
            (Registry(Busy), "working"),
            (Hook(prompt("p1", "b")), "working"),
            (Hook(stop("p1", &json!([]))), "working"),
            (Nothing(300), "working"),
            (Registry(Idle), "working"),
        ]
    };
    after(
        queued(),
        vec![
            (Nothing(270), "working"),
            (Registry(Busy), "working"),
            (Nothing(5000), "working"),
            // Esc, while nothing of the second turn was reported.
            (Registry(Idle), "working"),
            (Nothing(150), "idle"),
        ],
    );
    // The prompt was removed from the queue.
    after(queued(), vec![(Nothing(500), "idle")]);
}
