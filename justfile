# Recipes of the project; `./just` installs what is missing and runs them.
set positional-arguments

# list the recipes
default:
    @just --list
