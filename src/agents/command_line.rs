//! Which files a command line runs. Pure. Called by agents that an interpreter may run.

/// Programs that run a script.
const INTERPRETERS: &[&str] = &["node", "nodejs", "bun", "deno"];

/// Options of Node.js (node(1)) whose value is an argument of its own.
const WITH_VALUE: &[&str] = &[
    "-r",
    "--require",
    "--import",
    "--loader",
    "-C",
    "--conditions",
];

/// The program that these arguments start and, if it is an interpreter, the script that it runs. What comes behind them is
/// data, which may name any file.
pub(super) fn program_paths(arguments: &[String]) -> impl Iterator<Item = &str> {
    let program = arguments.first().map(String::as_str);
    let name = program.and_then(|program| program.rsplit('/').next());
    let is_interpreter = name.is_some_and(|name| INTERPRETERS.contains(&name));
    let script = script(arguments).filter(|_| is_interpreter);
    program.into_iter().chain(script)
}

/// The first argument of an interpreter that is no option.
fn script(arguments: &[String]) -> Option<&str> {
    let mut arguments = arguments.iter().skip(1).map(String::as_str);
    loop {
        let argument = arguments.next()?;
        if WITH_VALUE.contains(&argument) {
            arguments.next();
        } else if !argument.starts_with('-') {
            return Some(argument);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(line: &str) -> Vec<String> {
        let arguments: Vec<_> = line.split(' ').map(str::to_owned).collect();
        program_paths(&arguments).map(str::to_owned).collect()
    }

    #[test]
    fn a_script_is_the_first_argument_of_its_interpreter() {
        assert_eq!(
            paths("/usr/bin/node /a.js /b.js"),
            ["/usr/bin/node", "/a.js"]
        );
        assert_eq!(paths("node --inspect -r x /a.js -p"), ["node", "/a.js"]);
        assert_eq!(paths("node"), ["node"]);
        assert_eq!(paths("vim /a.js"), ["vim"]);
        assert_eq!(program_paths(&[]).count(), 0);
    }
}
