//! sway's windows, by its socket (sway-ipc(7)): a message is `i3-ipc`, the length and the kind as 32 bits each in the
//! machine's order, and JSON.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

use super::Window;
use crate::os::peer;
use crate::reach::asker::Display;
use crate::reach::plan::Move;

const MAGIC: &[u8] = b"i3-ipc";
const RUN_COMMAND: u32 = 0;
const GET_TREE: u32 = 4;

/// How long sway may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest answer, in bytes.
const LIMIT: usize = 16 * 1024 * 1024;

/// A container, as far as it is used.
#[derive(Debug, Deserialize)]
struct Node {
    id: i64,
    /// Only a window has one.
    #[serde(default)]
    pid: Option<u32>,
    /// The window's id in X11, of one that is shown by Xwayland.
    #[serde(default)]
    window: Option<u32>,
    #[serde(default)]
    focused: bool,
    #[serde(default)]
    nodes: Vec<Node>,
    #[serde(default)]
    floating_nodes: Vec<Node>,
}

/// All windows; `None` where the display is not sway's.
pub(super) fn windows(display: &Display) -> Option<Result<Vec<Window>, String>> {
    let socket = display.sway.as_deref()?;
    let listed = ask(socket, GET_TREE, "").and_then(|answer| read_tree(&answer, socket));
    Some(listed.map_err(|error| format!("sway cannot be asked for its windows: {error:#}")))
}

/// Has sway focus a container, on whichever workspace it is.
pub(in crate::reach) fn focus(socket: &Path, container: i64) -> anyhow::Result<()> {
    let answer = ask(socket, RUN_COMMAND, &format!("[con_id={container}] focus"))?;
    let results: Vec<Value> = serde_json::from_slice(&answer)?;
    if results.is_empty() || results.iter().any(|result| result["success"] != true) {
        bail!("sway has not focused the window");
    }
    Ok(())
}

fn read_tree(answer: &[u8], socket: &Path) -> anyhow::Result<Vec<Window>> {
    let root: Node = serde_json::from_slice(answer).context("the answer cannot be read")?;
    let mut waiting = vec![root];
    let mut found = Vec::new();
    while let Some(node) = waiting.pop() {
        found.extend(node.pid.map(|pid| Window {
            pid,
            x11: node.window,
            is_active: Some(node.focused),
            focus: Move::Sway {
                socket: socket.to_owned(),
                container: node.id,
            },
        }));
        waiting.extend(node.nodes);
        waiting.extend(node.floating_nodes);
    }
    Ok(found)
}

fn ask(socket: &Path, kind: u32, payload: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = peer::connect(socket, TIMEOUT).map_err(|_| no_answer())?;
    let length = u32::try_from(payload.len())?;
    let head = [MAGIC, &length.to_ne_bytes(), &kind.to_ne_bytes()].concat();
    stream.write_all(&[&head, payload.as_bytes()].concat())?;
    let mut head = [0; MAGIC.len() + 8];
    stream.read_exact(&mut head)?;
    let (magic, rest) = head.split_at(MAGIC.len());
    let length: [u8; 4] = rest[..4].try_into()?;
    let length = usize::try_from(u32::from_ne_bytes(length))?;
    if magic != MAGIC || length > LIMIT {
        bail!("the answer is none of sway's");
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn no_answer() -> anyhow::Error {
    anyhow::anyhow!("it does not answer at its socket")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn each_window_of_the_tree_is_found() {
        let tree = br#"{"id": 1, "type": "root", "nodes": [{"id": 2, "type": "workspace", "pid": null,
            "nodes": [{"id": 7, "type": "con", "pid": 42, "window": null, "app_id": "foot", "focused": true}],
            "floating_nodes": [{"id": 8, "type": "floating_con", "pid": 43, "window": 12582925}]}]}"#;
        let mut found = read_tree(tree, Path::new("/run/sway")).unwrap();
        found.sort_by_key(|window| window.pid);
        let found: Vec<_> = found
            .iter()
            .map(|window| (window.pid, window.x11, window.is_active))
            .collect();
        assert_eq!(
            found,
            [(42, None, Some(true)), (43, Some(12_582_925), Some(false))]
        );
    }

    #[test]
    fn a_focus_that_fails_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("sway");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            for answer in [
                &b"[{\"success\": true}]"[..],
                b"[{\"success\": false}]",
                b"[]",
            ] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 14];
                stream.read_exact(&mut head).unwrap();
                let mut command = vec![0; usize::from(head[6])];
                stream.read_exact(&mut command).unwrap();
                assert_eq!(command, b"[con_id=7] focus");
                let length = u32::try_from(answer.len()).unwrap().to_ne_bytes();
                let head = [MAGIC, &length, &RUN_COMMAND.to_ne_bytes()].concat();
                stream.write_all(&[&head, answer].concat()).unwrap();
            }
        });
        assert!(focus(&socket, 7).is_ok());
        assert!(focus(&socket, 7).is_err());
        assert!(focus(&socket, 7).is_err());
        server.join().unwrap();
    }
}
