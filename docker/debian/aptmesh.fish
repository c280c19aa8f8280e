# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_aptmesh_global_optspecs
    string join \n config= set= h/help V/version
end

function __fish_aptmesh_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_aptmesh_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_aptmesh_using_subcommand
    set -l cmd (__fish_aptmesh_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c aptmesh -n "__fish_aptmesh_needs_command" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_needs_command" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "serve" -d 'Run the daemon in the foreground, until SIGTERM or Ctrl-C'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "check-config" -d 'Check the configuration: exit 0, or 2 with every mistake named by key and line'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "status" -d 'Ask the running daemon how it is'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "import" -d 'Add .deb files that are on this machine already, for instance /var/cache/apt/archives'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "verify" -d 'Hash every cached file again and remove what differs; exit 1 where something was removed'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "gc" -d 'Evict least recently used files down to the limits, now'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "backup" -d 'Copy the database to a new file, while the daemon runs or not; README.md tells how to restore'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "find" -d 'Ask the DHT which nodes have a file; exit 1 where none is found'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "apt-conf" -d 'Print the apt configuration line that points a client at this node'
complete -c aptmesh -n "__fish_aptmesh_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand serve" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand serve" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand serve" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand serve" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand check-config" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand check-config" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand check-config" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand check-config" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand status" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand status" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand status" -l json -d 'Print the JSON of /api/status'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand status" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand status" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand import" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand import" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand import" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand import" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand verify" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand verify" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand verify" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand verify" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand gc" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand gc" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand gc" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand gc" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand backup" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand backup" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand backup" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand backup" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand find" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand find" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand find" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand find" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand apt-conf" -l config -d 'Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults' -r -F
complete -c aptmesh -n "__fish_aptmesh_using_subcommand apt-conf" -l set -d 'Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file' -r
complete -c aptmesh -n "__fish_aptmesh_using_subcommand apt-conf" -l local -d 'Print only the address that this machine itself reaches the node by, as HOST:PORT'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand apt-conf" -s h -l help -d 'Print help'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand apt-conf" -s V -l version -d 'Print version'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "serve" -d 'Run the daemon in the foreground, until SIGTERM or Ctrl-C'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "check-config" -d 'Check the configuration: exit 0, or 2 with every mistake named by key and line'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "status" -d 'Ask the running daemon how it is'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "import" -d 'Add .deb files that are on this machine already, for instance /var/cache/apt/archives'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "verify" -d 'Hash every cached file again and remove what differs; exit 1 where something was removed'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "gc" -d 'Evict least recently used files down to the limits, now'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "backup" -d 'Copy the database to a new file, while the daemon runs or not; README.md tells how to restore'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "find" -d 'Ask the DHT which nodes have a file; exit 1 where none is found'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "apt-conf" -d 'Print the apt configuration line that points a client at this node'
complete -c aptmesh -n "__fish_aptmesh_using_subcommand help; and not __fish_seen_subcommand_from serve check-config status import verify gc backup find apt-conf help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
