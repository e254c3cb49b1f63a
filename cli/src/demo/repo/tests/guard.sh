# Fails unless the words of a small text are counted right.
set -eu
counts=$(mktemp)
. ./src/count.sh
got=$(printf 'b a b c\na b\n' | count_words | tr '\n' ' ')
if [ "$got" != "3 b 2 a 1 c " ]; then
    echo "expected: 3 b 2 a 1 c"
    echo "got:      $got"
    exit 1
fi
echo "words are counted right"
