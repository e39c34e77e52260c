# Recipes of the project; `./just` installs what is missing and runs them.
set positional-arguments

# list the recipes
default:
    @just --list

# data channels and datagrams under loss at ReVo's own rate, in virtual time
bench-transport *ARGS:
    cargo run --release -q -p freezeframe-transport --example bench_transport -- "$@"
