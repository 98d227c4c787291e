#!/bin/sh
# leenet.hpp against the static library: exceptions, moves, lifetimes.
. tests/lib_say.sh
cat > "$work/owners.cpp" <<'C'
#include <leenet/leenet.hpp>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>

static int failures;
static void report(const char *name, int line, bool ok)
{
    std::printf(ok ? "pass %s\n" : "FAIL %s: line %d\n", name, line);
    failures += !ok;
}
#define TRY(name, ...) report(name, __LINE__, (__VA_ARGS__))

static_assert(!std::is_copy_constructible<leenet::Model>::value, "one owner");
static_assert(!std::is_copy_assignable<leenet::Session>::value, "one owner");
static_assert(std::is_nothrow_move_constructible<leenet::Data>::value, "moves");

template <typename Call> static ln_status thrown_by(Call call)
{
    try {
        call();
    } catch (const leenet::Error &e) {
        return std::strlen(e.what()) > 0 && e.name()[0] == 'L' ? e.status() : LN_OK;
    }
    return LN_OK;
}

struct Stop {};

int main(int, char **argv)
{
    const char *path = argv[1], *source = argv[2], *saved = argv[3];

    TRY("a missing file throws LN_E_IO", thrown_by([] { leenet::Model::load("/none.onnx"); }) == LN_E_IO);
    TRY("bytes that are no model throw LN_E_FORMAT",
        thrown_by([] { leenet::Model::load_memory("nonsense", 8); }) == LN_E_FORMAT);
    TRY("an unknown preset throws LN_E_ARGUMENT",
        thrown_by([] { leenet::preprocess_preset("unknown"); }) == LN_E_ARGUMENT);

    leenet::Model model = leenet::Model::load(path);
    const leenet::Data data = leenet::Data::open(source);
    TRY("a model tells of itself", model.info().classes == 3 && model.class_count() == 3
        && !model.operators().empty() && model.operators()[0].second > 0);
    TRY("a data set tells of itself", data.rows() == 120 && data.class_name(2) == "disc" && data.skipped().empty());
    TRY("candidates are listed", !model.exit_candidates().empty());
    ln_place_options where = LN_PLACE_OPTIONS_INIT;
    where.exits = 2;
    TRY("exits are placed", model.place_exits(data, where).size() == model.exit_candidates().size()
        && model.exit_count() == 2);
    TRY("placing says no with LN_E_STATE", thrown_by([&] { model.place_exits(data); }) == LN_E_STATE);
    model.clear_exits();
    model.add_exits(2);
    TRY("exits are there", model.exit_count() == 2 && !model.exit_info(0).trained);

    bool stopped = false;
    try {
        model.train_exits(data, LN_TRAIN_OPTIONS_INIT, [](const ln_progress &) -> bool { throw Stop(); });
    } catch (const Stop &) {
        stopped = true;
    }
    TRY("what a progress throws comes out", stopped);
    TRY("a progress that says no throws LN_E_CANCELLED", thrown_by([&] {
        model.train_exits(data, LN_TRAIN_OPTIONS_INIT, [](const ln_progress &) { return false; });
    }) == LN_E_CANCELLED);

    TRY("measuring kernels is stopped the same way", thrown_by([&] {
        model.tune(LN_TUNE_OPTIONS_INIT, [](const ln_progress &) { return false; });
    }) == LN_E_CANCELLED && !model.info().tuned);
    model.tune();
    TRY("kernels are measured", model.info().tuned);

    ln_train_options quick = LN_TRAIN_OPTIONS_INIT;
    quick.epochs = 5;
    std::size_t calls = 0;
    model.train_exits(data, quick, [&](const ln_progress &) { calls++; return true; });
    model.train_gates(data, { 0.3, 0.7 });
    TRY("training reports its progress", calls > 0);
    TRY("points are there", model.point_count() == 2 && model.point_info(1).alpha == 0.7
        && model.threshold(0, 0) > 0.0 && std::isnan(model.threshold(9, 9)));
    std::uint32_t last = model.setting_count(LN_POLICY_GATE) - 1;
    TRY("a setting becomes a point", model.add_setting_point(LN_POLICY_GATE, last) == 2
        && model.point_info(2).macs_share == model.setting(LN_POLICY_GATE, last).macs_share);
    model.set_default_point(1);
    model.save(saved);

    std::vector<float> inputs(7 * 16 * 16);
    std::vector<std::int32_t> labels(7);
    model.read(data, 0, 7, inputs.data(), labels.data());
    ln_session_options options = LN_SESSION_OPTIONS_INIT;
    options.max_rows = 7;
    leenet::Session session(model, &options);
    TRY("a model in use is frozen", thrown_by([&] { model.clear_exits(); }) == LN_E_STATE);

    leenet::Session moved = std::move(session);
    { leenet::Model gone = std::move(model); }
    std::vector<ln_result> results(7);
    moved.set_point(0);
    moved.infer(inputs.data(), 7, results.data());
    TRY("a moved session answers without its Model", results[0].label >= 0 && results[0].exit <= 2);
    moved.infer_full(inputs.data(), 7, results.data());
    TRY("in full too", results[6].exit == 2);
    TRY("by a deadline", moved.infer_deadline(inputs.data(), 7, 1e9, results.data()) == LN_OK
        && moved.infer_deadline(inputs.data(), 1, -1.0, results.data()) >= LN_OK && results[0].exit == 0);
    const leenet::Counters counted = moved.counters();
    TRY("rows are counted", counted.totals.rows == 15 && counted.exits.size() == 3 && moved.drift() > 0.0);
    {
        leenet::Steps steps(moved, inputs.data());
        ln_step step = steps.next();
        TRY("steps go from exit to exit", step.exit == 0 && steps.next().exit == 1);
        TRY("and nothing else meanwhile", thrown_by([&] { moved.infer(inputs.data(), 1, results.data()); }) == LN_E_STATE);
    }
    TRY("stages are measured", moved.measure(inputs.data(), 1, 3).size() == 3);
    const std::uint32_t points[] = { 0, 1 };
    ln_evaluate_options judge = LN_EVALUATE_OPTIONS_INIT;
    judge.points = points;
    judge.n_points = 2;
    const std::vector<leenet::Evaluation> found = moved.evaluate(data, judge);
    std::uint64_t rows = 0;
    for (const ln_exit_share &exit : found.at(1).exits)
        rows += exit.rows;
    TRY("every row leaves somewhere", found.size() == 2 && found[1].exits.size() == 3
        && rows == 120 && found[1].totals.rows == 120);

    ln_target half = LN_TARGET_INIT;
    half.max_drop = 50;
    leenet::Model own = leenet::Model::load(saved);
    own.set_default_target(&half);
    TRY("a model has a target of its own", own.default_target().max_drop == 50);
    own.set_default_target(nullptr);
    TRY("and none", thrown_by([&] { own.default_target(); }) == LN_E_STATE);
    leenet::Model again = leenet::Model::load(saved);
    TRY("a saved model comes back", again.exit_count() == 2 && again.point_count() == 3
        && again.info().default_point == 1 && again.class_name(2) == "disc");
    const leenet::Answers answers = leenet::Answers::collect(again, data);
    std::vector<ln_result> replayed;
    const leenet::Evaluation replay = answers.replay_point(1, &replayed);
    TRY("recorded answers are replayed", answers.rows() == 120 && replayed.size() == 120
        && std::fabs(replay.totals.accuracy - found[1].totals.accuracy) < 0.01 && replay.exits.size() == 3);
    TRY("a setting and the point made of it are replayed alike", answers.replay(LN_POLICY_GATE, last).totals.accuracy
        == answers.replay_point(2).totals.accuracy);
    TRY("recorded answers tell of rows", answers.choice(2, 5) >= 0 && answers.logits(3) == nullptr && answers.label(0) >= 0
        && answers.data_row(7) == 7 && answers.time_share(2) > 0.9);
    return failures != 0;
}
C
# shellcheck disable=SC2086
expect "compiles" $CXX -std=c++17 -Wall -Wextra -Werror -g ${SAN:+-fsanitize=$SAN} -Iinclude -o "$work/owners" \
    "$work/owners.cpp" "$B/libleenet.a" -ldnnl -lpng -ljpeg -lz -lgomp -lm -lpthread
[ ! -x "$work/owners" ] || "$work/owners" tests/data/shapes.onnx tests/data/shapes.tar.gz "$work/early.onnx" || failures=1
finish
