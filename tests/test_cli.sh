#!/bin/sh
# The tool: help, refusals, exit codes, and the way from info to infer.
. tests/lib_say.sh
LEENET=${LEENET:-$B/leenet}

# says NAME STATUS WORDS COMMAND...: passes when the command ends with that
# status and what it prints holds the words (a basic regular expression).
says() {
    what=$1 wanted=$2 words=$3; shift 3
    "$@" > "$work/output" 2>&1
    got=$?
    if [ $got != "$wanted" ]; then fail "$what" "status $got, not $wanted: $(head -n 5 "$work/output")"
    elif ! grep -q -e "$words" "$work/output"; then fail "$what" "no '$words' in: $(head -n 5 "$work/output")"
    else pass "$what"; fi
}
# json NAME CODE: passes when Python, with the lines of $work/lines as list d,
# finds CODE true.
json() {
    if ! command -v python3 > /dev/null; then skip "$1" "python3 is not there"; return; fi
    expect "$1" python3 -c "
import json, sys
d = [json.loads(l) for l in open(sys.argv[1], encoding='utf-8')]
assert ($2), d[:2]" "$work/lines"
}

if [ ! -x "$LEENET" ]; then
    skip "command line" "$LEENET is not built"
    finish
fi

says "no command" 2 "^usage: leenet COMMAND" "$LEENET"
says "unknown command" 2 "unknown command 'frobnicate'" "$LEENET" frobnicate
says "--version" 0 "^leenet [0-9]*\.[0-9]*\.[0-9]* (" "$LEENET" --version
says "version" 0 "^leenet [0-9]" "$LEENET" version
says "help" 0 "^  train " "$LEENET" help
says "help of an unknown command" 2 "unknown command 'x'" "$LEENET" help x

for command in info train eval infer report compare sweep bench tune; do
    says "$command --help" 0 "^usage: leenet $command MODEL" "$LEENET" $command --help
    cp "$work/output" "$work/help"
    says "help $command" 0 "^usage: leenet $command MODEL" "$LEENET" help $command
    "$LEENET" help $command > "$work/help2"
    expect "help $command is $command --help" cmp "$work/help" "$work/help2"
    says "$command without a model" 2 "expects .*MODEL" "$LEENET" $command
    says "$command says where help is" 2 "try 'leenet $command --help'" "$LEENET" $command
    says "$command with an unknown flag" 2 "unknown option '--frob'" "$LEENET" $command m --frob
    says "$command help has --json" 0 "^  --json " "$LEENET" $command --help
    # Every flag of the help is in the manual page, the short guide names the command.
    grep -o '^ *\(-[a-z], \)\{0,1\}--[a-z-]*' "$work/help" | sed 's/.*--//' | sort -u | while read -r flag; do
        grep -q "^\.It .*Fl -$flag" man/leenet.1 || echo "$flag"
    done > "$work/absent"
    judge "the manual page has every flag of $command" "$work/absent"
    expect "docs/cli.md has $command" grep -q "^## leenet $command" docs/cli.md
done
if command -v mandoc > /dev/null; then
    mandoc -Tlint -Wwarning man/leenet.1 > "$work/lint" 2>&1
    judge "the manual page is well-formed" "$work/lint"
else
    skip "the manual page is well-formed" "mandoc is not there"
fi

