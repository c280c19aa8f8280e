//! Where bodies lie: `files/ab/abcdef…` by hash, `temp/` while they arrive.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::mapped::MappedFile;
use crate::clock::Millis;
use crate::debian::naming::to_hex;

/// Why the data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error(
        "another aptmesh uses the data folder {0}: stop it first, or give this one another data_dir"
    )]
    Busy(PathBuf),
    /// It is another user's.
    #[error(
        "user {user} may not write to the data folder {folder}, whose owner is user {owner}: run this as that user or as root, choose another data_dir, or, for a container, run `chown -R {user}` on the folder that is mounted there"
    )]
    Foreign {
        /// The data folder.
        folder: PathBuf,
        /// User id of its owner.
        owner: u32,
        /// User id of this process.
        user: u32,
    },
    /// It can't be made or written.
    #[error("the data folder {0} can't be used: {1}")]
    Io(PathBuf, io::Error),
}

impl OpenError {
    fn of(folder: &Path, error: io::Error) -> Self {
        let user = rustix::process::geteuid().as_raw();
        let owner = fs::metadata(folder).map_or(user, |data| data.uid());
        let folder = folder.to_owned();
        if error.kind() == ErrorKind::PermissionDenied && owner != user {
            return Self::Foreign {
                folder,
                owner,
                user,
            };
        }
        Self::Io(folder, error)
    }
}

/// The data folder, held by this process alone.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    files: PathBuf,
    temp: PathBuf,
    open: Mutex<HashMap<[u8; 32], Weak<MappedFile>>>,
    _lock: File,
}

impl Disk {
    /// Makes the folders where they are missing and takes the lock.
    ///
    /// # Errors
    /// [`OpenError::Busy`] where another process runs here, and
    /// [`OpenError::Foreign`] where the folder belongs to somebody else.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        let fails = |error| OpenError::of(root, error);
        let (files, temp) = (root.join("files"), root.join("temp"));
        fs::create_dir_all(&files).map_err(fails)?;
        fs::create_dir_all(&temp).map_err(fails)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(fails)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Busy(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(fails(error)),
        }
        Ok(Self {
            root: root.to_owned(),
            files,
            temp,
            open: Mutex::default(),
            _lock: lock,
        })
    }

    /// The data folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        Self::database_below(&self.root)
    }

    /// The database file of a data folder, whoever holds that.
    #[must_use]
    pub fn database_below(root: &Path) -> PathBuf {
        root.join("aptmesh.db")
    }

    /// Where the body with this hash lies.
    #[must_use]
    pub fn body_path(&self, sha256: &[u8; 32]) -> PathBuf {
        let hex = to_hex(sha256);
        self.files.join(&hex[..2]).join(hex)
    }

    /// Where a body lies while it arrives.
    #[must_use]
    pub fn temp_path(&self, name: &str) -> PathBuf {
        self.temp.join(name)
    }

    /// A new file for a body on its way in.
    ///
    /// # Errors
    /// What the disk says.
    fn create_temp(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .create_new(true)
            .read(true)
            .write(true)
            .open(self.temp_path(name))
    }

    /// Moves a whole, durable body to its place. The folder is not synced:
    /// should the rename be lost with the power, [`Disk::body`] finds the body
    /// missing and its row is dropped.
    ///
    /// # Errors
    /// What the disk says.
    fn keep(&self, temp: &str, sha256: &[u8; 32]) -> io::Result<()> {
        let place = self.body_path(sha256);
        self.forget_open(sha256);
        match fs::rename(self.temp_path(temp), &place) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(place.parent().unwrap_or(&self.files))?;
                fs::rename(self.temp_path(temp), &place)
            }
            other => other,
        }
    }

    /// Removes a body that will not be finished.
    pub fn drop_temp(&self, temp: &str) {
        if let Err(error) = fs::remove_file(self.temp_path(temp))
            && error.kind() != ErrorKind::NotFound
        {
            tracing::debug!(file = temp, %error, "a temp file can't be removed");
        }
    }

    /// Opens a body that a row speaks of; readers at the same time share it.
    /// `None` where it is missing or has another length.
    ///
    /// # Errors
    /// What the disk says otherwise, for instance no file descriptors left.
    pub fn body(&self, sha256: &[u8; 32], size: u64) -> io::Result<Option<Arc<MappedFile>>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(sha256).and_then(Weak::upgrade) {
            return Ok(Some(file));
        }
        let file = match File::open(self.body_path(sha256)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if file.metadata()?.len() != size {
            return Ok(None);
        }
        let file = MappedFile::new(file);
        open.retain(|_, file| file.strong_count() > 0);
        open.insert(*sha256, Arc::downgrade(&file));
        Ok(Some(file))
    }

    /// Who opens this body next gets the file that lies there then.
    fn forget_open(&self, sha256: &[u8; 32]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(sha256);
    }

    /// Whether somebody is reading this body from disk.
    #[must_use]
    pub fn in_use(&self, sha256: &[u8; 32]) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(sha256).is_some_and(|file| file.strong_count() > 0)
    }

    /// Removes a body. Whoever reads it reads on.
    pub fn remove_body(&self, sha256: &[u8; 32]) {
        self.forget_open(sha256);
        match fs::remove_file(self.body_path(sha256)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(sha256 = to_hex(sha256), %error, "an evicted body can't be removed");
            }
            _ => {}
        }
    }

    /// The names in one of the 256 folders of bodies that came to their place
    /// before `before`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn bodies_in(&self, folder: u8, before: Millis) -> io::Result<Vec<String>> {
        names_older_than(&self.files.join(format!("{folder:02x}")), before)
    }

    /// The names of temp files made before `before`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn temps(&self, before: Millis) -> io::Result<Vec<String>> {
        names_older_than(&self.temp, before)
    }
}

/// A place in the temp folder; what is there when it is dropped goes.
#[derive(Debug)]
pub struct Temp {
    disk: Arc<Disk>,
    name: String,
    kept: bool,
}

/// How the names of bodies end that come in parts.
const PARTS: &str = ".parts";

impl Temp {
    /// A place of its own, with nothing there yet.
    #[must_use]
    pub fn new(disk: &Arc<Disk>) -> Self {
        Self::named(disk, format!("{:032x}", rand::random::<u128>()))
    }

    /// A place for a body that comes in parts: unlike others it may be as long
    /// as it should be, and not whole.
    #[must_use]
    pub fn of_parts(disk: &Arc<Disk>) -> Self {
        Self::named(disk, format!("{:032x}{PARTS}", rand::random::<u128>()))
    }

    /// Whether a body of this name comes in parts.
    #[must_use]
    pub fn is_of_parts(name: &str) -> bool {
        name.ends_with(PARTS)
    }

    /// A place that an earlier process made.
    #[must_use]
    pub fn named(disk: &Arc<Disk>, name: String) -> Self {
        Self {
            disk: Arc::clone(disk),
            name,
            kept: false,
        }
    }

    /// File name below the temp folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn create(&self) -> io::Result<File> {
        self.disk.create_temp(&self.name)
    }

    /// Moves the whole, durable body that is there to its place.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(mut self, sha256: &[u8; 32]) -> io::Result<()> {
        self.disk.keep(&self.name, sha256)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.kept {
            self.disk.drop_temp(&self.name);
        }
    }
}

fn names_older_than(folder: &Path, before: Millis) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let changed = metadata.ctime() * 1000 + metadata.ctime_nsec() / 1_000_000;
        if changed < before {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}
