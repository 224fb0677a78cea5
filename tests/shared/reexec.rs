//! Tests in two halves: one runs here, the other in this very program again, elsewhere: as another user, beside a
//! service manager of its own. The second half knows itself by its [`argument`]. For the unit tests and `tests/it`.

use std::process::{Command, Output};

/// The variable that has it.
pub(crate) const ARGUMENT: &str = "AGENT_CONSOLE_TEST_AGAIN";

/// The name of the test that this is written in, as the harness knows it.
macro_rules! this_test {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let path = path.split_once("::").unwrap().1;
        path.strip_suffix("::here").unwrap()
    }};
}
pub(crate) use this_test;

/// The second half's argument; `None` in the first half.
#[expect(
    clippy::disallowed_methods,
    reason = "set by the first half of the test"
)]
pub(crate) fn argument() -> Option<String> {
    std::env::var(ARGUMENT).ok()
}

/// Makes `command`, which ends with a copy of this program, run the second half of `test`.
pub(crate) fn second_half<'a>(
    command: &'a mut Command,
    test: &str,
    argument: &str,
) -> &'a mut Command {
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ARGUMENT, argument)
}

/// The second half must have run and passed; what it said on standard error is shown, as its figures.
#[track_caller]
pub(crate) fn assert_passed(output: &Output) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // A name that no test has would be no failure.
    let passed = output.status.success() && stdout.contains("1 passed");
    assert!(passed, "{}\n{stdout}\n{stderr}", output.status);
    print!("{stderr}");
}
