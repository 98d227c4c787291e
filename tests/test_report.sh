#!/bin/sh
# Report, compare and sweep on a small network, with names that try to be markup.
. tests/lib_say.sh
LEENET=${LEENET:-$B/leenet}

says() {    # says NAME STATUS WORDS COMMAND...
    what=$1 wanted=$2 words=$3; shift 3
    "$@" > "$work/output" 2>&1
    got=$?
    if [ $got != "$wanted" ]; then fail "$what" "status $got, not $wanted: $(head -n 5 "$work/output")"
    elif ! grep -q -e "$words" "$work/output"; then fail "$what" "no '$words' in: $(head -n 5 "$work/output")"
    else pass "$what"; fi
}
absent() {  # absent NAME WORDS FILE
    if grep -q -i -e "$2" "$3"; then fail "$1" "$(grep -o -i -e ".\{0,40\}$2.\{0,40\}" "$3" | head -n 3)"; else pass "$1"; fi
}

if [ ! -x "$LEENET" ]; then
    skip "report, compare, sweep" "$LEENET is not built"
    finish
fi

# The class folders in their order, with names of the worst kind; so is a file's.
mkdir -p "$work/data"
tar -xzf tests/data/shapes.tar.gz -C "$work/data"
top=$(dirname "$(find "$work/data" -type d -name disc)")
(
    cd "$top" || exit 1
    n=0
    for folder in */; do
        n=$((n + 1))
        mv "$folder" "$n<script>alert($n)&\"'"
    done
    first=$(find . -type f | head -n 1)
    mv "$first" "$(dirname "$first")/<img src=x onerror=alert(9)>.${first##*.}"
)
early=$work/early.onnx
expect "training" "$LEENET" train tests/data/shapes.onnx --data "$top" --exits even:2 --hidden 8 --epochs 4 \
    --alpha 0.1,0.5,1 --cost macs --policies max-prob,entropy --no-tune -q -o "$early"

page=$work/report.html
says "report" 0 "^saved as " "$LEENET" report "$early" --data "$top" -o "$page" --pictures 3 --point 1 -q
absent "no names as markup" '<script\|<img src=x' "$page"
expect "names as text" grep -q '1&lt;script&gt;alert(1)&amp;&quot;&#39;' "$page"
absent "nothing is loaded" 'https\{0,1\}://\|@import\|url(' "$page"
expect "a policy that forbids loading" grep -q "default-src 'none'" "$page"
for part in tradeoff exits pictures classes confusion calibration; do
    expect "the page has $part" grep -q "id=\"$part\"" "$page"
done
expect "dark pages" grep -q 'prefers-color-scheme:dark' "$page"
if command -v python3 > /dev/null; then
    expect "tags are closed, pictures described, tables captioned" python3 - "$page" <<'PYTHON'
import base64, re, sys
from html.parser import HTMLParser
VOID = {'meta', 'img', 'br'}
class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.pictures, self.tables, self.captions = [], 0, 0, 0
    def handle_startendtag(self, tag, attributes): pass
    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if tag == 'img':
            self.pictures += 1
            assert a['alt'].startswith('A picture of '), a['alt']
            kind, code = a['src'].split(',', 1)
            assert kind == 'data:image/jpeg;base64' and base64.b64decode(code)[:3] == b'\xff\xd8\xff'
        if tag == 'svg': assert a['role'] == 'img' and a['aria-label']
        self.tables += tag == 'table'
        self.captions += tag == 'caption'
        if tag not in VOID: self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())
p = Page()
p.feed(open(sys.argv[1], encoding='utf-8').read())
assert not p.open and p.pictures > 3 and p.tables == p.captions >= 3, (p.open, p.pictures, p.tables, p.captions)
PYTHON
    "$LEENET" report "$early" --data "$top" -o "$page" --point 1 --json -q > "$work/line"
    cat > "$work/agrees.py" <<'PYTHON'
