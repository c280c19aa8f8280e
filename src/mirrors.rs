//! Which origins can answer for an address: the configured mirrors.

use crate::config::Mirror;
use crate::debian::url::{RepoUrl, UrlError};

/// A configured mirror with its origins in order.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    bases: Vec<RepoUrl>,
}

/// The configured mirrors.
///
/// A file below `/NAME/` is keyed by its address at the mirror's first origin,
/// so that it is one row with the same file asked for by that address.
#[derive(Debug, Clone, Default)]
pub struct Mirrors(Vec<Named>);

impl Mirrors {
    /// Takes the mirrors of a configuration.
    ///
    /// # Errors
    /// Where an origin is not a URL, which a valid configuration rules out.
    pub fn new(mirrors: &[Mirror]) -> Result<Self, UrlError> {
        let named = |mirror: &Mirror| {
            let bases = mirror.upstreams.iter().map(|text| RepoUrl::parse(text));
            Ok(Named {
                name: mirror.name.clone(),
                bases: bases.collect::<Result<_, _>>()?,
            })
        };
        mirrors
            .iter()
            .map(named)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Every origin of every mirror.
    #[must_use]
    pub fn bases(&self) -> Vec<RepoUrl> {
        self.0
            .iter()
            .flat_map(|mirror| mirror.bases.clone())
            .collect()
    }

    /// The other origins of the mirrors that this one is of.
    pub fn stand_ins<'a>(&'a self, origin: &'a str) -> impl Iterator<Item = &'a str> {
        let origins = |mirror: &'a Named| mirror.bases.iter().map(RepoUrl::origin);
        let of = self
            .0
            .iter()
            .filter(move |mirror| origins(mirror).any(|it| it == origin));
        of.flat_map(origins).filter(move |other| *other != origin)
    }

    /// The names, for a person who mistyped one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|mirror| mirror.name.as_str())
    }

    /// The address of a path (without its leading `/`) below a mirror's name;
    /// `None` where no mirror has that name.
    ///
    /// # Errors
    /// Where the path is none.
    #[must_use]
    pub fn address(&self, name: &str, path: &str) -> Option<Result<RepoUrl, UrlError>> {
        let mirror = self.0.iter().find(|mirror| mirror.name == name)?;
        let base = mirror.bases.first()?;
        Some(RepoUrl::parse(&format!(
            "{}/{path}",
            base.key().trim_end_matches('/')
        )))
    }

    /// Every origin's address for a file, in the order they are to be tried.
    #[must_use]
    pub fn origins(&self, url: &RepoUrl) -> Vec<RepoUrl> {
        for mirror in &self.0 {
            let Some(rest) = mirror.bases.first().and_then(|base| below(base, url)) else {
                continue;
            };
            return mirror
                .bases
                .iter()
                .filter_map(|base| {
                    RepoUrl::parse(&format!("{}/{rest}", base.key().trim_end_matches('/'))).ok()
                })
                .collect();
        }
        vec![url.clone()]
    }
}

fn below<'a>(base: &RepoUrl, url: &'a RepoUrl) -> Option<&'a str> {
    url.key()
        .strip_prefix(base.key().trim_end_matches('/'))?
        .strip_prefix('/')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mirrors() -> Mirrors {
        Mirrors::new(&[Mirror {
            name: "debian".into(),
            upstreams: vec!["http://a.example/debian".into(), "http://b.example".into()],
        }])
        .unwrap()
    }

    #[test]
    fn a_name_stands_for_its_first_origin() {
        let url = mirrors()
            .address("debian", "dists/sid/InRelease")
            .unwrap()
            .unwrap();
        assert_eq!(url.key(), "http://a.example/debian/dists/sid/InRelease");
        assert!(mirrors().address("ubuntu", "x").is_none());
        assert!(mirrors().address("debian", "../x").unwrap().is_err());
    }

    #[test]
    fn the_other_origins_stand_in() {
        let mirrors = mirrors();
        let of = |origin: &str| -> Vec<String> {
            mirrors.stand_ins(origin).map(ToOwned::to_owned).collect()
        };
        assert_eq!(of("http://a.example"), ["http://b.example"]);
        assert_eq!(of("http://b.example"), ["http://a.example"]);
        assert!(of("http://c.example").is_empty());
    }

    #[test]
    fn origins_are_tried_in_order() {
        let keys = |text: &str| -> Vec<String> {
            let url = RepoUrl::parse(text).unwrap();
            mirrors()
                .origins(&url)
                .iter()
                .map(|url| url.key().to_owned())
                .collect()
        };
        assert_eq!(
            keys("http://a.example/debian/x+"),
            ["http://a.example/debian/x+", "http://b.example/x+"]
        );
        assert_eq!(
            keys("http://a.example/debian-security/x"),
            ["http://a.example/debian-security/x"]
        );
        assert_eq!(keys("http://b.example/x"), ["http://b.example/x"]);
    }
}
