//! What a sandboxed command may try on one path.

use std::fmt;

/// What a sandboxed command may try on one path: one system call, or the two that always go
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Read a file's bytes.
    Read,
    /// List a directory's names.
    List,
    /// Change bytes of a file that is there.
    Write,
    /// Make a file that is there shorter.
    Truncate,
    /// Add bytes to a file that is there.
    Append,
    /// Make a file where nothing is.
    CreateFile,
    /// Make a directory where nothing is.
    CreateDirectory,
    /// Make a symbolic link where nothing is.
    CreateLink,
    /// Remove a file or link.
    RemoveFile,
    /// Remove a directory, once it is empty.
    RemoveDirectory,
    /// Give it another name in its directory. A directory's move may take a copy, as mv(1) makes.
    RenameAway,
    /// Put another file, one of the command's own, in its place.
    RenameOver,
    /// Make a second, hard link to it in its directory.
    HardLink,
    /// Change its mode.
    Chmod,
    /// Set its times.
    SetTimes,
    /// Start it as a program.
    Execute,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Read,
        Self::List,
        Self::Write,
        Self::Truncate,
        Self::Append,
        Self::CreateFile,
        Self::CreateDirectory,
        Self::CreateLink,
        Self::RemoveFile,
        Self::RemoveDirectory,
        Self::RenameAway,
        Self::RenameOver,
        Self::HardLink,
        Self::Chmod,
        Self::SetTimes,
        Self::Execute,
    ];

    /// Says whether a link at the path is followed to what it leads to.
    pub fn follows_links(self) -> bool {
        match self {
            Self::Read
            | Self::List
            | Self::Write
            | Self::Truncate
            | Self::Append
            | Self::Chmod
            | Self::SetTimes
            | Self::Execute => true,
            Self::CreateFile
            | Self::CreateDirectory
            | Self::CreateLink
            | Self::RemoveFile
            | Self::RemoveDirectory
            | Self::RenameAway
            | Self::RenameOver
            | Self::HardLink => false,
        }
    }

    /// Says whether it could leave something changed.
    pub fn changes(self) -> bool {
        !matches!(self, Self::Read | Self::List | Self::Execute)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::Append => "append",
            Self::CreateFile => "create file",
            Self::CreateDirectory => "create directory",
            Self::CreateLink => "create link",
            Self::RemoveFile => "remove",
            Self::RemoveDirectory => "remove directory",
            Self::RenameAway => "rename",
            Self::RenameOver => "replace",
            Self::HardLink => "hard-link",
            Self::Chmod => "chmod",
            Self::SetTimes => "set times",
            Self::Execute => "execute",
        })
    }
}