import json, subprocess, sys
d = json.load(open(sys.argv[1]))
e = json.loads(subprocess.run([sys.argv[4], 'eval', sys.argv[2], '--data', sys.argv[3], '--json', '-q'] + sys.argv[5:],
                              capture_output=True, text=True).stdout)
assert d['rows'] == e['rows'] == 120 and len(d['exits']) == 3
assert abs(d['accuracy'] - e['accuracy']) < 0.01 and abs(d['macs_share'] - e['macs_share']) < 0.01, (d, e)
assert sum(x['rows'] for x in d['exits']) == 120
PYTHON
    expect "report --json agrees with eval" python3 "$work/agrees.py" "$work/line" "$early" "$top" "$LEENET" --point 1
    "$LEENET" report "$early" --data "$top" -o "$page" --budget 0.8 --cost macs --json -q > "$work/line" 2> "$work/said"
    expect "so does report at a budget" python3 "$work/agrees.py" "$work/line" "$early" "$top" "$LEENET" --budget 0.8 --cost macs
    expect "which the page names" grep -q "as setting [0-9]* of policy gate says (--policy gate --cost macs --budget 0.8)" "$page"
    expect "and says" grep -q "^setting [0-9]* of policy gate: " "$work/said"
    expect "settings have their own numbers" grep -q '<tr><th scope="row">gate</th><td>0</td><td>[0-9.]* %</td><td>100.0 %</td><td>100.0 %</td></tr>' "$page"
    "$LEENET" train tests/data/shapes.onnx --data "$top" --exits even:2 --hidden 8 --epochs 4 --alpha 0.5 --cost macs --budget 0.8 \
        --no-tune -q -o "$work/target.onnx" > "$work/said" 2>&1
    "$LEENET" report "$work/target.onnx" --data "$top" -o "$page" --json -q > "$work/line" 2> "$work/said"
    expect "a model's own target is what report shows" python3 "$work/agrees.py" "$work/line" "$work/target.onnx" "$top" "$LEENET"
    expect "by its setting" grep -q '"target": {"policy": "gate", "cost": "macs", "budget": 0.8}, "setting": {"policy": "gate", "index": [1-9]' "$work/line"
    "$LEENET" train tests/data/shapes.onnx --data "$top:part=0/3" --exits even:4 --unchained --epochs 1 --alpha 0.5 --cost macs --policies ensemble \
        --threads 1 --no-tune -q -o "$work/mixed.onnx" > "$work/said" 2>&1
    "$LEENET" report "$work/mixed.onnx" --data "$top" -o "$page" --policy ensemble --budget 0.8 --cost macs --json -q > "$work/line" 2> "$work/said"
    cat > "$work/mixture.py" <<'PYTHON'
import json, re, sys
d, page = json.load(open(sys.argv[1])), open(sys.argv[2], encoding='utf-8').read()
grouped = sum(int(n) for n in re.findall(r'<h4>Right, ([0-9]+)', page))
assert grouped == round(d['accuracy'] * d['rows']), (grouped, d)
PYTHON
    expect "a mixture's answers are those of the page" python3 "$work/mixture.py" "$work/line" "$page"
    says "report of a bound that nothing proves" 0 "not certified" "$LEENET" report "$early" --data "$top" -o "$page" --max-drop 0.01 -q
    expect "the page says that nothing leaves early" grep -q "as setting 0 of policy gate says (.*): no picture leaves early" "$page"
else
    skip "tags are closed, pictures described, tables captioned" "python3 is not there"
