#![no_main]
//! Addresses and names of files.

use aptmesh::debian::naming::Naming;
use aptmesh::debian::url::{RepoUrl, path_of_filename};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(url) = RepoUrl::parse(text) {
        assert_eq!(RepoUrl::parse(url.key()).as_ref(), Ok(&url));
        let _ = Naming::of(url.path());
        let _ = url.join(text);
    }
    let _ = Naming::of(text);
    if let Ok(path) = path_of_filename(text) {
        let url = RepoUrl::parse(&format!("http://h/{path}")).unwrap();
        assert_eq!(url.path().strip_prefix('/'), Some(path.as_str()));
    }
});
