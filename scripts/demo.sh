#!/bin/sh
# The main job, as `make demo` runs it: a project from the template, trained, deployed, asked two headlines.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
project=$folder/news

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
[ -t 1 ] || say() { printf '\n%s\n' "$1"; }

mkdir -p "$folder"
if [ ! -d "$project" ]; then
    say "hotfire new $project"
    hotfire new "$project"
fi
cd "$project"
if [ ! -e experiments/latest ]; then
    say "python train.py"
    python train.py
fi
say "hotfire deploy"
hotfire deploy
say "Two headlines, through boto3"
python "$here/ask.py"
printf '\nThe page above is the model'"'"'s. The region goes on running; `make demo-stop` ends it.\n'
