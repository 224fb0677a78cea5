//! Hyprland's windows, by its socket: a request is one text, and the answer ends with the connection. Written from its
//! documentation (wiki.hypr.land, "IPC" and "Using hyprctl"), not tried on a real one.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{anyhow, bail};
use serde::Deserialize;

use super::Window;
use crate::os::peer;
use crate::reach::asker::Display;
use crate::reach::is_plain;
use crate::reach::plan::Move;

/// How long Hyprland may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest answer, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// A window, as far as it is used.
#[derive(Debug, Deserialize)]
struct Client {
    /// `0x5581c0de`
    address: String,
    pid: i64,
}

/// All windows; `None` where the display is not Hyprland's.
pub(super) fn windows(display: &Display) -> Option<Result<Vec<Window>, String>> {
    let instance = display.hyprland.as_deref()?;
    let runtime_dir = display.runtime_dir.as_deref()?;
    if !is_plain(instance) || instance.contains('/') {
        return None;
    }
    let socket = runtime_dir.join("hypr").join(instance).join(".socket.sock");
    let listed = ask(&socket, "j/clients").and_then(|answer| read_list(&answer, &socket, instance));
    Some(listed.map_err(|error| format!("Hyprland cannot be asked for its windows: {error:#}")))
}

/// Has Hyprland focus a window, on whichever workspace it is.
pub(in crate::reach) fn focus(socket: &Path, address: &str) -> anyhow::Result<()> {
    let answer = ask(socket, &format!("dispatch focuswindow address:{address}"))?;
    if answer.trim_ascii() != b"ok" {
        bail!("Hyprland has not focused the window");
    }
    Ok(())
}

fn read_list(answer: &[u8], socket: &Path, instance: &str) -> anyhow::Result<Vec<Window>> {
    let listed: Vec<Client> = serde_json::from_slice(answer)?;
    let windows = listed.into_iter().filter_map(|client| {
        let digits = client.address.strip_prefix("0x")?;
        let is_address = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        Some(Window {
            pid: u32::try_from(client.pid).ok().filter(|_| is_address)?,
            x11: None,
            is_active: None,
            focus: Move::Hyprland {
                socket: PathBuf::from(socket),
                instance: instance.to_owned(),
                address: client.address,
            },
        })
    });
    Ok(windows.collect())
}

fn ask(socket: &Path, request: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream =
        peer::connect(socket, TIMEOUT).map_err(|_| anyhow!("it does not answer at its socket"))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_window_is_listed_and_focused() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("hypr/x_1/.socket.sock");
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            let list: &[u8] =
                br#"[{"address": "0x55a", "pid": 42}, {"address": "0x55b", "pid": -1},
                {"address": "it; exit", "pid": 43}]"#;
            for (request, answer) in [
                ("j/clients", list),
                ("dispatch focuswindow address:0x55a", b"ok"),
                (
                    "dispatch focuswindow address:0x55a",
                    b"No such window found",
                ),
            ] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = vec![0; request.len()];
                stream.read_exact(&mut text).unwrap();
                assert_eq!(text, request.as_bytes());
                stream.write_all(answer).unwrap();
            }
        });
        let display = Display {
            hyprland: Some("x_1".to_owned()),
            runtime_dir: Some(directory.path().to_owned()),
            ..Display::default()
        };
        let listed = windows(&display).unwrap().unwrap();
        assert_eq!(
            listed.iter().map(|window| window.pid).collect::<Vec<_>>(),
            [42]
        );
        assert!(focus(&socket, "0x55a").is_ok());
        assert!(focus(&socket, "0x55a").is_err());
        server.join().unwrap();
    }

    #[test]
    fn a_forged_instance_is_none() {
        let display = Display {
            hyprland: Some("../x".to_owned()),
            runtime_dir: Some("/run".into()),
            ..Display::default()
        };
        assert!(windows(&display).is_none());
    }
}
