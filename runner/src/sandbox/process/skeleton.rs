//! The bottom layer of every sandbox: the places of the system, and a small /etc.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use autoclave_enter::Bind;

use super::etc;
use super::layer::{During, Layer, make_directory};
use crate::sandbox::SandboxError;

const DIRECTORIES: &[&str] = &[
    "proc",
    "dev",
    "tmp",
    "run",
    "etc",
    "var",
    "home",
    "workspace",
    "usr",
];
/// Links into /usr on most systems, directories on others.
const PROGRAMS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// The system as a sandbox sees it, whatever its snapshot.
#[derive(Debug)]
pub struct Skeleton {
    pub layer: Layer,
    /// The host's directories that are mounted on it.
    pub binds: Vec<Bind>,
}

impl Skeleton {
    /// Makes the layer at `folder` for a command that is `ids`, a uid and a gid.
    pub fn build(folder: PathBuf, ids: (u32, u32)) -> Result<Self, SandboxError> {
        let layer = Layer::new(folder)?;
        let folder = layer.path();
        for name in DIRECTORIES {
            let path = folder.join(name);
            make_directory(&path).during("make", &path)?;
        }
        let mut binds = vec![same("/usr".into())];
        for name in PROGRAMS {
            let host = Path::new("/").join(name);
            let own = folder.join(name);
            match fs::read_link(&host) {
                Ok(target) => symlink(target, &own).during("link", &own)?,
                Err(_) if host.is_dir() => {
                    make_directory(&own).during("make", &own)?;
                    binds.push(same(host));
                }
                Err(_) => {}
            }
        }
        let tmp = folder.join("var/tmp");
        symlink("/tmp", &tmp).during("link", &tmp)?;
        etc::fill(&folder.join("etc"), ids)?;
        Ok(Self { layer, binds })
    }

    /// Returns where `target` leads inside the sandbox, past the links of the system.
    pub fn resolve(&self, target: &Path) -> PathBuf {
        let mut words = target.components();
        words.next();
        let first = words.next().map(|word| Path::new("/").join(word));
        let link = first.and_then(|first| fs::read_link(self.at(&first)).ok());
        match link {
            Some(link) => Path::new("/").join(link).join(words.as_path()),
            None => target.to_owned(),
        }
    }

    /// Says whether there is a file of ours at `target`: linked, copied or generated.
    pub fn has(&self, target: &Path) -> bool {
        fs::symlink_metadata(self.at(target)).is_ok_and(|made| !made.is_dir())
    }

    fn at(&self, absolute: &Path) -> PathBuf {
        let relative = absolute.strip_prefix("/").unwrap_or(absolute);
        self.layer.path().join(relative)
    }
}

fn same(path: PathBuf) -> Bind {
    Bind {
        source: path.clone(),
        target: path,
    }
}
