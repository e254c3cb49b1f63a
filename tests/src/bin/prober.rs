//! Tries operations on paths from inside of a sandbox: `prober` undoes each, `prober keep` none.
//!
//! Standard input: an operation's number as one byte, a path, NUL; again and again. Standard
//! output: one errno a line, 0 for what worked. Relative paths are the workspace's; where
//! /tmp and the home are elsewhere, TMPDIR and HOME say so.

#![expect(clippy::print_stdout, reason = "the errnos are the result")]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use autoclave_policies::Operation;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{linkat, truncate};

/// Where the file lies that takes another's place.
const OTHER: &str = ".git/other";

/// What undoes an operation that worked.
type Undo = Box<dyn FnOnce() -> io::Result<()>>;

fn main() -> io::Result<()> {
    let keeps = std::env::args().nth(1).is_some_and(|word| word == "keep");
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    for record in input.split(|byte| *byte == 0).filter(|r| !r.is_empty()) {
        // NUL ends a record, so numbers begin at 1.
        let operation = Operation::ALL[usize::from(record[0]) - 1];
        let path = place(Path::new(OsStr::from_bytes(&record[1..])));
        match attempt(&path, operation) {
            Ok(undo) => {
                println!("0");
                if !keeps {
                    undo().map_err(|error| {
                        let what = format!(
                            "could not undo `{operation}` of `{}`: {error}",
                            path.display()
                        );
                        io::Error::new(error.kind(), what)
                    })?;
                }
            }
            Err(error) => println!("{}", error.raw_os_error().unwrap_or(-1)),
        }
    }
    Ok(())
}

/// Returns where a path of every sandbox is in this one.
fn place(path: &Path) -> PathBuf {
    for (prefix, variable) in [("/tmp", "TMPDIR"), ("/home/agent", "HOME")] {
        if let (Ok(rest), Some(elsewhere)) = (path.strip_prefix(prefix), std::env::var_os(variable))
        {
            return Path::new(&elsewhere).join(rest);
        }
    }
    path.to_owned()
}

fn attempt(path: &Path, operation: Operation) -> io::Result<Undo> {
    let at = real(path);
    Ok(match operation {
        Operation::Read => {
            File::open(path)?.read_exact(&mut [0])?;
            nothing()
        }
        Operation::List => {
            fs::read_dir(path)?.try_for_each(|entry| entry.map(drop))?;
            nothing()
        }
        Operation::Write => {
            let file = OpenOptions::new().write(true).open(path)?;
            let mut first = Vec::new();
            File::open(path)?.take(1).read_to_end(&mut first)?;
            file.write_all_at(b"?", 0)?;
            Box::new(move || file.write_all_at(&first, 0))
        }
        Operation::Truncate => {
            let before = fs::read(path).ok();
            truncate(path, 1)?;
            Box::new(move || match before {
                Some(bytes) => fs::write(at, bytes),
                None => Err(Errno::EIO.into()),
            })
        }
        Operation::Append => {
            let mut file = OpenOptions::new().append(true).open(path)?;
            let length = file.metadata()?.len();
            file.write_all(b"?")?;
            Box::new(move || OpenOptions::new().write(true).open(at)?.set_len(length))
        }
        Operation::CreateFile => {
            let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
            file.write_all(b"new\n")?;
            Box::new(move || fs::remove_file(at))
        }
        Operation::CreateDirectory => {
            fs::create_dir(path)?;
            Box::new(move || fs::remove_dir(at))
        }
        Operation::CreateLink => {
            symlink("nowhere", path)?;
            Box::new(move || fs::remove_file(at))
        }
        Operation::RemoveFile => {
            let before = Entry::read(path);
            fs::remove_file(path)?;
            Box::new(move || before?.write(&at))
        }
        Operation::RemoveDirectory => {
            let mode = fs::symlink_metadata(path)?.permissions();
            fs::remove_dir(path)?;
            Box::new(move || {
                fs::create_dir(&at)?;
                fs::set_permissions(&at, mode)
            })
        }
        Operation::RenameAway => {
            let other = sibling(&at);
            fs::rename(path, sibling(path))?;
            Box::new(move || fs::rename(other, at))
        }
        Operation::RenameOver => replace(path)?,
        Operation::HardLink => {
            let other = sibling(&at);
            linkat(
                nix::fcntl::AT_FDCWD,
                path,
                nix::fcntl::AT_FDCWD,
                &sibling(path),
                AtFlags::empty(),
            )?;
            Box::new(move || fs::remove_file(other))
        }
        Operation::Chmod => {
            let found = fs::metadata(path)?;
            let mode = found.permissions().mode();
            // A directory must still let the way back through.
            let bit = if found.is_dir() { 0o020 } else { 0o100 };
            fs::set_permissions(path, Permissions::from_mode(mode ^ bit))?;
            Box::new(move || fs::set_permissions(at, Permissions::from_mode(mode)))
        }
        Operation::SetTimes => {
            let time = TimeSpec::new(1_000_000_000, 0);
            let follow = UtimensatFlags::FollowSymlink;
            utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, follow)?;
            nothing()
        }
        Operation::Execute => {
            let status = Command::new(Path::new(".").join(path))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()?;
            if status.success() {
                nothing()
            } else {
                return Err(Errno::EIO.into());
            }
        }
    })
}

/// Puts a file with the same content as before in the place of what is at `path`.
fn replace(path: &Path) -> io::Result<Undo> {
    let (at, before) = (real(path), Entry::read(path));
    let bytes: &[u8] = match &before {
        Ok(Entry::File { bytes, .. }) => bytes,
        Ok(Entry::Link { .. }) | Err(_) => b"other\n",
    };
    fs::write(OTHER, bytes)?;
    if let Err(error) = fs::rename(OTHER, path) {
        fs::remove_file(OTHER)?;
        return Err(error);
    }
    Ok(Box::new(move || {
        fs::remove_file(&at)?;
        match before {
            Ok(before) => before.write(&at),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }))
}

/// A file or link that can be made again.
enum Entry {
    File { bytes: Vec<u8>, mode: u32 },
    Link { target: PathBuf },
}

impl Entry {
    fn read(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(if found.is_symlink() {
            Self::Link {
                target: fs::read_link(path)?,
            }
        } else {
            Self::File {
                bytes: fs::read(path)?,
                mode: found.permissions().mode() & 0o777,
            }
        })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Link { target } => symlink(target, path),
            Self::File { bytes, mode } => {
                let new = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(*mode)
                    .open(path);
                new?.write_all(bytes)?;
                fs::set_permissions(path, Permissions::from_mode(*mode))
            }
        }
    }
}

fn nothing() -> Undo {
    Box::new(|| Ok(()))
}

/// Returns the same entry by a path without links, one of which may be what is removed.
fn real(path: &Path) -> PathBuf {
    let parent = match path.parent() {
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) => parent,
        None => return path.to_owned(),
    };
    match (fs::canonicalize(parent), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Returns a name beside `path` that nothing has.
fn sibling(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsStr::to_owned);
    name.push(".other");
    path.with_file_name(name)
}
