#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/template_cases.jsonl: what jinja2 makes of small templates.

Needs jinja2 3.1.6 (pip install jinja2==3.1.6). The environment is that of
transformers' apply_chat_template. Run: make_template_cases.py OUT.jsonl
"""
import datetime
import json
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2024, 2, 29)

CONTEXT = {
    "s": "Hello World", "e": "", "pad": "  pad\t\n", "n": 7, "neg": -3,
    "f": 2.5, "z": 0, "t": True, "fa": False, "no": None, "l": [3, 1, 2],
    "u": "na\u00efve \u4e2d\u6587 \U0001f600 \u00df \u0391\u03a3 \u01c5",
    "el": [], "ls": ["b", "a", "C", "a"], "d": {"b": 1, "a": "x", "C": [1, 2]},
    "html": "<a href=\"x\">'&'</a>", "ml": "a\n b\n\n c\r\nd",
    "rows": [{"k": "x", "v": 3, "on": True}, {"k": "y", "v": 1, "on": False},
             {"k": "z", "v": 2, "on": True}],
    "tree": [{"n": "a", "c": [{"n": "b", "c": []}, {"n": "c", "c": [
        {"n": "d", "c": []}]}]}],
    "msgs": [{"role": "system", "content": "S"},
             {"role": "user", "content": "U1"},
             {"role": "assistant", "content": None,
              "tool_calls": [{"name": "f", "arguments": {"x": 1.0}}]},
             {"role": "user", "content": "U2"}],
}

EXPRESSIONS = r"""
s|upper ~ e ~ none ~ 1.5 ~ true
u.upper()
u.lower()
u.title()
u.swapcase()
u.capitalize()
u.casefold()
u|length
u[::-1]
u[2:8:2]
[u, pad, html]
"a'b" ~ ["a'b", 'a"b', "a'\"b"]
['\x07\u00a0\u200b\U0001f600\ud7ff']
html|e
html|safe + '<'
'<' + html|e
html|e|e
html|forceescape
(html|safe)|upper
(html|safe).replace('a', '<')
[s|safe]
'%s %r %5d|%-5d|%05.1f|%x|%#o|%e|%g|%%' % (s, s, 42, 42, 3.14159, 255, 8, 12345.678, 1e-7)
'%(a)s-%(b)03d' % {'a': 1, 'b': 2}
'%s' % [1, 2]
'%s %s' % (1,)
'%d' % 'x'
'{} {!r} {:>6}|{:<6}|{:^6}|{:*^7}'.format(1, 'a', 'b', 'c', 'd', 'e')
'{0}{1}{0} {x.k} {y[0]} {z[k]}'.format(1, 2, x=rows[0], y=l, z=d)
'{:05d} {:+d} {:x} {:#x} {:b} {:,} {:.2f} {:e} {:g} {:%} {:10.3f}|'.format(42, 7, 255, 255, 5, 1234567, 3.14159, 1234.5, 0.0001, 0.25, 2.5)
'{:{}}|{{}}'.format('a', 5)
'{'.format(1)
'{} {0}'.format(1)
'{2}'.format(1)
s.split('o')[1:]|join('|')
' a  b '.split()
' a  b '.split(' ')
'a b c d'.rsplit(none, 2)
'a b c d'.split(maxsplit=2)
'aXbXc'.rsplit('X', 1)
ml.splitlines()
ml.splitlines(true)
'a-b'.partition('-') + 'a-b'.rpartition('q')
s.find('o', 5) ~ s.rfind('o', 0, 5) ~ s.count('l') ~ s.index('W')
s.index('zz')
s.startswith(('x', 'He')) ~ s.endswith('ld', 3, 11)
'abc'.replace('', '-')
'aaa'.replace('a', 'b', 2)
'x'.center(4, '.') ~ 'x'.ljust(3, '.') ~ 'x'.rjust(3) ~ '-5'.zfill(4)
'a\tb'.expandtabs(4)
'www.x'.removeprefix('www.').removesuffix('.x')
'-'.join(ls)
'-'.join(l)
'ab12'.isalnum() ~ '12'.isdigit() ~ 'Ab'.istitle() ~ ' '.isspace() ~ ''.isalpha()
pad.strip() ~ '|' ~ pad.lstrip() ~ '|' ~ pad.rstrip()
'xxaxx'.strip('x') ~ 'abcba'.lstrip('ab')
s.encode
s.nope.deeper
d.items()
d.keys()
d.values()|list
d.get('b') ~ d.get('zz') ~ d.get('zz', 5)
d.items
d['items'] is defined
l.index(2) ~ l.count(9)
l.pop()
d.update({})
ls|sort
ls|sort(case_sensitive=true)
ls|sort(reverse=true)
rows|sort(attribute='v')|map(attribute='k')|join
rows|sort(attribute='on,v')|map(attribute='k')|join
rows|groupby('on')
rows|groupby('on')|map('first')|list
rows|map(attribute='zz', default='-')|list
rows|selectattr('v', 'ge', 2)|map(attribute='k')|list
rows|rejectattr('on')|list
rows|sum(attribute='v') ~ (l|sum(start=10))
rows|max(attribute='v')
ls|unique|list
ls|unique(case_sensitive=true)|list
l|batch(2, 'x')|list
range(7)|slice(3)|list
range(7)|slice(3, 'f')|list
l|reverse|list
s|reverse
l|first ~ l|last ~ (el|first) ~ ls|min ~ l|max
d|dictsort
d|dictsort(reverse=true)
{'a': 3, 'b': 1}|dictsort(false, 'value')
d|items|list
d|list
d|length
d|tojson
d|tojson(indent=2)
d|tojson(indent='\t', sort_keys=true)
d|tojson(separators=(',', ':'))
[u, "</script>&'", "\x7f\x01"]|tojson
[u, "</script>&'", "\x7f\x01"]|tojson(ensure_ascii=true)
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
[1.0, 1e16, 1e-5, 0.1, 123456789.123, 1e22, 5e-324]|tojson
[1.0, 1e16, 1e-5, 0.0001, 0.1, 1e15, 123456789012345680.0]
(1,)|tojson
undefined_thing|tojson
{}|tojson(indent=2) ~ []|tojson(indent=2)
ml|indent
ml|indent(2, true)
ml|indent('> ', blank=true)
'a b c'|truncate(3, true, '')
'Hello big World'|truncate(9)
'Hello big World'|truncate(9, leeway=0)
'hello big-world (x)'|title
'a b_c d'|wordcount
'<p>a  <b>b</b></p><!-- c --> &amp;'|striptags
{'a b': 'c/d', 'x': 1}|urlencode
'a b/c?d'|urlencode
{'a': '<', 'b': none, 'c': 1}|xmlattr
'42'|int + '0x1f'|int(0, 16) + 'q'|int(3) + '4.9'|int + none|int
'3.5'|float + 'q'|float(1)
2.5|round ~ ' ' ~ 3.5|round ~ ' ' ~ 2.675|round(2) ~ ' ' ~ 1234|round(-2) ~ ' ' ~ 2.1|round(0, 'ceil')
1000|filesizeformat ~ 1|filesizeformat ~ 1048576|filesizeformat(true)
-7 // 2 ~ ' ' ~ -7 % 3 ~ ' ' ~ 7 % -3 ~ ' ' ~ 7.5 // 2 ~ ' ' ~ -7.5 % 2
7 / 2 ~ ' ' ~ 2 ** 3 ~ ' ' ~ 2 ** -1 ~ ' ' ~ 2 ** 100
9223372036854775807 + 1
-9223372036854775808 - 1
123456789012345678901234567890 * -3
1 / 0
1 // 0
1.0 % 0
1 + true
'a' * 3 ~ [1] * 2 ~ 'a' * -1
1 < 2 < 3 ~ 3 > 2 > 2
[1, 2] < [1, 3]
[1] < ['a']
1 == 1.0 == true
'a' in s ~ 'H' in s
'b' in d ~ 1 in d.values() ~ 3 in l ~ 3 not in l
none in s
[1] in d
not n == 7 and t
n if n > 5
(n if n > 9) is defined
e or 'x' if e else 'y'
[] or {} or ''
rows[0]['k'] ~ rows[-1].k ~ rows[9]
rows[9].k
l[1:] ~ l[:-1] ~ l[::-1] ~ l[5:] ~ l[-2:]
no[1:]
n[0]
d[[1]]
msgs[2].tool_calls[0].arguments
msgs|selectattr('tool_calls', 'defined')|list|length
1.real
(1, 2)[0] ~ (1, 2) + (3,)
() ~ (1,)
range(5)[2] ~ range(10)[::3]|list ~ range(3)
range(1000000)
range(5, 0, -2)|list
namespace(a=1, b=[2])
dict(a=1, **{'b': 2})
cycler('a', 'b').next()
lipsum is defined
strftime_now('%d %b %Y') ~ strftime_now('%-d/%-m/%y %j %U %W %V %G %u %w %a %A %B %e')
raise_exception('stop ' ~ n)
x is undefined and x is not defined
no is none and n is number and f is float and n is integer and t is boolean
l is sequence and d is mapping and s is string and l is iterable and s is iterable
d is sequence ~ (d.items() is sequence) ~ (l|map('string') is sequence)
n is odd ~ n is even ~ n is divisibleby 7 ~ n is divisibleby(2)
n is eq 7 ~ n is gt 3 ~ 3 is in l ~ 'x' is in ['x']
t is true ~ fa is false ~ 1 is true
s is lower ~ 'ab' is lower ~ 'AB' is upper
range is callable ~ s is callable
no is sameas none
'upper' is filter ~ 'nope' is filter ~ 'odd' is test
l|map('nope')|list
l|nope
l is nope
s|replace
s|replace(1)
s.split(1)
s.strip(chars='H')
s(1)
joiner('; ')() ~ '.'
1_000 ~ 0x1F ~ 0b101 ~ 0o17 ~ 1e3 ~ 1.5e-3
'a' 'b' "c"
'\x41\u00e9\U0001F600\101\q\
z'
{'a': 1, 'a': 2}
{s: n}[s]
[1, 2,]
{'a': 1,}
(1, 2,)
s|default('x', true) ~ x|d('y') ~ no|d('z') ~ no|d('z', true)
x.y
x + 1
x ~ 'a'
x == y
x < 1
-x
x()
x|upper|length
x|join ~ x|list ~ x|items|list
no|items
no + 1
no.x
no.x.y
s + 1
1 + s
[1] + (2,)
{} + {}
-'a'
'a' < 1
'é' < 'z'
(l|map('string'))|list|string
(rows|map(attribute='v'))|sort|list
loop
caller
true and none
1 if true else 2 if false else 3
not not 1
-2|abs
-n|abs
(-n)|abs
2 * 3 ** 2
10 - 2 - 3
1 ~ 2 + 3
'1' ~ 2 * 3
""".strip("\n")

STATEMENTS = [
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
    "{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}"
    "{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "{% for x in l %}{{ loop }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}"
    "{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in l %}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.length }}{{ x }}{% else %}no{% endfor %}",
    "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}"
    "{% if loop.last %}{% break %}{% endif %}{% else %}e{% endfor %}",
    "{% for x in tree recursive %}{{ x.n }}{{ loop.depth0 }}"
    "[{{ loop(x.c) }}]{% endfor %}",
    "{% for x in l %}{{ loop(l) }}{% endfor %}",
    "{% for c in s %}{{ c }}.{% endfor %}",
    "{% for x in undefined_thing %}a{% else %}b{% endfor %}",
    "{% for x in no %}{% endfor %}",
    "{% for x in n %}{% endfor %}",
    "{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}"
    "{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "{% for x in l %}{% set n = n + x %}{{ n }} {% endfor %}{{ n }}",
    "{% set ns = namespace(n=0) %}{% for x in l %}{% set ns.n = ns.n + x %}"
    "{% endfor %}{{ ns.n }}",
    "{% set ns.x = 1 %}",
    "{% set s.x = 1 %}",
    "{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}",
    "{% set a, b = l %}",
    "{% set a, b, c = l %}{{ a }}{{ b }}{{ c }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set x %}a{{ n }}{% endset %}{{ x|upper }}",
    "{% set x | upper | replace('A', 'b') %}a{{ n }}{% endset %}{{ x }}",
    "{% set ns = namespace() %}{% set ns.x %}block{% endset %}{{ ns.x }}",
    "{% if x %}1{% elif n > 5 %}2{% else %}3{% endif %}",
    "{% if 1, 2 %}t{% endif %}",
    "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|"
    "{{ m(1, c=3) }}|{{ m(a=4, b=5) }}|{{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, x=2) }}",
    "{% macro m(x) %}{{ x }}{% if x %}{{ m(x - 1) }}{% endif %}{% endmacro %}"
    "{{ m(3) }}",
    "{% macro m() %}{{ g }}{% endmacro %}{% set g = 5 %}{{ m() }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}x{% endmacro %}"
    "{{ a() }}",
    "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}"
    "{% call m() %}b{{ n }}{% endcall %}",
    "{% macro m() %}[{{ caller(1, 2) }}]{% endmacro %}"
    "{% call(a, b=3) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% macro m() %}a{% endmacro %}{% call m() %}b{% endcall %}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}"
    "{{ m(**{'a': 3, 'b': 4}) }}",
    "{% macro m() %}<b>{% endmacro %}{{ m() ~ '<' }}{{ m()|e }}{{ m }}"
    "{{ m.name }}",
    "{% filter upper|replace('B', 'c') %}ab{{ s }}{% endfilter %}",
    "{% with a=1, b=n %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% generation %}g{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}",
    "{% raw %}{{ x }}{% endraw %}|{%- raw -%} {% a %} {%- endraw -%} |",
    "{# c #}a{#- c -#} b {#+ c +#}\nc",
    "a\n  {% if t %}\n  b\n  {%- endif %}\nc\n",
    "a\n  {%+ if t +%}\n  b\n  {% endif %}\nc\n\n",
    "  {% if t %} x {% endif %}  \n  {{ n }}  \n",
    "{% if t -%}\n\n  x  \n\n{%- endif %}",
    "\t{% set a = 1 %}\nb",
    "a {% set a = 1 %}\nb",
    "{% set a = 1 -%}   \n\n b",
    "a\r\nb\r{% if t %}\r\nc{% endif %}\r\n",
    "{{ n }}\n\n{{ n }}\n",
    "{{ '{{' }}{{ '%}' }}{{ \"}}\" }}{% set a = '%}' %}{{ a }}",
    "{{ {'a': {'b': 1}}.a.b }}",
    "{{- n -}}  {{+ n }}",
    "{",
    "{ {",
    "a{% ",
    "{{ n",
    "{{ n }",
    "{% if t %}",
    "{% endif %}",
    "{% if t %}{% endfor %}",
    "{% for %}{% endfor %}",
    "{% for x in l %}{% else %}{% else %}{% endfor %}",
    "{% for loop in l %}{% endfor %}",
    "{% for 1 in l %}{% endfor %}",
    "{% break %}",
    "{% frob %}",
    "{% set 1 = 2 %}",
    "{% set none = 2 %}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% call n %}{% endcall %}",
    "{{ n n }}",
    "{{ n + }}",
    "{{ (n }}",
    "{{ n) }}",
    "{{ [1, 2 }}",
    "{{ 'a }}",
    "{{ n ? 1 : 2 }}",
    "{{ n is defined is none }}",
    "{{ n.'a' }}",
    "{{ f(a=1, 2) }}",
    "{{ }}",
    "{# open",
    "{% raw %}open",
    "{% if fa %}{{ l|nofilter }}{% endif %}ok",
    "{% if fa %}{% for x in l %}{{ l|nofilter }}{% endfor %}{% endif %}ok",
    "{% if t %}{{ l|nofilter }}{% endif %}",
    "{{ (l|nofilter) if fa else 'ok' }}",
    "{% for m in msgs %}{{ '<' + m.role + '>' + m.content }}{% endfor %}",
    "{% for m in msgs %}<{{ m['role'] }}>{{ m['content'] or '' }}"
    "{% if m.tool_calls %}{{ m.tool_calls|tojson }}{% endif %}{% endfor %}",
    "{% for m in msgs[::-1] %}{{ loop.revindex0 }}{{ m.role[0] }}{% endfor %}",
    "{% set m = msgs|first %}{{ m.content }}{% set msgs = msgs[1:] %}"
    "{{ msgs|length }}",
    "{% for m in msgs %}{% if not loop.first and loop.previtem.role == 'user' %}"
    "{{ loop.index }}{% endif %}{% endfor %}",
]


class Generation(jinja2.ext.Extension):
    """The tag that marks what an assistant wrote."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(
            self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True,
        extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None,
               sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent,
                          separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def main():
    assert jinja2.__version__ == "3.1.6", jinja2.__version__
    rows = []
    source = EXPRESSIONS.replace("\\\nz", "\\\\\nz").split("\n")
    source = [line for line in source if line]
    templates = ["{{ %s }}" % line for line in source] + STATEMENTS
    for template in templates:
        row = {"template": template}
        try:
            row["output"] = environment().from_string(template).render(
                **json.loads(json.dumps(CONTEXT)))
        except Exception as e:  # whatever jinja2 and Python raise
            row["error"] = str(e)
            row["error_kind"] = type(e).__name__
            if row["error_kind"] == "TemplateError":
                row["error_kind"] = "raise"
        if " at 0x" not in row.get("output", ""):
            rows.append(row)
    with open(sys.argv[1], "w", encoding="ascii") as out:
        print(json.dumps({"context": CONTEXT,
                          "now": NOW.strftime("%Y-%m-%d"),
                          "made_by": "make_template_cases.py, jinja2 "
                                     + jinja2.__version__}), file=out)
        for row in rows:
            print(json.dumps(row), file=out)


if __name__ == "__main__":
    main()
