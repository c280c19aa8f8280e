//! The manual page and the completions are the command line's own: written to `docker/debian` with
//! `APTMESH_WRITE_MANUAL=1`, and compared otherwise.

use std::path::Path;

use aptmesh::cli::Cli;
use clap::{Arg, Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// Compares what is committed, or writes it.
#[track_caller]
fn expect(name: &str, made: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docker/debian")
        .join(name);
    if std::env::var_os("APTMESH_WRITE_MANUAL").is_some() {
        return std::fs::write(path, made).unwrap();
    }
    let committed = std::fs::read(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docker/debian/{name} is not what the command line is: \
         APTMESH_WRITE_MANUAL=1 cargo test --test package manual"
    );
}

#[test]
fn completions_are_those_of_the_command_line() {
    let shells = [
        (Shell::Bash, "aptmesh.bash"),
        (Shell::Zsh, "_aptmesh"),
        (Shell::Fish, "aptmesh.fish"),
    ];
    for (shell, name) in shells {
        let mut made = Vec::new();
        generate(shell, &mut Cli::command(), "aptmesh", &mut made);
        expect(name, &made);
    }
}

#[test]
fn the_manual_page_is_that_of_the_command_line() {
    let page = Man::new(Cli::command())
        .manual("aptmesh")
        .source(concat!("aptmesh ", env!("CARGO_PKG_VERSION")));
    let mut made = Vec::new();
    page.render_title(&mut made).unwrap();
    page.render_name_section(&mut made).unwrap();
    page.render_synopsis_section(&mut made).unwrap();
    page.render_description_section(&mut made).unwrap();
    page.render_options_section(&mut made).unwrap();
    let mut more = Roff::new();
    commands(&mut more);
    configuration(&mut more);
    for (heading, entries) in SECTIONS {
        section(&mut more, heading, entries);
    }
    more.control("SH", ["SEE ALSO"]);
    more.text(see_also());
    // The preamble stands in the title already.
    made.extend(more.to_roff().into_bytes());
    expect("aptmesh.1", &made);
}

/// A heading, and what stands beneath it: terms with what they are.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: [Section; 4] = [
    (
        "FILES",
        &[
            (
                "/etc/aptmesh/aptmesh.toml",
                "The configuration. Where it is missing, every key has its default.",
            ),
            (
                "/var/lib/aptmesh",
                "The database, aptmesh.db, and below files/ the cached files, named by their SHA-256. \
                 It is gone with a purge of the Debian package.",
            ),
            (
                "/usr/share/aptmesh/apt.conf",
                "Makes the apt of this machine ask the node of this machine, once it is linked to \
                 /etc/apt/apt.conf.d/30aptmesh. With Aptmesh::Node \"HOST:PORT\"; beside it apt asks \
                 the node there.",
            ),
            (
                "/usr/libexec/aptmesh/detect",
                "What apt runs then: prints the node's address, or DIRECT where it does not answer \
                 within half a second.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "APTMESH_*",
                "Every key of the configuration: its name in capitals, with two underscores between \
                 its levels, such as APTMESH_CACHE__MAX_SIZE=5GiB. A flag outweighs the environment, \
                 and the environment outweighs the file.",
            ),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID",
                "Set by systemd: serve tells it when apt is served, when it stops, and four times in \
                 each watchdog period that its database answers.",
            ),
            ("NO_COLOR", "Where it is set, status prints without colour."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "All is well."),
            (
                "1",
                "It did not work; a sentence on standard error says why. Of verify: a file was \
                 removed. Of find: no node has the file. Of import: a file was not imported.",
            ),
            ("2", "A mistake in the command line or the configuration."),
        ],
    ),
    (
        "EXAMPLES",
        &[
            (
                "aptmesh import /var/cache/apt/archives",
                "Adds what this machine's apt has fetched. As root it goes on as the user that the \
                 data folder belongs to, as verify and gc do.",
            ),
            (
                "ln -s /usr/share/aptmesh/apt.conf /etc/apt/apt.conf.d/30aptmesh",
                "From now on this machine's apt asks its own node, and the mirrors themselves \
                 whenever the node is down.",
            ),
            (
                "journalctl -u aptmesh",
                "The log of the daemon of the Debian package.",
            ),
        ],
    ),
];

fn section(page: &mut Roff, heading: &str, entries: &[(&str, &str)]) {
    page.control("SH", [heading]);
    for (term, text) in entries {
        page.control("TP", []);
        page.text([bold(*term)]);
        page.text([roman(*text)]);
    }
}

fn see_also() -> Vec<Inline> {
    let pages = [
        ("apt.conf", "(5), "),
        ("sources.list", "(5), "),
        ("apt-transport-http", "(1), "),
    ];
    let mut line: Vec<_> = pages
        .iter()
        .flat_map(|(name, rest)| [bold(*name), roman(*rest)])
        .collect();
    line.extend([bold("systemctl"), roman("(1), ")]);
    line.push(italic("/usr/share/doc/aptmesh/README.md"));
    line
}

/// Each command with its arguments.
fn commands(page: &mut Roff) {
    page.control("SH", ["COMMANDS"]);
    for command in Cli::command().get_subcommands() {
        page.control("TP", []);
        let mut line = vec![bold(command.get_name())];
        line.extend(command.get_arguments().flat_map(term));
        page.text(line);
        page.text([roman(about(command))]);
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string);
            page.control("RS", []);
            page.control("TP", []);
            page.text(term(argument).into_iter().skip(1).collect::<Vec<_>>());
            page.text([roman(help.unwrap_or_default())]);
            page.control("RE", []);
        }
    }
}

fn about(command: &Command) -> String {
    let text = command.get_long_about().or_else(|| command.get_about());
    format!("{}.", text.map(ToString::to_string).unwrap_or_default())
}

/// An argument as a person writes it, after a space.
fn term(argument: &Arg) -> Vec<Inline> {
    let mut line = vec![roman(" ")];
    if let Some(long) = argument.get_long() {
        line.push(bold(format!("--{long}")));
    } else {
        let names = argument.get_value_names().unwrap_or_default();
        line.push(italic(names.join(" ")));
    }
    line
}

/// The README's own table of keys.
fn configuration(page: &mut Roff) {
    page.control("SH", ["CONFIGURATION"]);
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let rows = super::configuration::readme_keys(&std::fs::read_to_string(readme).unwrap());
    assert!(rows.len() > 30, "the README's keys are not found");
    for [key, default, meaning] in &rows {
        page.control("TP", []);
        page.text([bold(key.as_str()), roman(format!("  ({default})"))]);
        page.text([roman(meaning.as_str())]);
    }
}
