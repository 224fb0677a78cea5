//! Visual Studio Code and its kin: the window of the folder in which the terminal is. The editor does not say which window
//! has a terminal, so the folder must be open, and the session have begun in it. Not tried on a real one.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::frame::Frame;
use super::plan::{Move, Place};
use super::{Proof, Prover};
use crate::os::environment::variable;
use crate::os::process;
use crate::os::small_file;

/// The longest file of an editor's state that is read, in bytes.
const LIMIT: u64 = 4 * 1024 * 1024;

/// An editor.
struct Editor {
    /// Its process's name, and its command line program.
    name: &'static str,
    /// Its directory below the user's configuration.
    directory: &'static str,
}

const EDITORS: &[Editor] = &[
    Editor {
        name: "code",
        directory: "Code",
    },
    Editor {
        name: "code-insiders",
        directory: "Code - Insiders",
    },
    Editor {
        name: "codium",
        directory: "VSCodium",
    },
    Editor {
        name: "cursor",
        directory: "Cursor",
    },
    Editor {
        name: "windsurf",
        directory: "Windsurf",
    },
];

/// `User/globalStorage/storage.json`: the folders that are open are those for which it keeps unsaved files.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Storage {
    backup_workspaces: Workspaces,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Workspaces {
    folders: Vec<Folder>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Folder {
    folder_uri: String,
}

/// Whether the frame is in a terminal of such an editor.
pub(super) fn prove(frame: &Frame, _prover: &Prover<'_>) -> Option<Result<Proof, String>> {
    if frame.claims.term_program.as_deref() != Some("vscode") {
        return None;
    }
    let name = process::name(frame.owners().first()?.pid)?;
    let editor = EDITORS.iter().find(|editor| editor.name == name)?;
    let configuration = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let configuration =
        configuration.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))?;
    let storage = configuration
        .join(editor.directory)
        .join("User/globalStorage/storage.json");
    let bytes = small_file::read(&storage, LIMIT).ok()?;
    let folder = frame
        .directory
        .as_deref()
        .and_then(|directory| open_folder(&bytes, directory));
    Some(folder.map_or_else(
        || {
            Err(format!(
                "no folder that {name} has open is that of the session"
            ))
        },
        |folder| Ok(window(editor, &folder)),
    ))
}

/// The open folder in which the directory is; of several, the innermost.
fn open_folder(storage: &[u8], directory: &Path) -> Option<String> {
    let storage: Storage = serde_json::from_slice(storage).ok()?;
    let folders = storage.backup_workspaces.folders.into_iter();
    let paths = folders.filter_map(|folder| {
        let path = folder.folder_uri.strip_prefix("file://")?;
        // Another spelling of a path, such as `%20`, is none that this can compare.
        (!path.contains('%') && directory.starts_with(path)).then(|| path.to_owned())
    });
    paths.max_by_key(String::len)
}

fn window(editor: &Editor, folder: &str) -> Proof {
    Proof::Window {
        place: Place {
            way: "editor",
            what: format!("window of {folder}"),
            remains: Some("select the terminal".to_owned()),
            moves: vec![Move::Run(vec![editor.name.to_owned(), folder.to_owned()])],
        },
        is_in_front: None,
        outside: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_open_is_found() {
        let storage = br#"{"backupWorkspaces": {"folders": [{"folderUri": "file:///home/ada/a"},
            {"folderUri": "file:///home/ada/a/b"}, {"folderUri": "vscode-remote://ssh/home/ada/c"}]}, "x": 1}"#;
        let found = |directory: &str| open_folder(storage, Path::new(directory));
        assert_eq!(found("/home/ada/a/src").as_deref(), Some("/home/ada/a"));
        assert_eq!(found("/home/ada/a/b").as_deref(), Some("/home/ada/a/b"));
        assert_eq!((found("/home/ada/ab"), found("/home/ada/c")), (None, None));
        assert_eq!(open_folder(b"{}", Path::new("/home/ada/a")), None);
    }

    #[test]
    fn the_editor_is_called_with_the_folder() {
        let Proof::Window { place, .. } = window(&EDITORS[0], "/home/ada/a") else {
            panic!("it is a window");
        };
        assert_eq!(place.moves[0].words(), ["code", "/home/ada/a"]);
    }
}