train() { "$LEENET" train no-such.onnx --data no-such -o "$work/out.onnx" "$@"; }
says "train without --data" 2 "data SPEC is required" "$LEENET" train m -o x
says "train without -o" 2 "o OUT.onnx is required" "$LEENET" train m --data d
says "eval without --data" 2 "data SPEC is required" "$LEENET" eval m
says "tune without -o" 2 "o OUT.onnx is required" "$LEENET" tune m
says "a value is missing at the end" 2 "epochs needs a value: N" train --epochs
says "a value is missing before a flag" 2 "epochs needs a value: N" train --epochs --json
says "a value is missing before a short flag" 2 "log needs a value" train --log -o x
says "a value that is empty" 2 "not empty" train --log=
says "a flag with a value" 2 "json takes no value" train --json=1
says "a second model" 2 "unexpected argument 'b'" "$LEENET" info a b
for wrong in "--epochs abc" "--epochs 0" "--epochs 1.5" "--epochs -1" "--epochs 99999999999999999999" \
        "--seed x" "--folds 1" "--batch 0" "--lr 0" "--lr nan" "--lr 1e" "--weight-decay -1" "--threads x" \
        "--threshold 1" "--threshold 0" "--head dense" "--channels 8" "--gate-epochs 5" "--gate-hidden 0 --gate-epochs 5" "--head=conv --channels=0" "--head=conv --channels=1025" "--gate pool" "--objective cake" "--cost money" "--price x" \
        "--recipe cake" "--alpha 2" "--alpha 0.5," "--alpha x" "--alpha 0:1" "--alpha 0:1:1" "--alpha 0:1:2:3" \
        "--exits auto:0" "--exits auto:" "--exits auto@" "--exits auto@2" "--exits auto:4@0" "--exits auto@0.5," "--exits even" \
        "--exits even:0" "--exits even:2@0.5" "--exits auto:x" "--exits a,,b" "--exits ,a" "--exits a," \
        "--budget 0" "--budget 0.5," "--max-drop 101" "--confidence 0.9" "--against plain" "--hidden 70000" "--head=flatten --hidden=8" "--max-memory 0" "--max-memory 4X" "--max-memory 99999999999G" \
        "--crop 0" "--crop 3x" "--crop axb" "--resize 0" "--order grb" "--mean 1,2,3,4,5" "--mean 1,,2" \
        "--std 0,1,1" "--scale 0" "--preprocess keras" "--log plot.txt"; do
    # shellcheck disable=SC2086
    says "train $wrong" 2 "try 'leenet train --help'" train $wrong
done
says "eval --point x" 2 "operating point's number or 'all'" "$LEENET" eval m --data d --point x
says "infer --point all" 2 "not an operating point's number" "$LEENET" infer m f --point all
says "eval --plain --point" 2 "exclude each other" "$LEENET" eval m --data d --plain --point 0
says "bench --rows 0" 2 "not a whole number from 1" "$LEENET" bench m --rows 0
for command in "info no-such.onnx" "eval no-such.onnx --data d" "infer no-such.onnx f" "bench no-such.onnx" \
        "tune no-such.onnx -o $work/out.onnx"; do
    # shellcheck disable=SC2086
    says "$command" 1 "no-such.onnx" "$LEENET" $command
done
says "good flags reach the model" 1 "no-such.onnx" train --epochs=3 -q --alpha 0:1:5 --exits auto:3 --crop 3x4 \
    --mean 1 --std 1,2,3 --max-memory 4g --recipe leenet --threshold 0.25 --seed 18446744073709551615 --weight-decay 0
says "an operand after --" 1 "\-\-odd.onnx" "$LEENET" info -- --odd.onnx
# Where nothing can be written is said before the model is even looked for.
says "a folder that is not there" 1 "cannot write '$work/no/such/out.onnx': No such file" \
    "$LEENET" train m --data d -o "$work/no/such/out.onnx" --log "$work/unwanted.csv"
expect "no log is begun then" test ! -e "$work/unwanted.csv"
for named in --data --val --gate-data --head-data --cal-data; do
    cp tests/data/shapes.tar.gz "$work/mine.tar.gz"
    says "$named is not overwritten" 1 "cannot write '$work/mine.tar.gz': it is a file that is read" "$LEENET" train m --data tests/data/shapes.tar.gz \
        $named "$work/mine.tar.gz:part=0/2" -o "$work/mine.tar.gz"
    expect "but stays" cmp tests/data/shapes.tar.gz "$work/mine.tar.gz"
done
echo 0,0 > "$work/map.csv"
says "nor is a class map" 1 "cannot write '$work/map.csv': it is a file that is read" "$LEENET" train m --data d --class-map "$work/map.csv:all" \
    -o x.onnx --log "$work/map.csv"
