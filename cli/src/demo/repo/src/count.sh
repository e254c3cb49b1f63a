# Counts how often each word of a text occurs, most frequent first.
# Reads the text on standard input. The work done is the number of steps the loops take.

steps=0

# count_words: prints "COUNT WORD" lines.
count_words() {
    words=$(tr -cs 'a-z' ' ')
    seen=' '
    for word in $words; do
        steps=$((steps + 1))
        case $seen in *" $word "*) continue ;; esac
        seen="$seen$word "
        count=0
        for other in $words; do
            steps=$((steps + 1))
            if [ "$word" = "$other" ]; then count=$((count + 1)); fi
        done
        printf '%s %s\n' "$count" "$word"
    done >"$counts"
    sort -k1,1nr -k2,2 "$counts"
}
