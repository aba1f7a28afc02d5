#!/bin/sh
# Writes the man page of a program out of what its --help, --help-all and
# VERB --help say, so that no list of flags is kept twice. Needs sh and awk.
# usage: tools/dev/man_page.sh PROGRAM VERSION DATE > PAGE
set -eu
program=$1
name=$(basename "$program")
help=$("$program" --help)

# text TITLE ARGUMENT...: what the program says, behind its title; nothing where
# it refuses the arguments or has no other help for them.
text() {
  title=$1
  shift
  out=$("$program" "$@" 2>/dev/null </dev/null) || return 0
  [ "$out" = "$help" ] || printf '\001%s\n%s\n' "$title" "$out"
}

{
  printf '\001help\n%s\n' "$help"
  text all --help-all
  # Verbs: "  PROGRAM verb ..." in --help.
  for verb in $(echo "$help" |
      sed -n "s/^  $name \([a-z][a-z-]*\) .*/\1/p" | awk '!had[$0]++'); do
    text "$verb" "$verb" --help
  done
} | awk -v name="$name" -v version="$2" -v date="$3" '
function escape(s) {
  gsub(/\\/, "\\e", s)
  gsub(/-/, "\\-", s)
  gsub(/`/, "\\(ga", s)
  gsub(/\047/, "\\(aq", s)
  if (s ~ /^\./) s = "\\&" s
  return s
}

# Flags are bold, their arguments italic.
function flags(s,   words, i, n, out) {
  n = split(s, words, " ")
  for (i = 1; i <= n; ++i) {
    out = out (i > 1 ? " " : "") (words[i] ~ /^-/ ? "\\fB" : "\\fI") \
      escape(words[i]) "\\fR"
  }
  return out
}

function is_option(s) { return s ~ /^ +--?[A-Za-z]/ }
function is_usage(s) { return s ~ /^[Uu]sage:/ }

# Ends what is open: a paragraph of examples.
function close_text() {
  if (verbatim) print ".fi"
  verbatim = 0
}

function section(title) { print ".SH " title; begun = 1 }

# A paragraph; the first one of a section has no mark.
function paragraph() {
  if (!begun) print ".PP"
  begun = 0
}

# One line of a text: an option, a group of them, an example, or words.
function line(s,   at, rest) {
  sub(/ +$/, "", s)
  if (s == "") {
    close_text()
    fresh = 1
  } else if (is_option(s)) {
    close_text()
    sub(/^ +/, "", s)
    at = match(s, /   */)
    rest = at ? substr(s, at + RLENGTH) : ""
    print ".TP\n" flags(at ? substr(s, 1, at - 1) : s)
    if (rest != "") print escape(rest)
    option = 1
    fresh = begun = 0
    return
  } else if (option && s ~ /^          /) {
    sub(/^ +/, "", s)
    print escape(s)
    return
  } else if (s ~ /^ [A-Z].*:$/) {
    close_text()
    sub(/^ /, "", s)
    sub(/:$/, "", s)
    print ".SS " escape(s)
    begun = 1
    fresh = 0
  } else if (s ~ /^ /) {
    if (!verbatim) {
      paragraph()
      print ".nf"
    }
    verbatim = 1
    sub(/^  /, "", s)
    print escape(s)
  } else {
    # A line that ends with a sentence ends its thought, too.
    if (verbatim || fresh || option || ended) {
      close_text()
      paragraph()
    }
    fresh = begun = 0
    print escape(s)
  }
  ended = s ~ /\.$/
  option = 0
}

# Lines from..to of a text; "Exit: ..." is kept for the section at the end.
function body(t, from, to,   i) {
  fresh = option = ended = 0
  for (i = from; i <= to; ++i) {
    if (texts[t, i] ~ /^Exit: /) {
      close_text()
      for (; i <= to && texts[t, i] != ""; ++i) {
        s = texts[t, i]
        sub(/^Exit: /, "", s)
        if (titles[t] ~ /^(help|all)$/) exits = exits escape(s) "\n"
        else print (s == texts[t, i] ? "" : ".PP\nExit codes:\n") escape(s)
      }
    } else {
      line(texts[t, i])
    }
  }
  close_text()
}

# The last line of the usage of text t, printed if `out`; 0 where it has none.
function usage(t, out,   i, s) {
  for (i = 1; i <= count[t]; ++i) {
    if (!is_usage(texts[t, i])) continue
    s = texts[t, i]
    sub(/^[Uu]sage: */, "", s)
    if (s == "") s = texts[t, ++i]
    for (;;) {
      sub(/^ +/, "", s)
      if (out) {
        paragraph()
        print "\\fB" escape(s) "\\fR"
      }
      if (texts[t, i + 1] !~ /^  *slm-/) return i
      s = texts[t, ++i]
    }
  }
  return 0
}

# The last line of the description of text t: before its usage or options.
function head(t,   i) {
  for (i = 1; i <= count[t]; ++i) {
    if (is_usage(texts[t, i])) return i - 1
    if (is_option(texts[t, i])) {
      for (--i; i > 0 && texts[t, i] != ""; --i) {}
      return i
    }
  }
  return count[t]
}

/^\001/ { titles[++n] = substr($0, 2); next }
{ texts[n, ++count[n]] = $0 }

END {
  split("run convert bench inspect", others, " ")
  end = head(1)
  for (i = 1; i <= end && texts[1, i] != ""; ++i) {
    what = what (what == "" ? "" : " ") texts[1, i]
  }
  sub("^" name ": ", "", what)
  sub(/\.$/, "", what)
  what = tolower(substr(what, 1, 1)) substr(what, 2)
  print ".TH " toupper(name) " 1 \"" date "\" \"slm " version \
    "\" \"User Commands\""
  section("NAME")
  print name " \\- " escape(what)
  section("SYNOPSIS")
  all = titles[2] == "all" ? 2 : 1
  if (!usage(all, 1)) {
    for (t = 2; t <= n; ++t) usage(t, 1)
  }
  if (i < end) {
    section("DESCRIPTION")
    body(1, i + 1, end)
  }
  if (all == 2 || end < count[1]) {
    section("OPTIONS")
    body(all, (all == 2 || usage(1, 0) ? usage(all, 0) : end) + 1, count[all])
  }
  for (t = all + 1; t <= n; ++t) {
    section(toupper(titles[t]))
    from = usage(t, 0)
    for (i = 1; i <= head(t); ++i) line(texts[t, i])
    usage(t, 1)
    body(t, from + 1, count[t])
  }
  if (exits != "") printf ".SH EXIT STATUS\n%s", exits
  print ".SH SEE ALSO"
  for (i = 1; i <= 4; ++i) {
    if ("slm-" others[i] == name) continue
    printf "%s.BR slm\\-%s (1)", (first++ ? ",\n" : ""), others[i]
  }
  print ""
}'