says "nor one result by another" 1 "cannot write '$work/both.csv': it is a file that is read or written" "$LEENET" train m --data d -o "$work/both.csv" \
    --log "$work/both.csv"
says "results do not go to devices" 1 "cannot write '/dev/stdout': it is not a plain file" "$LEENET" train m --data d -o /dev/stdout
echo old > "$work/old.csv"
says "a model that is not there" 1 "no/such.onnx" "$LEENET" train "$work/no/such.onnx" --data d -o "$work/x.onnx" --log "$work/old.csv"
expect "leaves the old log" grep -qx old "$work/old.csv"
says "a file in the folder's place" 1 "cannot write 'tests/test_cli.sh/x.onnx': Not a dir" \
    "$LEENET" train m --data d -o tests/test_cli.sh/x.onnx
says "a folder in the output's place" 1 "it is a folder" "$LEENET" tune m -o "$work"
says "a device in the output's place" 1 "it is not a plain file" "$LEENET" train m --data d -o /dev/null
if [ -d /proc/self ]; then
    says "a folder that makes no files" 1 "cannot write '/proc/x.onnx'" "$LEENET" train m --data d -o /proc/x.onnx
else
    skip "a folder that makes no files" "/proc is not there"
fi
mkdir "$work/shut"
chmod 555 "$work/shut"
as_user=                        # root may write everywhere unless it gives that up
[ "$(id -u)" != 0 ] || as_user="setpriv --bounding-set -dac_override"
if [ -z "$as_user" ] || $as_user true 2> /dev/null; then
    says "a read-only folder" 1 "cannot write '$work/shut/out.onnx': Permission denied" \
        $as_user "$LEENET" train m --data d -o "$work/shut/out.onnx"
else
    skip "a read-only folder" "run by root without setpriv"
fi
says "a writable place: the model is next" 1 "^leenet train: .*no-such.onnx" train
find "$work" . -maxdepth 1 -name '*.new-*' > "$work/remains"
find "$work/shut" -type f >> "$work/remains"
judge "asking leaves no file" "$work/remains"
printf 'not a model' > "$work/bad.onnx"
says "a file that is no model" 1 "bad.onnx" "$LEENET" info "$work/bad.onnx"
if [ -e /dev/full ]; then
    says "standard output is full" 1 "could not write" sh -c "\"$LEENET\" --help > /dev/full"
fi

model=tests/data/shapes.onnx
pictures=tests/data/shapes.tar.gz
early=$work/early.onnx
run() {     # run NAME COMMAND...: standard output goes to $work/lines
    what=$1; shift
    if "$@" > "$work/lines" 2> "$work/said"; then pass "$what"
    else fail "$what" "$(tail -n 5 "$work/said")"; fi
}

says "info" 0 "^where exits can go" "$LEENET" info $model
run "info --json" "$LEENET" info $model --json
json "info tells what is there" "len(d) == 1 and d[0]['shape'] == [1, 16, 16] and d[0]['classes'] == 3
    and d[0]['operators']['Conv'] > 8 and d[0]['candidates'] and d[0]['exits'] == [] and d[0]['points'] == []"
run "eval --plain" "$LEENET" eval $model --data $pictures --plain --json --rows 16 -q
json "eval --plain judges" "d[0]['rows'] == 120 and d[0]['plain_accuracy'] > 0.85 and d[0]['plain_ms_per_row'] > 0
    and d[0]['interval'][0] < d[0]['plain_accuracy'] < d[0]['interval'][1]"
run "eval --batch" "$LEENET" eval $model --data $pictures:first=9 --plain --json --batch 4 -q
json "is --rows" "d[0]['rows'] == 9 and d[0]['batch'] == 4"
expect "eval -q says nothing" test ! -s "$work/said"
run "eval without operating points" "$LEENET" eval $model --data $pictures:first=10 --json
json "is as with --plain" "set(d[0]) >= {'rows', 'plain_accuracy', 'plain_ms_per_row'} and 'point' not in d[0]"

