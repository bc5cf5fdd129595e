# Reads the console of a kernel that ran KUnit tests, and tells what came of them; exit status as
# guest/kunit says. KTAP: https://docs.kernel.org/dev-tools/ktap.html
#
# Owns: what a test's result is. A line that is none counts as said by the test that ends next. The
# results of a level must be as many as its plan says, before the level above has its own: what is
# missing is an error, and errors are failures. Variable `ended`: plex86's exit status, if it ran.

BEGIN {
	KEEP = 40 # lines shown of what a failing test said
	deepest = -1
}

{
	sub(/\r+$/, "")
	sub(/^\[ *[0-9]+\.[0-9]+\] /, "")
}

/^ *(KTAP version 1|TAP version 14)$/ { started = 1; next }
!started { next }

# The tests of a suite, or the parameters of a test, follow.
/^ *# Subtest: ./ {
	level = depth()
	name[level] = $0
	sub(/^ *# Subtest: /, "", name[level])
	said = 0
	if (level > 0 && !(level in plan))
		plan[level] = -1
	next
}
/^ *1\.\.[0-9]+$/ {
	level = depth()
	plan[level] = substr($1, 4) + 0
	seen[level] = 0
	next
}
/^ *(not )?ok [0-9]+( |$)/ { result(); next }
/^ *# .*pass:[0-9]+ fail:[0-9]+ skip:[0-9]+ total:[0-9]+$/ { next } # sums of the kernel's own
{ text[said++ % KEEP] = $0 }

function depth() {
	match($0, /^ */)
	return int(RLENGTH / 4)
}

function what_it_said(    i) {
	for (i = said > KEEP ? said - KEEP : 0; i < said; i++)
		print "         " text[i % KEEP]
}

function failure(what) {
	print "FAILED   " what
	failed++
}

function error(what) {
	print "ERROR    " what
	errors++
}

# The names of the suites around a test of this level, with dots behind them.
function suites(level,    path, i) {
	for (i = 1; i <= level; i++)
		if (i in name)
			path = path name[i] "."
	return path
}

# The level's results are all there, or are counted as failed: its plan may be unknown (-1).
function close_level(level,    around) {
	around = suites(level)
	sub(/\.$/, "", around)
	# Modules' suites come on top of those that were announced.
	if (level in plan && plan[level] >= 0 &&
	    (level ? seen[level] != plan[level] : seen[level] < plan[level])) {
		error((around == "" ? "the suites" : around) ": " seen[level] + 0 " of " plan[level] \
			" have a result")
		what_it_said()
	}
	delete plan[level]
	delete seen[level]
	delete bad[level]
	delete good[level]
	delete name[level]
}

function result(    level, ok, title, skip, reason, inner) {
	level = depth()
	ok = $0 ~ /^ *ok/
	title = $0
	sub(/^ *(not )?ok [0-9]+ ?(- )?/, "", title)
	if (match(title, / ?# SKIP ?/)) {
		skip = 1
		reason = substr(title, RSTART + RLENGTH)
		title = substr(title, 1, RSTART - 1)
	}
	seen[level]++
	# The result of a suite sums up those of its tests.
	inner = (level + 1 in seen) && seen[level + 1] > 0
	if (inner || (level + 1 in plan)) {
		suite(level, ok, title)
		said = 0
		return
	}
	if (skip) {
		print "skipped  " suites(level) title (reason == "" ? "" : ": " reason)
		skipped++
	} else if (ok) {
		passed++
		good[level]++
	} else {
		failure(suites(level) title)
		what_it_said()
		bad[level]++
	}
	said = 0
}

function suite(level, ok, title,    before, fine, wrong) {
	before = errors
	fine = good[level + 1] + 0
	wrong = bad[level + 1] + 0
	if (!(level + 1 in name))
		name[level + 1] = title
	close_level(level + 1)
	wrong += errors - before
	if (!ok && !wrong) { # none of its tests says why: its init, for one
		failure(suites(level) title)
		what_it_said()
		wrong = 1
	}
	good[level] += fine
	bad[level] += wrong
	if (level == 0 && !wrong)
		print "passed   " title ": " fine (fine == 1 ? " test" : " tests")
}

END {
	for (level = 9; level >= 0; level--)
		if (level in plan || level in seen)
			close_level(level)
	if (ended == 123)
		error("the guest: its time was over")
	else if (ended == 124 || ended == 126)
		error("the guest: it crashed, or asked for a reset")
	if (!started)
		error("nothing of KUnit on the console (has the kernel CONFIG_KUNIT, built in?)")
	else if (!passed && !failed && !skipped && !errors)
		error("no test has this name")
	printf "kunit: %d tests: %d passed, %d failed, %d skipped", passed + failed + skipped, passed,
		failed, skipped
	print errors ? ", " errors (errors == 1 ? " error" : " errors") : ""
	exit failed > 0 || errors > 0 || !passed
}