fi
says "one class by number" 0 "^saved as " "$LEENET" report "$early" --data "$top" -o "$page" --class 2 -q
expect "its pictures only" sh -c "grep -o 'alt=\"A picture of [0-9]' '$page' | sort -u | grep -c . | grep -qx 1"
says "a class that is not there" 1 "has no class 'wolf'" "$LEENET" report "$early" --data "$top" -o "$page" --class wolf
says "a point that is not there" 1 "numbered from 0" "$LEENET" report "$early" --data "$top" -o "$page" --point 99
says "a point and a budget" 2 "exclude each other" "$LEENET" report "$early" --data "$top" -o "$page" --point 1 --budget 0.5
says "report without -o" 2 "o OUT.html is required" "$LEENET" report "$early" --data "$top"
says "a page in no folder" 1 "cannot write" "$LEENET" report "$early" --data "$top" -o "$work/none/x.html"
echo old > "$work/kept.html"
says "a page that finds no room" 1 "cannot write '$work/kept.html'" \
    sh -c 'trap "" XFSZ; ulimit -f 20; exec "$0" "$@"' "$LEENET" report "$early" --data "$top" -o "$work/kept.html" -q
expect "leaves what was there" sh -c "grep -qx old '$work/kept.html' && ! ls '$work' | grep -q 'kept.html.new'"
says "a plain network" 0 "^saved as " "$LEENET" report tests/data/shapes.onnx --data tests/data/shapes.tar.gz -o "$page" -q

says "compare" 0 "^max-prob " "$LEENET" compare "$early" --data "$top" --cost macs --csv "$work/compare.csv" -q
expect "compare's table has every budget" test "$(grep -c ' %  ' "$work/output")" -ge 20
expect "compare's CSV has policies times budgets" test "$(wc -l < "$work/compare.csv")" -eq 61
says "compare, asked" 0 '"policy": "entropy".*"first_minus_this": {"mean": ' "$LEENET" compare "$early" --data "$top" \
    --policies gate,entropy --budgets 0.5,1 --json -q
expect "and nothing else" sh -c "! grep -q max-prob '$work/output'"
says "the same policy twice differs by nothing" 0 '"first_minus_this": {"mean": 0, "low": 0, "high": 0}' "$LEENET" compare "$early" \
    --data "$top" --policies gate,gate --budgets 0.5 --cost macs --json -q
says "at equal cost" 0 '"policy": "max-prob", "budget": 0.6' "$LEENET" compare "$early" --data "$top" --cost macs --budgets 0.6,0.8 --json -q
if command -v python3 > /dev/null; then
    cp "$work/output" "$work/lines"
    expect "every policy spends the budget" python3 -c "
import json, sys
d = [json.loads(l) for l in open(sys.argv[1])]
d = [x for x in d if x.get('budget')]
assert len(d) == 6 and all(abs(x['macs_share'] - x['budget']) < 1e-6 for x in d), d" "$work/lines"
fi
says "as a budget is asked for" 0 '"policy": "max-prob", "budget": 0.6' "$LEENET" compare "$early" --data "$top" --expected --cost macs \
    --budgets 0.6,0.8 --json -q
expect "every policy spends what its setting does" sh -c "! grep -q '\"macs_share\": 0.[68],' '$work/output'"
says "a budget that nothing keeps is called so" 0 "too dear" "$LEENET" compare "$early" --data "$top" --cost macs --budgets 1e-6,0.8 -q
grep '^max-prob ' "$work/output" > "$work/line"
expect "and is not among those compared" grep -q "^max-prob  *1 of 2 " "$work/line"
expect "nor in the mean: one budget's difference" awk '{ exit NF != 13 || $5 != $9 }' "$work/line"
says "no budget that is kept" 0 "^max-prob  *0 of 1  *-  *-" "$LEENET" compare "$early" --data "$top" --cost macs --budgets 1e-6 -q
"$LEENET" compare "$early" --data "$top" --policies gate,entropy --cost macs --budgets 1e-6,0.8 --json -q > "$work/lines"
expect "its JSON line has no difference" grep -q '"budget": 1e-06.*"within": false[^}]*}$' "$work/lines"
expect "the mean says how many it is of" grep -q '"policy": "entropy", "budget": null, "budgets": 1, "first_minus_this"' "$work/lines"
says "an unknown policy" 2 "max-prob" "$LEENET" compare "$early" --data "$top" --policies luck
says "the oracle is no policy to compare" 2 "oracle" "$LEENET" compare "$early" --data "$top" --policies oracle
says "a policy without settings" 1 "no settings of policy 'margin'" "$LEENET" compare "$early" --data "$top" --policies gate,margin
says "budgets that are none" 2 "neither a list" "$LEENET" compare "$early" --data "$top" --budgets 0.5,
says "a picture of another kind" 2 "neither .svg nor .png" "$LEENET" compare "$early" --data "$top" -o x.gif