run "train" "$LEENET" train $model --data $pictures:part=0/2 --val $pictures:part=1/2 --exits auto:2 --alpha 0.2,0.8 \
    --epochs 5 --folds 2 --no-tune --seed 7 --threads 1 --log "$work/log.csv" -o "$early" --json
json "train reports on --val" "[p['point'] for p in d] == [0, 1] and d[1]['alpha'] == 0.8 and d[0]['rows'] == 60
    and 0 < d[0]['expected']['accuracy'] <= 1"
expect "train shows progress" grep -q "^head 1 epoch" "$work/said"
ln -s early.onnx "$work/link.onnx"
run "what a link leads to is replaced" "$LEENET" tune $model -o "$work/link.onnx" --threads 1 -q
expect "and the link stays" test -L "$work/link.onnx" -a ! -L "$early"
run "train again" "$LEENET" train $model --data $pictures:part=0/2 --val $pictures:part=1/2 --exits auto:2 --alpha 0.2,0.8 \
    --epochs 5 --folds 2 --no-tune --seed 7 --threads 1 --log "$work/log.csv" -o "$work/link.onnx" --json
expect "through the link" "$LEENET" info "$early"
expect "train keeps a log" grep -q '^[0-9.]*,head,1,0,1,5,' "$work/log.csv"
expect "with a training loss, which falls" awk -F, '
    ($2 == "head" || $2 == "gates") && $5 == 1 { first = $9 }
    ($2 == "head" || $2 == "gates") && $5 == $6 { all++; falling += $9 > 0 && $9 < first }
    END { exit !(all >= 4 && falling == all) }' "$work/log.csv"
run "train without --val" "$LEENET" train $model --data $pictures:part=0/2 --recipe leenet --exits auto:1 --alpha 0.5 \
    --epochs 2 --gate-epochs 5 --no-tune -o "$work/leenet.onnx" --log "$work/log.json" --json -q
json "a line a point" "len(d) == 1 and d[0]['cost'] == 'params' and d[0]['expected']['time_share'] > 0
    and d[0]['gates'] == dict(input='features', hidden=0, objective='leenet', price='ce', same_rows=True)"
says "info warns of figures of such a recipe" 0 "^gates of point 0: .*promise too much$" "$LEENET" info "$work/leenet.onnx"
cp "$work/log.json" "$work/lines"
json "the log is JSON lines" "{'head', 'gates'} <= {p['stage'] for p in d} and all(p['seconds'] >= 0 for p in d)"
json "and has the training loss of heads and gates on all activations" "all(a[0] > a[-1] > 0 for a in
    [[p['loss'] for p in d if p['stage'] == s and p['epoch'] > 0] for s in ('head', 'gates')])"
run "train takes gate among the policies" "$LEENET" train $model --data $pictures:part=0/2 --exits even:1 --alpha 0.5 --epochs 1 --folds 2 \
    --no-tune --policies gate,margin -o "$work/gate.onnx" --json -q
json "and trains the others" "[p['policy'] for p in d] == ['gate', 'margin']"
run "train with convolutional heads" "$LEENET" train $model --data $pictures --head conv --channels 8 --cells 2 --exits even:1 \
    --alpha 0.5 --epochs 1 --folds 2 --no-tune --threads 1 -o "$work/conv.onnx" -q
run "info --json of convolutional heads" "$LEENET" info "$work/conv.onnx" --json
json "has their kind and sizes" "[(e['head'], e['channels'], e['cells'], e['hidden']) for e in d[0]['exits']] == [('conv', 8, 2, 0)]"
run "train heads without covariances" "$LEENET" train $model --data $pictures --covariance off --exits even:1 \
    --alpha 0.5 --epochs 1 --folds 2 --no-tune --threads 1 -o "$work/plainhead.onnx" -q
run "info --json of a head without" "$LEENET" info "$work/plainhead.onnx" --json
json "says so" "d[0]['exits'][0]['covariance'] is False"
run "train chained heads" "$LEENET" train $model --data $pictures --covariance on --exits even:2 --alpha 0.5 --epochs 2 --folds 2 \
    --no-tune --threads 1 -o "$work/chained.onnx" -q
