//! The way to a directory, step by step, each watched.
//!
//! A path leads through directories and symbolic links, any of which may be missing, come, go or be replaced. Each is
//! watched before it is looked at: what changes after the look is told.

use super::Signs;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many symbolic links are followed, as the kernel does (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// How often the walk begins anew because what was missing came at that very moment.
const MOST_WALKS: usize = 8;

/// Has the kernel tell of every step to `path`, which is absolute, and of the files in it; or, if it does not exist,
/// of the appearance of the first step that is missing.
///
/// # Errors
///
/// The kernel gives no watch, or some step can't be looked at. What is watched so far stays watched.
pub(super) fn walk(signs: &mut Signs, path: &Path) -> io::Result<()> {
    for _ in 0..MOST_WALKS {
        let (directory, name) = match steps(signs, path)? {
            Walked::Arrived(directory) => return signs.files(&directory),
            Walked::Missing { directory, name } => (directory, name),
        };
        signs.arrival(&directory, &name)?;
        if !is_way(&directory.join(&name)) {
            return Ok(());
        }
        signs.clear();
    }
    Err(io::Error::other("it comes and goes too fast"))
}

/// Where a walk ends.
enum Walked {
    /// At the directory, whose path without symbolic links this is.
    Arrived(PathBuf),
    /// Where `directory` has no directory and no link of this name.
    Missing { directory: PathBuf, name: OsString },
}

fn steps(signs: &mut Signs, path: &Path) -> io::Result<Walked> {
    let mut here = PathBuf::from("/");
    let mut ahead = Vec::new();
    push(&mut ahead, path);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let watched = match signs.step(&next) {
            // A directory that may be passed through, but not read. That it is moved is not told.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            watched => watched,
        };
        let kind = match watched.and_then(|()| next.symlink_metadata()) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Walked::Missing {
                    directory: here,
                    name,
                });
            }
            Err(error) => return Err(error),
        };
        if kind.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::other("too many symbolic links"));
            }
            let target = next.read_link()?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            push(&mut ahead, &target);
        } else if kind.is_dir() {
            here = next;
        } else {
            return Ok(Walked::Missing {
                directory: here,
                name,
            });
        }
    }
    Ok(Walked::Arrived(here))
}

/// Puts the steps of a path before those that are still ahead.
fn push(ahead: &mut Vec<OsString>, path: &Path) {
    let before = ahead.len();
    ahead.extend(path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
    ahead[before..].reverse();
}

/// Whether there is a directory or a link there.
pub(super) fn is_way(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir() || metadata.is_symlink())
}
