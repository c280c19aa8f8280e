//! What is wrong in a configuration, and where it was written.

use std::{
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
};

/// Where a value was written. Its order is the order in which mistakes are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The configuration file.
    File {
        /// As the operator named it.
        path: PathBuf,
        /// Counted from 1; none where the file as a whole is meant.
        line: Option<usize>,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A `KEY=VALUE` on the command line.
    Flag,
}

impl Origin {
    /// The folder that a relative path written here starts from.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => path.parent(),
            Self::Environment(_) | Self::Flag => None,
        }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "{}", name.escape_debug()),
            Self::Flag => f.write_str("--set"),
        }
    }
}

/// One thing to put right. Shown as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was written.
    pub origin: Origin,
    /// The key's path as it was written, such as `cache.max_sise`, segments of other characters
    /// than TOML has in bare keys in quotes; none where no key is concerned.
    pub key: Option<String>,
    /// What was found, what is wanted, and an example.
    pub message: String,
}

impl Display for Mistake {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// All mistakes of one configuration: the file's by line, then the environment's, then the flags'.
/// Shown as one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    pub(super) fn sorted(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| a.origin.cmp(&b.origin));
        Self(mistakes)
    }
}

impl Display for Mistakes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