run "info --json of them" "$LEENET" info "$work/chained.onnx" --json
json "tells what they read" "d[0]['exits'][0]['covariance'] and d[0]['exits'][0]['carry'] == 0 and d[0]['exits'][1]['carry'] > 0"
run "train unchained heads" "$LEENET" train $model --data $pictures --unchained --exits even:2 --alpha 0.5 --epochs 2 --folds 2 \
    --no-tune --threads 1 -o "$work/unchained.onnx" -q
run "info --json of those" "$LEENET" info "$work/unchained.onnx" --json
json "tells that they stand alone" "[e['carry'] for e in d[0]['exits']] == [0, 0]"
says "conv heads have none" 2 "only pool heads read covariances" "$LEENET" train $model --data $pictures --head conv --covariance on \
    -o "$work/never.onnx"
mkdir "$work/sorted" && tar xzf $pictures -C "$work/sorted"
says "train tells that classes have no rows" 0 "the 20 rows are of 1 of the data's 3 classes" "$LEENET" train $model \
    --data "$work/sorted:first=20" --exits even:1 --alpha 0.5 --epochs 1 --folds 2 --no-tune -o "$work/few.onnx" -q
run "train for a budget" "$LEENET" train $model --data $pictures:part=0/2 --val $pictures:part=1/2 --exits even:2 --alpha 0.2,0.8 \
    --epochs 5 --folds 2 --no-tune --cost macs --budget 0.8,0.9 -o "$work/budget.onnx" -q
says "rows of training in --val" 0 "warning: 60 of the 120 rows of --val are among the rows to learn from" "$LEENET" train $model \
    --data $pictures:part=0/2 --val ./$pictures --exits even:1 --alpha 0.5 --epochs 1 --folds 2 --no-tune -o "$work/few.onnx" -q
for flag in --cal-data --gate-data --head-data; do
    says "rows of training in $flag" 1 "$flag: '.*' is among the rows to learn from" "$LEENET" train $model --data $pictures:part=0/2 \
        $flag ./$pictures:part=0/4 $([ $flag = --cal-data ] && echo --max-drop 5) --exits even:1 -o "$work/never.onnx"
done
says "it is the result's default" 0 "^default: --policy gate --cost macs --budget 0.8$" "$LEENET" info "$work/budget.onnx"
says "which eval uses" 0 "^setting [0-9]* of policy gate: " "$LEENET" eval "$work/budget.onnx" --data $pictures:part=1/2
says "and names" 0 "^setting  *policy  *accuracy" "$LEENET" eval "$work/budget.onnx" --data $pictures:part=1/2
run "eval at a setting" "$LEENET" eval "$work/budget.onnx" --data $pictures:part=1/2 --json
json "tells of the setting, not of a point's alpha" "d[0]['setting']['policy'] == 'gate' and d[0]['setting']['index'] > 0
    and 'alpha' not in d[0] and 'point' not in d[0] and d[0]['expected']['macs_share'] <= 0.8"
says "unless a point is asked for" 0 "^point  *alpha" "$LEENET" eval "$work/budget.onnx" --data $pictures:part=1/2 --point 0
says "another budget wins" 0 "^setting [0-9]* of policy gate: .* at [5-9][0-9].* of its macs" \
    "$LEENET" eval "$work/budget.onnx" --data $pictures:part=1/2 --budget 0.9 --cost macs
run "info --json of it" "$LEENET" info "$work/budget.onnx" --json
json "has points at the budgets" "[(p['alpha'] in (0.2, 0.8), p['moved']) for p in d[0]['points']] == [(True, False)] * 2 + [(True, True)] * 2
    and d[0]['points'][2]['expected']['macs_share'] <= 0.8 < d[0]['points'][3]['expected']['macs_share'] <= 0.9"