sweep() {
    "$LEENET" sweep tests/data/shapes.onnx --data "$top" --val "$top:part=0/4" --exits even:1 --hidden 8 --epochs 2 \
        --alpha 0.1,0.5 --cost macs --no-tune --draws 200 -q "$@"
}
says "sweep" 0 "^fitted: accuracy = " sweep --sizes 50,100 --budgets 0.5,1 -o "$work/sweep.svg"
expect "sweep's data stands beside the picture" test "$(wc -l < "$work/sweep.csv")" -eq 11
expect "sizes are of every class" grep -q '^60,alpha,0.1,' "$work/sweep.csv"
if command -v gnuplot > /dev/null; then expect "the picture is drawn" grep -q '</svg>' "$work/sweep.svg"
else skip "the picture is drawn" "gnuplot is not installed"; fi
says "a size that fails" 1 "nothing comes of 1 % of the rows" sweep --sizes 1,33,100 --budgets 0.5 --csv "$work/some.csv"
expect "takes no other with it" sh -c "cut -d, -f1 '$work/some.csv' | uniq | tr '\n' ' ' | grep -qx 'train_rows 39 120 '"
says "sweep tells of rows of training in --val" 0 "warning: 30 of the 30 rows of --val are among" sweep --json
says "sweep --json" 0 '"alpha": 0.1, "accuracy": {"mean": ' sweep --json
mkdir "$work/empty"
echo old > "$work/kept.svg"
for picture in none kept; do
    PATH=$work/empty "$LEENET" compare "$early" --data "$top" --budgets 0.5 -q -o "$work/$picture.svg" > "$work/said" 2>&1
    expect "without gnuplot there is a note" grep -q "gnuplot is not installed" "$work/said"
    expect "and the data" test -s "$work/$picture.csv"
done
expect "and no picture" test ! -e "$work/none.svg"
expect "but the old one where there was one" grep -qx old "$work/kept.svg"
says "a table under its picture's name" 1 "written otherwise" "$LEENET" compare "$early" --data "$top" -o "$work/one.svg" --csv "$work/one.svg"
ln -s kept.svg "$work/linked.svg"
"$LEENET" compare "$early" --data "$top" --budgets 0.5 -q -o "$work/x.svg" --csv "$work/linked.svg" > "$work/said" 2>&1
expect "a link to a result stays one" test -L "$work/linked.svg"
expect "whose file has the result" grep -q "^policy," "$work/kept.svg"
echo old > "$work/kept.svg"
mkdir "$work/folder.csv"
says "a folder in the place of the data beside a picture" 1 "cannot write '$work/folder.csv': it is a folder" \
    "$LEENET" compare "$early" --data "$top" -o "$work/folder.svg"
echo 0,0 > "$work/map.csv"
says "a class map in its place" 1 "cannot write '$work/map.csv': it is a file that is read" \
    "$LEENET" compare "$early" --data "$top" --class-map "$work/map.csv" -o "$work/map.svg"

says "a default that loses much is named" 0 "warning: what is used by default is expected to lose" "$LEENET" train tests/data/shapes.onnx \
    --data "$top" --exits even:2 --alpha 0.9,1 --cost macs --no-tune -q -o "$work/lossy.onnx"
says "a gate that always fires is named" 0 "warning: at point 2 the gate of exit 0 always fires" "$LEENET" eval "$early" --data "$top" --point 2 -q
finish
