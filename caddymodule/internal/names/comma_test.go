package names

import "testing"

// TestD1_LastNameFirst checks that a comma separates the last name from the first names
// that follow it, unless it separates a suffix from the name.
func TestD1_LastNameFirst(t *testing.T) {
	for _, tt := range []struct{ name, first, last string }{
		{"Liddell, Alice", "Alice", "Liddell"},
		{"Müller, Jürgen", "Jürgen", "Müller"},
		{"Liddell,Alice", "Alice", "Liddell"},
		{"Liddell , Alice Pleasance", "Alice Pleasance", "Liddell"},
		{"van der Berg, Jan", "Jan", "van der Berg"},
		{"王, 伟", "伟", "王"},
		{"Miller, Jo", "Jo", "Miller"},
		{"MÜLLER, JÜRGEN", "JÜRGEN", "MÜLLER"},
		{"Rahman, Md", "Md", "Rahman"},
		{"Miller, Mdu", "Mdu", "Miller"},
		{"Miller, A-J", "A-J", "Miller"},
		{"Miller, A B", "A B", "Miller"},
		{"Miller, A1", "A1", "Miller"},
		// A suffix, a title or a degree.
		{"Alice Miller, M.D.", "Alice Miller,", "M.D."},
		{"Miller, J. R.", "Miller, J.", "R."},
		{"Bob Miller, Jr", "Bob Miller,", "Jr"},
		{"Bob Miller, Jr.", "Bob Miller,", "Jr."},
		{"Bob Miller, Sr", "Bob Miller,", "Sr"},
		{"Bob Miller, II", "Bob Miller,", "II"},
		{"Bob Miller, III", "Bob Miller,", "III"},
		{"Alice Miller, MD", "Alice Miller,", "MD"},
		{"Alice Miller, PhD", "Alice Miller,", "PhD"},
		{"Alice Miller, FRCPC", "Alice Miller,", "FRCPC"},
		{"Alice Miller, ÄÖÜ", "Alice Miller,", "ÄÖÜ"},
		// Not one comma, or nothing beside it.
		{"Miller, Alice, MD", "Miller, Alice,", "MD"},
		{"Miller,, Alice", "Miller,,", "Alice"},
		{",Alice", ",Alice", ""},
		{", Alice", ",", "Alice"},
		{"Miller,", "Miller,", ""},
		{",", ",", ""},
	} {
		if first, last := Split(tt.name); first != tt.first || last != tt.last {
			t.Errorf("%q: %q, %q; want %q, %q", tt.name, first, last, tt.first, tt.last)
		}
	}
}

func TestD2_IsMissing(t *testing.T) {
	for name, want := range map[string]bool{
		"(null)": true, "null": true, "undefined": true, "-": true,
		"Null": false, "NULL": false, "null null": false, "Alice Null": false, "(null) (null)": false, "--": false, "–": false, "": false,
	} {
		if IsMissing(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}
