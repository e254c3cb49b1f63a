# Prints how many steps the counting of a text takes: the same number every time.
set -eu
counts=$(mktemp)
. ./src/count.sh
count_words <tests/text.txt >/dev/null
echo "steps=$steps"
