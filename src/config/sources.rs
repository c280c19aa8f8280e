//! Where values come from: which file, the environment, the flags.

use std::{env, ffi::OsString, fs, os::unix::fs::MetadataExt, path::PathBuf};

use super::{
    Config,
    draft::Draft,
    keys::{self, Place},
    mistake::{Mistake, Mistakes, Origin},
    value::{Value, quote},
};

const SYSTEM_FILE: &str = "/etc/aptmesh/aptmesh.toml";
const SYSTEM_FOLDER: &str = "/var/lib/aptmesh";
const PREFIX: &str = "APTMESH_";

/// Everything a configuration is made from. Nothing in it is checked yet.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file to read; none for built-in defaults.
    pub file: Option<PathBuf>,
    /// Variables by name. Those that start with `APTMESH_` set keys; the user's data folder is
    /// found by `XDG_DATA_HOME` and `HOME`.
    pub env: Vec<(String, String)>,
    /// Flags: the path of a key, such as `cache.max_size` or `mirror.0.name`, and its value.
    pub set: Vec<(String, String)>,
}

impl Sources {
    /// The sources of this process: the file of the flag or else the system's where there is one,
    /// the process's variables, and flags like `cache.max_size=5GiB`.
    ///
    /// # Errors
    /// A flag without `=` or a variable of aptmesh that is not UTF-8; told together with all that
    /// [`Config::load`] finds in the rest.
    pub fn from_process(file_flag: Option<PathBuf>, set: Vec<String>) -> Result<Self, Mistakes> {
        Self::gather(file_flag.or_else(system_file), env::vars_os(), set)
    }

    pub(super) fn gather(
        file: Option<PathBuf>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        set: Vec<String>,
    ) -> Result<Self, Mistakes> {
        let mut sources = Self {
            file,
            ..Self::default()
        };
        let mut mistakes = Vec::new();
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => sources.env.push((name, value)),
                (Ok(name), Err(_)) if name.starts_with(PREFIX) => mistakes.push(Mistake {
                    origin: Origin::Environment(name),
                    key: None,
                    message: "found bytes that are not UTF-8; wanted text".to_owned(),
                }),
                _ => {}
            }
        }
        for flag in set {
            match flag.split_once('=') {
                Some((key, value)) => sources.set.push((key.trim().to_owned(), value.to_owned())),
                None => mistakes.push(Mistake {
                    origin: Origin::Flag,
                    key: None,
                    message: format!(
                        "found {}; wanted KEY=VALUE, such as cache.max_size=5GiB",
                        quote(&flag)
                    ),
                }),
            }
        }
        if mistakes.is_empty() {
            return Ok(sources);
        }
        if let Err(Mistakes(more)) = Config::load(&sources) {
            mistakes.extend(more);
        }
        Err(Mistakes::sorted(mistakes))
    }

    pub(super) fn default_data_dir(&self) -> PathBuf {
        default_data_dir(|name| {
            let variable = self.env.iter().find(|(variable, _)| variable == name);
            variable.map(|(_, value)| value.clone())
        })
    }
}

/// One that cannot be looked at counts as there: to run without the operator's rules would be worse
/// than to fail.
fn system_file() -> Option<PathBuf> {
    let path = PathBuf::from(SYSTEM_FILE);
    (!matches!(path.try_exists(), Ok(false))).then_some(path)
}

/// Of root, and of the user that it belongs to, the system's folder; of others a folder beneath
/// their data folder. Without either, the system's.
pub(super) fn default_data_dir(variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    let user = rustix::process::geteuid();
    let belongs = || fs::metadata(SYSTEM_FOLDER).is_ok_and(|it| it.uid() == user.as_raw());
    data_dir_of(user.is_root() || belongs(), variable)
}

pub(super) fn data_dir_of(system: bool, variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    // The XDG base directory specification has relative paths ignored.
    let folder = |name| {
        let path = PathBuf::from(variable(name)?);
        path.is_absolute().then_some(path)
    };
    let data = || folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")));
    let user = if system { None } else { data() };
    user.map_or_else(|| PathBuf::from(SYSTEM_FOLDER), |data| data.join("aptmesh"))
}

pub(super) fn read_environment(variables: &[(String, String)], draft: &mut Draft) {
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if of_orchestrator(rest, text) {
            continue;
        }
        let lower = rest.to_ascii_lowercase();
        let path: Vec<&str> = lower.split("__").collect();
        let place = keys::place(&path).filter(|place| variable(*place) == *name);
        let value = Value::loose(text, Origin::Environment(name.clone()));
        draft.assign(&path, place, &value, variable);
    }
}

/// Kubernetes and container links tell every container about a service named `aptmesh` in
/// variables such as `APTMESH_SERVICE_HOST` and `APTMESH_PORT_3142_TCP_ADDR`.
fn of_orchestrator(rest: &str, text: &str) -> bool {
    let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    (rest == "PORT" && text.contains("://"))
        || rest.strip_prefix("PORT_").is_some_and(digit)
        || rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
}

fn variable(place: Place) -> String {
    let path = place.to_string().to_ascii_uppercase();
    format!("{PREFIX}{}", path.replace('.', "__"))
}

pub(super) fn read_flags(flags: &[(String, String)], draft: &mut Draft) {
    for (key, text) in flags {
        let path: Vec<&str> = key.split('.').collect();
        let value = Value::loose(text, Origin::Flag);
        draft.assign(&path, keys::place(&path), &value, |place| place.to_string());
    }
}