trained_points() {  # trained_points FLAGS...: a line of JSON for each operating point
    run "train $*" "$LEENET" train $model --data $pictures:part=0/2 --exits even:2 --epochs 5 --folds 2 --no-tune --cost macs \
        -o "$work/points.onnx" --json -q "$@"
}
trained_points
json "has points at the usual budgets that can be kept" "[p['moved'] for p in d[:11]] == [False] * 11 and 1 <= len(d[11:]) <= 3
    and all(p['moved'] and p['expected']['macs_share'] <= b for p, b in zip(d[11:], (0.5, 0.35, 0.25)))"
trained_points --threshold 0.5
json "has none beside a threshold" "[p['moved'] for p in d] == [False] * 11"
trained_points --alpha 0.3
json "has none beside alphas" "[p['moved'] for p in d] == [False]"
says "budgets that cannot be kept, and one twice" 1 "no setting of policy 'gate' keeps a budget of 0.01; the cheapest costs" "$LEENET" train $model \
    --data $pictures:part=0/2 --exits even:2 --epochs 5 --folds 2 --no-tune --cost macs --alpha 0.3 --budget 0.01,0.9,0.9 \
    -o "$work/points.onnx" -q
says "the first that can is the default" 0 "^default: --policy gate --cost macs --budget 0.9$" "$LEENET" info "$work/points.onnx"
run "info --json of that" "$LEENET" info "$work/points.onnx" --json
json "has one point at it" "[p['moved'] for p in d[0]['points']] == [False, True]"
says "a budget that is not proven, and one that is" 0 "not certified" "$LEENET" train $model --data $pictures --exits even:2 --hidden 8 --epochs 8 \
    --no-tune --alpha 0.05,0.3 --cost macs --budget 0.5,0.98 --max-drop 40 -o "$work/points.onnx" -q
says "the proven one is the default" 0 "^default: --policy gate --cost macs --budget 0.98 --max-drop 40 " "$LEENET" info "$work/points.onnx"
says "no budget that can be kept, but a proof" 1 "keeps a budget of 0.01" "$LEENET" train $model --data $pictures:part=0/2 --exits even:2 --epochs 5 \
    --folds 2 --no-tune --cost macs --alpha 0.3 --budget 0.01 --max-drop 5 -o "$work/points.onnx" -q
says "leaves the proof as the default" 0 "^default: --policy gate --cost macs --max-drop 5 " "$LEENET" info "$work/points.onnx"
placed() {  # placed FLAGS...: where exits are put
    "$LEENET" train $model --data $pictures:part=0/2 --alpha 0.5 --epochs 2 --no-tune --cost macs \
        -o "$work/x.onnx" -q "$@" | grep ' yes '
}
placed --exits auto@0.15 > "$work/lines"
placed --exits auto --budget 0.15 > "$work/placed"
placed --exits auto > "$work/usual"
expect "exits are placed for the budget" sh -c "test -s '$work/lines' && cmp '$work/lines' '$work/placed'"
expect "and not as without it" sh -c "! cmp '$work/lines' '$work/usual'"
says "calibration on rows to learn from" 1 "cal-data: '.*png' is among the rows to learn from" "$LEENET" train $model \
    --data $pictures:part=0/2 --gate-data $pictures:part=1/2 --cal-data $pictures:part=1/6 --max-drop 5 -o "$work/x.onnx" --no-tune
says "train of a value that is not there" 1 "no-such-value" \
    "$LEENET" train $model --data $pictures --exits no-such-value -o "$work/x.onnx" --no-tune

says "info of the result" 0 "default$" "$LEENET" info "$early"
says "info tells what gates are" 0 "^gates of points 0 to 1: --gate stats --gate-hidden 0 --objective induction --price error$" "$LEENET" info "$early"
run "info --json of the result" "$LEENET" info "$early" --json
json "has names, exits and points" "d[0]['class_names'] == ['bar-lying', 'bar-standing', 'disc'] and len(d[0]['exits']) == 2
    and all(e['trained'] for e in d[0]['exits']) and [len(p['thresholds']) for p in d[0]['points']] == [2, 2]
    and d[0]['default_point'] in (0, 1)"
says "eval of pictures unlike those of training" 0 "drift: at operating point" \
    "$LEENET" eval "$early" --data $pictures --point all --scale 0.05 -q
