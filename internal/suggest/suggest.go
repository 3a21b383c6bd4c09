// Package suggest finds the name that a misspelled word probably stands for.
package suggest

import (
	"slices"
	"strings"
)

// minPrefix is the minimum length of a word that is compared with the beginnings of
// names.
const minPrefix = 3

// DidYouMean returns " (did you mean 'name'?)" for Closest, to append to the error text
// for an unknown word, or "" if no name is similar.
func DidYouMean(word string, names []string) string {
	if name := Closest(word, names); name != "" {
		return " (did you mean '" + name + "'?)"
	}
	return ""
}

// Closest returns the name that is most similar to word, or "" if none is similar. A name
// is similar if at most one of three characters differs, or if it is the only one that
// begins with word. Case is ignored, and hyphens count as underscores.
func Closest(word string, names []string) string {
	word = normalize(word)
	names = slices.Sorted(slices.Values(names))
	closest, least := "", len(word)/3+1
	var longer []string
	for _, name := range names {
		candidate := normalize(name)
		if d := distance(word, candidate); d < least || d == 0 {
			closest, least = name, d
		}
		if len(word) >= minPrefix && strings.HasPrefix(candidate, word) {
			longer = append(longer, name)
		}
	}
	if closest == "" && len(longer) == 1 {
		return longer[0]
	}
	return closest
}

func normalize(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// distance returns the number of bytes to insert, delete, replace or swap with the next
// one to turn a into b (optimal string alignment distance).
func distance(a, b string) int {
	var rows [3][]int // the rows i-2, i-1 and i of the matrix
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[2] {
		rows[2][j] = j
	}
	for i := 1; i <= len(a); i++ {
		rows[0], rows[1], rows[2] = rows[1], rows[2], rows[0]
		row, above := rows[2], rows[1]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(above[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], rows[0][j-2]+1)
			}
		}
	}
	return rows[2][len(b)]
}