run "eval" "$LEENET" eval "$early" --data $pictures:part=1/2 --point all --json
json "eval judges every point" "[p['point'] for p in d] == [0, 1] and all(
    p['rows'] == 60 and len(p['exits']) == 3 and abs(sum(e['share'] for e in p['exits']) - 1) < 1e-6
    and p['exits'][2]['name'] == 'end' and p['ms_per_row'] > 0 and p['plain_ms_per_row'] > 0
    and 0 < p['macs_share'] < 1.5 and 0 < p['params_share'] and p['expected']['time_share'] > 0 for p in d)"
says "eval as tables" 0 "^point  *alpha  *accuracy" "$LEENET" eval "$early" --data $pictures:first=20 --point 1 --rows 4
says "eval of a point that is not there" 1 "has 2 operating points" "$LEENET" eval "$early" --data $pictures --point 2
run "tune" "$LEENET" tune "$early" -o "$work/tuned.onnx" --json
expect "tune shows progress" grep -q '^tune: 100 %' "$work/said"
run "info after tune" "$LEENET" info "$work/tuned.onnx" --json
json "tune is remembered" "d[0]['tuned'] is True and len(d[0]['points']) == 2"
run "bench" "$LEENET" bench "$early" --rows 2 --min-ms 10 --stages
json "bench prints a side-by-side line" "all(k in d[0] for k in ('engine', 'load_ms', 'rss_mb', 'cpu_per_wall'))
    and d[0]['model'] == 'early' and d[0]['rows'] == 2 and d[0]['threads'] == 1 and len(d[0]['logits']) == 3
    and d[0]['runs'] >= 7 and d[0]['ms_min'] <= d[0]['ms_median'] and len(d[0]['stages']) == 3"
printf 'abc' > "$work/short.f32"
says "bench with too little input" 1 "rows x input shape need 256" "$LEENET" bench $model --input "$work/short.f32"

tar -xzf $pictures -C "$work" disc/002.png
odd=$work/$(printf 'q"\\\377\001.png')
cp "$work/disc/002.png" "$odd"
"$LEENET" infer "$early" "$odd" "$work/none.png" "$odd" --json > "$work/lines" 2> "$work/said"
expect "infer ends with 1 after a bad file" test $? = 1
expect "infer names the bad file" grep -q none.png "$work/said"
json "infer labels" "len(d) == 2 and all(p['label'] in ('bar-lying', 'bar-standing', 'disc') and p['class'] in (0, 1, 2)
    and 0 < p['probability'] <= 1 and p['exit'] in (0, 1, 2) and p['ms'] > 0 for p in d)"
json "file names come back byte for byte" "all(p['file'].endswith('q' + chr(34) + chr(92) + chr(0xdcff) + chr(1) + '.png')
    for p in d)"
says "infer as text" 0 "002.png: .* %  exit" "$LEENET" infer "$early" "$work/disc/002.png"

# Interrupted as soon as it is seen to train, with epochs enough for hours.
for keep in "" --keep-partial; do
    # shellcheck disable=SC2086
    "$LEENET" train $model --data $pictures -o "$work/stopped.onnx" --no-tune --epochs 100000 --hidden 4096 \
        --exits auto:2 --log "$work/stopped.csv" $keep > /dev/null 2> "$work/said" &
    child=$!
    while ! grep -q ',head,0,' "$work/stopped.csv" 2> /dev/null && kill -0 $child 2> /dev/null; do sleep 0.1; done
    kill -INT $child
    wait $child
    got=$?
    if [ $got = 130 ]; then pass "Ctrl-C ends train $keep with 130"
    else fail "Ctrl-C ends train $keep with 130" "status $got: $(tail -n 3 "$work/said")"; fi
    rm -f "$work/stopped.csv"
    [ -n "$keep" ] || expect "a stopped training saves nothing" test ! -e "$work/stopped.onnx"
done
says "--keep-partial saves what there is" 0 "untrained" "$LEENET" info "$work/stopped.onnx"
finish
